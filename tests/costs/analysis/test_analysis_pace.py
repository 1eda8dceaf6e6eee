"""Averages, projections and what they mean under a limit."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.analysis.pace import FEWEST_DAYS, QUANTILES, Pace, outlook, pace
from shared.costs.money import Nanos, from_usd
from shared.costs.periods import parse_month

NOVEMBER = parse_month("2026-11", ZoneInfo("Europe/Berlin"))


def at(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 11, day, hour, tzinfo=UTC)


def spent_until(day: int, amount: str = "1.50") -> list[Nanos]:
    return [from_usd(amount)] * day + [Nanos(0)] * (30 - day)


@pytest.mark.parametrize(
    ("now", "begun", "left"),
    [
        (at(1), 1, 29),
        (at(22), 22, 8),
        (at(30), 30, 0),
        (at(22, 23), 23, 7),  # already the 23rd in Berlin
        (datetime(2026, 12, 5, tzinfo=UTC), 30, 0),
        (datetime(2026, 10, 5, tzinfo=UTC), 0, 30),
    ],
)
def test_days_begun_and_left(now: datetime, begun: int, left: int) -> None:
    found = pace(spent_until(20), NOVEMBER, now)
    assert (found.days_begun, found.days_left, found.days) == (begun, left, 30)


def test_an_even_month_projects_evenly() -> None:
    found = pace(spent_until(22), NOVEMBER, at(22))
    assert found.daily_average == from_usd("1.50")
    assert found.projected == from_usd("45")
    assert found.low == found.high == from_usd("45")


def test_a_finished_month_is_what_it_was() -> None:
    found = pace(spent_until(30), NOVEMBER, datetime(2027, 1, 1, tzinfo=UTC))
    assert found.projected == found.low == found.high == from_usd("45")


@pytest.mark.parametrize("days", range(1, FEWEST_DAYS))
def test_few_days_give_no_range(days: int) -> None:
    found = pace(spent_until(days), NOVEMBER, at(days))
    assert (found.low, found.high) == (None, None)


@given(st.lists(st.integers(0, 10**12), min_size=30, max_size=30), st.integers(1, 30))
def test_a_projection_is_at_least_what_is_spent_and_inside_its_range(days: list[int], today: int) -> None:
    amounts = [Nanos(amount if number < today else 0) for number, amount in enumerate(days)]
    found = pace(amounts, NOVEMBER, at(today))
    assert found.spent == sum(amounts)
    assert found.projected >= found.spent
    if found.low is not None and found.high is not None:
        assert found.spent <= found.low <= found.projected <= found.high


@given(st.lists(st.integers(-(10**12), 10**12), min_size=30, max_size=30), st.integers(1, 30))
def test_a_projection_that_credits_lower_is_inside_its_range(days: list[int], today: int) -> None:
    found = pace(
        [Nanos(amount if number < today else 0) for number, amount in enumerate(days)], NOVEMBER, at(today)
    )
    if found.low is not None and found.high is not None:
        assert min(found.spent, found.projected) <= found.low <= found.projected <= found.high


def test_the_range_holds_eight_times_in_ten() -> None:
    chance = Random(11)
    inside = 0
    for _ in range(600):
        days = [Nanos(round(max(chance.gauss(2e9, 6e8), 0))) for _ in range(30)]
        found = pace([*days[:12], *[Nanos(0)] * 18], NOVEMBER, at(12))
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= sum(days) <= found.high
    assert 0.75 < inside / 600 < 0.85


def test_quantiles_fall_towards_the_normal_one() -> None:
    assert list(QUANTILES) == sorted(QUANTILES, reverse=True)
    assert len(QUANTILES) == 30
    assert QUANTILES[-1] > 1.2816  # the normal distribution's


def made(spent: str, begun: int = 20, left: int = 10) -> Pace:
    amount = from_usd(spent)
    average = Nanos(amount // begun)
    return Pace(date(2026, 11, begun), amount, begun, left, average, Nanos(amount + average * left))


@pytest.mark.parametrize(
    ("spent", "limit", "days", "on", "allowed", "cut"),
    [
        ("40", "50", 5.0, date(2026, 11, 25), "1", "1"),
        ("20", "50", 30.0, date(2026, 12, 20), "3", "0"),
        ("50", "50", 0.0, date(2026, 11, 20), "0", "2.5"),
        ("60", "50", 0.0, date(2026, 11, 20), "0", "3"),
        ("0", "50", None, None, "5", "0"),
        ("0", "0", None, None, "0", "0"),
    ],
)
def test_outlook(spent: str, limit: str, days: float | None, on: date | None, allowed: str, cut: str) -> None:
    found = outlook(made(spent), from_usd(limit))
    assert (found.days_until_exhausted, found.exhausted_on) == (days, on)
    assert (found.allowed_per_day, found.cut_per_day) == (from_usd(allowed), from_usd(cut))


def test_a_projection_that_holds_the_limit_has_no_day_of_exhaustion() -> None:
    found = made("40")._replace(projected=from_usd("45"))  # weekends to come; the average leads to $60
    result = outlook(found, from_usd(50))
    assert (result.days_until_exhausted, result.exhausted_on) == (None, None)


def test_the_cut_keeps_within_the_limit() -> None:
    found = made("40")
    result = outlook(found, from_usd(50))
    assert result.cut_per_day is not None
    rest = (found.daily_average - result.cut_per_day) * found.days_left
    assert found.spent + rest == from_usd(50)


def test_on_the_last_day_there_is_nothing_to_cut() -> None:
    found = outlook(made("40", begun=30, left=0), from_usd(50))
    assert (found.allowed_per_day, found.cut_per_day) == (None, None)
    assert found.ahead == from_usd("-10")


def test_a_pace_that_lasts_for_ages_has_no_date() -> None:
    found = outlook(made("0.00001"), from_usd(1_000_000))
    assert found.days_until_exhausted is not None
    assert found.days_until_exhausted > timedelta(days=36_500).days
    assert found.exhausted_on is None
