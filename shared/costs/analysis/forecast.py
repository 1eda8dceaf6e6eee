"""Forecasts a period's spend: a run rate by weekday, with a prediction interval.

Pipelines run more on some weekdays than on others, so each day to come is expected to cost the mean of its
weekday: the mean over the complete days of the last eight weeks, newer ones weighing more (half as much
after two weeks), drawn towards the mean of all days by the weight of one day, because a few Mondays are a
small sample. The rest of today counts by its remaining hours.

A day that cost more than three times the median of its weekday, or that refunds took as far below zero,
is counted as three times the median: a single failure is not expected to recur every week.

The interval is a prediction interval for the sum of the m days to come, as in :mod:`.pace`, but with
the deviations from the weekday's mean, with as many days behind the mean as weigh equally
(n = (sum w)**2 / sum w**2), and wider where weeks cluster: the variance is multiplied by that of the
deviations' weekly sums over that of seven independent days, where this is above 1. The month ends inside
it eight times in ten, if the days to come are like those seen: with a pipeline that grows by a third
every month, or whose days cost ten times as much now and then, less often. With less than two weeks of
days, weekdays are not distinguished; before three days there is no interval. On the very first day, its
cost is spread over the days of the period that have begun, and that average is continued.

Sources: weighted means, R. J. Hyndman and G. Athanasopoulos, Forecasting: Principles and Practice,
3rd ed., chapters 5 and 8, https://otexts.com/fpp3/; drawing small groups towards the mean,
B. Efron and C. Morris, Stein's Paradox in Statistics, Scientific American 236 (1977); the
interval, Hahn and Meeker, Statistical Intervals (1991), chapter 4; unequal weights, L. Kish, Survey
Sampling (1965), section 11.2; sums of dependent days, the method of batch means, A. M. Law, Simulation
Modeling and Analysis, 5th ed. (2015), section 9.5.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple, Protocol

from ..money import Nanos
from ..periods import Period, between
from .pace import FEWEST_DAYS, QUANTILES
from .sums import by_day, mean, median

HISTORY_DAYS: Final = 56
"""How many days before today are used."""

WEEKDAYS_FROM: Final = 14
"""With fewer days, weekdays are not distinguished."""

FEWEST_WEEKS: Final = 4
"""With fewer, the variation of weeks is not used."""

_HALF_LIFE_DAYS: Final = 14.0
_OUTLIER_FACTOR: Final = 3
_PULL: Final = 1.0
"""The weight, in days, with which a weekday's mean is drawn towards the mean of all days."""


class Day(NamedTuple):
    """One local day and what it cost, in nano-dollars."""

    date: date
    cost: Nanos


class Forecast(NamedTuple):
    """The projected spend of a period, in nano-dollars.

    ``expected`` is what each day to come is expected to cost, the rest of today first.
    ``seen`` is how many days it is based on. ``by_weekday`` says whether weekdays were distinguished.
    ``low`` and ``high`` are ``None`` where too few days were seen.
    """

    spent: Nanos
    projected: Nanos
    low: Nanos | None
    high: Nanos | None
    expected: tuple[Day, ...]
    seen: int
    by_weekday: bool

    @property
    def whole_days(self) -> tuple[Day, ...]:
        """The days to come that have not begun."""
        return self.expected[1:]

    @property
    def per_day(self) -> Nanos:
        """The average of :attr:`whole_days`; zero on the last day, when there are none."""
        return mean(Nanos(sum(day.cost for day in self.whole_days)), len(self.whole_days))

    def reaches(self, limit: int) -> date | None:
        """Return the day on which the spend of the period is expected to reach ``limit``, or ``None``."""
        spent: int = self.spent
        if spent >= limit and self.expected:
            return self.expected[0].date
        for day in self.expected:
            spent += day.cost
            if spent >= limit:
                return day.date
        return None


