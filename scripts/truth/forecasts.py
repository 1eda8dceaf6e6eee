"""Forecasts against what happened, and against a plain run rate, over simulated months."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from random import Random
from typing import NamedTuple
from zoneinfo import ZoneInfo

from truth.histories import Pipeline, days_of

from shared.costs.analysis.forecast import Day, forecast
from shared.costs.analysis.pace import pace
from shared.costs.money import Nanos
from shared.costs.periods import Period, month

ZONE = ZoneInfo("Europe/Berlin")
FIRST = date(2024, 9, 1)
BEFORE = 2
"""Months of history before the first month that is foreseen."""


class Errors(NamedTuple):
    """Mean errors in percent of what the months cost, and in how many of them the end lay in the range."""

    forecast: float
    run_rate: float
    inside: int
    months: int


class _Month(NamedTuple):
    period: Period
    now: datetime
    days: Sequence[Day]

    @property
    def truth(self) -> int:
        return sum(d.cost for d in self.days if self.period.first_day <= d.date < self.period.end_day)


def measure(pipeline: Pipeline, seed: int, day: int, months: int = 24) -> Errors:
    """Look at the noon of one day of each month, and compare with the month's end."""
    mine = plain = 0.0
    inside = counted = 0
    for each in _months(pipeline, seed, day, months):
        if not each.truth:
            continue
        seen = [one for one in each.days if one.date <= each.now.date()]
        found = forecast(seen, each.period, each.now)
        mine += abs(found.projected - each.truth) / each.truth
        plain += abs(_run_rate(seen, each) - each.truth) / each.truth
        inside += (found.low or 0) <= each.truth <= (found.high or 0)
        counted += 1
    return Errors(mine / counted * 100, plain / counted * 100, inside, counted)


def _months(pipeline: Pipeline, seed: int, day: int, months: int) -> list[_Month]:
    last = FIRST + timedelta(days=31 * (months + BEFORE) + 31)
    days = days_of(pipeline, Random(seed), FIRST, last)
    found = []
    for number in range(months):
        years, index = divmod(FIRST.month - 1 + BEFORE + number, 12)
        first = datetime(FIRST.year + years, index + 1, 1, tzinfo=ZONE)
        now = first.replace(day=day, hour=23, minute=59)
        found.append(_Month(month(first, ZONE), now, days))
    return found


def _run_rate(seen: Sequence[Day], each: _Month) -> int:
    costs = {one.date: one.cost for one in seen}
    return pace([costs.get(d, Nanos(0)) for d in each.period.dates()], each.period, each.now).projected
