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

import os
from pathlib import Path
from zlib import crc32

from .. import platform

_SEAL = 9  # eight hexadecimal digits and a blank


class Journal:
    """One such file. Reading goes on where the last :meth:`read` of this object ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._text = os.fspath(path)
        self._identity = (0, 0)
        self._read_to = 0
        self.damaged = 0
        """How many records were skipped because their checksum does not match."""

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
        with opened(self.path, append=True) as file:
            if file.write(text) != len(text):
                raise OSError(28, f"only a part of a record could be written to {self.path}")
            platform.sync(file.fileno())
        if made:
            platform.sync_directory(self.path.parent)

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
        with opened(self.path) as file:
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

    def _new_records(self, file: platform.SecureFile) -> list[bytes]:
        found = os.fstat(file.fileno())
        if (found.st_dev, found.st_ino) != self._identity or found.st_size < self._read_to:
            self._identity, self._read_to = (found.st_dev, found.st_ino), 0
        text = os.pread(file.fileno(), found.st_size - self._read_to, self._read_to)
        whole = text.rfind(b"\n") + 1
        self._read_to += whole
        lines = [line for line in text[:whole].split(b"\n") if line]
        records = [record for line in lines if (record := _unsealed(line)) is not None]
        self.damaged += len(lines) - len(records)
        return records


def opened(path: Path | bytes, *, write: bool = False, append: bool = False) -> platform.SecureFile:
    """Open a file that must be ours; with ``write`` or ``append`` it is made where it is missing.

    Raises:
        UnsafePath: it is a link, a pipe, a device, has a second name or another owner.
        OSError: it cannot be opened.

    """
    return platform.open_file(Path(os.fsdecode(path)), write=write, append=append, create=write or append)


def size_of(file: platform.SecureFile) -> int:
    """Return the length now: others may append while it is open."""
    return os.fstat(file.fileno()).st_size


def _sealed(record: bytes) -> bytes:
    line = record.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")
    return b"\n%08x %b\n" % (crc32(line), line)


def _unsealed(line: bytes) -> bytes | None:
    if line[:_SEAL] != b"%08x " % crc32(line[_SEAL:]) or len(line) <= _SEAL:
        return None
    pieces = line[_SEAL:].split(b"\\\\")
    return b"\\".join(piece.replace(b"\\n", b"\n") for piece in pieces)
