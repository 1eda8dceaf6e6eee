"""What readers of other programs' files yield for a row: a foreign row, an entry, or why it is neither."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..errors import CostError
from ..model import Entry


class CannotRead(CostError):
    """A file cannot be read at all: it is missing, not a regular file, damaged, or of an unknown format."""


SumOf = Literal["day", "month"]
"""The period of a row that is the sum of a day's or a month's calls, not a single call."""


@dataclass(frozen=True, slots=True)
class ForeignRow:
    """A row of another tool's history. ``row`` is its position in words.

    ``values`` are as written there, or under our names if the format's reader translated them; then
    ``id_values`` are those of the row itself, from which the entry's id is made, and ``former_id_values``
    those from which earlier versions made it, if they differ. ``sum_of`` marks a sum; ``billed`` that the
    stated cost is what the service bills, not an estimate.
    """

    row: str
    values: Mapping[str, object]
    sum_of: SumOf | None = None
    id_values: Mapping[str, object] | None = None
    billed: bool = False
    former_id_values: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """A row that cannot be imported, and why."""

    row: str
    why: str


Item = ForeignRow | Entry | NotUnderstood
"""What a reader yields: a foreign row, a complete entry of one of our own exports, or neither."""
