"""Everything that differs between platforms: opening files safely, locks, syncs.

Linux and macOS have ``flock``, ``O_NOFOLLOW`` and owners. Where there is no ``fcntl`` the lock is
filelock's, and the checks of owner and mode do not apply. ``filelock`` is imported only there,
because importing it takes a stage process longer than all its input and output.

>>> import tempfile
>>> path = Path(tempfile.mkdtemp()) / "notes"
>>> file = open_file(path, write=True, create=True)
>>> lock(file, 1.0), same_file(file.fileno(), path), oct(os.fstat(file.fileno()).st_mode & 0o777)
(True, True, '0o600')
>>> close(file)
"""

from __future__ import annotations

import errno
import io
import os
import stat
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from .errors import UnsafePath
from .patience import allowed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

try:
    import fcntl

    _HAS_FLOCK = True
except ImportError:  # pragma: no cover - Windows
    _HAS_FLOCK = False

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700

_ALWAYS = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)

# The kernel's errors where the last part of a path is a link, a directory, or a pipe or socket.
_UNSAFE_ERRNOS = frozenset({errno.ELOOP, errno.EISDIR, errno.ENXIO})

# Waiting writers try again after this long: about a quarter of the time that a durable append takes.
_POLL_SECONDS = 0.00005
_POLL_LIMIT_SECONDS = 0.0005
# A long wait is for a process that makes no progress. Hundreds of threads may be waiting, so they poll less
# often the longer they wait, to leave each other the processor.
_POLL_SHARE = 0.1
_POLL_LONGEST_SECONDS = 0.025


class SecureFile(io.FileIO):
    """A file that must be this account's own, unbuffered; it is closed with its last reference at the latest.

    Its lock ends when it is closed. A forked child closes its copy at once.
    """


class KeptFile(SecureFile):
    """A file whose owner may be dropped without closing it, such as a tracker."""

    def __del__(self) -> None:
        self.close()  # without the warning about unclosed files


Descriptor = int | SecureFile
"""An open file, as an object or by its number."""

_files: Final[WeakSet[SecureFile]] = WeakSet()


def open_file(
    path: Path,
    *,
    write: bool = False,
    append: bool = False,
    create: bool = False,
    kind: type[SecureFile] = SecureFile,
) -> SecureFile:
    """Open a file that must be this account's own; no exception leaves it open, not even a signal handler's.

    A link, pipe, device or directory, a file with a second name or with another owner is refused
    without being touched and without waiting. A new file gets mode 0600 under any umask.

    Args:
        path: the file; its last part must not be a link.
        write: open for reading and writing instead of reading.
        append: every write goes to the end of the file (implies ``write``).
        create: create the file if it is missing.
        kind: the class of the object.

    Raises:
        UnsafePath: the file is not one regular file of this account.
        OSError: it cannot be opened.

    """
    if not (write or append):
        require_ours(path, os.lstat(path))  # a directory could be opened for reading
    flags = _ALWAYS | (os.O_RDWR if write or append else os.O_RDONLY)
    flags |= os.O_APPEND if append else 0
    flags |= os.O_CREAT if create else 0
    return _opened_file(path, flags, fresh=create, kind=kind)


def create_file(path: Path, kind: type[SecureFile] = SecureFile) -> SecureFile:
    """Create a file, open for reading and writing, with mode 0600 under any umask.

    Raises:
        FileExistsError: something has this name already, even a dangling link.
        OSError: it cannot be created.

    """
    return _opened_file(path, _ALWAYS | os.O_RDWR | os.O_CREAT | os.O_EXCL, fresh=True, kind=kind)


def _opened_file(path: Path, flags: int, *, fresh: bool, kind: type[SecureFile] = SecureFile) -> SecureFile:
    mode = "rb+" if flags & os.O_RDWR else "rb"
    try:
        # One step of C code from the system call to the object, so that no signal handler can run in between:
        # its exception would leak the descriptor.
        [file] = map(kind, map(os.open, (path,), (flags,), (FILE_MODE,)), (mode,))
    except OSError as error:
        if error.errno in _UNSAFE_ERRNOS:
            raise UnsafePath(f"{path}: is not a regular file ({error.strerror})") from error
        raise
    _files.add(file)
    try:
        _require_safe(path, file.fileno(), fresh=fresh)
    except BaseException:
        file.close()
        raise
    return file


