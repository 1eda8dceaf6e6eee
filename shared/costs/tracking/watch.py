"""Where the budgets stand, for one job and its user, and which alerts are new."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from ..budgets.limits import Crossing, Limit, LimitIndex, Spending, crossings, limits_for, tightest_first
from ..budgets.scopes import WHATEVER, CallScope
from ..budgets.spending import Questions
from ..budgets.wording import message
from ..errors import StorageUnavailable
from ..importing import import_safely
from ..money import Nanos
from ..rollup import JobRef
from ..workspace import Workspace
from .context import JobContext

if TYPE_CHECKING:
    from ..budgets.port import HoldStatus
    from ..profile.types import Profile

log = logging.getLogger("shared.cost_tracker")


MOST_KEPT: Final = 256
"""For how many kinds of calls the questions are kept: a tag for each customer makes many."""


PLANS_S: Final = 60.0
"""How often calls outside of stages look at plans with a limit of their own, in seconds."""


class Alert(NamedTuple):
    """A line for the log, and how loud it is (a ``logging`` level)."""

    level: int
    text: str


class _ProfileLimits(NamedTuple):
    """Questions about the limits under one profile."""

    profile: Profile
    questions: Questions


class BudgetWatch:
    """Reads limits and spends. Looks only; holding money is the gate's work."""

    def __init__(self, workspace: Workspace, job: JobContext) -> None:
        self._workspace = workspace
        self._job = job
        self._told_here: set[tuple[str, str, float]] = set()
        self._held: dict[CallScope, _ProfileLimits] = {}
        self._index: LimitIndex | None = None
        self._plans_at = 0.0
        """When plans are looked at next: an instant of ``time.monotonic``."""

    def alerts(self, user_id: str | None = None) -> list[str]:
        """Return what is to be said about each limit whose threshold is crossed, tightest first."""
        return [message(crossed) for crossed in crossings(self.spendings(user_id))]

    def is_over(self, user_id: str | None = None) -> bool:
        """Tell whether any limit is reached."""
        return any(crossed.critical for crossed in crossings(self.spendings(user_id)))

    def fits(self, estimate: Nanos, call: CallScope) -> tuple[bool, list[str]]:
        """Tell whether ``estimate`` may be spent on a call of a scope, and what is to be said of it."""
        from ..budgets.deciding import Need, refusal, standings  # only those who reserve pay for it

        loaded = self._workspace.loaded_profile()
        if loaded.fault:
            return False, [f"the budget cannot be checked: {loaded.fault}"]
        spendings = self.spendings(None)
        said = [message(crossed) for crossed in crossings(spendings)]
        names = self._workspace.catalogue_name
        # How many tokens it takes nobody said: one at least, so that a limit that is used up says no.
        need = Need(estimate, 1, 1)
        mine = [each for each in spendings if each.limit.covers(call, names)]
        denied = refusal(standings(mine, self._holds(), names), lambda _: need, "this call")
        return denied is None, said if denied is None else [str(denied), *said]

    def _holds(self) -> list[HoldStatus]:
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
        calls = CallScope(
            stage=stage or WHATEVER,
            project=WHATEVER,
            tags=(WHATEVER,),
            workflow=WHATEVER,
            operation=WHATEVER,
        )
        return self.alerts_of(self.questions(calls), ended=ended)

    def alerts_of(
        self, questions: Questions, spends: Sequence[int] | None = None, *, ended: bool = False
    ) -> list[Alert]:
        """As :meth:`new_alerts`; ``spends`` are the answers, where they are known already."""
        plans = self._plans() if ended or self._look_at_plans() else []
        if spends is not None and not plans and not ended and questions.are_quiet(spends):
            return []  # nearly every call
        spendings = self._answered(questions, spends)
        crossed = crossings([*spendings, *plans])
        if ended:
            from .foresight import foreseen  # no call pays for it

            workspace = self._workspace
            standing = tightest_first(spendings)
            crossed += foreseen(workspace.index, standing, workspace.clock(), workspace.catalogue_name)
        return [_alert(each) for each in self._untold(crossed)]

    def questions(self, call: CallScope) -> Questions:
        """Return what has to be asked to know how the limits stand that a call of this job counts against.

        They are those of the last such call while its limits still hold.
        """
        profile, now = self._workspace.loaded_profile().profile, self._workspace.clock()
        known = self._held.get(call)
        if known is None or known.profile is not profile or not known.questions.hold_at(now):
            if len(self._held) >= MOST_KEPT:
                self._held.clear()
            mine = call._replace(user_id=self._job.user_id, ledger=self._job.ledger, job_id=self._job.job_id)
            index = self._index
            if index is None or index.profile is not profile:
                index = self._index = LimitIndex(profile, self._workspace.catalogue_name)
            own = Questions(index.of_call(mine, now, self._job_ref))
            known = self._held[call] = _ProfileLimits(profile, own)
        return known.questions

    def spendings(self, user_id: str | None) -> list[Spending]:
        """Return every limit that holds now with what was spent within it, tightest first."""
        profile, now = self._workspace.loaded_profile().profile, self._workspace.clock()
        limits = self._limits(profile, user_id or self._job.user_id, now)
        plans = self._plans(user_id)
        return tightest_first([*self._answered(Questions(limits)), *plans])

    def _look_at_plans(self) -> bool:
        """Tell whether it is time to look at plans again: not at every call, which has no sum of theirs."""
        now = time.monotonic()
        profile = self._index.profile if self._index else self._workspace.loaded_profile().profile
        is_time = now >= self._plans_at and bool(profile.plans)
        if is_time:
            self._plans_at = now + PLANS_S
        return is_time

    def look_at_plans_again(self) -> None:
        """Look at plans at the next call whenever they were looked at last."""
        self._plans_at = 0.0

    def _plans(self, user_id: str | None = None) -> list[Spending]:
        """Return how the plans stand that are near to a limit of their own."""
        workspace = self._workspace
        profile = workspace.loaded_profile().profile
        if not profile.plans:
            return []
        import_safely("shared.costs.tracking.foresight")
        from .foresight import plan_spendings  # only with plans

        user = user_id or self._job.user_id
        return list(
            plan_spendings(profile, workspace.index, user, workspace.clock(), workspace.catalogue_name)
        )

    def guarding(self) -> list[Spending]:
        """Return how the windows of the guard stand; nothing is read where the profile has none."""
        profile, now = self._workspace.loaded_profile().profile, self._workspace.clock()
        limits = self._limits(profile, self._job.user_id, now)
        return self._answered(Questions([limit for limit in limits if limit.scope.kind == "guard"]))

    def _limits(self, profile: Profile, user_id: str, now: datetime) -> list[Limit]:
        return limits_for(profile, user_id, now, self._job_ref)

    @property
    def _job_ref(self) -> JobRef | None:
        return None if self._job.is_unassigned else JobRef(self._job.job_id, self._job.ledger)

    def _answered(self, questions: Questions, spends: Sequence[int] | None = None) -> list[Spending]:
        """Return what was spent; what others append reaches the index by them, or by a look each second."""
        return questions.answered(self._workspace.index, self._workspace.catalogue_name, spends)

    def _untold(self, crossed: list[Crossing]) -> list[Crossing]:
        """Return what nobody was told of; told by this process alone where the state cannot be read."""
        fresh = [c for c in crossed if _key(c) not in self._told_here]
        self._told_here.update(_key(c) for c in fresh)
        if not fresh:
            return []
        import_safely("shared.costs.notify.alerts")
        from ..notify.alerts import notify_crossings  # only for a crossing, which is rare

        try:
            return notify_crossings(self._workspace, fresh)
        except StorageUnavailable as fault:
            log.warning("alerts may be told more than once: %s", fault)
            return fresh


def _key(crossed: Crossing) -> tuple[str, str, float]:
    return crossed.limit.scope.key, crossed.span, crossed.threshold


def _alert(crossed: Crossing) -> Alert:
    return Alert(logging.CRITICAL if crossed.critical else logging.WARNING, message(crossed))
