"""Months that are on course to pass their limit, looked at when a stage ends."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from ..analysis.forecast import forecast
from ..analysis.history import history_of
from ..budgets.limits import Crossing, Spending, foresee
from ..periods import Period

if TYPE_CHECKING:
    from ..store.store import Store


def foreseen(index: Store, spendings: Iterable[Spending], now: datetime) -> list[Crossing]:
    """Return the alerts of monthly limits that will be passed as days have been going.

    Nothing is foreseen before two weeks of days tell weekdays apart: an alert is told once, and must
    not be used up by a busy first morning.
    """
    found = (_foreseen(index, each, each.limit.period, now) for each in spendings if _likely(each, now))
    return [crossed for crossed in found if crossed is not None]


def _foreseen(index: Store, spending: Spending, period: Period | None, now: datetime) -> Crossing | None:
    if period is None:
        return None
    days = history_of(index, spending.limit.scope.owner, period, now)
    expected = forecast(days, period, now)
    return foresee(spending, expected.projected) if expected.by_weekday else None


def _likely(spending: Spending, now: datetime) -> bool:
    """Tell whether a look weeks back is worth its time: not below half an even pace."""
    period = spending.limit.period
    if not spending.limit.is_month or period is None or spending.remaining <= 0:
        return False
    gone = int((now - period.start).total_seconds())
    whole = int((period.end - period.start).total_seconds())
    return 2 * spending.spent * whole >= spending.limit.amount * gone
