r"""Reads a ledger for the index: complete lines from an offset on, and fingerprints of what was read.

>>> import tempfile
>>> path = Path(tempfile.mkdtemp()) / "cost_ledger.jsonl"
>>> _ = path.write_bytes(b"one\ntwo\ntorn")
>>> with opened(path) as file:
...     [(line.offset, line.raw) for line in file.lines(4)], file.fingerprint(8).length
([(4, b'two\n')], 8)
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

from .. import platform
from ..ledger.lines import line_at, split

FINGERPRINT_BYTES: Final = 256
"""How much of a ledger's beginning, and before the offset, is remembered to recognise it."""


class Line(NamedTuple):
    """A complete line. ``raw`` ends in its newline, unless the line is too long: then it is its beginning."""

    offset: int
    length: int
    raw: bytes


class Fingerprint(NamedTuple):
    """The CRC-32 of a ledger's first ``length`` bytes and of the last 256 before an offset."""

    length: int
    head: int
    tail: int


class LedgerFile:
    """An open ledger."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        found = os.fstat(descriptor)
        self.device, self.inode = found.st_dev, found.st_ino

    @property
    def size(self) -> int:
        """The file's length now: asked anew each time, because others append while it is open."""
        return os.fstat(self._descriptor).st_size

    def fingerprint(self, offset: int, head_length: int | None = None) -> Fingerprint:
        """Return what tells whether the bytes before ``offset`` are still the ones that were read."""
        length = min(offset, FINGERPRINT_BYTES) if head_length is None else head_length
        tail = min(offset, FINGERPRINT_BYTES)
        return Fingerprint(length, crc32(self._bytes(0, length)), crc32(self._bytes(offset - tail, tail)))

    def sync(self) -> None:
        """Bring the ledger's bytes to the disk."""
        platform.sync(self._descriptor)

    def line_at(self, offset: int) -> bytes:
        """Return the line that begins at ``offset``, its newline included."""
        return line_at(self._descriptor, offset)

    def lines(self, start: int) -> Iterator[Line]:
        """Return the complete lines from ``start`` on; what follows the last newline is left."""
        for line in map(Line._make, split(self._descriptor, start)):
            if line.raw.endswith(b"\n"):
                yield line

    def _bytes(self, start: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, start)


@contextmanager
def opened(path: Path) -> Iterator[LedgerFile]:
    """Open a ledger for reading.

    Raises:
        UnsafePath: it is no regular file of this account, or has a second name.
        OSError: it cannot be opened.

    """
    descriptor = platform.open_secure(path)
    try:
        yield LedgerFile(descriptor)
    finally:
        platform.close(descriptor)
