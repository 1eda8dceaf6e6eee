"""The questions that reports answer: which period, whose calls, and which of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from types import MappingProxyType
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from ..analysis.sums import Step, last_stretches
from ..errors import WrongUsage
from ..periods import Period, between, month, parse_month
from ..rollup import Dimension, Query
from ..storage import printable

LABELS: Final[Mapping[Dimension, str]] = MappingProxyType(
    {
        "service": "Service",
        "model": "Model",
        "stage": "Stage",
        "operation": "Category",
        "user_id": "User",
        "job_id": "Job",
        "workflow": "Workflow",
        "project": "Project",
        "tags": "Tag",
        "service_tier": "Tier",
    }
)
"""What reports can be broken down by, and how people call it."""

BY: Final[Mapping[str, Dimension]] = {label.lower(): dimension for dimension, label in LABELS.items()}
_FIELDS: Final = {"category": "operation", "user": "user_id", "job": "job_id", "tier": "service_tier"}


class UserMonth(NamedTuple):
    """A user's month. ``None``: the present month; the default user, or everyone, as the report says."""

    user: str | None = None
    month_name: str | None = None


class TimeSpan(NamedTuple):
    """The period a user asked for; without any it is the present month.

    ``last`` is a number of whole days, weeks or months that end with the present one.
    """

    month_name: str | None = None
    days: int | None = None
    since: date | None = None
    until: date | None = None
    last: tuple[Step, int] | None = None

    def period(self, now: datetime, zone: ZoneInfo, billing_day: int) -> Period:
        """Return it as a period in a time zone, where months begin on a day.

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
            return self._period(now, zone, billing_day)
        except ValueError as fault:
            raise WrongUsage(str(fault)) from fault

    def _period(self, now: datetime, zone: ZoneInfo, billing_day: int) -> Period:
        today = now.astimezone(zone).date()
        if self.last is not None:
            return last_stretches(now, zone, *self.last, billing_day)
        if self.month_name is not None:
            return parse_month(self.month_name, zone, billing_day)
        if self.days is not None:
            return between(today - timedelta(days=self.days - 1), today, zone, billing_day)
        if self.since is not None or self.until is not None:
            last = self.until or today
            of_last = month(datetime.combine(last, time(12), zone), zone, billing_day)
            return between(self.since or of_last.first_day, last, zone, billing_day)
        return month(now, zone, billing_day)


class Question(NamedTuple):
    """The question that a report of a period answers.

    ``filters`` are conditions as people name them (``model``: ``openai/gpt-4o``); ``by`` and ``step`` say
    what the sums are broken down by;
    ``shows_present`` sets the last of these steps apart; ``by_customer`` also breaks down by what tags like
    ``customer:acme`` name.
    """

    title: str
    span: TimeSpan = TimeSpan()
    filters: Mapping[str, str] = MappingProxyType({})
    by: Sequence[Dimension] = ("model", "operation")
    step: Step | None = None
    show_limits: bool = False
    shows_present: bool = False
    by_customer: bool = False

    @property
    def query(self) -> Query:
        """The filters as a query, without the time."""
        return query_of(self.filters)

    @property
    def user(self) -> str | None:
        """The user it is about, ``None`` for everyone."""
        return self.filters.get("user")


def query_of(filters: Mapping[str, str]) -> Query:
    """Return the filters as a query. A model may be written ``service/model``.

    >>> query_of({"model": "openai/gpt-4o", "category": "summary"})  # doctest: +ELLIPSIS
    Query(... service='openai', model='gpt-4o', operation='summary', ...)
    """
    values = {_FIELDS.get(name, name): printable(value) for name, value in filters.items()}
    service, slash, model = values.get("model", "").partition("/")
    if slash and "service" not in values:
        values |= {"service": service, "model": model}
    return Query(**values)  # type: ignore[arg-type]  # all of these fields are text
