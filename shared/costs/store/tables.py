"""The tables of ``sums.db``, and the one place where sums are added to them and taken out again.

Amounts in nano-dollars, durations in microseconds, time in UTC. A *bucket* is the number of a 15-minute
stretch since 1970, a *day* that of a UTC day (96 buckets).

``ledgers``   each ledger that was ever known, how far it was read, and what its file looked like then. A
              ledger that was cut, replaced or deleted keeps its row (``gone`` says what happened), and the
              file that takes its path gets a row of its own.
``writers``   which processes may append to a ledger: it is looked at as long as one of them lives.
``dims``      each combination of dimensions once, as a small integer.
``cells``     the finest sums: bucket x ledger x dimensions. All other sums follow from them.
``units``     counts that are rare, by name: a new unit needs no new column.
``days``      the same over all ledgers, by day: a month of any history is some thousand rows.
``spend``     what each user spent in each bucket: limits, and the days of a month in any time zone.
``activity``  which ledgers have entries of a user on a day: counts jobs.
``seen``      the id of every entry and where it stands: an id counts once.
``reserved``  what the ledgers have under each reservation.
``problems``  lines that do not count, and why.
``meta``      a number that grows with every change, whether the sums were begun from what outlived others,
              which ledger's turn to be looked at it is, and how far the notes of ledgers and what was kept
              of those that are gone were read (``kept_size``: its bytes when it was last written as a whole).
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

from ..ledger.counted import DIM_COLUMNS, CountedEntry, Dim, dim_of, key_of, keys_of
from ..rollup import BUCKET_SECONDS
from ..units import FRACTIONAL_FIELDS, USAGE_FIELDS
from .journal import JournalPosition, Look

FORMAT: Final = 3
"""Version of these tables. Sums of another version are read anew from the ledgers."""

DAY_BUCKETS: Final = 96
DAY_OF_BUCKET: Final = (
    f"(bucket - ((bucket % {DAY_BUCKETS}) + {DAY_BUCKETS}) % {DAY_BUCKETS}) / {DAY_BUCKETS}"
)
"""The day of a bucket, in SQL; before 1970 too, although SQLite's division rounds towards zero."""
BUCKET_MICROSECONDS: Final = BUCKET_SECONDS * 1_000_000

SUM_COLUMNS: Final = (
    "calls",
    "unpriced_calls",
    "partial_calls",
    "estimated_calls",
    "tokens_input",
    "tokens_output",
    "tokens_cached",
    "tokens_reasoning",
    "audio_microseconds",
    "cost",
    "cost_output",
)
"""The stored sums, in this order: fields of ``rollup.Totals``."""

Sums = list[int]
Reserved = tuple[int, int, int]
"""What there is under a reservation: calls, cost, and how many calls have no price, or a partial one."""
Place = tuple[int, Dim]
"""A bucket and its dimensions."""

_SUMS = ", ".join(f"{name} INTEGER NOT NULL" for name in SUM_COLUMNS)
_DIMS = ", ".join(f"{name} TEXT NOT NULL" for name in DIM_COLUMNS)

SEEN_BY_LEDGER: Final = "CREATE INDEX seen_by_ledger ON seen (ledger)"

