"""Which limits hold and how much of them is spent. Pure; no I/O, no clock.

A limit has the query of the spend that it bounds, so that the tracker, the gate and the reports read sums in
the same way: see :mod:`.spending`.

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
    """Whose limit it is and what it is on. ``owner`` is a user id, or ``None`` for the organisation.

    ``kind`` is a key of :data:`.scopes.SCOPES`; ``name`` is the job, stage, model, tag or project that the
    limit is on, if any, or the length of a window.

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
        if self._adjective:
            return f"{self._adjective} limit of {owner}"
        return f"limit of {owner} for {self.kind} {self.name}"

    @property
    def _adjective(self) -> str:
        """Its name as an adjective; empty if it is on something with a name."""
        adjective = SCOPES[self.kind].called
        return " ".join(filter(None, (adjective, self.name))) if adjective else ""

    @property
    def measure(self) -> Measure:
        """What it bounds: cost, calls or tokens."""
        return SCOPES[self.kind].measure

    @property
    def label(self) -> str:
        """Its short name in tables: ``month``, ``stage asr``, ``daily calls``, ``organization month``."""
        counts = self.measure != "cost"
        words = f"{self._adjective}s" if counts else " ".join(filter(None, (self.kind, self.name)))
        return f"organization {words}" if self.owner is None else words

    @property
    def key(self) -> str:
        """A stable name for storage, different for every scope whatever characters its names have."""
        return json.dumps([self.owner, self.kind, self.name])

    @property
    def title(self) -> str:
        """Its name in alerts: ``Budget`` is the user's month, every other scope is more specific."""
        if not self._adjective:
            words = f"{self.kind.capitalize()} budget of {self.name}"
        elif self.kind == "month":
            words = "Budget"
        else:
            words = f"{self._adjective.capitalize()} budget"
        return f"Organization {words[0].lower()}{words[1:]}" if self.owner is None else words


class Limit(NamedTuple):
    """An amount that a spend should stay within: nano-dollars, or a number of calls or tokens.

    ``query`` selects that spend as far as a query can; if sums must be split (``by``), the groups count that
    the limit :meth:`covers`. ``period`` is ``None`` for jobs and stages, whose whole life counts. ``flat``
    are the flat rates whose calls are not part of it. ``rules`` may give calls the tag that it is on.
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
        """Return whether the cost of a call is part of the spend that this limit bounds."""
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
        """The dimensions by which sums must be split to tell what counts; empty if the query suffices."""
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
        """The name of the time that it holds for: a period's name, or the ledger of its job.

        A window moves with every second: it alerts once in each span of its length.
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

    With ``projected``, the limit is not reached yet, but the period is on course to end at that amount
    above it.
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
        """The span in which it alerts once; a forecast and the crossing itself alert separately."""
        return self.limit.span if self.projected is None else f"{self.limit.span} foreseen"


def crossing(spending: Spending) -> Crossing | None:
    """Return the highest threshold that is crossed, or ``None``."""
    threshold = spending.threshold
    return None if threshold is None else Crossing(spending.limit, spending.spent, threshold)


def crossings(spendings: Iterable[Spending]) -> list[Crossing]:
    """Return the crossings of all limits that have one, tightest limit first."""
    crossed = [spending for spending in spendings if spending.threshold is not None]
    highest = (crossing(spending) for spending in tightest_first(crossed))
    return [reached for reached in highest if reached is not None]


def tightest_first(spendings: Iterable[Spending]) -> list[Spending]:
    """Return the limits by what is left of them, least first; of equal ones the narrowest first."""
    return sorted(spendings, key=tightness)


def tightness(spending: Spending, room: int | None = None) -> tuple[bool, bool, int, int, bool]:
    """Return the sort key of limits: by what is left, from stage to month, the user's own first.

    Limits that are used up come first of all, then dollars before counts, which cannot be compared with
    them. ``room`` is what is left, if less than what remains.
    """
    scope = spending.limit.scope
    remaining = spending.remaining if room is None else room
    counts = scope.measure != "cost"
    return remaining > 0, counts, remaining, _NARROWEST_FIRST.index(scope.kind), scope.owner is None


def foresee(spending: Spending, projected: int) -> Crossing | None:
    """Return the alert of a limit that is not reached yet but will be, or ``None``."""
    if spending.remaining <= 0 or projected <= spending.limit.amount:
        return None
    return Crossing(spending.limit, spending.spent, FULL, projected)


def limits_for(profile: Profile, user_id: str, at: datetime, job: JobRef | None = None) -> list[Limit]:
    """Return every limit that holds for a user at an instant, including the organisation's.

    Periods are in the user's time zone, the organisation's in the profile's. Limits on jobs and
    stages are included if ``job`` is given; a call without a job counts against none.
    """
    return [limit for owner in _owners(profile, user_id) for limit in owner.limits(at, job)]


