"""The days that forecasts look back on, read from whatever keeps sums by 15-minute bucket."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Protocol

from ..money import Nanos
from ..periods import Period, between
from .forecast import HISTORY_DAYS, Day, days_between
from .sums import by_day


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
