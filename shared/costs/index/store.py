"""Writes the index's tables: puts sums of a ledger in, and takes a ledger out again.

All functions work inside the caller's transaction.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Final, NamedTuple

from .fold import NO_SUMS, Sums, minus, plus
from .keys import key_of
from .tables import DIM_COLUMNS, SUM_COLUMNS, Dim

DAY_BUCKETS: Final = 96

SLOTS: Final = struct.Struct(f"<{DAY_BUCKETS}q")
"""What a user spent in each bucket of a day, in nano-dollars."""

_NO_SLOTS: Final = bytes(SLOTS.size)
_SLOT: Final = struct.Struct("<q")


class LedgerRow(NamedTuple):
    """How far a ledger was taken in, and what it looked like then."""

    id: int
    path: str
    job_id: str
    device: int
    inode: int
    offset: int
    head_length: int
    head: int
    tail: int
    first_bucket: int
    last_bucket: int


class SeenRow(NamedTuple):
    """Where the entry with an id stands."""

    key: int
    more: int
    ledger: int
    offset: int


_MARKS: Final = ", ".join("?" * len(SUM_COLUMNS))
_ADDED: Final = ", ".join(f"{name} = {name} + excluded.{name}" for name in SUM_COLUMNS)
_SELECT_LEDGERS: Final = f"SELECT {', '.join(LedgerRow._fields)} FROM ledgers"
_PUT_LEDGER: Final = f"REPLACE INTO ledgers VALUES ({', '.join('?' * len(LedgerRow._fields))})"
_PUT_SUMS: Final = f"""INSERT INTO sums VALUES (?, ?, ?, {_MARKS})
    ON CONFLICT (bucket, ledger, dim) DO UPDATE SET {_ADDED}"""
_PUT_DAYS: Final = f"INSERT INTO days VALUES (?, ?, {_MARKS}) ON CONFLICT (day, dim) DO UPDATE SET {_ADDED}"
_PUT_ACTIVITY: Final = "INSERT OR IGNORE INTO activity VALUES (?, ?, ?)"
_FIND_DIM: Final = f"SELECT id FROM dims WHERE {' AND '.join(f'{name} = ?' for name in DIM_COLUMNS)}"
_PUT_DIM: Final = f"INSERT INTO dims ({', '.join(DIM_COLUMNS)}) VALUES ({', '.join('?' * len(DIM_COLUMNS))})"
_NOTHING_LEFT: Final = " AND ".join(f"{name} = 0" for name in SUM_COLUMNS)


class Memory:
    """The small integers of the dimensions, remembered for one connection. No process ever takes one away."""

    def __init__(self) -> None:
        self._dims: dict[Dim, int] = {}
        self._fresh: list[Dim] = []

    def dim(self, db: sqlite3.Connection, dim: Dim) -> int:
        """Return the integer of ``dim``; it is given one when it is new."""
        known = self._dims.get(dim)
        if known is not None:
            return known
        row = db.execute(_FIND_DIM, dim).fetchone()
        found = int(row[0]) if row else int(db.execute(_PUT_DIM, dim).lastrowid or 0)
        self._dims[dim] = found
        if not row:
            self._fresh.append(dim)
        return found

    def committed(self) -> None:
        """Note that the transaction ended well."""
        self._fresh.clear()

    def undone(self) -> None:
        """Forget what the transaction that was undone had made."""
        for dim in self._fresh:
            del self._dims[dim]
        self._fresh.clear()


def ledger_row(db: sqlite3.Connection, ledger: int) -> LedgerRow | None:
    """Return the row of one ledger; ``None`` before it was first taken in."""
    row = db.execute(f"{_SELECT_LEDGERS} WHERE id = ?", (ledger,)).fetchone()
    return LedgerRow._make(row) if row else None


def put_ledger(db: sqlite3.Connection, row: LedgerRow) -> None:
    """Write the row of a ledger."""
    db.execute(_PUT_LEDGER, row)


class NumberedSums(NamedTuple):
    """Sums of one bucket and one combination of dimensions, which has a number; ``user`` is one of them."""

    bucket: int
    dim: int
    user: str
    values: Sums


def put_sums(db: sqlite3.Connection, ledger: int, rows: Sequence[NumberedSums]) -> None:
    """Add sums of one ledger to everything that is derived from them."""
    db.executemany(_PUT_SUMS, [(row.bucket, ledger, row.dim, *row.values) for row in rows])
    db.executemany(_PUT_ACTIVITY, {(row.bucket // DAY_BUCKETS, row.user, ledger) for row in rows})
    _put_derived(db, rows)


def put_reserved(db: sqlite3.Connection, ledger: int, reserved: Mapping[str, tuple[int, int]]) -> None:
    """Add what one ledger has under reservations: calls and cost by reservation id."""
    db.executemany(
        """INSERT INTO reserved VALUES (?, ?, ?, ?, ?) ON CONFLICT (key, more, ledger)
        DO UPDATE SET calls = calls + excluded.calls, cost = cost + excluded.cost""",
        [(*key_of(reservation), ledger, *sums) for reservation, sums in reserved.items()],
    )


def find_reserved(db: sqlite3.Connection, reservations: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return the calls, and their cost, that all ledgers have under each reservation that has any."""
    found: dict[str, tuple[int, int]] = {}
    for start in range(0, len(reservations), _AT_ONCE):
        asked = {key_of(one): one for one in reservations[start : start + _AT_ONCE]}
        marks = ", ".join(["(?, ?)"] * len(asked))
        rows = db.execute(
            f"""SELECT key, more, sum(calls), sum(cost) FROM reserved
            WHERE (key, more) IN (VALUES {marks}) GROUP BY key, more""",  # marks only
            [part for key in asked for part in key],
        )
        found |= {asked[key, more]: (calls, cost) for key, more, calls, cost in rows}
    return found


