"""Where the index's tables lie: in ``index.db``, or in memory when that file cannot be used."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from .database import WAIT_S, Database
from .indexfile import IndexFile, lay_tables
from .store import Dims

_COMMITS_BETWEEN: Final = 64
"""After how many transactions the size of the ``-wal`` file is looked at."""


class Backend:
    """Transactions on the index's tables, and what is remembered between them for one connection."""

    def __init__(self, database: IndexFile | MemoryIndex) -> None:
        self._database = database
        self._connection: sqlite3.Connection | None = None
        self._commits = 0
        self.dims = Dims()
        self.up_to_date: dict[int, tuple[int, int, int]] = {}
        """Ledgers that were taken in whole, by number: what their file looked like then."""

    @contextmanager
    def transaction(self, wait_s: float = WAIT_S) -> Iterator[sqlite3.Connection]:
        """Hold the write lock; see :meth:`~.database.Database.transaction`."""
        with self._database.transaction(wait_s) as db:
            self._notice(db)
            try:
                yield db
            except BaseException:
                self.dims.undone()
                self.up_to_date.clear()
                raise
            self.dims.committed()
        self._commits += 1
        if self._commits % _COMMITS_BETWEEN == 0:
            self._database.write_back_if_large()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for reading."""
        with self._database.reading() as db:
            self._notice(db)
            yield db

    def _notice(self, db: sqlite3.Connection) -> None:
        """Forget everything when the index was opened anew: it may be another one."""
        if db is not self._connection:
            self._connection = db
            self.dims = Dims()
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

    def start_anew(self) -> None:
        """Put an empty index in the place of one that cannot be believed.

        Raises:
            StorageUnavailable: the file cannot be replaced.

        """
        self._connection = None
        self._database.replace(None)

    def close(self) -> None:
        """Close the database."""
        self._database.close()
        self._connection = None


class MemoryIndex(Database):
    """An index that lives as long as this object; for when the file cannot be used."""

    def _ready(self, wait_s: float) -> sqlite3.Connection:  # noqa: ARG002  # nobody else uses it
        if self._connection is None:
            self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            lay_tables(self._connection)
        return self._connection

    def write_back_if_large(self) -> None:
        """Do nothing: memory has nothing to write back."""

    def replace(self, by: Path | None) -> None:  # noqa: ARG002  # memory can only be emptied
        """Begin with empty tables."""
        self.close()
