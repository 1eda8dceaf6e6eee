"""``forecast``: where the month ends, and when each limit is reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import NamedTuple

from ..analysis.forecast import WEEKDAYS_FROM, Day, Forecast
from ..analysis.pace import Pace
from ..budgets.limits import Spending
from ..money import Nanos, to_usd
from ..periods import Period
from ..rollup import Totals
from .common import Health, doubts, gauge_of, label_of, named, on_course, plural, usd
from .report import Column, Figure, Note, Report, Series, Table


class ForecastFacts(NamedTuple):
    """What the view needs to know. ``limits`` are those of months; ``pace`` is the plain run rate."""

    user_id: str | None
    period: Period
    forecast: Forecast
    pace: Pace
    totals: Totals
    limits: Sequence[Spending] = ()
    health: Health = Health()


def forecast_report(facts: ForecastFacts) -> Report:
    """Return where the month is expected to end."""
    who = "everyone" if facts.user_id is None else f"user {facts.user_id}"
    return Report(
        title=f"Forecast, {who}",
        subtitle=named(facts.period),
        gauges=tuple(gauge_of(spending, label_of(spending)) for spending in facts.limits),
        figures=tuple(_figures(facts)),
        series=_series(facts.forecast),
        tables=_limits(facts),
        notes=tuple(_notes(facts)),
        data=_data(facts),
    )


def _figures(facts: ForecastFacts) -> Iterator[Figure]:
    found = facts.forecast
    yield Figure("spent", "Spent", found.spent)
    if not found.seen and not found.spent:
        return
    yield Figure("projected", "Projected", found.projected, note=_range(found))
    yield Figure("run_rate", "At one pace", facts.pace.projected, note="every day like the average so far")
    if found.expected:
        mean = Nanos(sum(day.cost for day in found.expected[1:]) // max(len(found.expected) - 1, 1))
        yield Figure(
            "per_day",
            "A day to come",
            mean,
            note=f"on average, {plural(len(found.expected), 'day', 'days')} left",
        )


def _range(found: Forecast) -> str:
    if found.low is None or found.high is None:
        return "too few days for a range"
    return f"likely {usd(found.low)} to {usd(found.high)}"


def _series(found: Forecast) -> tuple[Series, ...]:
    if len(found.expected) < 3 or not any(day.cost for day in found.expected):
        return ()
    labels = tuple(f"{day.date.day} {day.date:%b}" for day in found.expected)
    return (Series("Expected by day", labels, tuple(float(day.cost) for day in found.expected)),)


def _limits(facts: ForecastFacts) -> tuple[Table, ...]:
    if not facts.limits:
        return ()
    columns = (
        Column("limit", "Limit"),
        Column("amount", "Amount", "money"),
        Column("left", "Left", "money"),
        Column("reached", "Reached"),
    )
    rows = tuple(
        (label_of(s), s.limit.amount, s.remaining, _reached(facts.forecast, s)) for s in facts.limits
    )
    return (Table("Limit", columns, rows),)


def _reached(found: Forecast, spending: Spending) -> str:
    if spending.remaining <= 0:
        return "already"
    day = found.reaches(spending.limit.amount)
    return "not this month" if day is None else f"about {day.day} {day:%B}"


def _notes(facts: ForecastFacts) -> Iterator[Note]:
    found = facts.forecast
    alerts = (on_course(found.projected, spending) for spending in facts.limits)
    yield from (alert for alert in alerts if alert is not None)
    yield from doubts(facts.totals, facts.health)
    yield Note(_basis(found))


def _basis(found: Forecast) -> str:
    days = plural(found.seen, "complete day", "complete days")
    if not found.seen:
        return "No complete day has been seen yet, so only today is in the projection."
    if found.by_weekday:
        return f"From {days}, weekdays told apart. In eight months of ten the end lies in the range."
    return f"From {days}; weekdays are told apart from {WEEKDAYS_FROM} days on. Take it as a first guess."


def _data(facts: ForecastFacts) -> dict[str, object]:
    found = facts.forecast
    return {
        "user_id": facts.user_id,
        "month": facts.period.name,
        "spent_usd": to_usd(found.spent),
        "projected_usd": to_usd(found.projected),
        "projected_low_usd": None if found.low is None else to_usd(found.low),
        "projected_high_usd": None if found.high is None else to_usd(found.high),
        "run_rate_usd": to_usd(facts.pace.projected),
        "days_seen": found.seen,
        "by_weekday": found.by_weekday,
        "expected": [_day(day) for day in found.expected],
        "limits": [
            {
                "scope": str(spending.limit.scope),
                "limit_usd": to_usd(spending.limit.amount),
                "spent_usd": to_usd(spending.spent),
                "reached_on": _iso(found.reaches(spending.limit.amount)),
            }
            for spending in facts.limits
        ],
        "unpriced_calls": facts.totals.unpriced_calls,
        "incomplete": len(facts.health.problems),
    }


def _day(day: Day) -> dict[str, object]:
    return {"date": day.date.isoformat(), "cost_usd": to_usd(day.cost)}


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
