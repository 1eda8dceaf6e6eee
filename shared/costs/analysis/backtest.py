"""Tries a budget on past calls: when it would have warned, and which calls it would have denied.

One pass over the calls in time order. Each is judged as the gate would have judged it, at its final cost; a
denied call is not spent, so that it leaves the budget to later ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from ..budgets.deciding import LimitStanding, Need, Policy, tightest
from ..budgets.limits import FULL, Limit, LimitIndex, Scope, Spending
from ..budgets.scopes import CallScope, ModelName
from ..money import ZERO, Nanos, percent
from ..periods import Period
from ..profile.types import Profile
from ..rollup import JobRef, Measure
from .calls import NetCall


class TrialCall(NamedTuple):
    """What a budget needs to know about a call.

    ``cost`` is in nano-dollars, ``None`` where the model has no price. ``calls`` is 1; it is 0 or -1 for a
    correction whose call is not known, which counts and is never denied. ``job`` is ``None`` for calls
    without one.
    """

    at: datetime
    scope: CallScope
    cost: Nanos | None = ZERO
    tokens: int = 0
    calls: int = 1
    job: JobRef | None = None
    local: bool = False
    is_partial: bool = False

    def measured(self, measure: Measure) -> int:
        """Return its cost in nano-dollars, how many calls it is, or its tokens."""
        return (self.cost or 0) if measure == "cost" else self.calls if measure == "calls" else self.tokens


def trial_call(net: NetCall, job: JobRef | None, *, is_local: Callable[[str, str], bool]) -> TrialCall:
    """Return a call as a budget sees it; ``is_local`` says whether a service and model cost nothing.

    A call whose model has a price but whose usage is not known costs nothing here: the gate would have
    known what to hold for it.
    """
    entry = net.entry
    scope = CallScope(
        entry.user_id,
        ledger=job.ledger if job else None,
        stage=entry.stage,
        service=entry.service,
        model=entry.model,
        project=entry.project,
        tags=entry.tags,
        workflow=entry.workflow,
        operation=entry.operation,
        job_id=entry.job_id,
    )
    return TrialCall(
        entry.counted_at,
        scope,
        ZERO if net.cost is None and entry.unpriced_units else net.cost,
        entry.sign * entry.usage.tokens_total,
        entry.sign,
        job,
        is_local(entry.service, entry.model),
        net.is_partial,
    )


@dataclass(slots=True)
class PeriodTrial:
    """A period in which a limit would have warned or denied.

    ``name`` is the period's, or the path of the job's ledger, which has no ``period``. ``reached`` has the
    first instant of each threshold, in percent. ``denied`` is in the limit's measure, ``denied_cost`` in
    nano-dollars; ``denied_unpriced`` of the denied calls have no price.
    """

    name: str
    period: Period | None
    job: JobRef | None = None
    reached: dict[float, datetime] = field(default_factory=dict)
    denied_from: datetime | None = None
    denied_calls: int = 0
    denied_unpriced: int = 0
    denied: int = 0
    denied_cost: Nanos = ZERO

    @property
    def first(self) -> datetime:
        """The instant of its first warning or denial."""
        instants = [*self.reached.values(), *filter(None, [self.denied_from])]
        return min(instants)

    def deny(self, call: TrialCall, measure: Measure) -> None:
        """Count a call that this limit denies."""
        self.denied_from = self.denied_from or call.at
        self.denied_calls += 1
        self.denied_unpriced += call.cost is None
        self.denied += call.measured(measure)
        self.denied_cost = Nanos(self.denied_cost + (call.cost or 0))


@dataclass(slots=True)
class LimitTrial:
    """One limit over the whole trial; the limit on jobs is one for all jobs.

    ``peak`` is the most that was spent within it at once, denied calls left out. ``periods`` are those in
    which it warned or denied, in the order of their first instants. A denied call counts for the tightest
    of the limits that deny it, and for no other.
    """

    scope: Scope
    amount: int
    blocking: bool
    peak: int = 0
    periods: list[PeriodTrial] = field(default_factory=list)

    @property
    def peak_percent(self) -> float:
        """The peak in percent of the limit."""
        return percent(self.peak, self.amount)

    @property
    def warned(self) -> Sequence[PeriodTrial]:
        """The periods in which a threshold was reached."""
        return [period for period in self.periods if period.reached]

    @property
    def denying(self) -> Sequence[PeriodTrial]:
        """The periods in which it denied calls."""
        return [period for period in self.periods if period.denied_calls]

    @property
    def denied_calls(self) -> int:
        """How many calls it denied."""
        return sum(period.denied_calls for period in self.periods)

    @property
    def denied_unpriced(self) -> int:
        """How many calls it denied because nothing bounds their cost."""
        return sum(period.denied_unpriced for period in self.periods)

    @property
    def denied(self) -> int:
        """How much it denied, in its measure."""
        return sum(period.denied for period in self.periods)

    @property
    def denied_cost(self) -> Nanos:
        """What the calls that it denied cost, in nano-dollars."""
        return Nanos(sum(period.denied_cost for period in self.periods))


@dataclass(slots=True)
class UserTrial:
    """The tried calls of one user, and those of them that were denied. Costs in nano-dollars."""

    calls: int = 0
    unpriced: int = 0
    partial: int = 0
    cost: Nanos = ZERO
    denied_calls: int = 0
    denied_unpriced: int = 0
    denied_cost: Nanos = ZERO


class BackTest(NamedTuple):
    """What a budget would have done. ``limits`` are those that calls counted against, the tightest first.

    The tightest is the one that denied most, then the one with the highest peak in percent.
    """

    limits: tuple[LimitTrial, ...]
    users: dict[str, UserTrial]

    @property
    def tightest(self) -> LimitTrial | None:
        """The tightest limit; ``None`` where none warned or denied."""
        first = self.limits[0] if self.limits else None
        return first if first is not None and first.periods else None


def back_test(calls: Iterable[TrialCall], profile: Profile, names: ModelName, start: datetime) -> BackTest:
    """Return what the limits of a profile would have done to calls, given in the order of their time.

    Calls before ``start`` are already spent: none of them is denied. ``names`` returns the catalogue's name
    of a service and model.
    """
    trial = _TrialState(profile, names)
    for call in calls:
        is_tried = call.at >= start
        if call.cost or not call.local:
            trial.add(call, is_tried=is_tried)
        elif is_tried:  # local calls that cost nothing touch no budget
            trial.count_user(call, is_denied=False)
    return BackTest(tuple(sorted(trial.limits.values(), key=_tightness)), dict(sorted(trial.users.items())))


def _tightness(limit: LimitTrial) -> tuple[int, int, float, str]:
    return -limit.denied_cost, -limit.denied_calls, -limit.peak_percent, limit.scope.key


class _RunningSpend:
    """The spend within a limit so far; for a rolling window, only what is still in it."""

    __slots__ = ("_parts", "spent")

    def __init__(self) -> None:
        self.spent = 0
        self._parts: deque[tuple[datetime, int]] = deque()

    def drop_before(self, start: datetime) -> None:
        """Drop what was spent before the window's ``start``."""
        while self._parts and self._parts[0][0] < start:
            self.spent -= self._parts.popleft()[1]

    def add(self, at: datetime, amount: int, *, is_rolling: bool) -> None:
        """Add an amount; in a rolling window it can be dropped again."""
        self.spent += amount
        if is_rolling:
            self._parts.append((at, amount))


