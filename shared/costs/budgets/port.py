"""What budgets share between processes, as a port: holds, the gate's clock, alerts told once, notices.

The local files are one implementation (:mod:`shared.costs.store.holds`, :mod:`shared.costs.store.state`);
a database that several hosts share can be another. Nothing here says where or how anything is kept:
whether a holder lives is asked of the port too, which knows by a lock that the kernel frees, or by a
lease.

A hold is money set aside for calls that may be on their way. It is

- *live* while its holder works on it,
- *submitted* when it was given an expiry of its own and its block has ended: its calls wait for their
  provider, as a batch does, and it counts until their results are in a ledger or it expires,
- *orphaned* when nobody will report any more: its process died, it expired, or its block ended without
  an entry. The calls may have been sent and billed, so it counts until somebody releases it.

What still counts is its amount less what the ledgers have under its id, in every state.
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
"""How loud a notice is."""

DeliveryState = Literal["waiting", "sent", "given up"]

STRAYED_FOR: Final = timedelta(days=31)
"""For how long it is remembered with which other labels calls were recorded: a month, as limits on them."""

Stray = tuple[CallScope, Labels]
"""Calls by what was named for them, in whatever job, and other labels that one of them was recorded with."""


# --- holds


Parts = tuple[tuple[str, Nanos], ...]
"""What is kept for a job, by stage, in nano-dollars: a limit may be on some of its stages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What is held. ``estimate`` is the most that its calls can cost together, in nano-dollars;
    ``calls`` and ``tokens`` are how many they can be at most, and how many tokens they can take.

    ``period_at`` is the instant that decides which day and month its calls belong to. ``one_call``
    tells that one entry is all that is missing once its block has ended; otherwise it stands for all
    calls of a block. ``submits`` tells that it has an expiry of its own; ``admits`` that it only keeps room
    for calls that hold for themselves, so that nothing of it will be billed: it ends with its holder.
    ``holder`` names the process; the port fills it in. ``block_ended`` is true once its block is over, and
    ``recorded`` is how many calls it had recorded then, where it ended as it should: no more will come.
    ``orphaned`` says why it is an orphan, where it is one. Dimensions that are ``None`` were not named: the
    calls have none. ``strayed`` are labels that calls like these were recorded with though they were not
    named: the hold counts against limits on those too. ``parts`` are those of room for a job, which counts
    with them against limits on stages and on tags that rules give to stages.
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
        """By what limits cover it."""
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

    ``unpriced`` is how many of the calls have no price, or one for a part of what they used.
    """

    calls: int = 0
    cost: Nanos = ZERO
    unpriced: int = 0


class HoldStatus(NamedTuple):
    """A reservation and what was logged under it so far.

    ``used`` is what room that is kept for a job is less by: see :func:`less_what_is_used`.
    """

    reservation: Reservation
    logged: HoldSpend = HoldSpend()
    used: int = 0

    @property
    def amount(self) -> Nanos:
        """What still counts as held, in nano-dollars: what was logged counts as spent already."""
        return Nanos(max(0, self.reservation.estimate - self.logged.cost - self.used))

    def left(self, measure: Measure) -> int:
        """Return what still counts as held in a measure.

        Tokens of calls that were logged are not kept by reservation: they count as held too, until all
        calls of the hold are in a ledger or it ends.
        """
        if measure == "cost":
            return self.amount
        most = self.reservation.recorded or self.reservation.calls
        calls = max(0, most - self.logged.calls)
        return calls if measure == "calls" or not calls else self.reservation.tokens

    @property
    def excess(self) -> Nanos:
        """How much more its calls cost than it said, in nano-dollars."""
        return Nanos(max(0, self.logged.cost - self.reservation.estimate))

    @property
    def is_over(self) -> bool:
        """Whether nothing more can count: the results are in a ledger, or as much as it said.

        Where one of them has no price, it may have cost all that is held.
        """
        one = self.reservation
        if one.admits:
            return one.state != "live"
        if one.state == "live" or not self.logged.calls:
            return False
        if not (self.amount or self.left("calls")):
            return True
        has_ended = one.block_ended or one.state == "submitted"
        is_all = self.logged.calls >= one.recorded if one.recorded else one.one_call and has_ended
        return is_all and not self.logged.unpriced


ENDED: Final = "its process ended"
EXPIRED: Final = "it expired"
NO_RESULTS: Final = "it expired before its results came"


def as_it_stands(held: HoldStatus, now: datetime, dead: Collection[str]) -> HoldStatus:
    """Return a hold in the state that it is in now, given the holders that are gone. Pure.

    A hold whose expiry has passed in its block is an orphan too; its end settles it all the same.
    """
    one = held.reservation
    if one.state == "orphaned":
        return held
    died = one.state == "live" and one.holder in dead
    if one.submits and died:
        one = replace(one, state="submitted")
    if now >= one.expires_at and not (one.state == "submitted" and one.one_call and held.logged.calls):
        why = NO_RESULTS if one.state == "submitted" else EXPIRED
        one = replace(one, state="orphaned", orphaned=why)
    elif died and not one.submits:
        one = replace(one, state="orphaned", orphaned=ENDED)
    return HoldStatus(one, held.logged)


def less_what_is_used(
    holds: Sequence[HoldStatus], spends: Callable[[Sequence[Query]], Sequence[int]]
) -> list[HoldStatus]:
    """Return holds in which room that is kept for a job is less by what is held and was spent within it.

    So a call of the job counts once, from when it is held until it is spent. ``spends`` is that of a
    :class:`SpendReader`.
    """
    rooms = [held.reservation for held in holds if held.reservation.admits]
    if not rooms:
        return list(holds)
    used = dict(zip([one.id for one in rooms], spent_within(rooms, spends), strict=True))
    for held in holds:
        if held.reservation.within in used:
            used[held.reservation.within] += held.amount
    return [held._replace(used=used.get(held.reservation.id, 0)) for held in holds]


def spent_within(
    rooms: Sequence[Reservation], spends: Callable[[Sequence[Query]], Sequence[int]]
) -> list[int]:
    """Return what the job of each has spent since room was made for it, in nano-dollars."""
    known = [one for one in rooms if one.ledger is not None]
    spent = dict(
        zip([one.id for one in known], spends([Query(ledger=one.ledger) for one in known]), strict=True)
    )
    return [max(0, spent.get(one.id, one.spent_before) - one.spent_before) for one in rooms]


class Allotment(NamedTuple):
    """The part of a limit that may be used from here, where other hosts share it; in the limit's measure.

    ``granted`` is what this host may have spent and hold, all in all. The others have spent
    ``spent_elsewhere`` and may spend ``leased_elsewhere`` more; ``orphaned_elsewhere`` is what hosts may
    have spent that do not report any more.
    """

    granted: int
    spent_elsewhere: int = 0
    leased_elsewhere: int = 0
    orphaned_elsewhere: int = 0


class SpendReader(Protocol):
    """Reads what was spent, from the entries of all ledgers."""

    def spends(self, asked: Sequence[Query]) -> Sequence[int]:
        """Return what the entries that match each query come to, in the measure that it asks for."""
        ...

    def groups(self, by: Sequence[Dimension], query: Query) -> list[Group]:
        """Return the sums of the entries that match ``query``, by the dimensions asked for."""
        ...


class Turn(SpendReader, Protocol):
    """One exclusive turn at the shared state: nobody else reserves until it ends.

    Valid within the decision that it is given to. What it reads includes every entry that was in a
    ledger when the turn began, and every hold.
    """

    @property
    def latest(self) -> datetime:
        """The latest instant at which anything was reserved; 1970 when nothing was."""
        ...

    def holds(self, since: datetime, ledger: Path | None) -> list[HoldStatus]:
        """Return what counts: all that is not orphaned, and orphans from ``since`` on or of ``ledger``."""
        ...

    def allotment(self, limit: Limit, spent: int, held: int, need: int) -> Allotment | None:
        """Return the part of a limit that may be used from here; ``None`` where all of it may.

        ``spent`` and ``held`` are what is spent and held here, ``need`` is what shall come on top. Where the
        part is too small for it, whoever keeps the holds may get more and have the same decided once more.
        """
        ...

    def strayed(self) -> Sequence[Stray]:
        """Return which calls were recorded lately with other labels than were named for them.

        The same object as before where nothing has come or gone since.
        """
        ...


Decision = Reservation | BudgetExceeded
"""What to hold, or why it is denied."""

Decide = Callable[[Turn], Decision]
"""Decides from spends and holds. It may be called again when a turn failed before it ended."""


class Holds(Protocol):
    """The holds of everybody who shares a budget. Safe to use from threads and after a fork.

    All methods raise ``StorageUnavailable`` where the state cannot be read or written; those that end
    a hold never lose it then: it counts on, as it was.
    """

    def reserve(self, decide: Decide, wait_s: float) -> Decision:
        """Decide in one exclusive turn, and hold durably what is decided; return the decision.

        The gate's clock is set to the ``period_at`` of what is held, where that is later.

        Raises:
            StorageBusy: others held the turn for ``wait_s`` seconds.

        """
        ...

    def settle(self, reservation: str, wait_s: float) -> None:
        """End a hold whose calls are in a ledger. No error where there is none (as for the next three).

        It need not be durable at once: what is back after a power cut counts less its entries.
        """
        ...

    def void(self, reservation: str, wait_s: float) -> None:
        """End a hold of which nothing was sent."""
        ...

    def submit(self, reservation: str, wait_s: float) -> None:
        """Note that a block has ended whose calls wait for their provider."""
        ...

    def orphan(self, reservation: str, why: str, amount: Nanos, recorded: int, wait_s: float) -> None:
        """Let a hold whose block has ended count at ``amount`` until somebody releases it, and say why.

        Where its block had ``recorded`` all of its calls, it is over once so many are in a ledger and priced;
        0 where more may come.
        """
        ...

    def lower(self, reservation: str, amount: Nanos, wait_s: float) -> None:
        """Let a hold count at no more than ``amount``; room that is kept for a job, from now on."""
        ...

    def widen(self, reservation: str, strayed: Sequence[Labels], wait_s: float) -> None:
        """Let a hold count against limits on labels that were not named for it, too."""
        ...

    def remember(self, scope: CallScope, labels: Labels, wait_s: float) -> None:
        """Note that a call of a scope was recorded with other labels; known for :data:`STRAYED_FOR`."""
        ...

    def forget_strayed(self) -> int:
        """Forget all that was noted so; return how much it was."""
        ...

    def release(self, reservations: Collection[str]) -> None:
        """End holds on somebody's word that nothing of them will be billed."""
        ...

    def holds(self) -> list[HoldStatus]:
        """Return every hold as it stands now, oldest first, without changing anything."""
        ...

    def find(self, reservation: str) -> HoldStatus | None:
        """Return one hold as it stands now; ``None`` where it has ended or never was."""
        ...

    def latest(self) -> datetime:
        """Return the latest instant at which anything was reserved; 1970 when nothing was."""
        ...

    def set_latest(self, at: datetime) -> None:
        """Set the gate's clock, for somebody who is certain that it is wrong."""
        ...

    def close(self) -> None:
        """Close what this process has open; the next use opens it again."""
        ...


