"""Opens the SQLite files of a cost storage: private, refused when unsafe, usable by threads and forks.

Both files are in WAL mode. ``state.db`` is synced at every commit; ``index.db`` is not (it is
derived, and at worst falls behind its ledgers).

>>> import tempfile
>>> folder = tempfile.TemporaryDirectory()
>>> db = Database(Path(folder.name) / "state.db", durable=True)
>>> with db.transaction() as connection:
...     _ = connection.execute("CREATE TABLE t (x)")
...     _ = connection.execute("INSERT INTO t VALUES (1)")
>>> with db.reading() as connection:
...     connection.execute("SELECT x FROM t").fetchall()
[(1,)]
>>> db.close(); folder.cleanup()
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path
from typing import Final
from weakref import WeakSet

from .. import platform
from ..errors import UnsafePath
from ..forks import lock_of
from .sqlite_faults import raise_translated, retried

WAIT_S: Final = 1.0
"""How long a transaction waits for another process's, unless it is told otherwise."""

SIDE_FILES: Final = ("-wal", "-shm", "-journal")
"""What SQLite may put beside a database, by suffix."""


class Database:
    """One SQLite file, opened when it is first needed, again after a fork or when it was replaced.

    Threads take turns: a connection is used by one thread at a time. ``setup`` is called with each
    new connection, outside any transaction; it creates tables and may not keep the connection.
    """

    def __init__(
        self,
        path: Path,
        *,
        durable: bool,
        setup: Callable[[sqlite3.Connection], None] | None = None,
    ) -> None:
        self.path = path
        self.turn = lock_of(self, "turn")
        self._durable = durable
        self._setup = setup
        self._connection: sqlite3.Connection | None = None
        self._owner = 0
        self._identity = (0, 0)
        _DATABASES.add(self)
        self._users = 0
        """How many blocks of the thread whose turn it is use the connection, one within the other."""

    def transaction(self, wait_s: float = WAIT_S) -> AbstractContextManager[sqlite3.Connection]:
        """Hold the database's one write lock; commit at the end, undo everything on an exception.

        Inside a transaction of the same thread it joins that one, which then decides.

        Raises:
            DatabaseBusy: another process held the lock for ``wait_s`` seconds.
            DatabaseDamaged: the file is no usable database.
            UnsafePath: the file is a link, a pipe, somebody else's or shared.
            StorageUnavailable: any other failure of the disk or of SQLite.

        """
        return _Transaction(self, wait_s)

    def reading(self, wait_s: float = WAIT_S) -> AbstractContextManager[sqlite3.Connection]:
        """Give the connection for statements that only read. Each sees what is committed by then.

        Raises:
            StorageUnavailable: as :meth:`transaction` does.

        """
        return _Reading(self, wait_s)

    def close(self) -> None:
        """Close the connection of this process; the database opens again at its next use."""
        with self.turn:
            connection, self._connection = self._connection, None
            if connection is None:
                return
            if self._owner != os.getpid():
                _INHERITED.append(connection)
                return
            connection.close()

    def enter(self, wait_s: float) -> sqlite3.Connection:
        """Take this thread's turn, and return the connection until :meth:`leave`.

        Within a block of the same thread it is that block's connection, whatever became of the file
        meanwhile: closing it would undo what the block has begun.
        """
        self.turn.acquire()
        try:
            if self._users > 0 and self._connection is not None and self._owner == os.getpid():
                connection = self._connection
            else:
                self._users = 0
                connection = self.ready(wait_s)
        except BaseException as fault:
            self.turn.release()
            raise_translated(self.path, fault)
            raise
        self._users += 1
        return connection

    def leave(self) -> None:
        """End what :meth:`enter` began, and undo what the outermost block has left open.

        A savepoint stays open where the disk fails at its end too. The next transaction would join it,
        and nobody would commit what it did.
        """
        self._users -= 1
        try:
            if not self._users and self._connection is not None and self._connection.in_transaction:
                self._undo(self._connection)
        finally:
            self.turn.release()

    def _undo(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            Database.close(self)  # the next turn opens it again

    def ready(self, wait_s: float) -> sqlite3.Connection:
        """Return the connection, opened if need be. For :meth:`enter`, where nobody else uses it."""
        connection = self._connection
        if connection is not None and self._owner == os.getpid() and self._identity == _identity(self.path):
            return connection
        self.close()
        connection = self._open(wait_s)
        self._connection, self._owner = connection, os.getpid()
        self._identity = _identity(self.path)
        return connection

    def ended(self, *, well: bool) -> None:
        """Do something when a transaction has ended, and whether ``well``. For those who inherit."""

    def _open(self, wait_s: float) -> sqlite3.Connection:
        secure(self.path)
        # Waiting is done by `retried`: SQLite's own wait begins with naps of a millisecond and more.
        connection = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            retried(lambda: _configure(connection, durable=self._durable), wait_s)
            if self._setup:
                setup = self._setup
                retried(lambda: setup(connection), wait_s)
        except BaseException:
            connection.close()
            raise
        return connection


class _Reading:
    """``Database.reading``, as a class because it is entered several times for each call that is logged."""

    __slots__ = ("_database", "_wait_s")

    def __init__(self, database: Database, wait_s: float) -> None:
        self._database = database
        self._wait_s = wait_s

    def __enter__(self) -> sqlite3.Connection:
        return self._database.enter(self._wait_s)

    def __exit__(self, kind: object, fault: BaseException | None, trace: object) -> None:
        self._database.leave()
        if isinstance(fault, sqlite3.Error):
            raise_translated(self._database.path, fault)


class _Transaction:
    """``Database.transaction``."""

    __slots__ = ("_connection", "_database", "_joins", "_wait_s")

    def __init__(self, database: Database, wait_s: float) -> None:
        self._database = database
        self._wait_s = wait_s

    def __enter__(self) -> sqlite3.Connection:
        database = self._database
        self._connection = connection = database.enter(self._wait_s)
        try:
            self._joins = connection.in_transaction  # this thread's own: others wait for their turn
            if not self._joins:
                retried(partial(connection.execute, "BEGIN IMMEDIATE"), self._wait_s)
        except BaseException as fault:
            database.leave()
            raise_translated(database.path, fault)
            raise
        return connection

    def __exit__(self, kind: object, fault: BaseException | None, trace: object) -> None:
        database, connection = self._database, self._connection
        if self._joins:
            database.leave()
            return
        try:
            if fault is None:
                connection.execute("COMMIT")
        except BaseException as failed:
            fault = failed
            raise_translated(database.path, failed)
            raise
        finally:
            try:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            finally:
                database.ended(well=fault is None)
                database.leave()
        if isinstance(fault, sqlite3.Error):
            raise_translated(database.path, fault)


# While a process forks no thread of it is within SQLite, whose own locks the child would find held.
_DATABASES: Final[WeakSet[Database]] = WeakSet()
_FORK_WAIT_S: Final = 1.0
_taken: Final[list[Database]] = []


def _take_turns() -> None:
    _taken.extend(one for one in list(_DATABASES) if one.turn.acquire(timeout=_FORK_WAIT_S))


def _give_turns() -> None:
    while _taken:
        _taken.pop().turn.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_take_turns, after_in_parent=_give_turns, after_in_child=_taken.clear)

