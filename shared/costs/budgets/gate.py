"""The gate: reserves money before a call is sent, so that parallel jobs cannot overrun a limit.

A check that is followed by a spend overshoots when several processes check at once. So a call
first *reserves* its highest possible cost, in one transaction for the whole cost storage: the
ledgers are caught up, and the call is denied when, for any blocking limit that it counts against,
``spent + held + estimate`` would be above the limit. Its ledger entry carries the reservation's id.
When its block has ended and entries are in the ledger the reservation is *settled*.

What is logged under a reservation counts as spent, and only the rest of the estimate as held. So
nothing counts twice between entry and settle, and after a crash between the two the rest counts
as orphaned: more calls may have been sent.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypeVar

from ..errors import BudgetExceeded, BudgetGateUnavailable, ProfileError, StorageBusy, StorageUnavailable
from ..ledger.counted import new_id
from ..model import Usage
from ..money import ZERO, Nanos, format_usd
from ..profile.types import Profile
from ..rollup import JobRef, Query
from .deciding import OVERRIDE_VARIABLE, LimitStanding, Need, Policy, part_within, refusal, standings
from .endings import Ending, Endings
from .hold import Hold, Terms, overrun
from .limits import Limit, LimitIndex, Spending
from .port import STRAYED_FOR, Decision, Holds, HoldState, HoldStatus, Parts, Reservation, Stray, Turn
from .scopes import ANY, CallScope, Labels, ModelName
from .spending import read_spendings
from .strays import StrayedCalls, held_by, of_any_job

log = logging.getLogger("shared.cost_tracker")

T = TypeVar("T")

TURN_S: Final = 0.25
"""How long one try at the gate waits for other processes, in seconds. Threads of this process wait too."""

GATE_WAIT_S: Final = 10.0
"""The longest that a caller with a blocking limit waits for others at the gate, in seconds."""

EXPIRY: Final = timedelta(hours=1)
"""After this long a hold that was not settled counts as an orphan."""

ROOM_EXPIRY: Final = timedelta(days=30)
"""Likewise for money held for a job, which may run for long: its process ends the hold."""

_PAUSES_S: Final = (0.01, 0.1)
_MOST_CHECKS: Final = 5
"""How often a refusal is checked again while others spend."""
_CLOCK_TOLERANCE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRequest:
    """A request to reserve what a caller is about to spend.

    ``estimate`` is the most that it can cost: the known input plus the maximum output at the
    highest applicable price. ``None`` means that no such bound is known, and ``unknown`` is the reason
    (no price, no maximum output). ``free`` calls cost nothing whatever they use; those that are
    ``local`` are never held, the others only if a limit on calls or tokens covers them. ``calls`` and
    ``tokens`` are the most calls, and the most tokens of all calls; ``None`` if not known.
    ``one_call`` is false for a block of calls that share one reservation; a block for calls of any model
    has ``scopes.ANY`` as service and model, and counts against every limit on models.
    ``expires_after`` is an expiry of its own: how long its calls may wait for their provider.
    ``admits`` holds money for calls that make their own holds ``within`` it, with its ``parts`` by stage.
    ``override`` is the reason to override a refusal. ``cost_as`` gives the most that it can cost if it
    is made by another service and model. The gate does not use ``usage``, the call's usage without its
    output, or ``input_digest``, which identifies what is sent.
    """

    user_id: str
    service: str
    model: str
    estimate: Nanos | None
    unknown: str = ""
    unpriced: bool = False
    free: bool = False
    local: bool = False
    calls: int | None = 1
    tokens: int | None = None
    job: JobRef | None = None
    stage: str | None = None
    project: str | None = None
    tags: tuple[str, ...] = ()
    workflow: str | None = None
    operation: str | None = None
    one_call: bool = True
    expires_after: timedelta | None = None
    admits: bool = False
    parts: Parts = ()
    within: str | None = None
    override: str | None = None
    cost_as: Callable[[str, str], Nanos | None] | None = None
    usage: Usage | None = None
    input_digest: str | None = None

    @property
    def submits(self) -> bool:
        """Whether its calls may wait for their provider after its block has ended."""
        return self.expires_after is not None

    @property
    def scope(self) -> CallScope:
        """The scope by which limits cover it, whenever it is made."""
        ledger = self.job.ledger if self.job else None
        return CallScope(
            self.user_id,
            ledger=ledger,
            stage=self.stage,
            service=self.service,
            model=self.model,
            project=self.project,
            tags=self.tags,
            workflow=self.workflow,
            operation=self.operation,
            job_id=self.job.job_id if self.job else None,
        )

    @property
    def name(self) -> str:
        """The model as ``service/model``."""
        return f"{self.service}/{self.model}"

    @property
    def described(self) -> str:
        """The call as a refusal names it."""
        return "this block of calls" if self.service == self.model == ANY else self.name


class Gate:
    """The gate of all who share one budget. Safe to use from threads and after a fork.

    Args:
        holds: the shared holds, which are decided on one after the other.
        clock: returns the present, in UTC.
        names: returns the catalogue's name of a service and model, for limits on models.

    """

    def __init__(self, holds: Holds, *, clock: Callable[[], datetime], names: ModelName) -> None:
        self._holds = holds
        self._clock = clock
        self._names = names
        self._endings = Endings(holds)
        self._index: LimitIndex | None = None
        self._strays = StrayedCalls()
        self._strays_read: Sequence[Stray] = ()

    # --- reserving

    def reserve(self, request: GateRequest, profile: Profile, fault: ProfileError | None = None) -> Hold:
        """Hold the highest cost of a call against every limit that it counts against.

        Args:
            request: the call.
            profile: the limits; the defaults if ``fault`` is set.
            fault: why the user's profile cannot be read, if it cannot.

        Raises:
            BudgetExceeded: the call does not fit into a blocking limit, or its cost has no known bound.
            BudgetGateUnavailable: a limit may block the call, and cannot be checked.

        """
        if request.local:
            return Hold(self._endings, Terms(id=None))
        if request.free and not any(map(_is_count, self._limits(request, profile, self._clock()))):
            return Hold(self._endings, Terms(id=None))
        if fault is not None and request.override is None:
            raise BudgetGateUnavailable(
                f"the budget cannot be checked, so the call was refused: {fault}; mend the profile, "
                f"or set {OVERRIDE_VARIABLE}=1 to go on without a check, which is recorded"
            )
        policy = Policy.of(profile, request.user_id, self._limits(request, profile, self._clock()))
        try:
            return self._reserve_in_turn(request, profile, GATE_WAIT_S if policy.blocking else 0.0)
        except (StorageUnavailable, OSError) as failure:
            return self._without_gate(request, policy, failure)

    def _reserve_in_turn(self, request: GateRequest, profile: Profile, patience_s: float) -> Hold:
        """Decide and hold in one turn. The ``Hold`` exists before its reservation is stored anywhere."""
        created: list[Hold] = []

        def decide(turn: Turn) -> Decision:
            terms = self._terms(turn, request, profile)
            if isinstance(terms, BudgetExceeded):
                return terms
            created[:] = [hold := Hold(self._endings, terms)]
            hold.scope, hold.job = request.scope, request.job
            return self._reservation(request, terms, turn)

        self._endings.flush()
        try:
            decision = _retry(lambda: self._holds.reserve(decide, TURN_S), patience_s)
        except BaseException:
            for hold in created:  # nothing can have been sent, because the caller never got the hold
                hold.void_soon()
            raise
        if isinstance(decision, BudgetExceeded):
            raise decision
        return created[0]

    def _terms(self, turn: Turn, request: GateRequest, profile: Profile) -> Terms | BudgetExceeded:
        now = self._clock()
        at = max(now, turn.latest)  # a clock that was set back does not reopen a closed month
        self._learn(turn.strayed())
        request = self._as_recorded(request)
        limits = self._limits(request, profile, at)
        since = min((limit.period.start for limit in limits if limit.period), default=at)
        ledger = request.job.ledger if request.job else None
        try:
            estimate, warnings = self._check_limits(
                request, profile, limits, lambda: turn.holds(since, ledger), turn
            )
        except BudgetExceeded as refusal:
            return refusal
        return Terms(
            id=new_id(),
            period_at=at,
            estimate=estimate,
            one_call=request.one_call,
            submits=request.submits,
            override=request.override,
            warnings=(*warnings, *_clock_warning(now, at)),
        )

    def _check_limits(
        self,
        request: GateRequest,
        profile: Profile,
        limits: Sequence[Limit],
        holds: Callable[[], Sequence[HoldStatus]],
        turn: Turn,
    ) -> tuple[Nanos, tuple[str, ...]]:
        """Return the amount to hold and the warnings; raise if the request is denied."""
        policy = Policy.of(profile, request.user_id, limits)
        estimate, warnings = _amount_to_hold(request, policy)
        if not policy.blocking:
            holds()  # which stores their present state
            return estimate or ZERO, warnings
        need = Need(estimate, request.calls, request.tokens, request.unknown)
        denied = self._denial(request, need, limits, holds, turn)
        if denied is None:
            return estimate or ZERO, warnings
        if request.override is None:
            raise denied
        return estimate or ZERO, (*warnings, f"budget check overridden by {request.override}: {denied}")

    def _denial(
        self,
        request: GateRequest,
        need: Need,
        limits: Sequence[Limit],
        holds: Callable[[], Sequence[HoldStatus]],
        turn: Turn,
    ) -> BudgetExceeded | None:
        """Return why the need is denied, if it is.

        Holds are read before spends: an entry that arrives in between counts twice, but is never missed. So
        a refusal is checked again until nothing was spent between two checks.
        """
        what = request.described + _strayed_text(self._strays.of(request.scope))
        before: list[Spending] = []
        for _ in range(_MOST_CHECKS):
            # Money held for a job is there for the job's own calls.
            others = [held for held in holds() if held.reservation.id != request.within]
            spendings = read_spendings(limits, turn, self._names)
            limit_standings = standings(spendings, others, self._names)
            need_of = partial(self._need_within, request, need)
            denied = refusal(
                [_with_allotment(each, need_of(each.spending.limit), turn) for each in limit_standings],
                need_of,
                what,
            )
            if denied is None or spendings == before:
                break
            before = spendings
        return denied

    def _need_within(self, request: GateRequest, need: Need, limit: Limit) -> Need:
        """Return what a request needs of a limit; a job's hold perhaps only for some of its stages."""
        if not request.parts or limit.covers(request.scope, self._names):
            return need
        return need._replace(cost=Nanos(part_within(request.parts, request.scope, limit, self._names)))

    def _limits(self, request: GateRequest, profile: Profile, at: datetime) -> list[Limit]:
        index, own = self._limit_index(profile), request.scope
        scopes = [own, *(labels.on(own) for labels in self._strays.of(own))]
        scopes += [own._replace(stage=stage) for stage, _ in request.parts]
        return list(
            dict.fromkeys(limit for scope in scopes for limit in index.of_call(scope, at, request.job))
        )

    def _limit_index(self, profile: Profile) -> LimitIndex:
        index = self._index
        if index is None or index.profile is not profile:
            index = self._index = LimitIndex(profile, self._names)
        return index

    def _as_recorded(self, request: GateRequest) -> GateRequest:
        """Return the request with the most that it can cost on any model that others were recorded with."""
        if request.estimate is None or request.cost_as is None:
            return request
        costs = [
            request.cost_as(each.service, each.model)
            for each in self._strays.of(request.scope)
            if each.service and each.model
        ]
        return replace(
            request, estimate=max([request.estimate, *(each for each in costs if each is not None)])
        )

    def strayed(
        self, hold: Hold | Reservation, labels: Labels, profile: Profile, *, overran: bool = False
    ) -> str | None:
        """Apply limits that a call under ``hold`` counts against but that were not checked for it.

        The call is made and recorded. The rest of the hold counts against limits on its labels from
        now on, and if one of them blocks, the next reservations like it, of any process of this host, are
        checked against it too. A model that made the call cost more than was held (``overran``) is
        remembered as well: the next reservations hold what it costs.

        Returns a warning if there are such limits.
        """
        index, own = self._limit_index(profile), hold.scope._replace(at=None)
        at = hold.period_at or self._clock()
        scopes = (own, *(known.on(own) for known in self._strays.of(own)))
        checked = {limit for scope in scopes for limit in index.of_call(scope, at, hold.job)}
        new = [limit for limit in index.of_call(labels.on(own), at, hold.job) if limit not in checked]
        learned = [held_by(limit, labels) for limit in new if limit.blocking]
        if overran and labels.model:
            learned.append(Labels(service=labels.service, model=labels.model))
        self._remember(of_any_job(own), dict.fromkeys(learned))
        if not new:
            return None
        with suppress(StorageUnavailable, OSError):  # then the rest stays held, against fewer limits
            self._holds.widen(str(hold.id), [labels], TURN_S)
        names = ", ".join(_label_text(limit, labels) for limit in new)
        again = f"; the next ones like it are checked against it for {STRAYED_FOR.days} days"
        return (
            f"{names}: was not named to reserve, so its limit did not hold back a call under reservation "
            f"{hold.id}{again if any(limit.blocking for limit in new) else ''}; name it there too"
        )

    def _remember(self, scope: CallScope, learned: Iterable[Labels]) -> None:
        """Remember labels for this process and, once, for all others."""
        for labels in learned:
            if labels in self._strays.of(scope):
                continue
            self._strays.learn(scope, labels)
            with suppress(StorageUnavailable, OSError):  # this process knows it
                self._holds.remember(scope, labels, TURN_S)

    def _learn(self, read: Sequence[Stray]) -> None:
        if read is not self._strays_read:
            self._strays_read = read
            for scope, labels in read:
                self._strays.learn(scope, labels)

    def _reservation(self, request: GateRequest, terms: Terms, turn: Turn) -> Reservation:
        room_of = request.job.ledger if request.job and request.admits else None
        at = terms.period_at or self._clock()
        return Reservation(
            id=terms.id or "",
            period_at=at,
            expires_at=self._clock() + (request.expires_after or (ROOM_EXPIRY if request.admits else EXPIRY)),
            submits=request.submits,
            admits=request.admits,
            within=request.within,
            spent_before=turn.spends([Query(ledger=room_of)])[0] if room_of else 0,
            user_id=request.user_id,
            job_id=request.job.job_id if request.job else None,
            ledger=request.job.ledger if request.job else None,
            stage=request.stage,
            project=request.project,
            tags=request.tags,
            workflow=request.workflow,
            operation=request.operation,
            calls=request.calls or 0,
            tokens=request.tokens or 0,
            service=request.service,
            model=request.model,
            estimate=terms.estimate,
            one_call=request.one_call,
            strayed=self._strays.of(request.scope),
            parts=request.parts,
        )

    def _without_gate(self, request: GateRequest, policy: Policy, failure: Exception) -> Hold:
        """Go on without a reservation if the budgets allow it."""
        if policy.blocking and not policy.allow_on_gate_error and request.override is None:
            raise BudgetGateUnavailable(
                f"the budget could not be checked, so the call was refused: {failure}; try again, set "
                f"on_gate_error: allow in the profile, or {OVERRIDE_VARIABLE}=1 to go on without a check"
            ) from failure
        warning = f"the call goes on without a reservation: {failure}"
        log.warning("%s", warning)
        return Hold(self._endings, Terms(id=None, override=request.override, warnings=(warning,)))

    def lower(self, reservation: str, amount: Nanos) -> None:
        """Let a hold count at no more than ``amount``; if that cannot be written, it counts as before."""
        try:
            self._holds.lower(reservation, amount, TURN_S)
        except (StorageUnavailable, OSError) as failure:
            log.info("reservation %s keeps more than it needs: %s", reservation, failure)

    def reported(self, reservation: str, own: Labels, profile: Profile) -> list[str]:
        """Note that an entry under a reservation is in a known ledger, for callers without the hold itself.

        A hold that was submitted or left behind by its process ends with that, unless it is for all calls
        of a block. A hold that is still in use elsewhere goes on. ``own`` are the labels of the entry: see
        :meth:`strayed`.

        Returns warnings: of calls that cost more than was held, and of limits that were not checked.

        Raises:
            StorageUnavailable: the holds cannot be read.

        """
        held = self._holds.find(reservation)
        if held is None:
            return []
        one, warnings = held.reservation, list[str]()
        if held.excess:
            warnings.append(overrun(reservation, held.logged.cost, one.estimate))
        labels = own.beyond(one.scope)
        if labels is not None and labels not in one.strayed:
            warnings += filter(None, [self.strayed(one, labels, profile, overran=bool(warnings))])
        is_all = one.state != "live" and one.one_call and not (one.recorded or held.logged.unpriced)
        if is_all or held.is_over:
            self._endings.end(Ending(reservation, "settle"))
        return warnings

    def period_at(self, reservation: str) -> datetime | None:
        """Return the instant that decides which day and month calls under a reservation belong to.

        ``None`` if no hold has this id any more.

        Raises:
            StorageUnavailable: the holds cannot be read.

        """
        held = self._holds.find(reservation)
        return held.reservation.period_at if held else None

    # --- for reports and commands

    def holds(self) -> list[HoldStatus]:
        """Return all reservations in their present state, oldest first, without changing anything.

        Raises:
            StorageUnavailable: they cannot be read.

        """
        self._endings.flush()
        return self._holds.holds()

    def release(
        self, ids: Collection[str] | None = None, *, also: Collection[HoldState] = ()
    ) -> list[HoldStatus]:
        """Stop counting orphans: all, or those with the given ids. Return what was released.

        For callers who know that the calls were not sent, or that their cost was logged elsewhere. Live
        and submitted reservations are kept unless ``also`` contains their state: a provider will
        bill what was submitted.

        Raises:
            StorageUnavailable: they cannot be read or written.

        """
        states = {"orphaned", *also}
        chosen = [
            held
            for held in self.holds()
            if (ids is None or held.reservation.id in ids) and held.reservation.state in states
        ]
        self._holds.release([held.reservation.id for held in chosen])
        return chosen

    def latest(self) -> datetime:
        """Return the latest instant at which anything was reserved; 1970 if nothing was.

        It is in the future if the clock was wrong: then all reservations count there, until the
        clock has caught up or :meth:`forget_future` is called.
        """
        return self._holds.latest()

    def forget_future(self) -> bool:
        """Let reservations count at the present again after the clock was wrong; tell whether it was.

        For callers who are certain that the clock is right now: a clock that is behind reopens closed
        months.

        Raises:
            StorageUnavailable: the state cannot be written.

        """
        now = self._clock()
        ahead = self._holds.latest() > now
        if ahead:
            self._holds.set_latest(now)
        return ahead

    def forget_strayed(self) -> int:
        """Forget the labels that calls were recorded with but not reserved for; return how many there were.

        For callers who have corrected their reservations: otherwise calls like those are still checked
        against limits that do not concern them any more. Running processes remember what they know.

        Raises:
            StorageUnavailable: the state cannot be written.

        """
        self._strays.clear()
        return self._holds.forget_strayed()

    def close(self) -> None:
        """Keep nothing open from now on, even if one of its holds is dropped and ends later."""
        self._endings.close()


