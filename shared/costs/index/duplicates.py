"""Which entry of an id counts, and what is said about the others.

An id counts once: in the ledger that was registered first, where it stands first.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..ledger.counted import counted, same_call
from .ledgerfile import Line, opened
from .sqlite_faults import DatabaseDamaged
from .store import LedgerRow, SeenRow, find_seen, ledger_row, put_seen

if TYPE_CHECKING:
    from ..model import Entry

ProblemKind = Literal["damaged", "duplicate", "conflict"]


class Problem(NamedTuple):
    """A line that does not count. ``other`` is the ledger in which its id stood first."""

    ledger: int
    offset: int
    length: int
    kind: ProblemKind
    why: str
    other: int | None = None


def put_problems(db: sqlite3.Connection, problems: Sequence[Problem]) -> None:
    """Write down lines that do not count."""
    if problems:
        db.executemany("REPLACE INTO problems VALUES (?, ?, ?, ?, ?, ?)", problems)


def unseen(
    db: sqlite3.Connection, entries: Sequence[tuple[Line, Entry]], ids: Sequence[SeenRow]
) -> tuple[list[Entry], list[Problem]]:
    """Note ids one by one; return the entries that count, and the duplicates."""
    counted, doubled = [], []
    for (line, entry), seen in zip(entries, ids, strict=True):
        if put_seen(db, [seen]):
            counted.append(entry)
        else:
            doubled.append(_doubled(db, seen, line, entry))
    return counted, doubled


def later_owners(db: sqlite3.Connection, row: LedgerRow, ids: Sequence[SeenRow]) -> list[LedgerRow]:
    """Return the ledgers that have some of these ids but were registered later, and what depends on them.

    An id counts in the ledger that was registered first, whichever was taken in first. So the index
    does not depend on the order of events, and is at any time the one that a rebuild gives.
    """
    owners = {first.ledger for one in ids if (first := find_seen(db, one.key, one.more))}
    rows = {number: ledger_row(db, number) for number in owners if number > row.id}
    found = {each.id: each for each in rows.values() if each is not None}
    for each in list(found.values()):
        found |= {other.id: other for other in dependants(db, each) if other.id != row.id}
    return [found[number] for number in sorted(found) if Path(found[number].path).is_file()]


def dependants(db: sqlite3.Connection, row: LedgerRow) -> list[LedgerRow]:
    """Return the ledgers that have duplicates of a ledger's entries, directly or through others."""
    rows = db.execute(
        """WITH RECURSIVE out (id) AS (
            SELECT ? UNION SELECT p.ledger FROM out JOIN problems p ON p.other = out.id
        ) SELECT id FROM out ORDER BY id""",
        (row.id,),
    ).fetchall()
    found = [ledger_row(db, int(each[0])) for each in rows]
    return [each for each in found if each is not None and each.id != row.id]


def _doubled(db: sqlite3.Connection, seen: SeenRow, line: Line, entry: Entry) -> Problem:
    first = find_seen(db, seen.key, seen.more)
    if first is None or (first.ledger, first.offset) == (seen.ledger, seen.offset):
        raise DatabaseDamaged("the index knows an entry that it has not taken in; it is built anew")
    original = _entry_at(db, first)
    kind: ProblemKind = "duplicate" if original is None or same_content(original, entry) else "conflict"
    where = "" if first.ledger == seen.ledger else f" in {_path_of(db, first.ledger)}"
    told = "id seen before" if kind == "duplicate" else "id seen before with other content"
    return Problem(
        seen.ledger, line.offset, line.length, kind, f"{told}, at offset {first.offset}{where}", first.ledger
    )


def same_content(one: Entry, other: Entry) -> bool:
    """Tell whether two entries are a repetition, not a conflict."""
    return same_call(counted(one), counted(other))


def _entry_at(db: sqlite3.Connection, place: SeenRow) -> Entry | None:
    from ..ledger.line import DamagedLine, decode

    try:
        with opened(Path(_path_of(db, place.ledger))) as file:
            return decode(file.line_at(place.offset))
    except (OSError, DamagedLine):
        return None


def _path_of(db: sqlite3.Connection, ledger: int) -> str:
    row = db.execute("SELECT path FROM ledgers WHERE id = ?", (ledger,)).fetchone()
    return str(row[0]) if row else ""
