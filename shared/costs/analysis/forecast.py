"""Where a month will end: a run rate that knows weekdays, with an interval.

Pipelines run more on some weekdays than on others, so the days to come are counted as what they
are. From the complete days of the last eight weeks, newer ones weighing more (half as much after
two weeks), each weekday's mean is taken and drawn towards the mean of all days by the weight of
one day, because few Mondays say little. What is left of today counts by the hours left.

A day that cost more than three times the median of its weekday, or that refunds took further below zero,
is taken as three times it: what went wrong once is not expected to go wrong every week.

The interval is a prediction interval for the sum of the m days to come, as in :mod:`.pace`, but with
the deviations from the weekday's mean, with as many days behind the mean as weigh equally
(n = (sum w)**2 / sum w**2), and wider where weeks cluster: the variance is multiplied by that of the
deviations' weekly sums over that of seven independent days, where this is above 1. Eight times in ten
the month ends in it, as far as the days to come are like those seen: a pipeline that grows by a third
every month, or whose days go wrong tenfold, leaves it more often. With less than two weeks of days,
weekdays are not told apart; before three days there is no interval. On the very first day what it has
cost is spread over the days of the period that have begun, and that average is carried on.

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
"""How many days before today are looked at."""

WEEKDAYS_FROM: Final = 14
"""With fewer days, weekdays are not told apart."""

FEWEST_WEEKS: Final = 4
"""With fewer, how weeks vary says nothing."""

_HALF_LIFE_DAYS: Final = 14.0
_ODD: Final = 3
_PULL: Final = 1.0
"""With how many days' weight a weekday's mean is drawn towards the mean of all."""


class Day(NamedTuple):
    """One local day and what it cost, in nano-dollars."""

    date: date
    cost: Nanos


class Forecast(NamedTuple):
    """Where a period ends, in nano-dollars.

    ``expected`` is what each day to come is expected to cost, today's remaining part first.
    ``seen`` is how many days stand behind it. ``by_weekday`` tells whether weekdays were told
    apart. ``low`` and ``high`` are ``None`` where too few days were seen.
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
        """What one of them costs on average; zero on the last day, which has none after it."""
        return mean(Nanos(sum(day.cost for day in self.whole_days)), len(self.whole_days))

    def reaches(self, limit: int) -> date | None:
        """Return the day on which the spend of the period is expected to reach ``limit``, or ``None``."""
        so_far: int = self.spent
        if so_far >= limit and self.expected:
            return self.expected[0].date
        for day in self.expected:
            so_far += day.cost
            if so_far >= limit:
                return day.date
        return None


def forecast(history: Sequence[Day], period: Period, now: datetime) -> Forecast:
    """Return where ``period`` will end.

    ``history`` has every local day from some day before the period to today, in order, days without
    calls as zeros. Days before the first cost are left out: nothing was running yet.

    >>> from datetime import UTC
    >>> from shared.costs.periods import parse_month, zone
    >>> november = parse_month("2026-11", zone("UTC"))
    >>> days = [Day(date(2026, 10, 1) + timedelta(days=n), Nanos(10)) for n in range(53)]
    >>> found = forecast(days, november, datetime(2026, 11, 22, 12, tzinfo=UTC))
    >>> found.projected, found.by_weekday
    (305, True)
    """
    today = now.astimezone(period.zone).date()
    spent = Nanos(sum(day.cost for day in history if period.first_day <= day.date < period.end_day))
    complete = _tamed(_since_first_cost([day for day in history if day.date < today])[-HISTORY_DAYS:])
    means = _DailyMeans.of(complete) if complete else _DailyMeans.even(spent, period, today)
    expected = _to_come(means, period, now)
    projected = Nanos(spent + sum(day.cost for day in expected))
    low, high = _interval(complete, means, len(expected), spent, projected)
    return Forecast(spent, projected, low, high, expected, len(complete), means.by_weekday)


def _since_first_cost(days: Sequence[Day]) -> list[Day]:
    first = next((at for at, day in enumerate(days) if day.cost), len(days))
    return list(days[first:])


def _tamed(days: Sequence[Day]) -> list[Day]:
    """Return the days, odd ones and odd refunds cut to three times the median of their weekday."""
    if len(days) < WEEKDAYS_FROM:
        return list(days)
    usual = [median([day.cost for day in days if day.date.weekday() == weekday]) for weekday in range(7)]
    whole = median([day.cost for day in days])
    return [
        day._replace(cost=Nanos(max(-most, min(day.cost, most))))
        for day in days
        for most in [_ODD * abs(usual[day.date.weekday()] or whole or day.cost)]
    ]


