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


_REPORTED_CHANGES: Final = set[str]()
"""The loosened limits that this process has logged."""

_LAST_SESSIONS: Final[dict[int, Session]] = {}
"""The session that recorded last, by process id: it logs at exit what others spent during its last calls."""

T = TypeVar("T")

CALL_S: Final = 2.2
"""How long recording one call may wait in total, in seconds: for its ledger, the index and the state."""


class Session:
    """The state of one tracker. Safe to use from several threads and tasks."""

    def __init__(self, workspace: Workspace, job: JobContext) -> None:
        self.workspace = workspace
        self.job = job
        self.recording = CallRecorder(workspace, job)
        self.watch = BudgetWatch(workspace, job)
        self.figures = Figures(workspace, job)
        self.open_stages: list[Stage] = []
        self._unchecked = 0
        """How many calls in a row could not be checked against the budgets."""
        self._last_questions: Questions | None = None
        """The budget queries of the last call outside a stage."""
        self._introduced = False

    def record(self, call: Call, stage: Stage | None = None) -> float:
        """Record a checked call, count it where it belongs, and return its cost in USD."""
        progress = Progress()
        stage = stage or current_stage(self)
        attempt = 1
        if stage is not None:
            attempt = stage.options.attempt
            call = stage.completed(call)
        try:
            with at_most(CALL_S):
                return self._record(call, stage, attempt, progress)
        except (TypeError, ValueError):
            raise  # the call is not valid; nothing else raises these
        except BaseException:
            # A signal handler's: the call was made all the same.
            if not progress.is_safe:
                self._count(self.recording.record(call, attempt, progress=progress), stage)
            raise

    def _record(self, call: Call, stage: Stage | None, attempt: int, progress: Progress) -> float:
        tried = self.recording.tried
        if not self._introduced:
            tried("the profile", self._introduce)
        # The alerts of a stage are logged when it ends, those of a single call at once.
        questions = None
        if stage is None:
            questions = tried("the budgets", partial(self._questions, call))
        outcome = self.recording.record(call, attempt, questions.queries if questions else (), progress)
        self._count(outcome, stage)
        if outcome.new and questions is not None:
            self._last_questions = questions
            if _LAST_SESSIONS.get(pid := os.getpid()) is not self:
                _check_at_exit_of(pid, self)
            tried("the budgets", partial(self._log_alerts, questions, outcome.spends))
        if call.reservation is not None:
            tried("the reservation", partial(self._report_to_reservation, call.reservation, outcome))
        if call.input_digest is not None and outcome.new and not outcome.local:
            tried("the guard against repetition", partial(self._count_input, call, call.input_digest))
        return to_usd(outcome.entry.cost)

    def _questions(self, call: Call) -> Questions:
        """Return the queries of the limits that cover a call; of those on models, only its own model's."""
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
        """Count the request of a call, unless its reservation has counted it."""
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
            self._count_sending(request, digest)
        try:
            if os.path.exists(self.job.ledger):  # the storage may be another one than when it was begun
                self.workspace.index.note(self.job.ledger)
            loaded = self.workspace.loaded_profile()
            hold = self.workspace.gate.reserve(request, loaded.profile, loaded.fault)
        except BaseException as fault:
            if digest is not None:
                self._count_unsent(request, digest)
            if not isinstance(fault, NOT_LOADED):
                raise
            reraise_foreign(fault)
            raise BudgetGateUnavailable(f"the budget gate cannot be used: {fault}; try again") from fault
        hold.intended, hold.input_digest = request.usage, digest
        if digest is not None:
            hold.unsent = partial(self._count_unsent, request, digest)
        for warning in hold.terms.warnings:
            log.warning("%s", warning)
        return hold

    def _count_sending(self, request: GateRequest, digest: str) -> None:
        """Count a request that is about to be sent; a failure is logged, and the call goes on."""
        try:
            self.repeats.sending(request.service, request.model, digest, request.override)
        except BudgetExceeded:
            raise
        except FAILURES as fault:
            reraise_foreign(fault)
            log.warning("repetitions of a request cannot be counted: %s", fault)

    def _count_unsent(self, request: GateRequest, digest: str) -> None:
        self.recording.tried(
            "repetitions", lambda: self.repeats.unsent(request.service, request.model, digest)
        )

    def _report_to_reservation(self, reservation: Hold | str, outcome: RecordOutcome) -> None:
        """Report a recorded call to its reservation, given as the hold or by its id."""
        labels, warnings = _labels_of(outcome.entry), list[str | None]()
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
                warnings.append(
                    self.workspace.gate.strayed(reservation, beyond, profile, overran=bool(alert))
                )
            warnings.append(alert)
        elif outcome.in_ledger and outcome.known:
            try:
                profile = self.workspace.loaded_profile().profile
                warnings += self.workspace.gate.reported(reservation, labels, profile)
            except StorageUnavailable as fault:  # it counts on, less this entry
                log.info("reservation %s could not be settled yet: %s", reservation, fault)
        for warning in filter(None, warnings):
            log.warning("%s", warning)

    def reverse(self, entry_id: str, why: str) -> Nanos:
        """Reverse a recorded call; return the nano-dollars that it no longer costs."""
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

    # --- checks of the budgets: they return in bounded time and do not raise

    def alerts(self, user_id: str | None) -> list[str]:
        """Return the alerts of the budgets now."""
        return self._check(partial(self.watch.alerts, user_id), lambda why: [why])

    def is_over(self, user_id: str | None) -> bool:
        """Tell whether any limit is reached; ``False`` if that cannot be checked."""
        return self._check(partial(self.watch.is_over, user_id), lambda _: False)

    def fits(self, estimate: Nanos) -> tuple[bool, list[str]]:
        """Tell whether ``estimate`` fits, and the alerts; if that is unknown, whether no limit blocks."""
        call = self._current_scope()
        return self._check(
            lambda: self.watch.fits(estimate, call), lambda why: (not self._may_block(), [why])
        )

    def _current_scope(self) -> CallScope:
        """Return the scope of a call made here, to any model."""
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

    def _check(self, check: Callable[[], T], otherwise: Callable[[str], T]) -> T:
        with at_most(CALL_S):
            try:
                return check()
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
        """Log the limits that others crossed during the last calls, which relied on sums read before."""
        questions, self._last_questions = self._last_questions, None
        if questions is not None and os.path.isdir(self.workspace.storage.root):
            self.watch.look_at_plans_again()
            with at_most(CALL_S):
                self.recording.tried("the budgets", partial(self._log_alerts, questions))

    def _log_alerts(self, questions: Questions, spends: Sequence[int] | None = None) -> None:
        """Log the limits that a recorded call has crossed; a failure to read them is logged, not raised."""
        try:
            for alert in self.watch.alerts_of(questions, spends):
                log.log(alert.level, "%s", alert.text)
            self._unchecked = 0
        except StorageUnavailable as fault:
            # A single miss, as when many jobs begin together, is made up for by anybody's next call.
            self._unchecked += 1
            is_news = self._unchecked > 1 or not isinstance(fault, StorageBusy)
            log.log(logging.WARNING if is_news else logging.INFO, "the budgets cannot be checked: %s", fault)

    @property
    def job_ref(self) -> JobRef | None:
        """The job, for limits on jobs; ``None`` for calls that belong to none."""
        return None if self.job.is_unassigned else JobRef(self.job.job_id, self.job.ledger)

    def report(self, stage: Stage) -> None:
        """Log what a stage cost, what is wrong with its recording, and which alerts are new."""
        if sys.is_finalizing():  # a generator was not read to its end: the budgets cannot be checked any more
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
        """Return the alerts that no process has logged yet in their period; see the watch for ``ended``."""
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
        """Return the line that says how many entries wait or waited outside the ledger; none is lost."""
        waiting = self.recording.waiting
        had_to = f"⚠️  Cost tracking degraded: {_entries(self.degraded)} had to wait"
        if not waiting:
            return f"{had_to}; all are in the ledger now"
        return f"{had_to}, {waiting} still outside the ledger; run cost-dashboard doctor"

    def _introduce(self) -> None:
        """Log once the job, the user and the profile of this tracker."""
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
            if change not in _REPORTED_CHANGES:
                _REPORTED_CHANGES.add(change)
                log.warning("profile %s was changed: %s", loaded.description, change)

    def close(self) -> None:
        """Try once more to write the entries that wait in memory, then close the index."""
        self.recording.close()
        self.tell_last()
        self.workspace.close()


def _check_at_exit_of(pid: int, session: Session) -> None:
    """Have a session check the budgets once more when this process ends."""
    if pid not in _LAST_SESSIONS:
        _LAST_SESSIONS.clear()  # a forked child has its parent's
        at_exit(_log_last_alerts)
    _LAST_SESSIONS[pid] = session


def _log_last_alerts() -> None:
    if (session := _LAST_SESSIONS.get(os.getpid())) is not None:
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
