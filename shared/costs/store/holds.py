"""Holds in the cost storage's own files: the local implementation of ``budgets.port.Holds``.

A hold is a row of SQLite, written in the one durable exclusive transaction of the storage, and a line in
the journal of the process that holds it (:mod:`.presence`). The row is what counts. Whoever opens the
database looks whether it has all that the journals hold, of living processes and of dead ones, and makes
the rows again that it lacks: it may be new, because the old one was lost, or an old copy. So an end is
written to the journal before the row goes. What is written here is never derived from ledgers.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from ..budgets.limits import Limit
from ..budgets.port import (
    STRAYED_FOR,
    Allotment,
    Decide,
    Decision,
    HoldSpend,
    HoldStatus,
    Reservation,
    Stray,
    as_it_stands,
    less_what_is_used,
    spent_within,
)
from ..budgets.scopes import CallScope, Labels
from ..ledger.counted import EPOCH, MICROSECOND, microseconds
from ..money import Nanos
from ..patience import at_most
from ..rollup import Dimension, Group, Query
from .presence import Presence
from .state import Tables

if TYPE_CHECKING:
    from .store import Store

TABLES: Final = Tables(
    "reservations",
    (
        (
            """CREATE TABLE reservations (id TEXT PRIMARY KEY, period_at INTEGER NOT NULL,
                expires_at INTEGER NOT NULL, user_id TEXT NOT NULL, job_id TEXT, ledger TEXT, stage TEXT,
                service TEXT NOT NULL, model TEXT NOT NULL, estimate INTEGER NOT NULL,
                one_call INTEGER NOT NULL, holder TEXT NOT NULL, orphaned TEXT) STRICT, WITHOUT ROWID""",
            "CREATE TABLE gate_clock (latest INTEGER NOT NULL) STRICT",
            "INSERT INTO gate_clock VALUES (0)",
        ),
        (
            """CREATE TABLE holds (id TEXT PRIMARY KEY, period_at INTEGER NOT NULL, ledger BLOB,
                orphaned INTEGER NOT NULL, record TEXT NOT NULL) STRICT, WITHOUT ROWID""",
            """INSERT INTO holds SELECT id, period_at, CAST(ledger AS BLOB), orphaned IS NOT NULL,
                json_object('id', id, 'period_at', period_at, 'expires_at', expires_at, 'user_id', user_id,
                'job_id', job_id, 'ledger', ledger, 'stage', stage, 'service', service, 'model', model,
                'estimate', estimate, 'one_call', json(iif(one_call, 'true', 'false')), 'holder', holder,
                'state', iif(orphaned IS NULL, 'live', 'orphaned'), 'orphaned', orphaned,
                'block_ended', json(iif(orphaned GLOB 'its [bl]*', 'true', 'false'))) FROM reservations""",
            "DROP TABLE reservations",
            "ALTER TABLE gate_clock ADD COLUMN restored INTEGER NOT NULL DEFAULT 0",
        ),
    ),
)

STRAYED: Final = Tables(
    "strayed",
    (
        (
            """CREATE TABLE strayed (scope TEXT NOT NULL, labels TEXT NOT NULL, seen INTEGER NOT NULL,
                PRIMARY KEY (scope, labels)) STRICT, WITHOUT ROWID""",
        ),
    ),
)

T = TypeVar("T")

PREPARE_S: Final = 2.0
"""How long a look waits for others while the tables are made, in seconds."""


class LocalHolds:
    """The holds of one cost storage. Safe to use from threads and after a fork."""

    tables: ClassVar[tuple[Tables, ...]] = (TABLES, STRAYED)
    """What has to be there before a turn."""

    def __init__(self, ledgers: Store, presence: Presence, clock: Callable[[], datetime]) -> None:
        self.presence = presence
        self.ledgers = ledgers
        self.clock = clock
        self.strays = StrayCache()

    # --- reserving

    def reserve(self, decide: Decide, wait_s: float) -> Decision:
        """Decide in one exclusive turn, and hold durably what is decided."""
        self._lay_tables(wait_s)
        holder = self.presence.name()
        begun: dict[str, bytes] = {}

        def turn(mine: LocalTurn) -> Decision:
            decision = decide(mine)
            if isinstance(decision, Reservation):
                new = replace(decision, holder=holder)
                begun[new.id] = _record(new).encode()
                self.presence.begin(new.id, begun[new.id], pending=True)
                _put(mine.db, new)
                if new.period_at > mine.latest:
                    _set_latest(mine.db, new.period_at)
            return decision

        try:
            decision = self.in_turn(turn, wait_s)
        except BaseException:
            self._journal_ends(begun)  # nobody was told that it is held
            raise
        if isinstance(decision, Reservation):
            with suppress(OSError):  # the row is durable, and the journal says it while this process lives
                self.presence.begin(decision.id, begun[decision.id])
        self.presence.tidy(lambda: self.ledgers.state.read(_ids))
        return decision

    def in_turn(self, action: Callable[[LocalTurn], T], wait_s: float) -> T:
        """Return what an action gives in one exclusive turn; what it writes in it is durable then.

        Raises:
            StorageBusy: others held the turn for ``wait_s`` seconds.

        """
        self.ledgers.spends(())  # what takes long is read before the turn, which others wait for
        return self._write(lambda db: action(self._turn(db)), wait_s)

    def _turn(self, db: sqlite3.Connection) -> LocalTurn:
        return LocalTurn(self, db)

    # --- ending

    def settle(self, reservation: str, wait_s: float) -> None:
        """End a hold whose calls are in a ledger, or of which nothing was sent. Not synced."""
        self._lay_tables(wait_s)
        self._journal_ends([reservation])
        self.ledgers.state.write_unsynced(lambda db: _delete(db, [reservation]), wait_s)

    void = settle

    def submit(self, reservation: str, wait_s: float) -> None:
        """Note that a block has ended whose calls wait for their provider."""
        self._change(reservation, wait_s, lambda one: replace(one, state="submitted", block_ended=True))

    def orphan(self, reservation: str, why: str, amount: Nanos, recorded: int, wait_s: float) -> None:
        """Let a hold whose block has ended count until it is released, or all ``recorded`` calls came."""

        def orphaned(one: Reservation) -> Reservation:
            return replace(
                one, state="orphaned", orphaned=why, estimate=amount, block_ended=True, recorded=recorded
            )

        self._change(reservation, wait_s, orphaned)

    def lower(self, reservation: str, amount: Nanos, wait_s: float) -> None:
        """Let a hold count at no more than ``amount``; room that is kept for a job, from now on."""

        def lowered(one: Reservation) -> Reservation:
            if not one.admits:
                return replace(one, estimate=min(one.estimate, amount))
            [spent] = spent_within([one], self.ledgers.spends)
            left = Nanos(max(0, one.estimate - spent))
            return replace(one, estimate=min(left, amount), spent_before=one.spent_before + spent)

        self._change(reservation, wait_s, lowered)

    def widen(self, reservation: str, strayed: Sequence[Labels], wait_s: float) -> None:
        """Let a hold count against limits on labels that were not named for it, too."""

        def widened(one: Reservation) -> Reservation:
            return replace(one, strayed=tuple(dict.fromkeys((*one.strayed, *strayed))))

        self._change(reservation, wait_s, widened)

    def _change(self, reservation: str, wait_s: float, changed: Callable[[Reservation], Reservation]) -> None:
        def change(db: sqlite3.Connection) -> None:
            for one in _rows(db, "WHERE id = ?", (reservation,)):
                new = changed(one)
                _put(db, new)
                if one.holder == self.presence.name():
                    self.presence.begin(new.id, _record(new).encode())

        self._write(change, wait_s)

    def remember(self, scope: CallScope, labels: Labels, wait_s: float) -> None:
        """Note that a call of a scope was recorded with other labels. Not synced: a power cut may undo it."""
        self._lay_tables(wait_s)
        now = self.clock()
        self.ledgers.state.write_unsynced(lambda db: _remember(db, scope, labels, now), wait_s)

    def forget_strayed(self) -> int:
        """Forget with which other labels calls were recorded; return how much that was."""
        return self._write(_forget)

    def release(self, reservations: Collection[str]) -> None:
        """End holds on somebody's word."""
        self._lay_tables(PREPARE_S)
        self._journal_ends(reservations)
        self._write(lambda db: _delete(db, reservations))

    def _journal_ends(self, reservations: Iterable[str]) -> None:
        """Note ends in the journal. Where that fails they may come back as orphans, which count, no worse."""
        with suppress(OSError):
            for one in reservations:
                self.presence.end(one)

    # --- looking

    def holds(self) -> list[HoldStatus]:
        """Return every hold as it stands now, oldest first, without changing anything."""
        return [held for held in self._standing(self._all_rows()) if not held.is_over]

    def find(self, reservation: str) -> HoldStatus | None:
        """Return one hold as it stands now; ``None`` where it has ended or never was."""
        rows = [one for one in self._all_rows("WHERE id = ?", reservation) if one.id == reservation]
        return next(iter(self._standing(rows)), None)

    def latest(self) -> datetime:
        """Return the latest instant at which anything was reserved; 1970 when nothing was."""
        self._lay_tables(PREPARE_S)
        return self.ledgers.state.read(_latest)

    def set_latest(self, at: datetime) -> None:
        """Set the gate's clock."""
        self._write(lambda db: _set_latest(db, at))

    def close(self) -> None:
        """Close what is open in this process; the next use opens it again."""
        self.ledgers.state.close()

    def _standing(self, rows: Sequence[Reservation]) -> list[HoldStatus]:
        logged = self.ledgers.logged([one.id for one in rows]) if rows else {}
        dead = self.presence.dead({one.holder for one in rows if one.state == "live"})
        now = self.clock()
        statuses = [
            as_it_stands(HoldStatus(one, HoldSpend(*logged.get(one.id, ()))), now, dead) for one in rows
        ]
        return less_what_is_used(statuses, self.ledgers.spends)

    def mended(self, db: sqlite3.Connection, since: datetime, ledger: Path | None) -> list[HoldStatus]:
        """Return what counts, and write down what has become of it: so a clock set back changes nothing.

        Orphans from before ``since`` are left alone, unless they are of ``ledger``: they count against
        no limit of today, however many of them are left.
        """
        place = None if ledger is None else os.fsencode(ledger)
        rows = _rows(db, "WHERE NOT orphaned OR period_at >= ? OR ledger = ?", (microseconds(since), place))
        statuses = self._standing(rows)
        over = [held.reservation.id for held in statuses if held.is_over]
        self._journal_ends(over)
        _delete(db, over)
        counting = [held for held in statuses if not held.is_over]
        before = {one.id: one for one in rows}
        for held in counting:
            if held.reservation != before[held.reservation.id]:
                _put(db, held.reservation)
        return counting

    # --- a database that is new, or an old copy

    def _lay_tables(self, wait_s: float) -> None:
        with at_most(wait_s):
            for tables in self.tables:
                self.ledgers.state.use(tables)

    def _write(self, action: Callable[[sqlite3.Connection], T], wait_s: float = PREPARE_S) -> T:
        """Do something in one durable transaction, in a database that knows what the journals know."""
        self._lay_tables(wait_s)
        state = self.ledgers.state
        complete_since = state.complete_since

        def whole(db: sqlite3.Connection) -> T:
            for one in self._missing(db):  # nobody ends a hold within this transaction
                _put(db, one)
            state.complete_since = state.openings
            return action(db)

        try:
            return state.write(whole, wait_s)
        except BaseException:
            state.complete_since = complete_since  # what was put in is undone
            raise

    def _all_rows(self, where: str = "", *values: str) -> list[Reservation]:
        """Return the rows, and those that an old copy lacks: who only looks waits for nobody who writes."""
        self._lay_tables(PREPARE_S)
        state = self.ledgers.state
        opening, rows, missing = state.read(
            lambda db: (state.openings, _rows(db, where, values), self._missing(db))
        )
        if not missing:
            state.complete_since = opening
        return sorted([*rows, *missing], key=lambda one: (one.period_at, one.id))

    def _missing(self, db: sqlite3.Connection) -> list[Reservation]:
        """Return what the journals hold and the database lacks, once each time that it was opened."""
        state = self.ledgers.state
        if state.complete_since == state.openings:
            return []
        known = _ids(db)
        return [one for one in self._journaled() if one.id not in known]

    def _journaled(self) -> Iterator[Reservation]:
        """Give what the journals of all processes hold, as it was when it was last written down there.

        Without what a process had not been granted when it was killed: its room may be taken by now.
        """
        journals = self.presence.read_all()
        ended = {one for journal in journals.values() for one in journal.ended}
        for name, journal in journals.items():
            ignored = journal.pending if journal.pending and not self.presence.alive(name) else ()
            for one, record in journal.open.items():
                if one not in ended and one not in ignored:
                    with suppress(ValueError, TypeError, KeyError):  # a line that was damaged
                        yield replace(_reservation(record.decode()), id=one, holder=name)


