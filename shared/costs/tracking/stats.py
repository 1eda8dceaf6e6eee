"""The figures of a tracker: what its process has spent so far, and sums of jobs, stages and months.

The former are counters in memory, and end with the process.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UnknownJob
from ..forks import lock_of
from ..model import Entry
from ..money import Nanos, to_usd
from ..periods import Period, month
from ..rollup import Dimension, Group, Query, Totals
from ..workspace import Workspace
from .context import JobContext

if TYPE_CHECKING:
    from ..analysis.sums import Summary

_Key = tuple[str, str, str]
"""Operation, ``service/model`` and job."""


class ProcessStats:
    """Running totals over every tracker of one process. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = lock_of(self, "_lock")
        self.reset()

    def reset(self) -> None:
        """Begin again from zero."""
        with self._lock:
            self._sums: defaultdict[_Key, Totals] = defaultdict(Totals)

    def add(self, entry: Entry) -> None:
        """Count one entry that this process recorded."""
        key = entry.operation or "unspecified", f"{entry.service}/{entry.model}", entry.job_id
        with self._lock:
            self._sums[key].add(entry)

    def snapshot(self) -> dict[str, object]:
        """Return the totals, by operation and by model too; money in USD."""
        with self._lock:
            return {
                **_figures(self._total()),
                "unique_jobs": len(self._jobs()),
                "by_operation": self._figures_by(0),
                "by_model": self._figures_by(1),
            }

    def average_cost_per_job(self) -> float:
        """Return the USD spent per job that this process recorded calls for; 0.0 before the first."""
        with self._lock:
            jobs = len(self._jobs())
            return to_usd(self._total().cost) / jobs if jobs else 0.0

    def _jobs(self) -> set[str]:
        return {job for _, _, job in self._sums}

    def _total(self) -> Totals:
        return _sum_of(self._sums.values())

    def _figures_by(self, part: int) -> dict[str, dict[str, object]]:
        """Return the figures by the part of the keys at an index."""
        values = sorted({key[part] for key in self._sums})
        return {
            value: _figures(_sum_of(sums for key, sums in self._sums.items() if key[part] == value))
            for value in values
        }


def _sum_of(totals: Iterable[Totals]) -> Totals:
    whole = Totals()
    for part in totals:
        whole.merge(part)
    return whole


def _figures(total: Totals) -> dict[str, object]:
    return {
        "total_calls": total.calls,
        "total_cost": to_usd(total.cost),
        "tokens_input": total.tokens_input,
        "tokens_output": total.tokens_output,
        "total_tokens": total.tokens_total,
        "unpriced_calls": total.unpriced_calls,
        "partial_calls": total.partial_calls,
        "average_cost_per_call": to_usd(total.cost) / total.calls if total.calls else 0.0,
        "average_tokens_per_call": total.tokens_total / total.calls if total.calls else 0.0,
    }


PROCESS_STATS = ProcessStats()
"""The totals of this process."""


class Figures:
    """Answers from the index of one workspace, for one job and its user."""

    def __init__(self, workspace: Workspace, job: JobContext) -> None:
        self._workspace = workspace
        self._job = job

    def stage_costs(self, job_id: str | None = None) -> dict[str, Nanos]:
        """Return what each stage of a job has cost, over its whole life and by all its users.

        Raises:
            UnknownJob: no job has this id, or more than one.

        """
        ledger = self._ledger_of(job_id)
        from ..analysis.sums import UNNAMED

        groups = self._groups_of(ledger, ("stage",))
        return {str(group.key[0] or UNNAMED): group.totals.cost for group in groups}

    def job_cost(self, job_id: str | None = None) -> Nanos:
        """Return what a job has cost, over its whole life and by all its users."""
        ledger = self._ledger_of(job_id)
        return Nanos(sum(group.totals.cost for group in self._groups_of(ledger, ("ledger",))))

    def month_cost(self, user_id: str | None = None) -> Nanos:
        """Return what a user (the tracker's own by default) spent this month."""
        user, this_month = self._month_of(user_id)
        return self._workspace.index.spend(this_month.start, this_month.end, user_id=user)

    def month_summary(self, user_id: str | None = None) -> Summary:
        """Return this month's sums of a user (the tracker's own by default)."""
        from ..analysis.sums import SUMMARY_DIMENSIONS, summarise

        user, this_month = self._month_of(user_id)
        index = self._workspace.index
        query = Query(start=this_month.start, end=this_month.end, user_id=user)
        groups = index.groups(SUMMARY_DIMENSIONS, query)
        return summarise(this_month.name, user, groups, len(index.jobs(query)))

    def _month_of(self, user_id: str | None) -> tuple[str, Period]:
        user = user_id or self._job.user_id
        self._workspace.index.catch_up_all()
        profile = self._workspace.loaded_profile().profile
        settings = profile.for_user(user)
        return user, month(self._workspace.clock(), settings.timezone, profile.billing_day)

    def _groups_of(self, ledger: Path, dimensions: Sequence[Dimension]) -> list[Group]:
        self._workspace.index.catch_up(ledger)
        return self._workspace.index.groups(dimensions, Query(ledger=ledger))

    def _ledger_of(self, job_id: str | None) -> Path:
        if job_id in (None, self._job.job_id):
            return self._job.ledger
        jobs = self._workspace.index.jobs(Query(job_id=job_id))
        if len(jobs) == 1:
            return jobs[0].ledger
        if not jobs:
            raise UnknownJob(f"no job is called {job_id!r}; cost-dashboard report --by job lists them")
        places = ", ".join(str(job.ledger.parent) for job in jobs)
        raise UnknownJob(f"{len(jobs)} jobs are called {job_id!r}: {places}; make a tracker for one of them")
