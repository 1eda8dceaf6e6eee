"""How fast a month's money is spent, and where that leads.

The average is over the days that have begun, today included; the projection carries it on to the
month's end. The range around it is a prediction interval for the sum of the days to come:

    m * mean  +/-  t(n-1, 90 %) * s * sqrt(m + m * m / n)

with n days seen, m days to come and s the standard deviation of a day. Eight times in ten the
month should end inside it. It takes the days as alike and independent, and is left out before
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
"""A range from fewer days would say nothing."""

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
    """What a period's days have cost so far, and what they lead to. Amounts in nano-dollars.

    ``today`` is the local date; ``days_begun`` counts it, ``days_left`` does not: on its last day no day is
    left, and it is not over. ``low`` and ``high`` bound the projection, or are ``None`` where nothing can be
    said.
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
    """What a pace means under a limit.

    ``days_until_exhausted`` is at the average rate, however long that takes; 0.0 when nothing
    remains, ``None`` when nothing is spent, or when the average would use the limit up within the
    period but the projection, which may know more than the average, holds it. ``allowed_per_day`` is
    what the days left may cost each; ``cut_per_day`` is how much less than what is projected for
    them that is, or zero. Both are ``None`` on the last day. ``ahead`` is what was spent beyond an
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
    >>> found = pace([Nanos(10)] * 22 + [Nanos(0)] * 8, november, datetime(2026, 11, 22, 12, tzinfo=UTC))
    >>> found.daily_average, found.projected, found.low, found.days_left, found.is_over
    (10, 300, 300, 8, False)
    """
    today = now.astimezone(period.zone).date()
    day = (today - period.first_day).days + 1
    begun = min(max(day, 0), len(days))
    left = len(days) - begun
    spent = Nanos(sum(days))
    average = mean(spent, begun)
    # Carried on from the sum, so that rounding the average does not grow with the days left.
    projected = Nanos(spent + mean(Nanos(spent * left), begun))
    low, high = _range(days[:begun], left, spent, projected)
    return Pace(today, spent, begun, left, average, projected, low, high, day > len(days))


def _range(
    seen: Sequence[Nanos], left: int, spent: Nanos, projected: Nanos
) -> tuple[Nanos | None, Nanos | None]:
    """Return the prediction interval; it begins below what is spent already only where credits go on."""
    n = len(seen)
    if not left:
        return spent, spent
    if n < FEWEST_DAYS:
        return None, None
    centre = sum(seen) / n
    variance = sum((day - centre) ** 2 for day in seen) / (n - 1)
    half = QUANTILES[min(n - 1, len(QUANTILES)) - 1] * math.sqrt(variance * (left + left * left / n))
    return Nanos(max(min(spent, projected), round(projected - half))), Nanos(round(projected + half))


def outlook(found: Pace, limit: int, reached: date | None = None) -> Outlook:
    """Return what the pace means for a limit on the same period.

    ``reached`` is the day on which a better forecast sees the limit reached; without it, it is the
    day to which the average leads.

    >>> found = Pace(date(2026, 11, 22), Nanos(44), 22, 8, Nanos(2), Nanos(60))
    >>> result = outlook(found, Nanos(50))
    >>> result.days_until_exhausted, result.exhausted_on.isoformat(), result.cut_per_day
    (3.0, '2026-11-25', 1)
    """
    remaining = limit - found.spent
    days = _days_until(remaining, found)
    if reached is not None and days:
        days = float((reached - found.today).days)
    if days and days < found.days_left and found.projected <= limit:
        days = None
    on = found.today + timedelta(days=int(days)) if days is not None and days < 36_500 else None
    allowed = mean(Nanos(max(remaining, 0)), found.days_left) if found.days_left else None
    over = Nanos(max(found.projected - max(limit, found.spent), 0))
    cut = mean(over, found.days_left) if found.days_left else None
    even = mean(Nanos(limit * found.days_begun), found.days)
    return Outlook(days, on, allowed, cut, Nanos(found.spent - even))


def _days_until(remaining: int, found: Pace) -> float | None:
    if remaining <= 0 and found.spent > ZERO:
        return 0.0
    if found.spent <= ZERO:
        return None
    return round(remaining * found.days_begun / found.spent, 1)
