"""Which limits hold and how they stand. Pure; no I/O, no clock.

A limit carries the query of the spend it bounds, so that whoever reads sums (the tracker, the
gate, a view) asks in the same way: see :mod:`.spending`.

>>> from datetime import UTC, datetime
>>> from shared.costs.profile.types import Profile
>>> [limit] = limits_for(Profile(), "rpatel", datetime(2026, 11, 22, tzinfo=UTC))
>>> str(limit.scope), limit.period.name
('monthly limit of user rpatel', '2026-11')
>>> crossing(Spending(limit, Nanos(40_250_000_000))).threshold
80.0
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from .. import periods
from ..money import Nanos
from ..periods import Period
from ..profile.plans import FlatRate, flat_rates
from ..profile.tag_rules import TagRule, dimensions_of, rules_for
from ..profile.types import Budget, Guard, Profile, RollingLimit
from ..rollup import Dimension, JobRef, Measure, Query
from .scopes import KINDS, SCOPES, CallScope, LimitKind, ModelName, covers

Level = Literal["ok", "warning", "critical"]

FULL: Final = 100.0
"""The threshold, in percent, at which a limit is reached."""

_NARROWEST_FIRST: Final = tuple(SCOPES)
_WHOLE: Final = 100_000_000
"""100 percent in millionths: whole numbers, because a float cannot tell two large amounts apart."""


def _millionths(threshold: float) -> int:
    return round(threshold * 1_000_000)


class Scope(NamedTuple):
    """Whose limit it is and on what. ``owner`` is a user id, or ``None`` for the organisation.

    ``kind`` is a key of :data:`.scopes.SCOPES`; ``name`` is the job, stage, model, tag or project, where
    the limit is on one, or the length of a window.

    >>> str(Scope("2", "stage", "13_ai_summarization")), str(Scope(None, "day"))
    ('limit of user 2 for stage 13_ai_summarization', 'daily limit of the organization')
    >>> str(Scope("2", "day_calls")), str(Scope("2", "rolling", "5h"))
    ('daily call limit of user 2', 'rolling 5h limit of user 2')
    """

    owner: str | None
    kind: str
    name: str | None = None

    def __str__(self) -> str:
        owner = "the organization" if self.owner is None else f"user {self.owner}"
        if self._called:
            return f"{self._called} limit of {owner}"
        return f"limit of {owner} for {self.kind} {self.name}"

    @property
    def _called(self) -> str:
        """What it is called as an adjective; empty where it is on something with a name."""
        called = SCOPES[self.kind].called
        return " ".join(filter(None, (called, self.name))) if called else ""

    @property
    def measure(self) -> Measure:
        """What it bounds: cost, calls or tokens."""
        return SCOPES[self.kind].measure

    @property
    def label(self) -> str:
        """Its short name in tables: ``month``, ``stage asr``, ``daily calls``, ``organization month``."""
        counts = self.measure != "cost"
        words = f"{self._called}s" if counts else " ".join(filter(None, (self.kind, self.name)))
        return f"organization {words}" if self.owner is None else words

    @property
    def key(self) -> str:
        """A stable name for storage, different for every scope whatever characters its names hold."""
        return json.dumps([self.owner, self.kind, self.name])

    @property
    def title(self) -> str:
        """How alerts name it: ``Budget`` is the user's month, every other scope says more."""
        if not self._called:
            words = f"{self.kind.capitalize()} budget of {self.name}"
        elif self.kind == "month":
            words = "Budget"
        else:
            words = f"{self._called.capitalize()} budget"
        return f"Organization {words[0].lower()}{words[1:]}" if self.owner is None else words


