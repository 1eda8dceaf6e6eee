"""Holds under limits that several hosts share: ``budgets.port.Holds``, over the local ones.

A call is decided here, against this host's leases; only where one of them is too small the shared database is
asked for more, outside the turn, and the call is decided once more.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Final

from ..budgets.port import Decide, Decision, Reservation, Turn
from ..errors import StorageUnavailable
from ..store.holds import LocalHolds
from ..store.presence import Presence
from ..store.state import Tables
from . import leases
from .leases import LeasedTurn, Want, key_of
from .member import TradingMember

if TYPE_CHECKING:
    import sqlite3

    from ..store.store import Store

GROWTHS: Final = 3
"""How often more is asked for within one decision: other processes of this host may take what was granted."""

DENIED_S: Final = 0.2
"""For how long a limit that was found used up is not asked for again."""


class SharedHolds(LocalHolds):
    """The holds of one host of a fleet. Safe to use from threads and after a fork.

    ``member`` gives the one who trades for this host.
    """

    tables: ClassVar[tuple[Tables, ...]] = (*LocalHolds.tables, leases.TABLES)

    def __init__(
        self,
        ledgers: Store,
        presence: Presence,
        clock: Callable[[], datetime],
        member: Callable[[], TradingMember],
    ) -> None:
        super().__init__(ledgers, presence, clock)
        self._member = member
        self._denied: dict[object, tuple[float, int, int]] = {}

    def reserve(self, decide: Decide, wait_s: float) -> Decision:
        """Decide in one exclusive turn of this host, with as much of each limit as could be had."""
        decision, wanted = self._decided(decide, wait_s)
        for _ in range(GROWTHS):
            if isinstance(decision, Reservation) or not wanted or self._is_known_denied(wanted):
                break
            answer = self._member().grow(wanted)
            decision, wanted = self._decided(decide, wait_s)
            if answer is not None and answer.denied and not isinstance(decision, Reservation):
                self._remember(answer.denied)
                with suppress(StorageUnavailable):
                    self._member().give_back(answer.denied)
                break
        return decision

    def _turn(self, db: sqlite3.Connection) -> LeasedTurn:
        return LeasedTurn(self, db)

    def _decided(self, decide: Decide, wait_s: float) -> tuple[Decision, list[Want]]:
        wanted: list[Want] = []

        def with_leases(turn: Turn) -> Decision:
            decision = decide(turn)
            assert isinstance(turn, LeasedTurn)  # the holds below give no other
            wanted[:] = turn.wanted
            return decision

        return super().reserve(with_leases, wait_s), wanted

    def _is_known_denied(self, wanted: list[Want]) -> bool:
        """Tell whether one of the limits was found used up a moment ago: the network is left alone then."""
        now = time.monotonic()
        for want in wanted:
            until, least, amount = self._denied.get(key_of(want.limit), (0.0, 0, 0))
            if now < until and want.need >= least and want.limit.amount <= amount:
                return True
        return False

    def _remember(self, denied: list[Want]) -> None:
        until = time.monotonic() + DENIED_S
        self._denied = {key_of(want.limit): (until, want.need, want.limit.amount) for want in denied}
