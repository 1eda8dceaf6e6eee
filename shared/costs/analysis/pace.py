"""The pace of a month's spend, and its projection.

The average is over the days that have begun, today included; the projection continues it to the
month's end. The range around it is a prediction interval for the sum of the days to come:

    m * mean  +/-  t(n-1, 90 %) * s * sqrt(m + m * m / n)

with n days seen, m days to come and s the standard deviation of a day. Eight times in ten the
month should end inside it. It assumes that the days are alike and independent, and there is none before
three days are seen. Source: Hahn and Meeker, Statistical Intervals (Wiley, 1991), chapter 4; the
sum of m future values has the variance s*s*m, and the mean it is centred on s*s*m*m/n.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple

from ..money import ZERO, Nanos
from ..periods import Period
from .sums import mean

FEWEST_DAYS: Final = 3
"""With fewer days there is no range."""

_T_90: Final = (3.078, 1.886, 1.638, 1.533, 1.476, 1.440, 1.415, 1.397, 1.383, 1.372, 1.363, 1.356, 1.350)
_T_90_MORE: Final = (
    1.345,
    1.341,
    1.337,
    1.333,
    1.330,
    1.328,
    1.325,
    1.323,
    1.321,
    1.319,
    1.318,
    1.316,
    1.315,
)
_T_90_REST: Final = (1.314, 1.313, 1.311, 1.310)
"""90 % quantiles of Student's t with 1 to 30 degrees of freedom.
https://www.itl.nist.gov/div898/handbook/eda/section3/eda3672.htm"""

QUANTILES: Final = _T_90 + _T_90_MORE + _T_90_REST


class Pace(NamedTuple):
    """What a period's days have cost so far, and the projection from them. Amounts in nano-dollars.

    ``today`` is the local date; ``days_begun`` counts it, ``days_left`` does not: on the last day no day is
    left, but the period is not over. ``low`` and ``high`` bound the projection, or are ``None`` with too few
    days.
    """

    today: date
    spent: Nanos
    days_begun: int
    days_left: int
    daily_average: Nanos
    projected: Nanos
    low: Nanos | None = None
    high: Nanos | None = None
    is_over: bool = False

    @property
    def days(self) -> int:
        """How many days the period has."""
        return self.days_begun + self.days_left


class Outlook(NamedTuple):
    """What a pace means for a limit.

    ``days_until_exhausted`` is at the average rate, however long that takes; 0.0 when nothing
    remains, ``None`` when nothing is spent, or when the average would use up the limit within the
    period but the projection, which may know more than the average, stays below it. ``allowed_per_day`` is
    what each of the days left may cost; ``cut_per_day`` is by how much that is below their projected
    cost, or zero. Both are ``None`` on the last day. ``ahead`` is what was spent beyond an
    even pace (negative: less than that).
    """

    days_until_exhausted: float | None
    exhausted_on: date | None
    allowed_per_day: Nanos | None
    cut_per_day: Nanos | None
    ahead: Nanos


def pace(days: Sequence[Nanos], period: Period, now: datetime) -> Pace:
    """Return the pace of a period from the cost of each of its local days.

    >>> from datetime import UTC
    >>> from zoneinfo import ZoneInfo
    >>> from shared.costs.periods import parse_month
    >>> november = parse_month("2026-11", ZoneInfo("UTC"))
    >>> result = pace([Nanos(10)] * 22 + [Nanos(0)] * 8, november, datetime(2026, 11, 22, 12, tzinfo=UTC))
    >>> result.daily_average, result.projected, result.low, result.days_left, result.is_over
    (10, 300, 300, 8, False)
    """
    today = now.astimezone(period.zone).date()
    day = (today - period.first_day).days + 1
    days_begun = min(max(day, 0), len(days))
    days_left = len(days) - days_begun
    spent = Nanos(sum(days))
    average = mean(spent, days_begun)
    # Computed from the sum, so that rounding the average does not grow with the days left.
    projected = Nanos(spent + mean(Nanos(spent * days_left), days_begun))
    low, high = _range(days[:days_begun], days_left, spent, projected)
    return Pace(today, spent, days_begun, days_left, average, projected, low, high, day > len(days))


def _range(
    seen: Sequence[Nanos], days_left: int, spent: Nanos, projected: Nanos
) -> tuple[Nanos | None, Nanos | None]:
    """Return the prediction interval; it begins below the spend so far only where credits are projected."""
    n = len(seen)
    if not days_left:
        return spent, spent
    if n < FEWEST_DAYS:
        return None, None
    centre = sum(seen) / n
    variance = sum((day - centre) ** 2 for day in seen) / (n - 1)
    half = QUANTILES[min(n - 1, len(QUANTILES)) - 1] * math.sqrt(
        variance * (days_left + days_left * days_left / n)
    )
    return Nanos(max(min(spent, projected), round(projected - half))), Nanos(round(projected + half))


def outlook(current: Pace, limit: int, reached: date | None = None) -> Outlook:
    """Return what the pace means for a limit on the same period.

    ``reached`` is the day on which a better forecast reaches the limit; without it, the day follows from
    the average.

    >>> current = Pace(date(2026, 11, 22), Nanos(44), 22, 8, Nanos(2), Nanos(60))
    >>> result = outlook(current, Nanos(50))
    >>> result.days_until_exhausted, result.exhausted_on.isoformat(), result.cut_per_day
    (3.0, '2026-11-25', 1)
    """
    remaining = limit - current.spent
    days = _days_until(remaining, current)
    if reached is not None and days:
        days = float((reached - current.today).days)
    if days and days < current.days_left and current.projected <= limit:
        days = None
    exhausted_on = current.today + timedelta(days=int(days)) if days is not None and days < 36_500 else None
    allowed = mean(Nanos(max(remaining, 0)), current.days_left) if current.days_left else None
    excess = Nanos(max(current.projected - max(limit, current.spent), 0))
    cut = mean(excess, current.days_left) if current.days_left else None
    even_pace = mean(Nanos(limit * current.days_begun), current.days)
    return Outlook(days, exhausted_on, allowed, cut, Nanos(current.spent - even_pace))


def _days_until(remaining: int, current: Pace) -> float | None:
    if remaining <= 0 and current.spent > ZERO:
        return 0.0
    if current.spent <= ZERO:
        return None
    return round(remaining * current.days_begun / current.spent, 1)
