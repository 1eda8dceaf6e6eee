"""A year, a month or a day at one look: what it cost, how the limits stand, what it went on, which jobs.

Every name in it can be asked after more closely by one filter more, every bar by a shorter period.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final, NamedTuple

from ..analysis.forecast import Forecast, forecast, history_of
from ..analysis.pace import Pace, pace
from ..analysis.sums import UNNAMED, divide_period, share, split, split_by, total
from ..budgets.limits import Spending
from ..errors import WrongUsage
from ..money import ZERO, Nanos, format_usd
from ..periods import Period, between, day, month, parse_month
from ..rollup import Dimension, Group, JobSums, Query, Totals
from .charts import course_chart, day_labels, expected_by_day, spend_chart
from .common import (
    MANY_TAGS,
    NEWCOMER,
    Breakdown,
    Health,
    breakdown_table,
    cost_or_unpriced,
    doubts,
    gauge_of,
    limit_row,
    named,
    owner,
    plural,
    stretch_data,
    sum_of,
    totals_data,
    unpriced_models,
)
from .document import Chart, Column, Figure, Gauge, Note, Ref, Report, Table, derive
from .forecast import projected_figure
from .plans import PlanLimits, plan_limits, rough_notes
from .queries import by_part, health, jobs_in, limits_in, spendings, zone_of
from .questions import LABELS, query_of
from .reader import Reader
from .report import told_apart
from .show_monthly import same_days_before, sum_figures

JOBS: Final = 10
"""How many jobs are named, the most expensive first."""

FEW_CALLS: Final = 20_000
"""Up to this many calls of a month are read for what plans have free; of more, sums tell it."""

LIMITS: Final = 6
"""How many limits are drawn where everyone's are looked at, those used most first."""


_YEAR: Final = re.compile(r"(?!9999)[1-9]\d{3}", re.ASCII)
_DAY: Final = re.compile(r"(?!9999)[1-9]\d{3}-\d\d-\d\d", re.ASCII)
_HOURS: Final = 24


class OverviewQuestion(NamedTuple):
    """Which period: ``2026``, ``2026-11`` or ``2026-11-20``; of which calls; and how its bars are divided."""

    period_name: str
    filters: Mapping[str, str] = {}
    by: Dimension = "model"


class PeriodPart(NamedTuple):
    """A part of the period, such as one of its days: its sums, and those by name.

    A call with several tags is once in the first, and under each of them in the others.
    """

    label: str
    totals: Totals
    sums: Mapping[str, Totals]


@dataclass(frozen=True, slots=True)
class OverviewFacts:
    """What the report shows.

    ``parts`` are those that have begun; ``before`` is the cost of as long a stretch before. ``forecast`` is
    there for the present month, where the only filter is a user.
    """

    question: OverviewQuestion
    period: Period
    totals: Totals
    breakdown: Breakdown
    parts: Sequence[PeriodPart]
    pace: Pace
    jobs: Sequence[JobSums] = ()
    before: tuple[Period, Nanos] | None = None
    spendings: Sequence[Spending] = ()
    forecast: Forecast | None = None
    unpriced: Sequence[str] = ()
    roughly: Sequence[str] = ()
    health: Health = field(default_factory=Health)


def period_named(reader: Reader, name: str, user_id: str | None) -> Period:
    """Return the year, month or day of this name for a user, or with ``None`` for everyone.

    Raises:
        WrongUsage: it is none of them.
    """
    zone, billing_day = zone_of(reader, user_id), reader.billing_day
    try:
        if _YEAR.fullmatch(name):
            return between(date(int(name), 1, 1), date(int(name), 12, 31), zone, billing_day)
        if _DAY.fullmatch(name):
            only = date.fromisoformat(name)
            return day(between(only, only, zone).start, zone)._replace(billing_day=billing_day)
        return parse_month(name, zone, billing_day)
    except ValueError as fault:
        raise WrongUsage(f"{fault}; a year is written 2026, a day 2026-11-20") from None


