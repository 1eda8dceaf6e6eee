"""Ledgers that are not here any more and that an archive of this storage holds whole.

For the sums such a ledger is gone: what was counted of it is kept. Its lines are read back from the archive,
so views, queries and checks go on as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CostError
from ..storage import CostStorage
from .queries import GoneLedger, ReadableLedger
from .tables import Mark

if TYPE_CHECKING:
    from ..archive.known import KnownArchive, KnownArchives
    from ..archive.manifest import HeldLedger
    from ..archive.restoring import Content

Held = tuple["KnownArchive", "HeldLedger"]


class PackedLedgers:
    """Finds what archives hold of ledgers that are gone, and reads it back."""

    def __init__(self, storage: CostStorage) -> None:
        self._storage = storage
        self._known: KnownArchives | None = None

    def holds(self, path: Path, mark: Mark) -> Held | None:
        """Return the archive that holds a ledger whole, and what it says of it; ``None`` where none does.

        Raises:
            StorageUnavailable: what is kept of an archive here cannot be read.

        """
        if self._known is None:
            if not self._storage.archives_dir.is_dir():
                return None
            from ..archive.known import KnownArchives  # most storages have no archive

            self._known = KnownArchives(self._storage)
        return self._known.find(str(path), mark)

    def without(self, gone: Sequence[GoneLedger]) -> list[GoneLedger]:
        """Return those ledgers that no archive holds."""
        try:
            return [each for each in gone if self.holds(each.path, each.mark) is None]
        except CostError:
            return list(gone)  # nobody knows where their entries are

    def read_back(self, ledgers: Sequence[ReadableLedger]) -> Iterator[tuple[ReadableLedger, Content | None]]:
        """Return each ledger with its content where it is gone and an archive holds it, else ``None``.

        Those of one archive are read together, some megabytes at a time.
        """
        contents = [self._held(ledger) for ledger in ledgers]
        streams: dict[int, Iterator[tuple[HeldLedger, Content]]] = {}
        for ledger, held in zip(ledgers, contents, strict=True):
            if held is None or isinstance(held, CostError):
                yield ledger, held
                continue
            archive = held[0]
            if id(archive) not in streams:
                streams[id(archive)] = _stream(archive, contents)
            yield ledger, next(streams[id(archive)])[1]

    def _held(self, ledger: ReadableLedger) -> Held | CostError | None:
        if ledger.gone is None:
            return None
        try:
            return self.holds(ledger.job.ledger, ledger.mark)
        except CostError as fault:
            return fault


def _stream(
    archive: KnownArchive, contents: Sequence[Held | CostError | None]
) -> Iterator[tuple[HeldLedger, Content]]:
    from ..archive.restoring import restored  # what it needs takes long to import

    return restored(
        archive, [content[1] for content in contents if isinstance(content, tuple) and content[0] is archive]
    )


def lines_of(content: bytes, counts: Callable[[int], bool]) -> Iterator[bytes]:
    """Return the lines of a ledger that begin where ``counts`` says so."""
    offset = 0
    for raw in BytesIO(content):
        if counts(offset):
            yield raw
        offset += len(raw)
