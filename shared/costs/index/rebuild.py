"""Builds the whole index anew from all ledgers, beside the present one, and then puts it in its place.

Two processes read and fold ledgers; this one writes. The present index serves until the new one takes
its place, and what is appended meanwhile is caught up afterwards: every ledger is looked at once more,
because the new index has no token yet (see :mod:`.registry`).

Ledgers that are gone keep their sums: they are carried over, as far as the present index can be read.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .. import platform
from ..errors import StorageUnavailable, UnsafePath
from .backend import Backend, lay_tables
from .duplicates import put_problems
from .indexfile import IndexFile
from .intake import Intake
from .readers import chunks_of, scanned
from .registry import Registered, Registry
from .scan import Scanned
from .sqlite_faults import translated
from .store import DAY_BUCKETS, SLOTS, insert_rows, ledger_row, put_ledger, put_reserved, put_seen
from .tables import DIM_COLUMNS, SUM_COLUMNS

Progress = Callable[[int, int], None]
"""Is told how far a rebuild has come: bytes of ledgers taken in, and in all."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild took in. ``unread`` are the ledgers that could not be read, and why."""

    ledgers: int
    entries: int
    bytes: int
    unread: tuple[tuple[Path, str], ...]


def rebuild(registry: Registry, index: IndexFile, progress: Progress | None = None) -> Rebuilt:
    """Build the index anew and put it in the place of the present one.

    Raises:
        StorageUnavailable: the new file cannot be written, or the old one not be replaced.

    """
    registry.outlook()
    ledgers = registry.all()
    path = index.path.with_name(f"{index.path.name}{_NEW}{os.getpid()}")
    with translated(path), _reserved(path):
        with _Builder(path, index, registry.origin) as builder:
            builder.take_in(ledgers, progress or _silent)
            builder.derive()
        index.replace(path)
    return builder.rebuilt(len(ledgers))


_NEW: Final = "-new-"


@contextmanager
def _reserved(path: Path) -> Iterator[None]:
    """Make the new file, and see that it goes if it is not put in its place; clear what others left."""
    platform.secure_directory(path.parent)
    for left in path.parent.glob(f"*{_NEW}*"):
        _clear(left)
    descriptor = platform.create_secure(path)
    try:
        platform.lock(descriptor, 0)  # tells the next one that this file is being written
        yield
    finally:
        platform.close(descriptor)
        path.unlink(missing_ok=True)


def _clear(left: Path) -> None:
    """Delete the file of a rebuild whose process was killed."""
    with suppress(OSError):
        descriptor = platform.open_secure(left, write=True)
        try:
            if platform.lock(descriptor, 0):
                left.unlink()
        finally:
            platform.close(descriptor)


def _silent(done: int, total: int) -> None:
    """Tell nobody."""


class _NewIndex(Backend):
    """The index that is being built: its journal in memory, no syncs; nobody sees it before it is whole."""

    def ready(self, wait_s: float) -> sqlite3.Connection:  # noqa: ARG002  # nobody else uses it
        if self._connection is None:
            connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            for pragma in (
                "journal_mode=MEMORY",
                "synchronous=OFF",
                "cache_size=-65536",
                "temp_store=MEMORY",
            ):
                connection.execute(f"PRAGMA {pragma}")
            lay_tables(connection)
            self._connection, self._owner = connection, os.getpid()
        return self._connection

    def start_anew(self) -> None:
        raise StorageUnavailable(f"{self.path}: damaged while it was written")


