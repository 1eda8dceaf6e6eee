"""``state.db``: what no ledger tells, and is durable at every commit.

Holds (:mod:`.holds`), and here the local side of two more ports of :mod:`..budgets.port`: ``Notices``, which
are alerts told once and the queue of notices, and ``RequestCounter``, how often each was sent lately. Whoever
keeps something here describes its tables as a :class:`Tables` and asks :meth:`StateDb.use` for them once.

>>> import tempfile
>>> folder = tempfile.TemporaryDirectory()
>>> NOTES = Tables("notes", (("CREATE TABLE notes (text TEXT NOT NULL) STRICT",),))
>>> state = StateDb(Path(folder.name) / "state.db")
>>> state.use(NOTES)
>>> _ = state.write(lambda db: db.execute("INSERT INTO notes VALUES ('kept')"))
>>> state.read(lambda db: db.execute("SELECT text FROM notes").fetchone())
('kept',)
>>> state.close(); folder.cleanup()
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

from ..budgets.port import Alarm, Delivery, Notice, QueuedNotice
from ..ledger.counted import MICROSECOND, microseconds
from .database import WAIT_S, Database, DatabaseNewer, Files, Stamp, T, files_of, in_transaction, stamp_of


class Tables(NamedTuple):
    """The tables of one topic and how they came to be.

    ``steps[n]`` has the statements that lead from version ``n`` to ``n + 1``. A step that was released
    is never changed; a new one is added.
    """

    topic: str
    steps: tuple[tuple[str, ...], ...]


_VERSIONS: Final = (
    "CREATE TABLE IF NOT EXISTS versions (room TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT",
    "PRAGMA user_version=1",
)


class StateDb(Database):
    """The durable facts of one cost storage. Opening costs nothing until the first use."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _VERSIONS, 1, durable=True)
        self.file = path
        self._tables: list[Tables] = []
        self.openings = 0
        """How often this process opened the file and could not know that it is what it left."""
        self.complete_since = 0
        """The opening since which it is known to have every hold (:mod:`.holds`)."""
        self._last: Stamp | None = None
        """What the file was like after the last use of it here."""
        self._left: tuple[Stamp | None, Files] | None = None
        """What the files were like when they were closed."""

    def use(self, tables: Tables) -> None:
        """See that tables are there, now and whenever the file is opened anew.

        Raises:
            StorageUnavailable: the file cannot be used, or was written by a newer version.

        """
        if tables not in self._tables:
            self.statement(lambda db: self._bring_up(db, tables))
            self._tables.append(tables)

    def write_unsynced(self, action: Callable[[sqlite3.Connection], T], wait_s: float = WAIT_S) -> T:
        """As :meth:`write`, some times faster: what is committed may be undone by a power cut."""

        def unsynced(db: sqlite3.Connection) -> T:
            try:
                db.execute("PRAGMA synchronous=NORMAL")
                return in_transaction(db, "BEGIN IMMEDIATE", action)
            finally:
                db.execute("PRAGMA synchronous=FULL")

        return self.statement(unsynced, wait_s)

    def close(self) -> None:
        """Close this process's connection; the next use opens it again."""
        super().close()
        self._left = self._look()

    def _open(self) -> sqlite3.Connection:
        if self._left is None or self._left != self._look():
            self.openings += 1
        self._left = None
        return super()._open()

    def _look(self) -> tuple[Stamp | None, Files]:
        return stamp_of(self.file), files_of(self.file)

    def _once(self, action: Callable[[sqlite3.Connection], T], begin: str = "") -> T:
        try:
            return super()._once(action, begin)
        finally:
            self._last = stamp_of(self.file)

    def _leave_files(self) -> None:
        """Close a connection of which somebody deleted a file, unless that might write over others' pages.

        As long as it is open, another one of this process would share with it what the ``-shm`` file says.
        """
        if self._files[0] != files_of(self.file)[0] or self._last != stamp_of(self.file):
            super()._leave_files()
            return
        self._close()
        now = files_of(self.file)
        if now[1] != self._files[1] and now[2] == self._files[2] != 0:
            with suppress(FileNotFoundError):  # it tells of a -wal that is not there: nobody could open that
                os.unlink(f"{self.file}-shm")

    def _lay_tables(self, connection: sqlite3.Connection) -> None:
        super()._lay_tables(connection)
        for tables in self._tables:
            self._bring_up(connection, tables)

    def _bring_up(self, connection: sqlite3.Connection, tables: Tables) -> None:
        """Create or upgrade tables, in a transaction of their own."""
        if _version(connection, tables) != len(tables.steps):
            in_transaction(connection, "BEGIN IMMEDIATE", lambda db: self._upgrade(db, tables))

    def _upgrade(self, db: sqlite3.Connection, tables: Tables) -> None:
        version = _version(db, tables)  # another process may have been faster
        if version > len(tables.steps):
            raise DatabaseNewer(
                f"{self.path}: {tables.topic} was written by a newer version; upgrade this one"
            )
        for statement in chain.from_iterable(tables.steps[version:]):
            db.execute(statement)
        db.execute("REPLACE INTO versions VALUES (?, ?)", (tables.topic, len(tables.steps)))


