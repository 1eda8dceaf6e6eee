"""What this host may use of the limits that several hosts share, as the shared database last said.

It lies in ``state.db``: every process of the host gates its calls against it, and none of them asks the
network for that. A *lease* says how much this host may have spent and hold of a limit in a period, all in
all. It may be used until the host's term ends, by the wall clock and by the clock that counts since the
machine was started, whichever is first: so a clock that is set back does not make a lease longer.
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
    """Return for how many seconds this machine has been up, asleep or not, whatever its clock says."""
    return time.clock_gettime(_UP)


class Term(NamedTuple):
    """Who this host is to a shared database, and until when it may use its leases.

    ``version`` and ``token`` are those of the last exchange that was answered, ``pending`` is the token of
    the last one that may have been carried out without an answer: so both sides notice where one of them
    went back to an earlier state, or was copied. ``ends_at`` is in seconds since 1970; ``began_up`` and
    ``ends_up`` are by :func:`up_s`.
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
    """Another host that takes part, and the ``version`` of its last exchange, as the database said.

    A database that is brought back to an older state does not know who has joined or traded since then: so
    each host remembers the others.
    """

    host: str
    name: str
    version: int


class Lease(NamedTuple):
    """What this host may have spent and hold of a limit in a period, in the limit's measure.

    ``scope`` is the limit's key; ``starts`` and ``ends`` are in microseconds since 1970. ``amount`` is the
    limit's own when the lease was granted. The next three say what the other hosts had of it then.

    ``lost`` is what this host has published that its own ledgers and sums do not know any more: it counts as
    spent here. ``seen`` is the most that was spent at a decision since the last grant: where less is found,
    ledgers are gone or a call was taken back, and nothing is allowed before the database has told which.
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
        """The limit and the period."""
        return self.scope, self.starts, self.ends


def key_of(limit: Limit) -> tuple[str, int, int] | None:
    """Return by what hosts know a limit in its period; ``None`` for one that they do not share.

    A job's ledger is of one host, and a window that moves with the clock has no period to lease.
    """
    period = limit.period
    if period is None or period.kind == "rolling":
        return None
    return limit.scope.key, _micros(period.start.timestamp()), _micros(period.end.timestamp())


def limit_of(lease: Lease, rules: Sequence[TagRule] = ()) -> Limit:
    """Return the limit that a lease is of, without what only alerts need; ``rules`` give calls tags.

    >>> lease = Lease('["ana", "month", null]', 0, 2_678_400_000_000, "1970-01", 5, 10)
    >>> str(limit_of(lease).scope), limit_of(lease).amount
    ('monthly limit of user ana', 10)
    """
    owner, kind, name = json.loads(lease.scope)
    of = KINDS[kind]
    start, end = instant(lease.starts), instant(lease.ends)
    assert of.period is not None  # others are not leased
    period = Period(of.period, lease.period, start, end, _UTC)
    giving = rules_for(name, rules) if kind == "tag" else ()
    query = of.selecting(None if giving else name, Query(start=start, end=end, user_id=owner))
    return Limit(Scope(owner, kind, name), lease.amount, period, query, blocking=True, rules=giving)


def instant(micros: int) -> datetime:
    """Return the instant of so many microseconds since 1970."""
    return datetime.fromtimestamp(micros // 1_000_000, UTC)


def _micros(seconds: float) -> int:
    return round(seconds) * 1_000_000


# --- rows


def term(db: sqlite3.Connection) -> Term | None:
    """Return the term of this host; ``None`` where it has never exchanged anything."""
    row = db.execute("SELECT * FROM term").fetchone()
    return Term(*row) if row else None


def put_term(db: sqlite3.Connection, new: Term) -> None:
    """Write the term down. One with another database takes the leases of the old one away."""
    if db.execute("SELECT 1 FROM term WHERE fleet = ?", (new.fleet,)).fetchone() is None:
        db.execute("DELETE FROM term")
        db.execute("DELETE FROM leases")
        db.execute("DELETE FROM fellows")
    db.execute(f"REPLACE INTO term VALUES ({_marks(new)})", new)


def leases(db: sqlite3.Connection) -> list[Lease]:
    """Return all leases of this host."""
    return [Lease(*row) for row in db.execute("SELECT * FROM leases ORDER BY scope, starts, ends")]


def replace_leases(db: sqlite3.Connection, new: Iterable[Lease]) -> None:
    """Put what the shared database says in the place of what is here."""
    db.execute("DELETE FROM leases")
    rows = list(new)
    if rows:
        db.executemany(f"INSERT INTO leases VALUES ({_marks(rows[0])})", rows)


def fellows(db: sqlite3.Connection) -> list[OtherHost]:
    """Return the other hosts that take part."""
    return [OtherHost(*row) for row in db.execute("SELECT * FROM fellows ORDER BY host")]


def replace_fellows(db: sqlite3.Connection, new: Iterable[OtherHost]) -> None:
    """Put who takes part, as the shared database says, in the place of what is here."""
    db.execute("DELETE FROM fellows")
    db.executemany("INSERT INTO fellows VALUES (?, ?, ?)", new)


def lower(db: sqlite3.Connection, lease: Lease, granted: int) -> None:
    """Let a lease go down; it never goes up by this."""
    db.execute(
        "UPDATE leases SET granted = min(granted, ?) WHERE scope = ? AND starts = ? AND ends = ?",
        (granted, *lease.key),
    )


def see(db: sqlite3.Connection, lease: Lease, spent: int) -> Lease:
    """Remember the most that was spent within a lease, and return the lease."""
    db.execute("UPDATE leases SET seen = ? WHERE scope = ? AND starts = ? AND ends = ?", (spent, *lease.key))
    return lease._replace(seen=spent)


def _marks(row: tuple[object, ...]) -> str:
    return ", ".join("?" * len(row))


# --- the gate's question


class Want(NamedTuple):
    """What is wanted of a limit beyond its lease: ``used`` is spent or held here, ``need`` comes on top.

    ``spent`` is the part of it that is in sums of this host, ``lost`` the part that no longer is; ``seen`` is
    as ``Lease.seen``, from before this look.
    """

    limit: Limit
    used: int
    need: int
    spent: int = 0
    lost: int = 0
    seen: int = 0


class LeasedTurn(LocalTurn):
    """A turn of the gate, in which a limit is as large as the lease of it; remembers what was short."""

    def __init__(self, holds: LocalHolds, db: sqlite3.Connection) -> None:
        super().__init__(holds, db)
        here = term(db)
        self._is_held = here is not None and here.holds()
        self._leases = {lease.key: lease for lease in leases(db)}
        self._wanted: dict[tuple[str, int, int], Want] = {}

    @property
    def wanted(self) -> list[Want]:
        """What was too small at the last look at it."""
        return list(self._wanted.values())

    def allotment(self, limit: Limit, spent: int, held: int, need: int) -> Allotment | None:
        """Return the part of a limit that may be used here; see ``budgets.port.Turn.allotment``."""
        key = key_of(limit)
        if key is None:
            return None
        lease = self._leases.get(key) or _none(key, limit)
        used = spent + lease.lost + held
        # Without a lease that holds now, or where the limit was lowered since, nothing may come on top; nor
        # where less is spent than was seen before.
        may_grow = self._is_held and limit.amount >= lease.amount and spent + lease.lost >= lease.seen
        granted = lease.granted if may_grow else min(lease.granted, used)
        if used + need > granted:
            self._wanted[key] = Want(limit, used, need, spent, lease.lost, lease.seen)
        if spent + lease.lost > lease.seen:
            self._leases[key] = see(self.db, lease, spent + lease.lost)
        return Allotment(
            granted - lease.lost, lease.spent_elsewhere, lease.leased_elsewhere, lease.orphaned_elsewhere
        )


def _none(key: tuple[str, int, int], limit: Limit) -> Lease:
    return Lease(*key, limit.period.name if limit.period else "", 0, limit.amount)
