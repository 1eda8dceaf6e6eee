"""What a month cost, by service, model, stage and user.

Without --user: everyone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from ..analysis.machines import MachineWork
from ..analysis.pace import Pace, pace
from ..analysis.sums import SUMMARY_DIMENSIONS, Summary, costs, summarise
from ..budgets.limits import Spending
from ..money import Nanos, format_usd, percent, percent_words, to_usd
from ..periods import Period, between, previous_month
from ..rollup import Query, Totals
from .common import (
    NEWCOMER,
    Breakdown,
    Health,
    breakdown_data,
    breakdown_table,
    cost_or_unpriced,
    doubts,
    gauge_of,
    named,
    totals_data,
    unpriced_models,
    usd,
    whose,
)
from .document import Figure, Note, Report, Series, Table, Tone
from .machines import avoided_data, avoided_figure, machine_data, machine_doubts, machine_figure, machine_work
from .plans import CoveredCalls, covered, covered_data, covered_figure, drawn, drawn_data, drawn_figure
from .queries import days_of, health, jobs_in, limits_in, monthly, own_prices, spendings, within
from .questions import TimeSpan, UserMonth
from .reader import Reader
from .spec import MONTH, USER, Spec

if TYPE_CHECKING:
    from ..analysis.avoided import Saving  # with it come the prices, which not every view needs


class MonthFacts(NamedTuple):
    """What the report shows.

    ``days`` is the cost of each local day; ``before`` the cost of as many days of the month before
    as have begun in this one, so that the two compare; ``limit`` is the monthly limit of the user,
    or of the organisation where the summary is everyone's.
    """

    period: Period
    summary: Summary
    days: tuple[Nanos, ...]
    pace: Pace
    before: Nanos | None = None
    limit: Spending | None = None
    health: Health = Health()
    avoided: Sequence[Saving] = ()
    machines: Sequence[MachineWork] = ()
    covered: CoveredCalls = CoveredCalls()
    drawn: CoveredCalls = CoveredCalls()


def month_facts(reader: Reader, asked: UserMonth) -> MonthFacts:
    """Return what a month cost one user, or with ``None`` everyone."""
    now, user_id = reader.now, asked.user
    period, query = within(reader, TimeSpan(asked.month_name), Query(user_id=user_id))
    days = days_of(reader, user_id, period)
    month_pace = pace(days, period, now)
    groups = reader.index.groups(SUMMARY_DIMENSIONS, query)
    limits = limits_in(reader, user_id or "", period)
    own = [x for x in limits if x.is_month and x.scope.owner == user_id]
    summary = summarise(period.name, user_id, groups, jobs_in(reader, query))
    return MonthFacts(
        period=period,
        summary=summary,
        days=days,
        pace=month_pace,
        before=_before(reader, user_id, period, month_pace),
        limit=monthly(spendings(reader, own), user_id),
        health=health(reader),
        avoided=_avoided(reader, query, summary),
        machines=machine_work(reader, query),
        covered=covered(reader, query),
        drawn=drawn(reader, period, user_id),
    )


def _avoided(reader: Reader, query: Query, summary: Summary) -> Sequence[Saving]:
    prices = own_prices(reader)
    if prices is None or reader.is_shared:
        return ()
    from ..analysis.avoided import Calls, of_period  # only where prices name clouds

    index = reader.index
    calls = Calls(lambda part: (group.totals for group in index.groups((), part)), index.entries)
    free = (name.partition("/") for name, totals in summary.by_model.items() if not totals.cost)
    return of_period(calls, query, [(service, model) for service, _, model in free], prices)


def _before(reader: Reader, user_id: str | None, period: Period, month_pace: Pace) -> Nanos | None:
    """Return the cost of the same days of the month before."""
    earlier = same_days_before(period, month_pace)
    return reader.index.spend(earlier.start, earlier.end, user_id=user_id) or None


def same_days_before(period: Period, month_pace: Pace) -> Period:
    """Return as many days of the month before as have begun in this one: all of it once this one is over."""
    earlier = previous_month(period)
    days = earlier.dates()
    if month_pace.days_begun and not month_pace.is_over:
        return between(days[0], days[: month_pace.days_begun][-1], earlier.zone)
    return earlier


def month_report(facts: MonthFacts) -> Report:
    """Return the summary of one month, of one user or of everyone."""
    summary = facts.summary
    return Report(
        title=f"{named(facts.period)}, {whose(summary.user_id)}",
        subtitle="No calls were logged in this month." if summary.totals.is_empty else "",
        gauges=(gauge_of(facts.limit),) if facts.limit else (),
        figures=() if summary.totals.is_empty else tuple(_figures(facts)),
        series=_series(facts),
        tables=tuple(breakdown_tables(summary)),
        notes=tuple(_notes(facts)),
        data=_data(facts),
    )


def _notes(facts: MonthFacts) -> Iterator[Note]:
    summary = facts.summary
    yield from doubts(summary.totals, facts.health, unpriced_models(summary.by_model))
    yield from machine_doubts(facts.machines)
    if summary.totals.is_empty and summary.user_id is None and not facts.pace.is_over:
        yield Note(NEWCOMER)


def _figures(facts: MonthFacts) -> Iterator[Figure]:
    totals = facts.summary.totals
    yield Figure("cost", "Spent", cost_or_unpriced(totals), note=_compared(facts))
    yield from money_figures(totals)
    yield from avoided_figure(facts.avoided)
    yield from machine_figure(facts.machines)
    yield from covered_figure(facts.covered)
    yield from drawn_figure(facts.drawn)
    yield Figure("jobs", "Jobs", totals.jobs, "count", _per_job(facts.summary))
    yield from count_figures(totals)


def money_figures(totals: Totals, places: int = 2) -> Iterator[Figure]:
    """Return what input and output cost; left out where nothing was paid, or where only the sum is known."""
    if totals.cost and totals.is_split:
        for key, label, part in (
            ("cost_input", "Input", totals.cost_input),
            ("cost_output", "Output", totals.cost_output),
        ):
            yield Figure(key, label, part, note=_of(part, totals), places=places)


def _of(part: Nanos, totals: Totals) -> str:
    """Say how much of the whole a part is, where it is one: credits may be more than either."""
    if not 0 <= part <= totals.cost:
        return ""
    return f"{percent_words(percent(part, totals.cost))} of the cost"


def sum_figures(totals: Totals) -> Iterator[Figure]:
    """Return what input and output cost, jobs, calls, tokens and audio."""
    yield from money_figures(totals)
    yield Figure("jobs", "Jobs", totals.jobs, "count")
    yield from count_figures(totals)


def count_figures(totals: Totals) -> Iterator[Figure]:
    """Return calls, tokens and audio, with what stands out about them."""
    remarks = []
    if totals.unpriced_calls:
        remarks.append(f"{totals.unpriced_calls:,} unpriced")
    if totals.partial_calls:
        remarks.append(f"{totals.partial_calls:,} priced in part")
    if totals.retried_calls:
        remarks.append(f"{totals.retried_calls:,} retried ({usd(totals.retried_cost)})")
    tone: Tone = "warning" if totals.unpriced_calls or totals.partial_calls else "plain"
    yield Figure("calls", "Calls", totals.calls, "count", ", ".join(remarks), tone)
    if totals.tokens_total:
        note = f"{totals.tokens_input:,} in, {totals.tokens_output:,} out"
        if totals.tokens_cached:
            note += f", {totals.tokens_cached * 100 / totals.tokens_input:.0f}% of input cached"
        yield Figure("tokens", "Tokens", totals.tokens_total, "tokens", note)
    if totals.audio_microseconds:
        yield Figure("audio", "Audio", totals.audio_microseconds / 1_000_000, "duration")


def _compared(facts: MonthFacts) -> str:
    if facts.before is None or facts.before <= 0:
        return ""
    change = (facts.summary.totals.cost - facts.before) * 100 / facts.before
    days = same_days_before(facts.period, facts.pace).length_in_days
    is_part = days < previous_month(facts.period).length_in_days
    span = f"the first {days} days of the month before" if is_part else "the month before"
    return f"{change:+,.0f}% against {span} ({format_usd(facts.before)})"


def _per_job(summary: Summary) -> str:
    return f"{usd(summary.average_per_job)} a job" if summary.totals.jobs and summary.totals.cost else ""


def _series(facts: MonthFacts) -> tuple[Series, ...]:
    begun = facts.pace.days_begun
    if sum(map(bool, facts.days)) < 2:
        return ()
    labels = tuple(f"{day.day} {day:%b}" for day in facts.period.dates()[:begun])
    return (Series("Spend by day", labels, tuple(float(day) for day in facts.days[:begun])),)


def _breakdowns(summary: Summary) -> Iterator[Breakdown]:
    yield Breakdown("by_service", "Service", summary.by_service)
    yield Breakdown("by_model", "Model", summary.by_model)
    yield Breakdown("by_stage", "Stage", summary.by_stage)
    yield Breakdown("by_user", "User", summary.by_user)
    yield Breakdown("by_operation", "Category", summary.by_operation)


def breakdown_tables(summary: Summary) -> Iterator[Table]:
    """Return a table for each way to break the month down that has names."""
    for breakdown in _breakdowns(summary):
        lonely_user = breakdown.key == "by_user" and (summary.user_id is not None or len(breakdown.sums) < 2)
        if not breakdown.is_empty and not lonely_user:
            yield breakdown_table(breakdown, summary.totals)


def _data(facts: MonthFacts) -> dict[str, object]:
    summary = facts.summary
    details = breakdown_data(
        [b for b in _breakdowns(summary) if b.key in ("by_service", "by_model", "by_stage")]
    )
    return {
        **summary.as_dict(),
        "by_user": costs(summary.by_user),
        "daily_usd": {
            day.isoformat(): to_usd(amount)
            for day, amount in zip(facts.period.dates(), facts.days, strict=True)
        },
        "totals": totals_data(summary.totals),
        "details": details,
        "avoided": avoided_data(facts.avoided),
        **({"machines": machine_data(facts.machines)} if facts.machines else {}),
        **covered_data(facts.covered),
        **drawn_data(facts.drawn),
        "incomplete": len(facts.health.problems),
    }


SPEC: Final = Spec(
    "Look",
    (
        "show-monthly",
        "show-monthly --month 2026-10 --user rpatel",
        "show-monthly --format md --output october.md",
    ),
    UserMonth,
    month_facts,
    month_report,
    options=(USER, MONTH),
    watch=True,
    shared=True,
)
