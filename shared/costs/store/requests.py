"""How often requests were sent lately, in the cost storage: ``budgets.port.Requests``, locally."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from typing import Final

from ..ledger.counted import MICROSECOND, microseconds
from .state import StateDb, Tables

TABLES: Final = Tables(
    "requests",
    (
        """
        CREATE TABLE requests (request TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
        CREATE INDEX requests_by_name ON requests (request, at);
        CREATE INDEX requests_by_time ON requests (at);
        """,
    ),
)

WAIT_S: Final = 0.5
"""How long a request waits at most to be counted."""


class LocalRequests:
    """The requests of one cost storage. Safe to use from threads and after a fork. Not synced."""

    def __init__(self, state: StateDb) -> None:
        self._state = state

    def send(self, request: str, at: datetime, within: timedelta, most: int | None) -> int:
        """Count a request unless it was sent ``most`` times; return how often it was sent before."""
        self._state.use(TABLES)
        now = microseconds(at)
        span = within // MICROSECOND

        def count(db: sqlite3.Connection) -> int:
            # A clock that was set back leaves what lies ahead of it: that was not sent lately.
            db.execute("DELETE FROM requests WHERE at <= ? OR at > ?", (now - span, now + span))
            query = "SELECT count(*) FROM requests WHERE request = ?"
            before = int(db.execute(query, (request,)).fetchone()[0])
            if most is None or before < most:
                db.execute("INSERT INTO requests VALUES (?, ?)", (request, now))
            return before

        return self._state.write_unsynced(count, WAIT_S)

    def take_back(self, request: str) -> None:
        """Forget the latest time that a request was sent."""
        self._state.use(TABLES)
        latest = "SELECT rowid FROM requests WHERE request = ? ORDER BY at DESC LIMIT 1"
        self._state.write_unsynced(
            lambda db: db.execute(f"DELETE FROM requests WHERE rowid IN ({latest})", (request,)), WAIT_S
        )
