"""The facts of ``trend``."""

from __future__ import annotations

from collections.abc import Sequence

from ...analysis.sums import UNNAMED, Step, divide_period, is_whole, total, totals_by
from ...money import Nanos
from ...periods import Period
from ...rollup import Dimension, Group
from ...views.period import Stretch
from ...views.trend import TrendFacts
from ...workspace import Workspace
from .common import health, zone_of
from .period import LABELS, Asked, told_apart


def trend_facts(workspace: Workspace, asked: Asked, step: Step) -> TrendFacts:
    """Return spend by stretch, and by the first dimension that was asked for."""
    period = asked.span.period(workspace.clock(), zone_of(workspace, asked.query.user_id))
    parts = divide_period(period, step)
    query = asked.query._replace(start=period.start, end=period.end)
    workspace.index.catch_up_all()
    by = asked.by[0] if asked.by else None
    groups = workspace.index.groups(_dimensions(by), query)
    sums = totals_by(groups, parts)
    now = workspace.clock()
    return TrendFacts(
        step=step,
        period=period,
        stretches=[
            Stretch(part.name, totals, is_whole(part, step, now))
            for part, totals in zip(parts, sums, strict=True)
        ],
        totals=total(groups),
        by=LABELS[by].lower() if by else None,
        lines=lines_by(told_apart(groups, by), parts) if by else {},
        filters=asked.filters,
        health=health(workspace),
    )


def _dimensions(by: Dimension | None) -> tuple[Dimension, ...]:
    """Return what to group by; a model is named with its service."""
    if by is None:
        return ("bucket",)
    return ("service", "model", "bucket") if by == "model" else (by, "bucket")


def lines_by(groups: Sequence[Group], parts: Sequence[Period]) -> dict[str, list[Nanos]]:
    """Return the cost by stretch for each name, dearest first; the last key of the groups is the bucket."""
    by_name: dict[str, list[Group]] = {}
    for group in groups:
        name = "/".join(str(UNNAMED if part is None else part) for part in group.key[:-1])
        by_name.setdefault(name, []).append(group)
    costs = {name: [t.cost for t in totals_by(mine, parts)] for name, mine in by_name.items()}
    return dict(sorted(costs.items(), key=lambda item: (-sum(item[1]), item[0])))
