"""Reservations as they lie in ``state.db``: what is held for calls that may be on their way.

A reservation is *live* while its holder works on it. It becomes an *orphan* when its process died,
when it expired, or when its block ended without a ledger entry: the call may have been sent and
billed, so it counts at its estimate until its entry shows up or somebody releases it.

All functions work on an open connection; those that write need a transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from ..index.state import Tables
from ..money import ZERO, Nanos

RESERVATIONS: Final = Tables(
    "reservations",
    (
        """
        CREATE TABLE reservations (
            id TEXT PRIMARY KEY,
            period_at INTEGER NOT NULL,
            expires_at INTEGER NOT NULL,
            user_id TEXT NOT NULL,
            job_id TEXT,
            ledger TEXT,
            stage TEXT,
            service TEXT NOT NULL,
            model TEXT NOT NULL,
            estimate INTEGER NOT NULL,
            one_call INTEGER NOT NULL,
            holder TEXT NOT NULL,
            orphaned TEXT
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE gate_clock (latest INTEGER NOT NULL) STRICT;
        INSERT INTO gate_clock VALUES (0);
        """,
    ),
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What is held. ``estimate`` is the most that its calls can cost, in nano-dollars.

    ``period_at`` is the instant that decides which day and month its calls belong to. ``one_call``
    tells that one ledger entry completes it; otherwise it stands for all calls of a block.
    ``holder`` names the process; ``orphaned`` is ``None`` while live, else the reason.
    """

    id: str
    period_at: datetime
    expires_at: datetime
    user_id: str
    job_id: str | None
    ledger: Path | None
    stage: str | None
    service: str
    model: str
    estimate: Nanos
    one_call: bool
    holder: str
    orphaned: str | None = None


@dataclass(frozen=True, slots=True)
class Logged:
    """What the ledgers already have under a reservation."""

    calls: int = 0
    cost: Nanos = ZERO


@dataclass(frozen=True, slots=True)
class Held:
    """A reservation and what was logged under it so far."""

    reservation: Reservation
    logged: Logged = Logged()

    @property
    def amount(self) -> Nanos:
        """What still counts as held: what was logged counts as spent already."""
        return Nanos(max(0, self.reservation.estimate - self.logged.cost))

    @property
    def is_complete(self) -> bool:
        """Whether nothing more can count: its one call is in a ledger, or all that it stood for."""
        return self.logged.calls > 0 and (self.reservation.one_call or self.amount == 0)


_COLUMNS: Final = tuple(f.name for f in fields(Reservation))
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM reservations"  # noqa: S608  # names of ours, no data
_INSERT: Final = f"INSERT INTO reservations VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608  # marks only


def insert(db: sqlite3.Connection, new: Reservation) -> None:
    """Add a reservation."""
    values = {name: getattr(new, name) for name in _COLUMNS}
    values |= {"period_at": micros(new.period_at), "expires_at": micros(new.expires_at)}
    values |= {"ledger": str(new.ledger) if new.ledger else None}
    db.execute(_INSERT, tuple(values.values()))


def outstanding(
    db: sqlite3.Connection, since: datetime = _EPOCH, ledger: Path | None = None
) -> list[Reservation]:
    """Return all live reservations, and the orphans from ``since`` on or of one ledger; oldest first.

    Older orphans count against no limit of today, however many of them are left.
    """
    query = f"{_SELECT} WHERE orphaned IS NULL OR period_at >= ? OR ledger = ? ORDER BY period_at, id"
    return [_reservation(row) for row in db.execute(query, (micros(since), str(ledger) if ledger else None))]


def delete(db: sqlite3.Connection, ids: Iterable[str]) -> int:
    """Remove reservations (settled, void or released); return how many were there."""
    return db.executemany("DELETE FROM reservations WHERE id = ?", [(one,) for one in ids]).rowcount


def orphan(db: sqlite3.Connection, reasons: Mapping[str, str]) -> None:
    """Make live reservations orphans: id to reason."""
    db.executemany(
        "UPDATE reservations SET orphaned = ? WHERE id = ? AND orphaned IS NULL",
        [(why, one) for one, why in reasons.items()],
    )


def set_estimate(db: sqlite3.Connection, reservation: str, amount: Nanos) -> None:
    """Set what a reservation stands for."""
    db.execute("UPDATE reservations SET estimate = ? WHERE id = ?", (amount, reservation))


def latest_instant(db: sqlite3.Connection) -> datetime:
    """Return the latest instant at which anything was reserved."""
    return instant(db.execute("SELECT latest FROM gate_clock").fetchone()[0])


def set_latest_instant(db: sqlite3.Connection, at: datetime) -> None:
    """Note when something was reserved."""
    db.execute("UPDATE gate_clock SET latest = ?", (micros(at),))


def micros(at: datetime) -> int:
    """Return an instant in microseconds since 1970, exactly.

    >>> micros(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC))
    1000005
    """
    return (at - _EPOCH) // timedelta(microseconds=1)


def instant(microseconds: int) -> datetime:
    """Return the instant of :func:`micros`, in UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)


def _reservation(row: tuple[Any, ...]) -> Reservation:
    one, period_at, expires_at, user, job, ledger, stage, service, model, estimate, single, holder, why = row
    return Reservation(
        id=one,
        period_at=instant(period_at),
        expires_at=instant(expires_at),
        user_id=user,
        job_id=job,
        ledger=Path(ledger) if ledger else None,
        stage=stage,
        service=service,
        model=model,
        estimate=estimate,
        one_call=bool(single),
        holder=holder,
        orphaned=why,
    )
