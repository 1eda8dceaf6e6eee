"""Jobs, and the calls behind a sum, a page at a time; for too many calls, the jobs that made them."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from ..analysis.sums import share, total
from ..model import Entry
from ..money import to_usd
from ..periods import Period
from ..rollup import Group, JobOrder, JobPage, JobSums, Query, Totals
from .common import Health, cost_or_unpriced, incomplete, named, plural, totals_data, usd
from .document import Column, Note, Ref, Report, Table, derive
from .overview import period_named, users_cell
from .queries import health, zone_of
from .questions import query_of
from .reader import Reader

A_PAGE: Final = 100
"""How many jobs one page lists."""


class JobListQuestion(NamedTuple):
    """Which jobs: of a period (``None``: of all time), with ``named`` in their names, of which calls."""

    period_name: str | None = None
    filters: Mapping[str, str] = {}
    named: str = ""
    order: JobOrder = "newest"
    page: int = 1


class JobListFacts(NamedTuple):
    """What the report shows; ``totals`` are what shares are of."""

    question: JobListQuestion
    zone: ZoneInfo
    period: Period | None
    page: JobPage
    totals: Totals
    health: Health = Health()


def job_list_facts(reader: Reader, asked: JobListQuestion) -> JobListFacts:
    """Return one page of jobs."""
    period, query = _within(reader, asked.period_name, asked.filters)
    first = (asked.page - 1) * A_PAGE
    page = reader.tagged.job_page(query, asked.order, first, A_PAGE, asked.named)
    zone = zone_of(reader, query.user_id)
    return JobListFacts(asked, zone, period, page, _whole(reader, query, page), health(reader))


def _within(
    reader: Reader, period_name: str | None, filters: Mapping[str, str]
) -> tuple[Period | None, Query]:
    """Return the period of this name (``None``: all time), and the query for what matches in it."""
    query = query_of(filters)
    reader.index.catch_up_all()
    if period_name is None:
        return None, query
    period = period_named(reader, period_name, query.user_id)
    return period, query._replace(start=period.start, end=period.end)


def _whole(reader: Reader, query: Query, page: JobPage) -> Totals:
    """Return what shares are of: all that matches, or the jobs that are listed where that is all there is."""
    if len(page.jobs) == page.whole:
        return total(Group((), job.totals) for job in page.jobs)
    return total(reader.tagged.groups((), query))


def job_list_report(facts: JobListFacts) -> Report:
    """Return one page of jobs."""
    asked = facts.question
    said = [named(facts.period) if facts.period else "all time"]
    said += [f"named {asked.named!r}"] if asked.named else []
    said += [usd(facts.totals.cost)] if facts.page.jobs else []
    return Report(
        title="Jobs",
        subtitle=", ".join([f"{plural(facts.page.whole, 'job', 'jobs')}", *said]),
        tables=(_jobs_table(facts),),
        notes=tuple(incomplete(facts.health)),
        data={
            **derive(asked, "period=period_name", "filters", "named", "order", "page"),
            "pages": pages_of(facts.page.whole),
            "found": facts.page.whole,
            "cost_usd": to_usd(facts.totals.cost),
            "jobs": [_job_data(job) for job in facts.page.jobs],
        },
    )


def pages_of(count: int) -> int:
    """Return how many pages this many rows take, at least one.

    >>> pages_of(0), pages_of(100), pages_of(101)
    (1, 1, 2)
    """
    return max(1, -(-count // A_PAGE))


def nothing_on(page: int, count: int, otherwise: str) -> str:
    """Say why a page of a list is empty: it is past the last one, or ``otherwise``."""
    last = pages_of(count)
    return otherwise if page <= last else f"There is no page {page:,}: the last one is {last:,}."


def _jobs_table(facts: JobListFacts) -> Table:
    return Table.of(
        "Jobs",
        facts.page.jobs,
        (Column("job", "Job"), lambda job: Ref(job.job.job_id, "job")),
        (Column("user", "User", rank=1), users_cell),
        (
            Column("last", "Last call", rank=1),
            lambda job: f"{datetime.fromtimestamp(job.last, facts.zone):%Y-%m-%d %H:%M}",
        ),
        (Column("calls", "Calls", "count", rank=1), lambda job: job.totals.calls),
        (Column("tokens", "Tokens", "tokens", rank=2), lambda job: job.totals.tokens_total),
        (Column("cost", "Cost", "money"), lambda job: cost_or_unpriced(job.totals)),
        (Column("share", "Share", "share", rank=2), lambda job: share(job.totals, facts.totals)),
        key="jobs",
        empty=nothing_on(facts.question.page, facts.page.whole, "No job matches."),
    )


def _job_data(job: JobSums) -> dict[str, object]:
    return {
        **derive(job, "job.job_id", "users"),
        "first": datetime.fromtimestamp(job.first, UTC).isoformat(),
        "last": datetime.fromtimestamp(job.last, UTC).isoformat(),
        "ledger": str(job.job.ledger),
        **totals_data(job.totals),
    }


MOST: Final = 5_000
"""Up to this many calls are read and put in order; more would take too long."""

CallOrder = Literal["newest", "cost", "tokens"]
"""What calls are listed by: the latest, the most expensive, or those with most tokens first."""


class CallsQuestion(NamedTuple):
    """Which calls: of a period (``None``: of all time), and of a ledger where a job's name is not enough."""

    period_name: str | None = None
    filters: Mapping[str, str] = {}
    ledger: Path | None = None
    order: CallOrder = "newest"
    page: int = 1


