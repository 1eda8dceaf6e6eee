"""Asks the workspace for the facts that views show. Questions only; sums and shares are the analyses'."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from ..analysis.job import Receipt, receipt
from ..analysis.optimise import find_savings
from ..analysis.pace import Pace, outlook, pace
from ..analysis.summary import DIMENSIONS, summarise
from ..analysis.sums import Step, by_day, divide_period, split, split_by, total, totals_by
from ..budgets.limits import Limit, Spending, limits_for, tightest_first
from ..budgets.spending import read_spendings
from ..index.places import LedgerProblem
from ..model import Entry
from ..money import Nanos
from ..periods import Period, between, month, previous_month
from ..rollup import Dimension, JobRef, Query
from ..views.budget import BudgetFacts
from ..views.common import Breakdown, Health
from ..views.job import JobFacts, MonthShare
from ..views.monthly import MonthFacts
from ..views.optimization import OptimizationFacts
from ..views.period import PeriodFacts, Stretch
from ..workspace import Workspace
from .options import Span

LABELS: Final[Mapping[Dimension, str]] = {
    "service": "Service",
    "model": "Model",
    "stage": "Stage",
    "operation": "Category",
    "user_id": "User",
    "job_id": "Job",
    "workflow": "Workflow",
    "project": "Project",
    "tags": "Tags",
    "service_tier": "Tier",
}
"""What reports can be broken down by, and how people call it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is asked to show. ``filters`` are the query's conditions as people named them."""

    title: str
    span: Span
    query: Query = field(default_factory=Query)
    filters: Mapping[str, str] = field(default_factory=dict)
    by: Sequence[Dimension] = ("model", "operation")
    step: Step | None = None
    show_limits: bool = False


def health(workspace: Workspace) -> Health:
    """Return what makes sums of this workspace doubtful."""
    index = workspace.index
    return Health(
        problems=tuple(str(problem) for problem in index.problems()),
        degraded=index.degraded,
        prices_path=str(workspace.prices_path or "prices.yaml"),
    )


def spendings(workspace: Workspace, limits: Iterable[Limit]) -> tuple[Spending, ...]:
    """Return how limits stand, tightest first."""
    return tuple(tightest_first(read_spendings(limits, workspace.index, workspace.catalogue_name)))


def limits_in(workspace: Workspace, user_id: str, period: Period, job: JobRef | None = None) -> list[Limit]:
    """Return the limits that hold for a user in a period: in the present one also those of day and week."""
    now = workspace.clock()
    if now in period:
        return limits_for(workspace.profile, user_id, now, job)
    return [
        limit
        for limit in limits_for(workspace.profile, user_id, period.start, job)
        if limit.scope.kind in ("month", "model")
    ]


def budget_facts(workspace: Workspace, user_id: str, month_name: str | None) -> BudgetFacts:
    """Return where a user's month stands."""
    settings = workspace.profile.for_user(user_id)
    now = workspace.clock()
    period = Span(month_name).period(now, settings.timezone)
    workspace.index.catch_up_all()
    query = Query(start=period.start, end=period.end, user_id=user_id)
    found = pace(_days(workspace, user_id, period), period, now)
    limits = spendings(workspace, limits_in(workspace, user_id, period))
    own = monthly(limits, user_id)
    return BudgetFacts(
        user_id=user_id,
        period=period,
        totals=total(workspace.index.groups((), query)),
        pace=found,
        spendings=limits,
        month=own,
        outlook=outlook(found, own.limit.amount) if own else None,
        profile=workspace.loaded_profile().described,
        health=health(workspace),
    )


def monthly(limits: Iterable[Spending], owner: str | None) -> Spending | None:
    """Return the monthly limit of a user, or with ``None`` the organisation's; ``None`` without one."""
    found = (s for s in limits if s.limit.scope.kind == "month" and s.limit.scope.owner == owner)
    return next(found, None)


def zone_of(workspace: Workspace, user_id: str | None) -> ZoneInfo:
    """Return a user's time zone, or for several users the profile's."""
    profile = workspace.profile
    return profile.timezone if user_id is None else profile.for_user(user_id).timezone


def month_facts(workspace: Workspace, user_id: str | None, month_name: str | None) -> MonthFacts:
    """Return what a month cost one user, or with ``None`` everyone."""
    now = workspace.clock()
    period = Span(month_name).period(now, zone_of(workspace, user_id))
    workspace.index.catch_up_all()
    query = Query(start=period.start, end=period.end, user_id=user_id)
    days = _days(workspace, user_id, period)
    found = pace(days, period, now)
    groups = workspace.index.groups(DIMENSIONS, query)
    limits = limits_in(workspace, user_id or "", period)
    own = [x for x in limits if x.scope.kind == "month" and x.scope.owner == user_id]
    return MonthFacts(
        period=period,
        summary=summarise(period.name, user_id, groups, jobs_in(workspace, query)),
        days=days,
        pace=found,
        before=_before(workspace, user_id, period, found),
        limit=monthly(spendings(workspace, own), user_id),
        health=health(workspace),
    )


