"""The best projection there is of a month."""

from __future__ import annotations

from ...analysis.forecast import Forecast, forecast
from ...analysis.history import history_of
from ...analysis.pace import Pace, pace
from ...periods import Period
from ...workspace import Workspace
from .common import days_of


def projected(workspace: Workspace, user_id: str | None, period: Period) -> tuple[Pace, Forecast | None]:
    """Return a period's pace, with its projection by weekday where there are days enough to tell them apart.

    The forecast is returned beside it in that case.
    """
    now = workspace.clock()
    found = pace(days_of(workspace, user_id, period), period, now)
    if now not in period:
        return found, None
    better = forecast(history_of(workspace.index, user_id, period, now), period, now)
    if not better.by_weekday:
        return found, None
    return found._replace(projected=better.projected, low=better.low, high=better.high), better
