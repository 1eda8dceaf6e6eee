r"""Reads a ledger: every whole line is an entry or a problem, and reading goes on.

Lines end at ``\n`` and at nothing else (``str.splitlines`` would also split inside a text). What
follows the last newline was torn by a killed writer, or is being written right now.

>>> import tempfile
>>> folder = tempfile.TemporaryDirectory()
>>> ledger = Path(folder.name) / "cost_ledger.jsonl"
>>> _ = ledger.write_bytes(b"nonsense\ntorn")
>>> [(found.offset, found.length, found.content.why) for found in read(ledger)]
[(0, 9, 'cut off: it has no checksum at its end'), (9, 4, 'torn: it has no newline at its end')]
>>> folder.cleanup()
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from .. import platform
from ..model import Entry
from .line import DamagedLine, decode
from .places import MAX_LINE, LedgerProblem, Location

TORN: Final = "torn: it has no newline at its end"

_PIECE: Final = 1 << 20


class Located(NamedTuple):
    """A line's first byte, its length with the newline, and what it is."""

    offset: int
    length: int
    content: Entry | LedgerProblem


def read(ledger: Path, start: int = 0) -> Iterator[Located]:
    """Return each line from the byte ``start`` on, which must be the beginning of one.

    An id that occurs twice is returned twice: which one counts is decided where sums are made.

    Raises:
        UnsafePath: the ledger is a link, a pipe, has a second name or another owner.
        OSError: it cannot be opened or read.

    """
    for offset, raw in lines(ledger, start):
        yield Located(offset, len(raw), _content(ledger, offset, raw))


def lines(ledger: Path, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Return each line's first byte and its bytes; only what is torn at the end has no newline.

    Raises:
        UnsafePath: the ledger is a link, a pipe, has a second name or another owner.
        OSError: it cannot be opened or read.

    """
    fd = platform.open_secure(ledger)
    try:
        yield from _lines(fd, start)
    finally:
        platform.close(fd)


def read_at(location: Location) -> Entry:
    """Return the entry at a location.

    Raises:
        DamagedLine: there is none.
        OSError: the ledger cannot be opened or read.

    """
    fd = platform.open_secure(location.ledger)
    try:
        return decode(os.pread(fd, MAX_LINE, location.offset).partition(b"\n")[0] + b"\n")
    finally:
        platform.close(fd)


def _content(ledger: Path, offset: int, raw: bytes) -> Entry | LedgerProblem:
    if not raw.endswith(b"\n"):
        return LedgerProblem(ledger, offset, TORN, len(raw))
    try:
        return decode(raw)
    except DamagedLine as damage:
        return LedgerProblem(ledger, offset, str(damage), len(raw))


def _lines(fd: int, start: int) -> Iterator[tuple[int, bytes]]:
    unfinished: list[bytes] = []  # joined once, so that a damaged ledger without newlines takes no longer
    at = start
    position = start
    while piece := os.pread(fd, _PIECE, position):
        position += len(piece)
        first, *others = piece.split(b"\n")
        unfinished.append(first)
        if not others:
            continue
        *whole, rest = [b"".join(unfinished), *others]
        unfinished = [rest]
        for line in whole:
            yield at, line + b"\n"
            at += len(line) + 1
    if end := b"".join(unfinished):
        yield at, end
