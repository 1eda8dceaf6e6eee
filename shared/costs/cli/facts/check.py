"""The facts of ``check``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ...analysis.checks import Check, forecast_check, job_check, limit_check, minute_check, regression_check
from ...analysis.jobs import JobCost, jobs_of
from ...analysis.sums import total
from ...money import Nanos
from ...periods import Period
from ...rollup import JobRef, Query
from ...views.check import CheckFacts
from ...views.common import label_of
from ...workspace import Workspace
from ..options import Span
from .common import health, limits_in, monthly, spendings
from .history import limit_forecasts, projected


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
    jobs = jobs_of(workspace.index.groups(("job_id", "ledger", "bucket"), query))
    chosen = [job for job in jobs if bounds.job is None or job.ledger == bounds.job.ledger]
    if bounds.max_per_job is not None:
        yield job_check(chosen, bounds.max_per_job)
    if bounds.max_per_minute is not None:
        yield minute_check(chosen, bounds.max_per_minute)
    if bounds.more_percent is not None:
        yield regression_check(_up_to(jobs, bounds.job), bounds.last, bounds.more_percent)


def _up_to(jobs: list[JobCost], job: JobRef | None) -> list[JobCost]:
    """Return the jobs up to the one that is asked about, which then is the newest."""
    ledgers = [each.ledger for each in jobs]
    return jobs[: ledgers.index(job.ledger) + 1] if job and job.ledger in ledgers else jobs