def overview_facts(reader: Reader, asked: OverviewQuestion) -> OverviewFacts:
    """Return the sums of a period, by parts of it and by the names of one dimension."""
    query = query_of(asked.filters)
    period = period_named(reader, asked.period_name, query.user_id)
    query = query._replace(start=period.start, end=period.end)
    reader.index.catch_up_all()
    parts = [
        PeriodPart(name, total(groups), _named_sums(groups, asked.by))
        for name, groups in _by_part(reader, asked.by, period, query)
    ]
    whole = sum_of(part.totals for part in parts)
    whole.jobs = jobs_in(reader, query)
    pace_so_far = pace(_days(parts, period), period, reader.now)
    plans = _plans(reader, asked, period)
    label, by_name = LABELS[asked.by], _merged(parts)
    return OverviewFacts(
        question=asked,
        period=period,
        totals=whole,
        breakdown=Breakdown(f"by_{label.lower()}", label, by_name),
        parts=parts,
        pace=pace_so_far,
        jobs=reader.tagged.job_page(query, "cost", count=JOBS).jobs,
        before=_before(reader, query, period, pace_so_far),
        spendings=(*_standing(reader, asked, period), *plans.spendings),
        forecast=_foreseen(reader, asked, period),
        unpriced=unpriced_models(by_name) if asked.by == "model" else (),
        roughly=plans.roughly,
        health=health(reader),
    )


def _by_part(
    reader: Reader, by: Dimension, period: Period, query: Query
) -> Iterable[tuple[str, Sequence[Group]]]:
    """Return the parts of a period that have begun, each with its sums."""
    dimensions: tuple[Dimension, ...] = ("service", "model") if by == "model" else (by,)
    if period.kind == "day":
        return _by_hour(reader, dimensions, period, query)
    is_month = period.kind == "month"
    parts = period.days() if is_month else divide_period(period, "monthly")
    begun = [part for part in parts if part.start <= reader.now]
    return zip(map(_label, begun), by_part(reader, dimensions, query, begun), strict=True)


def _by_hour(
    reader: Reader, dimensions: tuple[Dimension, ...], period: Period, query: Query
) -> Iterator[tuple[str, Sequence[Group]]]:
    """Return a day by its hours on the clock; one that the clock shows twice is one here."""
    hours: list[list[Group]] = [[] for _ in range(_HOURS)]
    for group in reader.tagged.groups((*dimensions, "bucket"), query):
        *key, bucket = group.key
        begin = datetime.fromtimestamp(int(bucket or 0), period.zone)
        hours[begin.hour].append(Group(tuple(key), group.totals))
    return ((f"{hour:02d}:00", groups) for hour, groups in enumerate(hours))


def _label(part: Period) -> Ref:
    first = part.first_day
    if part.kind == "day":
        return Ref(f"{first.day} {first:%b}", "day", part.name)
    return Ref(f"{first:%b}", "month", f"{first:%Y-%m}")


def _named_sums(groups: Sequence[Group], by: Dimension) -> dict[str, Totals]:
    if by == "model":
        return split_by(groups, lambda key: f"{key[0]}/{key[1]}")
    return split_by(told_apart(groups, by), lambda key: str(UNNAMED if key[0] is None else key[0]))


def _merged(parts: Sequence[PeriodPart]) -> dict[str, Totals]:
    return split((Group((name,), totals) for part in parts for name, totals in part.sums.items()), 0)


def _days(parts: Sequence[PeriodPart], period: Period) -> tuple[Nanos, ...]:
    """Return the cost of each day of a month; zeros for other periods, whose number of days alone counts."""
    costs = [part.totals.cost for part in parts] if period.kind == "month" else []
    return (*costs, *[ZERO] * (period.length_in_days - len(costs)))


def _before(reader: Reader, query: Query, period: Period, pace_so_far: Pace) -> tuple[Period, Nanos] | None:
    """Return what as long a stretch before cost: of a period that is not over, as many days as have begun."""
    if not pace_so_far.days_begun:
        return None
    earlier = _stretch_before(period, pace_so_far)
    spent = reader.tagged.spends([query._replace(start=earlier.start, end=earlier.end)])[0]
    return (earlier, Nanos(spent)) if spent > 0 else None


def _stretch_before(period: Period, pace_so_far: Pace) -> Period:
    if period.kind == "month":
        return same_days_before(period, pace_so_far)
    if period.kind == "day":
        last = previous_day(period)
        return between(last, last, period.zone)
    first = period.first_day.replace(year=period.first_day.year - 1)
    whole = between(first, first.replace(month=12, day=31), period.zone)
    days = whole.dates()
    return whole if pace_so_far.is_over else between(days[0], days[: pace_so_far.days_begun][-1], period.zone)


def previous_day(period: Period) -> date:
    """Return the date before the one on which a period begins."""
    return date.fromordinal(period.first_day.toordinal() - 1)


