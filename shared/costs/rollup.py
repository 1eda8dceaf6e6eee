"""Sums of entries and the queries for them. Pure data, shared by the index and the reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from .money import ZERO, Nanos
from .units import FRACTIONAL_FIELDS, SIGNS, USAGE_FIELDS

if TYPE_CHECKING:
    from .model import Charge, Entry, Usage

Dimension = Literal[
    "user_id",
    "job_id",
    "ledger",
    "stage",
    "service",
    "model",
    "operation",
    "workflow",
    "project",
    "tags",
    "service_tier",
    "bucket",
]
"""The dimensions by which sums can be grouped. ``ledger`` is the ledger's path (two jobs may share a name);
``tags`` is the sorted tags joined by commas; ``bucket`` is the start of a 15-minute interval of UTC
in seconds since 1970, from which local days and months are exact in every time zone."""

Measure = Literal["cost", "calls", "tokens", "unpriced"]
"""What a limit bounds: the cost of calls (nano-dollars), their number, or their input and output tokens."""

BUCKET_SECONDS: Final = 900

OUTPUT_PARTS: Final = frozenset({"output", "reasoning", "audio_output", "image_output"})
"""The ``cost_parts`` that pay for output; all others pay for input."""


class Totals:
    """Sums over entries. Money in nano-dollars, audio in microseconds.

    ``jobs`` is the number of different ledgers in the sum, if it was queried.
    ``partial_calls`` had units without a price, which ``cost`` leaves out. ``units`` are the counts that
    have no field here, by their names in ``Usage``: durations in microseconds, the others unchanged.
    ``retried_*`` are the number and the cost of calls of a second or later attempt.

    >>> total = Totals()
    >>> total.calls, total.cost
    (0, 0)
    """

    calls: int
    unpriced_calls: int
    estimated_calls: int
    retried_calls: int
    tokens_input: int
    tokens_output: int
    tokens_cached: int
    tokens_reasoning: int
    audio_microseconds: int
    cost: Nanos
    cost_input: Nanos
    cost_output: Nanos
    retried_cost: Nanos
    jobs: int
    partial_calls: int
    units: dict[str, int]

    __slots__ = tuple(__annotations__)

    def __init__(  # noqa: PLR0913  # one for each sum; importing dataclasses would take a prompt 8 ms
        self,
        *,
        calls: int = 0,
        unpriced_calls: int = 0,
        estimated_calls: int = 0,
        retried_calls: int = 0,
        tokens_input: int = 0,
        tokens_output: int = 0,
        tokens_cached: int = 0,
        tokens_reasoning: int = 0,
        audio_microseconds: int = 0,
        cost: Nanos = ZERO,
        cost_input: Nanos = ZERO,
        cost_output: Nanos = ZERO,
        retried_cost: Nanos = ZERO,
        jobs: int = 0,
        partial_calls: int = 0,
        units: dict[str, int] | None = None,
    ) -> None:
        self.calls = calls
        self.unpriced_calls = unpriced_calls
        self.estimated_calls = estimated_calls
        self.retried_calls = retried_calls
        self.tokens_input = tokens_input
        self.tokens_output = tokens_output
        self.tokens_cached = tokens_cached
        self.tokens_reasoning = tokens_reasoning
        self.audio_microseconds = audio_microseconds
        self.cost = cost
        self.cost_input = cost_input
        self.cost_output = cost_output
        self.retried_cost = retried_cost
        self.jobs = jobs
        self.partial_calls = partial_calls
        self.units = {} if units is None else units

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Totals) and _sums_of(self) == _sums_of(other)

    __hash__ = None  # type: ignore[assignment]  # sums change

    def __repr__(self) -> str:
        sums = {name: value for name in Totals.__slots__ if (value := getattr(self, name))}
        return f"Totals({', '.join(f'{name}={value!r}' for name, value in sums.items())})"

    @property
    def tokens_total(self) -> int:
        """Input and output tokens together."""
        return self.tokens_input + self.tokens_output

    @property
    def is_split(self) -> bool:
        """Whether the separate costs of input and output are known; a bill states only their sum."""
        return bool(self.cost_output) or not (self.cost and self.tokens_output)

    @property
    def is_empty(self) -> bool:
        """Whether it is a sum of nothing: no call, and no correction or credit without one."""
        return not (self.calls or self.cost)

    def measured(self, measure: Measure) -> int:
        """Return the cost in nano-dollars, the number of calls or of those not fully priced, or tokens."""
        if measure == "unpriced":
            return self.unpriced_calls + self.partial_calls
        return self.cost if measure == "cost" else self.calls if measure == "calls" else self.tokens_total

    def add(self, entry: Entry) -> None:
        """Add one entry to the sums."""
        sign, usage, charge = SIGNS[entry.kind], entry.usage, entry.charge
        cost, cost_output = charge.total if charge else ZERO, output_part(charge)
        self.calls += sign
        self.unpriced_calls += entry.unpriced_delta
        self.estimated_calls += sign * entry.estimated
        if entry.attempt > 1:
            self.retried_calls += sign
            self.retried_cost = Nanos(self.retried_cost + cost)
        self.tokens_input += sign * usage.tokens_input
        self.tokens_output += sign * usage.tokens_output
        self.tokens_cached += sign * usage.tokens_cached
        self.tokens_reasoning += sign * usage.tokens_reasoning
        if usage.audio_seconds:
            self.audio_microseconds += sign * usage.audio_microseconds
        self.cost = Nanos(self.cost + cost)
        self.cost_input = Nanos(self.cost_input + cost - cost_output)
        self.cost_output = Nanos(self.cost_output + cost_output)
        self.partial_calls += entry.partial_delta
        if sign and (units := other_units(usage)):
            self._add_units({name: sign * count for name, count in units.items()})

    def merge(self, other: Totals) -> None:
        """Add another sum to this one. ``jobs`` adds up too: merge only sums of different ledgers."""
        self.calls += other.calls
        self.unpriced_calls += other.unpriced_calls
        self.estimated_calls += other.estimated_calls
        self.retried_calls += other.retried_calls
        self.tokens_input += other.tokens_input
        self.tokens_output += other.tokens_output
        self.tokens_cached += other.tokens_cached
        self.tokens_reasoning += other.tokens_reasoning
        self.audio_microseconds += other.audio_microseconds
        self.cost = Nanos(self.cost + other.cost)
        self.cost_input = Nanos(self.cost_input + other.cost_input)
        self.cost_output = Nanos(self.cost_output + other.cost_output)
        self.retried_cost = Nanos(self.retried_cost + other.retried_cost)
        self.jobs += other.jobs
        self.partial_calls += other.partial_calls
        if other.units:
            self._add_units(other.units)

    def _add_units(self, units: Mapping[str, int]) -> None:
        for name, count in units.items():
            total = self.units.pop(name, 0) + count
            if total:
                self.units[name] = total


TOTALS_FIELDS: Final = tuple(name for name in Totals.__slots__ if name != "units")
"""The fields of :class:`Totals` that are integers."""


_sums_of: Final = attrgetter(*Totals.__slots__)

_OTHER_UNITS: Final = tuple(
    name
    for name in USAGE_FIELDS
    if name
    not in {"tokens_input", "tokens_output", "tokens_cached", "tokens_reasoning", "audio_seconds", "channels"}
)
_other_units_of: Final = attrgetter(*_OTHER_UNITS)


def other_units(usage: Usage) -> dict[str, int]:
    """Return the counts that :class:`Totals` keeps by name, without those that are zero.

    >>> from shared.costs.model import Usage
    >>> other_units(Usage(images=2, video_seconds=1.5))
    {'images': 2, 'video_seconds': 1500000}
    """
    values = _other_units_of(usage)
    if not any(values):
        return {}
    return {
        name: round(value * 1_000_000) if name in FRACTIONAL_FIELDS else value
        for name, value in zip(_OTHER_UNITS, values, strict=True)
        if value
    }


def output_part(charge: Charge | None) -> Nanos:
    """Return the share of a charge that pays for output, in nano-dollars."""
    if charge is None:
        return ZERO
    return Nanos(sum(map(charge.parts.__getitem__, OUTPUT_PARTS & charge.parts.keys())))


def bucket_of(at: datetime) -> int:
    """Return the start of the 15-minute interval that contains ``at``, in seconds since 1970."""
    # In integers: as a float, the last microsecond of a bucket of the year 2600 would be in the next one.
    return (at - _EPOCH) // _BUCKET * BUCKET_SECONDS


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BUCKET: Final = timedelta(seconds=BUCKET_SECONDS)


STANDARD: Final = "standard"
"""The service tier of calls that name none."""


class Query(NamedTuple):
    """A query: which entries to sum. ``None`` means any; text matches exactly.

    ``start`` and ``end`` bound the entries' ``counted_at``, half-open. They should be edges of
    periods: sums are kept by 15-minute bucket. In a query for one number, ``measure`` says which, and
    ``start`` may be any instant. The tier ``standard`` includes calls that name none; a model
    may be given with its service, as ``service/model``.
    """

    start: datetime | None = None
    end: datetime | None = None
    user_id: str | None = None
    job_id: str | None = None
    ledger: Path | None = None
    stage: str | None = None
    service: str | None = None
    model: str | None = None
    operation: str | None = None
    workflow: str | None = None
    project: str | None = None
    tag: str | None = None
    service_tier: str | None = None
    measure: Measure = "cost"

    def values_of(self, dimension: str) -> tuple[str, ...] | None:
        """Return the matching values of a dimension, as sums keep them; ``None`` for all.

        >>> Query(service_tier="standard").values_of("service_tier"), Query().values_of("stage")
        (('', 'standard'), None)
        >>> Query(service="openrouter", model="openrouter/auto").values_of("model")
        ('openrouter/auto', 'auto')
        """
        value = getattr(self, dimension, None)
        if value is None:
            return None
        if dimension == "service_tier" and value == STANDARD:
            return "", STANDARD
        if dimension == "model" and self.service and value.startswith(f"{self.service}/"):
            return value, value.removeprefix(f"{self.service}/")
        return (value,)

    def matcher(self) -> Callable[[Entry], bool]:
        """Return a function that returns whether an entry matches, without regard to its job and ledger.

        >>> from shared.costs.model import Entry
        >>> call = Entry(id="a", timestamp=_EPOCH, job_id="j", user_id="u", service="openai", model="gpt-4o")
        >>> Query(user_id="u", end=_EPOCH + _BUCKET).matcher()(call), Query(tag="x").matcher()(call)
        (True, False)
        """
        conditions = [
            (name, values) for name in _ENTRY_FIELDS if (values := self.values_of(name)) is not None
        ]
        start, end, tag = self.start, self.end, self.tag

        def matches(entry: Entry) -> bool:
            at = entry.period_at or entry.timestamp
            return (
                (start is None or start <= at)
                and (end is None or at < end)
                and (tag is None or tag in entry.tags)
                and (
                    not conditions
                    or all((getattr(entry, name) or "") in values for name, values in conditions)
                )
            )

        return matches


_ENTRY_FIELDS: Final = tuple(
    name for name in Query._fields if name not in {"start", "end", "job_id", "ledger", "tag", "measure"}
)
"""The fields of a query that are also fields of an entry."""


class Group(NamedTuple):
    """The sums of all entries that share ``key``: one value per queried dimension, in that order."""

    key: tuple[str | int | None, ...]
    totals: Totals


UNASSIGNED_JOB: Final = "unassigned"
"""The job id of calls without a job."""


class JobRef(NamedTuple):
    """A job and the path of its ledger."""

    job_id: str
    ledger: Path


JobOrder = Literal["newest", "cost", "calls", "name"]
"""How jobs are ordered: the newest, the most expensive or those with most calls first, or by name."""


class JobSums(NamedTuple):
    """A job and the sums of its entries that match a query.

    ``first`` and ``last`` are the starts of the 15-minute intervals of the first and the last of
    them, in seconds since 1970; ``users`` are their users.
    """

    job: JobRef
    totals: Totals
    first: int
    last: int
    users: tuple[str, ...]


class JobPage(NamedTuple):
    """A page of jobs in the queried order, and the number of all jobs (``whole``)."""

    jobs: tuple[JobSums, ...]
    whole: int
