"""Months and years that are on course to pass a limit, looked at when a stage ends."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from ..analysis.forecast import forecast
from ..analysis.history import days_before, days_of_buckets, history_of
from ..budgets.limits import Crossing, Spending, foresee
from ..budgets.spending import spend_by_bucket

if TYPE_CHECKING:
    from ..budgets.scopes import ModelName
    from ..store.store import Store


def foreseen(index: Store, spendings: Iterable[Spending], now: datetime, names: ModelName) -> list[Crossing]:
    """Return the alerts of limits on months and years that will be passed as days have been going.

    Nothing is foreseen before two weeks of days tell weekdays apart: an alert is told once, and must
    not be used up by a busy first morning.
    """
    found = (_foreseen(index, each, now, names) for each in spendings if _likely(each, now))
    return [crossed for crossed in found if crossed is not None]


def _foreseen(index: Store, spending: Spending, now: datetime, names: ModelName) -> Crossing | None:
    limit, period = spending.limit, spending.limit.period
    if period is None:
        return None
    if limit.is_whole and not limit.flat:
        days = history_of(index, limit.scope.owner, period, now)
    else:
        span = days_before(period, now)
        days = days_of_buckets(span, spend_by_bucket(limit, index.groups, names, span.start, span.end))
    expected = forecast(days, period, now)
    return foresee(spending, expected.projected) if expected.by_weekday else None


def _likely(spending: Spending, now: datetime) -> bool:
    """Tell whether a look weeks back is worth its time: not below half an even pace."""
    period = spending.limit.period
    if period is None or period.kind not in ("month", "year") or spending.remaining <= 0:
        return False
    gone = int((now - period.start).total_seconds())
    whole = int((period.end - period.start).total_seconds())
    return 2 * spending.spent * whole >= spending.limit.amount * gone