class _DailyMeans(NamedTuple):
    """What a day costs, on the whole and by weekday (Monday first)."""

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
            chosen = [at for at, day in enumerate(days) if day.date.weekday() == weekday]
            costs = [days[at].cost for at in chosen]
            weekdays.append(_mean(costs, [weights[at] for at in chosen], whole, _PULL))
        return cls(whole, tuple(weekdays), by_weekday=True)

    @classmethod
    def even(cls, spent: Nanos, period: Period, today: date) -> _DailyMeans:
        begun = max((today - period.first_day).days + 1, 1)
        return cls(spent / begun, (spent / begun,) * 7, by_weekday=False)

    def on(self, day: date) -> float:
        return self.weekdays[day.weekday()]


def _weights(days: int) -> list[float]:
    return [0.5 ** ((days - 1 - at) / _HALF_LIFE_DAYS) for at in range(days)]


def _mean(costs: Sequence[int], weights: Sequence[float], towards: float, pull: float) -> float:
    weight = sum(weights) + pull
    if not weight:
        return 0.0
    return (sum(cost * w for cost, w in zip(costs, weights, strict=True)) + towards * pull) / weight


def _to_come(means: _DailyMeans, period: Period, now: datetime) -> tuple[Day, ...]:
    """Return what the rest of today and each later day of the period should cost."""
    days = [day for day in period.days() if day.end > now]
    found = []
    for day in days:
        left = (day.end - max(now, day.start)) / (day.end - day.start)
        found.append(Day(day.first_day, Nanos(round(means.on(day.first_day) * left))))
    return tuple(found)


def _interval(
    days: Sequence[Day], means: _DailyMeans, left: int, spent: Nanos, projected: Nanos
) -> tuple[Nanos | None, Nanos | None]:
    if not left:
        return spent, spent
    if len(days) < FEWEST_DAYS:
        return None, None
    freedom = max(len(days) - (7 if means.by_weekday else 1), 1)
    rests = [day.cost - means.on(day.date) for day in days]
    variance = sum(rest * rest for rest in rests) / freedom * _clustering(rests)
    n = _behind(_weights(len(days)))
    half = QUANTILES[min(freedom, len(QUANTILES)) - 1] * math.sqrt(variance * (left + left * left / n))
    return Nanos(max(min(spent, projected), round(projected - half))), Nanos(round(projected + half))


def _behind(weights: Sequence[float]) -> float:
    """Return how many equal days weigh as much for a mean as these (Kish's effective sample size)."""
    return sum(weights) ** 2 / sum(weight * weight for weight in weights)


def _clustering(rests: Sequence[float]) -> float:
    """Return by how much sums over weeks vary more than independent days would; at least 1.0.

    Where spend grows, or busy weeks follow busy weeks, days are not independent, and an interval
    that takes them as such is too narrow.
    """
    weeks = [sum(rests[at : at + 7]) for at in range(len(rests) % 7, len(rests), 7)]
    daily = sum(rest * rest for rest in rests) / len(rests)
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
    """What is asked of the index."""

    def spend_by_bucket(
        self, start: datetime, end: datetime, *, user_id: str | None = None
    ) -> Mapping[int, Nanos]:
        """Return what was spent in ``[start, end)`` by 15-minute bucket, by one user or by all."""
        ...


def days_before(period: Period, now: datetime) -> Period:
    """Return the stretch of days that a forecast of ``period`` needs: up to today, some weeks long.

    >>> from datetime import UTC
    >>> from zoneinfo import ZoneInfo
    >>> from shared.costs.periods import parse_month
    >>> days_before(parse_month("2026-11", ZoneInfo("UTC")), datetime(2026, 11, 22, tzinfo=UTC)).name
    '2026-09-27..2026-11-22'
    """
    today = now.astimezone(period.zone).date()
    return between(min(today - timedelta(days=HISTORY_DAYS), period.first_day), today, period.zone)


def days_of_buckets(span: Period, buckets: Mapping[int, int]) -> list[Day]:
    """Return every local day of a stretch with what it cost, from its 15-minute buckets."""
    costs: dict[date, Nanos] = dict(zip(span.dates(), by_day(buckets, span), strict=True))
    return days_between(span.dates()[0], span.dates()[-1], costs)


def history_of(reader: BucketReader, user_id: str | None, period: Period, now: datetime) -> list[Day]:
    """Return the local days of the last weeks up to today, with what each cost a user (``None``: all)."""
    span = days_before(period, now)
    return days_of_buckets(span, reader.spend_by_bucket(span.start, span.end, user_id=user_id))
