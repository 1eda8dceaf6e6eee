"""Where this month will end, by weekday, and when each limit is reached.

Without --user: everyone, against the organization's limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from functools import cache
from typing import Final, NamedTuple

from ..analysis.forecast import (
    WEEKDAYS_FROM,
    Day,
    Forecast,
    days_before,
    days_of_buckets,
    forecast,
    history_of,
)
from ..analysis.pace import Pace, pace
from ..analysis.sums import by_day, is_unpriced, total
from ..budgets.limits import Crossing, Spending, foresee
from ..budgets.spending import spend_by_bucket
from ..budgets.wording import message
from ..periods import Period
from ..rollup import Query, Totals
from .common import (
    Health,
    cell_of,
    doubts,
    gauge_of,
    likely,
    named,
    plural,
    unit_amounts,
    usd_amounts,
    whose,
)
from .document import Column, Figure, Note, Report, Series, Table, Value, derive
from .plans import paid_of
from .queries import days_of, health, limits_in, spendings, within
from .questions import TimeSpan, UserMonth
from .reader import Reader
from .spec import USER, Spec


class ForecastFacts(NamedTuple):
    """What the report shows. ``limits`` are those of months and weeks; ``pace`` is the run rate."""

    user_id: str | None
    period: Period
    forecast: Forecast
    pace: Pace
    totals: Totals
    limits: Sequence[LimitForecast] = ()
    health: Health = Health()


def forecast_facts(reader: Reader, asked: UserMonth) -> ForecastFacts:
    """Return where the present month of a user (``None``: everyone) will end."""
    now, user_id = reader.now, asked.user
    period, query = within(reader, TimeSpan(), Query(user_id=user_id))
    limits = limits_in(reader, user_id or "", period)
    mine = [x for x in limits if user_id is not None or x.scope.owner is None]
    return ForecastFacts(
        user_id=user_id,
        period=period,
        forecast=forecast(history_of(reader.index, user_id, period, now), period, now),
        pace=pace(days_of(reader, user_id, period), period, now),
        totals=total(reader.index.groups((), query)),
        limits=limit_forecasts(reader, spendings(reader, mine)),
        health=health(reader),
    )


def forecast_report(facts: ForecastFacts) -> Report:
    """Return where the month is expected to end."""
    return Report(
        title=f"Forecast, {whose(facts.user_id)}",
        subtitle=named(facts.period),
        gauges=tuple(gauge_of(each.spending) for each in facts.limits),
        figures=tuple(_figures(facts)),
        series=_series(facts.forecast),
        tables=_limits(facts),
        notes=tuple(_notes(facts)),
        data=_data(facts),
    )


def _figures(facts: ForecastFacts) -> Iterator[Figure]:
    forecast = facts.forecast
    yield Figure("spent", "Spent", None if is_unpriced(facts.totals) else forecast.spent)
    if not forecast.seen and not forecast.spent:
        return
    yield projected_figure(forecast)
    yield Figure(
        "run_rate", "At a steady pace", facts.pace.projected, note="if every day costs the average so far"
    )
    if forecast.seen and forecast.whole_days:
        note = f"on average, {plural(len(forecast.expected), 'day', 'days')} left"
        yield Figure("per_day", "Each day left", forecast.per_day, note=note)


def projected_figure(forecast: Forecast) -> Figure:
    """Return where the month is expected to end."""
    return Figure("projected", "Projected", forecast.projected, note=_range(forecast))


def _range(forecast: Forecast) -> str:
    if forecast.low is None or forecast.high is None:
        return "too few days for a range"
    return likely(forecast.low, forecast.high)


def _series(forecast: Forecast) -> tuple[Series, ...]:
    if len(forecast.expected) < 3 or not any(day.cost for day in forecast.expected):
        return ()
    labels = tuple(f"{day.date.day} {day.date:%b}" for day in forecast.expected)
    return (Series("Expected by day", labels, tuple(float(day.cost) for day in forecast.expected)),)


def _limits(facts: ForecastFacts) -> tuple[Table, ...]:
    if not facts.limits:
        return ()
    table = Table.of(
        "Limit",
        facts.limits,
        (Column("limit", "Limit"), lambda each: each.spending.label),
        (Column("amount", "Amount", "money", rank=1), lambda each: each.cell(each.spending.limit.amount)),
        (Column("left", "Left", "money"), lambda each: each.cell(each.spending.remaining)),
        (Column("projected", "Projected", "money"), lambda each: each.cell(each.forecast.projected)),
        (Column("reached", "Reached"), _reached),
    )
    return (table,)


def _reached(outlook: LimitForecast) -> str:
    limit = outlook.spending.limit
    if outlook.spending.remaining <= 0:
        return "already"
    if outlook.reached is None and not outlook.forecast.seen:
        return "not known yet"
    if outlook.reached is None:
        return f"not this {limit.period.kind}" if limit.period else "no"
    days = outlook.days_until_reached
    when = f"in {plural(days, 'day', 'days')}" if days else "today"
    return f"{when}, {outlook.reached.day} {outlook.reached:%b}"


def _notes(facts: ForecastFacts) -> Iterator[Note]:
    yield from foreseen_alerts(facts)
    yield from doubts(facts.totals, facts.health)
    yield Note(_basis(facts.forecast))


def foreseen_alerts(facts: ForecastFacts) -> Iterator[Note]:
    """Return a warning for each limit that is not reached yet but will be."""
    alerts = (_foreseen(each) for each in facts.limits)
    return (Note(message(alert), "warning") for alert in alerts if alert is not None)


def _foreseen(outlook: LimitForecast) -> Crossing | None:
    return None if outlook.forecast.low is None else foresee(outlook.spending, outlook.forecast.projected)


def _basis(forecast: Forecast) -> str:
    days = plural(forecast.seen, "complete day", "complete days")
    if not forecast.seen:
        basis = (
            ": every day left counts as the average so far. Take it as a first guess"
            if forecast.spent
            else ""
        )
        return f"There is no complete day yet{basis}."
    if forecast.by_weekday:
        return f"Based on {days}, by weekday. Eight months in ten end within such a range."
    return f"Based on {days}; from {WEEKDAYS_FROM} on, weekdays are told apart. Take it as a first guess."


def _data(facts: ForecastFacts) -> dict[str, object]:
    names = ("spent", "projected", "projected_low=low", "projected_high=high")
    return {
        **derive(facts, "user_id", "month=period.name"),
        **derive(facts.forecast, *names),
        **derive(facts, "run_rate=pace.projected", "days_seen=forecast.seen", "forecast.by_weekday"),
        **derive(facts, "forecast.expected"),
        "limits": [_limit(each) for each in facts.limits],
        **derive(facts, "totals.unpriced_calls", "totals.partial_calls", "health.incomplete"),
    }


def _limit(outlook: LimitForecast) -> dict[str, object]:
    spending, measure = outlook.spending, outlook.spending.limit.measure
    amounts: dict[str, int | None] = {
        "limit": spending.limit.amount,
        "spent": spending.spent,
        "projected": outlook.forecast.projected,
    }
    return {
        "scope": str(spending.limit.scope),
        "period": spending.limit.span,
        **usd_amounts(amounts, measure),
        **unit_amounts(amounts, measure),
        **derive(outlook, "reached_on=reached", "days_until_reached"),
    }


class LimitForecast(NamedTuple):
    """A limit with what was spent within it, and where that will stand at the end of its period."""

    spending: Spending
    forecast: Forecast

    def cell(self, amount: int) -> Value:
        """Return an amount of what the limit counts, for a column of money."""
        return cell_of(amount, self.spending.limit.measure)

    @property
    def reached(self) -> date | None:
        """The day on which the limit is expected to be reached; ``None`` where it holds."""
        return self.forecast.reaches(self.spending.limit.amount)

    @property
    def days_until_reached(self) -> int | None:
        """How many days that is from today, which in the limit's time zone may be another day than here."""
        return None if self.reached is None else (self.reached - self.forecast.expected[0].date).days


