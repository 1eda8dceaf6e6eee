"""The facts of ``show-monthly``."""

from __future__ import annotations

from ...analysis.pace import Pace, pace
from ...analysis.summary import DIMENSIONS, summarise
from ...money import Nanos
from ...periods import Period, between, previous_month
from ...rollup import Query
from ...views.monthly import MonthFacts
from ...workspace import Workspace
from ..options import Span
from .common import days_of, health, jobs_in, limits_in, monthly, spendings, zone_of


def month_facts(workspace: Workspace, user_id: str | None, month_name: str | None) -> MonthFacts:
    """Return what a month cost one user, or with ``None`` everyone."""
    now = workspace.clock()
    period = Span(month_name).period(now, zone_of(workspace, user_id))
    workspace.index.catch_up_all()
    query = Query(start=period.start, end=period.end, user_id=user_id)
    days = days_of(workspace, user_id, period)
    found = pace(days, period, now)
    groups = workspace.index.groups(DIMENSIONS, query)
    limits = limits_in(workspace, user_id or "", period)
    own = [x for x in limits if x.scope.kind == "month" and x.scope.owner == user_id]
    return MonthFacts(
        period=period,
        summary=summarise(period.name, user_id, groups, jobs_in(workspace, query)),
        days=days,
        pace=found,
        before=_before(workspace, user_id, period, found),
        limit=monthly(spendings(workspace, own), user_id),
        health=health(workspace),
    )


def _before(workspace: Workspace, user_id: str | None, period: Period, found: Pace) -> Nanos | None:
    """Return the cost of the same days of the month before."""
    earlier = same_days_before(period, found)
    return workspace.index.spend(earlier.start, earlier.end, user_id=user_id) or None


def same_days_before(period: Period, found: Pace) -> Period:
    """Return as many days of the month before as have begun in this one: all of it once this one is over."""
    earlier = previous_month(period)
    days = earlier.dates()
    if found.days_left and found.days_begun:
        return between(days[0], days[: found.days_begun][-1], earlier.zone)
    return earlier
