"""What one process has of a fleet: the hosts that share budgets through a database."""

from __future__ import annotations

import os
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
from ..errors import StorageUnavailable
from ..profile.types import Profile, SharedBudget
from ..storage import CostStorage
from ..store.presence import presence_in
from . import schema
from .address import read_address
from .agent import Agent
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
