r"""Appends one line to a ledger, so that it is there for good or not at all.

Under the lock of the ledger's own descriptor: heal what a killed writer left, and write. The sync
follows when the lock is given up: with eight writers that is several times as many lines a second.
Nothing that another process wrote is ever cut off or changed.

>>> import tempfile
>>> folder = tempfile.TemporaryDirectory()
>>> ledger = Path(folder.name) / "job-1" / "cost_ledger.jsonl"
>>> append(ledger, b"one\n", 2.0), append(ledger, b"two\n", 2.0)
(Appended(offset=0, length=4), Appended(offset=4, length=4))
>>> folder.cleanup()
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from pathlib import Path

from .. import platform
from .places import Appended


class LockTimeout(OSError):
    """Another process kept the ledger locked for too long. Nothing was written."""

    def __init__(self, ledger: Path, waited_s: float) -> None:
        super().__init__(errno.EAGAIN, f"another process keeps it locked for {waited_s:g} s", str(ledger))


def append(ledger: Path, line: bytes, timeout_s: float) -> Appended:
    """Append ``line`` (with its newline) and return where it stands, once it is on the disk.

    Args:
        ledger: the file; it and its directory are made where they are missing.
        line: the whole line.
        timeout_s: how long to wait for other writers, in seconds.

    Raises:
        LockTimeout: the ledger stayed locked; nothing was written.
        UnsafePath: the ledger is a link, a pipe, has a second name or another owner.
        OSError: it could not be written, or not brought to the disk. In the second case the line
            may be in the ledger all the same: whoever writes it again must use the same id.

    """
    fd = _locked(ledger, timeout_s)
    try:
        start = _healed_end(fd)
        if start == 0:
            # The file's name is new and must survive too. Before the first byte, so that nobody can
            # take it for done who finds bytes in it.
            platform.sync_directory(ledger.parent)
        _write(fd, line, start)
        # Others write while the disk works, and one sync may serve several of them. It brings all
        # earlier lines of the file to the disk as well, so no acknowledged line stands on a lost one.
        platform.unlock(fd)
        platform.sync(fd)
    finally:
        platform.close(fd)
    return Appended(start, len(line))


def _locked(ledger: Path, timeout_s: float) -> int:
    """Return a locked descriptor of the file that ``ledger`` names now."""
    deadline = time.monotonic() + timeout_s
    while True:
        fd = _opened(ledger)
        try:
            if not platform.lock(fd, max(0.0, deadline - time.monotonic())):
                raise LockTimeout(ledger, timeout_s)
            if platform.same_file(fd, ledger):
                return fd
        except BaseException:
            platform.close(fd)
            raise
        # Somebody renamed or deleted the file while we waited for the lock of the old one.
        platform.close(fd)


def _opened(ledger: Path) -> int:
    try:
        return platform.open_secure(ledger, append=True, create=True)
    except FileNotFoundError:
        platform.secure_directory(ledger.parent)
        return platform.open_secure(ledger, append=True, create=True)


def _healed_end(fd: int) -> int:
    """Return the ledger's length, after ending a line that its writer left torn.

    Without this the torn half would swallow the next line, which will have been acknowledged.
    """
    end = os.fstat(fd).st_size
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
                raise OSError(errno.EIO, "the file system takes no bytes")
            written += step
    except BaseException:
        _cut_back(fd, start, written)
        raise


def _cut_back(fd: int, start: int, written: int) -> None:
    """Take back the ``written`` bytes of our own that stand at the end, and no others.

    Where that fails too, the next writer ends the torn line and the reader reports it.
    """
    with suppress(OSError):
        if written and os.fstat(fd).st_size == start + written:
            os.ftruncate(fd, start)