class LocalTurn:
    """``budgets.port.Turn`` within one open transaction."""

    def __init__(self, holds: LocalHolds, db: sqlite3.Connection) -> None:
        self.db, self._holds, self._ledgers = db, holds, holds.ledgers
        self.latest = _latest(db)

    def allotment(self, limit: Limit, spent: int, held: int, need: int) -> Allotment | None:  # noqa: ARG002
        """Return the part of a limit that may be used from here: all of it."""
        return None

    def holds(self, since: datetime, ledger: Path | None) -> list[HoldStatus]:
        """Return what counts."""
        return self._holds.mended(self.db, since, ledger)

    def strayed(self) -> tuple[Stray, ...]:
        """Return which calls were recorded lately with other labels than were named for them."""
        return self._holds.strays.read(self.db, self._holds.clock())

    def spends(self, asked: Sequence[Query]) -> Sequence[int]:
        """Return what the entries that match each query come to."""
        return self._ledgers.spends(asked)

    def groups(self, by: Sequence[Dimension], query: Query) -> list[Group]:
        """Return the sums of the entries that match, by dimensions."""
        return self._ledgers.groups(by, query, at_once=True)


# --- rows

_encode: Final = json.JSONEncoder(separators=(",", ":")).encode
_FIELDS: Final = tuple(field.name for field in fields(Reservation))


