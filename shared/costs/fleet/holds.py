"""Holds under limits that several hosts share: ``budgets.port.Holds``, over the local ones.

A call is decided against this host's leases. Only if one of them is too small, the shared database is asked
for more, outside the turn, and the call is decided again.
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
from .leases import LeasedTurn, LeaseRequest, key_of
from .member import TradingMember

if TYPE_CHECKING:
    import sqlite3

    from ..store.store import Store

GROWTHS: Final = 3
"""How many times one decision asks for more: other processes of this host may use up what was granted."""

DENIED_S: Final = 0.2
"""How long a limit that was used up is not asked for again, in seconds."""


class SharedHolds(LocalHolds):
    """The holds of one host of a fleet. Safe to use from threads and after a fork.

    ``member`` returns the member that exchanges leases for this host.
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
        """Decide in one exclusive turn of this host, and get larger leases if the call needs them."""
        decision, requests = self._decide(decide, wait_s)
        for _ in range(GROWTHS):
            if isinstance(decision, Reservation) or not requests or self._is_known_denied(requests):
                break
            result = self._member().grow(requests)
            decision, requests = self._decide(decide, wait_s)
            if result is not None and result.denied and not isinstance(decision, Reservation):
                self._remember_denied(result.denied)
                with suppress(StorageUnavailable):
                    self._member().give_back(result.denied)
                break
        return decision

    def _turn(self, db: sqlite3.Connection) -> LeasedTurn:
        return LeasedTurn(self, db)

    def _decide(self, decide: Decide, wait_s: float) -> tuple[Decision, list[LeaseRequest]]:
        requests: list[LeaseRequest] = []

        def with_leases(turn: Turn) -> Decision:
            decision = decide(turn)
            assert isinstance(turn, LeasedTurn)  # made by _turn()
            requests[:] = turn.requests
            return decision

        return super().reserve(with_leases, wait_s), requests

    def _is_known_denied(self, requests: list[LeaseRequest]) -> bool:
        """Tell whether one of the limits was used up a moment ago, so that asking again is pointless."""
        now = time.monotonic()
        for request in requests:
            until, min_need, max_amount = self._denied.get(key_of(request.limit), (0.0, 0, 0))
            if now < until and request.need >= min_need and request.limit.amount <= max_amount:
                return True
        return False

    def _remember_denied(self, denied: list[LeaseRequest]) -> None:
        until = time.monotonic() + DENIED_S
        self._denied = {
            key_of(request.limit): (until, request.need, request.limit.amount) for request in denied
        }
