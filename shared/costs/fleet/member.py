"""This host as a member of a fleet: its term and leases here, and what it exchanges for them there."""

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
from .leases import Lease, Term, Want, instant, key_of, limit_of, up_s
from .standing import counting
from .trading import Key, Ledgers, OtherFleet, TradeOffer, TradeResult, next_token, trade

if TYPE_CHECKING:
    from ..store.holds import LocalHolds, LocalTurn

TRADE_S: Final = 5.0
"""How long an exchange with the database may take, in seconds."""

TURN_S: Final = 5.0
"""How long it waits for its turn at the holds, in seconds."""


class TradingMember:
    """The one who trades for this host; one process of it at a time. Safe to use from threads.

    Args:
        database: the shared database.
        local: the holds of this host.
        lock: a file that all processes of the host lock while they trade.
        lease_s: for how many seconds leases shall hold.
        names: gives the catalogue's name of a service and model.
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

    # --- what others ask of it

    def grow(self, wants: Sequence[Want]) -> TradeResult | None:
        """Get more of limits; ``None`` where another process got it meanwhile.

        Raises:
            StorageUnavailable: the database cannot be asked, or grants nothing until hosts have reported.

        """

        def look(turn: LocalTurn) -> tuple[list[Want], set[Key]]:
            term, held = book.term(turn.db), {lease.key: lease for lease in book.leases(turn.db)}
            valid = term is not None and term.holds()
            left = [want for want in wants if not (valid and _covers(held, want))]
            stale = [key for want in left if (key := key_of(want.limit)) and key in held]
            return left, {key for key in stale if self._is_lowered(held[key], left)}

        with self._alone():
            left, stale = self.local.in_turn(look, TURN_S)
            if not left:
                return None
            answer = self._exchange(left, stale)
            if answer.denied:
                self._refuse_to_wait(answer)
            return answer

    def give_back(self, wants: Sequence[Want]) -> None:
        """Give back what is neither spent nor held of some limits: it may be just what another host needs.

        Raises:
            StorageUnavailable: the database cannot be asked; what was given up here comes back by the next
                exchange.

        """
        with self._alone():
            self._exchange((), {key for want in wants if (key := key_of(want.limit))})

    def renew(self, *, lower: bool = False, rests: bool = False) -> TradeResult:
        """Let the leases hold on; with ``lower`` give back what is neither spent nor held.

        Raises:
            StorageUnavailable: the database cannot be asked.

        """
        with self._alone():
            return self._exchange((), None if lower else (), rests=rests)

    def term(self) -> Term | None:
        """Return the term of this host; ``None`` where it has never traded."""
        return self.local.in_turn(lambda turn: book.term(turn.db), TURN_S)

    def leases(self) -> list[Lease]:
        """Return the leases of this host."""
        return self.local.in_turn(lambda turn: book.leases(turn.db), TURN_S)

    def rejoin(self) -> None:
        """Take part as another host from now on: for a storage that was copied or restored.

        What the old name has counts on, until it is released.
        """

        def forget(turn: LocalTurn) -> None:
            turn.db.execute("DELETE FROM term")
            turn.db.execute("DELETE FROM leases")
            turn.db.execute("DELETE FROM fellows")

        with self._alone():
            self.local.in_turn(forget, TURN_S)

    # --- one exchange

    def _exchange(
        self, wants: Sequence[Want], lower: Collection[Key] | None, *, rests: bool = False
    ) -> TradeResult:
        """Trade once; ``lower`` names the leases that go down to what is used, ``None`` all."""
        for _ in range(2):
            offer = self.local.in_turn(lambda turn: self._offer(turn, wants, lower, rests=rests), TURN_S)
            if offer is None:
                self._meet(self.database.run(schema.check, TRADE_S))
                continue
            began_at, began_up = time.time(), up_s()
            try:
                answer = self.database.run(lambda db, offer=offer: self._traded(db, offer), TRADE_S)  # type: ignore[misc]
            except OtherFleet as other:
                self._meet(str(other.args[0]))
                continue
            term = offer.term._replace(
                version=answer.version,
                token=offer.token,
                pending="",
                ends_at=began_at + self._lease_s,
                began_up=began_up,
                ends_up=began_up + self._lease_s,
            )
            self.local.in_turn(partial(_adopt, offer=offer, term=term, answer=answer), TURN_S)
            return answer
        raise SharedUnavailable("the shared database is another one at each look; is its address right?")

    def _offer(
        self, turn: LocalTurn, wants: Sequence[Want], lower: Collection[Key] | None, *, rests: bool
    ) -> TradeOffer | None:
        """Write down that an exchange is under way, and what goes down; ``None`` before the first one."""
        term = book.term(turn.db)
        if term is None:
            return None
        token = next_token(term.pending)
        book.put_term(turn.db, term._replace(pending=token))
        lowered = self._lowered(turn, lower)
        held = book.leases(turn.db)
        return TradeOffer(
            term=term,
            token=token,
            name=host_name()[:64] or "unnamed",
            lease_s=self._lease_s,
            leases=held,
            fellows=book.fellows(turn.db),
            lowered=lowered,
            wants=wants,
            rests=rests,
            counting=counting(self._ledgers.profile()),
        )

    def _lowered(self, turn: LocalTurn, chosen: Collection[Key] | None) -> list[tuple[Key, int]]:
        """Let leases go down to what is used, before the database is told: so nothing is used twice."""
        lowered = list[tuple[Key, int]]()
        if chosen is not None and not chosen:
            return lowered
        found = [lease for lease in book.leases(turn.db) if chosen is None or lease.key in chosen]
        for lease, used in zip(found, self._used(turn, found), strict=True):
            if used < lease.granted:
                book.lower(turn.db, lease, used)
                lowered.append((lease.key, used))
        return lowered

    def _used(self, turn: LocalTurn, found: Sequence[Lease]) -> list[int]:
        """Return what is spent and held here of each lease."""
        rules = self._ledgers.profile().tag_rules
        limits = [limit_of(lease, rules) for lease in found]
        since = min((lease.starts for lease in found), default=0)
        holds = turn.holds(instant(since), None)
        stands = standings(read_spendings(limits, turn, self._names), holds, self._names)
        return [
            max(0, lease.seen, stand.spending.spent + lease.lost) + stand.held
            for lease, stand in zip(found, stands, strict=True)
        ]

    def _traded(self, db: Transaction, offer: TradeOffer) -> TradeResult:
        return trade(db, offer, self._names, self._ledgers)

    def _meet(self, fleet: str) -> None:
        """Begin anew with a database that this host has not traded with."""
        new = Term(fleet, token_hex(16))
        self.local.in_turn(lambda turn: book.put_term(turn.db, new), TURN_S)

    def _is_lowered(self, lease: Lease, wants: Sequence[Want]) -> bool:
        """Tell whether a limit was lowered since its lease was granted: too much may be left of it."""
        return any(key_of(want.limit) == lease.key and want.limit.amount < lease.amount for want in wants)

    def _refuse_to_wait(self, answer: TradeResult) -> None:
        if answer.waits_for:
            hosts = ", ".join(answer.waits_for)
            is_certain = isinf(answer.waits_s)
            what = "went back" if is_certain else "was started anew and may have gone back"
            least = "is released" if is_certain else f"for {answer.waits_s:.0f} s at most"
            raise SharedUnavailable(
                f"the shared database {what} to an older state: nothing is granted until {hosts} reported, "
                f"or {least}; see cost-dashboard shared"
            )

    def _alone(self) -> _OneAtATime:
        return _OneAtATime(self._lock)


class _OneAtATime:
    """One process of the host, and one thread of it, at a time."""

    def __init__(self, path: Path) -> None:
        from filelock import FileLock  # its import takes long, and few trade

        self._lock = FileLock(path, mode=FILE_MODE, thread_local=False)

    def __enter__(self) -> None:
        from filelock import Timeout

        try:
            self._lock.acquire(timeout=allowed(TRADE_S))
        except Timeout:
            raise StorageBusy("another process of this host trades with the shared database") from None

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _covers(held: dict[Key, Lease], want: Want) -> bool:
    key = key_of(want.limit)
    lease = held.get(key) if key else None
    if lease is None or want.limit.amount < lease.amount or want.spent + lease.lost < lease.seen:
        return False
    return want.used - want.lost + lease.lost + want.need <= lease.granted


def _adopt(turn: LocalTurn, offer: TradeOffer, term: Term, answer: TradeResult) -> None:
    """Write down what the answer to an exchange says, unless a later one is there."""
    here = book.term(turn.db)
    if here is None or here.fleet != term.fleet or here.version >= term.version:
        return
    known = {lease.key: lease.seen for lease in offer.leases}
    known |= {
        key: max(want.seen, want.spent + want.lost) for want in offer.wants if (key := key_of(want.limit))
    }
    seen = {lease.key: lease.seen for lease in book.leases(turn.db) if lease.seen > known.get(lease.key, 0)}
    book.put_term(turn.db, term)
    # What another process of this host has seen since it was asked for stays seen.
    leases = [lease._replace(seen=max(lease.seen, seen.get(lease.key, 0))) for lease in answer.leases]
    book.replace_leases(turn.db, leases)
    book.replace_fellows(turn.db, answer.fellows)
