"""What budgets share between processes, as a port: holds, the gate's clock, alerts sent once, notices.

The local files are one implementation (:mod:`shared.costs.store.holds`, :mod:`shared.costs.store.state`);
a database that several hosts share can be another. Nothing here depends on where or how anything is stored:
the port also knows whether a holder is alive, by a lock that the kernel frees, or by a lease.

A hold is money set aside for calls that may be on their way. It is

- *live* while its holder uses it,
- *submitted* if it has an expiry of its own and its block has ended: its calls wait for their provider, as a
  batch does, and it counts until their results are in a ledger or it expires,
- *orphaned* if nobody will report its calls any more: its process died, it expired, or its block ended
  without an entry. The calls may have been sent and billed, so it counts until somebody releases it.

In every state, its amount counts less what the ledgers have under its id.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol

from ..errors import BudgetExceeded
from ..money import ZERO, Nanos
from ..rollup import Dimension, Group, JobRef, Measure, Query
from .scopes import CallScope, Labels

if TYPE_CHECKING:
    from .limits import Limit

HoldState = Literal["live", "submitted", "orphaned"]

Level = Literal["info", "warning", "critical"]
"""The severity of a notice."""

DeliveryState = Literal["waiting", "sent", "given up"]

STRAYED_FOR: Final = timedelta(days=31)
"""How long the labels that calls strayed to are remembered: a month, like the limits on them."""

Stray = tuple[CallScope, Labels]
"""The scope that calls were reserved for, in any job, and other labels that one of them was recorded with."""


# --- holds


Parts = tuple[tuple[str, Nanos], ...]
"""The money held for a job by stage, in nano-dollars: a limit may be on some of its stages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """A reservation. ``estimate`` is the most that its calls can cost together, in nano-dollars;
    ``calls`` and ``tokens`` are the most calls, and the most tokens of all calls.

    ``period_at`` is the instant that decides which day and month its calls belong to. ``one_call``: a single
    entry completes it once its block has ended; otherwise it is for all calls of a block. ``submits``: it has
    an expiry of its own. ``admits``: it only holds money for calls that make their own holds, so that
    nothing of it will be billed, and it ends with its holder.
    ``holder`` is the process; the port fills it in. ``block_ended`` is true once its block is over, and
    ``recorded`` is how many calls it had recorded then, if it ended normally: no more will come.
    ``orphaned`` is why it is an orphan, if it is one. Dimensions of ``None`` were not given: the calls have
    none. ``strayed`` are labels that calls like these were recorded with but not reserved for: the hold
    counts against limits on those too. ``parts`` are those of a job's hold, which counts with them against
    limits on stages and on tags that rules give to stages.
    """

    id: str
    period_at: datetime
    expires_at: datetime
    user_id: str
    job_id: str | None
    ledger: Path | None
    stage: str | None
    service: str
    model: str
    estimate: Nanos
    one_call: bool
    submits: bool = False
    admits: bool = False
    within: str | None = None
    spent_before: int = 0
    project: str | None = None
    tags: tuple[str, ...] = ()
    workflow: str | None = None
    operation: str | None = None
    calls: int = 1
    tokens: int = 0
    holder: str = ""
    state: HoldState = "live"
    block_ended: bool = False
    recorded: int = 0
    orphaned: str | None = None
    strayed: tuple[Labels, ...] = ()
    parts: Parts = ()

    @property
    def job(self) -> JobRef | None:
        """The job of its calls."""
        return JobRef(self.job_id, self.ledger) if self.job_id and self.ledger else None

    @property
    def scope(self) -> CallScope:
        """The scope by which limits cover it."""
        return CallScope(
            self.user_id,
            self.period_at,
            self.ledger,
            self.stage,
            self.service,
            self.model,
            self.project,
            self.tags,
            self.workflow,
            self.operation,
            self.job_id,
        )

    @property
    def scopes(self) -> tuple[CallScope, ...]:
        """Its own scope, and those of the labels that calls strayed to."""
        own = self.scope
        return own, *(labels.on(own) for labels in self.strayed)


