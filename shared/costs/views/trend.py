"""``trend``: spend by day, week or month as a chart, and what grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from ..analysis.sums import Step
from ..money import Nanos, to_usd
from ..periods import Period
from ..rollup import Totals
from .common import Health, doubts, named, totals_data, usd
from .period import Stretch
from .report import Column, Figure, Report, Row, Series, Table

MOST_LINES = 6
"""How many names get a line of their own."""


class TrendFacts(NamedTuple):
    """What the view needs to know.

    ``stretches`` are the days, weeks or months; ``lines`` has the cost of each of them by some name
    (``by`` says of what), dearest first.
    """

    step: Step
    period: Period
    stretches: Sequence[Stretch]
    totals: Totals
    by: str | None = None
    lines: Mapping[str, Sequence[Nanos]] = MappingProxyType({})
    filters: Mapping[str, str] = MappingProxyType({})
    health: Health = Health()


_UNITS: Mapping[Step, str] = MappingProxyType({"daily": "day", "weekly": "week", "monthly": "month"})


def trend_report(facts: TrendFacts) -> Report:
    """Return the chart, the change from one stretch to the next, and a line for each name asked for."""
    unit = _UNITS[facts.step]
    empty = not facts.totals.calls
    return Report(
        title=f"Trend by {unit}",
        subtitle=", ".join([named(facts.period), *(f"{k} {v}" for k, v in facts.filters.items())]),
        figures=() if empty else _figures(facts, unit),
        series=() if empty else _lines(facts),
        tables=(_chart(facts, unit),),
        notes=doubts(facts.totals, facts.health),
        data=_data(facts),
    )


def _begun(facts: TrendFacts) -> Sequence[Stretch]:
    """Return the stretches from the first with calls on: what was before is no news."""
    first = next((at for at, s in enumerate(facts.stretches) if s.totals.calls), len(facts.stretches))
    return facts.stretches[first:]


def _figures(facts: TrendFacts, unit: str) -> tuple[Figure, ...]:
    begun = _begun(facts)
    mean = Nanos(facts.totals.cost // max(len(begun), 1))
    dearest = max(begun, key=lambda s: s.totals.cost)
    return (
        Figure("cost", "Spent", facts.totals.cost),
        Figure("mean", f"A {unit}", mean, note="on average"),
        Figure("dearest", "Dearest", dearest.totals.cost, note=dearest.name),
    )


def _chart(facts: TrendFacts, unit: str) -> Table:
    columns = (
        Column("period", unit.capitalize()),
        Column("calls", "Calls", "count", rank=1),
        Column("cost", "Cost", "money"),
        Column("change", "Change", "change", rank=2),
        Column("share", "Share", "share"),
    )
    begun = _begun(facts)
    rows = tuple(_row(facts, s, before) for s, before in zip(begun, (None, *begun), strict=False))
    return Table(unit.capitalize(), columns, rows, empty="No calls in this stretch of time.")


def _row(facts: TrendFacts, stretch: Stretch, before: Stretch | None) -> Row:
    cost, whole = stretch.totals.cost, facts.totals.cost
    was = before.totals.cost if before else 0
    change = (cost - was) * 100 / was if was else ""
    return (stretch.name, stretch.totals.calls, cost, change, cost * 100 / whole if whole else 0.0)


def _lines(facts: TrendFacts) -> tuple[Series, ...]:
    skipped = len(facts.stretches) - len(_begun(facts))
    labels = tuple(s.name for s in facts.stretches[skipped:])
    shown = list(facts.lines.items())[:MOST_LINES]
    return tuple(
        Series(f"{name}, {usd(Nanos(sum(costs)))}", labels, tuple(float(cost) for cost in costs[skipped:]))
        for name, costs in shown
        if len(labels) > 1
    )


def _data(facts: TrendFacts) -> dict[str, object]:
    return {
        "step": facts.step,
        "start": facts.period.start.isoformat(),
        "end": facts.period.end.isoformat(),
        "timezone": facts.period.zone.key,
        "filters": dict(facts.filters),
        "total_cost": to_usd(facts.totals.cost),
        "periods": [{"period": s.name, **totals_data(s.totals)} for s in facts.stretches],
        "by": facts.by,
        "lines": {name: [to_usd(cost) for cost in costs] for name, costs in facts.lines.items()},
        "incomplete": len(facts.health.problems),
    }
