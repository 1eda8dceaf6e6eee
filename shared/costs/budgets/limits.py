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
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from .. import periods
from ..money import Nanos
from ..periods import Period
from ..profile.types import Budget, Profile
from ..rollup import Dimension, JobRef, Query
from .scopes import KINDS, CallScope, LimitKind, ModelName, covers

Level = Literal["ok", "warning", "critical"]

FULL: Final = 100.0
"""The threshold, in percent, at which a limit is reached."""

_NARROWEST_FIRST: Final = tuple(KINDS)
_ADJECTIVES: Final = {"day": "daily", "week": "weekly", "month": "monthly"}


_WHOLE: Final = 100_000_000
"""100 percent in millionths: whole numbers, because a float cannot tell two large amounts apart."""


def _millionths(threshold: float) -> int:
    return round(threshold * 1_000_000)


class Scope(NamedTuple):
    """Whose limit it is and on what. ``owner`` is a user id, or ``None`` for the organisation.

    ``kind`` is a key of :data:`.scopes.KINDS`; ``name`` is the job, stage, model, tag or project, where
    the limit is on one.

    >>> str(Scope("2", "stage", "13_ai_summarization")), str(Scope(None, "day"))
    ('limit of user 2 for stage 13_ai_summarization', 'daily limit of the organization')
    """

    owner: str | None
    kind: str
    name: str | None = None

    def __str__(self) -> str:
        owner = "the organization" if self.owner is None else f"user {self.owner}"
        if self.kind in _ADJECTIVES:
            return f"{_ADJECTIVES[self.kind]} limit of {owner}"
        return f"limit of {owner} for {self.kind} {self.name}"

    @property
    def key(self) -> str:
        """A stable name for storage, different for every scope whatever characters its names hold."""
        return json.dumps([self.owner, self.kind, self.name])

    @property
    def title(self) -> str:
        """How alerts name it: ``Budget`` is the user's month, every other scope says more."""
        if self.kind not in _ADJECTIVES:
            words = f"{self.kind.capitalize()} budget of {self.name}"
        elif self.kind == "month":
            words = "Budget"
        else:
            words = f"{_ADJECTIVES[self.kind].capitalize()} budget"
        return f"Organization {words[0].lower()}{words[1:]}" if self.owner is None else words


class Limit(NamedTuple):
    """An amount that a spend should stay within.

    ``query`` selects that spend as far as a query can; where sums must be split to tell (``by``), those
    groups count that the limit :meth:`covers`. ``period`` is ``None`` for jobs and stages, whose whole
    life counts.
    """

    scope: Scope
    amount: Nanos
    period: Period | None
    query: Query
    thresholds: tuple[float, ...] = (80.0,)
    blocking: bool = False

    def covers(self, call: CallScope, names: ModelName) -> bool:
        """Return whether what a call costs is part of the spend that this limit bounds."""
        query = self.query
        return (
            query.user_id in (None, call.user_id)
            and (query.ledger is None or query.ledger == call.ledger)
            and (self.period is None or call.at is None or call.at in self.period)
            and covers(self.scope.kind, self.scope.name, call, names)
        )

    @property
    def by(self) -> tuple[Dimension, ...]:
        """The dimensions by which sums must be split to tell what counts; empty where the query tells."""
        return KINDS[self.scope.kind].by

    @property
    def first_crossing(self) -> Nanos:
        """The least spend at which its first threshold is reached, in nano-dollars."""
        millionths = _millionths(min(*self.thresholds, FULL))
        return Nanos(max(1, -(-self.amount * millionths // _WHOLE)))

    @property
    def is_whole(self) -> bool:
        """Whether it bounds all that its owner spends in a period."""
        return self.period is not None and self.scope.name is None

    @property
    def is_month(self) -> bool:
        """Whether it bounds all that its owner spends in a month."""
        return self.is_whole and self.period is not None and self.period.kind == "month"

    @property
    def span(self) -> str:
        """The name of the stretch it holds for: a period's name, or the ledger of its job."""
        return self.period.name if self.period else str(self.query.ledger)


class Spending(NamedTuple):
    """A limit and what was spent within it, in nano-dollars."""

    limit: Limit
    spent: Nanos

    @property
    def remaining(self) -> Nanos:
        """What may still be spent; negative when the limit is overrun."""
        return Nanos(self.limit.amount - self.spent)

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
    spent: Nanos
    threshold: float
    projected: Nanos | None = None

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


def tightness(spending: Spending) -> tuple[int, int, bool]:
    """Order limits by room left, then from stage to month, then the user's before the organisation's."""
    scope = spending.limit.scope
    return spending.remaining, _NARROWEST_FIRST.index(scope.kind), scope.owner is None


def foresee(spending: Spending, projected: Nanos) -> Crossing | None:
    """Return the alert of a limit that is not reached yet but will be, or ``None`` where it holds."""
    if spending.remaining <= 0 or projected <= spending.limit.amount:
        return None
    return Crossing(spending.limit, spending.spent, FULL, projected)


def limits_for(profile: Profile, user_id: str, at: datetime, job: JobRef | None = None) -> list[Limit]:
    """Return every limit that holds for a user at an instant, the organisation's included.

    Periods are in the user's time zone, the organisation's in the profile's. Limits on jobs and
    stages are there when ``job`` is given; a call without a job counts against none.
    """
    user = profile.for_user(user_id)
    mine = _Source(user.user_id, user.budget, user.timezone)
    all_users = _Source(None, profile.organization, profile.timezone)
    return [limit for source in (mine, all_users) for limit in source.limits(at, job)]


class _Source(NamedTuple):
    """Whose budget it is, and the time zone of its periods."""

    owner: str | None
    budget: Budget
    zone: ZoneInfo

    def limits(self, at: datetime, job: JobRef | None) -> Iterator[Limit]:
        for kind in KINDS.values():
            stated = getattr(self.budget, kind.field)
            if kind.period is None and job is None:
                continue
            if isinstance(stated, Mapping):
                yield from (self._limit(kind, name, amount, at, job) for name, amount in stated.items())
            elif stated is not None:
                yield self._limit(kind, None if kind.period else job and job.job_id, stated, at, job)

    def _limit(
        self, kind: LimitKind, name: str | None, amount: Nanos, at: datetime, job: JobRef | None
    ) -> Limit:
        if kind.period is None:
            period, of_all = None, Query(ledger=job.ledger if job else None)
        else:
            period = _period(kind.period, at, self.zone)
            of_all = Query(start=period.start, end=period.end, user_id=self.owner)
        budget, scope = self.budget, Scope(self.owner, kind.name, name)
        query = kind.selecting(name, of_all)
        return Limit(scope, amount, period, query, budget.thresholds, budget.block_at_limit)


_latest: Final[dict[tuple[str, ZoneInfo], Period]] = {}
"""The period that was asked for last, by kind and zone: finding one's edges takes 10 us, and every
call asks."""


def _period(kind: Literal["day", "week", "month"], at: datetime, zone: ZoneInfo) -> Period:
    known = _latest.get((kind, zone))
    if known is None or at not in known:
        known = _latest[kind, zone] = getattr(periods, kind)(at, zone)
    return known
