"""This host's leases: how much it may use of the limits that several hosts share.

They are stored in ``state.db``, and every process of the host gates its calls against them without using the
network. A *lease* is the most that this host may have spent and hold of a limit in a period, in total. It may
be used until the host's term ends, by the wall clock or by the time since the machine was started, whichever
comes first: setting the clock back does not prolong a lease.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from ..budgets.limits import Limit, Scope
from ..budgets.port import Allotment
from ..budgets.scopes import KINDS
from ..periods import Period
from ..profile.tag_rules import TagRule, rules_for
from ..rollup import Query
from ..store.holds import LocalHolds, LocalTurn
from ..store.state import Tables

TABLES: Final = Tables(
    "leases",
    (
        (
            """CREATE TABLE term (fleet TEXT PRIMARY KEY, host TEXT NOT NULL, version INTEGER NOT NULL,
                token TEXT NOT NULL, pending TEXT NOT NULL, ends_at REAL NOT NULL, began_up REAL NOT NULL,
                ends_up REAL NOT NULL) STRICT, WITHOUT ROWID""",
            """CREATE TABLE leases (scope TEXT NOT NULL, starts INTEGER NOT NULL, ends INTEGER NOT NULL,
                period TEXT NOT NULL, granted INTEGER NOT NULL, amount INTEGER NOT NULL,
                spent_elsewhere INTEGER NOT NULL, leased_elsewhere INTEGER NOT NULL,
                orphaned_elsewhere INTEGER NOT NULL, PRIMARY KEY (scope, starts, ends))
                STRICT, WITHOUT ROWID""",
        ),
        (
            "ALTER TABLE leases ADD COLUMN lost INTEGER NOT NULL DEFAULT 0",
            "ALTER TABLE leases ADD COLUMN seen INTEGER NOT NULL DEFAULT 0",
        ),
        (
            """CREATE TABLE fellows (host TEXT PRIMARY KEY, name TEXT NOT NULL, version INTEGER NOT NULL)
                STRICT, WITHOUT ROWID""",
        ),
    ),
)

_UTC: Final = ZoneInfo("UTC")
_UP: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def up_s() -> float:
    """Return for how many seconds this machine has been up, asleep or not, whatever its clock is set to."""
    return time.clock_gettime(_UP)


class Term(NamedTuple):
    """The identity of this host in a shared database, and until when it may use its leases.

    ``version`` and ``token`` are those of the last exchange that was answered, ``pending`` is the token of
    the last one that may have been carried out without an answer. By them both sides notice that one of them
    was restored from a backup or copied. ``ends_at`` is in seconds since 1970; ``began_up`` and ``ends_up``
    are in seconds of :func:`up_s`.
    """

    fleet: str
    host: str
    version: int = 0
    token: str = ""
    pending: str = ""
    ends_at: float = 0.0
    began_up: float = 0.0
    ends_up: float = 0.0

    def holds(self) -> bool:
        """Tell whether the leases may be used now."""
        return time.time() < self.ends_at and self.began_up <= up_s() < self.ends_up


class OtherHost(NamedTuple):
    """Another host of the fleet, and the ``version`` of its last exchange, as last read from the database.

    A database that was restored from a backup does not know which hosts joined or traded since: so each host
    remembers the others.
    """

    host: str
    name: str
    version: int


class Lease(NamedTuple):
    """What this host may have spent and hold of a limit in a period, in the limit's measure.

    ``scope`` is the limit's key; ``starts`` and ``ends`` are in microseconds since 1970. ``amount`` is the
    limit's amount when the lease was granted. The next three are what the other hosts had of it then.

    ``lost`` is what this host has published and its own ledgers and sums no longer contain: it counts as
    spent. ``seen`` is the largest spend at a decision since the last grant. If less is spent now, ledgers are
    gone or a call was taken back, and no call is allowed until the database has said which.
    """

    scope: str
    starts: int
    ends: int
    period: str
    granted: int
    amount: int
    spent_elsewhere: int = 0
    leased_elsewhere: int = 0
    orphaned_elsewhere: int = 0
    lost: int = 0
    seen: int = 0

    @property
    def key(self) -> tuple[str, int, int]:
        """The limit's key, and the period in microseconds since 1970."""
        return self.scope, self.starts, self.ends


def key_of(limit: Limit) -> tuple[str, int, int] | None:
    """Return the key by which all hosts know a limit in its period; ``None`` for one that they do not share.

    A job's limit is not shared, because its ledger is on one host, nor is a rolling window, which has no
    fixed period to lease.
    """
    period = limit.period
    if period is None or period.kind == "rolling":
        return None
    return limit.scope.key, _micros(period.start.timestamp()), _micros(period.end.timestamp())


def limit_of(lease: Lease, rules: Sequence[TagRule] = ()) -> Limit:
    """Return the limit of a lease, without what only alerts need; ``rules`` are those that tag calls.

    >>> lease = Lease('["ana", "month", null]', 0, 2_678_400_000_000, "1970-01", 5, 10)
    >>> str(limit_of(lease).scope), limit_of(lease).amount
    ('monthly limit of user ana', 10)
    """
    owner, kind, name = json.loads(lease.scope)
    scope_kind = KINDS[kind]
    start, end = instant(lease.starts), instant(lease.ends)
    assert scope_kind.period is not None  # others are not leased
    period = Period(scope_kind.period, lease.period, start, end, _UTC)
    tag_rules = rules_for(name, rules) if kind == "tag" else ()
    query = scope_kind.selecting(None if tag_rules else name, Query(start=start, end=end, user_id=owner))
    return Limit(Scope(owner, kind, name), lease.amount, period, query, blocking=True, rules=tag_rules)


