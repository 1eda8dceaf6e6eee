r"""Appends lines to a ledger durably: either they are on the disk for good, or nothing is written.

Under the lock of the ledger's own descriptor: end a line that a killed writer left torn, and write. The
sync follows after the lock is released: with eight writers that is several times as many lines a second.
Nothing that another process wrote is ever cut off or changed.

Frequent writers keep their ledger open: opening, checking and closing one takes as long as writing to it.
A process keeps only a few open. Threads share the descriptor, so there is a lock between them too; it is
held only for the write, never while waiting for another process.

A signal handler can raise an exception at any instruction. What must not be left half done is therefore
either done by one call of C code, or detected and repaired by the next writer.

>>> import tempfile
>>> folder = tempfile.TemporaryDirectory()
>>> ledger = Path(folder.name) / "job-1" / "cost_ledger.jsonl"
>>> append(ledger, b"one\n", 2.0), append(ledger, b"two\n", 2.0)
(AppendedLine(offset=0, length=4), AppendedLine(offset=4, length=4))
>>> folder.cleanup()
"""

from __future__ import annotations

import atexit
import errno
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from .. import platform
from .lines import AppendedLine

KEPT_OPEN: Final = 8 if os.name == "posix" else 0
"""How many ledgers a process keeps open. On other systems an open file could not be renamed or deleted."""


class LockTimeout(OSError):
    """Another process kept the ledger locked for too long. Nothing was written."""

    def __init__(self, ledger: Path, waited_s: float) -> None:
        super().__init__(errno.EAGAIN, f"another process keeps it locked for {waited_s:g} s", str(ledger))


def append(ledger: Path, data: bytes, timeout_s: float, kept: Kept | None = None) -> AppendedLine:
    """Append whole lines and return their position, once they are on the disk.

    Args:
        ledger: the file; it and its directory are created if missing.
        data: one or more lines, each with its newline.
        timeout_s: how long to wait for other writers, in seconds.
        kept: the ledgers that the caller keeps open; it passes the same to every call, and in the end to
            :func:`close`. Without it, the ledger is closed before this returns.

    Raises:
        LockTimeout: the ledger stayed locked; nothing was written.
        UnsafePath: the ledger is a link, a pipe, has a second name or another owner.
        OSError: it could not be written, or not synced to the disk. In the second case the lines
            may be in the ledger all the same: whoever writes them again must use the same ids.

    """
    wait = None
    while True:
        opened = _open_ledger(ledger, kept)
        try:
            start = opened.write(ledger, data)
            if start is not None:
                # Others write meanwhile, and one sync may serve several of them. It also syncs all earlier
                # lines of the file, so that no acknowledged line follows a lost one.
                platform.sync(opened.file.fileno())
                return AppendedLine(start, len(data))
        finally:
            opened.leave()
        if opened.is_replaced:
            continue
        wait = wait or platform.Wait(timeout_s)
        if not wait.nap():
            raise LockTimeout(ledger, timeout_s)


def close(kept: Kept) -> None:
    """Close the ledgers that a caller keeps open, so that they are not in use any more."""
    while kept:
        _forget(kept.popitem()[0])


class _OpenLedger:
    """A ledger that this process keeps open. ``is_replaced`` if the path names another file or none.

    ``_users`` counts the threads that use it; the last of them closes it if it is not kept any more.
    """

    __slots__ = ("__weakref__", "_ends", "_is_kept", "_lock", "_users", "file", "is_replaced")

    def __init__(self, file: platform.SecureFile) -> None:
        self.file = file
        self.is_replaced = False
        self._lock = threading.Lock()
        self._is_kept = True
        self._users = 0
        self._ends = 0
        """Where the last line that was written through this object ends."""

    def enter(self) -> bool:
        """Begin to use it, until :meth:`leave`; ``False`` if it is closed already."""
        if self.file.closed:  # as in a forked child, where a thread that does not exist may hold the lock
            return False
        with self._lock:
            if self.file.closed or not self._is_kept:
                return False
            self._users += 1
            return True

    def leave(self) -> None:
        """End the use that :meth:`enter` began."""
        with self._lock:
            self._users -= 1
            if self.is_replaced or not self._is_kept:
                self._close_unused()

    def drop(self) -> None:
        """Close the file, or leave that to its last user."""
        with self._lock:
            self._is_kept = False
            self._close_unused()

    def _close_unused(self) -> None:
        if self._users <= 0:
            self.file.close()

    def write(self, ledger: Path, data: bytes) -> int | None:
        """Write ``data`` at the end and return its offset; it is not synced yet.

        Nothing is written, and the result is ``None``, if another process has the lock or the path now
        names another file.
        """
        fd = self.file.fileno()
        with self._lock:
            try:
                if not platform.try_lock(fd):
                    return None
                status = os.fstat(fd)
                if not _is_named(ledger, status):
                    self.is_replaced = True
                    return None
                platform.require_ours(ledger, status)
                start = status.st_size if status.st_size == self._ends else _heal_end(fd, status.st_size)
                if start == 0:
                    # The file's name is new and must survive too. Synced before the first byte, because a
                    # writer that finds bytes in the file relies on its name being on the disk.
                    platform.sync_directory(ledger.parent)
                _write(fd, data, start)
                self._ends = start + len(data)
                return start
            finally:
                platform.change_lock(fd, platform.UNLOCKED)