def _put(db: sqlite3.Connection, one: Reservation) -> None:
    ledger = None if one.ledger is None else os.fsencode(one.ledger)
    row = one.id, microseconds(one.period_at), ledger, one.state == "orphaned", _record(one)
    db.execute("INSERT OR REPLACE INTO holds VALUES (?, ?, ?, ?, ?)", row)


def _ids(db: sqlite3.Connection) -> set[str]:
    return {str(row[0]) for row in db.execute("SELECT id FROM holds")}


def _rows(db: sqlite3.Connection, where: str, values: tuple[object, ...]) -> list[Reservation]:
    query = f"SELECT record FROM holds {where} ORDER BY period_at, id"
    return [_reservation(row[0]) for row in db.execute(query, values)]


def _delete(db: sqlite3.Connection, ids: Iterable[str]) -> None:
    db.executemany("DELETE FROM holds WHERE id = ?", [(one,) for one in ids])


def _record(one: Reservation) -> str:
    """Return a reservation as one line of ASCII; a path that is not UTF-8 comes back as it was."""
    values: dict[str, Any] = {name: getattr(one, name) for name in _FIELDS}
    values |= {"period_at": microseconds(one.period_at), "expires_at": microseconds(one.expires_at)}
    values["ledger"] = None if one.ledger is None else str(one.ledger)
    values["strayed_to"] = values.pop("strayed")  # which had two labels in versions before
    return _encode(values)


