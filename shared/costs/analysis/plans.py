"""What plans cost in a month: their price, and their calls beyond the free units. Pure.

Calls use up free units in the order in which they were made; reversed calls use none. A call
that is partly free costs the paid share of what those units cost, rounded half to even; its cost for other
units, such as searches beside tokens, is paid in full. Where it is not billed by those units, the share is of
its whole cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

from ..model import Entry
from ..money import ZERO, Nanos, divide, percent
from ..periods import Period
from ..pricing.rates import UNITS
from ..profile.plans import Plan
from ..rollup import BUCKET_SECONDS, Dimension, Group, Totals
from ..units import FRACTIONAL_FIELDS

Part = tuple[datetime, datetime]
"""A part of a month, from its start to before its end."""


class PlanMonth(NamedTuple):
    """A plan's month. ``listed`` is the cost of its calls at list price, in nano-dollars.

    ``beyond`` is their cost beyond the free units, before the ``discount`` for volume.
    """

    name: str
    plan: Plan
    calls: int = 0
    unpriced_calls: int = 0
    partial_calls: int = 0
    listed: Nanos = ZERO
    free_used: int = 0
    beyond: Nanos = ZERO

    @property
    def discount(self) -> Nanos:
        """What is taken off for volume."""
        return self.plan.discount(self.beyond)

    @property
    def due(self) -> Nanos:
        """What the month costs: the plan's price, and the cost of its calls beyond the free units."""
        return Nanos(self.plan.price + self.beyond - self.discount)

    @property
    def off(self) -> Nanos:
        """By how much free units and discounts reduce the list price of its calls."""
        return Nanos(0 if self.plan.is_flat else self.listed - self.beyond + self.discount)

    def level(self, warn_percent: float) -> Literal["ok", "warning", "critical"]:
        """Return the state of the plan's own limit: a warning from ``warn_percent`` of it."""
        if self.plan.limit is None or not self.due:
            return "ok"
        used = percent(self.due, self.plan.limit)
        return "critical" if used >= 100 else "warning" if used >= warn_percent else "ok"


class _PlanCall(NamedTuple):
    """A call with its corrections; ``units`` are in millionths where they are seconds.

    ``cost`` is for the plan's units and ``rest`` for others; ``billed`` says that the plan's are billed.
    """

    at: datetime
    id: str
    units: int = 0
    cost: int = 0
    rest: int = 0
    billed: bool = False

    def plus(self, entry: Entry, unit: str) -> _PlanCall:
        """Return the call with one of its entries added: the call itself or a correction."""
        parts = entry.charge.parts if entry.charge else {}
        rest = sum(amount for part, amount in parts.items() if not _may_be_for(part, unit))
        return _PlanCall(
            entry.counted_at,
            self.id,
            self.units + entry.sign * _units(entry, unit),
            self.cost + entry.cost - rest,
            self.rest + rest,
            self.billed or any(part in UNITS and _may_be_for(part, unit) for part in parts),
        )

    @property
    def shares(self) -> tuple[int, int, int]:
        """Its units, the cost that their free share applies to, and the cost that is paid in any case."""
        return (self.units, self.cost, self.rest) if self.billed else (self.units, self.cost + self.rest, 0)


class _PlanPeriod:
    """The calls of a plan in a part of a month: the plan's units, their cost, and the cost of other calls."""

    def __init__(self) -> None:
        self.units = self.cost = self.rest = 0


