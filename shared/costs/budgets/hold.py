"""The hold that a caller gets by reserving: money set aside until its calls are in the ledger."""

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
    """The object that ends reservations: :class:`~.endings.Endings`."""

    def note(self, ending: Ending) -> None:
        """Remember that a reservation must end, without waiting for anything."""
        ...

    def end(self, ending: Ending) -> None:
        """End a reservation now, or soon if that is not possible."""
        ...

    def end_soon(self, ending: Ending) -> None:
        """End a reservation in the background."""
        ...

    def dropped(self, hold: Hold) -> None:
        """End a hold that nobody has any more in the background."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms of a reservation.

    ``id`` is ``None`` if nothing had to be held. ``period_at`` decides the day and month of the
    calls. ``submits``: it has an expiry of its own. ``override`` is the reason that overrode a refusal: it
    belongs into the entries. ``warnings`` are to be shown.
    """

    id: str | None
    period_at: datetime | None = None
    estimate: Nanos = ZERO
    one_call: bool = True
    submits: bool = False
    override: str | None = None
    warnings: tuple[str, ...] = ()


class Hold:
    """A reservation as its caller has it; ends with its ``with`` block. Thread-safe.

    It covers all calls that are recorded under it, together up to its estimate. Report each with
    :meth:`recorded`, after the entry is in the ledger. A block that ends without any leaves an orphan,
    which counts at its estimate until somebody releases it: the provider may have served the call. Only
    :meth:`void` gives the money back, for a caller that is certain that nothing was sent. ``intended`` is
    the reserved usage without output: the least that a stream has used if it is cut off before it states its
    usage; the limits were checked for ``scope`` and ``job``. ``input_digest`` is that of a request counted
    when it was reserved, until its call is recorded; ``unsent`` uncounts it.

    In a process forked within its block it does nothing: it belongs to the parent.
    """

    _owner = 0
    """The id of the process that made it; 0 until its constructor has finished."""

    def __init__(self, keeper: Keeper, terms: Terms) -> None:
        self.terms = terms
        self.intended: Usage | None = None
        self.input_digest: str | None = None
        self.unsent: Callable[[], object] | None = None
        self.scope = CallScope()
        self.job: JobRef | None = None
        self._strayed = set[Labels]()
        self.degraded_from: str | None = None
        """The preferred model, if another one is called because the budget does not allow it."""
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
        """Its ending, until that is applied."""
        self._owner = os.getpid()

    @property
    def id(self) -> str | None:
        """The reservation's id, which its entries have too; ``None`` if nothing is held."""
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
        """The reason that overrode the budget check, if any."""
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
        """Note that a call was recorded at ``cost``, in nano-dollars; one that is not ``new`` adds nothing.

        ``in_ledger`` is ``False`` for an entry that is spooled, ``known`` for one in a ledger that is not
        registered in the cost storage: the hold then still counts after its block, at the calls' cost,
        until the entries are seen in a known ledger. A call without a whole price (``priced`` is false) may
        have cost all that is held, which counts until the call is priced.

        Returns an alert if the calls cost more than is held: the only possible overshoot.
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
        """Return the labels of a call under it, once, if some of them were not reserved for."""
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
        """As :meth:`void`, in the background: for a caller that is being interrupted."""
        if self._open and self._owner == os.getpid():
            self._open = False
            self._keeper.end_soon(Ending(str(self.terms.id), "void"))

    def close(self, failed: bool = False) -> None:
        """End the hold: settle it if its calls are in the ledger, else submit it or leave an orphan."""
        self._end(self._outcome(FAILED if failed else ""))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(failed=kind is not None)

    def __del__(self) -> None:
        """End it in the background if nobody has ended it.

        Either an exception came before its block began, or the block was dropped: then its end may still
        come, since finalisers of objects dropped together run in any order.
        """
        if self._owner == os.getpid() and (self._open or self._ending is not None):
            self._keeper.dropped(self)

    def forgotten(self) -> Ending | None:
        """Return how it ends now that nobody has it any more; ``None`` if its block ended it after all."""
        if self._open:
            self._open = False
            # It was not used, and if its block had begun, that would have ended it: so nothing was sent.
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
        """Return how it ends with what was recorded so far; ``failure`` is why its block ended early."""
        reservation, most = str(self.terms.id), Nanos(max(self.terms.estimate, self._spent))
        if not self._calls:
            if self.terms.submits:
                return Ending(reservation, "submit")
            return Ending(reservation, "orphan", failure or NEVER_REPORTED, most)
        if failure and not self.terms.one_call:
            return Ending(reservation, "orphan", failure, most)
        if self._unpriced and most > self._spent:
            return Ending(reservation, "orphan", UNPRICED, most, self._entries)
        if self._missing:  # the cost is known: the entries only have to arrive
            return Ending(reservation, "orphan", self._missing, self._spent, self._entries)
        return Ending(reservation, "settle")


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