class HoldSpend(NamedTuple):
    """What the ledgers already have under a reservation.

    ``unpriced`` is how many of the calls have no price, or only a partial one.
    """

    calls: int = 0
    cost: Nanos = ZERO
    unpriced: int = 0


class HoldStatus(NamedTuple):
    """A reservation and what was logged under it so far.

    ``used`` is what a job's hold is reduced by: see :func:`less_what_is_used`.
    """

    reservation: Reservation
    logged: HoldSpend = HoldSpend()
    used: int = 0

    @property
    def amount(self) -> Nanos:
        """What still counts as held, in nano-dollars: logged calls already count as spent."""
        return Nanos(max(0, self.reservation.estimate - self.logged.cost - self.used))

    def left(self, measure: Measure) -> int:
        """Return what still counts as held in a measure.

        The tokens of logged calls are not stored by reservation: they count as held too, until all calls
        of the hold are in a ledger or it ends.
        """
        if measure == "cost":
            return self.amount
        most = self.reservation.recorded or self.reservation.calls
        calls = max(0, most - self.logged.calls)
        return calls if measure == "calls" or not calls else self.reservation.tokens

    @property
    def excess(self) -> Nanos:
        """How much more its calls cost than its estimate, in nano-dollars."""
        return Nanos(max(0, self.logged.cost - self.reservation.estimate))

    @property
    def is_over(self) -> bool:
        """Whether nothing more can count: the results are in a ledger, or cost as much as its estimate.

        A call without a price may have cost all that is held.
        """
        reservation = self.reservation
        if reservation.admits:
            return reservation.state != "live"
        if reservation.state == "live" or not self.logged.calls:
            return False
        if not (self.amount or self.left("calls")):
            return True
        has_ended = reservation.block_ended or reservation.state == "submitted"
        is_all = (
            self.logged.calls >= reservation.recorded
            if reservation.recorded
            else reservation.one_call and has_ended
        )
        return is_all and not self.logged.unpriced


ENDED: Final = "its process ended"
EXPIRED: Final = "it expired"
NO_RESULTS: Final = "it expired before its results came"


def as_it_stands(held: HoldStatus, now: datetime, dead: Collection[str]) -> HoldStatus:
    """Return a hold in its present state, given the holders that are dead. Pure.

    A hold that expires within its block is an orphan too; the end of the block still settles it.
    """
    reservation = held.reservation
    if reservation.state == "orphaned":
        return held
    died = reservation.state == "live" and reservation.holder in dead
    if reservation.submits and died:
        reservation = replace(reservation, state="submitted")
    if now >= reservation.expires_at and not (
        reservation.state == "submitted" and reservation.one_call and held.logged.calls
    ):
        why = NO_RESULTS if reservation.state == "submitted" else EXPIRED
        reservation = replace(reservation, state="orphaned", orphaned=why)
    elif died and not reservation.submits:
        reservation = replace(reservation, state="orphaned", orphaned=ENDED)
    return HoldStatus(reservation, held.logged)


def less_what_is_used(
    holds: Sequence[HoldStatus], spends: Callable[[Sequence[Query]], Sequence[int]]
) -> list[HoldStatus]:
    """Return the holds, those of jobs reduced by what is held and was spent within them.

    So a call of the job counts once, from when it is held until it is spent. ``spends`` is that of a
    :class:`SpendReader`.
    """
    rooms = [held.reservation for held in holds if held.reservation.admits]
    if not rooms:
        return list(holds)
    used = dict(zip([room.id for room in rooms], spent_within(rooms, spends), strict=True))
    for held in holds:
        if held.reservation.within in used:
            used[held.reservation.within] += held.amount
    return [held._replace(used=used.get(held.reservation.id, 0)) for held in holds]


