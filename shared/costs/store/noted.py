"""Changes that somebody made to save money, noted so that what they save can be measured afterwards.

Kept in a journal of its own in the cost storage, which nothing is derived from.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Final, NamedTuple

from ..errors import StorageUnavailable
from ..money import Nanos
from ..storage import CostStorage
from .journal import Journal

NAME: Final = "noted_changes"


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
        self._journal = Journal(storage.root / NAME)

    def add(self, change: NotedChange) -> NotedChange:
        """Note a change, durably; return it with its number.

        Raises:
            StorageUnavailable: that cannot be written down.
        """
        made = change._replace(number=1 + max((each.number for each in self._written()[0]), default=0))
        self._append({**made._asdict(), "since": made.since.isoformat()})
        return made

    def forget(self, number: int) -> bool:
        """Forget a change; return whether there was one of that number.

        Raises:
            StorageUnavailable: that cannot be written down.
        """
        if all(each.number != number for each in self.all()):
            return False
        self._append({"forgotten": number})
        return True

    def all(self) -> list[NotedChange]:
        """Return the changes that were not forgotten, in the order in which they were noted."""
        changes, forgotten = self._written()
        return [each for each in changes if each.number not in forgotten]

    def _append(self, record: dict[str, object]) -> None:
        try:
            self._journal.append(json.dumps(record).encode())
        except OSError as fault:
            raise StorageUnavailable(f"{self._journal.path}: cannot be written: {fault}") from fault

    def _written(self) -> tuple[list[NotedChange], set[int]]:
        changes: list[NotedChange] = []
        forgotten: set[int] = set()
        for said in map(json.loads, self._journal.news().records):
            if "forgotten" in said:
                forgotten.add(said["forgotten"])
            else:
                changes.append(NotedChange(**{**said, "since": datetime.fromisoformat(said["since"])}))
        return changes, forgotten
