"""The facts of ``show-monthly``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...analysis.pace import Pace, pace
from ...analysis.summary import DIMENSIONS, Summary, summarise
from ...money import Nanos
from ...periods import Period, between, previous_month
from ...rollup import Query
from ...views.monthly import MonthFacts
from ...workspace import Workspace
from ..options import Span
from .common import days_of, health, jobs_in, limits_in, monthly, own_prices, spendings, zone_of

if TYPE_CHECKING:
    from ...analysis.avoided import Saving


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
    summary = summarise(period.name, user_id, groups, jobs_in(workspace, query))
    return MonthFacts(
        period=period,
        summary=summary,
        days=days,
        pace=found,
        before=_before(workspace, user_id, period, found),
        limit=monthly(spendings(workspace, own), user_id),
        health=health(workspace),
        avoided=_avoided(workspace, query, summary),
    )


def _avoided(workspace: Workspace, query: Query, summary: Summary) -> Sequence[Saving]:
    prices = own_prices(workspace)
    if prices is None:
        return ()
    from ...analysis.avoided import Calls, of_period  # only with prices that it can be told by

    index = workspace.index
    calls = Calls(lambda part: (group.totals for group in index.groups((), part)), index.entries)
    free = (name.partition("/") for name, totals in summary.by_model.items() if not totals.cost)
    return of_period(calls, query, [(service, model) for service, _, model in free], prices)


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
