"""The facts of ``show-budget``."""

from __future__ import annotations

from ...analysis.pace import outlook, pace
from ...analysis.sums import total
from ...rollup import Query
from ...views.budget import BudgetFacts
from ...workspace import Workspace
from ..options import Span
from .common import days_of, health, limits_in, monthly, spendings


def budget_facts(workspace: Workspace, user_id: str, month_name: str | None) -> BudgetFacts:
    """Return where a user's month stands."""
    settings = workspace.profile.for_user(user_id)
    now = workspace.clock()
    period = Span(month_name).period(now, settings.timezone)
    workspace.index.catch_up_all()
    query = Query(start=period.start, end=period.end, user_id=user_id)
    found = pace(days_of(workspace, user_id, period), period, now)
    limits = spendings(workspace, limits_in(workspace, user_id, period))
    own = monthly(limits, user_id)
    return BudgetFacts(
        user_id=user_id,
        period=period,
        totals=total(workspace.index.groups((), query)),
        pace=found,
        spendings=limits,
        month=own,
        outlook=outlook(found, own.limit.amount) if own else None,
        profile=workspace.loaded_profile().described,
        health=health(workspace),
    )
