"""What plans come to in a month: their price, and their calls beyond what is free. Pure.

Calls draw free units down in the order in which they were made; what was taken back draws nothing. A call
that is free in part costs its share of what those units cost, rounded half to even; what it costs for other
units, such as searches beside tokens, is paid for. Where it is not billed by those units, its share is of all
that it costs.
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
"""A stretch of time, from its start to before its end."""


class PlanMonth(NamedTuple):
    """A plan's month. ``listed`` is what its calls cost at list price, ``beyond`` what they cost once free
    units are used up, before the ``discount`` for volume; in nano-dollars.
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
        """What the month costs: the plan's price, and what its calls cost beyond what is free."""
        return Nanos(self.plan.price + self.beyond - self.discount)

    @property
    def off(self) -> Nanos:
        """What free units and discounts take off the list price of its calls."""
        return Nanos(0 if self.plan.is_flat else self.listed - self.beyond + self.discount)

    def level(self, warn_percent: float) -> Literal["ok", "warning", "critical"]:
        """Return how the plan's own limit stands, which is warned of from a percentage of it on."""
        if self.plan.limit is None or not self.due:
            return "ok"
        used = percent(self.due, self.plan.limit)
        return "critical" if used >= 100 else "warning" if used >= warn_percent else "ok"


class _PlanCall(NamedTuple):
    """A call with what corrects it; ``units`` are in millionths where they are seconds.

    ``rest`` is what it costs for other units, and ``billed`` tells that something of ``cost`` is for these.
    """

    at: datetime
    id: str
    units: int = 0
    cost: int = 0
    rest: int = 0
    billed: bool = False

    def plus(self, entry: Entry, unit: str) -> _PlanCall:
        """Return it with an entry of it counted, which is the call itself or corrects it."""
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
        """Its units, what its share that is free is taken of, and what is paid for in any case."""
        return (self.units, self.cost, self.rest) if self.billed else (self.units, self.cost + self.rest, 0)


class _PlanPeriod:
    """The calls of a plan in a part of a month: those with units that may be free, and what others cost."""

    def __init__(self) -> None:
        self.units = self.cost = self.rest = 0


