"""Lines that were just appended, one row each, until they come into the sums together.

Adding a call to the sums changes a page of each of five tables; its row here changes one. A row says
what its line adds and where the line stands, so it may be dropped at any time in favour of the line
itself: rows are *settled* (added to the sums) as far as they follow what was taken in without a gap,
and whoever reads the ledger past a row deletes it. What asks for sums settles first; the budget check
adds the rows to the sums it reads.

Writers of one ledger come here in another order than they appended. So a row may stand behind a gap,
until the line before it comes too, or the ledger is read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..rollup import BUCKET_SECONDS, bucket_of
from .fold import Sums, dim_of, plus, sums_of
from .keys import key_of
from .ledgerfile import FINGERPRINT_BYTES
from .store import LedgerRow, Memory, NumberedSums, SeenRow, find_seen
from .tables import SUM_COLUMNS

if TYPE_CHECKING:
    from ..model import Entry

SETTLE_AT: Final = 24
"""How many rows may wait: each call reads them all, which costs about as much as settling them together."""


class StagedRow(NamedTuple):
    """What one line adds, and where it stands. ``tail`` is the checksum of the 256 bytes before its end."""

    ledger: int
    offset: int
    length: int
    tail: int
    bucket: int
    dim: int
    user_id: str
    key: int
    more: int
    reservation: str | None
    values: Sums

    @property
    def end(self) -> int:
        """The first byte after the line."""
        return self.offset + self.length

    @property
    def seen(self) -> SeenRow:
        """The id of the entry, and where it stands."""
        return SeenRow(self.key, self.more, self.ledger, self.offset)


class Spot(NamedTuple):
    """Where a line was appended: in which file, from which byte on, and what stands before its end."""

    offset: int
    length: int
    tail: int
    inode: int
    device: int


class Staged(NamedTuple):
    """How many rows there are, and the end of one ledger's lines with its rows.

    ``end`` is ``None`` where there is a gap, or nothing of the ledger was taken in.
    """

    rows: int
    end: int | None

    @classmethod
    def of(cls, row: Sequence[Any]) -> Staged:
        """Make one from the columns of :data:`STAGED`."""
        rows, own, end, taken = row
        if not own:
            return cls(rows, taken)
        return cls(rows, end if taken is not None and taken + own == end else None)


# Lines do not overlap: there is no gap before a row when all lengths add up to its end.
STAGED: Final = """count(*), sum(iif(ledger = ?, length, 0)),
    max(iif(ledger = ?, offset + length, 0)), (SELECT l.offset FROM ledgers l WHERE l.id = ?)"""
"""The columns, over all rows of ``staged``, that tell what is staged; each ``?`` is the ledger."""

STAGED_WIDTH: Final = 4

_CALLS: Final = SUM_COLUMNS.index("calls")
_COST: Final = SUM_COLUMNS.index("cost")
_WIDTH: Final = len(StagedRow._fields) - 1 + len(SUM_COLUMNS)
_STAGE: Final = f"""INSERT OR IGNORE INTO staged SELECT {", ".join("?" * _WIDTH)} FROM ledgers
    WHERE id = ? AND inode = ? AND device = ? AND offset <= ? AND head_length = {FINGERPRINT_BYTES}
    AND NOT EXISTS (SELECT 1 FROM seen WHERE key = ? AND more = ?)
    AND NOT EXISTS (SELECT 1 FROM staged WHERE key = ? AND more = ?)"""


def stage(db: sqlite3.Connection, memory: Memory, ledger: int, entry: Entry, spot: Spot) -> bool:
    """Add a row for a line; ``False`` where that takes a look into the ledger.

    So it is when the ledger is new or another file, or the id was seen before.
    """
    dim = dim_of(entry)
    bucket, key = bucket_of(entry.counted_at) // BUCKET_SECONDS, key_of(entry.id)
    row = (ledger, *spot[:3], bucket, memory.dim(db, dim), dim[0], *key, entry.reservation, *sums_of(entry))
    return db.execute(_STAGE, (*row, ledger, *spot[3:], spot.offset, *key, *key)).rowcount == 1


def is_taken_in(db: sqlite3.Connection, ledger: int, entry: Entry, offset: int) -> bool:
    """Tell whether somebody has read this very line already: another writer of the same ledger."""
    seen = find_seen(db, *key_of(entry.id))
    return seen is not None and (seen.ledger, seen.offset) == (ledger, offset)


def all_staged(db: sqlite3.Connection, ledger: int) -> Staged:
    """Return what is staged, and up to where a ledger is taken in with that."""
    row = db.execute(f"SELECT {STAGED} FROM staged", (ledger, ledger, ledger)).fetchone()
    return Staged.of(row)


def last_tail(db: sqlite3.Connection, ledger: int) -> int | None:
    """Return the ``tail`` of a ledger's last row; ``None`` where it has none."""
    found = db.execute("SELECT tail FROM staged WHERE ledger = ? ORDER BY offset DESC LIMIT 1", (ledger,))
    row = found.fetchone()
    return row[0] if row else None


def any_waits(db: sqlite3.Connection) -> bool:
    """Tell whether there is any row."""
    return bool(db.execute("SELECT EXISTS (SELECT 1 FROM staged)").fetchone()[0])


def staged_rows(db: sqlite3.Connection) -> Iterator[tuple[int, list[StagedRow]]]:
    """Return the rows of each ledger that has any, in the order of their lines."""
    width = len(StagedRow._fields) - 1
    found = db.execute("SELECT * FROM staged ORDER BY ledger, offset").fetchall()
    rows = (StagedRow._make((*row[:width], row[width:])) for row in found)
    for ledger, own in groupby(rows, attrgetter("ledger")):
        yield ledger, list(own)


def without_gap(rows: Sequence[StagedRow], offset: int) -> list[StagedRow]:
    """Return the rows that follow what was taken in, up to the first gap."""
    found: list[StagedRow] = []
    for row in rows:
        if row.offset == offset:
            found.append(row)
            offset = row.end
    return found


def summed(rows: Sequence[StagedRow]) -> list[NumberedSums]:
    """Add rows up by bucket and dimensions."""
    sums: dict[tuple[int, int, str], Sums] = {}
    for row in rows:
        key = row.bucket, row.dim, row.user_id
        sums[key] = plus(sums[key], row.values) if key in sums else row.values
    return [NumberedSums(*key, values) for key, values in sums.items()]


def reserved(rows: Sequence[StagedRow]) -> dict[str, tuple[int, int]]:
    """Return calls and cost of rows by reservation."""
    found: dict[str, tuple[int, int]] = {}
    for row in rows:
        if row.reservation:
            calls, cost = found.get(row.reservation, (0, 0))
            found[row.reservation] = calls + row.values[_CALLS], cost + row.values[_COST]
    return found


def drop(db: sqlite3.Connection, row: LedgerRow) -> None:
    """Delete the rows of a ledger whose lines are taken in."""
    db.execute("DELETE FROM staged WHERE ledger = ? AND offset < ?", (row.id, row.offset))


def drop_all(db: sqlite3.Connection, ledger: int) -> None:
    """Delete every row of a ledger: its lines are read instead, or the ledger has them no more."""
    db.execute("DELETE FROM staged WHERE ledger = ?", (ledger,))


def find_staged(db: sqlite3.Connection, key: int, more: int) -> SeenRow | None:
    """Return where the staged entry with this key stands."""
    row = db.execute(
        "SELECT key, more, ledger, offset FROM staged WHERE key = ? AND more = ?", (key, more)
    ).fetchone()
    return SeenRow(*row) if row else None
