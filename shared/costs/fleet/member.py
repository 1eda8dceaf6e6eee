"""This host as a member of a fleet: its term and leases, exchanged with the shared database."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from functools import partial
from math import isinf
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Final

from ..budgets.deciding import standings
from ..budgets.scopes import ModelName
from ..budgets.spending import read_spendings
from ..errors import StorageBusy
from ..patience import allowed
from ..platform import FILE_MODE, host_name
from . import leases as book
from . import schema
from .database import SharedDatabase, SharedUnavailable, Transaction
from .leases import Lease, LeaseRequest, Term, instant, key_of, limit_of, up_s
from .standing import counting
from .trading import Key, Ledgers, OtherFleet, TradeOffer, TradeResult, next_token, trade

if TYPE_CHECKING:
    from ..store.holds import LocalHolds, LocalTurn

TRADE_S: Final = 5.0
"""How long an exchange with the database may take, in seconds."""

TURN_S: Final = 5.0
"""How long an exchange waits for its turn at the holds, in seconds."""


class TradingMember:
    """Exchanges leases for this host, one process at a time. Safe to use from threads.

    Args:
        database: the shared database.
        local: the holds of this host.
        lock: a file that a process of the host locks while it trades.
        lease_s: how long leases last, in seconds.
        names: returns the catalogue's name of a service and model.
        ledgers: what this host recorded.

    """

    def __init__(
        self,
        database: SharedDatabase,
        local: LocalHolds,
        lock: Path,
        lease_s: int,
        names: ModelName,
        ledgers: Ledgers,
    ) -> None:
        self.database = database
        self.local = local
        self._lock = lock
        self._lease_s = lease_s
        self._names = names
        self._ledgers = ledgers

    # --- what the gate and the background thread call

    def grow(self, requests: Sequence[LeaseRequest]) -> TradeResult | None:
        """Request larger leases; return ``None`` if another process got them meanwhile.

        Raises:
            StorageUnavailable: the database cannot be reached, or grants nothing until hosts have reported.

        """

        def look(turn: LocalTurn) -> tuple[list[LeaseRequest], set[Key]]:
            term, held = book.term(turn.db), {lease.key: lease for lease in book.leases(turn.db)}
            valid = term is not None and term.holds()
            uncovered = [request for request in requests if not (valid and _covers(held, request))]
            stale = [key for request in uncovered if (key := key_of(request.limit)) and key in held]
            return uncovered, {key for key in stale if self._is_lowered(held[key], uncovered)}

        with self._trade_lock():
            uncovered, stale = self.local.in_turn(look, TURN_S)
            if not uncovered:
                return None
            result = self._exchange(uncovered, stale)
            if result.denied:
                self._raise_if_waiting(result)
            return result

    def give_back(self, requests: Sequence[LeaseRequest]) -> None:
        """Give back what is neither spent nor held of some leases: another host may need it.

        Raises:
            StorageUnavailable: the database cannot be reached; the next exchange gives it back.

        """
        with self._trade_lock():
            self._exchange((), {key for request in requests if (key := key_of(request.limit))})

    def renew(self, *, lower: bool = False, rests: bool = False) -> TradeResult:
        """Renew the leases; with ``lower`` give back what is neither spent nor held.

        Raises:
            StorageUnavailable: the database cannot be reached.

        """
        with self._trade_lock():
            return self._exchange((), None if lower else (), rests=rests)

    def term(self) -> Term | None:
        """Return the term of this host; ``None`` if it has never traded."""
        return self.local.in_turn(lambda turn: book.term(turn.db), TURN_S)

    def leases(self) -> list[Lease]:
        """Return the leases of this host."""
        return self.local.in_turn(lambda turn: book.leases(turn.db), TURN_S)

    def rejoin(self) -> None:
        """Join as a new host: for a cost storage that was copied or restored from a backup.

        The leases of the old host still count until it is released.
        """

        def forget(turn: LocalTurn) -> None:
            turn.db.execute("DELETE FROM term")
            turn.db.execute("DELETE FROM leases")
            turn.db.execute("DELETE FROM fellows")

        with self._trade_lock():
            self.local.in_turn(forget, TURN_S)

    # --- one exchange

    def _exchange(
        self, requests: Sequence[LeaseRequest], lower: Collection[Key] | None, *, rests: bool = False
    ) -> TradeResult:
        """Trade once; ``lower`` names the leases to lower to what is used, ``None`` means all."""
        for _ in range(2):
            offer = self.local.in_turn(lambda turn: self._offer(turn, requests, lower, rests=rests), TURN_S)
            if offer is None:
                self._start_term(self.database.run(schema.check, TRADE_S))
                continue
            began_at, began_up = time.time(), up_s()
            try:
                result = self.database.run(lambda db, offer=offer: self._trade(db, offer), TRADE_S)  # type: ignore[misc]
            except OtherFleet as other:
                self._start_term(str(other.args[0]))
                continue
            term = offer.term._replace(
                version=result.version,
                token=offer.token,
                pending="",
                ends_at=began_at + self._lease_s,
                began_up=began_up,
                ends_up=began_up + self._lease_s,
            )
            self.local.in_turn(partial(_adopt, offer=offer, term=term, result=result), TURN_S)
            return result
        raise SharedUnavailable("the shared database is another one at each look; is its address right?")

    def _offer(
        self, turn: LocalTurn, requests: Sequence[LeaseRequest], lower: Collection[Key] | None, *, rests: bool
    ) -> TradeOffer | None:
        """Store that an exchange is under way, and lower leases; ``None`` if the host has no term yet."""
        term = book.term(turn.db)
        if term is None:
            return None
        token = next_token(term.pending)
        book.put_term(turn.db, term._replace(pending=token))
        lowered = self._lower_to_used(turn, lower)
        held = book.leases(turn.db)
        return TradeOffer(
            term=term,
            token=token,
            name=host_name()[:64] or "unnamed",
            lease_s=self._lease_s,
            leases=held,
            other_hosts=book.other_hosts(turn.db),
            lowered=lowered,
            requests=requests,
            rests=rests,
            counting=counting(self._ledgers.profile()),
        )

    def _lower_to_used(self, turn: LocalTurn, chosen: Collection[Key] | None) -> list[tuple[Key, int]]:
        """Lower leases to what is used before the database is told, so that no amount is used twice."""
        lowered = list[tuple[Key, int]]()
        if chosen is not None and not chosen:
            return lowered
        leases = [lease for lease in book.leases(turn.db) if chosen is None or lease.key in chosen]
        for lease, used in zip(leases, self._used(turn, leases), strict=True):
            if used < lease.granted:
                book.lower(turn.db, lease, used)
                lowered.append((lease.key, used))
        return lowered

    def _used(self, turn: LocalTurn, leases: Sequence[Lease]) -> list[int]:
        """Return what this host has spent and holds of each lease."""
        rules = self._ledgers.profile().tag_rules
        limits = [limit_of(lease, rules) for lease in leases]
        since = min((lease.starts for lease in leases), default=0)
        holds = turn.holds(instant(since), None)
        stands = standings(read_spendings(limits, turn, self._names), holds, self._names)
        return [
            max(0, lease.seen, stand.spending.spent + lease.lost) + stand.held
            for lease, stand in zip(leases, stands, strict=True)
        ]

    def _trade(self, db: Transaction, offer: TradeOffer) -> TradeResult:
        return trade(db, offer, self._names, self._ledgers)

    def _start_term(self, fleet: str) -> None:
        """Store a new term, with a database that this host has not traded with."""
        new = Term(fleet, token_hex(16))
        self.local.in_turn(lambda turn: book.put_term(turn.db, new), TURN_S)

    def _is_lowered(self, lease: Lease, requests: Sequence[LeaseRequest]) -> bool:
        """Tell whether a limit was lowered since its lease was granted: the lease may be too large."""
        return any(
            key_of(request.limit) == lease.key and request.limit.amount < lease.amount for request in requests
        )

    def _raise_if_waiting(self, result: TradeResult) -> None:
        if result.waits_for:
            hosts = ", ".join(result.waits_for)
            is_certain = isinf(result.waits_s)
            event = "went back" if is_certain else "was restarted and may have gone back"
            deadline = "is released" if is_certain else f"for {result.waits_s:.0f} s at most"
            raise SharedUnavailable(
                f"the shared database {event} to an older state: nothing is granted until {hosts} reported, "
                f"or {deadline}; see cost-dashboard shared"
            )

    def _trade_lock(self) -> _TradeLock:
        return _TradeLock(self._lock)


class _TradeLock:
    """A lock that one thread of one process of this host holds at a time."""

    def __init__(self, path: Path) -> None:
        from filelock import FileLock  # slow to import, and few processes trade

        self._lock = FileLock(path, mode=FILE_MODE, thread_local=False)

    def __enter__(self) -> None:
        from filelock import Timeout

        try:
            self._lock.acquire(timeout=allowed(TRADE_S))
        except Timeout:
            raise StorageBusy("another process of this host trades with the shared database") from None

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _covers(held: dict[Key, Lease], request: LeaseRequest) -> bool:
    key = key_of(request.limit)
    lease = held.get(key) if key else None
    if lease is None or request.limit.amount < lease.amount or request.spent + lease.lost < lease.seen:
        return False
    return request.used - request.lost + lease.lost + request.need <= lease.granted


def _adopt(turn: LocalTurn, offer: TradeOffer, term: Term, result: TradeResult) -> None:
    """Store the result of an exchange, unless that of a later one is stored already."""
    current = book.term(turn.db)
    if current is None or current.fleet != term.fleet or current.version >= term.version:
        return
    known = {lease.key: lease.seen for lease in offer.leases}
    known |= {
        key: max(request.seen, request.spent + request.lost)
        for request in offer.requests
        if (key := key_of(request.limit))
    }
    seen = {lease.key: lease.seen for lease in book.leases(turn.db) if lease.seen > known.get(lease.key, 0)}
    book.put_term(turn.db, term)
    # What another process of this host has seen since the offer was made is kept.
    leases = [lease._replace(seen=max(lease.seen, seen.get(lease.key, 0))) for lease in result.leases]
    book.replace_leases(turn.db, leases)
    book.replace_other_hosts(turn.db, result.other_hosts)