def _with_allotment(stand: LimitStanding, need: Need, turn: Turn) -> LimitStanding:
    """Return the standing of a limit with this host's allotment, if other hosts share the limit."""
    limit = stand.spending.limit
    most = need.of(limit.measure)
    if not limit.blocking or not most:  # what needs nothing, or cannot be bounded, needs no part of it
        return stand
    allotment = turn.allotment(limit, stand.spending.spent, stand.held, most)
    return stand if allotment is None else replace(stand, allotment=allotment)


def _is_count(limit: Limit) -> bool:
    """Tell whether a limit is on calls or tokens, which free calls have too."""
    return limit.measure != "cost"


def _retry(action: Callable[[], T], patience_s: float) -> T:
    """Retry for a bounded time while others hold the turn, and a few times after other failures."""
    end = time.monotonic() + patience_s
    pauses = iter(_PAUSES_S)
    while True:
        try:
            return action()
        except StorageBusy:
            if time.monotonic() >= end:
                raise
        except (StorageUnavailable, OSError):
            pause = next(pauses, None)
            if pause is None:
                raise
            time.sleep(pause)


def _amount_to_hold(request: GateRequest, policy: Policy) -> tuple[Nanos | None, tuple[str, ...]]:
    """Return what to hold for a call, and warnings; ``None`` if its cost is unknown and has no substitute."""
    if request.estimate is not None:
        return request.estimate, ()
    held = policy.reserve_cap
    if held is None and request.unpriced and policy.allow_unpriced:
        held = ZERO
    if held is None:
        return None, ()
    return held, (f"{request.unknown}; {format_usd(held, 4)} is held for it",)


def _label_text(limit: Limit, labels: Labels) -> str:
    """Return the label that a call should have been reserved with: the limit's name, or the call's model."""
    scope = limit.scope
    return f"{scope.kind} {scope.name}" if scope.name else f"model {labels.service}/{labels.model}"


def _strayed_text(strayed: Sequence[Labels]) -> str:
    """Return the text about labels that similar calls were recorded with but not reserved for."""
    names = []
    for labels in strayed:
        of_work = labels._replace(tags=(), service=None, model=None)
        names += [f"{kind} {name}" for kind, name in of_work._asdict().items() if name]
        names += [f"tag {tag}" for tag in labels.tags]
        names += [f"model {labels.service}/{labels.model}"] if labels.model else []
        names += [f"service {labels.service}"] if labels.service and not labels.model else []
    return f" (others like it were recorded with {', '.join(dict.fromkeys(names))})" if names else ""


def _clock_warning(now: datetime, at: datetime) -> tuple[str, ...]:
    if at - now <= _CLOCK_TOLERANCE:
        return ()
    return (
        f"the clock stands at {now:%Y-%m-%d %H:%M} UTC, before the latest reservation at "
        f"{at:%Y-%m-%d %H:%M} UTC: the call counts there; see cost-dashboard doctor",
    )