def spent_within(
    rooms: Sequence[Reservation], spends: Callable[[Sequence[Query]], Sequence[int]]
) -> list[int]:
    """Return what the job of each hold has spent since the hold was made, in nano-dollars."""
    with_ledger = [room for room in rooms if room.ledger is not None]
    spent = dict(
        zip(
            [room.id for room in with_ledger],
            spends([Query(ledger=room.ledger) for room in with_ledger]),
            strict=True,
        )
    )
    return [max(0, spent.get(room.id, room.spent_before) - room.spent_before) for room in rooms]


class Allotment(NamedTuple):
    """The part of a limit shared with other hosts that this host may use, in the limit's measure.

    ``granted`` is the most that this host may spend and hold in total. The others have spent
    ``spent_elsewhere`` and may spend ``leased_elsewhere`` more; ``orphaned_elsewhere`` is what hosts that do
    not report any more may have spent.
    """

    granted: int
    spent_elsewhere: int = 0
    leased_elsewhere: int = 0
    orphaned_elsewhere: int = 0


class SpendReader(Protocol):
    """Reads what was spent, from the entries of all ledgers."""

    def spends(self, asked: Sequence[Query]) -> Sequence[int]:
        """Return the sum of the entries that match each query, in the query's measure."""
        ...

    def groups(self, by: Sequence[Dimension], query: Query) -> list[Group]:
        """Return the sums of the entries that match ``query``, by these dimensions."""
        ...


class Turn(SpendReader, Protocol):
    """An exclusive turn at the shared state: nobody else reserves until it ends.

    Valid only within the decision that it is passed to. It reads every entry that was in a ledger when the
    turn began, and every hold.
    """

    @property
    def latest(self) -> datetime:
        """The latest instant at which anything was reserved; 1970 when nothing was."""
        ...

    def holds(self, since: datetime, ledger: Path | None) -> list[HoldStatus]:
        """Return what counts: all that is not orphaned, and orphans from ``since`` on or of ``ledger``."""
        ...

    def allotment(self, limit: Limit, spent: int, held: int, need: int) -> Allotment | None:
        """Return the part of a limit that this host may use; ``None`` if it may use all.

        ``spent`` and ``held`` are those of this host, ``need`` is to be added. If the part is too small, the
        implementation may get more and have the request decided again.
        """
        ...

    def strayed(self) -> Sequence[Stray]:
        """Return the calls recorded lately with labels that were not reserved for.

        It is the same object as before if nothing has changed since.
        """
        ...


Decision = Reservation | BudgetExceeded
"""What to hold, or why it is denied."""

Decide = Callable[[Turn], Decision]
"""Decides from spends and holds. It may be called again if a turn fails before its end."""


class Holds(Protocol):
    """The holds of all who share a budget. Safe to use from threads and after a fork.

    All methods raise ``StorageUnavailable`` if the state cannot be read or written; those that end
    a hold never lose it then: it counts as before.
    """

    def reserve(self, decide: Decide, wait_s: float) -> Decision:
        """Decide in one exclusive turn, and store what is held durably; return the decision.

        The gate's clock is set to the ``period_at`` of what is held, if that is later.

        Raises:
            StorageBusy: others held the turn for ``wait_s`` seconds.

        """
        ...

    def settle(self, reservation: str, wait_s: float) -> None:
        """End a hold whose calls are in a ledger. A missing hold is not an error (as for the next three).

        It need not be durable at once: a hold that is back after a power cut counts less its entries.
        """
        ...

    def void(self, reservation: str, wait_s: float) -> None:
        """End a hold for which nothing was sent."""
        ...

    def submit(self, reservation: str, wait_s: float) -> None:
        """Note that a block has ended whose calls wait for their provider."""
        ...

    def orphan(self, reservation: str, why: str, amount: Nanos, recorded: int, wait_s: float) -> None:
        """Let a hold whose block has ended count at ``amount`` until somebody releases it, with the reason.

        If its block had ``recorded`` all of its calls, it is over once that many are in a ledger and priced;
        0 if more may come.
        """
        ...

    def lower(self, reservation: str, amount: Nanos, wait_s: float) -> None:
        """Let a hold count at no more than ``amount``; a job's hold, from now on."""
        ...

    def widen(self, reservation: str, strayed: Sequence[Labels], wait_s: float) -> None:
        """Let a hold also count against limits on labels that it was not made for."""
        ...

    def remember(self, scope: CallScope, labels: Labels, wait_s: float) -> None:
        """Note that a call of a scope was recorded with other labels; known for :data:`STRAYED_FOR`."""
        ...

    def forget_strayed(self) -> int:
        """Forget all that :meth:`remember` noted; return how many there were."""
        ...

    def release(self, reservations: Collection[str]) -> None:
        """End holds of which, according to the caller, nothing will be billed."""
        ...

    def holds(self) -> list[HoldStatus]:
        """Return every hold in its present state, oldest first, without changing anything."""
        ...

    def find(self, reservation: str) -> HoldStatus | None:
        """Return a hold in its present state; ``None`` if it has ended or never existed."""
        ...

    def latest(self) -> datetime:
        """Return the latest instant at which anything was reserved; 1970 when nothing was."""
        ...

    def set_latest(self, at: datetime) -> None:
        """Set the gate's clock, for callers who are certain that it is wrong."""
        ...

    def close(self) -> None:
        """Close what this process has open; the next use opens it again."""
        ...


