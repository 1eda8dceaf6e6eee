"""All entries of a storage for a query: those in an archive, and the rest from the ledgers.

An archived entry never changes, so the archive's rows are used as they are, and only lines that it does not
have are read from ledgers. Without an archive, those are all lines.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ..archive.known import KnownArchive
from ..archive.manifest import HeldLedger, ParquetPart
from ..errors import CostError
from ..ledger.cells import Cells, cells_of_line
from ..ledger.line import decode
from ..ledger.lines import DamagedLine, split
from ..model import Entry
from ..rollup import Query
from ..store.gone import CountedExtent, recognised
from ..store.journal import opened
from ..store.queries import ReadableLedger
from ..store.store import Store
from .source import MissedLedger


class _UnarchivedLedger(NamedTuple):
    """A ledger whose lines from the offset ``start`` on may not be in the archive."""

    ledger: ReadableLedger
    start: int


@dataclass(slots=True)
class StoredHistory:
    """The entries of one storage. ``missed`` fills while they are read.

    ``parts`` are those of the archive; only their rows of ``ledgers`` belong to this storage, ``None`` for
    all.
    """

    index: Store
    archive: KnownArchive | None
    parts: Sequence[ParquetPart]
    ledgers: frozenset[int] | None
    missed: list[MissedLedger] = field(default_factory=list)
    _rest: list[_UnarchivedLedger] = field(default_factory=list)

    @classmethod
    def of(cls, index: Store, archive: KnownArchive | None) -> StoredHistory:
        """Return the entries of a storage; those in the archive are read from there."""
        held = {} if archive is None else _by_path(archive)
        rest, archived_numbers = list[_UnarchivedLedger](), set[int]()
        for ledger in index.readable(Query()):
            archived = _find_held(ledger, held.get(str(ledger.job.ledger), ()))
            if archived is not None:
                archived_numbers.add(archived.number)
            if archived is None or (ledger.gone is None and archived.rest < (ledger.read_to or 0)):
                rest.append(_UnarchivedLedger(ledger, 0 if archived is None else archived.rest))
        if archive is None:
            return cls(index, None, (), None, _rest=rest)
        covers_all = {ledger.number for ledger in archive.manifest.ledgers} <= archived_numbers
        ledgers = None if covers_all else frozenset(archived_numbers)
        return cls(index, archive, archive.manifest.parts if archived_numbers else (), ledgers, _rest=rest)

    def files(self) -> list[str]:
        """Return the local paths of all parts of the archive.

        Raises:
            DamagedArchive: a part is missing.

        """
        return self._paths(self.parts)

    def files_with(self, earliest: int, latest: int) -> list[str]:
        """Return the paths of parts that may have timestamps in a range, in microseconds since 1970."""
        return self._paths([p for p in self.parts if p.earliest <= latest and earliest <= p.latest])

    def _paths(self, parts: Sequence[ParquetPart]) -> list[str]:
        return [] if self.archive is None else [str(self.archive.place.file(part.name)) for part in parts]

    def entries(self) -> Iterator[Entry]:
        """Return the entries of lines that may not be in the archive."""
        for raw in self._lines():
            with suppress(DamagedLine):
                yield decode(raw)

    def cells(self) -> Iterator[Cells]:
        """Return the same entries as rows of cells."""
        for raw in self._lines():
            with suppress(DamagedLine):  # damaged since it was counted
                yield cells_of_line(raw)

    def _lines(self) -> Iterator[bytes]:
        for ledger, start in self._rest:
            if start == 0:
                yield from self.index.lines_of_ledger(ledger, self._record_missed)
            else:
                yield from self._lines_from(ledger, start)

    def _lines_from(self, ledger: ReadableLedger, start: int) -> Iterator[bytes]:
        try:
            with opened(os.fsencode(ledger.job.ledger)) as file:
                for offset, _, raw in split(file.fileno(), start, ledger.read_to):
                    if offset not in ledger.uncounted and raw[-1:] == b"\n":
                        yield raw
        except OSError as fault:
            self._record_missed(ledger.job.ledger, fault)

    def _record_missed(self, ledger: Path, fault: OSError) -> None:
        self.missed.append(MissedLedger(ledger, fault.strerror or str(fault)))


def _by_path(archive: KnownArchive) -> dict[str, list[HeldLedger]]:
    by_path: dict[str, list[HeldLedger]] = {}
    for held in archive.manifest.ledgers:
        by_path.setdefault(held.path, []).append(held)
    return by_path


def _find_held(ledger: ReadableLedger, candidates: Sequence[HeldLedger]) -> HeldLedger | None:
    """Return what the archive holds of a ledger, even if the ledger was packed away."""
    if ledger.gone is not None:
        same = (held for held in candidates if (held.size, held.head, held.tail) == ledger.mark)
        return next((held for held in same if held.is_whole), None)
    with suppress(OSError, CostError), opened(os.fsencode(ledger.job.ledger)) as file:
        return next(
            (held for held in candidates if recognised(CountedExtent(held.size, held.head, held.tail), file)),
            None,
        )
    return None
