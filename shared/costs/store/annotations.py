"""What people said of what is counted: damage that they have looked at, and changes made to save money.

Each is a journal of its own in the cost storage, which nothing is derived from.

Damage that was *acknowledged* stays out of the sums, and is no news any more. A line is known by its ledger,
its place and its bytes: where other bytes stand there later, that is new damage. A ledger that went together
with its sums is known by its path and how much of it was counted; one that comes back counts again.

Changes are *noted* so that what they save can be measured afterwards.
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
from ..ledger.lines import LedgerProblem, Location, line_at
from ..money import Nanos
from ..storage import CostStorage
from .journal import Journal, JournalPosition, opened

ACKNOWLEDGED: Final = "acknowledged"
NOTED: Final = "noted_changes"


def _append(journal: Journal, *records: dict[str, object]) -> None:
    try:
        journal.append(*(json.dumps(record).encode() for record in records))
    except OSError as fault:
        raise StorageUnavailable(f"{journal.path}: cannot be written: {fault}") from fault


class _AcknowledgedLine(NamedTuple):
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
        self._journal = Journal(storage.root / ACKNOWLEDGED)
        self._read_to = JournalPosition()
        self._marks: dict[_AcknowledgedLine, str] = {}
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
        if marks:
            _append(self._journal, *({**mark._asdict(), "at": at.isoformat()} for mark in marks))
        return len(marks)

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

    def _known(self) -> dict[_AcknowledgedLine, str]:
        with suppress(OSError):  # what cannot be read acknowledges nothing
            if self._journal.is_changed(self._read_to):
                records, _, _, self._read_to = self._journal.news()
                for record in records:
                    with suppress(ValueError, KeyError, TypeError):  # of a later version
                        said = json.loads(record)
                        mark = _AcknowledgedLine(said["ledger"], said["offset"], said["crc"])
                        self._marks.setdefault(mark, str(said["at"]))
        return self._marks


def _mark(line: Location) -> _AcknowledgedLine:
    with opened(os.fsencode(line.ledger)) as file:
        return _AcknowledgedLine(
            str(line.ledger), line.offset, crc32(line_at(file.fileno(), line.offset)[:-1])
        )


def _mark_of_loss(problem: LedgerProblem) -> _AcknowledgedLine:
    return _AcknowledgedLine(str(problem.path), _LOST, problem.length)


# --- changes


class NotedChange(NamedTuple):
    """A change that holds from an instant on: ``new`` is called in a stage where ``old`` was, as
    ``service/model``, with a service tier where that is a part of it.

    ``promised_before`` and ``promised_after`` are what the calls of the weeks before would have cost without
    and with it, in nano-dollars; 0 where there were none.
    """

    number: int
    since: datetime
    stage: str | None
    old: str
    new: str
    tier: str | None = None
    words: str = ""
    promised_before: Nanos = Nanos(0)
    promised_after: Nanos = Nanos(0)


class NotedChanges:
    """The changes noted in one cost storage."""

    def __init__(self, storage: CostStorage) -> None:
        self._journal = Journal(storage.root / NOTED)

    def add(self, change: NotedChange) -> NotedChange:
        """Note a change, durably; return it with its number.

        Raises:
            StorageUnavailable: that cannot be written down.
        """
        made = change._replace(number=1 + max((each.number for each in self._written()[0]), default=0))
        _append(self._journal, {**made._asdict(), "since": made.since.isoformat()})
        return made

    def forget(self, number: int) -> bool:
        """Forget a change; return whether there was one of that number.

        Raises:
            StorageUnavailable: that cannot be written down.
        """
        if all(each.number != number for each in self.all()):
            return False
        _append(self._journal, {"forgotten": number})
        return True

    def all(self) -> list[NotedChange]:
        """Return the changes that were not forgotten, in the order in which they were noted."""
        changes, forgotten = self._written()
        return [each for each in changes if each.number not in forgotten]

    def _written(self) -> tuple[list[NotedChange], set[int]]:
        changes: list[NotedChange] = []
        forgotten: set[int] = set()
        for said in map(json.loads, self._journal.news().records):
            if "forgotten" in said:
                forgotten.add(said["forgotten"])
            else:
                changes.append(NotedChange(**{**said, "since": datetime.fromisoformat(said["since"])}))
        return changes, forgotten