# --- requests that repeat


class RequestCounter(Protocol):
    """How often each request was sent lately, by its fingerprint. Safe to use from threads and after a fork.

    All methods raise ``StorageUnavailable`` where that cannot be read or written. What was counted may be
    forgotten in a power cut.
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
    """What somebody should be told.

    ``audience`` is the user whose addresses it goes to, empty for the organisation's; ``profile``
    is the profile that holds them, empty for none. ``key`` tells repetitions from news.
    """

    audience: str
    profile: str
    key: str
    level: Level
    text: str
    made_at: datetime


class Alarm(NamedTuple):
    """A threshold that was reached, as it is remembered: once for its scope and span.

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
    """How the deliveries of one notice to one address went so far; ``address`` is a fingerprint.

    ``next_at`` is when a waiting one is tried again. ``fault`` is empty when it was accepted.
    """

    notice: int
    address: str
    attempts: int
    next_at: datetime
    state: DeliveryState
    fault: str = ""


class Notices(Protocol):
    """Alerts that are told once, and the queue of notices to people.

    All methods raise ``StorageUnavailable`` where the state cannot be read or written; nothing was
    changed then.
    """

    def fire(self, alarms: Sequence[Alarm], at: datetime) -> list[int]:
        """Remember alarms that nobody was told of, queue their notices, and return their places.

        In one transaction. Of two processes that ask at once exactly one gets an alarm. An alarm is no
        news where the same threshold or a higher one of its scope and span was told.
        """
        ...

    def enqueue(self, notices: Sequence[Notice]) -> int:
        """Queue the notices that are no repetition within a day; return how many were."""
        ...

    def waiting(self) -> list[QueuedNotice]:
        """Return the notices that are not done, oldest first."""
        ...

    def deliveries(self, notices: Collection[int]) -> list[Delivery]:
        """Return how deliveries of these notices went so far."""
        ...

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Remember durably how deliveries went."""
        ...

    def finish(self, notices: Collection[int], forget_before: datetime) -> None:
        """Mark notices as done, and forget those that were done and made before an instant."""
        ...

    def given_up(self, since: datetime) -> list[tuple[str, str]]:
        """Return the texts of notices made since then that were given up, and why."""
        ...
