"""The facts of ``forecast``."""

from __future__ import annotations

from ...analysis.forecast import forecast
from ...analysis.history import history_of
from ...analysis.pace import pace
from ...analysis.sums import total
from ...rollup import Query
from ...views.forecast import ForecastFacts
from ...workspace import Workspace
from ..options import Span
from .common import days_of, health, limits_in, spendings, zone_of
from .limit_forecasts import limit_forecasts


def forecast_facts(workspace: Workspace, user_id: str | None) -> ForecastFacts:
    """Return where the present month of a user (``None``: everyone) will end."""
    now = workspace.clock()
    period = Span().period(now, zone_of(workspace, user_id))
    workspace.index.catch_up_all()
    query = Query(start=period.start, end=period.end, user_id=user_id)
    limits = limits_in(workspace, user_id or "", period)
    mine = [x for x in limits if user_id is not None or x.scope.owner is None]
    return ForecastFacts(
        user_id=user_id,
        period=period,
        forecast=forecast(history_of(workspace.index, user_id, period, now), period, now),
        pace=pace(days_of(workspace, user_id, period), period, now),
        totals=total(workspace.index.groups((), query)),
        limits=limit_forecasts(workspace, spendings(workspace, mine)),
        health=health(workspace),
    )