_AT_ONCE: Final = 400
"""How many reservations one statement asks for: older SQLite versions take 999 values."""


def _put_derived(db: sqlite3.Connection, rows: Iterable[NumberedSums]) -> None:
    """Add to the sums over all ledgers."""
    days: dict[tuple[int, int], Sums] = {}
    spend: dict[tuple[str, int], dict[int, int]] = {}
    for bucket, dim, user, values in rows:
        day, slot = divmod(bucket, DAY_BUCKETS)
        days[day, dim] = plus(days.get((day, dim), NO_SUMS), values)
        if cost := values[_COST]:
            slots = spend.setdefault((user, day), {})
            slots[slot] = slots.get(slot, 0) + cost
    db.executemany(_PUT_DAYS, [(*key, *values) for key, values in days.items()])
    for (user, day), slots in spend.items():
        _put_spend(db, user, day, slots)


_COST: Final = SUM_COLUMNS.index("cost")


def _put_spend(db: sqlite3.Connection, user: str, day: int, slots: Mapping[int, int]) -> None:
    row = db.execute("SELECT cost, slots FROM spend WHERE user_id = ? AND day = ?", (user, day)).fetchone()
    cost, packed = row or (0, _NO_SLOTS)
    changed = bytearray(packed)
    for slot, amount in slots.items():
        at = slot * _SLOT.size
        _SLOT.pack_into(changed, at, _SLOT.unpack_from(changed, at)[0] + amount)
    db.execute("REPLACE INTO spend VALUES (?, ?, ?, ?)", (user, day, cost + sum(slots.values()), changed))


