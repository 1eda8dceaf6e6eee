"""``state.db``: what no ledger tells. Where ledgers lie, who may be writing to them, and more.

Other rooms keep their durable facts here too: they describe their tables as a :class:`Tables` and
ask :meth:`StateDb.use` for them once.

>>> import tempfile
>>> folder = tempfile.TemporaryDirectory()
>>> NOTES = Tables("notes", ("CREATE TABLE notes (text TEXT NOT NULL) STRICT",))
>>> state = StateDb(Path(folder.name) / "state.db")
>>> state.use(NOTES)
>>> with state.transaction() as db:
...     _ = db.execute("INSERT INTO notes VALUES ('kept')")
>>> with state.reading() as db:
...     db.execute("SELECT text FROM notes").fetchone()
('kept',)
>>> state.close(); folder.cleanup()
"""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, NamedTuple

from ..errors import StorageUnavailable
from .database import WAIT_S, Database
from .sqlite_faults import retried


class Tables(NamedTuple):
    """The tables of one room and how they came to be.

    ``steps[n]`` is the SQL (one or more statements) that leads from version ``n`` to ``n + 1``. A
    step that was released is never changed; a new one is added.
    """

    room: str
    steps: tuple[str, ...]


class StateDb:
    """The durable facts of one cost storage. Safe to use from threads and after a fork.

    Opening costs nothing until the first use. See :class:`~.database.Database` for what is raised.
    """

    def __init__(self, path: Path) -> None:
        self._tables: list[Tables] = [_OWN]
        self._database = Database(path, durable=True, setup=self._set_up)

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self._database.path

    def use(self, tables: Tables) -> None:
        """See that a room's tables are there, now and whenever the file is opened anew.

        Raises:
            StorageUnavailable: the file cannot be used, or was written by a newer version.

        """
        if tables in self._tables:
            return
        with self._database.reading() as connection:
            retried(lambda: _bring_up(connection, tables), WAIT_S)
            self._tables.append(tables)

    def transaction(self, wait_s: float = WAIT_S) -> AbstractContextManager[sqlite3.Connection]:
        """Hold the one write lock of the cost storage's state; durable when the block ends well.

        Raises:
            StorageUnavailable: the lock or the file cannot be had; nothing was changed.

        """
        return self._database.transaction(wait_s)

    def reading(self, wait_s: float = WAIT_S) -> AbstractContextManager[sqlite3.Connection]:
        """Give the connection for statements that only read."""
        return self._database.reading(wait_s)

    def close(self) -> None:
        """Close this process's connection; the next use opens it again."""
        self._database.close()

    def _set_up(self, connection: sqlite3.Connection) -> None:
        for tables in self._tables:
            _bring_up(connection, tables)


_VERSIONS: Final = (
    "CREATE TABLE IF NOT EXISTS versions (room TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT"
)

_OWN: Final = Tables(
    "ledgers",
    (
        """
        CREATE TABLE ledgers (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            path TEXT NOT NULL UNIQUE,
            job_id TEXT NOT NULL
        ) STRICT;
        CREATE INDEX ledgers_by_job ON ledgers (job_id);
        CREATE TABLE writers (
            holder TEXT NOT NULL,
            ledger INTEGER NOT NULL REFERENCES ledgers (id),
            PRIMARY KEY (holder, ledger)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE sweep (token INTEGER NOT NULL, origin INTEGER NOT NULL) STRICT;
        INSERT INTO sweep VALUES (0, random());
        """,
    ),
)


def _bring_up(connection: sqlite3.Connection, tables: Tables) -> None:
    """Create or upgrade one room's tables, in a transaction of its own unless one is open."""
    if _version(connection, tables.room) == len(tables.steps):
        return
    own = not connection.in_transaction
    if own:
        connection.execute("BEGIN IMMEDIATE")
    try:
        _upgrade(connection, tables)
    except BaseException:
        if own and connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    if own:
        connection.execute("COMMIT")


def _upgrade(connection: sqlite3.Connection, tables: Tables) -> None:
    connection.execute(_VERSIONS)
    version = _version(connection, tables.room)  # another process may have been faster
    if version > len(tables.steps):
        raise StorageUnavailable(
            f"the state of {tables.room} was written by a newer version of this program; upgrade it"
        )
    for step in tables.steps[version:]:
        for statement in _statements(step):
            connection.execute(statement)
    connection.execute("REPLACE INTO versions VALUES (?, ?)", (tables.room, len(tables.steps)))


def _statements(script: str) -> list[str]:
    """Split a script; ``executescript`` would commit the open transaction."""
    found, rest = [], ""
    for piece in script.split(";"):
        rest += piece + ";"
        if sqlite3.complete_statement(rest):
            if rest.strip(" \n;"):
                found.append(rest)
            rest = ""
    return found


def _version(connection: sqlite3.Connection, room: str) -> int:
    try:
        row = connection.execute("SELECT version FROM versions WHERE room = ?", (room,)).fetchone()
    except sqlite3.OperationalError as fault:
        if "no such table" not in str(fault):
            raise
        return 0
    return int(row[0]) if row else 0