def instant(micros: int) -> datetime:
    """Return the instant that many microseconds after 1970 began, in UTC."""
    return datetime.fromtimestamp(micros // 1_000_000, UTC)


def _micros(seconds: float) -> int:
    return round(seconds) * 1_000_000


# --- rows


def term(db: sqlite3.Connection) -> Term | None:
    """Return the term of this host; ``None`` if it has never exchanged anything."""
    row = db.execute("SELECT * FROM term").fetchone()
    return Term(*row) if row else None


def put_term(db: sqlite3.Connection, new: Term) -> None:
    """Store the term. A term with another database deletes the leases of the old one."""
    if db.execute("SELECT 1 FROM term WHERE fleet = ?", (new.fleet,)).fetchone() is None:
        db.execute("DELETE FROM term")
        db.execute("DELETE FROM leases")
        db.execute("DELETE FROM fellows")
    db.execute(f"REPLACE INTO term VALUES ({_marks(new)})", new)


def leases(db: sqlite3.Connection) -> list[Lease]:
    """Return all leases of this host."""
    return [Lease(*row) for row in db.execute("SELECT * FROM leases ORDER BY scope, starts, ends")]


def replace_leases(db: sqlite3.Connection, new: Iterable[Lease]) -> None:
    """Replace this host's leases by those that the shared database returned."""
    db.execute("DELETE FROM leases")
    rows = list(new)
    if rows:
        db.executemany(f"INSERT INTO leases VALUES ({_marks(rows[0])})", rows)


def other_hosts(db: sqlite3.Connection) -> list[OtherHost]:
    """Return the other hosts of the fleet."""
    return [OtherHost(*row) for row in db.execute("SELECT * FROM fellows ORDER BY host")]


def replace_other_hosts(db: sqlite3.Connection, new: Iterable[OtherHost]) -> None:
    """Replace the other hosts by those that the shared database returned."""
    db.execute("DELETE FROM fellows")
    db.executemany("INSERT INTO fellows VALUES (?, ?, ?)", new)


def lower(db: sqlite3.Connection, lease: Lease, granted: int) -> None:
    """Lower a lease to ``granted``; a lease that is smaller stays as it is."""
    db.execute(
        "UPDATE leases SET granted = min(granted, ?) WHERE scope = ? AND starts = ? AND ends = ?",
        (granted, *lease.key),
    )


def record_spent(db: sqlite3.Connection, lease: Lease, spent: int) -> Lease:
    """Store the largest spend seen within a lease, and return the lease with it."""
    db.execute("UPDATE leases SET seen = ? WHERE scope = ? AND starts = ? AND ends = ?", (spent, *lease.key))
    return lease._replace(seen=spent)


def _marks(row: tuple[object, ...]) -> str:
    return ", ".join("?" * len(row))


# --- the gate's question


class LeaseRequest(NamedTuple):
    """A request for a larger lease: ``used`` is spent or held on this host, ``need`` comes on top.

    ``spent`` is the part of ``used`` that is in this host's sums, ``lost`` the part that no longer is;
    ``seen`` is ``Lease.seen`` before this decision.
    """

    limit: Limit
    used: int
    need: int
    spent: int = 0
    lost: int = 0
    seen: int = 0


class LeasedTurn(LocalTurn):
    """A turn of the gate in which a limit is as large as its lease; collects requests for larger leases."""

    def __init__(self, holds: LocalHolds, db: sqlite3.Connection) -> None:
        super().__init__(holds, db)
        current = term(db)
        self._is_held = current is not None and current.holds()
        self._leases = {lease.key: lease for lease in leases(db)}
        self._requests: dict[tuple[str, int, int], LeaseRequest] = {}

    @property
    def requests(self) -> list[LeaseRequest]:
        """The leases that were too small, and what the call needs of each."""
        return list(self._requests.values())

    def allotment(self, limit: Limit, spent: int, held: int, need: int) -> Allotment | None:
        """Return the part of a limit that this host may use; see ``budgets.port.Turn.allotment``."""
        key = key_of(limit)
        if key is None:
            return None
        lease = self._leases.get(key) or _no_lease(key, limit)
        used = spent + lease.lost + held
        # Nothing may come on top if the term has ended, the limit was lowered since the grant, or less is
        # spent than was seen before.
        may_grow = self._is_held and limit.amount >= lease.amount and spent + lease.lost >= lease.seen
        granted = lease.granted if may_grow else min(lease.granted, used)
        if used + need > granted:
            self._requests[key] = LeaseRequest(limit, used, need, spent, lease.lost, lease.seen)
        if spent + lease.lost > lease.seen:
            self._leases[key] = record_spent(self.db, lease, spent + lease.lost)
        return Allotment(
            granted - lease.lost, lease.spent_elsewhere, lease.leased_elsewhere, lease.orphaned_elsewhere
        )


def _no_lease(key: tuple[str, int, int], limit: Limit) -> Lease:
    return Lease(*key, limit.period.name if limit.period else "", 0, limit.amount)
