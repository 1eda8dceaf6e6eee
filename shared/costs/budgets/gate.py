"""The gate: reserves money before a call is sent, so that parallel jobs cannot overrun a limit.

A check that is followed by a spend overshoots when several processes check at once. So a call
first *reserves* its highest possible cost, in one transaction for the whole cost storage: the
ledgers are caught up, and the call is denied when, for any blocking limit that it counts against,
``spent + held + estimate`` would be above the limit. Its ledger entry carries the reservation's id.
When its block has ended and entries are in the ledger the reservation is *settled*.

What is logged under a reservation counts as spent, and only the rest of the estimate as held. So
nothing counts twice between entry and settle, and after a crash between the two what is left counts
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
"""How long one try at the gate waits for other processes. Threads of this process wait meanwhile."""

GATE_WAIT_S: Final = 10.0
"""How long a caller with a blocking limit waits at most for others at the gate."""

EXPIRY: Final = timedelta(hours=1)
"""After this long a hold that was not settled counts as an orphan."""

ROOM_EXPIRY: Final = timedelta(days=30)
"""Likewise for room that is kept for a job, which may run for long: its process ends it."""

_PAUSES_S: Final = (0.01, 0.1)
_MOST_LOOKS: Final = 5
"""How often a refusal is looked at again while others spend."""
_CLOCK_TOLERANCE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRequest:
    """What a caller is about to spend.

    ``estimate`` is the most that it can cost: the known input plus the maximum output at the
    highest applicable price. ``None`` means that no such bound is known, and ``unknown`` says why in
    words (no price, no maximum output). ``free`` calls cost nothing whatever they use; those that are
    ``local`` are never held, the others only where a limit on calls or tokens is on them. ``calls`` and
    ``tokens`` are how many they can be and take; ``None`` where that is not known.
    ``one_call`` is false for a block of calls that share one reservation; one for calls of whatever
    model has ``scopes.ANY`` as service and model, and counts against every limit on models.
    ``expires_after`` is an expiry of its own: its calls may wait so long for their provider.
    ``admits`` keeps room for calls that hold for themselves ``within`` it, with its ``parts`` by stage.
    ``override`` says by what a refusal is overridden. ``cost_as`` gives the most that it can cost where it
    is made by another service and model. The gate looks neither at the call's ``usage``, without its output,
    nor at ``input_digest``, which names what is sent.
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
        """By what limits cover it, whenever it is made."""
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
    """The gate of everybody who shares one budget. Safe to use from threads and after a fork.

    Args:
        holds: where holds are kept, and how they are decided on in turn.
        clock: gives the present, in UTC.
        names: gives the catalogue's name of a service and model, for limits on models.

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
            profile: the limits; the defaults where ``fault`` is set.
            fault: why the user's profile cannot be read, if it cannot.

        Raises:
            BudgetExceeded: a blocking limit has no room, or the call's cost has no known bound.
            BudgetGateUnavailable: a blocking limit may hold and cannot be checked.

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
            return self._reserved(request, profile, GATE_WAIT_S if policy.blocking else 0.0)
        except (StorageUnavailable, OSError) as failure:
            return self._without_gate(request, policy, failure)

    def _reserved(self, request: GateRequest, profile: Profile, patience_s: float) -> Hold:
        """Decide and hold in one turn. What is held is the hold's from before it is kept anywhere."""
        made: list[Hold] = []

        def decide(turn: Turn) -> Decision:
            terms = self._terms(turn, request, profile)
            if isinstance(terms, BudgetExceeded):
                return terms
            made[:] = [hold := Hold(self._endings, terms)]
            hold.scope, hold.job = request.scope, request.job
            return self._reservation(request, terms, turn)

        self._endings.flush()
        try:
            decision = _tried(lambda: self._holds.reserve(decide, TURN_S), patience_s)
        except BaseException:
            for hold in made:  # certain that nothing was sent: the caller never had the hold
                hold.void_soon()
            raise
        if isinstance(decision, BudgetExceeded):
            raise decision
        return made[0]

    def _terms(self, turn: Turn, request: GateRequest, profile: Profile) -> Terms | BudgetExceeded:
        now = self._clock()
        at = max(now, turn.latest)  # a clock that was set back does not reopen a closed month
        self._learn(turn.strayed())
        request = self._as_recorded(request)
        limits = self._limits(request, profile, at)
        since = min((limit.period.start for limit in limits if limit.period), default=at)
        ledger = request.job.ledger if request.job else None
        try:
            estimate, warnings = self._decided(
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

    def _decided(
        self,
        request: GateRequest,
        profile: Profile,
        limits: Sequence[Limit],
        holds: Callable[[], Sequence[HoldStatus]],
        turn: Turn,
    ) -> tuple[Nanos, tuple[str, ...]]:
        """Return what to hold, and what to warn of; raise when it is denied."""
        policy = Policy.of(profile, request.user_id, limits)
        estimate, warnings = _to_hold(request, policy)
        if not policy.blocking:
            holds()  # which writes down what has become of them
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
        """Return why what is needed is denied, if it is.

        Holds are read before spends: an entry that comes in between counts twice, never not at all. So
        what denies is looked at again until nothing was spent between two looks.
        """
        what = request.described + _others(self._strays.of(request.scope))
        before: list[Spending] = []
        for _ in range(_MOST_LOOKS):
            # What is kept for a job is there for its own calls.
            others = [held for held in holds() if held.reservation.id != request.within]
            spendings = read_spendings(limits, turn, self._names)
            stands = standings(spendings, others, self._names)
            need_of = partial(self._need_within, request, need)
            denied = refusal(
                [_allotted(each, need_of(each.spending.limit), turn) for each in stands], need_of, what
            )
            if denied is None or spendings == before:
                break
            before = spendings
        return denied

    def _need_within(self, request: GateRequest, need: Need, limit: Limit) -> Need:
        """Return what a request needs of a limit: room for a job maybe for some of its stages alone."""
        if not request.parts or limit.covers(request.scope, self._names):
            return need
        return need._replace(cost=Nanos(part_within(request.parts, request.scope, limit, self._names)))

    def _limits(self, request: GateRequest, profile: Profile, at: datetime) -> list[Limit]:
        index, own = self._limit_index(profile), request.scope
        scopes = [own, *(labels.on(own) for labels in self._strays.of(own))]
        scopes += [own._replace(stage=stage) for stage, _ in request.parts]
        return list(dict.fromkeys(each for scope in scopes for each in index.of_call(scope, at, request.job)))

    def _limit_index(self, profile: Profile) -> LimitIndex:
        index = self._index
        if index is None or index.profile is not profile:
            index = self._index = LimitIndex(profile, self._names)
        return index

    def _as_recorded(self, request: GateRequest) -> GateRequest:
        """Return a request for the most that it can cost on any model that others were recorded with."""
        if request.estimate is None or request.cost_as is None:
            return request
        known = [
            request.cost_as(each.service, each.model)
            for each in self._strays.of(request.scope)
            if each.service and each.model
        ]
        return replace(
            request, estimate=max([request.estimate, *(each for each in known if each is not None)])
        )

    def strayed(
        self, hold: Hold | Reservation, labels: Labels, profile: Profile, *, overran: bool = False
    ) -> str | None:
        """Have limits hold that a call under ``hold`` counts against and that were not asked for it.

        The call is made and recorded. What is left of the hold counts against limits on its labels from
        now on, and where one of them blocks, the next reservations for the same, of whatever process of this
        host, are checked against it too. A model that made the call cost more than was held (``overran``) is
        remembered as well: the next ones hold what it costs.

        Returns a warning where there are such limits.
        """
        index, own = self._limit_index(profile), hold.scope._replace(at=None)
        at = hold.period_at or self._clock()
        scopes = (own, *(known.on(own) for known in self._strays.of(own)))
        asked = {limit for scope in scopes for limit in index.of_call(scope, at, hold.job)}
        new = [limit for limit in index.of_call(labels.on(own), at, hold.job) if limit not in asked]
        learnt = [held_by(limit, labels) for limit in new if limit.blocking]
        if overran and labels.model:
            learnt.append(Labels(service=labels.service, model=labels.model))
        self._remember(of_any_job(own), dict.fromkeys(learnt))
        if not new:
            return None
        with suppress(StorageUnavailable, OSError):  # what is left of it is held, if against fewer limits
            self._holds.widen(str(hold.id), [labels], TURN_S)
        names = ", ".join(_named(limit, labels) for limit in new)
        again = f"; the next ones like it are checked against it for {STRAYED_FOR.days} days"
        return (
            f"{names}: was not named to reserve, so its limit did not hold back a call under reservation "
            f"{hold.id}{again if any(limit.blocking for limit in new) else ''}; name it there too"
        )

    def _remember(self, scope: CallScope, learnt: Iterable[Labels]) -> None:
        """Note them for this process and, once, for all others."""
        for labels in learnt:
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
        """Go on without a reservation where the budgets allow it."""
        if policy.blocking and not policy.allow_on_gate_error and request.override is None:
            raise BudgetGateUnavailable(
                f"the budget could not be checked, so the call was refused: {failure}; try again, set "
                f"on_gate_error: allow in the profile, or {OVERRIDE_VARIABLE}=1 to go on without a check"
            ) from failure
        warning = f"the call goes on without a reservation: {failure}"
        log.warning("%s", warning)
        return Hold(self._endings, Terms(id=None, override=request.override, warnings=(warning,)))

    def lower(self, reservation: str, amount: Nanos) -> None:
        """Let a hold count at no more than ``amount``; where that cannot be written it counts as before."""
        try:
            self._holds.lower(reservation, amount, TURN_S)
        except (StorageUnavailable, OSError) as failure:
            log.info("reservation %s keeps more than it needs: %s", reservation, failure)

    def reported(self, reservation: str, own: Labels, profile: Profile) -> list[str]:
        """Note that an entry under a reservation is in a known ledger, where its hold is not at hand.

        What was submitted or left behind by its process ends with that, unless it stands for all calls
        of a block. A hold that is still at work elsewhere goes on. ``own`` are the labels of the entry: see
        :meth:`strayed`.

        Returns what is to be told of it: calls that cost more than was held, limits that were not asked.

        Raises:
            StorageUnavailable: the holds cannot be read.

        """
        held = self._holds.find(reservation)
        if held is None:
            return []
        one, told = held.reservation, list[str]()
        if held.excess:
            told.append(overrun(reservation, held.logged.cost, one.estimate))
        labels = own.beyond(one.scope)
        if labels is not None and labels not in one.strayed:
            told += filter(None, [self.strayed(one, labels, profile, overran=bool(told))])
        is_all = one.state != "live" and one.one_call and not (one.recorded or held.logged.unpriced)
        if is_all or held.is_over:
            self._endings.end(Ending(reservation, "settle"))
        return told

    def period_at(self, reservation: str) -> datetime | None:
        """Return the instant that decides to which day and month calls under a reservation belong.

        ``None`` where no hold has this id any more.

        Raises:
            StorageUnavailable: the holds cannot be read.

        """
        held = self._holds.find(reservation)
        return held.reservation.period_at if held else None

    # --- what views and commands ask for

    def holds(self) -> list[HoldStatus]:
        """Return all reservations as they stand now, oldest first, without changing anything.

        Raises:
            StorageUnavailable: they cannot be read.

        """
        self._endings.flush()
        return self._holds.holds()

    def release(
        self, ids: Collection[str] | None = None, *, also: Collection[HoldState] = ()
    ) -> list[HoldStatus]:
        """Stop counting orphans: all, or those named. Return what was released.

        For whoever knows that the calls were not sent, or that their cost was logged otherwise. Live
        and submitted reservations are left alone unless ``also`` names their state: a provider will
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
        """Return the latest instant at which anything was reserved; 1970 when nothing was.

        Lies in the future after the clock was wrong: then all reservations count there, until the
        clock has caught up or :meth:`forget_future` is called.
        """
        return self._holds.latest()

    def forget_future(self) -> bool:
        """Let reservations count at the present again after the clock was wrong; tell if they did not.

        For whoever is certain that the clock is right now: a clock that is behind reopens months
        that are closed.

        Raises:
            StorageUnavailable: the state cannot be written.

        """
        now = self._clock()
        ahead = self._holds.latest() > now
        if ahead:
            self._holds.set_latest(now)
        return ahead

    def forget_strayed(self) -> int:
        """Forget which other labels calls were recorded with than were named for them; return how many.

        For whoever has mended what reserves: else calls like those go on to be checked against limits that
        they have nothing to do with any more. Processes that run remember what they know.

        Raises:
            StorageUnavailable: the state cannot be written.

        """
        self._strays.clear()
        return self._holds.forget_strayed()

    def close(self) -> None:
        """Leave nothing open from now on, also where a hold of it is dropped and ends later."""
        self._endings.close()


def _allotted(stand: LimitStanding, need: Need, turn: Turn) -> LimitStanding:
    """Return how a limit stands here, where other hosts may have a part of it."""
    limit = stand.spending.limit
    most = need.of(limit.measure)
    if not limit.blocking or not most:  # what needs nothing, or cannot be bounded, needs no part of it
        return stand
    allotment = turn.allotment(limit, stand.spending.spent, stand.held, most)
    return stand if allotment is None else replace(stand, allotment=allotment)


def _is_count(limit: Limit) -> bool:
    """Tell whether a limit is on what free calls have too."""
    return limit.measure != "cost"


def _tried(action: Callable[[], T], patience_s: float) -> T:
    """Try for a bounded time while others are in the way, and a few times after other failures."""
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


def _to_hold(request: GateRequest, policy: Policy) -> tuple[Nanos | None, tuple[str, ...]]:
    """Return what to hold for a call, ``None`` when nothing may stand for its unknown cost."""
    if request.estimate is not None:
        return request.estimate, ()
    held = policy.reserve_cap
    if held is None and request.unpriced and policy.allow_unpriced:
        held = ZERO
    if held is None:
        return None, ()
    return held, (f"{request.unknown}; {format_usd(held, 4)} is held for it",)


def _named(limit: Limit, labels: Labels) -> str:
    """Name what a call should have been reserved for: what a limit is on, or the model that it counts for."""
    scope = limit.scope
    return f"{scope.kind} {scope.name}" if scope.name else f"model {labels.service}/{labels.model}"


def _others(strayed: Sequence[Labels]) -> str:
    """Say with what calls like the one that is refused were recorded, where that was not named for them."""
    names = []
    for each in strayed:
        of_work = each._replace(tags=(), service=None, model=None)
        names += [f"{kind} {name}" for kind, name in of_work._asdict().items() if name]
        names += [f"tag {tag}" for tag in each.tags]
        names += [f"model {each.service}/{each.model}"] if each.model else []
        names += [f"service {each.service}"] if each.service and not each.model else []
    return f" (others like it were recorded with {', '.join(dict.fromkeys(names))})" if names else ""


def _clock_warning(now: datetime, at: datetime) -> tuple[str, ...]:
    if at - now <= _CLOCK_TOLERANCE:
        return ()
    return (
        f"the clock stands at {now:%Y-%m-%d %H:%M} UTC, before the latest reservation at "
        f"{at:%Y-%m-%d %H:%M} UTC: the call counts there; see cost-dashboard doctor",
    )
