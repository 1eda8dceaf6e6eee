"""The billing day and month of an entry, by its user's time zone, for millions of entries.

>>> from shared.costs.profile.types import Profile
>>> from zoneinfo import ZoneInfo
>>> calendar = Calendar(Profile(timezone=ZoneInfo("Asia/Kolkata")))
>>> calendar.day_and_month("1", "2026-11-30T20:00:00.000000Z")
('2026-12-01', '2026-12')
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ..ledger.columns import instant_text
from ..periods import between, month, parse_month
from ..profile.types import Profile


class _ZoneYear(NamedTuple):
    """The days of a zone around a year: their starts as UTC text, and the names of each day and its month."""

    begins: list[str]
    days: list[tuple[str, str]]


class Calendar:
    """The days and billing months of a profile: by its time zones and its billing day."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._zones: dict[str, ZoneInfo] = {}
        self._years: dict[tuple[str, str], _ZoneYear] = {}

    def day_and_month(self, user_id: str, at: str) -> tuple[str, str]:
        """Return the names of a user's local day and billing month at an instant, a ledger's UTC text."""
        zone = self._zones.get(user_id)
        if zone is None:
            zone = self._zones[user_id] = self._profile.for_user(user_id).timezone
        key = zone.key, at[:4]
        year = self._years.get(key)
        if year is None:
            year = self._years[key] = self._days_around(zone, int(at[:4]))
        return year.days[max(bisect_right(year.begins, at) - 1, 0)]

    def _days_around(self, zone: ZoneInfo, year: int) -> _ZoneYear:
        # Zones differ from UTC by less than a day; years 1 and 9999 have no day before and after.
        first = date(max(year, 2) - 1, 12, 30)
        last = date(min(year, 9997) + 1, 1, 2)
        days = between(first, last, zone).days()
        begins = [instant_text(day.start) for day in days]
        names = [(day.name, month(day.start, zone, self._profile.billing_day).name) for day in days]
        return _ZoneYear(begins, names)

    def open_month(self, now: datetime) -> str:
        """Return the first month that is not over for some user."""
        return min(month(now, zone, self._profile.billing_day).name for zone in self._all_zones())

    def begun_everywhere(self, name: str) -> datetime:
        """Return the first instant at which a month has begun for every user."""
        day = self._profile.billing_day
        return max(parse_month(name, zone, day).start for zone in self._all_zones())

    def _all_zones(self) -> set[ZoneInfo]:
        return {self._profile.timezone, *(user.timezone for user in self._profile.users.values())}
