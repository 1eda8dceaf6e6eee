"""What a ledger line counts as: all that sums, budgets and the search for repetitions need of it.

>>> from datetime import UTC, datetime
>>> from ..model import Entry, Usage
>>> entry = Entry(id="0c", timestamp=datetime(1970, 1, 1, 0, 1, tzinfo=UTC), job_id="job-1", user_id="ana",
...               service="local", model="sphinx", usage=Usage(tokens_input=7))
>>> counted(entry).at, counted(entry).user_id, counted(entry).usage[0]
(60000000, 'ana', 7)
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from ..rollup import Measure, output_part
from ..units import SIGNS, USAGE_FIELDS, Kind

if TYPE_CHECKING:
    from ..model import Entry, Usage

NAMES: Final = (
    "user_id",
    "job_id",
    "stage",
    "service",
    "model",
    "operation",
    "workflow",
    "project",
    "service_tier",
)
"""The fields of an entry that say for whom and for what it was, in the order of :attr:`Counted.names`."""

Names = tuple[str | None, ...]

_names_of: Final = attrgetter(*NAMES)
_usage_of: Final = attrgetter(*USAGE_FIELDS)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)

NO_FURTHER_USAGE: Final = (0,) * (len(USAGE_FIELDS) - 2)


class Counted(NamedTuple):
    """One line, as far as it counts.

    ``at`` is the instant that decides its day and month, in microseconds since 1970 UTC. ``names`` has a
    value for each of :data:`NAMES`, ``None`` where the entry has none; ``tags`` are sorted. ``usage`` has
    the counts of :data:`~..model.USAGE_FIELDS`, not yet multiplied by ``sign``. ``cost`` and
    ``cost_output`` are in nano-dollars, with their own sign; ``unpriced`` and ``partial`` are how the line
    changes the number of calls without a charge, and with a partial one.
    """

    id: str
    kind: Kind
    at: int
    names: Names
    tags: tuple[str, ...]
    attempt: int
    estimated: bool
    unpriced: int
    cost: int
    cost_output: int
    usage: tuple[int | float, ...]
    reservation: str | None
    corrects: str | None
    partial: int

    @property
    def user_id(self) -> str:
        """Who pays."""
        return self.names[0] or ""

    @property
    def sign(self) -> int:
        """By what the counts are multiplied in a sum: 1, 0 or -1."""
        return SIGNS[self.kind]

    def measured(self, measure: Measure) -> int:
        """Return by how much this line changes a sum of cost (nano-dollars), calls or tokens."""
        if measure == "cost":
            return self.cost
        if measure == "unpriced":
            return self.unpriced + self.partial
        return self.sign * (1 if measure == "calls" else int(self.usage[_INPUT] + self.usage[_OUTPUT]))


_INPUT: Final = USAGE_FIELDS.index("tokens_input")
_OUTPUT: Final = USAGE_FIELDS.index("tokens_output")


def counted(entry: Entry) -> Counted:
    """Return what an entry counts as."""
    charge, tags = entry.charge, entry.tags
    return Counted(
        entry.id,
        entry.kind,
        (entry.counted_at - EPOCH) // MICROSECOND,
        _names_of(entry),
        tuple(sorted(tags)) if tags else tags,
        entry.attempt,
        entry.estimated,
        entry.unpriced_delta,
        charge.total if charge else 0,
        output_part(charge),
        _usage_of(entry.usage),
        entry.reservation,
        entry.corrects,
        entry.partial_delta,
    )


def same_call(one: Counted, other: Counted) -> bool:
    """Tell whether two lines with one id repeat each other, rather than contradict each other.

    They repeat each other where they were for the same people and the same work, used the same and cost
    the same. When and where they were written, which attempt it was and under which reservation do not
    matter: a request that two processes log at once is one call.
    """
    return substance(one) == substance(other)


substance: Final = attrgetter(
    "kind", "corrects", "names", "tags", "usage", "unpriced", "partial", "cost", "cost_output"
)
"""What :func:`same_call` compares, as one value: for those who keep it, or a hash of it."""


def usage_counts(usage: Usage) -> tuple[int | float, ...]:
    """Return the counts of a usage in the order of ``USAGE_FIELDS``."""
    values: tuple[int | float, ...] = _usage_of(usage)
    return values


def microseconds(at: datetime) -> int:
    """Return an instant in microseconds since 1970.

    >>> microseconds(datetime(1970, 1, 1, 1, tzinfo=UTC))
    3600000000
    """
    return (at - EPOCH) // MICROSECOND
