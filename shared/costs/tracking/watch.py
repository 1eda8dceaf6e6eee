"""The state of the budgets for one job and its user, and which alerts are new."""

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
"""For how many scopes of calls the queries are cached: a tag for each customer makes many."""


PLANS_S: Final = 60.0
"""How often calls outside of stages check plans with a limit of their own, in seconds."""


class Alert(NamedTuple):
    """A line for the log, and its ``logging`` level."""

    level: int
    text: str


class _ProfileLimits(NamedTuple):
    """The queries of the limits of one profile."""

    profile: Profile
    questions: Questions


class BudgetWatch:
    """Compares limits with what was spent. Read-only: the gate holds money."""

    def __init__(self, workspace: Workspace, job: JobContext) -> None:
        self._workspace = workspace
        self._job = job
        self._alerted: set[tuple[str, str, float]] = set()
        self._limits_by_scope: dict[CallScope, _ProfileLimits] = {}
        self._index: LimitIndex | None = None
        self._plans_at = 0.0
        """When plans are checked next: an instant of ``time.monotonic``."""

    def alerts(self, user_id: str | None = None) -> list[str]:
        """Return a message for each limit whose threshold is crossed, tightest first."""
        return [message(crossed) for crossed in crossings(self.spendings(user_id))]

    def is_over(self, user_id: str | None = None) -> bool:
        """Tell whether any limit is reached."""
        return any(crossed.critical for crossed in crossings(self.spendings(user_id)))

    def fits(self, estimate: Nanos, call: CallScope) -> tuple[bool, list[str]]:
        """Tell whether ``estimate`` may be spent on a call of a scope, and return the messages about it."""
        from ..budgets.deciding import Need, refusal, standings  # only those who reserve pay for it

        loaded = self._workspace.loaded_profile()
        if loaded.fault:
            return False, [f"the budget cannot be checked: {loaded.fault}"]
        spendings = self.spendings(None)
        messages = [message(crossed) for crossed in crossings(spendings)]
        names = self._workspace.catalogue_name
        # Its number of tokens is not known: at least one, so that a limit that is used up refuses it.
        need = Need(estimate, 1, 1)
        applicable = [spending for spending in spendings if spending.limit.covers(call, names)]
        denied = refusal(standings(applicable, self._holds(), names), lambda _: need, "this call")
        return denied is None, messages if denied is None else [str(denied), *messages]

    def _holds(self) -> list[HoldStatus]:
        try:
            return self._workspace.gate.holds()
        except StorageUnavailable as fault:
            log.warning("reservations cannot be read: %s", fault)
            return []

    def new_alerts(self, stage: str | None, *, ended: bool = False) -> list[Alert]:
        """Return the alerts that no process has logged yet in their period, for a call of ``stage``.

        Once the stage has ``ended``, also those of months that are on course to pass their limit:
        that reads weeks of sums, which is too much work for every call.
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
        """As :meth:`new_alerts`; ``spends`` are the answers, if they are known already."""
        plans = self._plans() if ended or self._look_at_plans() else []
        if spends is not None and not plans and not ended and questions.are_quiet(spends):
            return []  # nearly every call
        spendings = self._answer(questions, spends)
        crossed = crossings([*spendings, *plans])
        if ended:
            from .foresight import foreseen  # no call pays for it

            workspace = self._workspace
            standing = tightest_first(spendings)
            crossed += foreseen(workspace.index, standing, workspace.clock(), workspace.catalogue_name)
        return [_alert(crossing) for crossing in self._new_crossings(crossed)]

    def questions(self, call: CallScope) -> Questions:
        """Return the queries of the limits that a call of this job counts against.

        They are cached by the call's scope for as long as its limits hold.
        """
        profile, now = self._workspace.loaded_profile().profile, self._workspace.clock()
        known = self._limits_by_scope.get(call)
        if known is None or known.profile is not profile or not known.questions.hold_at(now):
            if len(self._limits_by_scope) >= MOST_KEPT:
                self._limits_by_scope.clear()
            scope = call._replace(user_id=self._job.user_id, ledger=self._job.ledger, job_id=self._job.job_id)
            index = self._index
            if index is None or index.profile is not profile:
                index = self._index = LimitIndex(profile, self._workspace.catalogue_name)
            own = Questions(index.of_call(scope, now, self._job_ref))
            known = self._limits_by_scope[call] = _ProfileLimits(profile, own)
        return known.questions

    def spendings(self, user_id: str | None) -> list[Spending]:
        """Return every limit that holds now with what was spent within it, tightest first."""
        profile, now = self._workspace.loaded_profile().profile, self._workspace.clock()
        limits = self._limits(profile, user_id or self._job.user_id, now)
        plans = self._plans(user_id)
        return tightest_first([*self._answer(Questions(limits)), *plans])

    def _look_at_plans(self) -> bool:
        """Tell whether it is time to check plans again: not at every call, which does not sum them."""
        now = time.monotonic()
        profile = self._index.profile if self._index else self._workspace.loaded_profile().profile
        is_time = now >= self._plans_at and bool(profile.plans)
        if is_time:
            self._plans_at = now + PLANS_S
        return is_time

    def look_at_plans_again(self) -> None:
        """Check plans at the next call, however recently they were checked."""
        self._plans_at = 0.0

    def _plans(self, user_id: str | None = None) -> list[Spending]:
        """Return the spending of the plans that are near a limit of their own."""
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
        """Return the spending within the windows of the guard; nothing is read if the profile has none."""
        profile, now = self._workspace.loaded_profile().profile, self._workspace.clock()
        limits = self._limits(profile, self._job.user_id, now)
        return self._answer(Questions([limit for limit in limits if limit.scope.kind == "guard"]))

    def _limits(self, profile: Profile, user_id: str, now: datetime) -> list[Limit]:
        return limits_for(profile, user_id, now, self._job_ref)

    @property
    def _job_ref(self) -> JobRef | None:
        return None if self._job.is_unassigned else JobRef(self._job.job_id, self._job.ledger)

    def _answer(self, questions: Questions, spends: Sequence[int] | None = None) -> list[Spending]:
        """Return what was spent; other processes' lines are in the index through them, or a second later."""
        return questions.answered(self._workspace.index, self._workspace.catalogue_name, spends)

    def _new_crossings(self, crossed: list[Crossing]) -> list[Crossing]:
        """Return the crossings without an alert so far; those of this process if the state is unreadable."""
        fresh = [crossing for crossing in crossed if _key(crossing) not in self._alerted]
        self._alerted.update(_key(crossing) for crossing in fresh)
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
