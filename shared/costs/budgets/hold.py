"""What a caller has after reserving: money set aside until its calls are in the ledger."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Final, Protocol, Self

from ..forks import lock_of
from ..model import Usage
from ..money import ZERO, Nanos, format_usd
from ..rollup import JobRef
from .endings import Ending
from .scopes import CallScope, Labels

NEVER_REPORTED: Final = "its block ended without a ledger entry"
FAILED: Final = "its block failed before all of its calls were in the ledger"
WAITING: Final = "its ledger entry waits outside the ledger"
UNKNOWN: Final = "its ledger could not be made known to the cost storage"
UNPRICED: Final = "a call under it has no whole price yet: cost-dashboard reprice, once there is one"
DROPPED: Final = "its block was dropped before it ended"


class Keeper(Protocol):
    """Who ends reservations: :class:`~.endings.Endings`."""

    def note(self, ending: Ending) -> None:
        """Remember that a reservation is to end, without waiting for anything."""
        ...

    def end(self, ending: Ending) -> None:
        """End a reservation now, or soon where that is not possible."""
        ...

    def end_soon(self, ending: Ending) -> None:
        """End a reservation in the background."""
        ...

    def dropped(self, hold: Hold) -> None:
        """Have a hold ended in the background that nobody has any more."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What was agreed when reserving.

    ``id`` is ``None`` where nothing had to be held. ``period_at`` decides the day and month of the
    calls. ``submits`` tells that it has an expiry of its own. ``override`` says by what a refusal was
    overridden: it belongs into the entries. ``warnings`` are to be shown.
    """

    id: str | None
    period_at: datetime | None = None
    estimate: Nanos = ZERO
    one_call: bool = True
    submits: bool = False
    override: str | None = None
    warnings: tuple[str, ...] = ()


class Hold:
    """A reservation in the hands of its caller; ends with its ``with`` block. Thread-safe.

    It covers all calls that are recorded under it, together up to its estimate. Tell it of each with
    :meth:`recorded`, after the entry is in the ledger. A block that ends without any leaves an orphan,
    which counts at its estimate until somebody releases it: the provider may have served the call. Only
    :meth:`void` gives the money back, for a caller that is certain that nothing was sent. ``intended`` is
    the usage that was reserved for, without output: what a stream that is cut before it states its usage
    has used at least; ``scope`` and ``job`` are what limits were asked for. ``input_digest`` is of a
    request that was counted when it was reserved for, until its call is recorded; ``unsent`` takes that back.

    In a process that was forked in its block it does nothing: it is its parent's.
    """

    _owner = 0
    """The process whose hold it is; none until it is made in full."""

    def __init__(self, keeper: Keeper, terms: Terms) -> None:
        self.terms = terms
        self.intended: Usage | None = None
        self.input_digest: str | None = None
        self.unsent: Callable[[], object] | None = None
        self.scope = CallScope()
        self.job: JobRef | None = None
        self._strayed = set[Labels]()
        self.degraded_from: str | None = None
        """The model that was wanted, where another one is called for want of budget: its entries keep it."""
        self._keeper = keeper
        self._lock = lock_of(self, "_lock")
        self._spent = ZERO
        self._calls = 0
        self._entries = 0
        self._missing = ""
        self._unpriced = False
        self._touched = False
        self._open = terms.id is not None
        self._ending: Ending | None = None
        """How it is being ended, until that is done."""
        self._owner = os.getpid()

    @property
    def id(self) -> str | None:
        """The reservation's id, which its entries carry; ``None`` where nothing is held."""
        self._touched = True
        return self.terms.id

    @property
    def period_at(self) -> datetime | None:
        """The instant that decides which day and month its entries belong to."""
        return self.terms.period_at

    @property
    def estimate(self) -> Nanos:
        """What is held, in nano-dollars."""
        return self.terms.estimate

    @property
    def override(self) -> str | None:
        """By what the budget check was overridden, if it was."""
        return self.terms.override

    def recorded(
        self,
        cost: Nanos,
        *,
        new: bool = True,
        in_ledger: bool = True,
        known: bool = True,
        priced: bool = True,
    ) -> str | None:
        """Note that a call was recorded at ``cost``, in nano-dollars; one that is not ``new`` costs no more.

        ``in_ledger`` is ``False`` for an entry that is spooled, ``known`` for one in a ledger that the
        cost storage was not told of: the hold then counts on after its block, at what the calls did
        cost, until the entries are seen in a known ledger. Where a call has no price, or one for a part of it
        (``priced`` is false), it may have cost all that is held, which counts until the call is priced.

        Returns an alert when the calls cost more than is held: the only overshoot there can be.
        """
        with self._lock:
            self._touched = True
            self._calls += 1
            if new:
                self._entries += 1
                self._spent = Nanos(self._spent + cost)
            self._unpriced = self._unpriced or not priced
            if not in_ledger or not known:
                self._missing = UNKNOWN if in_ledger else WAITING
            over = self._spent > self.terms.estimate and self._open
        return overrun(str(self.terms.id), self._spent, self.terms.estimate) if over else None

    def strayed(self, own: Labels) -> Labels | None:
        """Return the labels of a call under it, once, where some of them were not named for the hold."""
        labels = None if self.terms.id is None else own.beyond(self.scope)
        if labels is None or labels in self._strayed:
            return None
        self._strayed.add(labels)
        return labels

    def void(self) -> None:
        """Give everything back. Only for a caller that is certain that no request was sent."""
        self._end(Ending(str(self.terms.id), "void"))
        if self.input_digest is not None and self.unsent is not None:
            self.input_digest = None
            self.unsent()

    def void_soon(self) -> None:
        """As :meth:`void`, in the background: for somebody who is being interrupted."""
        if self._open and self._owner == os.getpid():
            self._open = False
            self._keeper.end_soon(Ending(str(self.terms.id), "void"))

    def close(self, failed: bool = False) -> None:
        """End the hold: settled when its calls are in the ledger, else submitted or left as an orphan."""
        self._end(self._outcome(FAILED if failed else ""))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(failed=kind is not None)

    def __del__(self) -> None:
        """Have it ended in the background where nobody has ended it.

        An exception came before its block began, or the block was dropped: then its end may still come,
        since finalisers of what is dropped together run in any order.
        """
        if self._owner == os.getpid() and (self._open or self._ending is not None):
            self._keeper.dropped(self)

    def forgotten(self) -> Ending | None:
        """Return how it ends now that nobody has it any more; ``None`` where its block ended it after all."""
        if self._open:
            self._open = False
            # Nobody has used it, and its block, had it begun, would have ended it: so nothing was sent.
            unused = not self._touched and not self._calls
            self._ending = Ending(str(self.terms.id), "void") if unused else self._outcome(DROPPED)
        return self._ending

    def _end(self, ending: Ending) -> None:
        with self._lock:
            if not self._open or self._owner != os.getpid():
                return
            self._keeper.note(ending)
            self._ending, self._open = ending, False
        self._keeper.end(ending)
        self._ending = None

    def _outcome(self, failure: str) -> Ending:
        """Return how it ends with what was recorded so far; ``failure`` says why its block ended early."""
        one, most = str(self.terms.id), Nanos(max(self.terms.estimate, self._spent))
        if not self._calls:
            if self.terms.submits:
                return Ending(one, "submit")
            return Ending(one, "orphan", failure or NEVER_REPORTED, most)
        if failure and not self.terms.one_call:
            return Ending(one, "orphan", failure, most)
        if self._unpriced and most > self._spent:
            return Ending(one, "orphan", UNPRICED, most, self._entries)
        if self._missing:  # all is known: it only has to arrive
            return Ending(one, "orphan", self._missing, self._spent, self._entries)
        return Ending(one, "settle")


def overrun(reservation: str, spent: Nanos, held: Nanos) -> str:
    """Return the alert for calls that cost more than is held for them.

    >>> print(overrun("0193f6c2", Nanos(700_000_000), Nanos(350_000_000)))
    ⚠️  WARNING: calls under reservation 0193f6c2 cost $0.7000, $0.3500 more than the $0.3500 held for them: \
reserve the most that all of them can cost
    """
    return (
        f"⚠️  WARNING: calls under reservation {reservation} cost {format_usd(spent, 4)}, "
        f"{format_usd(Nanos(spent - held), 4)} more than the {format_usd(held, 4)} held for them: "
        f"reserve the most that all of them can cost"
    )