class _TrialLimit(NamedTuple):
    """A limit with the spend that it is judged by."""

    spending: Spending
    tally: _RunningSpend


class _TrialState:
    """The state between one call and the next."""

    def __init__(self, profile: Profile, names: ModelName) -> None:
        self.limits: dict[Scope, LimitTrial] = {}
        self.users: dict[str, UserTrial] = {}
        self._profile = profile
        self._index = LimitIndex(profile, names)
        self._tallies: dict[tuple[object, ...], _RunningSpend] = {}
        self._periods: dict[tuple[Scope, str], PeriodTrial] = {}

    def add(self, call: TrialCall, *, is_tried: bool) -> None:
        """Deny a call, or count it."""
        limits = [self._trial_limit(limit) for limit in self._index.of_call(call.scope, call.at, call.job)]
        decider = self._decider(call, [limit.spending for limit in limits]) if is_tried else None
        if is_tried:
            self.count_user(call, is_denied=decider is not None)
        if decider is not None:
            self._period(decider, call).deny(call, decider.measure)
            return
        self._count_job(call)
        for (limit, _), tally in limits:
            if limit.period is not None:
                tally.add(call.at, call.measured(limit.measure), is_rolling=_is_rolling(limit))
            if is_tried:
                self._record_thresholds(Spending(limit, tally.spent), call)

    def _trial_limit(self, limit: Limit) -> _TrialLimit:
        tally = self._tallies.setdefault(_tally_key(limit), _RunningSpend())
        if _is_rolling(limit) and limit.period is not None:
            tally.drop_before(limit.period.start)
        return _TrialLimit(Spending(limit, tally.spent), tally)

    def _count_job(self, call: TrialCall) -> None:
        """Count a call for its job and stage, whose limits bound what all users spend in them."""
        if call.job is not None:
            for key in ((call.job.ledger, "job"), (call.job.ledger, "stage", call.scope.stage)):
                self._tallies.setdefault(key, _RunningSpend()).add(call.at, call.cost or 0, is_rolling=False)

    def _decider(self, call: TrialCall, spendings: Sequence[Spending]) -> Limit | None:
        """Return the tightest of the blocking limits that do not allow a call; ``None`` where all do."""
        blocking = [LimitStanding(spending) for spending in spendings if spending.limit.blocking]
        if call.calls < 1 or call.local or not blocking:
            return None
        need = Need(self._amount_to_hold(call, spendings), call.calls, call.tokens)
        standing = tightest(standing for standing in blocking if not standing.allows(need))
        return None if standing is None else standing.spending.limit

    def _amount_to_hold(self, call: TrialCall, spendings: Sequence[Spending]) -> Nanos | None:
        """Return what the gate holds for a call; for a model without a price, what the profile says."""
        if call.cost is not None:
            return call.cost
        limits = [spending.limit for spending in spendings]
        policy = Policy.of(self._profile, call.scope.user_id or "", limits)
        return ZERO if policy.reserve_cap is None and policy.allow_unpriced else policy.reserve_cap

    def _record_thresholds(self, spending: Spending, call: TrialCall) -> None:
        """Record the peak, and the thresholds that are reached for the first time in their period."""
        limit = spending.limit
        trial = self._limit(limit)
        trial.peak = max(trial.peak, spending.spent)
        highest = spending.threshold
        if highest is not None:
            reached = self._period(limit, call).reached
            for threshold in sorted({*limit.thresholds, FULL}):
                if threshold <= highest:
                    reached.setdefault(threshold, call.at)

    def _limit(self, limit: Limit) -> LimitTrial:
        scope = limit.scope._replace(name=None) if limit.scope.kind == "job" else limit.scope
        return self.limits.setdefault(scope, LimitTrial(scope, limit.amount, limit.blocking))

    def _period(self, limit: Limit, call: TrialCall) -> PeriodTrial:
        key = (limit.scope, limit.span)
        if key not in self._periods:
            job = call.job if limit.period is None else None
            period = self._periods[key] = PeriodTrial(limit.span, limit.period, job)
            self._limit(limit).periods.append(period)
        return self._periods[key]

    def count_user(self, call: TrialCall, *, is_denied: bool) -> None:
        """Count a call for its user."""
        user = self.users.setdefault(call.scope.user_id or "", UserTrial())
        cost = call.cost or 0
        user.calls += call.calls
        user.unpriced += call.cost is None
        user.partial += call.is_partial
        user.cost = Nanos(user.cost + cost)
        if is_denied:
            user.denied_calls += 1
            user.denied_unpriced += call.cost is None
            user.denied_cost = Nanos(user.denied_cost + cost)


def _is_rolling(limit: Limit) -> bool:
    return limit.period is not None and limit.period.kind == "rolling"


def _tally_key(limit: Limit) -> tuple[object, ...]:
    """Return the key of the spend that a limit bounds: the same for all limits on the same sum."""
    if limit.period is None:
        return (
            limit.query.ledger,
            *(("stage", limit.scope.name) if limit.scope.kind == "stage" else ("job",)),
        )
    return (limit.scope, None if _is_rolling(limit) else limit.period.start)