# --- requests that repeat


class RequestCounter(Protocol):
    """How often each request was sent lately, by its fingerprint. Safe to use from threads and after a fork.

    All methods raise ``StorageUnavailable`` if the counts cannot be read or written. A power cut may lose
    counts.
    """

    def send(self, request: str, at: datetime, within: timedelta, most: int | None) -> int:
        """Count a request, unless it was sent ``most`` times ``within`` the time before ``at``.

        Return how often it was sent before, in that time.
        """
        ...

    def take_back(self, request: str) -> None:
        """Forget the latest time that a request was sent: it was not."""
        ...


# --- alerts and notices


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A message to people.

    ``audience`` is the user whose addresses it goes to, empty for the organisation's; ``profile``
    is the profile with the addresses, empty for none. A notice with the same ``key`` is a repetition.
    """

    audience: str
    profile: str
    key: str
    level: Level
    text: str
    made_at: datetime


class Alarm(NamedTuple):
    """A reached threshold, remembered once for its scope and span.

    ``reached`` are all thresholds that are reached with it, in percent. ``notice`` is queued with it.
    """

    scope: str
    span: str
    threshold: float
    reached: tuple[float, ...]
    notice: Notice | None = None


class QueuedNotice(NamedTuple):
    """A notice in the queue, under its number."""

    id: int
    notice: Notice


class Delivery(NamedTuple):
    """The state of delivering a notice to an address; ``address`` is a fingerprint.

    ``next_at`` is when a waiting one is tried again. ``fault`` is empty if it was accepted.
    """

    notice: int
    address: str
    attempts: int
    next_at: datetime
    state: DeliveryState
    fault: str = ""


class Notices(Protocol):
    """Alerts that are sent once, and the queue of notices to people.

    All methods raise ``StorageUnavailable`` if the state cannot be read or written; nothing was
    changed then.
    """

    def fire(self, alarms: Sequence[Alarm], at: datetime) -> list[int]:
        """Remember alarms that are new, queue their notices, and return their positions.

        In one transaction: of two processes that call it at once, exactly one gets an alarm. An alarm is not
        new if the same threshold or a higher one of its scope and span was remembered before.
        """
        ...

    def enqueue(self, notices: Sequence[Notice]) -> int:
        """Queue the notices that are not repetitions within a day; return how many were queued."""
        ...

    def waiting(self) -> list[QueuedNotice]:
        """Return the notices that are not done, oldest first."""
        ...

    def deliveries(self, notices: Collection[int]) -> list[Delivery]:
        """Return the deliveries of these notices so far."""
        ...

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Store the state of deliveries durably."""
        ...

    def finish(self, notices: Collection[int], forget_before: datetime) -> None:
        """Mark notices as done, and forget done ones that were made before an instant."""
        ...

    def given_up(self, since: datetime) -> list[tuple[str, str]]:
        """Return the texts of notices made since then that were given up, and why."""
        ...