def forecast(history: Sequence[Day], period: Period, now: datetime) -> Forecast:
    """Return the forecast of a period's spend.

    ``history`` has every local day from some day before the period to today, in order, days without
    calls as zeros. Days before the first cost are ignored: nothing was running yet.

    >>> from datetime import UTC
    >>> from shared.costs.periods import parse_month, zone
    >>> november = parse_month("2026-11", zone("UTC"))
    >>> days = [Day(date(2026, 10, 1) + timedelta(days=n), Nanos(10)) for n in range(53)]
    >>> result = forecast(days, november, datetime(2026, 11, 22, 12, tzinfo=UTC))
    >>> result.projected, result.by_weekday
    (305, True)
    """
    today = now.astimezone(period.zone).date()
    spent = Nanos(sum(day.cost for day in history if period.first_day <= day.date < period.end_day))
    complete = _clipped(_since_first_cost([day for day in history if day.date < today])[-HISTORY_DAYS:])
    means = _DailyMeans.of(complete) if complete else _DailyMeans.even(spent, period, today)
    expected = _expected_days(means, period, now)
    projected = Nanos(spent + sum(day.cost for day in expected))
    low, high = _interval(complete, means, len(expected), spent, projected)
    return Forecast(spent, projected, low, high, expected, len(complete), means.by_weekday)


def _since_first_cost(days: Sequence[Day]) -> list[Day]:
    first = next((position for position, day in enumerate(days) if day.cost), len(days))
    return list(days[first:])


def _clipped(days: Sequence[Day]) -> list[Day]:
    """Return the days with outliers and large refunds cut to three times the median of their weekday."""
    if len(days) < WEEKDAYS_FROM:
        return list(days)
    usual = [median([day.cost for day in days if day.date.weekday() == weekday]) for weekday in range(7)]
    whole = median([day.cost for day in days])
    return [
        day._replace(cost=Nanos(max(-most, min(day.cost, most))))
        for day in days
        for most in [_OUTLIER_FACTOR * abs(usual[day.date.weekday()] or whole or day.cost)]
    ]


class _DailyMeans(NamedTuple):
    """The mean cost of a day, over all days and by weekday (Monday first)."""

    whole: float
    weekdays: tuple[float, ...]
    by_weekday: bool

    @classmethod
    def of(cls, days: Sequence[Day]) -> _DailyMeans:
        weights = _weights(len(days))
        whole = _mean([day.cost for day in days], weights, 0.0, 0.0)
        if len(days) < WEEKDAYS_FROM:
            return cls(whole, (whole,) * 7, by_weekday=False)
        weekdays = []
        for weekday in range(7):
            positions = [position for position, day in enumerate(days) if day.date.weekday() == weekday]
            costs = [days[position].cost for position in positions]
            weekdays.append(_mean(costs, [weights[position] for position in positions], whole, _PULL))
        return cls(whole, tuple(weekdays), by_weekday=True)

    @classmethod
    def even(cls, spent: Nanos, period: Period, today: date) -> _DailyMeans:
        begun = max((today - period.first_day).days + 1, 1)
        return cls(spent / begun, (spent / begun,) * 7, by_weekday=False)

    def on(self, day: date) -> float:
        return self.weekdays[day.weekday()]


def _weights(days: int) -> list[float]:
    return [0.5 ** ((days - 1 - position) / _HALF_LIFE_DAYS) for position in range(days)]


def _mean(costs: Sequence[int], weights: Sequence[float], towards: float, pull: float) -> float:
    weight = sum(weights) + pull
    if not weight:
        return 0.0
    return (
        sum(cost * day_weight for cost, day_weight in zip(costs, weights, strict=True)) + towards * pull
    ) / weight


def _expected_days(means: _DailyMeans, period: Period, now: datetime) -> tuple[Day, ...]:
    """Return the expected cost of the rest of today and of each later day of the period."""
    days = [day for day in period.days() if day.end > now]
    expected = []
    for day in days:
        remaining = (day.end - max(now, day.start)) / (day.end - day.start)
        expected.append(Day(day.first_day, Nanos(round(means.on(day.first_day) * remaining))))
    return tuple(expected)


