"""Where a month ends, and where what each limit bounds will stand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from functools import cache
from typing import NamedTuple

from ..analysis.forecast import Day, Forecast, forecast
from ..analysis.history import days_before, days_of_buckets, history_of
from ..analysis.pace import Pace, pace
from ..analysis.sums import by_day
from ..budgets.limits import Spending
from ..budgets.spending import spend_by_bucket
from ..periods import Period
from .plans import paid_of
from .reader import Reader


class LimitForecast(NamedTuple):
    """A limit with what was spent within it, and where that will stand at the end of its period."""

    spending: Spending
    forecast: Forecast

    @property
    def reached(self) -> date | None:
        """The day on which the limit is expected to be reached; ``None`` where it holds."""
        return self.forecast.reaches(self.spending.limit.amount)

    @property
    def days_until_reached(self) -> int | None:
        """How many days that is from today, which in the limit's time zone may be another day than here."""
        return None if self.reached is None else (self.reached - self.forecast.expected[0].date).days


def projected(reader: Reader, user_id: str, period: Period) -> tuple[Pace, Forecast | None]:
    """Return a period's pace with the projection of its forecast, and that forecast.

    All commands that tell where a month ends take it from here or from :func:`forecast` itself, so
    that they agree. A month that is over, or not begun, has no forecast.
    """
    now = reader.now
    if now not in period:
        buckets = paid_of(reader, user_id, period.start, period.end)
        return pace(by_day(buckets, period), period, now), None
    span = days_before(period, now)
    # Asked once, for the weeks before and to the period's end: most of the days are in both.
    buckets = paid_of(reader, user_id, span.start, period.end)
    found = pace(by_day(buckets, period), period, now)
    better = forecast(days_of_buckets(span, buckets), period, now)
    return found._replace(projected=better.projected, low=better.low, high=better.high), better


def limit_forecasts(reader: Reader, spendings: Iterable[Spending]) -> list[LimitForecast]:
    """Return where what each limit bounds will stand at the end of its year, month or week.

    A day is over before days tell anything, and jobs have no end that is known: their limits are
    left out.
    """
    histories = _Histories(reader)
    now = reader.now
    found = []
    for spending in spendings:
        period = spending.limit.period
        if period is not None and period.kind in ("year", "month", "week"):
            found.append(LimitForecast(spending, forecast(histories.of(spending, period), period, now)))
    return found


class _Histories:
    """The days of what limits bound; what several limits ask is read once."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._groups = cache(reader.index.groups)

    def of(self, spending: Spending, period: Period) -> Sequence[Day]:
        limit, reader = spending.limit, self._reader
        if limit.is_whole and not limit.flat:
            return history_of(reader.index, limit.scope.owner, period, reader.now)
        span = days_before(period, reader.now)
        buckets = spend_by_bucket(limit, self._groups, reader.catalogue_name, span.start, span.end)
        return days_of_buckets(span, buckets)
