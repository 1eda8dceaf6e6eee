r"""Append-only files of sealed lines that need no lock, no database and no other process.

A record is written with one ``write`` on an ``O_APPEND`` descriptor, between two newlines and with a
CRC-32 before it, then synced. So records of several processes never mix, and a record that a kill or a
power cut tore spoils neither its neighbour before nor the one after: it fails its checksum and is skipped.

>>> import tempfile
>>> journal = Journal(Path(tempfile.mkdtemp()) / "notes")
>>> journal.append(b"first"); journal.append(b"second\nline")
>>> [record for record in journal.read()], journal.read()
([b'first', b'second\nline'], [])
"""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path
from zlib import crc32

from .. import platform
from ..errors import UnsafePath

_SEAL = 9  # eight hexadecimal digits and a blank


class Journal:
    """One such file. Reading goes on where the last :meth:`read` of this object ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._text = os.fspath(path)
        self._identity = (0, 0)
        self._read_to = 0

    def append(self, *records: bytes) -> None:
        """Append records and bring them to the disk.

        Raises:
            UnsafePath: the file is a link, a pipe, has a second name or another owner.
            OSError: it cannot be written or synced. Nothing is known then: append the records again.

        """
        made = not os.path.lexists(self.path)
        if made:
            platform.secure_directory(self.path.parent)
        text = b"".join(map(_sealed, records))
        with SecureFile(self.path, append=True) as file:
            if file.write(text) != len(text):
                raise OSError(28, f"only a part of a record could be written to {self.path}")
            platform.sync(file.fileno())
        if made:
            platform.sync_directory(self.path.parent)

    def sync(self) -> None:
        """Bring what other processes appended to the disk."""
        with SecureFile(self.path, append=True) as file:
            platform.sync(file.fileno())

    def read(self) -> list[bytes]:
        """Return the records since the last read; all again when the file was replaced or cut.

        Raises:
            OSError: it cannot be read. A file that is not there has no records.

        """
        try:
            found = os.stat(self._text)
        except (FileNotFoundError, NotADirectoryError):
            self.forget()
            return []
        if (found.st_dev, found.st_ino, found.st_size) == self.position:
            return []
        with SecureFile(self.path) as file:
            return self._new_records(file)

    @property
    def position(self) -> tuple[int, int, int]:
        """How far it was read: device and inode of the file, and the byte after the last record."""
        return (*self._identity, self._read_to)

    def go_on(self, device: int, inode: int, read_to: int) -> None:
        """Read from a position that another object had."""
        self._identity, self._read_to = (device, inode), read_to

    def read_after(self, position: tuple[int, int, int]) -> tuple[list[bytes], bool]:
        """Return the records after a position, and whether what stood before it is lost; then all again.

        Raises:
            OSError: it cannot be read.

        """
        self.go_on(*position)
        records = self.read()
        before = position[:2] == self._identity and position[2] <= self._read_to
        return records, not before and position[:2] != (0, 0)

    def forget(self) -> None:
        """Read from the beginning the next time."""
        self._identity, self._read_to = (0, 0), 0

    def _new_records(self, file: SecureFile) -> list[bytes]:
        if file.identity != self._identity or file.size < self._read_to:
            self._identity, self._read_to = file.identity, 0
        text = os.pread(file.fileno(), file.size - self._read_to, self._read_to)
        whole = text.rfind(b"\n") + 1
        self._read_to += whole
        return [record for line in text[:whole].split(b"\n") if (record := _opened(line)) is not None]


class SecureFile(io.FileIO):
    """A file that must be ours, closed when it is dropped: no interrupt leaves its descriptor open.

    Raises:
        UnsafePath: it is a link, a pipe, a device, has a second name or another owner.
        OSError: it cannot be opened.

    """

    def __init__(self, path: Path | bytes, *, write: bool = False, append: bool = False) -> None:
        flags = _ALWAYS | (os.O_RDWR | os.O_CREAT if write or append else os.O_RDONLY)
        flags |= os.O_APPEND if append else 0
        mode = "rb+" if write or append else "rb"
        name = os.fsdecode(path)
        opened: list[int] = []
        try:
            # Each is one step of C code: an exception of a signal handler finds the descriptor in the list,
            # or in this object.
            opened.extend(map(os.open, (name,), (flags,), (platform.FILE_MODE,)))
            super().__init__(opened[0], mode)
            require_ours(name, os.fstat(self.fileno()))
        except BaseException as fault:
            if not self.closed:
                self.close()
            elif opened:
                os.close(opened[0])
            if not isinstance(fault, OSError):
                raise
            if fault.errno in _UNSAFE_ERRNOS:
                raise UnsafePath(f"{name}: is not a regular file ({fault.strerror})") from fault
            raise

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode."""
        found = os.fstat(self.fileno())
        return found.st_dev, found.st_ino

    @property
    def size(self) -> int:
        """The length now: others may append while it is open."""
        return os.fstat(self.fileno()).st_size


_ALWAYS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_UNSAFE_ERRNOS = frozenset({errno.ELOOP, errno.EISDIR, errno.ENXIO})


def require_ours(name: str | Path, found: os.stat_result) -> None:
    """Refuse what is not one regular file of this account.

    Raises:
        UnsafePath: it is something else.

    """
    if not stat.S_ISREG(found.st_mode):
        raise UnsafePath(f"{name}: is not a regular file; remove it")
    if found.st_uid != os.geteuid():
        raise UnsafePath(f"{name}: belongs to another account; remove it")
    if found.st_nlink > 1:
        raise UnsafePath(f"{name}: has a second name (a hard link); remove it")


def _sealed(record: bytes) -> bytes:
    line = record.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")
    return b"\n%08x %b\n" % (crc32(line), line)


def _opened(line: bytes) -> bytes | None:
    if line[:_SEAL] != b"%08x " % crc32(line[_SEAL:]) or len(line) <= _SEAL:
        return None
    pieces = line[_SEAL:].split(b"\\\\")
    return b"\\".join(piece.replace(b"\\n", b"\n") for piece in pieces)
