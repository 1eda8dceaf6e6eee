"""What one process has of a fleet: the hosts that share budgets through a database.

In the background it publishes what was logged, and keeps leases alive: one daemon thread, begun with the
first call that is logged. Nobody waits for it but the end of the process, for :data:`FINISH_S` at most: what
is not published then is published by the next process, or by ``cost-dashboard shared publish``, for it stands
in the ledgers.
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
"""How long the end of a process waits for the last ones, in seconds."""

_PAUSES_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
"""How long after a failure it is tried again."""

_RENEWALS: Final = 3
"""How often in its time a lease is renewed."""


class Agent:
    """The background of one process. Safe to use from threads and after a fork."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._lock = lock_of(self, "_lock")
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._owner = os.getpid()
        self._ledgers = dict[Path, None]()
        self._woken = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._failures = 0
        self._swept = False
        self._renewed_at = time.monotonic()
        self._used_at = time.monotonic()

    def logged(self, ledger: Path) -> None:
        """Note that a ledger has something new. Never waits and never raises."""
        if self._owner != os.getpid():
            self._begin_anew()
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
                except RuntimeError:  # the interpreter ends: the next process publishes
                    return
                self._thread = thread
                at_exit(self.finish)

    def finish(self) -> None:
        """Publish what waits and give back what is left of the leases, within :data:`FINISH_S`."""
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
            self._tried(self._turn)
        self._tried(self._last_turn)

    def _pause(self) -> float:
        """Return after how many seconds something is to be done, at the latest."""
        if self._failures:
            return _PAUSES_S[min(self._failures, len(_PAUSES_S)) - 1]
        return max(0.05, self._renewed_at + self._fleet.settings.lease_s / _RENEWALS - time.monotonic())

    def _tried(self, action: Callable[[], None]) -> None:
        try:
            action()
            if self._failures:
                log.info("the shared budget is up to date again")
            self._failures = 0
        except (CostError, OSError) as fault:
            self._failures += 1
            if self._failures == 1:
                log.warning("totals of all hosts are late, nothing is lost: %s", fault)

    def _turn(self) -> None:
        self._publish()
        if time.monotonic() >= self._renewed_at + self._fleet.settings.lease_s / _RENEWALS:
            idle = time.monotonic() - self._used_at > self._fleet.settings.lease_s
            self._fleet.renew(lower=idle, rests=idle)
            self._renewed_at = time.monotonic()

    def _last_turn(self) -> None:
        self._publish()
        if self._fleet.is_last_process():
            self._fleet.renew(lower=True, rests=True)

    def _publish(self) -> None:
        """Publish what is new in the ledgers of this process; the first time in all of this host."""
        if not self._swept:
            self._fleet.publish()
            self._swept = True
        ledgers, self._ledgers = list(self._ledgers), {}
        try:
            self._fleet.publish(ledgers)
        except BaseException:
            self._ledgers = dict.fromkeys([*ledgers, *self._ledgers])
            raise


COMMAND_S: Final = 30.0
"""How long a command waits for the database, in seconds."""

LOCK_NAME: Final = "shared.lock"
"""The file in the cost storage that a process locks while it trades."""


class DatabaseView(NamedTuple):
    """How the database looks from here. ``clock_s`` is by how many seconds its clock is ahead of ours."""

    uid: str
    server: str
    encryption: str
    clock_s: float


class PublishResult(NamedTuple):
    """How many entries were new, and which ledgers are not published whole, with the bytes that are left."""

    entries: int
    left: Mapping[Path, int] = MappingProxyType({})

    @property
    def waiting(self) -> int:
        """How many bytes are still to be published."""
        return sum(self.left.values())


class ThisHost(NamedTuple):
    """What a fleet needs to know of this host.

    ``store`` gives the sums of its ledgers, ``profile`` what is in force.
    """

    storage: CostStorage
    environ: Mapping[str, str]
    beside: Path | None
    clock: Callable[[], datetime]
    names: ModelName
    profile: Callable[[], Profile]
    store: Callable[[], Store]


