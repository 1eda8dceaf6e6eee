"""The facts of a month's report, for ``export-report``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from ...analysis.caching import find_cacheable
from ...analysis.explain import explain
from ...analysis.optimise import find_savings
from ...analysis.sums import UNNAMED, totals_by
from ...model import Entry
from ...periods import previous_month
from ...rollup import Query, Totals
from ...views.common import named
from ...views.explanation import ExplainFacts
from ...views.monthly import MonthFacts
from ...views.optimization import OptimizationFacts
from ...views.statement import JOBS, DearJob, StatementFacts
from ...workspace import Workspace
from ..options import Span
from .anomalies import anomaly_facts
from .common import days_of, health
from .forecast import forecast_facts
from .month import month_facts, same_days_before
from .period import Asked
from .trend import lines_by

Seen = Callable[[int], None]
"""Is told how many entries have been looked at."""


def statement_facts(
    workspace: Workspace, user_id: str | None, month_name: str | None, seen: Seen = lambda _: None
) -> StatementFacts:
    """Return all there is to say about a month of a user, or with ``None`` of everyone.

    Looks at the entries of this month and of the one before, and tells ``seen`` of each.
    """
    month = month_facts(workspace, user_id, month_name)
    query = Query(start=month.period.start, end=month.period.end, user_id=user_id)
    reader = _Reader(workspace, seen)
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
        savings=_savings(workspace, month, query, reader),
        forecast=forecast_facts(workspace, user_id) if now in month.period else None,
        explained=_explained(workspace, month, query, reader),
    )


class _Reader:
    """Reads entries and tells how many there were so far, over all readings."""

    def __init__(self, workspace: Workspace, seen: Seen) -> None:
        self._index = workspace.index
        self._seen = seen
        self._count = 0

    def entries(self, query: Query) -> Iterator[Entry]:
        for entry in self._index.entries(query):
            self._count += 1
            if not self._count % 1_000:
                self._seen(self._count)
            yield entry


def _savings(workspace: Workspace, month: MonthFacts, query: Query, reader: _Reader) -> OptimizationFacts:
    savings = find_savings(reader.entries(query), workspace.catalogue)
    cacheable = find_cacheable(reader.entries(query), workspace.catalogue)
    return OptimizationFacts(query.user_id, month.period, savings, health(workspace), cacheable)


def _explained(workspace: Workspace, month: MonthFacts, query: Query, reader: _Reader) -> ExplainFacts | None:
    """Return why the month differs from the one before, in as many days as have begun."""
    if not month.before:
        return None
    earlier = same_days_before(month.period, month.pace)
    parts = explain(
        reader.entries(replace(query, start=earlier.start, end=earlier.end)), reader.entries(query)
    )
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
