"""A database with the index's tables, and what is remembered between its transactions."""

from __future__ import annotations

import sqlite3
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import tables
from .database import Database
from .store import Memory


class Backend(Database):
    """The index's tables: in ``index.db``, or in memory when that file cannot be used."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, durable=False)
        self.memory = Memory()
        self.origin: int | None = None
        """The ``state.db`` whose numbers of ledgers these tables were found to use."""
        self.up_to_date: dict[int, tuple[int, int, int]] = {}
        """Ledgers that were taken in whole, by number: what their file looked like then."""

    def forget(self) -> None:
        """Forget what is remembered: the tables may be others now."""
        self.memory = Memory()
        self.origin = None
        self.up_to_date.clear()

    def ended(self, *, well: bool) -> None:
        """Keep what a transaction that ended well has made, and forget the rest."""
        if well:
            self.memory.committed()
        else:
            self.memory.undone()
            self.up_to_date.clear()

    @contextmanager
    def synced(self) -> Iterator[sqlite3.Connection]:
        """Hold the write lock; what is committed, and everything before, survives a power cut."""
        with self.reading() as db:
            db.execute("PRAGMA synchronous=FULL")
        try:
            with self.transaction() as db:
                yield db
        finally:
            with self.reading() as db:
                db.execute("PRAGMA synchronous=NORMAL")

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for several statements that see one state, whatever others commit meanwhile."""
        with self.reading() as db:
            db.execute("SAVEPOINT snapshot")
            try:
                yield db
            finally:
                if db.in_transaction:  # some failures of SQLite have ended it
                    db.execute("RELEASE snapshot")

    @contextmanager
    def undone_on_fault(self, db: sqlite3.Connection) -> Iterator[None]:
        """Undo what a block did within a transaction when a ledger cannot be read; what came before stays."""
        db.execute("SAVEPOINT part")
        try:
            yield
        except OSError:
            db.execute("ROLLBACK TO part")
            self.memory.undone()
            raise
        finally:
            if db.in_transaction:
                db.execute("RELEASE part")

    @abstractmethod
    def start_anew(self) -> None:
        """Put empty tables in the place of some that cannot be believed.

        Raises:
            StorageUnavailable: the file cannot be replaced.

        """


class MemoryIndex(Backend):
    """An index that lives as long as this object."""

    def ready(self, wait_s: float) -> sqlite3.Connection:  # noqa: ARG002  # nobody else uses it
        """Return the connection, made at the first use."""
        if self._connection is None:
            self.forget()
            self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            lay_tables(self._connection)
        return self._connection

    def start_anew(self) -> None:
        """Begin with empty tables."""
        self.close()

    def close(self) -> None:
        """Let everything go."""
        with self.turn:
            if self._connection is not None:
                self._connection.close()
            self._connection = None


def lay_tables(connection: sqlite3.Connection) -> None:
    """Lay the index's tables into an empty database."""
    connection.execute("BEGIN IMMEDIATE")
    tables.create(connection)
    connection.execute("COMMIT")