SCHEMA: Final = (
    f"PRAGMA user_version={FORMAT}",
    """CREATE TABLE meta (version INTEGER NOT NULL, is_begun INTEGER NOT NULL, turn INTEGER NOT NULL,
        notes TEXT NOT NULL, kept TEXT NOT NULL, kept_size INTEGER NOT NULL) STRICT""",
    "INSERT INTO meta VALUES (random() >> 24, 0, 0, '[]', '[]', 0)",
    """CREATE TABLE ledgers (id INTEGER PRIMARY KEY, path BLOB NOT NULL, job_id TEXT NOT NULL,
        uid INTEGER NOT NULL, gone TEXT, is_kept INTEGER NOT NULL, is_read INTEGER NOT NULL,
        device INTEGER NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL,
        offset INTEGER NOT NULL, head INTEGER NOT NULL, tail INTEGER NOT NULL) STRICT""",
    "CREATE UNIQUE INDEX ledgers_here ON ledgers (path) WHERE gone IS NULL",
    "CREATE INDEX ledgers_unread ON ledgers (id) WHERE is_read = 0",
    "CREATE INDEX ledgers_unkept ON ledgers (id) WHERE gone IS NOT NULL AND is_kept < 2",
    "CREATE INDEX ledgers_by_job ON ledgers (job_id)",
    """CREATE TABLE writers (ledger INTEGER NOT NULL, writer TEXT NOT NULL,
        PRIMARY KEY (ledger, writer)) STRICT, WITHOUT ROWID""",
    f"CREATE TABLE dims (id INTEGER PRIMARY KEY, {_DIMS}, UNIQUE ({', '.join(DIM_COLUMNS)})) STRICT",
    f"""CREATE TABLE cells (bucket INTEGER NOT NULL, ledger INTEGER NOT NULL, dim INTEGER NOT NULL, {_SUMS},
        PRIMARY KEY (bucket, ledger, dim)) STRICT, WITHOUT ROWID""",
    "CREATE INDEX cells_by_ledger ON cells (ledger)",
    """CREATE TABLE units (bucket INTEGER NOT NULL, ledger INTEGER NOT NULL, dim INTEGER NOT NULL,
        unit TEXT NOT NULL, amount INTEGER NOT NULL,
        PRIMARY KEY (bucket, ledger, dim, unit)) STRICT, WITHOUT ROWID""",
    f"""CREATE TABLE days (day INTEGER NOT NULL, dim INTEGER NOT NULL, {_SUMS},
        PRIMARY KEY (day, dim)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE spend (user_id TEXT NOT NULL, bucket INTEGER NOT NULL, cost INTEGER NOT NULL,
        PRIMARY KEY (user_id, bucket)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE activity (day INTEGER NOT NULL, user_id TEXT NOT NULL, ledger INTEGER NOT NULL,
        PRIMARY KEY (day, user_id, ledger)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE seen (key INTEGER NOT NULL, more INTEGER NOT NULL, ledger INTEGER NOT NULL,
        offset INTEGER NOT NULL, PRIMARY KEY (key, more)) STRICT, WITHOUT ROWID""",
    SEEN_BY_LEDGER,
    """CREATE TABLE reserved (reservation TEXT NOT NULL, ledger INTEGER NOT NULL, calls INTEGER NOT NULL,
        cost INTEGER NOT NULL, unpriced INTEGER NOT NULL,
        PRIMARY KEY (reservation, ledger)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE problems (ledger INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,
        kind TEXT NOT NULL, why TEXT NOT NULL, PRIMARY KEY (ledger, offset)) STRICT, WITHOUT ROWID""",
)

MAY_CHANGE: Final = "id IN (SELECT id FROM ledgers WHERE is_read = 0 UNION ALL SELECT ledger FROM writers)"
"""The condition that a ledger has to be looked at: not read to its end, or somebody may write to it.

Written with OR, it is looked for in every row: a millisecond of each question about 10,000 jobs.
"""

# --- one line

_TOKENS: Final = ("tokens_input", "tokens_output", "tokens_cached", "tokens_reasoning")
_AUDIO: Final = USAGE_FIELDS.index("audio_seconds")
_INPUT, _OUTPUT, _CACHED, _REASONING = map(USAGE_FIELDS.index, _TOKENS)
_NO_UNIT: Final = frozenset((*_TOKENS, "audio_seconds", "channels"))
_UNITS_AT: Final = tuple((at, name) for at, name in enumerate(USAGE_FIELDS) if name not in _NO_UNIT)
_REST: Final = slice(2, None)


