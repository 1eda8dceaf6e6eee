"""The gate: reserves money before a call is sent, so that parallel jobs cannot overrun a limit.

A check that is followed by a spend overshoots when several processes check at once. So a call
first *reserves* its highest possible cost, in one transaction for the whole cost storage: the
ledgers are caught up, and the call is denied when, for any blocking limit that it counts against,
``spent + held + estimate`` would be above the limit. Its ledger entry carries the reservation's id.
When the entry is in the ledger the reservation is *settled*.

What is logged under a reservation counts as spent, and only the rest of the estimate as held. So
nothing counts twice between entry and settle, and a crash between the two mends itself: the next
look finds the entry by the reservation's id.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

from ..errors import BudgetExceeded, BudgetGateUnavailable, ProfileError, StorageUnavailable
from ..index.sqlite_faults import DatabaseBusy
from ..ledger.ids import new_id
from ..money import ZERO, Nanos, format_usd
from ..profile.types import Profile
from ..rollup import JobRef
from .book import Book, LedgerSums
from .deciding import OVERRIDE_VARIABLE, Policy, exceeded, standings, tightest, unbounded
from .hold import Hold, Terms
from .holders import Holders
from .limits import ANY, Limit, ModelName, applying, limits_for
from .reservations import Held, Reservation, insert, latest_instant, set_latest_instant
from .spending import read_spendings

log = logging.getLogger("shared.cost_tracker")

T = TypeVar("T")

GATE_WAIT_S: Final = 10.0
"""How long a caller with a blocking limit waits at most for others at the gate."""

EXPIRY: Final = timedelta(hours=1)
"""After this long a hold that was not settled counts as an orphan."""

_PAUSES_S: Final = (0.01, 0.1)
_CLOCK_TOLERANCE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a caller is about to spend.

    ``estimate`` is the most that it can cost: the known input plus the maximum output at the
    highest applicable price. ``None`` means that no such bound is known, and ``unknown`` says why in
    words (no price, no maximum output). ``local`` calls cost nothing and are never held.
    ``one_call`` is false for a block of calls that share one reservation; one for calls of whatever
    model has ``limits.ANY`` as service and model, and counts against every limit on models.
    ``override`` says by what a refusal is overridden.
    """

    user_id: str
    service: str
    model: str
    estimate: Nanos | None
    unknown: str = ""
    unpriced: bool = False
    local: bool = False
    job: JobRef | None = None
    stage: str | None = None
    one_call: bool = True
    expires_after: timedelta = EXPIRY
    override: str | None = None

    @property
    def name(self) -> str:
        """The model as ``service/model``."""
        return f"{self.service}/{self.model}"

    @property
    def described(self) -> str:
        """The call as a refusal names it."""
        return "this block of calls" if self.service == self.model == ANY else self.name