Kept = dict[str, _OpenLedger]
"""The ledgers that a caller keeps open, by path."""

_kept: Final[WeakValueDictionary[str, _OpenLedger]] = WeakValueDictionary()
"""The open ledgers of the whole process; each stays open for as long as a caller keeps it."""


def _open_ledger(ledger: Path, kept: Kept | None) -> _OpenLedger:
    """Return an open ledger, possibly one kept from before; the caller uses it until its ``leave``."""
    key = str(ledger)
    own = kept.get(key) if kept else None
    if own is not None and not own.is_replaced and own.enter():
        return own
    while True:
        opened = _kept.get(key)
        if opened is None:
            opened = own = _OpenLedger(_open_file(ledger))
            if _kept.setdefault(key, own) is not own:
                own.drop()  # another thread was faster
                continue
        if not opened.is_replaced and opened.enter():
            break
        _forget(key)
    if kept is not None and KEPT_OPEN:
        kept[key] = opened
    while len(_kept) > max(KEPT_OPEN, 1):
        _forget(next(iter(_kept.keys())))
    return opened


def _open_file(ledger: Path) -> platform.SecureFile:
    try:
        return _create_file(ledger)
    except OSError as fault:
        if fault.errno not in (errno.EMFILE, errno.ENFILE) or not len(_kept):
            raise
        _forget_all()  # no descriptors are left, and some of them are ours
        return _create_file(ledger)


def _create_file(ledger: Path) -> platform.SecureFile:
    try:
        return platform.open_file(ledger, append=True, create=True, kind=platform.KeptFile)
    except FileNotFoundError:
        platform.secure_directory(ledger.parent)
        return platform.open_file(ledger, append=True, create=True, kind=platform.KeptFile)


def _forget(key: str) -> None:
    opened = _kept.pop(key, None)
    if opened is not None:
        opened.drop()


def _forget_all() -> None:
    for key in list(_kept):
        _forget(key)


# In a forked child the files are closed already, and threads that do not exist there may hold the locks.
atexit.register(_forget_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_kept.clear)


def _is_named(ledger: Path, status: os.stat_result) -> bool:
    try:
        named = os.lstat(ledger)
    except FileNotFoundError:
        return False
    return (named.st_ino, named.st_dev) == (status.st_ino, status.st_dev)


def _heal_end(fd: int, end: int) -> int:
    """End a line that its writer left torn, and return the ledger's length.

    Without this the torn half would swallow the next line, which would have been acknowledged.
    """
    if end == 0 or os.pread(fd, 1, end - 1) == b"\n":
        return end
    _write(fd, b"\n", end)
    return end + 1


def _write(fd: int, data: bytes, start: int) -> None:
    """Write all of ``data`` at the end, or leave nothing of it."""
    written = 0
    try:
        while written < len(data):
            step = os.write(fd, data[written:])
            if step == 0:
                raise OSError(errno.EIO, "the file system accepts no bytes")
            written += step
    except BaseException:
        _cut_back(fd, start, data)
        raise


def _cut_back(fd: int, start: int, data: bytes) -> None:
    """Cut off a part of ``data`` at the end, and nothing else.

    How much was written is read from the file, because a signal handler may raise before it is counted. If
    all of it was written, it stays. If cutting fails too, the next writer ends the torn line and the reader
    reports it.
    """
    with suppress(OSError):
        written = os.fstat(fd).st_size - start
        if 0 < written < len(data) and os.pread(fd, written, start) == data[:written]:
            os.ftruncate(fd, start)
