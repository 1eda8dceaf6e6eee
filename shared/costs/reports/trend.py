"""Spend by day, week or month as a chart, with the change from each to the next.

Without dates: the last 30 days, 13 weeks or 12 months.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from ..analysis.sums import UNNAMED, Step, is_whole, share, total
from ..money import ZERO, Nanos, to_usd
from ..periods import Period
from ..rollup import Dimension, Group, Totals
from .charts import spend_chart
from .common import MANY_TAGS, Health, cost_or_unpriced, doubts, named, plural, totals_data, usd
from .document import Chart, Column, Figure, Note, Report, Series, Table, Value, derive
from .queries import by_part, health, within
from .questions import BY, LABELS, Question, TimeSpan
from .reader import Reader
from .report import HistoryRow, divided, since_begun, told_apart
from .spec import FILTERS, SPAN, STEPS, Option, Spec

MOST_LINES = 6
"""How many names get a line of their own."""


class TrendFacts(NamedTuple):
    """What the report shows.

    ``stretches`` are the days, weeks or months; ``lines`` has the cost of each of them by some name
    (``by`` says of what), most expensive first.
    """

    step: Step
    period: Period
    stretches: Sequence[HistoryRow]
    totals: Totals
    by: str | None = None
    lines: Mapping[str, Sequence[Nanos]] = MappingProxyType({})
    filters: Mapping[str, str] = MappingProxyType({})
    health: Health = Health()


_UNITS: Mapping[Step, str] = MappingProxyType({"daily": "day", "weekly": "week", "monthly": "month"})


def trend_facts(reader: Reader, asked: Question) -> TrendFacts:
    """Return spend by stretch, and by the first dimension that was asked for."""
    period, query = within(reader, asked.span, asked.query)
    step = asked.step or "daily"
    parts = divided(period, step)
    by = asked.by[0] if asked.by else None
    groups = by_part(reader, _dimensions(by), query, parts)
    now = reader.now
    return TrendFacts(
        step=step,
        period=period,
        stretches=[
            HistoryRow(part.name, total(group), is_whole(part, step, now), part.kind)
            for part, group in zip(parts, groups, strict=True)
        ],
        totals=total(chain.from_iterable(groups)),
        by=LABELS[by].lower() if by else None,
        lines=lines_by([told_apart(group, by) for group in groups]) if by else {},
        filters=asked.filters,
        health=health(reader),
    )


def _dimensions(by: Dimension | None) -> tuple[Dimension, ...]:
    """Return what to group by; a model is named with its service."""
    if by is None:
        return ()
    return ("service", "model") if by == "model" else (by,)


def lines_by(parts: Sequence[Sequence[Group]]) -> dict[str, list[Nanos]]:
    """Return the cost in each part of a period for each name, most expensive first."""
    costs: dict[str, list[Nanos]] = {}
    for number, groups in enumerate(parts):
        for group in groups:
            name = "/".join(str(UNNAMED if part is None else part) for part in group.key)
            line = costs.setdefault(name, [ZERO] * len(parts))
            line[number] = Nanos(line[number] + group.totals.cost)
    return dict(sorted(costs.items(), key=lambda item: (-sum(item[1]), item[0])))


def trend_report(facts: TrendFacts) -> Report:
    """Return the chart, the change from one stretch to the next, and a line for each name asked for."""
    unit = _UNITS[facts.step]
    empty = facts.totals.is_empty
    return Report(
        title=f"Trend by {unit}",
        subtitle=", ".join([named(facts.period), *(f"{k} {v}" for k, v in facts.filters.items())]),
        figures=() if empty else tuple(_figures(facts, unit)),
        series=() if empty else _lines(facts),
        tables=(_table(facts, unit),),
        charts=() if empty else tuple(_charts(facts, unit)),
        notes=(*doubts(facts.totals, facts.health), *_remarks(facts, unit)),
        data=_data(facts),
    )


def _figures(facts: TrendFacts, unit: str) -> Iterator[Figure]:
    spent = cost_or_unpriced(facts.totals)
    yield Figure("cost", "Spent", spent)
    if spent is None:
        return
    begun = since_begun(facts.stretches)
    whole = [s for s in begun if s.whole] or begun
    mean = Nanos(sum(s.totals.cost for s in whole) // len(whole))
    highest = max(begun, key=lambda s: s.totals.cost)
    some = f", of {plural(len(whole), f'whole {unit}', f'whole {unit}s')}" if len(whole) < len(begun) else ""
    yield Figure("mean", f"A {unit}", mean, note=f"on average{some}")
    if highest.totals.cost > 0:
        yield Figure("dearest", "Most expensive", highest.totals.cost, note=highest.name)


def _charts(facts: TrendFacts, unit: str) -> Iterator[Chart]:
    """Return bars of each stretch from the first with calls on, divided as asked."""
    begun = since_begun(facts.stretches)
    if len(begun) > 1:
        skipped = len(facts.stretches) - len(begun)
        spent = {"spent": [each.totals.cost for each in begun]}
        by_name = {name: costs[skipped:] for name, costs in facts.lines.items()}
        title = f"Spend by {unit}{f' and {facts.by}' if facts.by else ''}"
        yield spend_chart(title, tuple(each.label for each in begun), by_name or spent)


def _table(facts: TrendFacts, unit: str) -> Table:
    begun = since_begun(facts.stretches)
    return Table.of(
        unit.capitalize(),
        zip(begun, (None, *begun), strict=False),
        (
            Column("period", unit.capitalize()),
            lambda one: one[0].label if one[0].whole else f"{one[0].name} *",
        ),
        (Column("calls", "Calls", "count", rank=1), lambda one: one[0].totals.calls),
        (Column("cost", "Cost", "money"), lambda one: cost_or_unpriced(one[0].totals)),
        (Column("change", "Change", "change", rank=2), lambda one: _change(*one)),
        (Column("share", "Share", "share"), lambda one: share(one[0].totals, facts.totals)),
        empty="No calls in this period.",
    )


def _change(stretch: HistoryRow, before: HistoryRow | None) -> Value:
    """Return the change from the stretch before in percent, where the two compare."""
    if before is None or before.totals.cost <= 0 or not (before.whole and stretch.whole):
        return ""
    return (stretch.totals.cost - before.totals.cost) * 100 / before.totals.cost


def _remarks(facts: TrendFacts, unit: str) -> Iterator[Note]:
    if not all(s.whole for s in since_begun(facts.stretches)):
        yield Note(f"* not a whole {unit}: cut off, or not over.")
    if facts.by == "tag" and facts.lines:
        yield Note(MANY_TAGS)


def _lines(facts: TrendFacts) -> tuple[Series, ...]:
    skipped = len(facts.stretches) - len(since_begun(facts.stretches))
    labels = tuple(s.name for s in facts.stretches[skipped:])
    shown = list(facts.lines.items())[:MOST_LINES]
    return tuple(
        Series(f"{name}, {usd(Nanos(sum(costs)))}", labels, tuple(float(cost) for cost in costs[skipped:]))
        for name, costs in shown
        if len(labels) > 1
    )


def _data(facts: TrendFacts) -> dict[str, object]:
    return {
        **derive(facts, "step", "period.start", "period.end", "timezone=period.zone.key", "filters"),
        "total_cost": to_usd(facts.totals.cost),
        "periods": [{"period": s.name, "whole": s.whole, **totals_data(s.totals)} for s in facts.stretches],
        "by": facts.by,
        "lines": {name: [to_usd(cost) for cost in costs] for name, costs in facts.lines.items()},
        **derive(facts.health, "incomplete"),
    }


ROWS: Final[dict[Step, int]] = {"daily": 30, "weekly": 13, "monthly": 12}


def _question(step: Step, by: str | None, span: TimeSpan, **given: Any) -> Question:
    span = TimeSpan(last=(step, ROWS[step])) if span == TimeSpan() else span
    return Question("Trend", span, by=(BY[by],) if by else (), step=step, **given)


SPEC: Final = Spec(
    "Look",
    ("trend", "trend --period weekly --by stage", "trend --period monthly --service openai"),
    _question,
    trend_facts,
    trend_report,
    options=(
        Option(
            "--period", "A row for each.", called="step", choices=STEPS, default="daily", shows_default=True
        ),
        Option("--by", "Also a line for each of these, most expensive first.", choices=tuple(sorted(BY))),
        SPAN,
        FILTERS,
    ),
    shared=True,
)
