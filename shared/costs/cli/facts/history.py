"""The days that forecasts look back on."""

from __future__ import annotations

from datetime import timedelta

from ...analysis.forecast import HISTORY_DAYS, Day, days_between
from ...analysis.sums import by_day
from ...periods import Period, between
from ...workspace import Workspace


def history_of(workspace: Workspace, user_id: str | None, period: Period) -> list[Day]:
    """Return the local days of the last weeks up to today, with what each cost."""
    today = workspace.clock().astimezone(period.zone).date()
    first = min(today - timedelta(days=HISTORY_DAYS), period.first_day)
    span = between(first, today, period.zone)
    costs = by_day(workspace.index.spend_by_bucket(span.start, span.end, user_id=user_id), span)
    return days_between(first, today, dict(zip(span.dates(), costs, strict=True)))
