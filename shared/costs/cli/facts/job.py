"""The facts of ``show-job``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...analysis.job import receipt
from ...budgets.limits import Spending, limits_for
from ...ledger.places import LedgerProblem
from ...model import Entry
from ...money import Nanos
from ...periods import month
from ...rollup import JobRef, Query
from ...views.job import JobFacts, MonthShare
from ...workspace import Workspace
from .common import health, own_prices, spendings, zone_of

if TYPE_CHECKING:
    from ...analysis.avoided import Saving


def job_facts(workspace: Workspace, job: JobRef) -> JobFacts:
    """Return the receipt of one job, its limits, and its part of its user's month."""
    entries, problems = entries_of_job(workspace, job)
    found = receipt(job.job_id, entries)
    user_id = found.users[0] if found.users else None
    return JobFacts(
        receipt=found,
        ledger=job.ledger,
        zone=zone_of(workspace, user_id),
        spendings=_job_limits(workspace, user_id, job),
        month=_month_share(workspace, user_id, entries),
        health=health(workspace)._replace(problems=tuple(map(str, problems))),
        avoided=_avoided(workspace, entries),
    )


def _avoided(workspace: Workspace, entries: Sequence[Entry]) -> Sequence[Saving]:
    prices = own_prices(workspace)
    if prices is None:
        return ()
    from ...analysis.avoided import of_calls  # only with prices that it can be told by

    return of_calls(entries, prices)


def entries_of_job(workspace: Workspace, job: JobRef) -> tuple[list[Entry], list[LedgerProblem]]:
    """Return a job's entries and what is wrong in its ledger.

    A ledger that this cost storage does not know is read as it is, and stays unknown.
    """
    if job not in workspace.index.jobs(Query(job_id=job.job_id)):
        return _read(job.ledger)
    workspace.index.catch_up(job.ledger)
    here = [problem for problem in workspace.index.problems() if problem.path == job.ledger]
    return list(workspace.index.entries(Query(ledger=job.ledger))), here


def _read(ledger: Path) -> tuple[list[Entry], list[LedgerProblem]]:
    from ...ledger.reader import read  # only for a ledger that the index does not know

    found = [located.content for located in read(ledger)]
    entries = [item for item in found if isinstance(item, Entry)]
    return entries, [item for item in found if not isinstance(item, Entry)]


def _job_limits(workspace: Workspace, user_id: str | None, job: JobRef) -> tuple[Spending, ...]:
    limits = limits_for(workspace.profile, user_id or "", workspace.clock(), job)
    return spendings(workspace, [limit for limit in limits if limit.scope.kind in ("job", "stage")])


def _month_share(workspace: Workspace, user_id: str | None, entries: Sequence[Entry]) -> MonthShare | None:
    """Return the month in which a user's calls in the job ended, and the job's part of it."""
    if user_id is None:
        return None
    mine = [entry for entry in entries if entry.user_id == user_id]
    settings = workspace.profile.for_user(user_id)
    period = month(max(entry.counted_at for entry in mine), settings.timezone)
    part = Nanos(sum(entry.cost for entry in mine if entry.counted_at in period))
    spent = workspace.index.spend(period.start, period.end, user_id=user_id)
    return MonthShare(user_id, period.name, part, spent, settings.budget.monthly_limit)
