"""How far each log was read: a file of the cost storage. Without it all is read again, and known."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from ...storage import CostStorage
from ...store.database import Database

FORMAT: Final = 1
FILE_NAME: Final = "sessions.db"

SCHEMA: Final = (
    f"PRAGMA user_version={FORMAT}",
    """CREATE TABLE logs (path TEXT PRIMARY KEY, program TEXT NOT NULL, session TEXT NOT NULL,
        device INTEGER NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL,
        offset INTEGER NOT NULL, head INTEGER NOT NULL, tail INTEGER NOT NULL,
        state TEXT NOT NULL) STRICT, WITHOUT ROWID""",
    "CREATE INDEX logs_by_session ON logs (program, session)",
)


class LogPosition(NamedTuple):
    """How far a log was read, what its file looked like then, and what its reader has to remember.

    ``head`` and ``tail`` are the CRC-32 of the first bytes and of the last ones before ``offset``. ``mtime``
    is when it last changed, in nanoseconds. ``session`` is whose sums the state belongs to.
    """

    path: str
    program: str
    session: str
    device: int
    inode: int
    size: int
    mtime: int
    offset: int
    head: int
    tail: int
    state: str

    @property
    def remembered(self) -> dict[str, Any]:
        """What the reader has to remember."""
        found: dict[str, Any] = json.loads(self.state)
        return found


_FIND: Final = """SELECT path, program, session, device, inode, size, mtime, offset, head, tail, state
    FROM logs WHERE path = ?"""
_PUT: Final = "REPLACE INTO logs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Positions:
    """The places of all logs of one cost storage."""

    def __init__(self, storage: CostStorage) -> None:
        self._db = Database(storage.root / FILE_NAME, SCHEMA, FORMAT)

    def of(self, path: str) -> LogPosition | None:
        """Return how far a log was read; ``None`` where it was not."""
        query = _FIND

        def ask(db: sqlite3.Connection) -> LogPosition | None:
            row = db.execute(query, (path,)).fetchone()
            return LogPosition(*row) if row else None

        return self._db.statement(ask)

    def save(self, positions: Iterable[LogPosition]) -> None:
        """Keep how far some logs were read."""
        rows = list(positions)
        if rows:
            self._db.write(lambda db: db.executemany(_PUT, rows))

    def states(self, program: str, session: str) -> Mapping[Path, Mapping[str, object]]:
        """Return what the readers of all logs of a session remember."""
        query = "SELECT path, state FROM logs WHERE program = ? AND session = ?"
        rows = self._db.statement(lambda db: db.execute(query, (program, session)).fetchall())
        return {Path(path): json.loads(state) for path, state in rows}

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._db.close()