class Fleet:
    """The hosts that share a budget, as one process sees them. Opens nothing before it is used.

    Args:
        settings: what the profile says.
        here: this host. ``beside`` is the folder of the profile, from which a relative ``file:`` is meant.

    """

    def __init__(self, settings: SharedBudget, here: ThisHost) -> None:
        self.settings = settings
        self._here = here

    @property
    def source(self) -> str:
        """Where the address is, as the profile says it."""
        return self.settings.url

    @cached_property
    def database(self) -> SharedDatabase:
        """The database; raises ``AddressRefused`` where it has no address that may be used."""
        return SharedDatabase(read_address(self.settings, self._here.environ, self._here.beside))

    @cached_property
    def _outbox(self) -> SharedDatabase:
        """A connection for what takes long, so that no call waits for it."""
        return SharedDatabase(self.database.address)

    @cached_property
    def holds(self) -> SharedHolds:
        """The holds of this host, under limits that all share."""
        here = self._here
        presence = presence_in(here.storage.writers_dir)
        return SharedHolds(here.store(), presence, here.clock, lambda: self.member)

    @cached_property
    def member(self) -> TradingMember:
        """This host in the fleet."""
        here = self._here
        lock, ledgers = here.storage.root / LOCK_NAME, Ledgers(self._spent, self._has_all, here.profile)
        return TradingMember(self.database, self.holds, lock, self.settings.lease_s, here.names, ledgers)

    def _spent(self, limit: Limit) -> int:
        return read_spendings([limit], self._here.store(), self._here.names)[0].spent

    def _has_all(self, db: Transaction, number: int) -> bool:
        behind = unpublished(db, number, self._here.store().looked_at())
        return not waiting_bytes(published(db, number, behind), behind)

    @cached_property
    def agent(self) -> Agent:
        """What this process does in the background."""
        return Agent(self)

    @property
    def sums(self) -> SharedSums:
        """What all hosts have published."""
        return SharedSums(self.database)

    # --- what commands and the background do

    def init(self) -> int:
        """Make the tables, or bring them to this version; return the version before, 0 for none."""
        return self.database.run(schema.init, COMMAND_S)

    def check(self) -> DatabaseView:
        """Return how the database looks from here.

        Raises:
            StorageUnavailable: it cannot be used, and why.

        """

        def look(db: Transaction) -> DatabaseView:
            uid = schema.check(db)
            row = db.execute("SELECT current_setting('server_version'), clock_timestamp()").fetchone()
            assert row is not None  # one row always
            encrypted = db.connection.pgconn.ssl_in_use
            ahead = (row[1] - self._here.clock()).total_seconds()
            return DatabaseView(
                uid, str(row[0]), "with TLS" if encrypted else "on this machine, without TLS", ahead
            )

        return self.database.run(look, COMMAND_S)

    def standing(self) -> FleetStanding:
        """Return how the fleet stands."""
        term, names, profile = self.member.term(), self._here.names, self._here.profile()
        host = term.host if term is not None else None
        return self.database.run(lambda db: standing(db, names, profile, host), COMMAND_S)

    def open_leases(self, limits: Iterable[Limit]) -> dict[Scope, int]:
        """Return how much all hosts may spend of limits beyond what they published."""
        chosen = list(limits)
        return self.database.run(lambda db: open_leases(db, chosen, self._here.names), COMMAND_S)

    def release(self, host: str) -> str:
        """Let a host that is gone count no more than it published, on somebody's word; return its name."""
        return self.database.run(lambda db: release(db, host), COMMAND_S)

    def renew(self, *, lower: bool = False, rests: bool = False) -> TradeResult:
        """Let this host's leases hold on; with ``lower`` give back what of them is not used."""
        return self.member.renew(lower=lower, rests=rests)

    def publish(self, ledgers: Iterable[Path] | None = None) -> PublishResult:
        """Publish what is new in some ledgers of this host, or in all, also those that were packed away.

        Raises:
            StorageUnavailable: the database cannot be used; what is published already is.

        """
        number = self._number()
        entries = 0
        if ledgers is None:
            known = self._here.store().looked_at()
            behind = self._outbox.run(lambda db: unpublished(db, number, known), COMMAND_S)
        else:
            behind = list(ledgers)
        left = behind
        while left:
            done = self._outbox.run(lambda db, left=left: publish(db, number, left), COMMAND_S)  # type: ignore[misc]
            entries, left = entries + done.entries, left[done.done :]
        if ledgers is not None:
            if entries:
                self._outbox.run(lambda db: _note_published(db, number), COMMAND_S)
            return PublishResult(entries)
        packed = self._publish_packed(number)
        waiting = self._outbox.run(lambda db: _note_outbox(db, number, behind, packed.left), COMMAND_S)
        return PublishResult(entries + packed.entries, waiting)

    def _publish_packed(self, number: int) -> PublishResult:
        """Publish ledgers in an archive that the database has not, as after it went back in time."""
        store = self._here.store()
        packed = {(os.fsencode(path), *mark): path for path, mark in store.packed_away()}
        if not packed:
            return PublishResult(0)
        missing = packed.keys() - self._outbox.run(lambda db: all_published(db, number), COMMAND_S)
        entries, left = 0, {packed[each]: each[1] for each in missing}
        for path, content in store.packed(list(left)):
            if isinstance(content, bytes) and (os.fsencode(path), *fingerprint_of(content)) in missing:
                entries += self._publish_content(number, os.fsencode(path), content)
                left.pop(path, None)
        return PublishResult(entries, left)

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
        """Return this host's number in the database; it joins where it has none."""
        term = self.member.term()
        if term is not None:
            number = self._outbox.run(lambda db: _number_of(db, term), COMMAND_S)
            if number is not None:
                return number
        return self.renew().number

    def is_last_process(self) -> bool:
        """Tell whether no other process of this host has anything to do with its storage."""
        presence = self.holds.presence
        own = presence.name()
        return not any(presence.alive(name) for name in presence.names() if name != own)

    def close(self) -> None:
        """Publish what waits, and close the connections; the next use opens them."""
        if "agent" in self.__dict__:
            self.agent.finish()
        for name in ("database", "_outbox"):
            if name in self.__dict__:
                with suppress(StorageUnavailable):
                    self.__dict__[name].close()