def _interval(
    days: Sequence[Day], means: _DailyMeans, days_left: int, spent: Nanos, projected: Nanos
) -> tuple[Nanos | None, Nanos | None]:
    if not days_left:
        return spent, spent
    if len(days) < FEWEST_DAYS:
        return None, None
    freedom = max(len(days) - (7 if means.by_weekday else 1), 1)
    residuals = [day.cost - means.on(day.date) for day in days]
    variance = sum(residual * residual for residual in residuals) / freedom * _clustering(residuals)
    n = _effective_size(_weights(len(days)))
    half = QUANTILES[min(freedom, len(QUANTILES)) - 1] * math.sqrt(
        variance * (days_left + days_left * days_left / n)
    )
    return Nanos(max(min(spent, projected), round(projected - half))), Nanos(round(projected + half))


def _effective_size(weights: Sequence[float]) -> float:
    """Return how many equal days weigh as much for a mean as these (Kish's effective sample size)."""
    return sum(weights) ** 2 / sum(weight * weight for weight in weights)


def _clustering(residuals: Sequence[float]) -> float:
    """Return by how much weekly sums vary more than those of independent days would; at least 1.0.

    Where spend grows, or busy weeks follow busy weeks, days are not independent, and an interval
    that assumes that they are is too narrow.
    """
    weeks = [sum(residuals[start : start + 7]) for start in range(len(residuals) % 7, len(residuals), 7)]
    daily = sum(residual * residual for residual in residuals) / len(residuals)
    if len(weeks) < FEWEST_WEEKS or not daily:
        return 1.0
    return max(1.0, sum(week * week for week in weeks) / len(weeks) / (7 * daily))


def days_between(first: date, last: date, costs: dict[date, Nanos]) -> list[Day]:
    """Return every day from ``first`` to ``last`` with its cost, zero where there is none.

    >>> days_between(date(2026, 11, 1), date(2026, 11, 2), {date(2026, 11, 2): Nanos(5)})[0].cost
    0
    """
    span = (last - first).days + 1
    return [Day(day, costs.get(day, Nanos(0))) for day in (first + timedelta(days=n) for n in range(span))]


class BucketReader(Protocol):
    """The part of the index that a forecast reads."""

    def spend_by_bucket(
        self, start: datetime, end: datetime, *, user_id: str | None = None
    ) -> Mapping[int, Nanos]:
        """Return what was spent in ``[start, end)`` by 15-minute bucket, by one user or by all."""
        ...


def days_before(period: Period, now: datetime) -> Period:
    """Return the days that a forecast of ``period`` needs: some weeks up to today.

    >>> from datetime import UTC
    >>> from zoneinfo import ZoneInfo
    >>> from shared.costs.periods import parse_month
    >>> days_before(parse_month("2026-11", ZoneInfo("UTC")), datetime(2026, 11, 22, tzinfo=UTC)).name
    '2026-09-27..2026-11-22'
    """
    today = now.astimezone(period.zone).date()
    return between(min(today - timedelta(days=HISTORY_DAYS), period.first_day), today, period.zone)


def days_of_buckets(span: Period, buckets: Mapping[int, int]) -> list[Day]:
    """Return every local day of a period with its cost, from its 15-minute buckets."""
    costs: dict[date, Nanos] = dict(zip(span.dates(), by_day(buckets, span), strict=True))
    return days_between(span.dates()[0], span.dates()[-1], costs)


def history_of(reader: BucketReader, user_id: str | None, period: Period, now: datetime) -> list[Day]:
    """Return the local days of the last weeks up to today with a user's cost (``None``: all users')."""
    span = days_before(period, now)
    return days_of_buckets(span, reader.spend_by_bucket(span.start, span.end, user_id=user_id))
