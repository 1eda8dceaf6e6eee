"""Damage that somebody has looked at: it stays out of the sums, and is no news any more.

A line is known by its ledger, its place and its bytes. Where other bytes stand there later, that is new
damage. Kept in a journal of its own in the cost storage, which nothing is derived from.
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
from .journal import Journal, opened

NAME: Final = "acknowledged"


class _Mark(NamedTuple):
    """A line that was acknowledged: the CRC-32 is that of its bytes, without a newline."""

    ledger: str
    offset: int
    crc: int


class Acknowledged:
    """The acknowledged lines of one cost storage."""

    def __init__(self, storage: CostStorage) -> None:
        self._journal = Journal(storage.root / NAME)
        self._marks: set[_Mark] = set()

    def add(self, lines: Iterable[Location], at: datetime) -> int:
        """Acknowledge lines, durably; return how many were not before.

        Raises:
            StorageUnavailable: that cannot be written down.
            OSError: a line cannot be read.
        """
        known = self._known()
        marks = dict.fromkeys(mark for line in lines if (mark := _mark(line)) not in known)
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
        if not any((str(line.ledger), line.offset) == mark[:2] for mark in known):
            return False
        with suppress(OSError):
            return _mark(line) in known
        return False

    def left(self, problems: Iterable[LedgerProblem]) -> list[LedgerProblem]:
        """Return the problems that nobody has acknowledged."""
        return [each for each in problems if not (each.length and self.has(Location(each.path, each.offset)))]

    def _known(self) -> set[_Mark]:
        with suppress(OSError):  # what cannot be read acknowledges nothing
            for record in self._journal.read():
                with suppress(ValueError, KeyError, TypeError):
                    said = json.loads(record)
                    self._marks.add(_Mark(said["ledger"], said["offset"], said["crc"]))
        return self._marks


def _mark(line: Location) -> _Mark:
    with opened(os.fsencode(line.ledger)) as file:
        return _Mark(str(line.ledger), line.offset, crc32(line_at(file.fileno(), line.offset)[:-1]))
