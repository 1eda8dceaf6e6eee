"""Jobs, those of a month or all, in an order, a page at a time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from ..analysis.sums import share, total
from ..periods import Period
from ..rollup import Group, JobOrder, JobPage, JobSums, Query, Totals
from .common import Health, cost_or_unpriced, incomplete, named, plural, totals_data, usd
from .document import Column, Ref, Report, Row, Table
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
    query = query_of(asked.filters)
    zone = zone_of(reader, query.user_id)
    period = period_named(asked.period_name, zone) if asked.period_name else None
    if period is not None:
        query = query._replace(start=period.start, end=period.end)
    reader.index.catch_up_all()
    first = (asked.page - 1) * A_PAGE
    page = reader.index.job_page(query, asked.order, first, A_PAGE, asked.named)
    return JobListFacts(asked, zone, period, page, _whole(reader, query, page), health(reader))


def _whole(reader: Reader, query: Query, page: JobPage) -> Totals:
    """Return what shares are of: all that matches, or the jobs that are listed where that is all there is."""
    if len(page.jobs) == page.whole:
        return total(Group((), job.totals) for job in page.jobs)
    return total(reader.index.groups((), query))


def job_list_report(facts: JobListFacts) -> Report:
    """Return one page of jobs."""
    asked = facts.question
    said = [named(facts.period) if facts.period else "all time"]
    said += [f"named {asked.named!r}"] if asked.named else []
    said += [usd(facts.totals.cost)] if facts.page.jobs else []
    return Report(
        title="Jobs",
        subtitle=", ".join([f"{plural(facts.page.whole, 'job', 'jobs')}", *said]),
        tables=(_table(facts),),
        notes=tuple(incomplete(facts.health)),
        data={
            "period": asked.period_name,
            "filters": dict(asked.filters),
            "named": asked.named,
            "order": asked.order,
            "page": asked.page,
            "pages": pages_of(facts.page.whole),
            "found": facts.page.whole,
            "jobs": [_data(job) for job in facts.page.jobs],
        },
    )


def pages_of(found: int) -> int:
    """Return how many pages so many rows take, at least one.

    >>> pages_of(0), pages_of(100), pages_of(101)
    (1, 1, 2)
    """
    return max(1, -(-found // A_PAGE))


def _table(facts: JobListFacts) -> Table:
    columns = (
        Column("job", "Job"),
        Column("user", "User", rank=1),
        Column("last", "Last call", rank=1),
        Column("calls", "Calls", "count", rank=1),
        Column("tokens", "Tokens", "tokens", rank=2),
        Column("cost", "Cost", "money", places=4),
        Column("share", "Share", "share", rank=2),
    )
    rows = tuple(_row(job, facts) for job in facts.page.jobs)
    return Table("Jobs", columns, rows, key="jobs", empty="No job matches.")


def _row(job: JobSums, facts: JobListFacts) -> Row:
    return (
        Ref(job.job.job_id, "job"),
        users_cell(job),
        f"{datetime.fromtimestamp(job.last, facts.zone):%Y-%m-%d %H:%M}",
        job.totals.calls,
        job.totals.tokens_total,
        cost_or_unpriced(job.totals),
        share(job.totals, facts.totals),
    )


def _data(job: JobSums) -> dict[str, object]:
    return {
        "job_id": job.job.job_id,
        "users": list(job.users),
        "first": datetime.fromtimestamp(job.first, UTC).isoformat(),
        "last": datetime.fromtimestamp(job.last, UTC).isoformat(),
        "ledger": str(job.job.ledger),
        **totals_data(job.totals),
    }
