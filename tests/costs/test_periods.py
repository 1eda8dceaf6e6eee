"""Every instant is in exactly one day, week and month, in every zone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.periods import (
    Period,
    between,
    day,
    month,
    parse_month,
    previous_month,
    week,
    zone,
)
from shared.costs.rollup import BUCKET_SECONDS

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Asuncion",  # the clock skips midnight: 2023-10-01 begins at 01:00
    "America/Havana",  # the clock is set back over midnight: 2026-11-01 has two
    "Asia/Kathmandu",  # +05:45
    "Asia/Kolkata",  # +05:30
    "Australia/Lord_Howe",  # changes by half an hour
    "Africa/Casablanca",
    "Pacific/Chatham",  # +12:45, with daylight saving
)

INSTANTS = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda t: t.replace(tzinfo=UTC))  # noqa: DTZ001  # hypothesis wants naive bounds
PERIODS = st.sampled_from([day, week, month])


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("zone_name", "first", "start", "hours"),
    [
        ("UTC", "2026-11-22", "2026-11-22T00:00Z", 24),
        ("Asia/Kathmandu", "2026-11-22", "2026-11-21T18:15Z", 24),
        ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00Z", 23),
        ("Europe/Berlin", "2026-10-25", "2026-10-24T22:00Z", 25),
        ("America/Asuncion", "2023-10-01", "2023-10-01T04:00Z", 23),
        ("America/Asuncion", "2023-09-30", "2023-09-30T04:00Z", 24),
        ("America/Havana", "2026-11-01", "2026-11-01T04:00Z", 25),
        ("America/Havana", "2026-10-31", "2026-10-31T04:00Z", 24),
        ("Australia/Lord_Howe", "2026-04-05", "2026-04-04T13:00Z", 24.5),
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00Z", 24),  # 30 December was skipped
    ],
)
def test_where_a_day_begins(zone_name: str, first: str, start: str, hours: float) -> None:
    found = between(date.fromisoformat(first), date.fromisoformat(first), zone(zone_name))
    assert found.start == at(start)
    assert (found.end - found.start) / timedelta(hours=1) == hours


@pytest.mark.parametrize(
    ("of", "instant", "name"),
    [
        (day, "2026-11-22T18:14:59Z", "2026-11-22"),
        (day, "2026-11-22T18:15:00Z", "2026-11-23"),
        (week, "2026-11-22T18:14:59Z", "2026-W47"),
        (week, "2026-11-22T18:15:00Z", "2026-W48"),
        (month, "2026-11-30T18:14:59Z", "2026-11"),
        (month, "2026-11-30T18:15:00Z", "2026-12"),
        (week, "2027-01-01T00:00:00Z", "2026-W53"),
    ],
)
def test_names_and_edges_in_kathmandu(
    of: Callable[[datetime, ZoneInfo], Period], instant: str, name: str
) -> None:
    assert of(at(instant), zone("Asia/Kathmandu")).name == name


@given(INSTANTS, st.sampled_from(ZONES), PERIODS)
def test_an_instant_is_in_its_period(
    instant: datetime, zone_name: str, of: Callable[[datetime, ZoneInfo], Period]
) -> None:
    tz = zone(zone_name)
    found = of(instant, tz)
    assert instant in found
    assert found.end not in found
    assert of(found.start, tz) == of(found.end - timedelta(microseconds=1), tz) == found
    assert of(found.end, tz).start == found.end
    assert of(found.start - timedelta(microseconds=1), tz).end == found.start


@pytest.mark.parametrize("zone_name", ZONES)
def test_the_days_of_24_months_follow_each_other_without_gap(zone_name: str) -> None:
    tz = zone(zone_name)
    first = month(datetime(2022, 12, 15, tzinfo=UTC), tz)
    months = [first]
    while len(months) < 24:
        months.append(month(months[-1].end, tz))
    days = [one for each in months for one in each.days()]
    assert all(a.end == b.start for a, b in pairwise(days))
    assert (days[0].start, days[-1].end) == (months[0].start, months[-1].end)
    assert len(days) == sum(m.length_in_days for m in months) == (date(2024, 12, 1) - date(2022, 12, 1)).days
    assert len({one.name for one in days}) == len(days)


@given(INSTANTS, st.sampled_from([z for z in ZONES if z != "Africa/Casablanca"]), PERIODS)
def test_edges_are_edges_of_buckets(
    instant: datetime, zone_name: str, of: Callable[[datetime, ZoneInfo], Period]
) -> None:
    found = of(instant, zone(zone_name))
    assert found.start.timestamp() % BUCKET_SECONDS == found.end.timestamp() % BUCKET_SECONDS == 0


@pytest.mark.parametrize("zone_name", ZONES)
def test_a_week_has_seven_days_and_begins_on_monday(zone_name: str) -> None:
    found = week(at("2026-11-01T12:00Z"), zone(zone_name))
    assert (found.length_in_days, found.first_day.weekday()) == (7, 0)
    assert found.end_day == found.first_day + timedelta(days=7)


@pytest.mark.parametrize(
    ("text", "days"), [("2026-02", 28), ("2028-02", 29), ("2026-11", 30), ("2026-12", 31), ("9998-12", 31)]
)
def test_months_are_read(text: str, days: int) -> None:
    found = parse_month(text, zone("UTC"))
    assert (found.name, found.length_in_days) == (text, days)


@pytest.mark.parametrize(
    "text",
    [
        "2026",
        "2026-13",
        "2026-00",
        "2026-1",
        "26-11",
        "2026-11-01",
        "0000-01",
        "0999-01",
        "9999-12",
        "\u0662\u0660\u0662\u0666-11",
        " 2026-11",
        "",
    ],
)
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a month"):
        parse_month(text, zone("UTC"))


@pytest.mark.parametrize("zone_name", ZONES)
def test_the_month_before_ends_where_the_month_begins(zone_name: str) -> None:
    tz = zone(zone_name)
    for text in ("2023-10", "2026-11", "2026-01"):
        this = parse_month(text, tz)
        assert previous_month(this).end == this.start
    assert previous_month(parse_month("2026-01", tz)).name == "2025-12"


def test_a_range_includes_both_its_days() -> None:
    found = between(date(2026, 11, 1), date(2026, 11, 3), zone("America/Havana"))
    assert (found.name, found.kind, found.length_in_days) == ("2026-11-01..2026-11-03", "range", 3)
    assert [d.name for d in found.days()] == ["2026-11-01", "2026-11-02", "2026-11-03"]
    with pytest.raises(ValueError, match="ends on 2026-11-01, before it begins on 2026-11-02"):
        between(date(2026, 11, 2), date(2026, 11, 1), zone("UTC"))


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "Europe", "a\0b"])
def test_zones_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match="no time zone is called"):
        zone(name)