class LimitIndex:
    """The limits of one profile, looked up by a call's scope in a time independent of their number."""

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
            for limit in owner.limits(at, job, partial(self._names_for, owner, call))
            if limit.covers(call, self._names) and not limit.leaves(call, at, self._names)
        ]

    def _names_for(
        self, owner: _Owner, call: CallScope, kind: LimitKind, amounts: Mapping[str, Nanos]
    ) -> Iterable[str]:
        """Return the names under which a profile may have limits on a call."""
        call_names = None if kind.names is None else kind.names(call, self._names)
        if call_names is None:
            return amounts
        own = [name for name in call_names if name in amounts]
        if kind.known_as is None:
            return own
        known = self._known_names(owner, kind, amounts)
        return dict.fromkeys([*own, *(name for call_name in call_names for name in known.get(call_name, ()))])

    def _known_names(
        self, owner: _Owner, kind: LimitKind, amounts: Mapping[str, Nanos]
    ) -> dict[str, list[str]]:
        """Return the names in a profile by the catalogue's names for them."""
        key = (owner.user_id, kind.name)
        if key not in self._known:
            known_names = self._known[key] = {}
            for name in amounts:
                known_names.setdefault(
                    kind.known_as(name, self._names) if kind.known_as else name, []
                ).append(name)
        return self._known[key]


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
"""Chooses the names that matter of a kind's limits on something with a name."""


def _all_names(_: LimitKind, amounts: Mapping[str, Nanos]) -> Iterable[str]:
    return amounts


class _Owner(NamedTuple):
    """A budget's owner, the time zone and first day of its periods, and the flat rates that spare it.

    The flat rates of everybody (``of_all``) spare its limits on jobs, which all who work on a job share.
    ``rules`` give calls tags.
    """

    user_id: str | None
    budget: Budget
    zone: ZoneInfo
    billing_day: int
    flat: tuple[FlatRate, ...] = ()
    of_all: tuple[FlatRate, ...] = ()
    rules: tuple[TagRule, ...] = ()

    def limits(self, at: datetime, job: JobRef | None, chosen: Choose = _all_names) -> Iterator[Limit]:
        for kind in KINDS.values():
            setting = getattr(self.budget, kind.field)
            if not setting and not isinstance(setting, int):
                continue
            if kind.period is None and job is None:
                continue
            if isinstance(setting, Mapping):
                yield from (self._limit(kind, name, setting[name], at, job) for name in chosen(kind, setting))
            elif kind.period == "rolling":
                windows = setting.windows if isinstance(setting, Guard) else setting
                yield from (self._window(kind, window, at) for window in windows)
            else:
                yield self._limit(kind, None if kind.period else job and job.job_id, setting, at, job)

    def _limit(
        self, kind: LimitKind, name: str | None, amount: int, at: datetime, job: JobRef | None
    ) -> Limit:
        if kind.period is None or kind.period == "rolling":
            period, of_all = None, Query(ledger=job.ledger if job else None)
        else:
            period = _period(kind.period, at, self.zone, self.billing_day)
            of_all = Query(start=period.start, end=period.end, user_id=self.user_id)
        return self._make_limit(kind, name, amount, period, of_all)

    def _window(self, kind: LimitKind, window: RollingLimit, at: datetime) -> Limit:
        period = periods.rolling(at, self.zone, window.length)
        # Entries dated later than now, by a clock that is ahead, count too.
        of_all = Query(start=period.start, user_id=self.user_id)
        return self._make_limit(kind, window.name, window.limit, period, of_all)

    def _make_limit(
        self, kind: LimitKind, name: str | None, amount: int, period: Period | None, of_all: Query
    ) -> Limit:
        budget, scope, rules = self.budget, Scope(self.user_id, kind.name, name), self._rules_for(kind, name)
        # No query selects the calls that have a tag by rule: their sums are split.
        query = kind.selecting(None if rules else name, of_all)
        blocking = budget.block_at_limit or kind.name == "guard"
        # Limits on counts and the guard include calls that a flat rate pays for.
        mine = self.of_all if kind.period is None else self.flat
        flat = mine if kind.measure == "cost" and kind.name != "guard" else ()
        return Limit(scope, amount, period, query, budget.thresholds, blocking, flat, rules)

    def _rules_for(self, kind: LimitKind, name: str | None) -> tuple[TagRule, ...]:
        """Return the rules that decide which calls have the tag that a limit is on, if any."""
        return () if kind.name != "tag" or name is None else rules_for(name, self.rules)


_latest: Final[dict[tuple[str, ZoneInfo, int], Period]] = {}
"""The latest period by kind, zone and first day: computing its edges takes 10 us, and every call needs
it."""


def _period(
    kind: Literal["day", "week", "month", "year"], at: datetime, zone: ZoneInfo, first: int
) -> Period:
    known = _latest.get((kind, zone, first))
    if known is None or at not in known:
        known = periods.month(at, zone, first) if kind == "month" else getattr(periods, kind)(at, zone)
        _latest[kind, zone, first] = known
    return known
