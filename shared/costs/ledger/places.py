"""Where entries stand, how long their lines may be, and what is wrong in a ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

MAX_LINE: Final = 8192
"""The longest line in bytes, its newline included."""


class Appended(NamedTuple):
    """Where a line was appended: its first byte, and how many it has with its newline."""

    offset: int
    length: int


class Location(NamedTuple):
    """The line that begins at ``offset`` in a ledger."""

    ledger: Path
    offset: int


class DamagedLine(ValueError):
    """A line that cannot be trusted or understood. The text says why, in a few words."""


class LedgerProblem(NamedTuple):
    """Something in a ledger that does not count, or a ledger that cannot be read (offset 0).

    ``is_lost`` tells that the ledger went together with its sums: of ``length`` bytes that were counted once
    nobody knows any more what they said.
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
