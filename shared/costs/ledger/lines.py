r"""Splits the bytes of a ledger into lines without parsing them, and says how long a line may be.

Only this module splits a ledger into lines. Lines end at ``\n`` and at nothing else (``str.splitlines``
would also split inside a text). What follows the last newline was torn by a killed writer, or is still being
written.

>>> import tempfile
>>> with tempfile.TemporaryFile() as file:
...     _ = file.write(b"one\ntwo\ntorn") and file.flush()
...     list(split(file.fileno(), 4))
[(4, 4, b'two\n'), (8, 4, b'torn')]
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Final, NamedTuple

from .. import platform

MAX_LINE: Final = 8192
"""The longest line in bytes, its newline included."""


class AppendedLine(NamedTuple):
    """The position of an appended line: its first byte, and its length with the newline."""

    offset: int
    length: int


class Location(NamedTuple):
    """The line that begins at ``offset`` in a ledger."""

    ledger: Path
    offset: int


class DamagedLine(ValueError):
    """A line that cannot be trusted or understood. The text is a short reason."""


class LedgerProblem(NamedTuple):
    """Something in a ledger that does not count, or a ledger that cannot be read (offset 0).

    ``is_lost``: the ledger and its sums are both gone, so that nobody knows any more what its ``length``
    bytes said.
    """

    path: Path
    offset: int
    why: str
    length: int = 0
    is_lost: bool = False

    def __str__(self) -> str:
        if self.is_lost:
            return f"{self.path} {self.why}"
        return f"{self.path}, byte {self.offset}: {self.why}"


TORN: Final = "torn: it has no newline at its end"

_PIECE: Final = 1 << 20


Line = tuple[int, int, bytes]
"""A line's first byte, its length with the newline, and its bytes.

Only a torn end of a ledger has no newline. Of a line that is too long, the bytes are the beginning and the
newline, which together are still too long."""


def split(descriptor: int, start: int = 0, end: int | None = None) -> Iterator[Line]:
    """Return each line from the byte ``start`` on, which must be the beginning of one.

    Args:
        descriptor: the open file; its position is neither used nor changed.
        start: the first byte.
        end: where to stop; ``None`` for the end of the file as it is when it is reached.

    Raises:
        OSError: the file cannot be read.

    """
    at, rest, dropped = start, b"", 0  # ``dropped`` bytes of a line that is too long
    for piece in _pieces(descriptor, start, end):
        for raw in BytesIO(rest + piece if rest else piece):  # splits only at newlines, and keeps them
            if raw[-1:] != b"\n":
                rest = raw
                break
            length = len(raw) + dropped
            yield at, length, raw
            at += length
            dropped = 0
        else:
            rest = b""
        if len(rest) > MAX_LINE:
            dropped += len(rest) - MAX_LINE - 1
            rest = rest[: MAX_LINE + 1]
    if rest:
        yield at, len(rest) + dropped, rest


def pieces(descriptor: int, end: int) -> Iterator[bytes]:
    """Return the bytes up to ``end`` in pieces of whole lines, for files without lines that are too long.

    Raises:
        OSError: the file cannot be read.

    """
    rest = b""
    for piece in _pieces(descriptor, 0, end):
        whole = piece.rfind(b"\n") + 1
        if whole:
            yield b"".join((rest, memoryview(piece)[:whole]))
        rest = piece[whole:] if whole else rest + piece


def line_at(descriptor: int, offset: int) -> bytes:
    """Return the line that begins at ``offset``, with a newline even if it is torn.

    Raises:
        OSError: the file cannot be read.

    """
    return os.pread(descriptor, MAX_LINE, offset).partition(b"\n")[0] + b"\n"


def _pieces(descriptor: int, start: int, end: int | None) -> Iterator[bytes]:
    while piece := os.pread(descriptor, _PIECE if end is None else min(_PIECE, end - start), start):
        start += len(piece)
        yield piece


def lines(ledger: Path, start: int = 0) -> Iterator[Line]:
    """Return each line from the byte ``start`` on; only a torn end has no newline.

    Raises:
        UnsafePath: the ledger is a link, a pipe, has a second name or another owner.
        OSError: it cannot be opened or read.

    """
    with platform.open_file(ledger) as file:
        yield from split(file.fileno(), start)
