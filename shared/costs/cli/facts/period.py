"""The facts of ``report`` and its presets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ...analysis.sums import Step, by_each_tag, divide_period, split, split_by, total, totals_by
from ...budgets.limits import Spending
from ...periods import Period
from ...rollup import Dimension, Group, Query
from ...views.common import Breakdown
from ...views.period import PeriodFacts, Stretch
from ...workspace import Workspace
from ..options import Span
from .common import health, jobs_in, limits_in, others, spendings, zone_of

LABELS: Final[Mapping[Dimension, str]] = {
    "service": "Service",
    "model": "Model",
    "stage": "Stage",
    "operation": "Category",
    "user_id": "User",
    "job_id": "Job",
    "workflow": "Workflow",
    "project": "Project",
    "tags": "Tag",
    "service_tier": "Tier",
}
"""What reports can be broken down by, and how people call it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is asked to show. ``filters`` are the query's conditions as people named them."""

    title: str
    span: Span
    query: Query = field(default_factory=Query)
    filters: Mapping[str, str] = field(default_factory=dict)
    by: Sequence[Dimension] = ("model", "operation")
    step: Step | None = None
    show_limits: bool = False


def period_facts(workspace: Workspace, asked: Asked) -> PeriodFacts:
    """Return sums over a stretch of time, with the breakdowns and the history that were asked for."""
    zone = zone_of(workspace, asked.query.user_id)
    period = asked.span.period(workspace.clock(), zone)
    query = asked.query._replace(start=period.start, end=period.end)
    workspace.index.catch_up_all()
    whole = total(workspace.index.groups((), query))
    whole.jobs = jobs_in(workspace, query)
    return PeriodFacts(
        title=asked.title,
        period=period,
        totals=whole,
        filters=asked.filters,
        breakdowns=[_breakdown(workspace, dimension, query) for dimension in asked.by],
        stretches=_stretches(workspace, asked.step, period, query),
        spendings=_standing(workspace, asked, period),
        others=() if whole.calls or query.user_id is None else others(workspace, query),
        health=health(workspace),
    )


def _breakdown(workspace: Workspace, dimension: Dimension, query: Query) -> Breakdown:
    label = LABELS[dimension]
    if dimension == "model":
        groups = workspace.index.groups(("service", "model"), query)
        return Breakdown("by_model", label, split_by(groups, lambda key: f"{key[0]}/{key[1]}"))
    named = told_apart(workspace.index.groups((dimension,), query), dimension)
    return Breakdown(f"by_{label.lower()}", label, split(named, 0))


def told_apart(groups: Sequence[Group], dimension: Dimension) -> Sequence[Group]:
    """Return groups by the names that people know: each tag by itself, and the standard tier by its name."""
    if dimension == "tags":
        return by_each_tag(groups)
    if dimension == "service_tier":
        return [group._replace(key=(group.key[0] or "standard", *group.key[1:])) for group in groups]
    return groups


def _stretches(workspace: Workspace, step: Step | None, period: Period, query: Query) -> list[Stretch]:
    if step is None:
        return []
    parts = divide_period(period, step)
    sums = totals_by(workspace.index.groups(("bucket",), query), parts)
    return [Stretch(part.name, totals) for part, totals in zip(parts, sums, strict=True)]


def _standing(workspace: Workspace, asked: Asked, period: Period) -> tuple[Spending, ...]:
    """Return the limits in force, where the report is about the present and about a user."""
    if not asked.show_limits or asked.query.user_id is None:
        return ()
    return spendings(workspace, limits_in(workspace, asked.query.user_id, period))
