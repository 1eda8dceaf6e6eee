"""The days that forecasts look back on, and the best projection there is of a month."""

from __future__ import annotations

from datetime import timedelta

from ...analysis.forecast import HISTORY_DAYS, Day, Forecast, days_between, forecast
from ...analysis.pace import Pace, pace
from ...analysis.sums import by_day
from ...periods import Period, between
from ...workspace import Workspace
from .common import days_of


def history_of(workspace: Workspace, user_id: str | None, period: Period) -> list[Day]:
    """Return the local days of the last weeks up to today, with what each cost."""
    today = workspace.clock().astimezone(period.zone).date()
    first = min(today - timedelta(days=HISTORY_DAYS), period.first_day)
    span = between(first, today, period.zone)
    costs = by_day(workspace.index.spend_by_bucket(span.start, span.end, user_id=user_id), span)
    return days_between(first, today, dict(zip(span.dates(), costs, strict=True)))


def projected(workspace: Workspace, user_id: str | None, period: Period) -> tuple[Pace, Forecast | None]:
    """Return a period's pace, with its projection by weekday where there are days enough to tell them apart.

    The forecast is returned beside it in that case.
    """
    now = workspace.clock()
    found = pace(days_of(workspace, user_id, period), period, now)
    if now not in period:
        return found, None
    better = forecast(history_of(workspace, user_id, period), period, now)
    if not better.by_weekday:
        return found, None
    return found._replace(projected=better.projected, low=better.low, high=better.high), better
