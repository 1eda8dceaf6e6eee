"""Days, weeks and months as half-open instants ``[start, end)`` in a user's time zone.

A period's edges are local midnights, found through the zone's own rules, so a day may have 23 or
25 hours and a month need not begin on the hour in UTC.

>>> from datetime import UTC, datetime
>>> p = month(datetime(2026, 10, 31, 18, 30, tzinfo=UTC), zone("Asia/Kolkata"))
>>> p.name, p.start.isoformat()
('2026-11', '2026-10-31T18:30:00+00:00')
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

PeriodKind = Literal["day", "week", "month", "range"]


class Period(NamedTuple):
    """A stretch of time. ``start`` is in it, ``end`` is not; both are in UTC.

    ``name`` is ``2026-11``, ``2026-W47`` or ``2026-11-22``, or ``first..last`` for a range of days.
    """

    kind: PeriodKind
    name: str
    start: datetime
    end: datetime
    zone: ZoneInfo

    def __contains__(self, at: object) -> bool:
        return isinstance(at, datetime) and self.start <= at < self.end

    @property
    def first_day(self) -> date:
        """The local date on which the period begins."""
        return self.start.astimezone(self.zone).date()

    @property
    def end_day(self) -> date:
        """The local date after the last one of the period."""
        # A day's end may not be a local midnight where the clock skips it: ask an instant later.
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
    """Return the IANA time zone called ``name``; raise ``ValueError`` when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"no time zone is called {name!r}; use an IANA name such as Europe/Berlin") from None


def day(at: datetime, tz: ZoneInfo) -> Period:
    """Return the local day that holds the instant ``at``."""
    local = at.astimezone(tz).date()
    return _period("day", local.isoformat(), local, local + timedelta(days=1), tz)


def week(at: datetime, tz: ZoneInfo) -> Period:
    """Return the local week, Monday to Sunday, that holds ``at``; named by ISO 8601 week."""
    local = at.astimezone(tz).date()
    monday = local - timedelta(days=local.weekday())
    year, number, _ = monday.isocalendar()
    return _period("week", f"{year}-W{number:02d}", monday, monday + timedelta(days=7), tz)


def month(at: datetime, tz: ZoneInfo) -> Period:
    """Return the local calendar month that holds ``at``."""
    return _month(at.astimezone(tz).date(), tz)


def parse_month(text: str, tz: ZoneInfo) -> Period:
    """Return the month written ``2026-11``; raise ``ValueError`` for anything else."""
    # Four-digit years; 9999 has no following month that Python could name.
    if not re.fullmatch(r"(?!9999)[1-9]\d{3}-(0[1-9]|1[0-2])", text, re.ASCII):
        raise ValueError(f"not a month: {text!r}; write it as 2026-11")
    return _month(date(int(text[:4]), int(text[5:]), 1), tz)


def between(first: date, last: date, tz: ZoneInfo) -> Period:
    """Return the local days from ``first`` to ``last``, both included.

    Raises:
        ValueError: ``last`` lies before ``first``.
    """
    if last < first:
        raise ValueError(f"the period ends on {last}, before it begins on {first}")
    return _period("range", f"{first}..{last}", first, last + timedelta(days=1), tz)


def previous_month(of: Period) -> Period:
    """Return the calendar month before the one in which ``of`` begins."""
    return _month(of.first_day.replace(day=1) - timedelta(days=1), of.zone)


def _month(local: date, tz: ZoneInfo) -> Period:
    first = local.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    return _period("month", f"{first:%Y-%m}", first, following, tz)


def _period(kind: PeriodKind, name: str, first: date, end: date, tz: ZoneInfo) -> Period:
    return Period(kind, name, _midnight(first, tz), _midnight(end, tz), tz)


def _midnight(local: date, tz: ZoneInfo) -> datetime:
    """Return the first instant of a local date in UTC.

    Where the clock is set back over midnight, midnight occurs twice and ``fold=0`` is the first.
    Where it is set forward over midnight (Asuncion, Beirut), 00:00 does not exist and reading it
    with the offset before the gap gives the instant of the change: exactly the date's beginning.
    """
    return datetime.combine(local, time.min, tzinfo=tz).astimezone(UTC)