def _reservation(record: str) -> Reservation:
    values = json.loads(record)
    known = {name: values[name] for name in _FIELDS if name in values}
    known |= {name: EPOCH + known[name] * MICROSECOND for name in ("period_at", "expires_at")}
    known["ledger"] = Path(known["ledger"]) if known["ledger"] else None
    known["tags"] = tuple(known.get("tags", ()))
    known["parts"] = tuple(tuple(part) for part in known.get("parts", ()))
    strayed = values.get("strayed_to", known.get("strayed", ()))
    known["strayed"] = tuple(Labels(project, tuple(tags), *rest) for project, tags, *rest in strayed)
    return Reservation(**known)


def _latest(db: sqlite3.Connection) -> datetime:
    return EPOCH + int(db.execute("SELECT latest FROM gate_clock").fetchone()[0]) * MICROSECOND


def _set_latest(db: sqlite3.Connection, at: datetime) -> None:
    db.execute("UPDATE gate_clock SET latest = ?", (microseconds(at),))


# --- with which other labels calls were recorded than were named for them

MOST_STRAYED: Final = 1_000
"""How many of them are kept: the latest ones."""


class StrayCache:
    """What was read last, so that it is read again only where something has come or gone."""

    def __init__(self) -> None:
        self._known: tuple[object, tuple[Stray, ...]] = (None, ())

    def read(self, db: sqlite3.Connection, now: datetime) -> tuple[Stray, ...]:
        """Return which calls were recorded lately with other labels than were named for them."""
        oldest = _oldest(now)
        stamp = db.execute(
            "SELECT count(*), max(seen), min(seen) FROM strayed WHERE seen > ?", (oldest,)
        ).fetchone()
        if stamp != self._known[0]:
            rows = db.execute("SELECT scope, labels FROM strayed WHERE seen > ? ORDER BY seen", (oldest,))
            self._known = stamp, tuple((_scope(row[0]), _labels(row[1])) for row in rows)
        return self._known[1]


def _remember(db: sqlite3.Connection, scope: CallScope, labels: Labels, now: datetime) -> None:
    """Note that a call reserved for like this was recorded with other labels."""
    db.execute(
        "REPLACE INTO strayed VALUES (?, ?, ?)", (_call_key(scope), json.dumps(labels), microseconds(now))
    )
    db.execute("DELETE FROM strayed WHERE seen <= ?", (_oldest(now),))
    db.execute(
        "DELETE FROM strayed WHERE seen < (SELECT seen FROM strayed ORDER BY seen DESC LIMIT 1 OFFSET ?)",
        (MOST_STRAYED - 1,),
    )


def _forget(db: sqlite3.Connection) -> int:
    """Forget all of it; return how much there was."""
    return db.execute("DELETE FROM strayed").rowcount


def _call_key(scope: CallScope) -> str:
    """Return calls like these, in whatever job and whenever, as one text."""
    return json.dumps([*scope._replace(at=None, ledger=None, job_id=None)])


def _oldest(now: datetime) -> int:
    return microseconds(now - STRAYED_FOR)


def _scope(text: str) -> CallScope:
    scope = CallScope(*json.loads(text))
    return scope._replace(tags=tuple(scope.tags))


def _labels(text: str) -> Labels:
    project, tags, *rest = json.loads(text)
    return Labels(project, tuple(tags), *rest)