class Adder:
    """Adds lines up: the one adder of the project, for one line or for millions."""

    def __init__(self, lines: Iterable[CountedEntry] = ()) -> None:
        self.cells: dict[Place, Sums] = {}
        self.units: dict[tuple[int, Dim, str], int] = {}
        self.reserved: dict[str, Reserved] = {}
        for line in lines:
            self.add(line)

    def add(self, line: CountedEntry) -> None:
        """Count one line."""
        dim = dim_of(line)
        bucket = line.at // BUCKET_MICROSECONDS
        values = self.cells.get((bucket, dim))
        if values is None:
            values = self.cells[bucket, dim] = [0] * len(SUM_COLUMNS)
        usage, sign = line.usage, line.sign
        values[0] += sign
        values[1] += line.unpriced
        values[2] += line.partial
        values[4] += sign * usage[0]  # type: ignore[assignment]  # counts of tokens are whole
        values[5] += sign * usage[1]  # type: ignore[assignment]
        values[9] += line.cost
        values[10] += line.cost_output
        if line.estimated:
            values[3] += sign
        if any(usage[_REST]):
            self._add_further(values, bucket, dim, sign, usage)
        if line.reservation:
            self._add_reserved(line, self.reserved.get(line.reservation, (0, 0, 0)))

    def _add_reserved(self, line: CountedEntry, before: Reserved) -> None:
        """Count a line under its reservation: a call that is taken back was reported all the same.

        So it gives nothing back to the hold, and one without a price keeps nothing of it any more.
        """
        calls, cost, unpriced = before
        if line.sign >= 0:
            calls, cost = calls + line.sign, cost + line.cost
        self.reserved[line.reservation or ""] = (calls, cost, unpriced + line.unpriced + line.partial)

    def negated(self) -> Adder:
        """Return what takes out what this adds."""
        out = Adder()
        out.cells = {place: [-value for value in values] for place, values in self.cells.items()}
        out.units = {place: -amount for place, amount in self.units.items()}
        out.reserved = {name: (-n, -cost, -unpriced) for name, (n, cost, unpriced) in self.reserved.items()}
        return out

    def _add_further(
        self, values: Sums, bucket: int, dim: Dim, sign: int, usage: Sequence[int | float]
    ) -> None:
        values[6] += sign * int(usage[_CACHED])
        values[7] += sign * int(usage[_REASONING])
        values[8] += sign * round(usage[_AUDIO] * 1_000_000)
        for at, name in _UNITS_AT:
            if amount := usage[at]:
                whole = round(amount * 1_000_000) if name in FRACTIONAL_FIELDS else int(amount)
                unit = (bucket, dim, name)
                self.units[unit] = self.units.get(unit, 0) + sign * whole


# --- rows


class LedgerRow(NamedTuple):
    """One ledger: which file it is, how far it was read, and what became of it.

    ``is_kept`` tells whether what is counted of a ledger that is gone was written down (``gone.KEPT``).

    ``path`` is in bytes, as the file system has it. ``uid`` names this very file for ever, also in a storage
    that was built anew. ``size`` and ``mtime`` (nanoseconds) are those at the last look. ``head`` and
    ``tail`` are the CRC-32 of the first bytes read and of the last ones before ``offset``, at most 256 each.
    """

    id: int
    path: bytes
    job_id: str
    uid: int
    gone: str | None = None
    is_kept: int = 0
    is_read: int = 0
    device: int = 0
    inode: int = 0
    size: int = 0
    mtime: int = 0
    offset: int = 0
    head: int = 0
    tail: int = 0

    @property
    def look(self) -> Look:
        """What its file was like at the last look."""
        return self.device, self.inode, self.size, self.mtime

    @property
    def mark(self) -> Mark:
        """By what its content is known again."""
        return self.offset, self.head, self.tail

    @property
    def file(self) -> Path:
        """Its path."""
        return Path(os.fsdecode(self.path))


Mark = tuple[int, int, int]
"""Length, and the CRC-32 of the first and the last 256 bytes."""


class Problem(NamedTuple):
    """A line that does not count: ``kind`` is damaged, duplicate or conflict; or a ledger: unreadable."""

    offset: int
    length: int
    kind: str
    why: str


def _adding(table: str, keys: str, *sums: str) -> str:
    """Return the statement that adds a row to that of a table with the same keys, its first columns."""
    marks = ", ".join("?" * (len(keys.split()) + len(sums)))
    added = ", ".join(f"{name} = {name} + excluded.{name}" for name in sums)
    return f"INSERT INTO {table} VALUES ({marks}) ON CONFLICT ({keys}) DO UPDATE SET {added}"


