"""One SQLite file of the storage: opened safely, shared by threads, survived by forks and interrupts.

What a caller does is given as a function (``write(action)``, ``read(question)``), so that no interrupt can
fall between taking something and the ``try`` that gives it back: a lock between threads is taken by ``with``
on the lock itself, and a transaction that was left open is undone by whoever comes next. Nobody waits for
another process with a lock between threads in hand.

>>> import tempfile
>>> folder = tempfile.TemporaryDirectory()
>>> db = Database(Path(folder.name) / "notes.db", ("CREATE TABLE t (x)", "PRAGMA user_version=1"), 1)
>>> db.write(lambda c: c.execute("INSERT INTO t VALUES (1)").rowcount)
1
>>> db.read(lambda c: c.execute("SELECT x FROM t").fetchall())
[(1,)]
>>> db.close(); folder.cleanup()
"""

from __future__ import annotations

import atexit
import os
import sqlite3
import stat
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar
from weakref import WeakSet
from zlib import crc32

from .. import platform
from ..errors import StorageBusy, StorageUnavailable, UnsafePath
from ..platform import SecureFile, Wait
from .journal import NO_FILE, look_at, opened

T = TypeVar("T")

WAIT_S: Final = 1.0
"""How long a transaction waits for another process's, unless it is told otherwise."""

SIDE_FILES: Final = ("-wal", "-shm", "-journal")
"""What SQLite may put beside a database, by suffix."""

_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGED: Final = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}
)


class DatabaseBusy(StorageBusy):
    """Another process held the database for longer than this one may wait."""


class DatabaseDamaged(StorageUnavailable):
    """The file is not a usable database: its bytes are damaged or not of our making."""


class DatabaseNewer(StorageUnavailable):
    """The file was written by a newer version of this program."""


class _Connection(sqlite3.Connection):
    """A connection that is closed as it is dropped, without the warning that Python gives since 3.13.

    Trackers that nobody closes are an ordinary end, in a notebook for one. Where there is no such warning,
    nothing is run then in which an exception of a signal handler would be lost.
    """

    if sys.version_info >= (3, 13):

        def __del__(self) -> None:
            with suppress(sqlite3.ProgrammingError):  # it was never opened
                self.close()


# Waiting is done by `Database._patiently`: SQLite's own wait begins with naps of a millisecond and more.
_connect: Final = partial(
    sqlite3.connect, timeout=0, isolation_level=None, check_same_thread=False, factory=_Connection
)