class _Builder:
    def __init__(self, path: Path, old: IndexFile, origin: int | None) -> None:
        self._new = _NewIndex(path)
        self._old = old
        self._origin = origin
        self._entries = 0
        self._bytes = 0
        self._unread: list[tuple[Path, str]] = []

    def __enter__(self) -> _Builder:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            with self._new.reading() as db:
                # In WAL mode from its first byte on; the mode is kept in the file.
                db.execute("PRAGMA journal_mode=WAL")
        self._new.close()

    def take_in(self, ledgers: Sequence[Registered], progress: Progress) -> None:
        """Take all ledgers in, in the order in which they were registered."""
        chunks, whole = chunks_of(ledgers)
        with scanned(chunks, whole) as results:
            for chunk, found in zip(chunks, results, strict=True):
                self._put(chunk, found)
                self._bytes += found.read_bytes
                progress(min(self._bytes, whole), whole)

    def _put(self, chunk: Sequence[Registered], scanned: Scanned) -> None:
        with self._new.transaction() as db:
            new_ids = put_seen(db, scanned.seen.rows())
            if new_ids:
                self._put_scanned(db, scanned)
        if not new_ids:  # an id occurs twice: it takes a closer look
            intake = Intake(self._new)
            gone = {ledger.id for ledger, _ in scanned.unread}
            for ledger in chunk:
                if ledger.id not in gone:
                    intake.catch_up(ledger)
        for ledger, why in scanned.unread:
            self._carry_over(ledger, why)
        self._entries += len(scanned.seen.keys)

    def _put_scanned(self, db: sqlite3.Connection, scanned: Scanned) -> None:
        numbers = [self._new.memory.dim(db, dim) for dim in scanned.dims]
        rows = [(bucket, ledger, numbers[dim], *sums) for bucket, ledger, dim, *sums in scanned.sum_rows()]
        insert_rows(db, "INSERT INTO sums", rows)
        for reservation, ledger, calls, cost in scanned.reserved:
            put_reserved(db, ledger, {reservation: (calls, cost)})
        put_problems(db, scanned.problems)
        for row in scanned.ledgers:
            put_ledger(db, row)

    def derive(self) -> None:
        """Fill the tables whose rows are sums of other rows."""
        summed = ", ".join(f"sum({name})" for name in SUM_COLUMNS)
        with self._new.transaction() as db:
            for table in ("days", "spend", "activity"):  # a closer look has filled some of it already
                db.execute(f"DELETE FROM {table}")
            db.execute(f"INSERT INTO days SELECT {_DAY}, dim, {summed} FROM sums GROUP BY 1, 2")
            db.execute(
                f"""INSERT INTO activity SELECT DISTINCT {_DAY}, user_id, ledger
                FROM sums JOIN dims ON dims.id = dim"""
            )
            _derive_spend(db)

    def _carry_over(self, ledger: Registered, why: str) -> None:
        """Keep the sums of a ledger that is gone."""
        self._unread.append((ledger.path, why))
        with self._new.transaction() as db:
            db.execute("REPLACE INTO waiting VALUES (?, ?, ?)", (ledger.id, str(ledger.path), why))
            with suppress(StorageUnavailable, UnsafePath), self._old.transaction() as old:
                Intake(self._old).settle(old)
                if old.execute("SELECT origin FROM meta").fetchone()[0] == self._origin:
                    _copy_ledger(old, db, self._new, ledger.id)

    def rebuilt(self, ledgers: int) -> Rebuilt:
        """Return what was taken in."""
        return Rebuilt(ledgers - len(self._unread), self._entries, self._bytes, tuple(self._unread))


# Whole days before 1970 too: SQLite's division rounds towards zero.
_DAY: Final = f"(bucket - ((bucket % {DAY_BUCKETS}) + {DAY_BUCKETS}) % {DAY_BUCKETS}) / {DAY_BUCKETS}"


def _derive_spend(db: sqlite3.Connection) -> None:
    days: dict[tuple[str, int], list[int]] = {}
    rows = db.execute(
        """SELECT user_id, bucket, sum(cost) AS spent FROM sums JOIN dims ON dims.id = dim
        GROUP BY 1, 2 HAVING spent != 0"""
    )
    for user, bucket, spent in rows:
        day, slot = divmod(bucket, DAY_BUCKETS)
        days.setdefault((user, day), [0] * DAY_BUCKETS)[slot] = spent
    db.executemany(
        "INSERT INTO spend VALUES (?, ?, ?, ?)",
        [(*key, sum(slots), SLOTS.pack(*slots)) for key, slots in sorted(days.items())],
    )


def _copy_ledger(old: sqlite3.Connection, new: sqlite3.Connection, backend: Backend, ledger: int) -> None:
    """Copy all that one index has of a ledger to another; what was seen elsewhere stays there."""
    row = ledger_row(old, ledger)
    if row is None:
        return
    dims, sums = (", ".join(names) for names in (DIM_COLUMNS, SUM_COLUMNS))
    width = len(DIM_COLUMNS)
    rows = old.execute(
        f"SELECT bucket, {dims}, {sums} FROM sums JOIN dims ON id = dim WHERE ledger = ?", (ledger,)
    )
    numbered = [
        (bucket, ledger, backend.memory.dim(new, tuple(rest[:width])), *rest[width:])
        for bucket, *rest in rows.fetchall()
    ]
    insert_rows(new, "INSERT INTO sums", numbered)
    for table in ("seen", "reserved", "problems", "ledgers"):
        column = "id" if table == "ledgers" else "ledger"
        found = old.execute(f"SELECT * FROM {table} WHERE {column} = ?", (ledger,)).fetchall()
        insert_rows(new, f"INSERT OR IGNORE INTO {table}", found)
