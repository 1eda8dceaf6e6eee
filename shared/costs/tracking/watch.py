"""Where the budgets stand, for one job and its user, and which alerts are new."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..budgets.limits import (
    Crossing,
    Limit,
    Spending,
    crossings,
    limits_for,
    message,
    tightest_first,
)
from ..budgets.spending import read_spendings
from ..errors import StorageUnavailable
from ..money import Nanos
from ..rollup import JobRef
from ..workspace import Workspace
from .context import JobContext

if TYPE_CHECKING:
    from ..budgets.reservations import Held

log = logging.getLogger("shared.cost_tracker")


@dataclass(frozen=True, slots=True)
class Alert:
    """A line for the log, and how loud it is (a ``logging`` level)."""

    level: int
    text: str


class BudgetWatch:
    """Reads limits and spends. Looks only; holding money is the gate's work."""

    def __init__(self, workspace: Workspace, job: JobContext) -> None:
        self._workspace = workspace
        self._job = job
        self._told_here: set[tuple[str, str, float]] = set()

    def alerts(self, user_id: str | None = None) -> list[str]:
        """Return what is to be said about each limit whose threshold is crossed, tightest first."""
        return [message(crossed) for crossed in crossings(self.spendings(user_id))]

    def is_over(self, user_id: str | None = None) -> bool:
        """Tell whether any limit is reached."""
        return any(crossed.critical for crossed in crossings(self.spendings(user_id)))

    def fits(self, estimate: Nanos) -> tuple[bool, list[str]]:
        """Tell whether ``estimate`` may be spent, and what is to be said about the budgets."""
        from ..budgets.deciding import exceeded, standings, tightest  # only those who reserve pay for it

        loaded = self._workspace.loaded_profile()
        if loaded.fault:
            return False, [f"the budget cannot be checked: {loaded.fault}"]
        spendings = self.spendings(None)
        said = [message(crossed) for crossed in crossings(spendings)]
        names = self._workspace.catalogue_name
        stand = tightest(standings(spendings, self._holds(), names))
        if stand is None or estimate <= max(stand.room, 0):
            return True, said
        return False, [str(exceeded(stand, estimate, "this call")), *said]

    def _holds(self) -> list[Held]:
        try:
            return self._workspace.gate.holds()
        except StorageUnavailable as fault:
            log.warning("reservations cannot be read: %s", fault)
            return []

    def new_alerts(self, stage: str | None, *, ended: bool = False) -> list[Alert]:
        """Return the alerts that no process has told yet in their period, for a call of ``stage``.

        Once the stage has ``ended``, also those of months that are on course to pass their limit:
        that looks weeks back, which is too much work for every call.
        """
        spendings = self.spendings(None, stage=stage)
        crossed = crossings(spendings)
        if ended:
            from .foresight import foreseen  # no call pays for it

            crossed += foreseen(self._workspace, spendings)
        return [_alert(each) for each in self._untold(crossed)]

    def spendings(self, user_id: str | None, stage: str | None = None) -> list[Spending]:
        """Return every limit that holds now with what was spent within it, tightest first."""
        index = self._workspace.index
        index.catch_up_all()
        limits = self._limits(user_id or self._job.user_id, stage)
        return tightest_first(read_spendings(limits, index, self._workspace.catalogue_name))

    def _limits(self, user_id: str, stage: str | None) -> Iterable[Limit]:
        job = None if self._job.is_unassigned else JobRef(self._job.job_id, self._job.ledger)
        profile = self._workspace.loaded_profile().profile
        limits = limits_for(profile, user_id, self._workspace.clock(), job)
        return [lim for lim in limits if lim.scope.kind != "stage" or stage in (None, lim.scope.name)]

    def _untold(self, crossed: list[Crossing]) -> list[Crossing]:
        """Return what nobody was told of; told by this process alone where the state cannot be read."""
        fresh = [c for c in crossed if _key(c) not in self._told_here]
        self._told_here.update(_key(c) for c in fresh)
        if not fresh:
            return []
        from ..notify.telling import fire_and_tell  # only for a crossing, which is rare

        try:
            return fire_and_tell(self._workspace, fresh)
        except StorageUnavailable as fault:
            log.warning("alerts may be told more than once: %s", fault)
            return fresh


def _key(crossed: Crossing) -> tuple[str, str, float]:
    return crossed.limit.scope.key, crossed.span, crossed.threshold


def _alert(crossed: Crossing) -> Alert:
    return Alert(logging.CRITICAL if crossed.critical else logging.WARNING, message(crossed))