def _version(db: sqlite3.Connection, tables: Tables) -> int:
    row = db.execute("SELECT version FROM versions WHERE room = ?", (tables.topic,)).fetchone()
    return int(row[0]) if row else 0


# --- alerts that were told, notices that wait

QUIET: Final = timedelta(hours=24)
"""For that long a notice with the same key is not queued again."""

ALERTS: Final = Tables(
    "alerts",
    (
        (
            """CREATE TABLE fired_alerts (scope TEXT NOT NULL, span TEXT NOT NULL, threshold REAL NOT NULL,
                fired_at TEXT NOT NULL, PRIMARY KEY (scope, span, threshold)) STRICT, WITHOUT ROWID""",
        ),
    ),
)

NOTICES: Final = Tables(
    "notices",
    (
        (
            """CREATE TABLE notices (id INTEGER PRIMARY KEY AUTOINCREMENT, audience TEXT NOT NULL,
                profile TEXT NOT NULL, key TEXT NOT NULL, level TEXT NOT NULL, text TEXT NOT NULL,
                made_at TEXT NOT NULL, done INTEGER NOT NULL DEFAULT 0) STRICT""",
            "CREATE INDEX notices_by_key ON notices (key, made_at)",
            "CREATE INDEX notices_waiting ON notices (done) WHERE done = 0",
            """CREATE TABLE deliveries (notice INTEGER NOT NULL REFERENCES notices (id),
                address TEXT NOT NULL, attempts INTEGER NOT NULL, next_at TEXT NOT NULL, state TEXT NOT NULL,
                fault TEXT NOT NULL, PRIMARY KEY (notice, address)) STRICT, WITHOUT ROWID""",
        ),
    ),
)

REQUESTS: Final = Tables(
    "requests",
    (
        (
            "CREATE TABLE requests (request TEXT NOT NULL, at INTEGER NOT NULL) STRICT",
            "CREATE INDEX requests_by_name ON requests (request, at)",
            "CREATE INDEX requests_by_time ON requests (at)",
        ),
    ),
)

REQUEST_WAIT_S: Final = 0.5
"""How long a request waits at most to be counted."""

_FIELDS: Final = ("audience", "profile", "key", "level", "text", "made_at")