_ADD_CELLS: Final = _adding("cells", "bucket, ledger, dim", *SUM_COLUMNS)
_ADD_UNITS: Final = _adding("units", "bucket, ledger, dim, unit", "amount")
_ADD_RESERVED: Final = _adding("reserved", "reservation, ledger", "calls", "cost", "unpriced")
_ADD_DAYS: Final = _adding("days", "day, dim", *SUM_COLUMNS)
_ADD_SPEND: Final = _adding("spend", "user_id, bucket", "cost")
_NOTHING: Final = " AND ".join(f"{name} = 0" for name in SUM_COLUMNS)
_LEDGER: Final = f"SELECT {', '.join(LedgerRow._fields)} FROM ledgers"
_PUT_LEDGER: Final = f"REPLACE INTO ledgers VALUES ({', '.join('?' * len(LedgerRow._fields))})"
_FIND_DIM: Final = f"SELECT id FROM dims WHERE {' AND '.join(f'{name} = ?' for name in DIM_COLUMNS)}"
_PUT_DIM: Final = f"INSERT INTO dims ({', '.join(DIM_COLUMNS)}) VALUES ({', '.join('?' * len(DIM_COLUMNS))})"


def is_begun(db: sqlite3.Connection) -> bool:
    """Tell whether these sums have learnt what was noted and kept: else they know nothing."""
    return bool(db.execute("SELECT is_begun FROM meta").fetchone()[0])


def position(db: sqlite3.Connection, journal: str) -> JournalPosition:
    """Return how far a journal was read: ``notes`` or ``kept``."""
    return JournalPosition(*json.loads(db.execute(f"SELECT {journal} FROM meta").fetchone()[0]))


def set_position(db: sqlite3.Connection, journal: str, position: JournalPosition) -> None:
    """Write down how far a journal was read."""
    db.execute(f"UPDATE meta SET {journal} = ?", (json.dumps(position),))


def ledgers(db: sqlite3.Connection, where: str, *values: object) -> list[LedgerRow]:
    """Return rows of ledgers by a condition of ours."""
    return [LedgerRow(*row) for row in db.execute(f"{_LEDGER} WHERE {where}", values)]


def ledger_at(db: sqlite3.Connection, path: bytes) -> LedgerRow | None:
    """Return the row of the ledger that is at a path."""
    return next(iter(ledgers(db, "path = ? AND gone IS NULL", path)), None)


def is_changed(db: sqlite3.Connection) -> None:
    """Let everybody know that the sums have changed."""
    db.execute("UPDATE meta SET version = version + 1")


def put_ledger(db: sqlite3.Connection, row: LedgerRow) -> None:
    """Write the row of a ledger."""
    db.execute(_PUT_LEDGER, row)


def dim_number(db: sqlite3.Connection, dim: Dim) -> int:
    """Return the integer of some dimensions; they are given one when they are new."""
    row = db.execute(_FIND_DIM, dim).fetchone()
    return int(row[0]) if row else int(db.execute(_PUT_DIM, dim).lastrowid or 0)