def _note_outbox(
    db: Transaction, number: int, behind: Sequence[Path], packed: Mapping[Path, int]
) -> dict[Path, int]:
    """Tell the others how far a host has published what was behind, and return what is left."""
    left = {**waiting_bytes(published(db, number, behind), behind), **packed}
    waiting = sum(left.values())
    db.execute("UPDATE hosts SET waiting = ?, published = now() WHERE id = ?", (waiting, number))
    return left


def _number_of(db: Transaction, term: Term) -> int | None:
    schema.require(db)
    found = db.execute(
        "SELECT id FROM hosts WHERE uid = ? AND (SELECT uid FROM fleet) = ?", (term.host, term.fleet)
    ).fetchone()
    return None if found is None else int(found[0])


def _note_published(db: Transaction, number: int) -> None:
    db.execute("UPDATE hosts SET published = now() WHERE id = ?", (number,))


_FLEETS: Final[dict[tuple[Path, SharedBudget], Fleet]] = {}
"""One a storage and database for as long as the process lives, however many trackers it makes."""


def fleet_of(settings: SharedBudget, here: ThisHost) -> Fleet:
    """Return this process's fleet of a cost storage: the same object for all that ask."""
    return _FLEETS.setdefault((here.storage.root, settings), Fleet(settings, here))


def close_all() -> None:
    """Publish what waits and close all connections of this process."""
    while _FLEETS:
        _, fleet = _FLEETS.popitem()
        fleet.close()
