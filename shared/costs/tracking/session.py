"""What the methods of one ``CostTracker`` share: its workspace, its job, its open stages."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from ..budgets.scopes import CallScope, Labels
from ..errors import (
    FAILURES,
    NOT_LOADED,
    BudgetExceeded,
    BudgetGateUnavailable,
    StorageBusy,
    StorageUnavailable,
    UnknownEntry,
    reraise_foreign,
)
from ..importing import import_safely
from ..ledger.recorder import at_exit
from ..money import Nanos, to_usd
from ..patience import at_most
from ..rollup import JobRef
from ..workspace import Workspace
from .call import Call
from .context import JobContext, current_stage
from .context import name as label
from .costline import StageStanding, cost_line
from .recording import CallRecorder, Progress, RecordOutcome, log
from .stage import Stage
from .stats import PROCESS_STATS, Figures
from .watch import Alert, BudgetWatch

if TYPE_CHECKING:
    from ..budgets.gate import GateRequest
    from ..budgets.hold import Hold
    from ..budgets.spending import Questions
    from ..model import Entry
    from .repeats import RepeatCounter


_TOLD: Final = set[str]()
"""Which loosened limits this process has reported."""

_LAST: Final[dict[int, Session]] = {}
"""The session that recorded last, by the process: what others spent during its last calls is told at exit."""

T = TypeVar("T")

CALL_S: Final = 2.2
"""How long recording one call may wait in all, in seconds: for its ledger, the index and the state."""


class Session:
    """One tracker's life. Safe to use from several threads and tasks."""

    def __init__(self, workspace: Workspace, job: JobContext) -> None:
        self.workspace = workspace
        self.job = job
        self.recording = CallRecorder(workspace, job)
        self.watch = BudgetWatch(workspace, job)
        self.figures = Figures(workspace, job)
        self.open_stages: list[Stage] = []
        self._unchecked = 0
        """How many calls one after the other could not be held against the budgets."""
        self._asked: Questions | None = None
        """What the last call outside a stage asked of the budgets."""
        self._introduced = False

    def record(self, call: Call, stage: Stage | None = None) -> float:
        """Record a checked call, count it where it belongs, and return its USD."""
        progress = Progress()
        stage = stage or current_stage(self)
        attempt = 1
        if stage is not None:
            attempt = stage.options.attempt
            call = stage.completed(call)
        try:
            with at_most(CALL_S):
                return self._recorded(call, stage, attempt, progress)
        except (TypeError, ValueError):
            raise  # the call makes no sense; nothing else raises these
        except BaseException:
            # A signal handler's: the call was made all the same.
            if not progress.is_safe:
                self._count(self.recording.record(call, attempt, progress=progress), stage)
            raise

    def _recorded(self, call: Call, stage: Stage | None, attempt: int, progress: Progress) -> float:
        tried = self.recording.tried
        if not self._introduced:
            tried("the profile", self._introduce)
        # The alerts of a stage are told when it ends; those of a call alone at once.
        asked = None
        if stage is None:
            asked = tried("the budgets", partial(self._questions, call))
        outcome = self.recording.record(call, attempt, asked.queries if asked else (), progress)
        self._count(outcome, stage)
        if outcome.new and asked is not None:
            self._asked = asked
            if _LAST.get(pid := os.getpid()) is not self:
                _end_with(pid, self)
            tried("the budgets", partial(self._tell, asked, outcome.spends))
        if call.reservation is not None:
            tried("the reservation", partial(self._report, call.reservation, outcome))
        if call.input_digest is not None and outcome.new and not outcome.local:
            tried("the guard against repetition", partial(self._count_input, call, call.input_digest))
        return to_usd(outcome.entry.cost)

    def _questions(self, call: Call) -> Questions:
        """Return what to ask of the limits that cover a call: of many on models, of those on its own."""
        work = self.job.work
        scope = CallScope(
            service=call.service,
            model=call.model,
            stage=call.stage or work.stage,
            project=call.project,
            tags=call.tags,
            workflow=call.workflow or work.workflow,
            operation=call.operation,
        )
        return self.watch.questions(scope)

    @property
    def repeats(self) -> RepeatCounter:
        """Counts the requests of this job by their inputs."""
        import_safely("shared.costs.tracking.repeats")
        from .repeats import RepeatCounter  # only calls that say what they send pay for it

        return RepeatCounter(self.workspace, self.job)

    def _count_input(self, call: Call, digest: str) -> None:
        """Count what a call has sent, unless that was done when it was reserved for."""
        hold = call.hold
        if hold is not None and hold.input_digest == digest:
            hold.input_digest = None
        else:
            self.repeats.sent(call.service, call.model, digest)

    def _count(self, outcome: RecordOutcome, stage: Stage | None) -> None:
        if outcome.new:
            PROCESS_STATS.add(outcome.entry)
            if stage is not None:
                stage.count(outcome)

    def hold(self, request: GateRequest) -> Hold:
        """Reserve money for what is about to be spent; see ``CostTracker.reserve``."""
        self.recording.tried("the profile", self._introduce)
        digest = None if request.local else request.input_digest
        if digest is not None:
            self._sending(request, digest)
        try:
            if os.path.exists(self.job.ledger):  # the storage may be another one than when it was begun
                self.workspace.index.note(self.job.ledger)
            loaded = self.workspace.loaded_profile()
            hold = self.workspace.gate.reserve(request, loaded.profile, loaded.fault)
        except BaseException as fault:
            if digest is not None:
                self._unsent(request, digest)
            if not isinstance(fault, NOT_LOADED):
                raise
            reraise_foreign(fault)
            raise BudgetGateUnavailable(f"the budget gate cannot be used: {fault}; try again") from fault
        hold.intended, hold.input_digest = request.usage, digest
        if digest is not None:
            hold.unsent = partial(self._unsent, request, digest)
        for warning in hold.terms.warnings:
            log.warning("%s", warning)
        return hold

    def _sending(self, request: GateRequest, digest: str) -> None:
        """Count a request that is about to be sent; where that fails, it is told, and the call goes on."""
        try:
            self.repeats.sending(request.service, request.model, digest, request.override)
        except BudgetExceeded:
            raise
        except FAILURES as fault:
            reraise_foreign(fault)
            log.warning("repetitions of a request cannot be counted: %s", fault)

    def _unsent(self, request: GateRequest, digest: str) -> None:
        self.recording.tried(
            "repetitions", lambda: self.repeats.unsent(request.service, request.model, digest)
        )

    def _report(self, reservation: Hold | str, outcome: RecordOutcome) -> None:
        """Tell a reservation, in hand or by its id alone, of a call that was recorded under it."""
        labels, told = _labels_of(outcome.entry), list[str | None]()
        if not isinstance(reservation, str):
            alert = reservation.recorded(
                outcome.entry.cost,
                new=outcome.new,
                in_ledger=outcome.in_ledger,
                known=outcome.known,
                priced=outcome.entry.cost_state == "whole",
            )
            if (beyond := reservation.strayed(labels)) is not None:
                profile = self.workspace.loaded_profile().profile
                told.append(self.workspace.gate.strayed(reservation, beyond, profile, overran=bool(alert)))
            told.append(alert)
        elif outcome.in_ledger and outcome.known:
            try:
                profile = self.workspace.loaded_profile().profile
                told += self.workspace.gate.reported(reservation, labels, profile)
            except StorageUnavailable as fault:  # it counts on, less this entry
                log.info("reservation %s could not be settled yet: %s", reservation, fault)
        for warning in filter(None, told):
            log.warning("%s", warning)

    def reverse(self, entry_id: str, why: str) -> Nanos:
        """Take a recorded call back; return the nano-dollars it no longer costs."""
        from ..ledger.redact import clean_text
        from .corrections import corrected_entry, reversal

        reason = clean_text(label("why", why))
        location = self.workspace.index.find(entry_id)
        if location is None:
            raise UnknownEntry(f"no ledger of {self.workspace.storage.root} has an entry {entry_id!r}")
        corrected = corrected_entry(entry_id, self.workspace.index, location.ledger)
        if corrected.reversal is not None:
            return Nanos(-corrected.reversal.cost)
        taken_back = reversal(corrected, reason, self.workspace.clock())
        self.recording.write(taken_back, location.ledger)
        return Nanos(-taken_back.cost)

    # --- looks at the budgets: they answer in time, and raise nothing

    def alerts(self, user_id: str | None) -> list[str]:
        """Return what is to be said about the budgets now."""
        return self._looked(partial(self.watch.alerts, user_id), lambda why: [why])

    def is_over(self, user_id: str | None) -> bool:
        """Tell whether any limit is reached; ``False`` where that cannot be told."""
        return self._looked(partial(self.watch.is_over, user_id), lambda _: False)

    def fits(self, estimate: Nanos) -> tuple[bool, list[str]]:
        """Tell whether ``estimate`` fits; where that cannot be told, whether no limit may block it."""
        call = self._call_here()
        return self._looked(
            lambda: self.watch.fits(estimate, call), lambda why: (not self._may_block(), [why])
        )

    def _call_here(self) -> CallScope:
        """Return the scope of a call, to whatever model, of which no more is known than where it is made."""
        stage, job = current_stage(self), self.job
        call = CallScope(
            job.user_id,
            ledger=job.ledger,
            stage=stage.name if stage else job.work.stage,
            workflow=job.work.workflow,
            job_id=job.job_id,
        )
        return (
            call if stage is None else call._replace(project=stage.options.project, tags=stage.options.tags)
        )

    def _looked(self, look: Callable[[], T], otherwise: Callable[[str], T]) -> T:
        with at_most(CALL_S):
            try:
                return look()
            except FAILURES as fault:
                reraise_foreign(fault)
                why = f"the budgets cannot be checked: {type(fault).__name__}: {fault}"
                log.warning("%s", why)
                return otherwise(why)

    def _may_block(self) -> bool:
        loaded = self.recording.tried("the profile", self.workspace.loaded_profile)
        if loaded is None or loaded.fault:
            return True
        budgets = (loaded.profile.for_user(self.job.user_id).budget, loaded.profile.organization)
        return any(budget.block_at_limit for budget in budgets)

    def tell_last(self) -> None:
        """Say which limits others have crossed during the last calls, which believed an earlier look."""
        asked, self._asked = self._asked, None
        if asked is not None and os.path.isdir(self.workspace.storage.root):
            self.watch.look_at_plans_again()
            with at_most(CALL_S):
                self.recording.tried("the budgets", partial(self._tell, asked))

    def _tell(self, asked: Questions, spends: Sequence[int] | None = None) -> None:
        """Say which limits a call has crossed; it is recorded, whatever happens here."""
        try:
            for alert in self.watch.alerts_of(asked, spends):
                log.log(alert.level, "%s", alert.text)
            self._unchecked = 0
        except StorageUnavailable as fault:
            # What was missed once, as when many jobs begin together, the next call of anybody tells.
            self._unchecked += 1
            is_news = self._unchecked > 1 or not isinstance(fault, StorageBusy)
            log.log(logging.WARNING if is_news else logging.INFO, "the budgets cannot be checked: %s", fault)

    @property
    def job_ref(self) -> JobRef | None:
        """The job, for limits on jobs; ``None`` for calls that belong to none."""
        return None if self.job.is_unassigned else JobRef(self.job.job_id, self.job.ledger)

    def report(self, stage: Stage) -> None:
        """Say what a stage cost, what is wrong with its recording, and which alerts are new."""
        if sys.is_finalizing():  # of a generator that nobody read to its end: the budgets cannot be looked at
            return
        with at_most(CALL_S):
            if self.degraded:
                stage.say(logging.WARNING, self.degraded_line())
            try:
                stage.say(logging.INFO, cost_line(stage.sums, self.standing()))
                for alert in self.new_alerts(stage.name, ended=True):
                    stage.say(alert.level, alert.text)
            except FAILURES as fault:
                reraise_foreign(fault)
                stage.say(logging.WARNING, f"what was spent cannot be told: {fault}")

    def new_alerts(self, stage: str | None, *, ended: bool = False) -> list[Alert]:
        """Return the alerts that no process has told yet for this period; see the watch for ``ended``."""
        return self.watch.new_alerts(stage, ended=ended)

    def standing(self) -> StageStanding:
        """Return where the job and the user's month stand now."""
        budget = self.workspace.loaded_profile().profile.for_user(self.job.user_id).budget
        return StageStanding(self.figures.job_cost(), self.figures.month_cost(), budget.monthly_limit)

    @property
    def degraded(self) -> int:
        """How many entries of this process could not go straight into their ledger."""
        return self.recording.degraded

    def degraded_line(self) -> str:
        """Say that entries wait or waited elsewhere; nothing is lost."""
        waiting = self.recording.waiting
        had_to = f"⚠️  Cost tracking degraded: {_entries(self.degraded)} had to wait"
        if not waiting:
            return f"{had_to}; all are in the ledger now"
        return f"{had_to}, {waiting} still outside the ledger; run cost-dashboard doctor"

    def _introduce(self) -> None:
        """Tell once, in the log, for whom and under which profile this tracker records."""
        if self._introduced:
            return
        self._introduced = True
        loaded = self.workspace.loaded_profile()
        log.log(
            logging.WARNING if loaded.fault else logging.INFO,
            "cost tracking: job %s, user %s, profile %s",
            self.job.job_id,
            self.job.user_id,
            loaded.description,
        )
        for change in loaded.loosened:
            if change not in _TOLD:
                _TOLD.add(change)
                log.warning("profile %s was changed: %s", loaded.description, change)

    def close(self) -> None:
        """Close the index; entries that wait in memory are tried once more."""
        self.recording.close()
        self.tell_last()
        self.workspace.close()


def _end_with(pid: int, session: Session) -> None:
    """Have a session look at the budgets once more as this process ends."""
    if pid not in _LAST:
        _LAST.clear()  # a forked child has its parent's
        at_exit(_tell_at_exit)
    _LAST[pid] = session


def _tell_at_exit() -> None:
    if (session := _LAST.get(os.getpid())) is not None:
        session.tell_last()


def _labels_of(entry: Entry) -> Labels:
    return Labels(
        entry.project,
        entry.tags,
        entry.stage,
        entry.workflow,
        entry.operation,
        entry.service,
        entry.model,
    )


def _entries(number: int) -> str:
    return "1 entry" if number == 1 else f"{number} entries"
