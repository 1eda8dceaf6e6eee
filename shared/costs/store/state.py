"""``state.db``: what no ledger tells, and is durable at every commit. Holds, alerts that were sent, notices.

Whoever keeps something here describes its tables as a :class:`Tables` and asks :meth:`StateDb.use` for
them once.

>>> import tempfile
>>> folder = tempfile.TemporaryDirectory()
>>> NOTES = Tables("notes", (("CREATE TABLE notes (text TEXT NOT NULL) STRICT",),))
>>> state = StateDb(Path(folder.name) / "state.db")
>>> state.use(NOTES)
>>> _ = state.write(lambda db: db.execute("INSERT INTO notes VALUES ('kept')"))
>>> state.read(lambda db: db.execute("SELECT text FROM notes").fetchone())
('kept',)
>>> state.close(); folder.cleanup()
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

from .database import WAIT_S, Database, DatabaseNewer, Files, Stamp, T, files_of, in_transaction, stamp_of


class Tables(NamedTuple):
    """The tables of one topic and how they came to be.

    ``steps[n]`` has the statements that lead from version ``n`` to ``n + 1``. A step that was released
    is never changed; a new one is added.
    """

    topic: str
    steps: tuple[tuple[str, ...], ...]


_VERSIONS: Final = (
    "CREATE TABLE IF NOT EXISTS versions (room TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT",
    "PRAGMA user_version=1",
)


class StateDb(Database):
    """The durable facts of one cost storage. Opening costs nothing until the first use."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _VERSIONS, 1, durable=True)
        self.file = path
        self._tables: list[Tables] = []
        self.openings = 0
        """How often this process opened the file and could not know that it is what it left."""
        self.complete_since = 0
        """The opening since which it is known to have every hold (:mod:`.holds`)."""
        self._last: Stamp | None = None
        """What the file was like after the last use of it here."""
        self._left: tuple[Stamp | None, Files] | None = None
        """What the files were like when they were closed."""

    def use(self, tables: Tables) -> None:
        """See that tables are there, now and whenever the file is opened anew.

        Raises:
            StorageUnavailable: the file cannot be used, or was written by a newer version.

        """
        if tables not in self._tables:
            self.statement(lambda db: self._bring_up(db, tables))
            self._tables.append(tables)

    def write_unsynced(self, action: Callable[[sqlite3.Connection], T], wait_s: float = WAIT_S) -> T:
        """As :meth:`write`, some times faster: what is committed may be undone by a power cut."""

        def unsynced(db: sqlite3.Connection) -> T:
            try:
                db.execute("PRAGMA synchronous=NORMAL")
                return in_transaction(db, "BEGIN IMMEDIATE", action)
            finally:
                db.execute("PRAGMA synchronous=FULL")

        return self.statement(unsynced, wait_s)

    def close(self) -> None:
        """Close this process's connection; the next use opens it again."""
        super().close()
        self._left = self._look()

    def _open(self) -> sqlite3.Connection:
        if self._left is None or self._left != self._look():
            self.openings += 1
        self._left = None
        return super()._open()

    def _look(self) -> tuple[Stamp | None, Files]:
        return stamp_of(self.file), files_of(self.file)

    def _once(self, action: Callable[[sqlite3.Connection], T], begin: str = "") -> T:
        try:
            return super()._once(action, begin)
        finally:
            self._last = stamp_of(self.file)

    def _leave_files(self) -> None:
        """Close a connection of which somebody deleted a file, unless that might write over others' pages.

        As long as it is open, another one of this process would share with it what the ``-shm`` file says.
        """
        if self._files[0] != files_of(self.file)[0] or self._last != stamp_of(self.file):
            super()._leave_files()
            return
        self._close()
        now = files_of(self.file)
        if now[1] != self._files[1] and now[2] == self._files[2] != 0:
            with suppress(FileNotFoundError):  # it tells of a -wal that is not there: nobody could open that
                os.unlink(f"{self.file}-shm")

    def _lay_tables(self, connection: sqlite3.Connection) -> None:
        super()._lay_tables(connection)
        for tables in self._tables:
            self._bring_up(connection, tables)

    def _bring_up(self, connection: sqlite3.Connection, tables: Tables) -> None:
        """Create or upgrade tables, in a transaction of their own."""
        if _version(connection, tables) != len(tables.steps):
            in_transaction(connection, "BEGIN IMMEDIATE", lambda db: self._upgrade(db, tables))

    def _upgrade(self, db: sqlite3.Connection, tables: Tables) -> None:
        version = _version(db, tables)  # another process may have been faster
        if version > len(tables.steps):
            raise DatabaseNewer(
                f"{self.path}: {tables.topic} was written by a newer version; upgrade this one"
            )
        for statement in chain.from_iterable(tables.steps[version:]):
            db.execute(statement)
        db.execute("REPLACE INTO versions VALUES (?, ?)", (tables.topic, len(tables.steps)))


def _version(db: sqlite3.Connection, tables: Tables) -> int:
    row = db.execute("SELECT version FROM versions WHERE room = ?", (tables.topic,)).fetchone()
    return int(row[0]) if row else 0