def _days(workspace: Workspace, user_id: str | None, period: Period) -> tuple[Nanos, ...]:
    """Return the cost of each local day of a period."""
    return by_day(workspace.index.spend_by_bucket(period.start, period.end, user_id=user_id), period)


def jobs_in(workspace: Workspace, query: Query) -> int:
    """Return how many different jobs have entries that match."""
    [*groups] = workspace.index.groups((), query)
    return groups[0].totals.jobs if groups else 0


def _before(workspace: Workspace, user_id: str | None, period: Period, found: Pace) -> Nanos | None:
    """Return the cost of the same days of the month before: the whole of it once this month is over."""
    earlier = previous_month(period)
    days = earlier.dates()
    if found.days_left and found.days_begun:
        days = days[: found.days_begun]
        earlier = between(days[0], days[-1], period.zone)
    return workspace.index.spend(earlier.start, earlier.end, user_id=user_id) or None


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
        month=_month_share(workspace, user_id, found),
        health=replace(health(workspace), problems=tuple(map(str, problems))),
    )


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
    from ..ledger.reader import read  # only for a ledger that the index does not know

    found = [located.item for located in read(ledger)]
    entries = [item for item in found if isinstance(item, Entry)]
    return entries, [item for item in found if not isinstance(item, Entry)]


def _job_limits(workspace: Workspace, user_id: str | None, job: JobRef) -> tuple[Spending, ...]:
    limits = limits_for(workspace.profile, user_id or "", workspace.clock(), job)
    return spendings(workspace, [limit for limit in limits if limit.scope.kind in ("job", "stage")])


def _month_share(workspace: Workspace, user_id: str | None, found: Receipt) -> MonthShare | None:
    """Return the month in which the job ended, of the user who ran it."""
    if user_id is None or found.last is None:
        return None
    settings = workspace.profile.for_user(user_id)
    period = month(found.last, settings.timezone)
    spent = workspace.index.spend(period.start, period.end, user_id=user_id)
    return MonthShare(user_id, period.name, spent, settings.budget.monthly_limit)


def period_facts(workspace: Workspace, asked: Asked) -> PeriodFacts:
    """Return sums over a stretch of time, with the breakdowns and the history that were asked for."""
    zone = zone_of(workspace, asked.query.user_id)
    period = asked.span.period(workspace.clock(), zone)
    query = replace(asked.query, start=period.start, end=period.end)
    workspace.index.catch_up_all()
    whole = total(workspace.index.groups((), query))
    whole.jobs = jobs_in(workspace, query)
    return PeriodFacts(
        title=asked.title,
        period=period,
        totals=whole,
        filters=asked.filters,
        breakdowns=[_breakdown(workspace, dimension, query) for dimension in asked.by],
        stretches=_stretches(workspace, asked.step, period, query),
        spendings=_standing(workspace, asked, period),
        health=health(workspace),
    )


def _breakdown(workspace: Workspace, dimension: Dimension, query: Query) -> Breakdown:
    label = LABELS[dimension]
    if dimension == "model":
        groups = workspace.index.groups(("service", "model"), query)
        return Breakdown("by_model", label, split_by(groups, lambda key: f"{key[0]}/{key[1]}"))
    key = label.lower()
    return Breakdown(f"by_{key}", label, split(workspace.index.groups((dimension,), query), 0))


def _stretches(workspace: Workspace, step: Step | None, period: Period, query: Query) -> list[Stretch]:
    if step is None:
        return []
    parts = divide_period(period, step)
    sums = totals_by(workspace.index.groups(("bucket",), query), parts)
    return [Stretch(part.name, totals) for part, totals in zip(parts, sums, strict=True)]


def _standing(workspace: Workspace, asked: Asked, period: Period) -> tuple[Spending, ...]:
    """Return the limits in force, where the report is about the present and about a user."""
    if not asked.show_limits or asked.query.user_id is None:
        return ()
    return spendings(workspace, limits_in(workspace, asked.query.user_id, period))


def optimization_facts(workspace: Workspace, user_id: str | None, span: Span) -> OptimizationFacts:
    """Return what a user's calls (``None``: everyone's) would have cost otherwise."""
    period = span.period(workspace.clock(), zone_of(workspace, user_id))
    workspace.index.catch_up_all()
    query = Query(start=period.start, end=period.end, user_id=user_id)
    savings = find_savings(workspace.index.entries(query), workspace.catalogue)
    return OptimizationFacts(user_id, period, savings, health(workspace))