class Gate:
    """The gate of one cost storage. Safe to use from threads and after a fork.

    Args:
        ledgers: the index.
        holders_dir: where files tell which processes that hold something are alive.
        clock: gives the present, in UTC.
        names: gives the catalogue's name of a service and model, for limits on models.

    """

    def __init__(
        self, ledgers: LedgerSums, holders_dir: Path, *, clock: Callable[[], datetime], names: ModelName
    ) -> None:
        self._ledgers = ledgers
        self._clock = clock
        self._names = names
        self._book = Book(ledgers, Holders(holders_dir), clock)

    # --- reserving

    def reserve(self, request: Request, profile: Profile, fault: ProfileError | None = None) -> Hold:
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
            return Hold(self._book, Terms(id=None))
        if fault is not None and request.override is None:
            raise BudgetGateUnavailable(
                f"the budget cannot be checked, so the call was refused: {fault}; mend the profile, "
                f"or set {OVERRIDE_VARIABLE}=1 to go on without a check, which is recorded"
            )
        policy = Policy.of(profile, request.user_id, self._limits(request, profile, self._clock()))
        try:
            patience_s = GATE_WAIT_S if policy.blocking else 0.0
            terms = _tried(lambda: self._reserved(request, profile), patience_s)
        except (StorageUnavailable, OSError) as failure:
            return self._without_gate(request, policy, failure)
        if isinstance(terms, BudgetExceeded):
            raise terms
        return Hold(self._book, terms)

    def _reserved(self, request: Request, profile: Profile) -> Terms | BudgetExceeded:
        """Decide and hold in one transaction; a refusal is returned, so that what was mended is kept."""
        held: str | None = None
        try:
            with self._book.transaction() as db:
                terms = self._terms(db, request, profile)
                if isinstance(terms, Terms):
                    held = terms.id
                    insert(db, self._reservation(request, terms))
        except BaseException:
            if held is not None:  # certain that nothing was sent: the caller never had the hold
                self._book.void(held)
            raise
        return terms

    def _terms(self, db: sqlite3.Connection, request: Request, profile: Profile) -> Terms | BudgetExceeded:
        now, latest = self._clock(), latest_instant(db)
        at = max(now, latest)  # a clock that was set back does not reopen a closed month
        limits = self._limits(request, profile, at)
        since = min((limit.period.start for limit in limits if limit.period), default=at)
        holds = self._book.mended(db, since, request.job.ledger if request.job else None)
        try:
            estimate, warnings = self._decided(request, profile, limits, holds)
        except BudgetExceeded as refusal:
            return refusal
        if at > latest:
            set_latest_instant(db, at)
        return Terms(
            id=new_id(),
            period_at=at,
            estimate=estimate,
            one_call=request.one_call,
            override=request.override,
            warnings=(*warnings, *_clock_warning(now, at)),
        )

    def _decided(
        self, request: Request, profile: Profile, limits: Sequence[Limit], holds: Sequence[Held]
    ) -> tuple[Nanos, tuple[str, ...]]:
        """Return what to hold, and what to warn of; raise when it is denied."""
        policy = Policy.of(profile, request.user_id, limits)
        estimate, warnings = _to_hold(request, policy)
        if not policy.blocking:
            return estimate or ZERO, warnings
        # Holds were read before spends: an entry that comes in between counts twice, never not at all.
        stand = tightest(standings(read_spendings(limits, self._ledgers, self._names), holds, self._names))
        if stand is None or (estimate is not None and estimate <= stand.room):
            return estimate or ZERO, warnings
        refusal = (
            unbounded(stand, request.unknown)
            if estimate is None
            else exceeded(stand, estimate, request.described)
        )
        if request.override is None:
            raise refusal
        return estimate or ZERO, (*warnings, f"budget check overridden by {request.override}: {refusal}")

    def _limits(self, request: Request, profile: Profile, at: datetime) -> list[Limit]:
        limits = limits_for(profile, request.user_id, at, request.job)
        return applying(limits, request.stage, request.name, self._names)

    def _reservation(self, request: Request, terms: Terms) -> Reservation:
        at = terms.period_at or self._clock()
        return Reservation(
            id=terms.id or "",
            period_at=at,
            expires_at=self._clock() + request.expires_after,
            user_id=request.user_id,
            job_id=request.job.job_id if request.job else None,
            ledger=request.job.ledger if request.job else None,
            stage=request.stage,
            service=request.service,
            model=request.model,
            estimate=terms.estimate,
            one_call=request.one_call,
            holder=self._book.holders.name(),
        )

    def _without_gate(self, request: Request, policy: Policy, failure: Exception) -> Hold:
        """Go on without a reservation where the budgets allow it."""
        if policy.blocking and not policy.allow_on_gate_error and request.override is None:
            raise BudgetGateUnavailable(
                f"the budget could not be checked, so the call was refused: {failure}; try again, set "
                f"on_gate_error: allow in the profile, or {OVERRIDE_VARIABLE}=1 to go on without a check"
            ) from failure
        warning = f"the call goes on without a reservation: {failure}"
        log.warning("%s", warning)
        return Hold(self._book, Terms(id=None, override=request.override, warnings=(warning,)))

    # --- what views and commands ask for

    def holds(self) -> list[Held]:
        """Return all reservations as they stand now, oldest first, without changing anything.

        Raises:
            StorageUnavailable: they cannot be read.

        """
        return self._book.holds()

    def release(self, ids: Collection[str] | None = None, *, also_live: bool = False) -> list[Held]:
        """Stop counting orphans: all, or those named. Return what was released.

        For whoever knows that the calls were not sent, or that their cost was logged otherwise.
        Live reservations are left alone unless ``also_live``.

        Raises:
            StorageUnavailable: they cannot be read or written.

        """
        return self._book.release(ids, also_live=also_live)

    def latest(self) -> datetime:
        """Return the latest instant at which anything was reserved; 1970 when nothing was.

        Lies in the future after the clock was wrong: then all reservations count there, until the
        clock has caught up or :meth:`forget_future` is called.
        """
        return self._book.latest()

    def forget_future(self) -> bool:
        """Let reservations count at the present again after the clock was wrong; tell if they did not.

        For whoever is certain that the clock is right now: a clock that is behind reopens months
        that are closed.

        Raises:
            StorageUnavailable: the state cannot be written.

        """
        return self._book.forget_future()

    def close(self) -> None:
        """Let go of this process's holder file; its live reservations become orphans."""
        self._book.holders.leave()


def _tried(action: Callable[[], T], patience_s: float) -> T:
    """Try for a bounded time while others are in the way, and a few times after other failures."""
    end = time.monotonic() + patience_s
    pauses = iter(_PAUSES_S)
    while True:
        try:
            return action()
        except DatabaseBusy:
            if time.monotonic() >= end:
                raise
        except (StorageUnavailable, OSError):
            pause = next(pauses, None)
            if pause is None:
                raise
            time.sleep(pause)


def _to_hold(request: Request, policy: Policy) -> tuple[Nanos | None, tuple[str, ...]]:
    """Return what to hold for a call, ``None`` when nothing may stand for its unknown cost."""
    if request.estimate is not None:
        return request.estimate, ()
    held = policy.reserve_cap
    if held is None and request.unpriced and policy.allow_unpriced:
        held = ZERO
    if held is None:
        return None, ()
    return held, (f"{request.unknown}; {format_usd(held, 4)} is held for it",)


def _clock_warning(now: datetime, at: datetime) -> tuple[str, ...]:
    if at - now <= _CLOCK_TOLERANCE:
        return ()
    return (
        f"the clock stands at {now:%Y-%m-%d %H:%M} UTC, before the latest reservation at "
        f"{at:%Y-%m-%d %H:%M} UTC: the call counts there; see cost-dashboard doctor",
    )