class LocalNotices:
    """The alerts and notices of one cost storage. Safe to use from threads and after a fork."""

    def __init__(self, state: StateDb) -> None:
        self._file = state

    @property
    def _state(self) -> StateDb:
        self._file.use(ALERTS)
        self._file.use(NOTICES)
        return self._file

    def fire(self, alarms: Sequence[Alarm], at: datetime) -> list[int]:
        """Remember alarms that nobody was told of, queue their notices, and return their places."""

        def remember(db: sqlite3.Connection) -> list[int]:
            new = []
            for place, alarm in enumerate(alarms):  # one may make the next no news
                if _is_new(db, alarm):
                    _remember(db, alarm, at)
                    new.append(place)
            return new

        if not self._state.read(lambda db: any(_is_new(db, alarm) for alarm in alarms)):
            return []  # the usual case costs no write
        return self._state.write(remember)

    def enqueue(self, notices: Sequence[Notice]) -> int:
        """Queue the notices that are no repetition within a day; return how many were."""
        return self._state.write(lambda db: sum(_queue(db, notice) for notice in notices))

    def waiting(self) -> list[QueuedNotice]:
        """Return the notices that are not done, oldest first."""
        query = f"SELECT id, {', '.join(_FIELDS)} FROM notices WHERE done = 0 ORDER BY id"
        rows = self._state.read(lambda db: db.execute(query).fetchall())
        return [_queued(row) for row in rows]

    def deliveries(self, notices: Collection[int]) -> list[Delivery]:
        """Return how deliveries of these notices went so far."""
        query = "SELECT notice, address, attempts, next_at, state, fault FROM deliveries WHERE notice = ?"
        rows = self._state.read(lambda db: [row for one in notices for row in db.execute(query, (one,))])
        return [Delivery(one, to, tries, _at(due), state, why) for one, to, tries, due, state, why in rows]

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Remember durably how deliveries went."""
        rows = [(d.notice, d.address, d.attempts, _text(d.next_at), d.state, d.fault) for d in deliveries]
        query = "INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?, ?, ?, ?)"
        self._state.write(lambda db: db.executemany(query, rows))

    def finish(self, notices: Collection[int], forget_before: datetime) -> None:
        """Mark notices as done, and forget those that were done and made before an instant."""
        old = (_text(forget_before),)
        done = "done = 1 AND made_at < ?"

        def forget(db: sqlite3.Connection) -> None:
            db.executemany("UPDATE notices SET done = 1 WHERE id = ?", [(number,) for number in notices])
            db.execute(f"DELETE FROM deliveries WHERE notice IN (SELECT id FROM notices WHERE {done})", old)
            db.execute(f"DELETE FROM notices WHERE {done}", old)

        self._state.write(forget)

    def given_up(self, since: datetime) -> list[tuple[str, str]]:
        """Return the texts of notices made since then that were given up, and why."""
        query = (
            "SELECT n.text, d.fault FROM deliveries d JOIN notices n ON n.id = d.notice "
            "WHERE d.state = 'given up' AND n.made_at > ? ORDER BY n.id"
        )
        return self._state.read(lambda db: db.execute(query, (_text(since),)).fetchall())


def _is_new(db: sqlite3.Connection, alarm: Alarm) -> bool:
    query = "SELECT 1 FROM fired_alerts WHERE scope = ? AND span = ? AND threshold >= ?"
    return db.execute(query, (alarm.scope, alarm.span, alarm.threshold)).fetchone() is None


def _remember(db: sqlite3.Connection, alarm: Alarm, at: datetime) -> None:
    db.executemany(
        "INSERT OR IGNORE INTO fired_alerts VALUES (?, ?, ?, ?)",
        [(alarm.scope, alarm.span, threshold, at.astimezone(UTC).isoformat()) for threshold in alarm.reached],
    )
    if alarm.notice is not None:
        _queue(db, alarm.notice)


def _queue(db: sqlite3.Connection, notice: Notice) -> int:
    repeated = "SELECT 1 FROM notices WHERE key = ? AND made_at > ?"
    if db.execute(repeated, (notice.key, _text(notice.made_at - QUIET))).fetchone():
        return 0
    values = [getattr(notice, name) for name in _FIELDS[:-1]]
    db.execute(
        f"INSERT INTO notices ({', '.join(_FIELDS)}) VALUES (?, ?, ?, ?, ?, ?)",
        (*values, _text(notice.made_at)),
    )
    return 1


def _queued(row: Sequence[object]) -> QueuedNotice:
    values = dict(zip(_FIELDS, row[1:], strict=True))
    made_at = _at(str(values.pop("made_at")))
    return QueuedNotice(int(str(row[0])), Notice(**values, made_at=made_at))  # type: ignore[arg-type]  # a row of ours


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _text(at: datetime) -> str:
    # Microseconds always, so that times sort as texts.
    return at.astimezone(UTC).isoformat(timespec="microseconds")


class LocalRequests:
    """The requests of one cost storage. Safe to use from threads and after a fork. Not synced."""

    def __init__(self, state: StateDb) -> None:
        self._state = state

    def send(self, request: str, at: datetime, within: timedelta, most: int | None) -> int:
        """Count a request unless it was sent ``most`` times; return how often it was sent before."""
        self._state.use(REQUESTS)
        now = microseconds(at)
        span = within // MICROSECOND

        def count(db: sqlite3.Connection) -> int:
            # A clock that was set back leaves what lies ahead of it: that was not sent lately.
            db.execute("DELETE FROM requests WHERE at <= ? OR at > ?", (now - span, now + span))
            query = "SELECT count(*) FROM requests WHERE request = ?"
            before = int(db.execute(query, (request,)).fetchone()[0])
            if most is None or before < most:
                db.execute("INSERT INTO requests VALUES (?, ?)", (request, now))
            return before

        return self._state.write_unsynced(count, REQUEST_WAIT_S)

    def take_back(self, request: str) -> None:
        """Forget the latest time that a request was sent."""
        self._state.use(REQUESTS)
        latest = "SELECT rowid FROM requests WHERE request = ? ORDER BY at DESC LIMIT 1"
        forget = f"DELETE FROM requests WHERE rowid IN ({latest})"
        self._state.write_unsynced(lambda db: db.execute(forget, (request,)), REQUEST_WAIT_S)