def _require_safe(path: Path, fd: int, *, fresh: bool) -> None:
    status = os.fstat(fd)
    require_ours(path, status)
    if fresh and status.st_size == 0 and stat.S_IMODE(status.st_mode) != FILE_MODE:
        os.chmod(fd, FILE_MODE)  # the umask removed permissions that the owner needs


def require_ours(path: Path, status: os.stat_result) -> None:
    """Refuse everything but a regular file of this account with one name.

    Raises:
        UnsafePath: it is something else.

    """
    require_one_name(path, status)
    _require_own(path, status)


def require_one_name(path: Path, status: os.stat_result) -> None:
    """Refuse everything but a regular file with one name, of any account.

    Raises:
        UnsafePath: it is something else.

    """
    if not stat.S_ISREG(status.st_mode):
        raise UnsafePath(f"{path}: is not a regular file")
    if status.st_nlink > 1:
        raise UnsafePath(
            f"{path}: has {status.st_nlink} names (hard links); it must have one: put a copy in its place "
            f"(cp -p, then mv)"
        )


def _require_own(path: Path, status: os.stat_result) -> None:
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        raise UnsafePath(f"{path}: belongs to account {status.st_uid}, not to {os.geteuid()}")


def close(file: SecureFile) -> None:
    """Close a file, after explicitly releasing its lock.

    A child that is being forked meanwhile has a copy of the descriptor, and would keep the lock of a
    file that was only closed.
    """
    with suppress(OSError, ValueError):  # never locked, a file system without locks, or closed already
        unlock(file)
    file.close()


def _close_in_child() -> None:
    """Close the parent's files in a forked child, so that it cannot outlive the parent's lock."""
    for file in tuple(_files):
        with suppress(OSError):
            file.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)


def with_home(path: str | Path) -> Path:
    """Return a path with ``~`` expanded; one of an unknown home directory becomes a path at the root.

    Relative to the working directory, every folder would silently get a storage of its own.

    >>> with_home("~nobody-here/costs").as_posix()
    '/~nobody-here/costs'
    """
    expanded = os.path.expanduser(path)
    return Path("/", expanded) if expanded.startswith("~") else Path(expanded)


