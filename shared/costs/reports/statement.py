"""The report of a month to keep and to pass on: all that the views of a month have, on one page.

What was spent against the limit and the month before, where it leads, why it differs, on what and for
whom, the most expensive jobs, what stands out, and what would have cost less.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from ..analysis.explain import ComparedSide, difference
from ..analysis.sums import UNNAMED, share, total
from ..money import Nanos
from ..periods import previous_month
from ..rollup import Query, Totals
from .anomalies import AnomalyFacts, anomaly_facts, anomaly_report, anomaly_table
from .charts import course_chart, day_labels, expected_by_day, spend_chart
from .common import cost_or_unpriced, named, totals_data
from .document import Chart, Column, Figure, Note, Ref, Report, Section, Table, derive
from .explain import ExplainFacts, explain_report, reason_table
from .forecast import ForecastFacts, forecast_facts, forecast_report, foreseen_alerts, projected_figure
from .queries import by_part, counted, days_of, health
from .questions import Question, TimeSpan, UserMonth
from .reader import Reader, in_turn
from .show_monthly import MonthFacts, breakdown_tables, month_facts, month_report, same_days_before
from .show_optimization import (
    OptimizationFacts,
    SavingsQuestion,
    caching_table,
    cautions,
    changes_table,
    improvement_facts,
    local_table,
    optimization_report,
    outcome_table,
    quality_table,
    saving_figures,
    waste_table,
)
from .trend import lines_by

JOBS: Final = 10


class JobSum(NamedTuple):
    """A job of the month. ``mostly`` is the stage that most of it went to."""

    job_id: str
    user_id: str
    mostly: str
    totals: Totals


class StatementFacts(NamedTuple):
    """What the report shows, each part as its own report has it.

    ``days`` has the sums of each day that has begun, ``by_model`` the cost of each model by day,
    most expensive first, ``before`` the cost of each day of the month before. ``forecast`` is ``None`` for
    a month that is over, ``explained`` where the month before cost nothing.
    """

    month: MonthFacts
    days: Sequence[Totals]
    by_model: Mapping[str, Sequence[Nanos]]
    before: Sequence[Nanos]
    jobs: Sequence[JobSum]
    anomalies: AnomalyFacts
    savings: OptimizationFacts
    forecast: ForecastFacts | None = None
    explained: ExplainFacts | None = None


def statement_facts(reader: Reader, asked: UserMonth) -> StatementFacts:
    """Return all there is to say about a month of a user, or with ``None`` of everyone.

    Reads the entries of this month and of the one before.
    """
    month, user_id = month_facts(reader, asked), asked.user
    query = Query(start=month.period.start, end=month.period.end, user_id=user_id)
    days = by_part(reader, ("service", "model"), query, month.period.days())
    span = TimeSpan(asked.month_name)
    standing_out = Question("", span, {"user": user_id} if user_id else {})
    now = reader.now
    savings, explained = _read_calls(reader, month, query, SavingsQuestion(user_id, span))
    return StatementFacts(
        month=month,
        days=[total(groups) for groups in days[: month.pace.days_begun]],
        by_model=lines_by(days),
        before=days_of(reader, user_id, previous_month(month.period)),
        jobs=_most_expensive_jobs(reader, query),
        anomalies=anomaly_facts(reader, standing_out),
        savings=savings,
        forecast=forecast_facts(reader, asked) if now in month.period else None,
        explained=explained,
    )


def _read_calls(
    reader: Reader, month: MonthFacts, query: Query, asked: SavingsQuestion
) -> tuple[OptimizationFacts, ExplainFacts | None]:
    """Return what the calls of a month would have cost otherwise, and why it differs from the one before.

    The month before is looked at for as many days as have begun, if it cost anything. The calls of both
    are read once.
    """
    earlier = same_days_before(month.period, month.pace)
    before, after = ComparedSide(), ComparedSide()
    stretches = [query._replace(start=earlier.start, end=earlier.end)] if month.before else []
    with reader.progress("Repricing") as advance:
        *others, entries = in_turn([counted(reader, each) for each in (*stretches, query)], advance)
        for each in others:
            before.add_all(each)
        savings = improvement_facts(reader, asked, month.period, after.counting(entries))
    if not month.before:
        return savings, None
    parts = difference(before, after)
    return savings, ExplainFacts(
        named(earlier), named(month.period), parts, health(reader, *stretches, query)
    )


def _most_expensive_jobs(reader: Reader, query: Query) -> tuple[JobSum, ...]:
    """Return the most expensive jobs. Those of one name in several places are one job here."""
    sums: dict[tuple[str, str], Totals] = {}
    mostly: dict[tuple[str, str], str] = {}
    for group in reader.index.groups(("job_id", "user_id", "stage"), query):  # the most expensive first
        job = (str(UNNAMED if group.key[0] is None else group.key[0]), str(group.key[1]))
        mostly.setdefault(job, str(UNNAMED if group.key[2] is None else group.key[2]))
        sums.setdefault(job, Totals()).merge(group.totals)
    most_expensive = sorted(sums, key=lambda job: (-sums[job].cost, job))[:JOBS]
    return tuple(JobSum(*job, mostly[job], sums[job]) for job in most_expensive)


def statement_report(facts: StatementFacts) -> Report:
    """Return a month's report, of one user or of everyone."""
    month = month_report(facts.month)
    if facts.month.summary.totals.is_empty:
        return month._replace(data=_data(facts, month))
    return month._replace(
        subtitle=_subtitle(facts),
        figures=tuple(_figures(facts, month)),
        tables=tuple(_tables(facts)),
        notes=tuple(_notes(facts, month)),
        charts=tuple(_charts(facts)),
        data=_data(facts, month),
    )


