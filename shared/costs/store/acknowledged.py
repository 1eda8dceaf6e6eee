"""Damage that somebody has looked at: it stays out of the sums, and is no news any more.

A line is known by its ledger, its place and its bytes: where other bytes stand there later, that is new
damage. A ledger that went together with its sums is known by its path and how much of it was counted; one
that comes back counts again. Kept in a journal of its own in the cost storage, which nothing is derived from.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Final, NamedTuple
from zlib import crc32

from ..errors import StorageUnavailable
from ..ledger.lines import line_at
from ..ledger.places import LedgerProblem, Location
from ..storage import CostStorage
from .journal import Journal, Position, opened

NAME: Final = "acknowledged"


class _Mark(NamedTuple):
    """A line that was acknowledged: the CRC-32 is that of its bytes, without a newline.

    Of a ledger that is lost, the offset is ``_LOST``, and in place of the CRC-32 stands how many bytes of it
    had been counted.
    """

    ledger: str
    offset: int
    crc: int


_LOST: Final = -2


class Acknowledged:
    """The acknowledged lines and losses of one cost storage."""

    def __init__(self, storage: CostStorage) -> None:
        self._journal = Journal(storage.root / NAME)
        self._read_to = Position()
        self._marks: dict[_Mark, str] = {}
        """When each was acknowledged, as ISO 8601 text."""

    def add(self, lines: Iterable[Location], at: datetime, lost: Iterable[LedgerProblem] = ()) -> int:
        """Acknowledge lines and ledgers that are lost, durably; return how many were not before.

        Raises:
            StorageUnavailable: that cannot be written down.
            OSError: a line cannot be read.
        """
        known = self._known()
        every = [*map(_mark, lines), *map(_mark_of_loss, lost)]
        marks = dict.fromkeys(mark for mark in every if mark not in known)
        records = [json.dumps({**mark._asdict(), "at": at.isoformat()}).encode() for mark in marks]
        try:
            if records:
                self._journal.append(*records)
        except OSError as fault:
            raise StorageUnavailable(f"{self._journal.path}: cannot be written: {fault}") from fault
        return len(records)

    def has(self, line: Location) -> bool:
        """Tell whether a line was acknowledged as it stands there now."""
        known = self._known()
        with suppress(OSError):
            at = str(line.ledger), line.offset
            return any(at == mark[:2] for mark in known) and _mark(line) in known
        return False

    def lost_since(self, problem: LedgerProblem) -> str | None:
        """Return when the loss of a ledger was acknowledged, as ISO 8601 text; ``None`` when it was not."""
        return self._known().get(_mark_of_loss(problem)) if problem.is_lost else None

    def left(self, problems: Iterable[LedgerProblem]) -> list[LedgerProblem]:
        """Return the problems that nobody has acknowledged."""
        return [each for each in problems if not self._covers(each)]

    def _covers(self, problem: LedgerProblem) -> bool:
        if problem.is_lost:
            return self.lost_since(problem) is not None
        return bool(problem.length) and self.has(Location(problem.path, problem.offset))

    def _known(self) -> dict[_Mark, str]:
        with suppress(OSError):  # what cannot be read acknowledges nothing
            if self._journal.is_changed(self._read_to):
                records, _, _, self._read_to = self._journal.news()
                for record in records:
                    with suppress(ValueError, KeyError, TypeError):  # of a later version
                        said = json.loads(record)
                        mark = _Mark(said["ledger"], said["offset"], said["crc"])
                        self._marks.setdefault(mark, str(said["at"]))
        return self._marks


def _mark(line: Location) -> _Mark:
    with opened(os.fsencode(line.ledger)) as file:
        return _Mark(str(line.ledger), line.offset, crc32(line_at(file.fileno(), line.offset)[:-1]))


def _mark_of_loss(problem: LedgerProblem) -> _Mark:
    return _Mark(str(problem.path), _LOST, problem.length)