def _standing(reader: Reader, asked: OverviewQuestion, period: Period) -> Sequence[Spending]:
    """Return how limits stand: a user's, or the organisation's and everyone's on whole months."""
    if not _has_limits(asked, period):
        return ()
    of, whole = asked.filters.get("user"), _month_of(period)
    if of is not None:
        return spendings(reader, limits_in(reader, of, whole))
    groups = reader.index.groups(("user_id",), Query(start=whole.start, end=whole.end))
    users = [str(group.key[0]) for group in groups]
    # In the time zone of a user, this month may be over, or not have begun.
    own = [(user, period_named(reader, whole.name, user)) for user in users]
    limits = [
        *(each for each in limits_in(reader, "", whole) if users and each.scope.owner is None),
        *(
            each
            for user, its in own
            for each in limits_in(reader, user, its)
            if each.is_month and each.scope.owner
        ),
    ]
    return spendings(reader, limits)


def _plans(reader: Reader, asked: OverviewQuestion, period: Period) -> PlanLimits:
    """Return how the limits of plans themselves stand: of a user's plans, or of all."""
    if not _has_limits(asked, period):
        return PlanLimits()
    return plan_limits(reader, asked.filters.get("user"), _month_of(period), FEW_CALLS)


def _has_limits(asked: OverviewQuestion, period: Period) -> bool:
    """Tell whether limits are on what is shown."""
    return not asked.filters.keys() - {"user"} and period.kind != "range"


def _month_of(period: Period) -> Period:
    if period.kind == "month":
        return period
    return month(period.start, period.zone, period.billing_day)


def _foreseen(reader: Reader, asked: OverviewQuestion, period: Period) -> Forecast | None:
    if asked.filters.keys() - {"user"} or period.kind != "month" or reader.now not in period:
        return None
    user = asked.filters.get("user")
    return forecast(history_of(reader.index, user, period, reader.now), period, reader.now)


def overview_report(facts: OverviewFacts) -> Report:
    """Return a period at one look."""
    empty = facts.totals.is_empty
    return Report(
        title=title_of(facts.period),
        subtitle=_subtitle(facts),
        gauges=tuple(_gauges(facts)),
        figures=() if empty else tuple(_figures(facts)),
        tables=() if empty else tuple(_tables(facts)),
        notes=tuple(_notes(facts)),
        charts=() if empty else tuple(_charts(facts)),
        data=_data(facts),
    )


def title_of(period: Period) -> str:
    """Return a period's name as a heading: ``2026``, ``November 2026``, ``Friday, 20 November 2026``."""
    if period.kind == "day":
        return f"{period.first_day:%A}, {named(period)}"
    return f"{period.first_day:%Y}" if period.kind == "range" else named(period)


def _subtitle(facts: OverviewFacts) -> str:
    pace, said = facts.pace, []
    if facts.period.kind == "month" and pace.days_begun and not pace.is_over:
        said.append(f"day {pace.days_begun} of {pace.days}")
    if facts.totals.is_empty:
        said.append("no calls")
    text = ", ".join([*said, f"time zone {facts.period.zone.key}"])
    return f"{text[0].upper()}{text[1:]}"