def _subtitle(facts: StatementFacts) -> str:
    pace, period = facts.month.pace, facts.month.period
    if pace.is_over:
        return f"The whole month, time zone {period.zone.key}."
    return f"Day {pace.days_begun} of {pace.days}, time zone {period.zone.key}."


def _figures(facts: StatementFacts, month: Report) -> Iterator[Figure]:
    spent, *rest = month.figures
    yield spent
    if facts.forecast is not None:
        yield projected_figure(facts.forecast.forecast)
    yield from (figure for figure in saving_figures(facts.savings.savings) if figure.key == "saving_hosted")
    yield from rest


def _tables(facts: StatementFacts) -> Iterator[Table]:
    """Return the tables, those of one question after each other."""
    savings = facts.savings._replace(show="changes")
    by_name = {table.key: table for table in breakdown_tables(facts.month.summary)}
    first = [by_name.pop(key) for key in ("by_service", "by_stage") if key in by_name]
    for table in _under("spend", [*first, *by_name.values()]):
        yield table._replace(choice=table.columns[0].title)
    if facts.explained is not None and facts.explained.explanation.parts:
        title = f"Why it differs from {facts.explained.before}"
        yield from _under("why", [reason_table(facts.explained)._replace(title=title)])
    yield from _under("why", [anomaly_table(facts.anomalies)._replace(title="What stands out"), _jobs(facts)])
    yield from _under("change", changes_table(savings))
    for also in (local_table, caching_table, waste_table):
        yield from _under("change", (table._replace(folded=True) for table in also(savings)))
    yield from _under("details", [_days(facts), *outcome_table(savings), *quality_table(savings)])


def _under(section: Section, tables: Iterable[Table]) -> Iterator[Table]:
    return (table._replace(section=section) for table in tables)


def _jobs(facts: StatementFacts) -> Table:
    whole = facts.month.summary.totals
    return Table.of(
        "Most expensive jobs",
        facts.jobs,
        (Column("job", "Job"), lambda job: Ref(job.job_id, "job")),
        (Column("user", "User", rank=2), lambda job: Ref(job.user_id, "user")),
        (Column("mostly", "Mostly for", rank=1), lambda job: Ref(job.mostly, "stage")),
        (Column("calls", "Calls", "count", rank=1), lambda job: job.totals.calls),
        (Column("cost", "Cost", "money"), lambda job: cost_or_unpriced(job.totals)),
        (Column("share", "Share", "share"), lambda job: share(job.totals, whole)),
    )


def _days(facts: StatementFacts) -> Table:
    whole = facts.month.summary.totals
    return Table.of(
        "Day by day",
        zip(facts.month.period.dates(), facts.days, strict=False),
        (Column("day", "Day"), lambda day: Ref(day[0].isoformat(), "day")),
        (Column("calls", "Calls", "count", rank=1), lambda day: day[1].calls),
        (Column("tokens_input", "Input", "tokens", rank=2), lambda day: day[1].tokens_input),
        (Column("tokens_cached", "Cached", "tokens", rank=3), lambda day: day[1].tokens_cached),
        (Column("tokens_output", "Output", "tokens", rank=2), lambda day: day[1].tokens_output),
        (Column("cost", "Cost", "money"), lambda day: cost_or_unpriced(day[1])),
        (Column("share", "Share", "share"), lambda day: share(day[1], whole)),
    )


def _charts(facts: StatementFacts) -> Iterator[Chart]:
    if sum(map(bool, facts.month.days)) >= 2:
        yield _by_day(facts)
        month, forecast = facts.month, facts.forecast
        yield course_chart(
            month.period,
            month.pace,
            month.days,
            before=facts.before,
            forecast=forecast.forecast if forecast else None,
            limit=month.limit.limit.amount if month.limit else None,
        )


def _by_day(facts: StatementFacts) -> Chart:
    """Return each day's cost by model, and what is expected of the days to come."""
    period, forecast = facts.month.period, facts.forecast
    expected = expected_by_day(forecast.forecast if forecast else None, period)
    return spend_chart("Spend by day and model", day_labels(period), facts.by_model, expected, "spend")


def _notes(facts: StatementFacts, month: Report) -> Iterator[Note]:
    if facts.forecast is not None:
        yield from foreseen_alerts(facts.forecast)
    yield from month.notes
    yield from _remarks(anomaly_report(facts.anomalies))
    yield from cautions(facts.savings._replace(show="changes"))
    if facts.forecast is not None:
        yield from _remarks(forecast_report(facts.forecast))


def _remarks(report: Report) -> Iterator[Note]:
    """Return what a view says of its method; its doubts about the data are the month's too."""
    return (note for note in report.notes if note.tone == "plain")


def _data(facts: StatementFacts, month: Report) -> dict[str, object]:
    forecast, explained = facts.forecast, facts.explained
    return {
        **month.data,
        "forecast": None if forecast is None else dict(forecast_report(forecast).data),
        "difference": None if explained is None else dict(explain_report(explained).data),
        "jobs": [
            {**derive(job, "job_id", "user_id", "mostly"), **totals_data(job.totals)} for job in facts.jobs
        ],
        "anomalies": anomaly_report(facts.anomalies).data["anomalies"],
        "savings": dict(optimization_report(facts.savings).data),
    }