class _PlanTotal:
    """The sums of one plan in a month."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._totals = Totals()
        self._calls: dict[str, _PlanCall] = {}
        self._periods: dict[Part, _PlanPeriod] = {}

    def add(self, entry: Entry) -> None:
        """Add a call, or a correction of one."""
        self._totals.add(entry)
        if self.plan.unit is not None:
            call = entry.corrects or entry.id
            before = self._calls.get(call) or _PlanCall(entry.counted_at, call)
            self._calls[call] = before.plus(entry, self.plan.unit)

    def add_sums(self, part: Part, totals: Totals) -> None:
        """Add the sums of calls to one model within a part of the month."""
        self._totals.merge(totals)
        if self.plan.unit is not None:
            period = self._periods.setdefault(part, _PlanPeriod())
            units = _units_in(totals, self.plan.unit)
            period.units += units
            if units:
                period.cost += totals.cost
            else:
                period.rest += totals.cost

    @property
    def ends_in(self) -> Part | None:
        """The part of the month in which free units run out; ``None`` where they last, or there are none."""
        remaining = self.plan.free * _scale(self.plan.unit)
        for part, period in sorted(self._periods.items()):
            remaining -= period.units
            if remaining < 0:
                return part
        return None

    def month(self, name: str) -> PlanMonth:
        """Return the plan's month."""
        plan, totals = self.plan, self._totals
        used, beyond = 0, int(totals.cost)
        if plan.is_flat:
            beyond = 0
        elif plan.unit is not None:
            used, beyond = self._use_free_units(plan.free * _scale(plan.unit))
        return PlanMonth(
            name,
            plan,
            totals.calls,
            totals.unpriced_calls,
            totals.partial_calls,
            totals.cost,
            used // _scale(plan.unit),
            Nanos(beyond),
        )

    def _use_free_units(self, free: int) -> tuple[int, int]:
        """Return how many of the free units were used, and what the calls cost beyond them."""
        remaining, beyond = free, 0
        for units, cost, rest in self._in_order():
            paid_units = max(0, units - remaining)
            remaining = min(free, max(0, remaining - units))
            beyond += rest + (divide(cost * paid_units, units) if units > 0 else cost)
        return free - remaining, beyond

    def _in_order(self) -> Iterator[tuple[int, int, int]]:
        """Yield units, their cost, and the cost that is paid in any case, the earliest first."""
        for call in sorted(self._calls.values()):
            yield call.shares
        for _, period in sorted(self._periods.items()):
            yield period.units, period.cost, period.rest


def _scale(unit: str | None) -> int:
    return 1_000_000 if unit in FRACTIONAL_FIELDS else 1


def _units(entry: Entry, unit: str) -> int:
    if unit == "calls":
        return 1
    if unit == "tokens":
        return entry.usage.tokens_total
    count: float = getattr(entry.usage, unit)
    return round(count * _scale(unit))


_WRITTEN: Final = ("cache_write", "cache_write_1h")
_INPUT: Final = ("input", "cached", *_WRITTEN, "audio_input", "audio_cached", "image_input", "image_cached")
_OUTPUT: Final = ("output", "reasoning", "audio_output", "image_output")
_PARTS_OF: Final = {
    "tokens": (*_INPUT, *_OUTPUT),
    "tokens_input": _INPUT,
    "tokens_output": _OUTPUT,
    "tokens_cache_write": _WRITTEN,
}
"""The parts of a charge that a count of tokens includes, where there are several."""


def _may_be_for(part: str, unit: str) -> bool:
    """Return whether a part of a charge may be for a unit; a stated cost may be for any."""
    if part not in UNITS or unit == "calls":
        return True
    return UNITS[part].field == unit or part in _PARTS_OF.get(unit, ())


def _units_in(totals: Totals, unit: str) -> int:
    if unit == "tokens":
        return totals.tokens_total
    if unit == "audio_seconds":
        return totals.audio_microseconds
    return totals.units[unit] if unit in totals.units else int(getattr(totals, unit, 0))


