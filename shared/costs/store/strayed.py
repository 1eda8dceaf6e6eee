"""With which other labels calls were recorded than were named for them: what :mod:`.holds` keeps of that."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime
from typing import Final

from ..budgets.port import STRAYED_FOR
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

MOST: Final = 10_000
"""How many are kept: the latest ones."""


def labels_of(db: sqlite3.Connection, scope: CallScope, now: datetime) -> tuple[Labels, ...]:
    """Return the labels that calls reserved for like this were recorded with lately."""
    rows = db.execute(
        "SELECT labels FROM strayed WHERE scope = ? AND seen > ? ORDER BY seen", (_key(scope), _oldest(now))
    )
    return tuple(_labels(row[0]) for row in rows)


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


def _labels(text: str) -> Labels:
    project, tags, *rest = json.loads(text)
    return Labels(project, tuple(tags), *rest)