def put_fold(db: sqlite3.Connection, ledger: int, fold: Adder) -> None:
    """Add what a ledger has to all sums."""
    numbers = {dim: dim_number(db, dim) for dim in {dim for _, dim in fold.cells}}
    cells = [(bucket, numbers[dim], dim[0], values) for (bucket, dim), values in fold.cells.items()]
    units = [(bucket, ledger, numbers[dim], unit, n) for (bucket, dim, unit), n in fold.units.items()]
    db.executemany(_ADD_CELLS, [(bucket, ledger, dim, *values) for bucket, dim, _, values in cells])
    db.executemany(_ADD_UNITS, units)
    db.executemany(_ADD_RESERVED, [(name, ledger, *sums) for name, sums in fold.reserved.items()])
    db.executemany(_ADD_DAYS, [(bucket // DAY_BUCKETS, dim, *values) for bucket, dim, _, values in cells])
    db.executemany(_ADD_SPEND, [(user, bucket, cost) for bucket, _, user, v in cells if (cost := v[_COST])])
    active = {(bucket // DAY_BUCKETS, user, ledger) for bucket, _, user, _ in cells}
    db.executemany("INSERT OR IGNORE INTO activity VALUES (?, ?, ?)", active)


_COST: Final = SUM_COLUMNS.index("cost")


def take_out(db: sqlite3.Connection, ledger: int) -> None:
    """Take everything out that came from one ledger; its row stays."""
    put_fold(db, ledger, fold_of(db, ledger).negated())
    clear_zeros(db, ledger)
    for table in ("seen", "problems"):
        db.execute(f"DELETE FROM {table} WHERE ledger = ?", (ledger,))


PUT_ACTIVITY: Final = (
    f"INSERT INTO activity SELECT DISTINCT {DAY_OF_BUCKET}, user_id, ledger "
    "FROM cells JOIN dims ON dims.id = dim"
)
"""Fills the table from the cells; a condition may follow."""


def clear_zeros(db: sqlite3.Connection, ledger: int) -> None:
    """Remove the rows of a ledger that lost lines to another one where nothing is left."""
    db.execute(f"DELETE FROM cells WHERE ledger = ? AND {_NOTHING}", (ledger,))
    db.execute("DELETE FROM units WHERE ledger = ? AND amount = 0", (ledger,))
    db.execute("DELETE FROM reserved WHERE ledger = ? AND calls = 0 AND cost = 0 AND unpriced = 0", (ledger,))
    db.execute("DELETE FROM activity WHERE ledger = ?", (ledger,))
    db.execute(f"{PUT_ACTIVITY} WHERE ledger = ?", (ledger,))


def fold_of(db: sqlite3.Connection, ledger: int) -> Adder:
    """Return what one ledger has in the sums, as it could be added again."""
    fold = Adder()
    dims = ", ".join(f"d.{name}" for name in DIM_COLUMNS)
    sums = ", ".join(f"c.{name}" for name in SUM_COLUMNS)
    for bucket, *rest in db.execute(
        f"SELECT c.bucket, {dims}, {sums} FROM cells c JOIN dims d ON d.id = c.dim WHERE c.ledger = ?",
        (ledger,),
    ):
        fold.cells[bucket, tuple(rest[: len(DIM_COLUMNS)])] = list(rest[len(DIM_COLUMNS) :])
    for bucket, unit, amount, *dim in db.execute(
        f"""SELECT u.bucket, u.unit, u.amount, {dims} FROM cells c
        JOIN units u ON u.bucket = c.bucket AND u.ledger = c.ledger AND u.dim = c.dim
        JOIN dims d ON d.id = c.dim WHERE c.ledger = ?""",
        (ledger,),
    ):
        fold.units[bucket, tuple(dim), unit] = amount
    for name, _, *sums in db.execute("SELECT * FROM reserved WHERE ledger = ?", (ledger,)):
        fold.reserved[name] = (sums[0], sums[1], sums[2])
    return fold


def put_problems(db: sqlite3.Connection, ledger: int, problems: Iterable[Problem]) -> None:
    """Write down lines that do not count."""
    rows = [(ledger, *each[:3], each.why.encode(errors="replace").decode()) for each in problems]
    db.executemany("REPLACE INTO problems VALUES (?, ?, ?, ?, ?)", rows)  # a path may be no text


def put_seen(db: sqlite3.Connection, rows: Sequence[tuple[int, ...]]) -> bool:
    """Note ids (key, more, ledger, offset) as seen; ``False``, with nothing noted, when one was before."""
    before = db.total_changes
    db.execute("SAVEPOINT ids")
    insert_rows(db, "INSERT OR IGNORE INTO seen", rows)
    new = db.total_changes - before == len(rows)
    if not new:
        db.execute("ROLLBACK TO ids")
    db.execute("RELEASE ids")
    return new


def seen_at(db: sqlite3.Connection, key: Sequence[int]) -> tuple[int, int] | None:
    """Return ledger and offset of the entry with a key (:func:`.key_of`) that counts."""
    row: tuple[int, int] | None = db.execute(
        "SELECT ledger, offset FROM seen WHERE key = ? AND more = ?", key
    ).fetchone()
    return row


def find_seen(db: sqlite3.Connection, entry_id: str) -> tuple[int, int] | None:
    """Return ledger and offset of the entry with an id that counts."""
    return seen_at(db, key_of(entry_id))


def find_all_seen(db: sqlite3.Connection, entry_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return ledger and offset of those entries that count, by id."""
    rows = zip(entry_ids, *keys_of(entry_ids), strict=True) if entry_ids else ()
    return {each: place for each, *key in rows if (place := seen_at(db, key))}


def move_seen(db: sqlite3.Connection, entry_id: str, ledger: int, offset: int) -> None:
    """Let an id count where its line stands now."""
    db.execute(
        "UPDATE seen SET ledger = ?, offset = ? WHERE key = ? AND more = ?",
        (ledger, offset, *key_of(entry_id)),
    )


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
"""With fourteen columns these are 896 values: older SQLite versions take 999."""
