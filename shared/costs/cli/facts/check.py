"""The facts of ``check``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from ...analysis.checks import Check, forecast_check, job_check, limit_check, minute_check, regression_check
from ...analysis.jobs import DIMENSIONS as JOB_DIMENSIONS
from ...analysis.jobs import JobCost, job_cost, jobs_of
from ...analysis.sums import total
from ...money import Nanos
from ...periods import Period
from ...rollup import BUCKET_SECONDS, JobRef, Query
from ...views.check import CheckFacts
from ...views.common import label_of
from ...workspace import Workspace
from ..options import Span
from .common import health, limits_in, monthly, spendings
from .job import entries_of_job
from .limit_forecasts import limit_forecasts
from .projected import projected

COMPARED: Final = timedelta(days=92)
"""The newest job is compared with those that ended so long before: a month's first job has some, too."""


class Bounds(NamedTuple):
    """What is asked beside the limits. Amounts in nano-dollars; ``None`` is not asked.

    ``job`` narrows the questions on jobs to one; ``last`` is with how many earlier jobs the newest
    is compared, and ``more_percent`` how much more than their median it may cost.
    """

    forecast: bool = False
    max_per_job: Nanos | None = None
    max_per_minute: Nanos | None = None
    more_percent: float | None = None
    last: int = 10
    job: JobRef | None = None


def check_facts(workspace: Workspace, user_id: str, bounds: Bounds, *, strict: bool) -> CheckFacts:
    """Return the answers to all questions that were asked, for a user's present month."""
    settings = workspace.profile.for_user(user_id)
    period = Span().period(workspace.clock(), settings.timezone)
    workspace.index.catch_up_all()
    query = Query(start=period.start, end=period.end, user_id=user_id)
    found = health(workspace)
    checks = [*_limits(workspace, user_id, period, bounds), *_jobs(workspace, query, bounds)]
    if found.problems or found.degraded or found.waiting:
        checks.append(Check("the ledgers", None, None, "unknown", "some of it cannot be read"))
    totals = total(workspace.index.groups((), query))
    if totals.unpriced_calls:
        checks.append(Check("prices", None, None, "warning", "calls without a price"))
    return CheckFacts(user_id, period, checks, totals, strict, found)


def _limits(workspace: Workspace, user_id: str, period: Period, bounds: Bounds) -> Iterator[Check]:
    standing = spendings(workspace, limits_in(workspace, user_id, period, bounds.job))
    for spending in standing:
        yield limit_check(label_of(spending), spending.spent, spending.limit.amount, spending.level)
    own = monthly(standing, user_id)
    if not bounds.forecast:
        return
    if own is not None:
        found, _ = projected(workspace, user_id, period)
        yield forecast_check("month, forecast", found, own.limit.amount)
    for other in limit_forecasts(workspace, [each for each in standing if each is not own]):
        limit = other.spending.limit
        yield forecast_check(f"{label_of(other.spending)}, forecast", other.forecast, limit.amount)


def _jobs(workspace: Workspace, query: Query, bounds: Bounds) -> Iterator[Check]:
    asked = (bounds.max_per_job, bounds.max_per_minute, bounds.more_percent)
    if all(each is None for each in asked):
        return
    job = _whole(workspace, bounds.job) if bounds.job else None
    chosen = [job] if job else jobs_of(workspace.index.groups(JOB_DIMENSIONS, query))
    if bounds.max_per_job is not None:
        yield job_check(chosen, bounds.max_per_job)
    if bounds.max_per_minute is not None:
        yield minute_check(chosen, bounds.max_per_minute)
    if bounds.more_percent is not None:
        yield regression_check(_compared(workspace, query, job), bounds.last, bounds.more_percent)


def _whole(workspace: Workspace, job: JobRef) -> JobCost:
    """Return a job over its whole life, whoever ran it and whenever: the month and the user bound no job."""
    entries, _ = entries_of_job(workspace, job)
    return job_cost(job, entries)


def _compared(workspace: Workspace, query: Query, job: JobCost | None) -> list[JobCost]:
    """Return a user's jobs of some months in the order in which they ended, the one asked about last."""
    end = datetime.fromtimestamp(job.last + BUCKET_SECONDS, UTC) if job else query.end
    assert end is not None  # a month has an end
    found = jobs_of(workspace.index.groups(JOB_DIMENSIONS, query._replace(start=end - COMPARED, end=end)))
    if job is None:
        return found
    return [*(each for each in found if (each.last, each.job_id) < (job.last, job.job_id)), job]
