"""With which other labels calls were recorded than were named for them: what :mod:`.holds` keeps of that."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime
from typing import Final

from ..budgets.port import STRAYED_FOR, Stray
from ..budgets.scopes import CallScope, Labels
from ..ledger.counted import microseconds
from .state import Tables

TABLES: Final = Tables(
    "strayed",
    (
        (
            """CREATE TABLE strayed (scope TEXT NOT NULL, labels TEXT NOT NULL, seen INTEGER NOT NULL,
                PRIMARY KEY (scope, labels)) STRICT, WITHOUT ROWID""",
        ),
    ),
)

MOST: Final = 1_000
"""How many are kept: the latest ones."""


class StrayCache:
    """What was read last, so that it is read again only where something has come or gone."""

    def __init__(self) -> None:
        self._known: tuple[object, tuple[Stray, ...]] = (None, ())

    def read(self, db: sqlite3.Connection, now: datetime) -> tuple[Stray, ...]:
        """Return which calls were recorded lately with other labels than were named for them."""
        oldest = _oldest(now)
        stamp = db.execute(
            "SELECT count(*), max(seen), min(seen) FROM strayed WHERE seen > ?", (oldest,)
        ).fetchone()
        if stamp != self._known[0]:
            rows = db.execute("SELECT scope, labels FROM strayed WHERE seen > ? ORDER BY seen", (oldest,))
            self._known = stamp, tuple((_scope(row[0]), _labels(row[1])) for row in rows)
        return self._known[1]


def remember(db: sqlite3.Connection, scope: CallScope, labels: Labels, now: datetime) -> None:
    """Note that a call reserved for like this was recorded with other labels."""
    db.execute("REPLACE INTO strayed VALUES (?, ?, ?)", (_key(scope), json.dumps(labels), microseconds(now)))
    db.execute("DELETE FROM strayed WHERE seen <= ?", (_oldest(now),))
    db.execute(
        "DELETE FROM strayed WHERE seen < (SELECT seen FROM strayed ORDER BY seen DESC LIMIT 1 OFFSET ?)",
        (MOST - 1,),
    )


def forget(db: sqlite3.Connection) -> int:
    """Forget all of it; return how much there was."""
    return db.execute("DELETE FROM strayed").rowcount


def _key(scope: CallScope) -> str:
    """Return calls like these, in whatever job and whenever, as one text."""
    return json.dumps([*scope._replace(at=None, ledger=None, job_id=None)])


def _oldest(now: datetime) -> int:
    return microseconds(now - STRAYED_FOR)


def _scope(text: str) -> CallScope:
    found = CallScope(*json.loads(text))
    return found._replace(tags=tuple(found.tags))


def _labels(text: str) -> Labels:
    project, tags, *rest = json.loads(text)
    return Labels(project, tuple(tags), *rest)
