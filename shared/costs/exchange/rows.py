"""What readers of other programs' files find, row by row: a foreign row, an entry, or neither."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..errors import CostError
from ..model import Entry


class CannotRead(CostError):
    """A file cannot be read at all: not there, no regular file, damaged as a whole, of no known format."""


SumOf = Literal["day", "month"]
"""A row that is the sum of the calls of a day or a month, and no single call."""


@dataclass(frozen=True, slots=True)
class ForeignRow:
    """A row of another tool's history. ``row`` tells people where it is.

    ``values`` are as they stand there, or under our names where the format's reader translated them; then
    ``said`` are those of the row itself, of which the entry's id is made, and ``formerly`` what earlier
    versions made it of, where that was something else. ``sum_of`` marks a sum; ``billed`` that the stated
    cost is what the service bills, no estimate.
    """

    row: str
    values: Mapping[str, object]
    sum_of: SumOf | None = None
    said: Mapping[str, object] | None = None
    billed: bool = False
    formerly: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """A row that cannot be imported, and why."""

    row: str
    why: str


Item = ForeignRow | Entry | NotUnderstood
"""What a reader finds: a foreign row, a complete entry of one of our own exports, or neither."""
