"""What plans come to in a month: their price, and their calls beyond what is free. Pure.

Calls draw free units down in the order in which they were made. A call that is free in part costs its share
of the list price, rounded half to even.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from ..model import SECONDS_FIELDS, Entry
from ..money import ZERO, Nanos, divide, percent
from ..periods import Period
from ..profile.plans import Plan


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


class _Call(NamedTuple):
    """What of a call a plan looks at; ``units`` are in millionths where they are seconds."""

    at: datetime
    id: str
    units: int
    cost: Nanos


@dataclass
class _Sum:
    """What was added up of one plan."""

    plan: Plan
    calls: int = 0
    unpriced: int = 0
    partial: int = 0
    listed: int = 0
    drawing: list[_Call] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        self.calls += entry.sign
        self.unpriced += entry.unpriced_delta
        self.partial += entry.partial_delta
        self.listed += entry.cost
        if self.plan.unit is not None:
            units = entry.sign * _units(entry, self.plan.unit)
            self.drawing.append(_Call(entry.counted_at, entry.id, units, entry.cost))

    def month(self, name: str) -> PlanMonth:
        used, beyond = self._drawn() if self.plan.unit is not None else (0, self.listed)
        if self.plan.is_flat:
            beyond = 0
        return PlanMonth(
            name, self.plan, self.calls, self.unpriced, self.partial, Nanos(self.listed), used, Nanos(beyond)
        )

    def _drawn(self) -> tuple[int, int]:
        """Return how many free units were used, and what the calls cost beyond them."""
        scale = _scale(self.plan.unit)
        left, beyond = self.plan.free * scale, 0
        for call in sorted(self.drawing):
            # What was undone gives its units back.
            free = min(call.units, left) if call.units > 0 else max(call.units, left - self.plan.free * scale)
            left -= free
            paid = abs(call.units - free)
            beyond += divide(call.cost * paid, abs(call.units)) if call.units else call.cost
        return (self.plan.free * scale - left) // scale, beyond


def _scale(unit: str | None) -> int:
    return 1_000_000 if unit in SECONDS_FIELDS else 1


def _units(entry: Entry, unit: str) -> int:
    if unit == "calls":
        return 1
    if unit == "tokens":
        return entry.usage.tokens_total
    count: float = getattr(entry.usage, unit)
    return round(count * _scale(unit))


def plan_months(
    plans: Mapping[str, Plan],
    entries: Iterable[Entry],
    period: Period,
    names: Callable[[str, str], str],
) -> tuple[PlanMonth, ...]:
    """Return the month of each plan that held on any of its days, in the order of the profile.

    A call is of the first plan that covers it. ``names`` gives the catalogue's name of a service and model.
    """
    spans = {name: plan.span(period.zone) for name, plan in plans.items()}
    sums = {
        name: _Sum(plan)
        for name, plan in plans.items()
        if (spans[name][0] or period.start) < period.end and (spans[name][1] or period.end) > period.start
    }
    known: dict[tuple[str, str, str], list[str]] = {}
    for entry in entries:
        key = (entry.user_id, entry.service, entry.model)
        if key not in known:
            known[key] = [name for name in sums if plans[name].covers(*key, names)]
        for name in known[key]:
            start, end = spans[name]
            if (start is None or start <= entry.counted_at) and (end is None or entry.counted_at < end):
                sums[name].add(entry)
                break
    return tuple(each.month(name) for name, each in sums.items())