def remove_ledger(db: sqlite3.Connection, row: LedgerRow) -> None:
    """Take everything out that came from one ledger."""
    found = sums_of_ledger(db, row)
    _put_derived(db, [each._replace(values=minus(each.values)) for each in found])
    db.executemany(
        f"DELETE FROM days WHERE day = ? AND dim = ? AND {_NOTHING_LEFT}",
        {(each.bucket // DAY_BUCKETS, each.dim) for each in found},
    )
    db.executemany(
        "DELETE FROM sums WHERE bucket = ? AND ledger = ? AND dim = ?",
        [(each.bucket, row.id, each.dim) for each in found],
    )
    db.executemany(
        "DELETE FROM activity WHERE day = ? AND user_id = ? AND ledger = ?",
        {(each.bucket // DAY_BUCKETS, each.user, row.id) for each in found},
    )
    for table in ("staged", "seen", "reserved", "problems"):
        db.execute(f"DELETE FROM {table} WHERE ledger = ?", (row.id,))
    db.execute("DELETE FROM ledgers WHERE id = ?", (row.id,))


MANY_BUCKETS: Final = 200_000
"""A ledger whose entries lie further apart (six years) is not looked up bucket by bucket."""

_OF_LEDGER: Final = """WITH RECURSIVE own (bucket) AS (
        SELECT ? UNION ALL SELECT bucket + 1 FROM own WHERE bucket < ?)
    SELECT s.* FROM own CROSS JOIN sums s ON s.bucket = own.bucket AND s.ledger = ?"""

_OF_LONG_LEDGER: Final = "SELECT s.* FROM sums s WHERE s.bucket >= ? AND s.bucket <= ? AND s.ledger = ?"


def sums_of_ledger(db: sqlite3.Connection, row: LedgerRow) -> list[NumberedSums]:
    """Return every sum that one ledger has.

    ``sums`` is sorted by bucket first, so this is one look-up for each bucket of the ledger's life.
    """
    if row.first_bucket > row.last_bucket:
        return []
    chosen = _OF_LEDGER if row.last_bucket - row.first_bucket < MANY_BUCKETS else _OF_LONG_LEDGER
    found = db.execute(
        f"""SELECT s.bucket, s.dim, d.user_id, {", ".join("s." + name for name in SUM_COLUMNS)}
        FROM ({chosen}) s JOIN dims d ON d.id = s.dim""",
        (row.first_bucket, row.last_bucket, row.id),
    )
    return [NumberedSums(bucket, dim, user, tuple(values)) for bucket, dim, user, *values in found]


def insert_rows(db: sqlite3.Connection, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Run ``statement`` (an INSERT up to its table) with rows as its values, some sixty in one go.

    Starting a statement costs as much as two rows, so many rows take less than half the time.
    """
    if not rows:
        return
    row = f"({', '.join('?' * len(rows[0]))})"
    whole = len(rows) - len(rows) % _ROWS
    if whole:
        at_once = [tuple(chain.from_iterable(rows[at : at + _ROWS])) for at in range(0, whole, _ROWS)]
        db.executemany(f"{statement} VALUES {', '.join([row] * _ROWS)}", at_once)
    db.executemany(f"{statement} VALUES {row}", rows[whole:])


_ROWS: Final = 64
"""With fifteen columns these are 960 values: older SQLite versions take 999."""


def put_seen(db: sqlite3.Connection, rows: Sequence[tuple[int, ...]]) -> bool:
    """Note ids (fields of ``SeenRow``) as seen; ``False``, with nothing noted, when one was seen before."""
    before = db.total_changes
    db.execute("SAVEPOINT ids")
    insert_rows(db, "INSERT OR IGNORE INTO seen", rows)
    if db.total_changes - before == len(rows):
        db.execute("RELEASE ids")
        return True
    db.execute("ROLLBACK TO ids")
    db.execute("RELEASE ids")
    return False


def find_seen(db: sqlite3.Connection, key: int, more: int) -> SeenRow | None:
    """Return where the entry with this key stands."""
    row = db.execute("SELECT * FROM seen WHERE key = ? AND more = ?", (key, more)).fetchone()
    return SeenRow(*row) if row else None
