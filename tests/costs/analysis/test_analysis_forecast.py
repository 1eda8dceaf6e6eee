"""Forecasts: honest about little data, and better than a plain run rate where weekdays differ."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.analysis.forecast import WEEKDAYS_FROM, Day, Forecast, days_between, forecast
from shared.costs.money import Nanos, from_usd
from shared.costs.periods import parse_month

BERLIN = ZoneInfo("Europe/Berlin")
NOVEMBER = parse_month("2026-11", BERLIN)


def at(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 11, day, hour, tzinfo=UTC)


def even(first: date, last: date, usd: str = "2") -> list[Day]:
    return days_between(first, last, {first + timedelta(days=n): from_usd(usd) for n in range(400)})


def test_an_even_history_goes_on_evenly() -> None:
    history = even(date(2026, 9, 1), date(2026, 11, 22))
    found = forecast(history, NOVEMBER, datetime(2026, 11, 22, 22, 59, 59, tzinfo=UTC))
    assert found.by_weekday
    assert found.projected == pytest.approx(from_usd(60), rel=1e-4)
    assert found.low == pytest.approx(found.projected, rel=1e-4)
    assert found.spent == from_usd(44)


def test_what_is_left_of_today_counts_by_the_hours() -> None:
    history = even(date(2026, 9, 1), date(2026, 11, 21))
    morning = forecast([*history, Day(date(2026, 11, 22), Nanos(0))], NOVEMBER, at(22, 5))
    assert morning.expected[0] == Day(date(2026, 11, 22), from_usd("1.5"))  # 6:00 in Berlin


@pytest.mark.parametrize(
    ("days", "weekdays", "interval"),
    [(0, False, False), (2, False, False), (3, False, True), (20, True, True)],
)
def test_few_days_are_few_days(days: int, weekdays: bool, interval: bool) -> None:
    today = date(2026, 11, 22)
    history = (
        [*even(today - timedelta(days=days), today - timedelta(days=1)), Day(today, Nanos(5))] if days else []
    )
    found = forecast(history, NOVEMBER, at(22))
    assert found.by_weekday == weekdays == (days >= WEEKDAYS_FROM)
    assert (found.low is not None) == interval
    assert found.seen == days


def test_days_before_the_first_call_are_not_quiet_days() -> None:
    quiet = [Day(date(2026, 9, 1) + timedelta(days=n), Nanos(0)) for n in range(60)]
    busy = even(date(2026, 10, 31), date(2026, 11, 21))
    found = forecast([*quiet, *busy, Day(date(2026, 11, 22), Nanos(0))], NOVEMBER, at(22))
    assert found.seen == 22
    assert found.projected > from_usd(56)


def test_the_very_first_day_is_spread_over_those_begun() -> None:
    quiet = days_between(date(2026, 9, 27), date(2026, 11, 21), {})
    found = forecast([*quiet, Day(date(2026, 11, 22), from_usd("4.4"))], NOVEMBER, at(22, 11))
    assert (found.seen, found.low) == (0, None)
    assert [day.cost for day in found.expected] == [from_usd("0.1"), *[from_usd("0.2")] * 8]  # noon in Berlin


def test_one_odd_day_does_not_repeat_itself() -> None:
    history = even(date(2026, 9, 1), date(2026, 11, 21))
    odd = [day._replace(cost=from_usd(200)) if day.date == date(2026, 11, 10) else day for day in history]
    now = datetime(2026, 11, 22, 22, 59, tzinfo=UTC)
    before, after = (
        forecast([*days, Day(date(2026, 11, 22), Nanos(0))], NOVEMBER, now) for days in (history, odd)
    )
    assert after.projected - before.projected < from_usd("200.50")  # 198 were spent


def test_one_large_refund_does_not_repeat_itself() -> None:
    history = even(date(2026, 9, 1), date(2026, 11, 21))
    refunded = [
        day._replace(cost=from_usd(-300)) if day.date == date(2026, 11, 10) else day for day in history
    ]
    now = datetime(2026, 11, 22, 22, 59, tzinfo=UTC)
    found = forecast([*refunded, Day(date(2026, 11, 22), Nanos(0))], NOVEMBER, now)
    assert sum(day.cost for day in found.expected) > from_usd(12)  # of $16 without it


def test_credits_of_every_day_go_on_as_they_are() -> None:
    history = [Day(day.date, Nanos(-day.cost)) for day in even(date(2026, 9, 1), date(2026, 11, 22))]
    found = forecast(history, NOVEMBER, datetime(2026, 11, 22, 23, tzinfo=UTC))
    assert found.projected == from_usd(-60)


def test_a_day_to_come_is_a_whole_one() -> None:
    found = forecast(even(date(2026, 9, 20), date(2026, 11, 28)), NOVEMBER, at(28, 22))
    assert (len(found.whole_days), found.per_day) == (2, from_usd("2"))
    last = forecast(even(date(2026, 9, 20), date(2026, 11, 30)), NOVEMBER, at(30, 22))
    assert (last.whole_days, last.per_day) == ((), 0)
    assert last.expected


def test_a_finished_month_is_what_it_was() -> None:
    found = forecast(even(date(2026, 9, 1), date(2026, 12, 5)), NOVEMBER, datetime(2026, 12, 5, tzinfo=UTC))
    assert found.projected == found.spent == found.low == found.high == from_usd(60)
    assert found.expected == ()
    assert found.reaches(from_usd(1)) is None


@given(st.lists(st.integers(0, 10**11), min_size=83, max_size=83), st.integers(1, 29))
def test_a_forecast_is_bounded_by_what_is_spent(costs: list[int], today: int) -> None:
    first = date(2026, 9, 1)
    history = [Day(first + timedelta(days=n), Nanos(cost)) for n, cost in enumerate(costs)]
    history = [day for day in history if day.date <= date(2026, 11, today)]
    found = forecast(history, NOVEMBER, at(today))
    assert found.spent <= found.projected
    if found.low is None or found.high is None:
        assert found.seen < 3
    else:
        assert found.spent <= found.low <= found.projected <= found.high


@given(st.lists(st.integers(-(10**11), 10**11), min_size=83, max_size=83), st.integers(1, 29))
def test_a_forecast_that_credits_lower_is_inside_its_range(costs: list[int], today: int) -> None:
    first = date(2026, 9, 1)
    history = [Day(first + timedelta(days=n), Nanos(cost)) for n, cost in enumerate(costs)]
    found = forecast([day for day in history if day.date <= date(2026, 11, today)], NOVEMBER, at(today))
    if found.low is not None and found.high is not None:
        assert min(found.spent, found.projected) <= found.low <= found.projected <= found.high


def test_the_day_on_which_a_limit_is_reached() -> None:
    found = forecast(even(date(2026, 9, 1), date(2026, 11, 22)), NOVEMBER, at(22, 23))
    assert found.reaches(from_usd(10)) == date(2026, 11, 23)  # reached already: today
    assert found.reaches(from_usd(50)) == date(2026, 11, 25)
    assert found.reaches(from_usd(500)) is None


def test_reaching_zero_days() -> None:
    assert Forecast(Nanos(0), Nanos(0), None, None, (), 0, by_weekday=False).reaches(Nanos(1)) is None