def projected(reader: Reader, user_id: str, period: Period) -> tuple[Pace, Forecast | None]:
    """Return a period's pace with the projection of its forecast, and that forecast.

    All commands that tell where a month ends take it from here or from :func:`forecast` itself, so
    that they agree. A month that is over, or not begun, has no forecast.
    """
    now = reader.now
    if now not in period:
        buckets = paid_of(reader, user_id, period.start, period.end)
        return pace(by_day(buckets, period), period, now), None
    span = days_before(period, now)
    # Asked once, for the weeks before and to the period's end: most of the days are in both.
    buckets = paid_of(reader, user_id, span.start, period.end)
    month_pace = pace(by_day(buckets, period), period, now)
    better = forecast(days_of_buckets(span, buckets), period, now)
    return month_pace._replace(projected=better.projected, low=better.low, high=better.high), better


def limit_forecasts(reader: Reader, spendings: Iterable[Spending]) -> list[LimitForecast]:
    """Return where what each limit bounds will stand at the end of its year, month or week.

    A day is over before days tell anything, and jobs have no end that is known: their limits are
    left out.
    """
    histories = _Histories(reader)
    now = reader.now
    forecasts = []
    for spending in spendings:
        period = spending.limit.period
        if period is not None and period.kind in ("year", "month", "week"):
            forecasts.append(LimitForecast(spending, forecast(histories.of(spending, period), period, now)))
    return forecasts


class _Histories:
    """The days of what limits bound; what several limits ask is read once."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._groups = cache(reader.index.groups)

    def of(self, spending: Spending, period: Period) -> Sequence[Day]:
        limit, reader = spending.limit, self._reader
        if limit.is_whole and not limit.flat:
            return history_of(reader.index, limit.scope.owner, period, reader.now)
        span = days_before(period, reader.now)
        buckets = spend_by_bucket(limit, self._groups, reader.catalogue_name, span.start, span.end)
        return days_of_buckets(span, buckets)


SPEC: Final = Spec(
    "Look",
    ("forecast", "forecast --user rpatel --json"),
    UserMonth,
    forecast_facts,
    forecast_report,
    options=(USER,),
    watch=True,
    shared=True,
)
