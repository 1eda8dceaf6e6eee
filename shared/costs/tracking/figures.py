"""Sums that a tracker can be asked for: jobs, stages, months."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UnknownJob
from ..money import Nanos
from ..periods import Period, month
from ..rollup import Dimension, Group, Query
from ..workspace import Workspace
from .context import JobContext

if TYPE_CHECKING:
    from ..analysis.summary import Summary


class Figures:
    """Answers from the index of one workspace, for one job and its user."""

    def __init__(self, workspace: Workspace, job: JobContext) -> None:
        self._workspace = workspace
        self._job = job

    def stage_costs(self, job_id: str | None = None) -> dict[str, Nanos]:
        """Return what each stage of a job has cost, over its whole life and by all its users.

        Raises:
            UnknownJob: no job has this id, or several do.

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
        from ..analysis.summary import DIMENSIONS, summarise

        user, this_month = self._month_of(user_id)
        index = self._workspace.index
        query = Query(start=this_month.start, end=this_month.end, user_id=user)
        groups = index.groups(DIMENSIONS, query)
        return summarise(this_month.name, user, groups, len(index.jobs(query)))

    def _month_of(self, user_id: str | None) -> tuple[str, Period]:
        user = user_id or self._job.user_id
        self._workspace.index.catch_up_all()
        profile = self._workspace.loaded_profile().profile
        settings = profile.for_user(user)
        return user, month(self._workspace.clock(), settings.timezone, profile.billing_day)

    def _groups_of(self, ledger: Path, by: Sequence[Dimension]) -> list[Group]:
        self._workspace.index.catch_up(ledger)
        return self._workspace.index.groups(by, Query(ledger=ledger))

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
