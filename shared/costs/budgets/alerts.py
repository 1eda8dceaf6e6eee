"""Alerts told once per scope, period and threshold, whichever process crosses it.

What was told is kept in ``state.db``: a rebuild of the index does not tell it again.

>>> import tempfile
>>> from pathlib import Path
>>> from shared.costs.budgets.limits import Limit, Scope
>>> from shared.costs.money import from_usd
>>> from shared.costs.rollup import Query
>>> folder = tempfile.TemporaryDirectory()
>>> state = StateDb(Path(folder.name) / "state.db")
>>> limit = Limit(Scope("rpatel", "month"), from_usd(50), None, Query())
>>> crossed = Crossing(limit, from_usd(41), 80.0)
>>> [len(fire(state, [crossed], datetime.now(UTC))) for _ in range(2)]
[1, 0]
>>> state.close(); folder.cleanup()
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

from ..index.state import StateDb, Tables
from .limits import FULL, Crossing

FIRED_ALERTS: Final = Tables(
    "alerts",
    (
        """
        CREATE TABLE fired_alerts (
            scope TEXT NOT NULL,
            span TEXT NOT NULL,
            threshold REAL NOT NULL,
            fired_at TEXT NOT NULL,
            PRIMARY KEY (scope, span, threshold)
        ) STRICT, WITHOUT ROWID;
        """,
    ),
)


Also = Callable[[sqlite3.Connection, list[Crossing]], object]
"""What else is to be written in the transaction in which crossings are remembered as told."""


def fire(
    state: StateDb, crossed: Iterable[Crossing], at: datetime, also: Also | None = None
) -> list[Crossing]:
    """Return the crossings that nobody was told of yet, and remember them as told.

    ``also`` is given them within the same transaction: both are written, or neither.

    Of two processes that ask at once exactly one gets a crossing. Lower thresholds of the same
    scope and period count as told with it: falling back below the higher one is no news.

    Raises:
        StorageUnavailable: the state cannot be read or written; nothing was remembered.
    """
    candidates = list(crossed)
    if not candidates:
        return []
    state.use(FIRED_ALERTS)
    with state.reading() as connection:
        if not any(_is_new(connection, c) for c in candidates):  # the usual case costs no write
            return []
    with state.transaction() as connection:
        new = [c for c in candidates if _is_new(connection, c)]
        for one in new:
            _remember(connection, one, at)
        if also is not None and new:
            also(connection, new)
    return new


def _is_new(connection: sqlite3.Connection, crossed: Crossing) -> bool:
    query = "SELECT 1 FROM fired_alerts WHERE scope = ? AND span = ? AND threshold >= ?"
    found = connection.execute(query, (*_place(crossed), crossed.threshold)).fetchone()
    return found is None


def _remember(connection: sqlite3.Connection, crossed: Crossing, at: datetime) -> None:
    reached = {t for t in (*crossed.limit.thresholds, FULL) if t <= crossed.threshold}
    connection.executemany(
        "INSERT OR IGNORE INTO fired_alerts VALUES (?, ?, ?, ?)",
        [(*_place(crossed), t, at.astimezone(UTC).isoformat()) for t in sorted(reached)],
    )


def _place(crossed: Crossing) -> tuple[str, str]:
    return crossed.limit.scope.key, crossed.span