class Limit(NamedTuple):
    """An amount that a spend should stay within: nano-dollars, or a number of calls or tokens.

    ``query`` selects that spend as far as a query can; where sums must be split to tell (``by``), those
    groups count that the limit :meth:`covers`. ``period`` is ``None`` for jobs and stages, whose whole
    life counts. ``flat`` are the flat rates whose calls are no part of it. ``rules`` may give calls the tag
    that it is on.
    """

    scope: Scope
    amount: int
    period: Period | None
    query: Query
    thresholds: tuple[float, ...] = (80.0,)
    blocking: bool = False
    flat: tuple[FlatRate, ...] = ()
    rules: tuple[TagRule, ...] = ()

    def covers(self, call: CallScope, names: ModelName) -> bool:
        """Return whether what a call costs is part of the spend that this limit bounds."""
        query = self.query
        return (
            query.user_id in (None, call.user_id)
            and (query.ledger is None or query.ledger == call.ledger)
            and (self.period is None or call.at is None or call.at in self.period)
            and covers(self.scope.kind, self.scope.name, call.ruled(self.rules), names)
            and not (call.at is not None and self.leaves(call, call.at, names))
        )

    def leaves(self, call: CallScope, at: datetime, names: ModelName) -> bool:
        """Return whether a flat rate covers a call made at an instant, so that it costs nothing here."""
        return any(
            rate.holds_at(at) and rate.covers(call.user_id, call.service, call.model, names)
            for rate in self.flat
        )

    @property
    def measure(self) -> Measure:
        """What it bounds: cost, calls or tokens."""
        return self.query.measure

    @property
    def by(self) -> tuple[Dimension, ...]:
        """The dimensions by which sums must be split to tell what counts; empty where the query tells."""
        return ("tags", *dimensions_of(self.rules)) if self.rules else SCOPES[self.scope.kind].by

    @property
    def first_crossing(self) -> int:
        """The least spend at which its first threshold is reached."""
        millionths = _millionths(min(*self.thresholds, FULL))
        return max(1, -(-self.amount * millionths // _WHOLE))

    @property
    def is_whole(self) -> bool:
        """Whether it bounds all dollars that its owner spends in a period."""
        return self.period is not None and self.scope.name is None and self.measure == "cost"

    @property
    def is_month(self) -> bool:
        """Whether it bounds all dollars that its owner spends in a month."""
        return self.is_whole and self.period is not None and self.period.kind == "month"

    @property
    def span(self) -> str:
        """The name of the stretch it holds for: a period's name, or the ledger of its job.

        A window moves with every second: what is told of it is told once in as long as it is.
        """
        if self.period is None:
            return str(self.query.ledger)
        if self.period.kind != "rolling":
            return self.period.name
        start, second = int(self.period.start.timestamp()), int(self.period.end.timestamp()) - 1
        return f"{self.period.name} {second // (second - start)}"


class Spending(NamedTuple):
    """A limit and what was spent within it, in nano-dollars, calls or tokens."""

    limit: Limit
    spent: int

    @property
    def label(self) -> str:
        """The limit's short name: ``month``, ``day``, ``stage asr``, ``organization month``."""
        return self.limit.scope.label

    @property
    def remaining(self) -> int:
        """What may still be spent; negative when the limit is overrun."""
        return self.limit.amount - self.spent

    @property
    def threshold(self) -> float | None:
        """The highest threshold that is crossed, in percent; ``None`` below the first one."""
        thresholds = (*self.limit.thresholds, FULL)
        if not self._reaches(min(thresholds)):
            return None
        return max(filter(self._reaches, thresholds))

    @property
    def level(self) -> Level:
        """``critical`` at the limit, ``warning`` from the first threshold on."""
        threshold = self.threshold
        if threshold is None:
            return "ok"
        return "critical" if threshold >= FULL else "warning"

    def _reaches(self, threshold: float) -> bool:
        # A limit of $0 is reached by the first cent, not by nothing.
        return self.spent > 0 and self.spent * _WHOLE >= self.limit.amount * _millionths(threshold)


class Crossing(NamedTuple):
    """A limit whose threshold (in percent) was reached by what was spent.

    With ``projected``, the period is on course to end at that amount, above the limit, which is not
    reached yet.
    """

    limit: Limit
    spent: int
    threshold: float
    projected: int | None = None

    @property
    def critical(self) -> bool:
        """Whether the limit itself is reached."""
        return self.projected is None and self.threshold >= FULL

    @property
    def span(self) -> str:
        """The stretch it is told once in; what is foreseen and what has come are two pieces of news."""
        return self.limit.span if self.projected is None else f"{self.limit.span} foreseen"


def crossing(spending: Spending) -> Crossing | None:
    """Return the highest threshold that is crossed, or ``None``."""
    threshold = spending.threshold
    return None if threshold is None else Crossing(spending.limit, spending.spent, threshold)


def crossings(spendings: Iterable[Spending]) -> list[Crossing]:
    """Return what is crossed, tightest limit first."""
    crossed = [s for s in spendings if s.threshold is not None]
    found = (crossing(s) for s in tightest_first(crossed))
    return [c for c in found if c is not None]


def tightest_first(spendings: Iterable[Spending]) -> list[Spending]:
    """Return the limits by the room they leave, least first; of equal ones the narrowest first."""
    return sorted(spendings, key=tightness)


def tightness(spending: Spending, room: int | None = None) -> tuple[bool, bool, int, int, bool]:
    """Order limits by room left, then from stage to month, then the user's before the organisation's.

    Dollars come before counts, which cannot be compared with them, except that what is used up comes
    first of all. ``room`` is what is left where not all that remains is.
    """
    scope = spending.limit.scope
    left = spending.remaining if room is None else room
    counts = scope.measure != "cost"
    return left > 0, counts, left, _NARROWEST_FIRST.index(scope.kind), scope.owner is None


def foresee(spending: Spending, projected: int) -> Crossing | None:
    """Return the alert of a limit that is not reached yet but will be, or ``None`` where it holds."""
    if spending.remaining <= 0 or projected <= spending.limit.amount:
        return None
    return Crossing(spending.limit, spending.spent, FULL, projected)


def limits_for(profile: Profile, user_id: str, at: datetime, job: JobRef | None = None) -> list[Limit]:
    """Return every limit that holds for a user at an instant, the organisation's included.

    Periods are in the user's time zone, the organisation's in the profile's. Limits on jobs and
    stages are there when ``job`` is given; a call without a job counts against none.
    """
    return [limit for owner in _owners(profile, user_id) for limit in owner.limits(at, job)]


class LimitIndex:
    """The limits of one profile, looked up by what a call is: its time does not grow with their number."""

    def __init__(self, profile: Profile, names: ModelName) -> None:
        self.profile = profile
        self._names = names
        self._known: dict[tuple[str | None, str], dict[str, list[str]]] = {}

    def of_call(self, call: CallScope, at: datetime, job: JobRef | None = None) -> list[Limit]:
        """Return every limit that a call made at an instant counts against, as :func:`limits_for` does."""
        call = call.ruled(self.profile.tag_rules)
        return [
            limit
            for owner in _owners(self.profile, call.user_id or "")
            for limit in owner.limits(at, job, partial(self._on, owner, call))
            if limit.covers(call, self._names) and not limit.leaves(call, at, self._names)
        ]

    def _on(
        self, owner: _Owner, call: CallScope, kind: LimitKind, stated: Mapping[str, Nanos]
    ) -> Iterable[str]:
        """Return the names under which a profile may have limits on a call."""
        by = None if kind.names is None else kind.names(call, self._names)
        if by is None:
            return stated
        own = [name for name in by if name in stated]
        if kind.known_as is None:
            return own
        known = self._known_names(owner, kind, stated)
        return dict.fromkeys([*own, *(name for each in by for name in known.get(each, ()))])

    def _known_names(
        self, owner: _Owner, kind: LimitKind, stated: Mapping[str, Nanos]
    ) -> dict[str, list[str]]:
        """Return the names in a profile by the catalogue's names for them."""
        place = (owner.user_id, kind.name)
        if place not in self._known:
            found = self._known[place] = {}
            for name in stated:
                found.setdefault(kind.known_as(name, self._names) if kind.known_as else name, []).append(name)
        return self._known[place]


def _owners(profile: Profile, user_id: str) -> tuple[_Owner, _Owner]:
    user = profile.for_user(user_id)
    rates = flat_rates(profile.plans, profile.timezone) if profile.plans else ()
    own = tuple(rate for rate in rates if rate.plan.is_for(user.user_id))
    return (
        _Owner(user.user_id, user.budget, user.timezone, profile.billing_day, own, rates, profile.tag_rules),
        _Owner(
            None,
            profile.organization,
            profile.timezone,
            profile.billing_day,
            rates,
            rates,
            profile.tag_rules,
        ),
    )


Choose = Callable[[LimitKind, Mapping[str, Nanos]], Iterable[str]]
"""Chooses, of limits on something with a name, the names that matter."""


def _all(_: LimitKind, stated: Mapping[str, Nanos]) -> Iterable[str]:
    return stated


class _Owner(NamedTuple):
    """Whose budget it is, the time zone and first day of its periods, and the flat rates that spare it.

    Those of everybody (``of_all``) spare its limits on jobs, which whoever works on a job shares. ``rules``
    give calls tags.
    """

    user_id: str | None
    budget: Budget
    zone: ZoneInfo
    billing_day: int
    flat: tuple[FlatRate, ...] = ()
    of_all: tuple[FlatRate, ...] = ()
    rules: tuple[TagRule, ...] = ()

    def limits(self, at: datetime, job: JobRef | None, chosen: Choose = _all) -> Iterator[Limit]:
        for kind in KINDS.values():
            stated = getattr(self.budget, kind.field)
            if not stated and not isinstance(stated, int):
                continue
            if kind.period is None and job is None:
                continue
            if isinstance(stated, Mapping):
                yield from (self._limit(kind, name, stated[name], at, job) for name in chosen(kind, stated))
            elif kind.period == "rolling":
                windows = stated.windows if isinstance(stated, Guard) else stated
                yield from (self._window(kind, window, at) for window in windows)
            else:
                yield self._limit(kind, None if kind.period else job and job.job_id, stated, at, job)

    def _limit(
        self, kind: LimitKind, name: str | None, amount: int, at: datetime, job: JobRef | None
    ) -> Limit:
        if kind.period is None or kind.period == "rolling":
            period, of_all = None, Query(ledger=job.ledger if job else None)
        else:
            period = _period(kind.period, at, self.zone, self.billing_day)
            of_all = Query(start=period.start, end=period.end, user_id=self.user_id)
        return self._made(kind, name, amount, period, of_all)

    def _window(self, kind: LimitKind, window: RollingLimit, at: datetime) -> Limit:
        period = periods.rolling(at, self.zone, window.length)
        # What is dated later than now, by a clock that is ahead, counts too.
        of_all = Query(start=period.start, user_id=self.user_id)
        return self._made(kind, window.name, window.limit, period, of_all)

    def _made(
        self, kind: LimitKind, name: str | None, amount: int, period: Period | None, of_all: Query
    ) -> Limit:
        budget, scope, rules = self.budget, Scope(self.user_id, kind.name, name), self._rules_for(kind, name)
        # Which calls have a tag by rule no query selects: their sums are split.
        query = kind.selecting(None if rules else name, of_all)
        blocking = budget.block_at_limit or kind.name == "guard"
        # Counts and the guard look at calls, whoever pays for them.
        mine = self.of_all if kind.period is None else self.flat
        flat = mine if kind.measure == "cost" and kind.name != "guard" else ()
        return Limit(scope, amount, period, query, budget.thresholds, blocking, flat, rules)

    def _rules_for(self, kind: LimitKind, name: str | None) -> tuple[TagRule, ...]:
        """Return the rules that decide which calls have the tag that a limit is on, where one gives it."""
        return () if kind.name != "tag" or name is None else rules_for(name, self.rules)


_latest: Final[dict[tuple[str, ZoneInfo, int], Period]] = {}
"""The period that was asked for last, by kind, zone and first day: finding one's edges takes 10 us, and
every call asks."""


def _period(
    kind: Literal["day", "week", "month", "year"], at: datetime, zone: ZoneInfo, first: int
) -> Period:
    known = _latest.get((kind, zone, first))
    if known is None or at not in known:
        known = periods.month(at, zone, first) if kind == "month" else getattr(periods, kind)(at, zone)
        _latest[kind, zone, first] = known
    return known
