"""Knows whether ``index.db`` is as its last user left it.

SQLite notices most damage, but not a changed byte within a stored number. So whoever changes the
file (and only that: commits go to the ``-wal`` file, which has checksums) holds the lock of a small
file beside it and leaves the index's size, inode and times there. An index whose seal does not
match was changed by something else, or its user died in the middle: it is not believed, and built
anew from the ledgers.

The time of the last change is set to a value of our own, because two changes within one tick of the
kernel's clock look alike otherwise.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from zlib import crc32

from .. import platform
from .sqlite_faults import DatabaseBusy

Stamp = tuple[int, int, int, int]
"""Inode, size, time of the last change and of the last change of anything, in nanoseconds."""

_FORM: Final = struct.Struct("<4qI")


def stamp_of(path: Path | str) -> Stamp | None:
    """Return what the file looks like from outside; ``None`` when there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class Seal:
    """The held lock of an index, and what its last user left there."""

    def __init__(self, index: Path, descriptor: int) -> None:
        self._index = index
        self._descriptor = descriptor

    def holds(self) -> bool:
        """Tell whether the index is as it was sealed."""
        found = stamp_of(self._index)
        return found is not None and os.pread(self._descriptor, _FORM.size + 1, 0) == _packed(found)

    def lift(self) -> None:
        """Take the seal away: from here on the index may change, and is not believed if we die."""
        os.ftruncate(self._descriptor, 0)

    def set(self) -> None:
        """Seal the index as it is now."""
        now = os.stat(self._index)
        odd = int.from_bytes(os.urandom(3), "little")
        os.utime(self._index, ns=(now.st_atime_ns, now.st_mtime_ns // 1_000_000_000 * 1_000_000_000 + odd))
        found = stamp_of(self._index)
        if found is not None:
            os.pwrite(self._descriptor, _packed(found), 0)


def _packed(stamp: Stamp) -> bytes:
    return _FORM.pack(*stamp, crc32(repr(stamp).encode()))


@contextmanager
def sealing(index: Path, wait_s: float) -> Iterator[Seal]:
    """Hold the lock under which an index may be opened, changed, closed and replaced.

    Raises:
        DatabaseBusy: another process kept the lock for ``wait_s`` seconds.
        OSError: the lock's file cannot be used.

    """
    path = index.with_name(index.name + "-seal")
    descriptor = _locked(path, wait_s)
    try:
        yield Seal(index, descriptor)
    finally:
        platform.close(descriptor)


def _locked(path: Path, wait_s: float) -> int:
    while True:
        descriptor = platform.open_secure(path, write=True, create=True)
        try:
            if platform.lock(descriptor, wait_s) and platform.same_file(descriptor, path):
                return descriptor
            deleted = not platform.same_file(descriptor, path)
        except BaseException:
            platform.close(descriptor)
            raise
        platform.close(descriptor)
        if not deleted:  # else whoever comes next locks another file, and so do we
            raise DatabaseBusy(f"{path}: another process holds it; try again, or see cost-dashboard doctor")
