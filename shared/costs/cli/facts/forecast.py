"""The facts of ``forecast``."""

from __future__ import annotations

from datetime import timedelta

from ...analysis.forecast import HISTORY_DAYS, Day, days_between, forecast
from ...analysis.pace import pace
from ...analysis.sums import by_day, total
from ...periods import Period, between
from ...rollup import Query
from ...views.forecast import ForecastFacts
from ...workspace import Workspace
from ..options import Span
from .common import days_of, health, limits_in, spendings, zone_of


def forecast_facts(workspace: Workspace, user_id: str | None) -> ForecastFacts:
    """Return where the present month of a user (``None``: everyone) will end."""
    now = workspace.clock()
    period = Span().period(now, zone_of(workspace, user_id))
    workspace.index.catch_up_all()
    query = Query(start=period.start, end=period.end, user_id=user_id)
    limits = [x for x in limits_in(workspace, user_id or "", period) if x.scope.kind == "month"]
    mine = [x for x in limits if user_id is not None or x.scope.owner is None]
    return ForecastFacts(
        user_id=user_id,
        period=period,
        forecast=forecast(history_of(workspace, user_id, period), period, now),
        pace=pace(days_of(workspace, user_id, period), period, now),
        totals=total(workspace.index.groups((), query)),
        limits=spendings(workspace, mine),
        health=health(workspace),
    )


def history_of(workspace: Workspace, user_id: str | None, period: Period) -> list[Day]:
    """Return the local days of the last weeks up to today, with what each cost."""
    today = workspace.clock().astimezone(period.zone).date()
    first = min(today - timedelta(days=HISTORY_DAYS), period.first_day)
    span = between(first, today, period.zone)
    costs = by_day(workspace.index.spend_by_bucket(span.start, span.end, user_id=user_id), span)
    return days_between(first, today, dict(zip(span.dates(), costs, strict=True)))