class _PlanTotal:
    """What was added up of one plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._totals = Totals()
        self._calls: dict[str, _PlanCall] = {}
        self._stretches: dict[Part, _PlanPeriod] = {}

    def add(self, entry: Entry) -> None:
        """Count a call, or what corrects one."""
        self._totals.add(entry)
        if self.plan.unit is not None:
            call = entry.corrects or entry.id
            before = self._calls.get(call) or _PlanCall(entry.counted_at, call)
            self._calls[call] = before.plus(entry, self.plan.unit)

    def add_sums(self, part: Part, totals: Totals) -> None:
        """Count calls to one model within a part of the month."""
        self._totals.merge(totals)
        if self.plan.unit is not None:
            stretch = self._stretches.setdefault(part, _PlanPeriod())
            units = _units_in(totals, self.plan.unit)
            stretch.units += units
            if units:
                stretch.cost += totals.cost
            else:
                stretch.rest += totals.cost

    @property
    def ends_in(self) -> Part | None:
        """The part of the month in which free units end; ``None`` where they last, or there are none."""
        left = self.plan.free * _scale(self.plan.unit)
        for part, each in sorted(self._stretches.items()):
            left -= each.units
            if left < 0:
                return part
        return None

    def month(self, name: str) -> PlanMonth:
        """Return what it came to."""
        plan, totals = self.plan, self._totals
        used, beyond = 0, int(totals.cost)
        if plan.is_flat:
            beyond = 0
        elif plan.unit is not None:
            used, beyond = self._drawn(plan.free * _scale(plan.unit))
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

    def _drawn(self, free: int) -> tuple[int, int]:
        """Return how many of the free units were used, and what the calls cost beyond them."""
        left, beyond = free, 0
        for units, cost, rest in self._in_order():
            paid = max(0, units - left)
            left = min(free, max(0, left - units))
            beyond += rest + (divide(cost * paid, units) if units > 0 else cost)
        return free - left, beyond

    def _in_order(self) -> Iterator[tuple[int, int, int]]:
        """Give units, what they cost, and what other calls of the same time cost, the earliest first."""
        for call in sorted(self._calls.values()):
            yield call.shares
        for _, each in sorted(self._stretches.items()):
            yield each.units, each.cost, each.rest


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
"""The parts of a charge that a count of tokens stands for, where it is more than one."""


def _may_be_for(part: str, unit: str) -> bool:
    """Tell whether a part of a charge may be for a unit; one that is stated may be for any."""
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
    """The plans that held on any day of a month: a call is of the first one that covers it."""

    def __init__(self, plans: Mapping[str, Plan], period: Period, names: Callable[[str, str], str]) -> None:
        self._names = names
        self._spans = {name: plan.span(period.zone) for name, plan in plans.items()}
        self._sums = {
            name: _PlanTotal(plan)
            for name, plan in plans.items()
            if (self._spans[name][0] or period.start) < period.end
            and (self._spans[name][1] or period.end) > period.start
        }
        self._known: dict[tuple[str, str, str], list[str]] = {}

    def of(self, user: str, service: str, model: str, at: datetime) -> _PlanTotal | None:
        """Return the sum of the plan that covers a call at an instant."""
        key = (user, service, model)
        known = self._known.get(key)
        if known is None:
            covering = (name for name, each in self._sums.items() if each.plan.covers(*key, self._names))
            known = self._known[key] = list(covering)
        for name in known:
            start, end = self._spans[name]
            if (start is None or start <= at) and (end is None or at < end):
                return self._sums[name]
        return None

    def ends(self) -> set[Part]:
        """Return the parts of the month in which free units of a plan end."""
        return {part for each in self._sums.values() if (part := each.ends_in) is not None}

    def months(self) -> tuple[PlanMonth, ...]:
        """Return what each came to, in the order of the profile."""
        return tuple(each.month(name) for name, each in self._sums.items())


def plan_months(
    plans: Mapping[str, Plan],
    entries: Iterable[Entry],
    period: Period,
    names: Callable[[str, str], str],
) -> tuple[PlanMonth, ...]:
    """Return the month of each plan that held on any of its days, in the order of the profile.

    A call is of the first plan that covers it, and what corrects it goes with it. ``names`` gives the
    catalogue's name of a service and model.
    """
    sums = _MonthPlans(plans, period, names)
    for entry in entries:
        mine = sums.of(entry.user_id, entry.service, entry.model, entry.counted_at)
        if mine is not None:
            mine.add(entry)
    return sums.months()


SUMMED_BY: Final[tuple[Dimension, ...]] = ("user_id", "service", "model")
"""The dimensions of the sums that :func:`plan_months_of_sums` asks for."""


def plan_months_of_sums(
    plans: Mapping[str, Plan],
    sums: Callable[[datetime, datetime], Iterable[Group]],
    period: Period,
    names: Callable[[str, str], str],
) -> tuple[PlanMonth, ...]:
    """As :func:`plan_months`, from sums by :data:`SUMMED_BY` of parts of it, however many calls it has.

    It asks for the month day by day, and for the day on which free units end by the quarter-hour. Within that
    quarter-hour calls share them alike. Of the calls to one model within a part nothing is known apart: those
    with none of the units are as free as those that have some, and so is what calls cost for other units: a
    month may come to more than this.
    """
    parts = _days(period, {edge for plan in plans.values() for edge in plan.span(period.zone) if edge})
    found = {part: sums(*part) for part in parts}
    ends = _summed(plans, found, period, names).ends()
    for part in ends:
        found |= {each: sums(*each) for each in _cut(part, BUCKET_SECONDS)}
        del found[part]
    return _summed(plans, found, period, names).months()


def _summed(
    plans: Mapping[str, Plan],
    found: Mapping[Part, Iterable[Group]],
    period: Period,
    names: Callable[[str, str], str],
) -> _MonthPlans:
    sums = _MonthPlans(plans, period, names)
    for part, groups in found.items():
        for group in groups:
            user, service, model = (str(value or "") for value in group.key)
            mine = sums.of(user, service, model, part[0])
            if mine is not None:
                mine.add_sums(part, group.totals)
    return sums


def _days(period: Period, edges: Iterable[datetime]) -> list[Part]:
    """Return the days of a period in UTC, which sums are kept by, cut where a plan begins or ends."""
    days = _cut((period.start, period.end), 86_400)
    cuts = {start for start, _ in days} | {edge for edge in edges if period.start < edge < period.end}
    starts = sorted(cuts)
    return list(zip(starts, [*starts[1:], period.end], strict=True))


def _cut(part: Part, seconds: int) -> list[Part]:
    """Return a stretch in pieces that begin at multiples of so many seconds since 1970."""
    start, end = (int(edge.timestamp()) for edge in part)
    inner = range(start - start % seconds + seconds, end, seconds)
    starts = [part[0], *(datetime.fromtimestamp(second, UTC) for second in inner)]
    return list(zip(starts, [*starts[1:], part[1]], strict=True))
