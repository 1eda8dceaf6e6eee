"""The durable queue of notices, in ``state.db``.

A notice is written once and stays until it was sent to every address or given up. The same notice
(by its ``key``) is not taken again within :data:`QUIET`. Addresses appear only as fingerprints.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from ..index.state import StateDb, Tables

Level = Literal["info", "warning", "critical"]

QUIET: Final = timedelta(hours=24)
"""For so long a notice with the same key is not repeated."""

GATHER: Final = timedelta(seconds=3)
"""So long a notice waits for others, to go out with them as one message."""

FIRST_RETRY: Final = timedelta(seconds=30)
LONGEST_RETRY: Final = timedelta(hours=6)
GIVE_UP_AFTER: Final = timedelta(days=3)
KEPT: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What somebody should be told.

    ``audience`` is the user whose addresses it goes to, empty for the organisation's; ``profile``
    is the profile that holds them, empty for none. ``key`` tells repetitions from news.
    """

    audience: str
    profile: str
    key: str
    level: Level
    text: str
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Queued:
    """A notice in the queue, under its number."""

    id: int
    notice: Notice


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one delivery of one notice went. ``fault`` is empty when it was accepted."""

    notice: Queued
    address: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """How many notices wait, and those given up in the last days, with why."""

    waiting: int
    given_up: tuple[tuple[str, str], ...]


TABLES: Final = Tables(
    "notices",
    (
        """
        CREATE TABLE notices (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            audience TEXT NOT NULL,
            profile TEXT NOT NULL,
            key TEXT NOT NULL,
            level TEXT NOT NULL,
            text TEXT NOT NULL,
            made_at TEXT NOT NULL,
            done INTEGER NOT NULL DEFAULT 0
        ) STRICT;
        CREATE INDEX notices_by_key ON notices (key, made_at);
        CREATE INDEX notices_waiting ON notices (done) WHERE done = 0;
        CREATE TABLE deliveries (
            notice INTEGER NOT NULL REFERENCES notices (id),
            address TEXT NOT NULL,
            attempts INTEGER NOT NULL,
            next_at TEXT NOT NULL,
            state TEXT NOT NULL,
            fault TEXT NOT NULL,
            PRIMARY KEY (notice, address)
        ) STRICT, WITHOUT ROWID;
        """,
    ),
)


def put(state: StateDb, notices: Iterable[Notice]) -> int:
    """Queue the notices that are no repetition; return how many were.

    Raises:
        StorageUnavailable: the state cannot be written; nothing was queued.

    """
    state.use(TABLES)
    with state.transaction() as db:
        return put_within(db, notices)


def put_within(db: sqlite3.Connection, notices: Iterable[Notice]) -> int:
    """Queue notices as :func:`put` does, as part of a transaction that is open already."""
    return sum(_put_one(db, notice) for notice in notices)


def _put_one(db: sqlite3.Connection, notice: Notice) -> int:
    since = _text(notice.made_at - QUIET)
    repeated = "SELECT 1 FROM notices WHERE key = ? AND made_at > ?"
    if db.execute(repeated, (notice.key, since)).fetchone():
        return 0
    db.execute(
        "INSERT INTO notices (audience, profile, key, level, text, made_at) VALUES (?, ?, ?, ?, ?, ?)",
        (notice.audience, notice.profile, notice.key, notice.level, notice.text, _text(notice.made_at)),
    )
    return 1


def waiting(state: StateDb) -> list[Queued]:
    """Return the notices that are not done, oldest first."""
    state.use(TABLES)
    with state.reading() as db:
        rows = db.execute(
            "SELECT id, audience, profile, key, level, text, made_at FROM notices WHERE done = 0 ORDER BY id"
        ).fetchall()
    return [_queued(row) for row in rows]


def _queued(row: tuple[int, str, str, str, Level, str, str]) -> Queued:
    number, audience, profile, key, level, text, made_at = row
    at = datetime.fromisoformat(made_at)
    return Queued(
        number, Notice(audience=audience, profile=profile, key=key, level=level, text=text, made_at=at)
    )


def due_at(state: StateDb, queued: Queued, address: str) -> datetime | None:
    """Return when a notice may go to an address next; ``None`` when that is settled."""
    with state.reading() as db:
        row = db.execute(
            "SELECT next_at, state FROM deliveries WHERE notice = ? AND address = ?", (queued.id, address)
        ).fetchone()
    if row is None:
        return queued.notice.made_at + GATHER
    return datetime.fromisoformat(row[0]) if row[1] == "waiting" else None


def note(state: StateDb, attempts: Iterable[Attempt], at: datetime) -> None:
    """Remember how deliveries went, durably, and when the failed ones are tried again.

    Raises:
        StorageUnavailable: the state cannot be written.

    """
    with state.transaction() as db:
        for attempt in attempts:
            _note_one(db, attempt, at)


def _note_one(db: sqlite3.Connection, attempt: Attempt, at: datetime) -> None:
    place = (attempt.notice.id, attempt.address)
    row = db.execute("SELECT attempts FROM deliveries WHERE notice = ? AND address = ?", place).fetchone()
    number = (row[0] if row else 0) + 1
    made_at = attempt.notice.notice.made_at
    outcome = "sent" if not attempt.fault else "given up" if at - made_at >= GIVE_UP_AFTER else "waiting"
    db.execute(
        "INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?, ?, ?, ?)",
        (*place, number, _text(at + retry_after(number)), outcome, attempt.fault),
    )


def retry_after(attempts: int) -> timedelta:
    """Return how long to wait after so many failed attempts: four times longer each time.

    >>> [str(retry_after(n)) for n in (1, 2, 3, 9)]
    ['0:00:30', '0:02:00', '0:08:00', '6:00:00']
    """
    return min(FIRST_RETRY * (1 << 2 * min(attempts - 1, 10)), LONGEST_RETRY)


def finish(state: StateDb, ids: Iterable[int], at: datetime) -> None:
    """Mark notices as done; old ones are forgotten."""
    with state.transaction() as db:
        db.executemany("UPDATE notices SET done = 1 WHERE id = ?", [(number,) for number in ids])
        old = (_text(at - KEPT),)
        db.execute(
            "DELETE FROM deliveries WHERE notice IN (SELECT id FROM notices WHERE done = 1 AND made_at < ?)",
            old,
        )
        db.execute("DELETE FROM notices WHERE done = 1 AND made_at < ?", old)


def standing(state: StateDb, at: datetime) -> Standing:
    """Return what waits, and what was given up within the last 30 days."""
    state.use(TABLES)
    with state.reading() as db:
        (number,) = db.execute("SELECT count(*) FROM notices WHERE done = 0").fetchone()
        rows = db.execute(
            "SELECT n.text, d.fault FROM deliveries d JOIN notices n ON n.id = d.notice "
            "WHERE d.state = 'given up' AND n.made_at > ? ORDER BY n.id",
            (_text(at - timedelta(days=30)),),
        ).fetchall()
    return Standing(number, tuple((text, fault) for text, fault in rows))


def _text(at: datetime) -> str:
    # Microseconds always, so that times sort as texts.
    return at.astimezone(UTC).isoformat(timespec="microseconds")