class Database:
    """One SQLite file in WAL mode.

    Args:
        path: the file; ``None`` for a database in memory.
        schema: the statements that make an empty file one of ours; the last version number is in them
            (``PRAGMA user_version``).
        version: that number.
        durable: whether a commit survives a power cut.

    """

    def __init__(
        self, path: Path | None, schema: Sequence[str], version: int, *, durable: bool = False
    ) -> None:
        self.path = path
        self._named = path or "the sums in memory"
        self._schema, self._version, self._durable = schema, version, durable
        self._connection: sqlite3.Connection | None = None
        self._opening: list[sqlite3.Connection] = []
        """What is not ready yet, or was left so by an interrupt. Dropped, it would stay open: each
        connection and its cache of statements keep each other until the garbage collector comes."""
        self._owner = 0
        self._files = _NO_FILES
        self._active = False
        self._is_to_close = False
        """Whether a signal handler of ours closed it within a block of the same thread."""
        self._turn = threading.RLock()
        _DATABASES.add(self)

    # --- using

    def write(self, action: Callable[[sqlite3.Connection], T], wait_s: float = WAIT_S) -> T:
        """Do something within the one write transaction of the file; undone when it raises.

        Raises:
            DatabaseBusy: others had the file for ``wait_s`` seconds.
            DatabaseDamaged, DatabaseNewer: it cannot be used.
            UnsafePath: it is a link, a pipe, somebody else's or shared.
            StorageUnavailable: any other failure of the disk or of SQLite.

        """
        return self._patiently(partial(self._once, action, "BEGIN IMMEDIATE"), wait_s)

    def read(self, question: Callable[[sqlite3.Connection], T], wait_s: float = WAIT_S) -> T:
        """Ask something; all statements of the question see one state. Raises as :meth:`write`."""
        return self._patiently(partial(self._once, question, "BEGIN"), wait_s)

    def statement(self, question: Callable[[sqlite3.Connection], T], wait_s: float = WAIT_S) -> T:
        """Ask something with single statements, outside any transaction. Raises as :meth:`write`."""
        return self._patiently(partial(self._once, question), wait_s)

    def _patiently(self, step: Callable[[], T], wait_s: float) -> T:
        wait = None
        while True:
            try:
                with self._turn:
                    return step()
            except sqlite3.Error as fault:
                wait = wait or Wait(wait_s)
                if code_of(fault) not in _BUSY or not wait.nap():
                    raise self._explained(fault) from fault
            except OSError as fault:
                if isinstance(fault, UnsafePath):
                    raise
                why = f"{self._named}: {fault.strerror or fault}; see cost-dashboard doctor"
                raise StorageUnavailable(why) from fault

    def _once(self, action: Callable[[sqlite3.Connection], T], begin: str = "") -> T:
        if self._active:  # a signal handler of ours came into a block of the same thread
            raise DatabaseBusy(f"{self.path}: in use by the call that was interrupted")
        self._active = True
        try:
            connection = self._ready()
            if connection.in_transaction:
                connection.execute("ROLLBACK")  # what an interrupt left open
            return in_transaction(connection, begin, action) if begin else action(connection)
        finally:
            self._active = False
            if self._is_to_close:
                self._is_to_close = False
                self.close()

    def close(self) -> None:
        """Close this process's connection; the next use opens it again."""
        with self._turn:
            if self._active:  # what was interrupted goes on with it
                self._is_to_close = True
            else:
                self._close()

    def _close(self) -> None:
        self._close_opening()
        if self._connection is None:
            return
        if self._owner != os.getpid():
            _LEFT_OPEN.append(self._connection)  # neither to be used nor to be closed in a child
            self._connection = None
            return
        try:
            self._connection.close()
        finally:  # not before: an interrupt would leave it to be closed later, when its file was sealed
            self._connection = None

    def _close_opening(self) -> None:
        for connection in self._opening:
            connection.close()
        self._opening.clear()

    # --- opening

    def _ready(self) -> sqlite3.Connection:
        connection = self._connection
        if connection is not None and self._owner == os.getpid():
            if self._has_its_files():
                return connection
            self._leave_files()
        self._close()
        return self._opened_anew()

    def _opened_anew(self) -> sqlite3.Connection:
        connection = self._open()
        # All at once: an interrupt in between would leave open what it takes for another file's.
        self._owner, self._files, self._connection = os.getpid(), files_of(self.path), connection
        self._opening.clear()
        return connection

    def _has_its_files(self) -> bool:
        """Tell whether the file and those beside it are those that the connection opened."""
        return self.path is None or self._files == files_of(self.path)

    def _leave_files(self) -> None:
        """Leave a connection of which somebody deleted or replaced a file: nobody else sees what it writes.

        It stays open: closed, it might write over what others have written since.
        """
        if self._connection is not None:
            _LEFT_OPEN.append(self._connection)
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self.path is not None:
            secure(self.path)
        where = ":memory:" if self.path is None else os.fspath(self.path)
        self._close_opening()
        try:
            self._opening.extend(map(_connect, (where,)))  # one step of C code: no interrupt loses it
            [connection] = self._opening
            self._configure(connection)
            self._lay_tables(connection)
        except BaseException:
            self._close_opening()
            raise
        return connection

    def _configure(self, connection: sqlite3.Connection) -> None:
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={'FULL' if self._durable else 'NORMAL'}",
            "trusted_schema=OFF",
            "cell_size_check=ON",
            "temp_store=MEMORY",
            "cache_size=-8192",
        ):
            connection.execute(f"PRAGMA {pragma}")

    def _lay_tables(self, connection: sqlite3.Connection) -> None:
        def lay(db: sqlite3.Connection) -> None:
            if self._version_of(db) == 0:
                for statement in self._schema:
                    db.execute(statement)

        version = self._version_of(connection)
        if version == 0:
            in_transaction(connection, "BEGIN IMMEDIATE", lay)
        elif version > self._version:
            raise DatabaseNewer(f"{self.path}: written by a newer version of this program; upgrade it")
        elif version < self._version:
            raise DatabaseDamaged(f"{self.path}: written by an older version; it is read anew")

    def _version_of(self, connection: sqlite3.Connection) -> int:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])

    def _explained(self, fault: sqlite3.Error) -> Exception:
        if isinstance(fault, (sqlite3.ProgrammingError, sqlite3.IntegrityError, sqlite3.InterfaceError)):
            return fault  # mistakes of ours, and sums above 64 bits
        code = code_of(fault)
        if "integer overflow" in str(fault):
            return OverflowError(str(fault))
        if code in _BUSY:
            return DatabaseBusy(
                f"{self.path}: another process holds it; try again, or see cost-dashboard doctor"
            )
        if code in _DAMAGED:
            return DatabaseDamaged(f"{self.path}: not a usable database ({fault}); see cost-dashboard doctor")
        return StorageUnavailable(f"{self.path}: {fault}; see cost-dashboard doctor")


