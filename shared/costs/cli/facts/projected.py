"""The best projection there is of a month."""

from __future__ import annotations

from ...analysis.forecast import Forecast, forecast
from ...analysis.history import days_before, days_of_buckets
from ...analysis.pace import Pace, pace
from ...analysis.sums import by_day
from ...periods import Period
from ...workspace import Workspace
from .common import days_of


def projected(workspace: Workspace, user_id: str, period: Period) -> tuple[Pace, Forecast | None]:
    """Return a period's pace with the projection of its forecast, and that forecast.

    All commands that tell where a month ends take it from here or from :func:`forecast` itself, so
    that they agree. A month that is over, or not begun, has no forecast.
    """
    now = workspace.clock()
    if now not in period:
        return pace(days_of(workspace, user_id, period), period, now), None
    span = days_before(period, now)
    # Asked once, for the weeks before and to the period's end: most of the days are in both.
    buckets = workspace.index.spend_by_bucket(span.start, period.end, user_id=user_id)
    found = pace(by_day(buckets, period), period, now)
    better = forecast(days_of_buckets(span, buckets), period, now)
    return found._replace(projected=better.projected, low=better.low, high=better.high), better
