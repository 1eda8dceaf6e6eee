"""Days, weeks, months and years as half-open intervals ``[start, end)`` in a user's time zone.

A period's edges are local midnights by the zone's own rules, so a day may have 23 or
25 hours and a month need not begin on the hour in UTC. A month may begin on another day than the first
(``billing_day``): then ``2026-11`` is the one that begins in November. In a calendar month that is too short
for that day it begins on the last day, so that each instant is in exactly one month.

>>> from datetime import UTC, datetime
>>> november = month(datetime(2026, 10, 31, 18, 30, tzinfo=UTC), zone("Asia/Kolkata"))
>>> november.name, november.start.isoformat()
('2026-11', '2026-10-31T18:30:00+00:00')
>>> month(datetime(2026, 3, 10, tzinfo=UTC), zone("UTC"), billing_day=31).first_day.isoformat()
'2026-02-28'
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

PeriodKind = Literal["day", "week", "month", "year", "rolling", "range"]

LATEST_BILLING_DAY: Final = 31


class Period(NamedTuple):
    """An interval of time. ``start`` is in it, ``end`` is not; both are in UTC.

    ``name`` is ``2026``, ``2026-11``, ``2026-W47`` or ``2026-11-22``, ``first..last`` for a range of days, or
    ``5h`` for a rolling window. ``billing_day`` is the day on which its months begin.
    """

    kind: PeriodKind
    name: str
    start: datetime
    end: datetime
    zone: ZoneInfo
    billing_day: int = 1

    def __contains__(self, at: object) -> bool:
        return isinstance(at, datetime) and self.start <= at < self.end

    @property
    def first_day(self) -> date:
        """The local date on which the period begins."""
        return self.start.astimezone(self.zone).date()

    @property
    def end_day(self) -> date:
        """The local date after the last one of the period."""
        # Where the clock skips midnight, the end is not a local midnight: the instant before is in the day.
        return (self.end - timedelta(microseconds=1)).astimezone(self.zone).date() + timedelta(days=1)

    @property
    def length_in_days(self) -> int:
        """How many local dates the period has."""
        return (self.end_day - self.first_day).days

    def days(self) -> list[Period]:
        """Return each local day of the period, in order."""
        dates = self.dates()
        edges = [_midnight(local, self.zone) for local in (*dates, self.end_day)]
        return [
            Period("day", local.isoformat(), start, end, self.zone)
            for local, (start, end) in zip(dates, pairwise(edges), strict=True)
        ]

    def dates(self) -> list[date]:
        """Return each local date of the period, in order."""
        first = self.first_day
        return [first + timedelta(days=n) for n in range(self.length_in_days)]


def zone(name: str) -> ZoneInfo:
    """Return the IANA time zone called ``name``; raise ``ValueError`` if there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"no time zone is called {name!r}; use an IANA name such as Europe/Berlin") from None


def day(at: datetime, tz: ZoneInfo) -> Period:
    """Return the local day that contains the instant ``at``."""
    local = at.astimezone(tz).date()
    return _period("day", local.isoformat(), local, local + timedelta(days=1), tz)


def week(at: datetime, tz: ZoneInfo) -> Period:
    """Return the local week, Monday to Sunday, that contains ``at``; named by ISO 8601 week."""
    local = at.astimezone(tz).date()
    monday = local - timedelta(days=local.weekday())
    year, number, _ = monday.isocalendar()
    return _period("week", f"{year}-W{number:02d}", monday, monday + timedelta(days=7), tz)


def month(at: datetime, tz: ZoneInfo, billing_day: int = 1) -> Period:
    """Return the local month that contains ``at``, a calendar month or one that begins on ``billing_day``."""
    local = at.astimezone(tz).date()
    if local < _first_day(local.year, local.month, billing_day):
        local = local.replace(day=1) - timedelta(days=1)
    return _month(local.year, local.month, tz, billing_day)


def year(at: datetime, tz: ZoneInfo) -> Period:
    """Return the local calendar year that contains ``at``."""
    number = at.astimezone(tz).year
    return _period("year", f"{number}", date(number, 1, 1), date(number + 1, 1, 1), tz)


def rolling(at: datetime, tz: ZoneInfo, length: timedelta) -> Period:
    """Return the window of a length that ends at ``at``, to the second.

    It is the same for one second: from ``length`` before the second that has begun to that second's end.

    >>> window = rolling(datetime(2026, 11, 22, 12, 0, 0, 500, tzinfo=UTC), zone("UTC"), timedelta(hours=5))
    >>> window.name, window.start.isoformat(), window.end.isoformat()
    ('5h', '2026-11-22T07:00:00+00:00', '2026-11-22T12:00:01+00:00')
    """
    second = at.astimezone(UTC).replace(microsecond=0)
    return Period("rolling", window_name(length), second - length, second + timedelta(seconds=1), tz)


def window_name(length: timedelta) -> str:
    """Return the name of a window: its length in hours, or in minutes below one hour.

    >>> window_name(timedelta(hours=5)), window_name(timedelta(seconds=90))
    ('5h', '1.5min')
    """
    hour, minute = timedelta(hours=1), timedelta(minutes=1)
    return f"{length / hour:g}h" if length >= hour else f"{length / minute:g}min"


def parse_month(text: str, tz: ZoneInfo, billing_day: int = 1) -> Period:
    """Return the month written ``2026-11``; raise ``ValueError`` for anything else."""
    # Four-digit years; 9999 has no following month that Python could name.
    if not re.fullmatch(r"(?!9999)[1-9]\d{3}-(0[1-9]|1[0-2])", text, re.ASCII):
        raise ValueError(f"not a month: {text!r}; write it as 2026-11")
    return _month(int(text[:4]), int(text[5:]), tz, billing_day)


def between(first: date, last: date, tz: ZoneInfo, billing_day: int = 1) -> Period:
    """Return the local days from ``first`` to ``last``, both included.

    Raises:
        ValueError: ``last`` is before ``first``.
    """
    if last < first:
        raise ValueError(f"the period ends on {last}, before it begins on {first}")
    return _period("range", f"{first}..{last}", first, last + timedelta(days=1), tz, billing_day)


def previous_month(period: Period) -> Period:
    """Return the month before the start of a period."""
    return month(period.start - timedelta(microseconds=1), period.zone, period.billing_day)


def _month(year: int, number: int, tz: ZoneInfo, billing_day: int) -> Period:
    first = _first_day(year, number, billing_day)
    following = _first_day(year + number // 12, number % 12 + 1, billing_day)
    return _period("month", f"{first:%Y-%m}", first, following, tz, billing_day)


def _first_day(year: int, number: int, billing_day: int) -> date:
    """Return the day on which a month begins: the last day of a month without the billing day."""
    if billing_day == 1:
        return date(year, number, 1)
    from calendar import monthrange  # 1 ms with its locale, needed only for such profiles

    return date(year, number, min(billing_day, monthrange(year, number)[1]))


def _period(
    kind: PeriodKind, name: str, first: date, end: date, tz: ZoneInfo, billing_day: int = 1
) -> Period:
    return Period(kind, name, _midnight(first, tz), _midnight(end, tz), tz, billing_day)


def _midnight(local: date, tz: ZoneInfo) -> datetime:
    """Return the first instant of a local date in UTC.

    Where the clock is set back over midnight, midnight occurs twice and ``fold=0`` is the first.
    Where it is set forward over midnight (Asuncion, Beirut), 00:00 does not exist; interpreting it
    with the offset before the gap gives the instant of the change, which is the date's beginning.
    """
    return datetime.combine(local, time.min, tzinfo=tz).astimezone(UTC)