class _SealBusy(sqlite3.OperationalError):
    """Another process has the lock of the seal."""

    sqlite_errorcode = sqlite3.SQLITE_BUSY


Stamp = tuple[int, int, int, int]
"""Inode, size, time of the last change and of the last change of anything, in nanoseconds."""

_STAMP: Final = struct.Struct("<4qI")
_WRITE_BACK_BYTES: Final = 4 << 20
_COMMITS_BETWEEN: Final = 64


class SealedDatabase(Database):
    """A database of which every changed byte is noticed, also one within a stored number.

    Commits go to the ``-wal`` file, which has checksums. The file itself changes only when the pages of that
    file are written back, and that happens here alone, under the lock of a small file beside it that keeps
    the database's size, inode and times. A file that does not match was changed by something else, or its
    writer was killed at that very moment: :class:`DatabaseDamaged`. A connection is never left to be closed
    by the garbage collector, which would let SQLite write back without the seal.
    """

    def __init__(self, path: Path, schema: Sequence[str], version: int) -> None:
        super().__init__(path, schema, version)
        self.file = path
        self._text = os.fspath(path)
        self._seal_path = path.with_name(f"{path.name}-seal")
        self._stamp: Stamp | None = None
        self._commits = 0
        self._mixed = 0
        """The inode of a file that lost what lay beside it while it was in use here."""
        _KEPT.append(self)

    def write(self, action: Callable[[sqlite3.Connection], T], wait_s: float = WAIT_S) -> T:
        """As :meth:`Database.write`; writes back now and then."""
        result = super().write(action, wait_s)
        self._commits += 1
        if self._commits % _COMMITS_BETWEEN == 0 and look_at(f"{self.file}-wal")[2] > _WRITE_BACK_BYTES:
            with suppress(StorageUnavailable):  # tried again at the next chance
                self.statement(lambda _: self._written_back(), 0.0)
        return result

    def close(self) -> None:
        """Write back and close; the next use opens the file again. One out of reach stays as it is."""
        if self._connection is not None and self._owner == os.getpid():
            if look_at(self._text) == NO_FILE:
                with self._turn:
                    self._leave_files()
                return
            with suppress(StorageUnavailable):
                self.statement(lambda _: self._written_back(closing=True))
        super().close()

    def left_behind(self) -> sqlite3.Connection | None:
        """Open to be read, and closed by the caller, what a killed writer or an earlier version left.

        ``None`` where there is a seal that does not match, so that any number may have been changed, where
        the file is damaged or cannot be read, and where what lay beside it was lost: it may be old then.
        """
        if self._is_mixed():
            return None
        with suppress(OSError), opened(self._seal_path) as seal:
            stamp = os.pread(seal.fileno(), _STAMP.size + 1, 0)
            is_whole = len(stamp) == _STAMP.size and _packed(_STAMP.unpack(stamp)[:4]) == stamp
            if is_whole and not _seal_holds(self.file, seal):
                return None
        with suppress(sqlite3.Error), ExitStack() as stack:
            copy = sqlite3.connect(f"{self.file.as_uri()}?mode=ro", timeout=0, uri=True)
            stack.callback(copy.close)
            is_ours = 0 < self._version_of(copy) <= self._version
            if is_ours and copy.execute("PRAGMA quick_check(1)").fetchone() == ("ok",):
                stack.pop_all()
                return copy
        return None

    def replace(self, by: Path | None) -> None:
        """Put a complete new file in the place of this one; ``None``: none at all.

        Raises:
            StorageUnavailable: the lock or the directory cannot be had.

        """

        def put(seal: SecureFile) -> None:
            os.ftruncate(seal.fileno(), 0)
            self._close()
            self._unlink(*SIDE_FILES, *([""] if by is None else []))
            if by is not None:
                os.replace(by, self.file)
                _set_seal(self.file, seal)

        self._patiently(partial(self._sealing, put), WAIT_S)

    def _unlink(self, *suffixes: str) -> None:
        for suffix in suffixes:
            with suppress(FileNotFoundError):
                os.unlink(f"{self.file}{suffix}")

    def _sealing(self, action: Callable[[SecureFile], T]) -> T:
        path = self._seal_path
        platform.secure_directory(path.parent)
        with opened(path, write=True) as seal:
            if not platform.lock(seal.fileno(), 0) or not platform.same_file(seal.fileno(), path):
                raise _SealBusy
            try:
                return action(seal)
            finally:
                platform.unlock(seal.fileno())  # a child that was forked meanwhile has a copy

    def _written_back(self, *, closing: bool = False) -> None:
        def back(seal: SecureFile) -> None:
            connection = self._connection
            if connection is None or not _seal_holds(self.file, seal):
                return
            try:
                os.ftruncate(seal.fileno(), 0)
                if closing:
                    self._close()  # the last one to close writes back, and deletes the -wal file
                else:
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                try:
                    _set_seal(self.file, seal)
                except BaseException:  # of a signal handler: the file would be read anew without its seal
                    _set_seal(self.file, seal)
                    raise
            self._stamp = stamp_of(self.file)

        self._sealing(back)

    def _ready(self) -> sqlite3.Connection:
        connection, stamp = self._connection, self._stamp
        now = stamp_of(self._text)
        mine = connection is not None and self._owner == os.getpid()
        is_whole = connection is not None and mine and self._has_its_files()
        if connection is not None and is_whole and now is not None and stamp == now:
            return connection
        if connection is not None and mine and not is_whole:
            self._leave_files()
            connection, self._mixed = None, self._files[0]
        # Whoever opens a file that is as it was sealed needs no turn; it is looked at again afterwards.
        if connection is None and now is not None and not self._is_mixed() and self._is_sealed():
            connection = self._opened_anew()
            if stamp_of(self._text) == now:
                self._stamp = now
                return connection
            self._leave_files()  # closed without the seal it might write back
        return self._sealing(self._admitted)

    def _is_mixed(self) -> bool:
        """Tell whether it is a file of whose ``-wal`` or ``-shm`` another one is there than was in use here.

        The connection that was left shares its index of the ``-wal`` with each further one of this process:
        that would read pages of one file at the places of another's.
        """
        return bool(self._mixed) and files_of(self.file)[0] == self._mixed

    def _is_sealed(self) -> bool:
        with suppress(OSError), opened(self._seal_path) as seal:
            return _seal_holds(self.file, seal)
        return False

    def _admitted(self, seal: SecureFile) -> sqlite3.Connection:
        """Open the file, or go on with it, after a look at its seal."""
        if stamp_of(self.file) is None:
            self._close()
            self._create(seal)
        elif self._is_mixed() or not _seal_holds(self.file, seal):
            self._close()
            raise DatabaseDamaged(
                f"{self.file}: changed by something else, or its writer was killed; it is read anew"
            )
        elif self._owner != os.getpid() or not self._has_its_files():
            self._close()
        connection = self._opened_anew() if self._connection is None else self._connection
        self._stamp = stamp_of(self.file)
        return connection

    def _create(self, seal: SecureFile) -> None:
        os.ftruncate(seal.fileno(), 0)
        self._unlink(*SIDE_FILES)  # one that was left behind belongs to no database any more
        connection = self._open()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._close_opening()
        _set_seal(self.file, seal)

    def _configure(self, connection: sqlite3.Connection) -> None:
        super()._configure(connection)
        connection.execute("PRAGMA wal_autocheckpoint=0")


