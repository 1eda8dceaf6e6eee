"""What a caller has after reserving: money set aside until its calls are in the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Final, Protocol, Self

from ..forks import lock_of
from ..money import ZERO, Nanos, format_usd

NEVER_REPORTED: Final = "its block ended without a ledger entry"
FAILED: Final = "its block failed before all of its calls were in the ledger"
WAITING: Final = "its ledger entry waits outside the ledger"


class Keeper(Protocol):
    """Who keeps the reservations: the gate."""

    def settle(self, reservation: str) -> None:
        """Give up a reservation whose calls are in the ledger."""
        ...

    def void(self, reservation: str) -> None:
        """Give up a reservation of which nothing was sent."""
        ...

    def abandon(self, reservation: str, why: str, amount: Nanos) -> None:
        """Keep counting a reservation, at ``amount``, until its calls are in a ledger."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What was agreed when reserving.

    ``id`` is ``None`` where nothing had to be held. ``period_at`` decides the day and month of the
    calls. ``override`` says by what a refusal was overridden: it belongs into the entries.
    ``warnings`` are to be shown.
    """

    id: str | None
    period_at: datetime | None = None
    estimate: Nanos = ZERO
    one_call: bool = True
    override: str | None = None
    warnings: tuple[str, ...] = ()


class Hold:
    """A reservation in the hands of its caller; ends with its ``with`` block. Thread-safe.

    Tell it what was recorded with :meth:`recorded`, after the entry is in the ledger. A block that
    ends without that leaves an orphan, which counts at its estimate until somebody releases it:
    the provider may have served the call. Only :meth:`void` gives the money back, for a caller that
    is certain that nothing was sent.
    """

    def __init__(self, keeper: Keeper, terms: Terms) -> None:
        self.terms = terms
        self._keeper = keeper
        self._lock = lock_of(self, "_lock")
        self._open = terms.id is not None
        self._spent = ZERO
        self._calls = 0
        self._waiting = False

    @property
    def id(self) -> str | None:
        """The reservation's id, which its entries carry; ``None`` where nothing is held."""
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

    def recorded(self, cost: Nanos, *, in_ledger: bool = True) -> str | None:
        """Note that a call was recorded at ``cost``; settle when that was the only one.

        ``in_ledger`` is ``False`` for an entry that is spooled: the hold then counts on, at what
        the call did cost, until the entry is seen in the ledger.

        Returns an alert when the calls cost more than was held: the only overshoot there can be.
        """
        with self._lock:
            self._calls += 1
            self._spent = Nanos(self._spent + cost)
            self._waiting |= not in_ledger
            over = self._spent > self.estimate and self._open
            if self.terms.one_call:
                self._end()
        return self._overrun() if over else None

    def void(self) -> None:
        """Give everything back. Only for a caller that is certain that no request was sent."""
        with self._lock:
            if self._open and self.id:
                self._open = False
                self._keeper.void(self.id)

    def close(self, failed: bool = False) -> None:
        """End the hold: settled when its calls are in the ledger, else left as an orphan."""
        with self._lock:
            if not self._open or self.id is None:
                return
            if failed or (self.terms.one_call and not self._calls):
                why = FAILED if failed else NEVER_REPORTED
                self._abandon(why, max(self.estimate, self._spent))
            else:
                self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(failed=kind is not None)

    def _end(self) -> None:
        if not self._open or self.id is None:
            return
        if self._waiting:
            self._abandon(WAITING, self._spent)  # all is known: it only has to arrive
        else:
            self._open = False
            self._keeper.settle(self.id)

    def _abandon(self, why: str, amount: Nanos) -> None:
        self._open = False
        self._keeper.abandon(str(self.id), why, amount)

    def _overrun(self) -> str:
        return (
            f"⚠️  WARNING: a reserved call cost {format_usd(self._spent, 4)}, more than the "
            f"{format_usd(self.estimate, 4)} held for it: check the maximum output that was reserved"
        )
