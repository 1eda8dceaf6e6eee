"""Options that several commands share, and what they mean."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import click

from ..analysis.sums import Step, last_stretches
from ..errors import WrongUsage
from ..periods import Period, between, month, parse_month
from .completing import complete_name

F = TypeVar("F", bound=Callable[..., Any])


class Day(click.ParamType[date]):
    """A date as ``2026-11-22``."""

    name = "date"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Return the date; a wrong one is wrong usage."""
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a date; write it as 2026-11-22", param, ctx)


user_option = click.option(
    "--user",
    "--user-id",
    "user",
    metavar="ID",
    shell_complete=complete_name("user_id"),
    help="Only this user.",
)
month_option = click.option(
    "--month", "month_name", metavar="YYYY-MM", help="This month instead of the present one."
)


watch_option = click.option(
    "--watch",
    "every_s",
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help="Show it anew every so many seconds, until Ctrl-C.",
)


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


def span_options(function: F) -> F:
    """Add ``--month``, ``--days``, ``--since`` and ``--until``; the command gets one ``span``."""
    from functools import wraps

    @wraps(function)
    def call(
        *args: Any,
        month_name: str | None,
        days: int | None,
        since: date | None,
        until: date | None,
        **rest: Any,
    ) -> Any:
        return function(*args, span=Span(month_name, since, until, days), **rest)

    for option in reversed(_SPAN):
        call = option(call)
    return call  # type: ignore[return-value]  # the wrapper takes click's options in place of the span


_SPAN = (
    month_option,
    click.option(
        "--days", type=click.IntRange(1, 36_500), metavar="N", help="The last N days, today included."
    ),
    click.option("--since", "--start-date", "since", type=Day(), metavar="DATE", help="From this day on."),
    click.option(
        "--until", "--end-date", "until", type=Day(), metavar="DATE", help="Up to this day, included."
    ),
)
