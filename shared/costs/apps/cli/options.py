"""Options that several commands share, and what they mean."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, TypeVar

import click

from ...reports.span import Span
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