def _gauges(facts: OverviewFacts) -> Iterator[Gauge]:
    alone = "user" in facts.question.filters
    used = sorted(facts.spendings, key=lambda one: -one.spent * 10**6 // max(one.limit.amount, 1))
    for spending in used[:LIMITS]:
        of = spending.limit.scope.owner
        whose = "" if alone or of is None else f"{owner(of)}, "
        yield gauge_of(spending, label=f"{whose}{spending.label}{_state(spending)}")


def _state(spending: Spending) -> str:
    """Say what a limit's colour says."""
    if spending.threshold is None:
        return ""
    return ": limit reached" if spending.level == "critical" else f": above {spending.threshold:g}%"


def _figures(facts: OverviewFacts) -> Iterator[Figure]:
    totals = facts.totals
    yield Figure("cost", "Spent", cost_or_unpriced(totals), note=_compared(facts))
    if facts.forecast is not None and (facts.forecast.seen or facts.forecast.spent):
        yield projected_figure(facts.forecast)
    yield from sum_figures(totals)


def _compared(facts: OverviewFacts) -> str:
    if facts.before is None or cost_or_unpriced(facts.totals) is None:
        return ""
    earlier, spent = facts.before
    change = (facts.totals.cost - spent) * 100 / spent
    return f"{change:+,.0f}% against {named(earlier)} ({format_usd(spent)})"


def _charts(facts: OverviewFacts) -> Iterator[Chart]:
    yield _chart(facts)
    costs = [part.totals.cost for part in facts.parts]
    if facts.period.kind == "month" and sum(map(bool, costs)) > 1:
        limit = _limit_of(facts)
        course = course_chart(facts.period, facts.pace, costs, forecast=facts.forecast, limit=limit)
        yield course._replace(section="")  # this page is one group


def _limit_of(facts: OverviewFacts) -> int | None:
    """Return the limit on all that the chart sums: the user's, or everyone's together."""
    of = facts.question.filters.get("user")
    limits = (each.limit for each in facts.spendings)
    return next((one.amount for one in limits if one.scope.kind == "month" and one.scope.owner == of), None)


def _chart(facts: OverviewFacts) -> Chart:
    """Return the cost of each part by name, and what is expected of the days to come."""
    nothing, parts, period = Totals(), facts.parts, facts.period
    costs = {name: [part.sums.get(name, nothing).cost for part in parts] for name in facts.breakdown.sums}
    labels = day_labels(period) if facts.forecast else tuple(part.label for part in parts)
    unit = {"day": "hour", "month": "day"}.get(period.kind, "month")
    title = f"Spend by {unit} and {facts.breakdown.label.lower()}"
    return spend_chart(title, labels, costs, expected_by_day(facts.forecast, period))


def _tables(facts: OverviewFacts) -> Iterator[Table]:
    yield breakdown_table(facts.breakdown, facts.totals)
    yield jobs_table(facts.jobs, facts.totals)
    yield _parts_table(facts)


def jobs_table(jobs: Sequence[JobSums], whole: Totals) -> Table:
    """Return the most expensive jobs."""
    return Table.of(
        "Most expensive jobs",
        jobs,
        (Column("job", "Job"), lambda job: Ref(job.job.job_id, "job")),
        (Column("user", "User", rank=2), users_cell),
        (Column("calls", "Calls", "count", rank=1), lambda job: job.totals.calls),
        (Column("cost", "Cost", "money"), lambda job: cost_or_unpriced(job.totals)),
        (Column("share", "Share", "share"), lambda job: share(job.totals, whole)),
        key="jobs",
    )


def users_cell(job: JobSums) -> str:
    """Return whose calls a job has, as one cell."""
    first, *others = job.users
    return f"{first} and {len(others)} more" if others else Ref(first, "user")


def _parts_table(facts: OverviewFacts) -> Table:
    unit = {"day": "Hour", "month": "Day"}.get(facts.period.kind, "Month")
    return Table.of(
        f"{unit} by {unit.lower()}",
        [part for part in facts.parts if not part.totals.is_empty or facts.period.kind != "day"],
        (Column("period", unit), lambda part: part.label),
        (Column("calls", "Calls", "count", rank=1), lambda part: part.totals.calls),
        (Column("tokens_input", "Input", "tokens", rank=2), lambda part: part.totals.tokens_input),
        (Column("tokens_output", "Output", "tokens", rank=2), lambda part: part.totals.tokens_output),
        (Column("cost", "Cost", "money"), lambda part: cost_or_unpriced(part.totals)),
        key="periods",
        folded=True,
    )


def _notes(facts: OverviewFacts) -> Iterator[Note]:
    yield from doubts(facts.totals, facts.health, facts.unpriced)
    yield from rough_notes(facts.roughly)
    if (others := len(facts.spendings) - LIMITS) > 0:
        less = plural(others, "other limit is", "other limits are")
        yield Note(f"{less} used less: the page of budgets has them, user by user.")
    if facts.question.by == "tags" and not facts.breakdown.is_empty:
        yield Note(MANY_TAGS)
    if facts.totals.is_empty and not facts.question.filters and not facts.pace.is_over:
        yield Note(NEWCOMER)


def _data(facts: OverviewFacts) -> dict[str, object]:
    names = ("period=question.period_name", "period.start", "period.end", "timezone=period.zone.key")
    return {
        **derive(facts, *names, "question.filters"),
        **stretch_data(facts.totals, [facts.breakdown], facts.health),
        "periods": [{"period": _name(part), **totals_data(part.totals)} for part in facts.parts],
        "jobs": [{**derive(job, "job.job_id", "users"), **totals_data(job.totals)} for job in facts.jobs],
        "limits": [limit_row(spending) for spending in facts.spendings],
    }


def _name(part: PeriodPart) -> str:
    return part.label.target if isinstance(part.label, Ref) else part.label