class _MonthPlans:
    """The plans that held on any day of a month: each call belongs to the first one that covers it."""

    def __init__(self, plans: Mapping[str, Plan], period: Period, names: Callable[[str, str], str]) -> None:
        self._names = names
        self._spans = {name: plan.span(period.zone) for name, plan in plans.items()}
        self._totals_by_name = {
            name: _PlanTotal(plan)
            for name, plan in plans.items()
            if (self._spans[name][0] or period.start) < period.end
            and (self._spans[name][1] or period.end) > period.start
        }
        self._covering: dict[tuple[str, str, str], list[str]] = {}

    def total_for(self, user: str, service: str, model: str, at: datetime) -> _PlanTotal | None:
        """Return the sums of the plan that covers a call at an instant, or ``None``."""
        key = (user, service, model)
        covering = self._covering.get(key)
        if covering is None:
            names = (
                name for name, total in self._totals_by_name.items() if total.plan.covers(*key, self._names)
            )
            covering = self._covering[key] = list(names)
        for name in covering:
            start, end = self._spans[name]
            if (start is None or start <= at) and (end is None or at < end):
                return self._totals_by_name[name]
        return None

    def ends(self) -> set[Part]:
        """Return the parts of the month in which free units of a plan run out."""
        return {part for total in self._totals_by_name.values() if (part := total.ends_in) is not None}

    def months(self) -> tuple[PlanMonth, ...]:
        """Return the month of each plan, in the order of the profile."""
        return tuple(total.month(name) for name, total in self._totals_by_name.items())


def plan_months(
    plans: Mapping[str, Plan],
    entries: Iterable[Entry],
    period: Period,
    names: Callable[[str, str], str],
) -> tuple[PlanMonth, ...]:
    """Return the month of each plan that held on any of its days, in the order of the profile.

    A call belongs to the first plan that covers it, together with its corrections. ``names`` returns the
    catalogue's name of a service and model.
    """
    sums = _MonthPlans(plans, period, names)
    for entry in entries:
        total = sums.total_for(entry.user_id, entry.service, entry.model, entry.counted_at)
        if total is not None:
            total.add(entry)
    return sums.months()


SUMMED_BY: Final[tuple[Dimension, ...]] = ("user_id", "service", "model")
"""The dimensions of the sums that :func:`plan_months_of_sums` reads."""


def plan_months_of_sums(
    plans: Mapping[str, Plan],
    sums: Callable[[datetime, datetime], Iterable[Group]],
    period: Period,
    names: Callable[[str, str], str],
) -> tuple[PlanMonth, ...]:
    """Return what :func:`plan_months` does, from sums by :data:`SUMMED_BY`, for any number of calls.

    It reads the month day by day, and the day on which free units run out by the quarter-hour. Within that
    quarter-hour all calls share them equally. The calls to one model within a part are not separated: calls
    without the units count as free like those that have some, and so does the cost of other units, so that a
    month may cost more than this.
    """
    parts = _days(period, {edge for plan in plans.values() for edge in plan.span(period.zone) if edge})
    groups_by_part = {part: sums(*part) for part in parts}
    ends = _plans_with_sums(plans, groups_by_part, period, names).ends()
    for part in ends:
        groups_by_part |= {piece: sums(*piece) for piece in _cut(part, BUCKET_SECONDS)}
        del groups_by_part[part]
    return _plans_with_sums(plans, groups_by_part, period, names).months()


def _plans_with_sums(
    plans: Mapping[str, Plan],
    groups_by_part: Mapping[Part, Iterable[Group]],
    period: Period,
    names: Callable[[str, str], str],
) -> _MonthPlans:
    sums = _MonthPlans(plans, period, names)
    for part, groups in groups_by_part.items():
        for group in groups:
            user, service, model = (str(value or "") for value in group.key)
            total = sums.total_for(user, service, model, part[0])
            if total is not None:
                total.add_sums(part, group.totals)
    return sums


def _days(period: Period, edges: Iterable[datetime]) -> list[Part]:
    """Return the UTC days of a period, by which sums are kept, cut where a plan begins or ends."""
    days = _cut((period.start, period.end), 86_400)
    cuts = {start for start, _ in days} | {edge for edge in edges if period.start < edge < period.end}
    starts = sorted(cuts)
    return list(zip(starts, [*starts[1:], period.end], strict=True))


def _cut(part: Part, seconds: int) -> list[Part]:
    """Return a part in pieces that begin at multiples of ``seconds`` since 1970."""
    start, end = (int(edge.timestamp()) for edge in part)
    inner = range(start - start % seconds + seconds, end, seconds)
    starts = [part[0], *(datetime.fromtimestamp(second, UTC) for second in inner)]
    return list(zip(starts, [*starts[1:], part[1]], strict=True))