# A connection must not be used, nor closed, in a process forked from the one that opened it. Keeping it
# here keeps it from being closed when its last reference goes.
_INHERITED: Final[list[sqlite3.Connection]] = []


def _configure(connection: sqlite3.Connection, *, durable: bool) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    if durable:
        connection.execute("PRAGMA synchronous=FULL")
    else:
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint=0")  # see IndexFile
        connection.execute("PRAGMA cache_size=-8192")
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute("PRAGMA cell_size_check=ON")
    connection.execute("PRAGMA temp_store=MEMORY")


def secure(path: Path) -> None:
    """Create a private empty file where there is none, and refuse what is not safely ours.

    SQLite gives ``-wal`` and ``-shm`` the mode of the database, so 0600 holds for them under any umask.
    A file that is there is not opened: closing it would drop the locks that another connection of
    this process has on it (POSIX gives record locks to processes, not to descriptors).

    Raises:
        UnsafePath: the database or a file beside it is a link, no regular file, somebody else's, or
            has a second name.
        OSError: it cannot be created.

    """
    for suffix in ("", *SIDE_FILES):
        file = path.with_name(path.name + suffix)
        try:
            found = os.lstat(file)
        except FileNotFoundError:
            continue
        _require_ours(file, found)
        if stat.S_IMODE(found.st_mode) != platform.FILE_MODE:
            os.chmod(file, platform.FILE_MODE)
    with suppress(FileExistsError):
        platform.close(platform.create_secure(path))


def _require_ours(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise UnsafePath(f"{path}: is no regular file; remove it")
    if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        raise UnsafePath(f"{path}: belongs to another account; remove it")
    if found.st_nlink != 1:
        raise UnsafePath(f"{path}: has a second name (a hard link); remove it")


def _identity(path: Path) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0)
    return found.st_dev, found.st_ino