def _set_seal(path: Path, seal: SecureFile) -> None:
    # A time of our own: two changes within one tick of the kernel's clock look alike otherwise.
    now = os.stat(path)
    odd = int.from_bytes(os.urandom(3), "little")
    os.utime(path, ns=(now.st_atime_ns, now.st_mtime_ns // 1_000_000_000 * 1_000_000_000 + odd))
    stamp = stamp_of(path)
    if stamp is not None:
        os.pwrite(seal.fileno(), _packed(stamp), 0)


def _seal_holds(path: Path, seal: SecureFile) -> bool:
    stamp = stamp_of(path)
    return stamp is not None and os.pread(seal.fileno(), _STAMP.size + 1, 0) == _packed(stamp)


def _packed(stamp: Stamp) -> bytes:
    return _STAMP.pack(*stamp, crc32(repr(stamp).encode()))


def stamp_of(path: Path | str) -> Stamp | None:
    """Return what tells whether a file was changed; ``None`` where there is none."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


_LEFT_OPEN: Final[list[sqlite3.Connection]] = []
_KEPT: Final[list[SealedDatabase]] = []
"""All of them, for as long as the process lives."""


def _close_all() -> None:
    for one in _KEPT:
        with suppress(StorageUnavailable, OSError):
            one.close()


# What SQLite would do itself as the interpreter ends it would do without the seal.
atexit.register(_close_all)


def in_transaction(db: sqlite3.Connection, begin: str, action: Callable[[sqlite3.Connection], T]) -> T:
    """Do something within a transaction that ``begin`` opens; undo it when it raises."""
    with db:  # which is C code: no exception of a signal handler comes between an error and the undoing
        db.execute(begin)
        return action(db)


def code_of(fault: sqlite3.Error) -> int:
    """Return SQLite's primary result code of an error; 0 where there is none."""
    return int(getattr(fault, "sqlite_errorcode", 0) or 0) & 0xFF


def secure(path: Path) -> None:
    """Create a private empty file where there is none, and refuse what is not safely ours.

    SQLite gives ``-wal`` and ``-shm`` the mode of the database, so 0600 holds for them under any umask.
    A file that is there is not opened: closing it would drop the locks that another connection of
    this process has on it (POSIX gives record locks to processes, not to descriptors).

    Raises:
        UnsafePath: the database or a file beside it is a link, not a regular file, somebody else's, or
            has a second name.
        OSError: it cannot be created.

    """
    for suffix in ("", *SIDE_FILES):
        file = path.with_name(path.name + suffix)
        try:
            status = os.lstat(file)
        except FileNotFoundError:
            continue
        platform.require_ours(file, status)
        if stat.S_IMODE(status.st_mode) != platform.FILE_MODE:
            os.chmod(file, platform.FILE_MODE)
    if not os.path.lexists(path):
        platform.secure_directory(path.parent)
        opened(path, write=True).close()


Files = tuple[int, int, int]
"""The inodes of a database, its ``-wal`` and its ``-shm``; 0 for what is not there."""

_NO_FILES: Final[Files] = (0, 0, 0)


def files_of(path: Path | None) -> Files:
    """Return which files a database consists of now."""
    if path is None:
        return _NO_FILES
    text = os.fspath(path)
    return look_at(text)[1], look_at(f"{text}-wal")[1], look_at(f"{text}-shm")[1]


# While a process forks no thread of it is within SQLite, whose own locks the child would find held.
_DATABASES: Final[WeakSet[Database]] = WeakSet()
_FORK_WAIT_S: Final = 1.0
_taken: Final[list[Database]] = []


def _take_turns() -> None:
    _taken.extend(one for one in list(_DATABASES) if one._turn.acquire(timeout=_FORK_WAIT_S))


def _give_turns() -> None:
    while _taken:
        _taken.pop()._turn.release()


def _renew_turns() -> None:
    _taken.clear()
    for one in list(_DATABASES):
        one._turn, one._active = threading.RLock(), False
        _LEFT_OPEN.extend(one._opening)  # the parent's, neither to be used nor to be closed here
        one._opening = []


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_take_turns, after_in_parent=_give_turns, after_in_child=_renew_turns)
