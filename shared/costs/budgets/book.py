"""The book of reservations: how they end, who left them behind, what they still count.

A reservation that its process left behind is never given up on suspicion: it stays as an orphan.
What its calls logged counts as spent, the rest of its estimate as held.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from ..errors import StorageUnavailable
from ..index.state import StateDb
from ..money import Nanos
from .holders import Holders
from .reservations import (
    RESERVATIONS,
    Held,
    Logged,
    Reservation,
    delete,
    latest_instant,
    orphan,
    outstanding,
    set_estimate,
    set_latest_instant,
)
from .spending import SpendReader

log = logging.getLogger("shared.cost_tracker")

TURN_S: Final = 0.25
"""How long one try at the gate waits for other processes. Threads of this process wait meanwhile."""

END_S: Final = 1.0
"""How long the end of a reservation waits for its turn; after that the next look makes up for it."""


class LedgerSums(SpendReader, Protocol):
    """What the gate asks of the index. ``shared.costs.index.index.Index`` is one."""

    @property
    def state(self) -> StateDb:
        """Where reservations are kept."""
        ...

    def holding_state(self, wait_s: float) -> AbstractContextManager[sqlite3.Connection]:
        """Hold the one write lock of the state, inside which the ledgers may be asked."""
        ...

    def catch_up_all(self) -> bool:
        """Take in what any ledger has; ``False`` when that would take too long."""
        ...

    def logged(self, reservations: Collection[str]) -> Mapping[str, tuple[int, Nanos]]:
        """Return calls and cost that the ledgers have under each of these reservations, if any."""
        ...


class Book:
    """The reservations of one cost storage. Safe to use from threads and after a fork."""

    def __init__(self, ledgers: LedgerSums, holders: Holders, clock: Callable[[], datetime]) -> None:
        self.holders = holders
        self._ledgers = ledgers
        self._clock = clock
        self._unfinished: set[str] = set()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Hold the gate against all other processes, with the ledgers caught up.

        Raises:
            StorageUnavailable: the gate cannot be had in time, or the ledgers not be read.

        """
        self._ledgers.state.use(RESERVATIONS)
        with self._ledgers.holding_state(TURN_S) as db:
            self._catch_up()
            yield db

    def _catch_up(self) -> None:
        if not self._ledgers.catch_up_all():
            raise StorageUnavailable("the ledgers are still being read for the first time; try again soon")

    # --- ending

    def settle(self, reservation: str) -> None:
        """Give up a reservation whose calls are in the ledger.

        Not synced: after a power cut the reservation is back, and its entry mends it.
        """
        self._remove(reservation, "settled")

    def void(self, reservation: str) -> None:
        """Give up a reservation of which nothing was sent."""
        self._remove(reservation, "given back")

    def _remove(self, reservation: str, done: str) -> None:
        self._unfinished.add(reservation)
        with _reported(done), _unsynced(self._ledgers.state) as db:
            delete(db, [reservation])
            self._unfinished.discard(reservation)

    def abandon(self, reservation: str, why: str, amount: Nanos) -> None:
        """Make a reservation an orphan that counts at ``amount`` until its calls are in a ledger."""
        log.warning("reservation %s counts until it is released: %s", reservation, why)
        with _reported("kept as an orphan"), self._ledgers.state.transaction(END_S) as db:
            set_estimate(db, reservation, amount)
            orphan(db, {reservation: why})

    # --- looking

    def holds(self) -> list[Held]:
        """Return all reservations as they stand now, oldest first, without changing anything."""
        self._ledgers.state.use(RESERVATIONS)
        self._catch_up()
        with self._ledgers.state.reading() as db:
            held = self._held(outstanding(db))
        return self._counting(held, self._orphaned(held, self._clock()))

    def release(self, ids: Collection[str] | None, *, also_live: bool) -> list[Held]:
        """Give up orphans (with ``also_live`` any reservation): all, or those named; return them."""
        chosen = [
            held
            for held in self.holds()
            if (ids is None or held.reservation.id in ids) and (also_live or held.reservation.orphaned)
        ]
        with self._ledgers.state.transaction() as db:
            delete(db, [held.reservation.id for held in chosen])
        return chosen

    def latest(self) -> datetime:
        """Return the latest instant at which anything was reserved."""
        self._ledgers.state.use(RESERVATIONS)
        with self._ledgers.state.reading() as db:
            return latest_instant(db)

    def forget_future(self) -> bool:
        """Set the latest instant back to the present, if it lies after it."""
        self._ledgers.state.use(RESERVATIONS)
        with self._ledgers.state.transaction() as db:
            now = self._clock()
            ahead = latest_instant(db) > now
            if ahead:
                set_latest_instant(db, now)
        return ahead

    # --- mending

    def mended(self, db: sqlite3.Connection, since: datetime, ledger: Path | None) -> list[Held]:
        """Settle what is in the ledgers, make orphans of what was left behind; return what counts.

        Orphans from before ``since`` are left alone, unless they are of ``ledger``. ``db`` is the
        connection of :meth:`transaction`.
        """
        unfinished = list(self._unfinished)
        delete(db, unfinished)
        self._unfinished.difference_update(unfinished)
        held = self._held(outstanding(db, since, ledger))
        reasons = self._orphaned(held, self._clock())
        counting = self._counting(held, reasons)
        kept = {h.reservation.id for h in counting}
        delete(db, [h.reservation.id for h in held if h.reservation.id not in kept])
        orphan(db, reasons)
        return counting

    def _held(self, reservations: Sequence[Reservation]) -> list[Held]:
        logged = self._ledgers.logged([r.id for r in reservations]) if reservations else {}
        return [Held(r, Logged(*logged.get(r.id, ()))) for r in reservations]

    def _counting(self, held: Sequence[Held], reasons: Mapping[str, str]) -> list[Held]:
        """Return what still counts, with the reason where it is an orphan now.

        One that was left behind between its entry and its settle is over: its call is counted.
        """
        now = [_with_reason(h, reasons.get(h.reservation.id)) for h in held]
        return [h for h in now if not (h.reservation.orphaned and h.is_complete)]

    def _orphaned(self, held: Sequence[Held], now: datetime) -> dict[str, str]:
        """Return why live reservations are live no more, by id."""
        live = [h.reservation for h in held if h.reservation.orphaned is None]
        dead = self.holders.dead({r.holder for r in live})
        reasons = {r.id: "its process ended" for r in live if r.holder in dead}
        expired = {r.id: "it expired" for r in live if now >= r.expires_at}
        return expired | reasons


def _with_reason(held: Held, why: str | None) -> Held:
    return held if why is None else Held(replace(held.reservation, orphaned=why), held.logged)


@contextmanager
def _reported(done: str) -> Iterator[None]:
    """Say when a reservation cannot be ended. Harmless: it counts on, and the next look mends it."""
    try:
        yield
    except (StorageUnavailable, OSError) as failure:
        log.info("a reservation could not be %s yet: %s", done, failure)


@contextmanager
def _unsynced(state: StateDb) -> Iterator[sqlite3.Connection]:
    """Give a transaction that is not brought to the disk by itself: some times faster."""
    with state.reading(END_S) as connection:
        connection.execute("PRAGMA synchronous=NORMAL")
        try:
            with state.transaction(END_S) as db:
                yield db
        finally:
            connection.execute("PRAGMA synchronous=FULL")
