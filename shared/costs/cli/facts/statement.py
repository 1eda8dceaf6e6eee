"""The facts of a month's report, for ``export-report``."""

from __future__ import annotations

from ...analysis.explain import explain
from ...analysis.sums import UNNAMED, totals_by
from ...periods import previous_month
from ...rollup import Query, Totals
from ...views.common import named
from ...views.explanation import ExplainFacts
from ...views.monthly import MonthFacts
from ...views.statement import JOBS, DearJob, StatementFacts
from ...workspace import Workspace
from ..options import Span
from ..progress import in_turn, share_bar
from .anomalies import anomaly_facts
from .common import counted, days_of, health
from .forecast import forecast_facts
from .month import month_facts, same_days_before
from .optimization import optimization_facts
from .period import Asked
from .trend import lines_by


def statement_facts(workspace: Workspace, user_id: str | None, month_name: str | None) -> StatementFacts:
    """Return all there is to say about a month of a user, or with ``None`` of everyone.

    Reads the entries of this month and of the one before.
    """
    month = month_facts(workspace, user_id, month_name)
    query = Query(start=month.period.start, end=month.period.end, user_id=user_id)
    groups = workspace.index.groups(("service", "model", "bucket"), query)
    days = month.period.days()
    asked = Asked("", Span(month_name), Query(user_id=user_id), {})
    now = workspace.clock()
    return StatementFacts(
        month=month,
        days=totals_by(groups, days[: month.pace.days_begun]),
        by_model=lines_by(groups, days),
        before=days_of(workspace, user_id, previous_month(month.period)),
        jobs=_jobs(workspace, query),
        anomalies=anomaly_facts(workspace, asked),
        savings=optimization_facts(workspace, user_id, Span(month_name)),
        forecast=forecast_facts(workspace, user_id) if now in month.period else None,
        explained=_explained(workspace, month, query),
    )


def _explained(workspace: Workspace, month: MonthFacts, query: Query) -> ExplainFacts | None:
    """Return why the month differs from the one before, in as many days as have begun."""
    if not month.before:
        return None
    earlier = same_days_before(month.period, month.pace)
    before = query._replace(start=earlier.start, end=earlier.end)
    with share_bar("Comparing") as told:
        parts = explain(*in_turn([counted(workspace, each) for each in (before, query)], told))
    return ExplainFacts(named(earlier), named(month.period), parts, health(workspace))


def _jobs(workspace: Workspace, query: Query) -> tuple[DearJob, ...]:
    """Return the dearest jobs. Those of one name in several places are one job here."""
    sums: dict[tuple[str, str], Totals] = {}
    mostly: dict[tuple[str, str], str] = {}
    for group in workspace.index.groups(("job_id", "user_id", "stage"), query):  # the dearest first
        job = (str(UNNAMED if group.key[0] is None else group.key[0]), str(group.key[1]))
        mostly.setdefault(job, str(UNNAMED if group.key[2] is None else group.key[2]))
        sums.setdefault(job, Totals()).merge(group.totals)
    dearest = sorted(sums, key=lambda job: (-sums[job].cost, job))[:JOBS]
    return tuple(DearJob(*job, mostly[job], sums[job]) for job in dearest)