class CallsFacts(NamedTuple):
    """What the report shows. ``jobs`` stand in for the entries where those are too many."""

    question: CallsQuestion
    zone: ZoneInfo
    period: Period | None
    totals: Totals
    entries: Sequence[Entry] = ()
    found: int = 0
    jobs: Sequence[JobSums] = ()
    health: Health = Health()


def calls_facts(reader: Reader, asked: CallsQuestion) -> CallsFacts:
    """Return one page of the calls that match, or the jobs that made them."""
    period, query = _within(reader, asked.period_name, asked.filters)
    query = query._replace(ledger=asked.ledger)
    totals = total(reader.tagged.groups((), query))
    facts = CallsFacts(asked, zone_of(reader, query.user_id), period, totals, health=health(reader))
    if totals.calls > MOST:
        order: JobOrder = "cost" if asked.order == "cost" else "newest"
        page = reader.tagged.job_page(query, order, (asked.page - 1) * A_PAGE, A_PAGE)
        return facts._replace(jobs=page.jobs, found=page.whole)
    entries = list(reader.tagged.entries(query))
    best = heapq.nlargest(asked.page * A_PAGE, entries, key=_KEYS[asked.order])
    return facts._replace(entries=best[(asked.page - 1) * A_PAGE :], found=len(entries))


_KEYS: Final = {
    "newest": lambda entry: (entry.timestamp, entry.id),
    "cost": lambda entry: (entry.cost, entry.timestamp, entry.id),
    "tokens": lambda entry: (entry.usage.tokens_total, entry.timestamp, entry.id),
}


def calls_report(facts: CallsFacts) -> Report:
    """Return one page of calls."""
    asked = facts.question
    said = [named(facts.period) if facts.period else "all time"]
    said += [f"{name} {value}" for name, value in asked.filters.items()]
    said += [usd(facts.totals.cost)] if not facts.totals.is_empty else []
    return Report(
        title="Calls",
        subtitle=", ".join([plural(facts.totals.calls, "call", "calls"), *said]),
        tables=(_jobs_with_such_calls(facts) if facts.jobs else _calls(facts),),
        notes=(*_too_many(facts), *incomplete(facts.health)),
        data={
            **derive(asked, "period=period_name", "filters", "order", "page"),
            "pages": pages_of(facts.found),
            "totals": totals_data(facts.totals),
            "calls": [_call_data(entry) for entry in facts.entries],
            "jobs": [{"job_id": job.job.job_id, **totals_data(job.totals)} for job in facts.jobs],
        },
    )


def _too_many(facts: CallsFacts) -> tuple[Note, ...]:
    if not facts.jobs:
        return ()
    return (Note(f"{facts.totals.calls:,} calls are too many to list: here are the jobs that made them."),)


def _jobs_with_such_calls(facts: CallsFacts) -> Table:
    return Table.of(
        "Jobs with such calls",
        facts.jobs,
        (Column("job", "Job"), lambda job: Ref(job.job.job_id, "job")),
        (Column("user", "User", rank=1), users_cell),
        (Column("calls", "Calls", "count", rank=1), lambda job: job.totals.calls),
        (Column("cost", "Cost", "money"), lambda job: cost_or_unpriced(job.totals)),
        key="jobs",
    )


def _calls(facts: CallsFacts) -> Table:
    table = calls_table(facts.entries, facts.zone, with_job="job" not in facts.question.filters)
    return table._replace(empty=nothing_on(facts.question.page, facts.found, table.empty))


def calls_table(entries: Sequence[Entry], zone: ZoneInfo, *, with_job: bool, title: str = "Calls") -> Table:
    """Return calls and corrections, in the order given."""

    def at(entry: Entry) -> Ref:
        return Ref(f"{entry.timestamp.astimezone(zone):%Y-%m-%d %H:%M:%S}", "call", entry.id)

    def job(entry: Entry) -> Ref:
        return Ref(entry.job_id, "job")

    return Table.of(
        title,
        entries,
        (Column("at", "At"), at),
        *([(Column("job", "Job", rank=2), job)] if with_job else []),
        (Column("stage", "Stage", rank=1), lambda entry: Ref(entry.stage, "stage") if entry.stage else ""),
        (Column("model", "Model", rank=1), lambda entry: Ref(f"{entry.service}/{entry.model}", "model")),
        (Column("kind", "Kind", rank=3), kind_of),
        (Column("tokens", "Tokens", "tokens", rank=2), lambda entry: entry.usage.tokens_total),
        (Column("cost", "Cost", "money"), lambda entry: entry.cost if entry.charge else None),
        key="calls",
        empty="No call matches.",
    )


def kind_of(entry: Entry) -> str:
    """Return the kind of a line: a call, a later attempt, or a correction."""
    if entry.kind != "usage":
        return entry.kind
    return f"attempt {entry.attempt}" if entry.attempt > 1 else "call"


def _call_data(entry: Entry) -> dict[str, object]:
    names = ("id", "timestamp", "job_id", "user_id", "stage", "service", "model", "kind", "attempt")
    return {
        **derive(entry, *names),
        "usage": entry.usage.counts(),
        "cost_usd": to_usd(entry.cost) if entry.charge else None,
    }
