r"""Reads a ledger: every line is an entry or a problem, and reading goes on after a problem.

>>> import tempfile
>>> folder = tempfile.TemporaryDirectory()
>>> ledger = Path(folder.name) / "cost_ledger.jsonl"
>>> _ = ledger.write_bytes(b"nonsense\ntorn")
>>> [(line.offset, line.length, line.content.why) for line in read(ledger)]
[(0, 9, 'cut off: it has no checksum at its end'), (9, 4, 'torn: it has no newline at its end')]
>>> folder.cleanup()
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .. import platform
from ..model import Entry
from .line import decode
from .lines import TORN, DamagedLine, LedgerProblem, Line, Location, line_at, lines


class LocatedLine(NamedTuple):
    """A line's first byte, its length with the newline, and its entry or problem."""

    offset: int
    length: int
    content: Entry | LedgerProblem


def read(ledger: Path, start: int = 0) -> Iterator[LocatedLine]:
    """Return each line from the byte ``start`` on, which must be the beginning of one.

    An id that occurs twice is returned twice: the sums decide which one counts.

    Raises:
        UnsafePath: the ledger is a link, a pipe, has a second name or another owner.
        OSError: it cannot be opened or read.

    """
    for line in lines(ledger, start):
        yield LocatedLine(line[0], line[1], _content(ledger, line))


def read_at(location: Location) -> Entry:
    """Return the entry at a location.

    Raises:
        DamagedLine: there is no entry there.
        OSError: the ledger cannot be opened or read.

    """
    with platform.open_file(location.ledger) as file:
        return decode(line_at(file.fileno(), location.offset))


def _content(ledger: Path, line: Line) -> Entry | LedgerProblem:
    offset, length, raw = line
    if not raw.endswith(b"\n"):
        return LedgerProblem(ledger, offset, TORN, length)
    try:
        return decode(raw)
    except DamagedLine as damage:
        return LedgerProblem(ledger, offset, str(damage), length)
