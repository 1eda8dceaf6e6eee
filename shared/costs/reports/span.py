"""The stretch of time that a question is about."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ..analysis.sums import Step, last_stretches
from ..errors import WrongUsage
from ..periods import Period, between, month, parse_month


class Span(NamedTuple):
    """The stretch of time a user asked for; nothing given is the present month.

    ``last`` is a number of whole days, weeks or months that end with the present one.
    """

    month_name: str | None = None
    since: date | None = None
    until: date | None = None
    days: int | None = None
    last: tuple[Step, int] | None = None

    def period(self, now: datetime, zone: ZoneInfo) -> Period:
        """Return it as a period in a time zone.

        Raises:
            WrongUsage: the options contradict each other, or name no month.
        """
        ways = [
            self.month_name is not None,
            self.days is not None,
            self.since is not None or self.until is not None,
        ]
        if sum(ways) > 1:
            raise WrongUsage("give one of --month, --days, or --since with --until; not several of them")
        try:
            return self._period(now, zone)
        except ValueError as fault:
            raise WrongUsage(str(fault)) from fault

    def _period(self, now: datetime, zone: ZoneInfo) -> Period:
        today = now.astimezone(zone).date()
        if self.last is not None:
            return last_stretches(now, zone, *self.last)
        if self.month_name is not None:
            return parse_month(self.month_name, zone)
        if self.days is not None:
            return between(today - timedelta(days=self.days - 1), today, zone)
        if self.since is not None or self.until is not None:
            last = self.until or today
            return between(self.since or last.replace(day=1), last, zone)
        return month(now, zone)