def secure_directory(path: Path) -> None:
    """Make sure that ``path`` is a directory of this account; missing ones are created with mode 0700.

    Existing directories keep their mode: the user may have named one that is also used for other things.

    Raises:
        UnsafePath: it is a link or belongs to somebody else.
        OSError: it cannot be created.

    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        _make_directory(path)
        status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode):
        raise UnsafePath(f"{path}: is not a directory of its own (a link or a file)")
    _require_own(path, status)


def _make_directory(path: Path) -> None:
    if path.parent != path and not path.parent.is_dir():
        _make_directory(path.parent)
    try:
        os.mkdir(path, DIRECTORY_MODE)
    except FileExistsError:
        return  # another process was faster
    os.chmod(path, DIRECTORY_MODE)
    sync_directory(path.parent)


def lock(fd: Descriptor, timeout_s: float) -> bool:
    """Lock the file behind a descriptor against all other descriptors; return ``False`` after the timeout.

    Excludes other processes and, if each opens the file itself, other threads. The
    kernel releases the lock when the process ends in any way. Within :func:`.patience.at_most`
    the wait may be shorter.

    Raises:
        OSError: the file system has no locks.

    """
    wait = None
    while not try_lock(fd):
        wait = wait or Wait(timeout_s)
        if not wait.nap():
            return False
    return True


class Wait:
    """Pauses between attempts to get what another process or thread has, up to a timeout.

    Within :func:`.patience.at_most` the timeout may be shorter.
    """

    __slots__ = ("_began", "_deadline", "_pause")

    def __init__(self, timeout_s: float) -> None:
        self._began = time.monotonic()
        self._deadline = self._began + allowed(timeout_s)
        self._pause = _POLL_SECONDS

    def nap(self) -> bool:
        """Sleep until the next attempt; return ``False`` when the time is up."""
        now = time.monotonic()
        remaining = self._deadline - now
        if remaining <= 0:
            return False
        time.sleep(min(self._pause, remaining))
        longest = min(max(_POLL_LIMIT_SECONDS, (now - self._began) * _POLL_SHARE), _POLL_LONGEST_SECONDS)
        self._pause = min(self._pause * 2, longest)
        return True


def try_lock(fd: Descriptor) -> bool:
    """Lock as :func:`lock` does, without waiting; return whether that worked."""
    if not _HAS_FLOCK:  # pragma: no cover - Windows
        return _try_filelock(fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _try_filelock(fd: Descriptor) -> bool:  # pragma: no cover - Windows
    from filelock import lock_descriptor

    return bool(lock_descriptor(_number(fd), blocking=False))


def is_locked(fd: Descriptor) -> bool:
    """Return whether another descriptor has the lock of :func:`lock`. Any number may check at once.

    Raises:
        OSError: the file system has no locks.

    """
    if not _HAS_FLOCK:  # pragma: no cover - Windows
        return not _try_filelock(fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _number(fd: Descriptor) -> int:  # pragma: no cover - Windows
    return fd if isinstance(fd, int) else fd.fileno()


def unlock(fd: Descriptor) -> None:
    """Release the lock of :func:`lock`, for every copy of the descriptor."""
    change_lock(fd, UNLOCKED)


UNLOCKED: Final = fcntl.LOCK_UN if _HAS_FLOCK else 0

if _HAS_FLOCK:
    change_lock: Final[Callable[[Descriptor, int], None]] = fcntl.flock
    """``change_lock(fd, UNLOCKED)`` is :func:`unlock` as one call of C code. In a ``finally`` it completes
    although a signal handler raises an exception, which may end a Python function at its first step."""
else:  # pragma: no cover - Windows

    def change_lock(fd: Descriptor, operation: int) -> None:  # noqa: ARG001  # as fcntl.flock takes it
        """Release a lock."""
        from filelock import unlock_descriptor

        unlock_descriptor(_number(fd))


def sync(fd: Descriptor) -> None:
    """Write a file's bytes to the disk itself; they survive a power cut after that.

    Raises:
        OSError: the bytes may or may not be on the disk. Never call it again to find out: the second
            call can succeed although the first one's bytes are lost.

    """
    if _HAS_FLOCK and hasattr(fcntl, "F_FULLFSYNC"):  # pragma: no cover - macOS
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    elif hasattr(os, "fdatasync"):
        os.fdatasync(fd)
    else:  # pragma: no cover - Windows
        os.fsync(fd)


def sync_directory(path: Path) -> None:
    """Write a directory's names to the disk, after a file in it was created, renamed or deleted."""
    if not hasattr(os, "O_DIRECTORY"):  # pragma: no cover - Windows
        return
    # No object closes the descriptor of a directory. It is stored and closed in one step of C code each, so
    # that an exception of a signal handler cannot leave it open.
    opened: list[int] = []
    close_all: Callable[[], object] = partial(list, map(os.close, opened))
    try:
        opened.extend(map(os.open, (path,), (os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC,)))
        os.fsync(opened[0])
    finally:
        close_all()


def same_file(fd: int, path: Path) -> bool:
    """Return whether ``path`` is still the file behind ``fd``, rather than a newer one or none."""
    try:
        current = os.lstat(path)
    except FileNotFoundError:
        return False
    opened = os.fstat(fd)
    return (current.st_ino, current.st_dev) == (opened.st_ino, opened.st_dev)


def host_name() -> str:
    """Return this machine's name, without importing ``socket``."""
    if hasattr(os, "uname"):
        return os.uname().nodename
    return os.environ.get("COMPUTERNAME", "")  # pragma: no cover - Windows


def loose_modes(paths: Iterable[Path]) -> list[tuple[Path, int]]:
    """Return those paths that other accounts may read or write, with their mode bits."""
    loose = []
    for path in paths:
        try:
            mode = stat.S_IMODE(os.lstat(path).st_mode)
        except FileNotFoundError:
            continue
        if mode & 0o077:
            loose.append((path, mode))
    return loose


def runtime() -> str:
    """Return what a bug report needs: the versions of Python and SQLite, and the interpreter's path."""
    import sqlite3  # only doctor needs it
    import sys

    version = ".".join(map(str, sys.version_info[:3]))
    return f"{version}, SQLite {sqlite3.sqlite_version}, {sys.executable}"
