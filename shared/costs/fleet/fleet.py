"""A fleet as one process sees it: the hosts that share budgets through a database.

One daemon thread, started with the first logged call, publishes what was logged and renews leases. Only the
end of the process waits for it, for :data:`FINISH_S` at most. What is not published by then is in the
ledgers: the next process or ``cost-dashboard shared publish`` publishes it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from ..archive.known import fingerprint_of
from ..budgets.limits import Limit, Scope
from ..budgets.scopes import ModelName
from ..budgets.spending import read_spendings
from ..errors import CostError, StorageUnavailable
from ..forks import lock_of
from ..ledger.recorder import at_exit
from ..profile.types import Profile, SharedBudget
from ..storage import CostStorage
from ..store.presence import presence_in
from . import schema
from .address import read_address
from .database import SharedDatabase, Transaction
from .holds import SharedHolds
from .leases import Term
from .member import TradingMember
from .publishing import all_published, publish, publish_content, published, unpublished, waiting_bytes
from .standing import FleetStanding, open_leases, release, standing
from .sums import SharedSums
from .trading import Ledgers, TradeResult

if TYPE_CHECKING:
    from ..store.store import Store


log = logging.getLogger("shared.cost_tracker")

GATHER_S: Final = 0.25
"""How long calls are gathered before they are published together."""

FINISH_S: Final = 2.0
"""How long the end of a process waits for the last calls to be published, in seconds."""

_PAUSES_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
"""The waits after the first, second, ... failure in a row, in seconds."""

_RENEWALS: Final = 3
"""How many times a lease is renewed before it would end."""


class Agent:
    """The background thread of one process. Safe to use from threads and after a fork."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._lock = lock_of(self, "_lock")
        self._reset()

    def _reset(self) -> None:
        self._owner = os.getpid()
        self._ledgers = dict[Path, None]()
        self._woken = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._failures = 0
        self._has_published_all = False
        self._renewed_at = time.monotonic()
        self._used_at = time.monotonic()

    def logged(self, ledger: Path) -> None:
        """Note that a ledger has new lines. Never waits and never raises."""
        if self._owner != os.getpid():
            self._reset()
        self._used_at = time.monotonic()
        if ledger not in self._ledgers:
            self._ledgers[ledger] = None
        if self._thread is None:
            self._start()
        if not self._woken.is_set():
            self._woken.set()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._stopping:
                thread = threading.Thread(target=self._work, name="cost-ledger-fleet", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the interpreter shuts down: the next process publishes
                    return
                self._thread = thread
                at_exit(self.finish)

    def finish(self) -> None:
        """Publish what waits and give back unused leases, within :data:`FINISH_S`."""
        thread = self._thread
        if thread is None or self._owner != os.getpid() or thread is threading.current_thread():
            return
        self._stopping = True
        self._woken.set()
        thread.join(FINISH_S)

    # --- in the thread

    def _work(self) -> None:
        while not self._stopping:
            self._woken.wait(self._pause())
            if not self._stopping and self._woken.is_set():
                threading.Event().wait(GATHER_S)
            self._woken.clear()
            self._attempt(self._publish_and_renew)
        self._attempt(self._finish_work)

    def _pause(self) -> float:
        """Return the longest time until the next renewal or retry, in seconds."""
        if self._failures:
            return _PAUSES_S[min(self._failures, len(_PAUSES_S)) - 1]
        return max(0.05, self._renewed_at + self._fleet.settings.lease_s / _RENEWALS - time.monotonic())

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
            if self._failures:
                log.info("the shared budget is up to date again")
            self._failures = 0
        except (CostError, OSError) as fault:
            self._failures += 1
            if self._failures == 1:
                log.warning("totals of all hosts are late, nothing is lost: %s", fault)

    def _publish_and_renew(self) -> None:
        self._publish()
        if time.monotonic() >= self._renewed_at + self._fleet.settings.lease_s / _RENEWALS:
            idle = time.monotonic() - self._used_at > self._fleet.settings.lease_s
            self._fleet.renew(lower=idle, rests=idle)
            self._renewed_at = time.monotonic()

    def _finish_work(self) -> None:
        self._publish()
        if self._fleet.is_last_process():
            self._fleet.renew(lower=True, rests=True)

    def _publish(self) -> None:
        """Publish what is new in this process's ledgers, and the first time in all ledgers of this host."""
        if not self._has_published_all:
            self._fleet.publish()
            self._has_published_all = True
        ledgers, self._ledgers = list(self._ledgers), {}
        try:
            self._fleet.publish(ledgers)
        except BaseException:
            self._ledgers = dict.fromkeys([*ledgers, *self._ledgers])
            raise


COMMAND_S: Final = 30.0
"""How long a command waits for the database, in seconds."""

LOCK_NAME: Final = "shared.lock"
"""The file in the cost storage that a process locks while it exchanges leases."""


class DatabaseView(NamedTuple):
    """What this host sees of the database. ``clock_s`` is how many seconds its clock is ahead of ours."""

    uid: str
    server: str
    encryption: str
    clock_s: float


class PublishResult(NamedTuple):
    """How many entries were new, and which ledgers have how many bytes still to be published."""

    entries: int
    unpublished: Mapping[Path, int] = MappingProxyType({})

    @property
    def waiting(self) -> int:
        """How many bytes are still to be published."""
        return sum(self.unpublished.values())


class ThisHost(NamedTuple):
    """What a fleet needs to know about this host.

    ``profile_folder`` is where a relative ``file:`` address starts, ``store`` returns the sums of the host's
    ledgers, ``profile`` the profile in force.
    """

    storage: CostStorage
    environ: Mapping[str, str]
    profile_folder: Path | None
    clock: Callable[[], datetime]
    names: ModelName
    profile: Callable[[], Profile]
    store: Callable[[], Store]


class Fleet:
    """The hosts that share a budget, as one process sees them. Connects on first use.

    Args:
        settings: the profile's settings for the shared budget.
        host: this host.

    """

    def __init__(self, settings: SharedBudget, host: ThisHost) -> None:
        self.settings = settings
        self._host = host

    @property
    def source(self) -> str:
        """Where the profile says that the address is: ``env:NAME`` or ``file:PATH``."""
        return self.settings.url

    @cached_property
    def database(self) -> SharedDatabase:
        """The database; raises ``AddressRefused`` if it has no usable address."""
        return SharedDatabase(read_address(self.settings, self._host.environ, self._host.profile_folder))

    @cached_property
    def _outbox(self) -> SharedDatabase:
        """A connection for publishing, so that no call waits for it."""
        return SharedDatabase(self.database.address)

    @cached_property
    def holds(self) -> SharedHolds:
        """The holds of this host under the limits that all hosts share."""
        host = self._host
        presence = presence_in(host.storage.writers_dir)
        return SharedHolds(host.store(), presence, host.clock, lambda: self.member)

    @cached_property
    def member(self) -> TradingMember:
        """This host in the fleet."""
        host = self._host
        lock, ledgers = host.storage.root / LOCK_NAME, Ledgers(self._spent, self._has_all, host.profile)
        return TradingMember(self.database, self.holds, lock, self.settings.lease_s, host.names, ledgers)

    def _spent(self, limit: Limit) -> int:
        return read_spendings([limit], self._host.store(), self._host.names)[0].spent

    def _has_all(self, db: Transaction, number: int) -> bool:
        behind = unpublished(db, number, self._host.store().looked_at())
        return not waiting_bytes(published(db, number, behind), behind)

    @cached_property
    def agent(self) -> Agent:
        """The background thread of this process."""
        return Agent(self)

    @property
    def sums(self) -> SharedSums:
        """The sums of what all hosts have published."""
        return SharedSums(self.database)

    # --- what commands and the background do

    def init(self) -> int:
        """Create the tables or upgrade them to this version; return the version before, 0 for none."""
        return self.database.run(schema.init, COMMAND_S)

    def check(self) -> DatabaseView:
        """Return what this host sees of the database.

        Raises:
            StorageUnavailable: it cannot be used; the message says why.

        """

        def look(db: Transaction) -> DatabaseView:
            uid = schema.check(db)
            row = db.execute("SELECT current_setting('server_version'), clock_timestamp()").fetchone()
            assert row is not None  # the statement always returns one row
            encrypted = db.connection.pgconn.ssl_in_use
            ahead = (row[1] - self._host.clock()).total_seconds()
            return DatabaseView(
                uid, str(row[0]), "with TLS" if encrypted else "on this machine, without TLS", ahead
            )

        return self.database.run(look, COMMAND_S)

    def standing(self) -> FleetStanding:
        """Return the standing of all hosts."""
        term, names, profile = self.member.term(), self._host.names, self._host.profile()
        host = term.host if term is not None else None
        return self.database.run(lambda db: standing(db, names, profile, host), COMMAND_S)

    def open_leases(self, limits: Iterable[Limit]) -> dict[Scope, int]:
        """Return how much all hosts may spend of each limit beyond what they published."""
        chosen = list(limits)
        return self.database.run(lambda db: open_leases(db, chosen, self._host.names), COMMAND_S)

    def release(self, host: str) -> str:
        """Free the leases of a host that is gone, so that only what it published counts; return its name."""
        return self.database.run(lambda db: release(db, host), COMMAND_S)

    def renew(self, *, lower: bool = False, rests: bool = False) -> TradeResult:
        """Renew this host's leases; with ``lower`` give back the unused part of them."""
        return self.member.renew(lower=lower, rests=rests)

    def publish(self, ledgers: Iterable[Path] | None = None) -> PublishResult:
        """Publish what is new in some ledgers of this host, or in all of them and those in archives.

        Raises:
            StorageUnavailable: the database cannot be used; batches already published stay published.

        """
        number = self._number()
        entries = 0
        if ledgers is None:
            known = self._host.store().looked_at()
            behind = self._outbox.run(lambda db: unpublished(db, number, known), COMMAND_S)
        else:
            behind = list(ledgers)
        remaining = behind
        while remaining:
            batch = self._outbox.run(
                lambda db, rest=remaining: publish(db, number, rest),  # type: ignore[misc]
                COMMAND_S,
            )
            entries, remaining = entries + batch.entries, remaining[batch.done :]
        if ledgers is not None:
            if entries:
                self._outbox.run(lambda db: _record_published(db, number), COMMAND_S)
            return PublishResult(entries)
        packed = self._publish_packed(number)
        waiting = self._outbox.run(
            lambda db: _record_unpublished(db, number, behind, packed.unpublished), COMMAND_S
        )
        return PublishResult(entries + packed.entries, waiting)

    def _publish_packed(self, number: int) -> PublishResult:
        """Publish ledgers in archives that the database lacks, as after it was restored from a backup."""
        store = self._host.store()
        packed = {(os.fsencode(path), *mark): path for path, mark in store.packed_away()}
        if not packed:
            return PublishResult(0)
        missing = packed.keys() - self._outbox.run(lambda db: all_published(db, number), COMMAND_S)
        entries, unpublished = 0, {packed[key]: key[1] for key in missing}
        for path, content in store.packed(list(unpublished)):
            if isinstance(content, bytes) and (os.fsencode(path), *fingerprint_of(content)) in missing:
                entries += self._publish_content(number, os.fsencode(path), content)
                unpublished.pop(path, None)
        return PublishResult(entries, unpublished)

    def _publish_content(self, number: int, place: bytes, content: bytes) -> int:
        entries, row = 0, None
        while row is None or row.offset < len(content):
            row, new = self._outbox.run(
                lambda db, row=row: publish_content(db, number, place, content, row),  # type: ignore[misc]
                COMMAND_S,
            )
            entries += new
        return entries

    def _number(self) -> int:
        """Return this host's number in the database; join if it has none."""
        term = self.member.term()
        if term is not None:
            number = self._outbox.run(lambda db: _number_of(db, term), COMMAND_S)
            if number is not None:
                return number
        return self.renew().number

    def is_last_process(self) -> bool:
        """Tell whether no other process of this host uses its storage."""
        presence = self.holds.presence
        own = presence.name()
        return not any(presence.alive(name) for name in presence.names() if name != own)

    def close(self) -> None:
        """Publish what waits and close the connections; the next use opens them again."""
        if "agent" in self.__dict__:
            self.agent.finish()
        for name in ("database", "_outbox"):
            if name in self.__dict__:
                with suppress(StorageUnavailable):
                    self.__dict__[name].close()


def _record_unpublished(
    db: Transaction, number: int, behind: Sequence[Path], packed: Mapping[Path, int]
) -> dict[Path, int]:
    """Record how many bytes of a host are not published, for others to see, and return them by ledger."""
    unpublished = {**waiting_bytes(published(db, number, behind), behind), **packed}
    waiting = sum(unpublished.values())
    db.execute("UPDATE hosts SET waiting = ?, published = now() WHERE id = ?", (waiting, number))
    return unpublished


def _number_of(db: Transaction, term: Term) -> int | None:
    schema.require(db)
    row = db.execute(
        "SELECT id FROM hosts WHERE uid = ? AND (SELECT uid FROM fleet) = ?", (term.host, term.fleet)
    ).fetchone()
    return None if row is None else int(row[0])


def _record_published(db: Transaction, number: int) -> None:
    db.execute("UPDATE hosts SET published = now() WHERE id = ?", (number,))


_FLEETS: Final[dict[tuple[Path, SharedBudget], Fleet]] = {}
"""One fleet for each storage and database, whatever number of trackers the process creates."""


def fleet_of(settings: SharedBudget, host: ThisHost) -> Fleet:
    """Return this process's fleet of a cost storage: always the same object."""
    return _FLEETS.setdefault((host.storage.root, settings), Fleet(settings, host))


def close_all() -> None:
    """Publish what waits and close all connections of this process."""
    while _FLEETS:
        _, fleet = _FLEETS.popitem()
        fleet.close()
