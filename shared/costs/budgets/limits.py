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
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from .. import periods
from ..money import Nanos
from ..periods import Period
from ..profile.types import Budget, Profile
from ..rollup import JobRef, Query

ScopeKind = Literal["stage", "job", "day", "week", "model", "month"]
"""What a limit bounds: a stage in a job, a job, or a stretch of time (``model``: of one model, per month)."""

Level = Literal["ok", "warning", "critical"]

ModelName = Callable[[str, str], str]
"""Turns a service and a model as recorded into the catalogue's ``provider/model``."""

ANY: Final = "any"
"""Service and model of a reservation that stands for calls of whatever model."""

FULL: Final = 100.0
"""The threshold, in percent, at which a limit is reached."""

_NARROWEST_FIRST: Final[tuple[ScopeKind, ...]] = ("stage", "job", "day", "week", "model", "month")
_ADJECTIVES: Final = {"day": "daily", "week": "weekly", "month": "monthly"}


class Scope(NamedTuple):
    """Whose limit it is and on what. ``owner`` is a user id, or ``None`` for the organisation.

    ``name`` is the job, stage or model, where the limit is on one.

    >>> str(Scope("2", "stage", "13_ai_summarization")), str(Scope(None, "day"))
    ('limit of user 2 for stage 13_ai_summarization', 'daily limit of the organization')
    """

    owner: str | None
    kind: ScopeKind
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
        if self.kind in ("job", "stage", "model"):
            words = f"{self.kind.capitalize()} budget of {self.name}"
        elif self.kind == "month":
            words = "Budget"
        else:
            words = f"{_ADJECTIVES[self.kind].capitalize()} budget"
        return f"Organization {words[0].lower()}{words[1:]}" if self.owner is None else words


class Limit(NamedTuple):
    """An amount that a spend should stay within.

    ``query`` selects that spend, but for ``scope.kind == "model"``, where of the query's sums only
    those of the model ``scope.name`` count. ``period`` is ``None`` for jobs and stages, whose
    whole life counts.
    """

    scope: Scope
    amount: Nanos
    period: Period | None
    query: Query
    thresholds: tuple[float, ...] = (80.0,)
    blocking: bool = False

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
        # A limit of $0 is reached by the first cent, not by nothing. Whole numbers, because a float
        # cannot tell two large amounts apart.
        millionths = round(threshold * 1_000_000)
        return self.spent > 0 and self.spent * 100_000_000 >= self.limit.amount * millionths


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


def applying(limits: Iterable[Limit], stage: str | None, model: str, names: ModelName) -> list[Limit]:
    """Return the limits that a call in ``stage`` to ``model`` (``service/model``) counts against."""
    return [limit for limit in limits if _applies(limit.scope, stage, model, names)]


def _applies(scope: Scope, stage: str | None, model: str, names: ModelName) -> bool:
    if scope.kind == "stage":
        return scope.name == stage
    if scope.kind == "model":
        service, _, bare = model.partition("/")
        return is_model(scope.name or "", service, bare, names)
    return True


def is_model(limited: str, service: str, model: str, names: ModelName) -> bool:
    """Return whether a call to ``model`` of ``service`` counts against the limit on ``limited``.

    ``limited`` is written ``service/model``, or as the bare model. Both sides are also compared by
    the catalogue's names, so a dated name or an alias counts with its model. What is held for
    :data:`ANY` model may be spent on this one, so it counts too.

    >>> is_model("openai/gpt-4", "openai", "gpt-4-0613", lambda s, m: "openai/gpt-4")
    True
    """
    if limited in (f"{service}/{model}", model) or service == model == ANY:
        return True
    head, slash, tail = limited.partition("/")
    known = names(service, model)
    return known in (limited, names(head, tail)) if slash else known.partition("/")[2] == limited


class _Source(NamedTuple):
    """Whose budget it is, and the time zone of its periods."""

    owner: str | None
    budget: Budget
    zone: ZoneInfo

    def limits(self, at: datetime, job: JobRef | None) -> Iterator[Limit]:
        yield from self._periods(at)
        yield from self._models(at)
        if job is not None:
            yield from self._jobs(job)

    def _periods(self, at: datetime) -> Iterator[Limit]:
        budget = self.budget
        if budget.daily_limit is not None:
            yield self._timed("day", budget.daily_limit, _period("day", at, self.zone))
        if budget.weekly_limit is not None:
            yield self._timed("week", budget.weekly_limit, _period("week", at, self.zone))
        if budget.monthly_limit is not None:
            yield self._timed("month", budget.monthly_limit, _period("month", at, self.zone))

    def _models(self, at: datetime) -> Iterator[Limit]:
        for model, amount in self.budget.model_limits.items():
            yield self._timed("model", amount, _period("month", at, self.zone), model)

    def _jobs(self, job: JobRef) -> Iterator[Limit]:
        if self.budget.job_limit is not None:
            scope = Scope(self.owner, "job", job.job_id)
            yield self._limit(scope, self.budget.job_limit, None, Query(ledger=job.ledger))
        for stage, amount in self.budget.stage_limits.items():
            query = Query(ledger=job.ledger, stage=stage)
            yield self._limit(Scope(self.owner, "stage", stage), amount, None, query)

    def _timed(self, kind: ScopeKind, amount: Nanos, period: Period, name: str | None = None) -> Limit:
        query = Query(start=period.start, end=period.end, user_id=self.owner)
        return self._limit(Scope(self.owner, kind, name), amount, period, query)

    def _limit(self, scope: Scope, amount: Nanos, period: Period | None, query: Query) -> Limit:
        budget = self.budget
        return Limit(scope, amount, period, query, budget.thresholds, budget.block_at_limit)


_latest: Final[dict[tuple[str, ZoneInfo], Period]] = {}
"""The period that was asked for last, by kind and zone: finding one's edges takes 10 us, and every
call asks."""


def _period(kind: Literal["day", "week", "month"], at: datetime, zone: ZoneInfo) -> Period:
    known = _latest.get((kind, zone))
    if known is None or at not in known:
        known = _latest[kind, zone] = getattr(periods, kind)(at, zone)
    return known
