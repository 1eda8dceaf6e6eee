"""Publishing: copies the entries of this host's ledgers into the shared database, each once.

The outbox is the ledgers themselves. How far each was published is stored in the shared database, in the
transaction that adds the entries: so after a crash, or after the database was restored from a backup, the
next pass continues exactly where the database is. An id counts once, whichever host publishes it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from ..archive.known import fingerprint_of
from ..ledger.counted import DIM_COLUMNS, CountedEntry, Dim, counted, dim_of
from ..ledger.line import decode
from ..ledger.lines import DamagedLine
from ..platform import SecureFile
from ..store.gone import fingerprint, job_of, recognised
from ..store.intake import read_counted
from ..store.journal import opened, size_of
from ..store.tables import DAY_BUCKETS, SUM_COLUMNS, Adder, LedgerRow
from .database import Transaction

BATCH: Final = 10_000
"""How many entries are published in one transaction."""

_LOCK: Final = 0x0C057
"""First half of the keys of our advisory locks, in a database that others may use; the second half is the
host's number."""

_COST: Final = SUM_COLUMNS.index("cost")
_ENTRY: Final = ("id", "ledger", "dim", "at", "calls", "cost", "tokens_input", "tokens_output")
_CELL: Final = ("bucket", "ledger", "dim", "host", *SUM_COLUMNS)


class LedgerPiece(NamedTuple):
    """The next lines of one ledger, and its row after them; ``read`` counts damaged lines too."""

    row: LedgerRow
    lines: list[CountedEntry]
    read: int = 0


class Outbox(NamedTuple):
    """The result of one transaction: how many entries were new, and how many ledgers are done."""

    entries: int
    done: int


def waiting_bytes(published: dict[bytes, LedgerRow], ledgers: Iterable[Path]) -> dict[Path, int]:
    """Return the ledgers that are not completely published, with the number of bytes that are missing."""
    waiting = {}
    for ledger in ledgers:
        with suppress(OSError), opened(ledger) as file:
            row = published.get(os.fsencode(ledger))
            is_other = row is None or not recognised(row, file)
            waiting[ledger] = size_of(file) - (0 if row is None or is_other else row.offset)
    return {ledger: size for ledger, size in waiting.items() if size > 0}


def unpublished(db: Transaction, host: int, ledgers: Mapping[Path, LedgerRow]) -> list[Path]:
    """Return the ledgers that are not completely published, judged by their rows without reading them."""
    rows = db.execute(
        'SELECT place, "offset", head, tail FROM ledgers WHERE host = ? AND gone IS NULL', (host,)
    )
    marks = {bytes(place): (offset, head, tail) for place, offset, head, tail in rows}
    return [
        ledger
        for ledger, row in ledgers.items()
        if marks.get(os.fsencode(ledger)) != row.mark or row.size > row.offset
    ]


def published(db: Transaction, host: int, ledgers: Sequence[Path]) -> dict[bytes, LedgerRow]:
    """Return the rows of those ledgers that the database knows, by place, with how far they are published."""
    rows = db.execute(
        """SELECT id, place, job_id, "offset", head, tail FROM ledgers
        WHERE host = ? AND gone IS NULL AND place = ANY(?)""",
        (host, list(map(os.fsencode, ledgers))),
    )
    return {
        bytes(place): LedgerRow(number, bytes(place), job_id, 0, offset=offset, head=head, tail=tail)
        for number, place, job_id, offset, head, tail in rows
    }


PublishedLedger = tuple[bytes, int, int, int]
"""A published ledger: its place, the offset it is published up to, and the CRC-32 of its first bytes and of
the last ones before that offset."""


def all_published(db: Transaction, host: int) -> set[PublishedLedger]:
    """Return all ledgers of a host that were published, including those that no longer exist."""
    rows = db.execute('SELECT place, "offset", head, tail FROM ledgers WHERE host = ?', (host,))
    return {(bytes(place), *rest) for place, *rest in rows}


def publish_content(
    db: Transaction,
    host: int,
    place: bytes,
    content: bytes,
    previous: LedgerRow | None,
    max_lines: int = BATCH,
) -> tuple[LedgerRow, int]:
    """Publish the next lines of a ledger that lies in an archive.

    ``previous`` is the row that the previous call returned, ``None`` for the first. Return the row for the
    next call, and how many entries were new.
    """
    db.execute("SELECT pg_advisory_xact_lock(?, ?)", (_LOCK, host))
    row = previous
    if row is None:
        name = str(_single_value(db, "SELECT name FROM hosts WHERE id = ?", host))
        row = _insert_ledger(db, host, name, place, gone="packed")
    lines, end = list[CountedEntry](), row.offset
    for raw in islice(BytesIO(content[row.offset :]), max_lines):
        end += len(raw)
        with suppress(DamagedLine):  # a damaged line is in no sum
            lines.append(counted(decode(raw)))
    _, head, tail = fingerprint_of(content[:end])
    row = row._replace(offset=end, head=head, tail=tail)
    return row, _add_pieces(db, host, [LedgerPiece(row, lines)])


def publish(db: Transaction, host: int, ledgers: Sequence[Path], max_lines: int = BATCH) -> Outbox:
    """Publish what is new in some ledgers, at most ``max_lines`` lines; one process of a host at a time."""
    db.execute("SELECT pg_advisory_xact_lock(?, ?)", (_LOCK, host))
    name = str(_single_value(db, "SELECT name FROM hosts WHERE id = ?", host))
    known, pieces, remaining = published(db, host, ledgers), list[LedgerPiece](), max_lines
    for number, ledger in enumerate(ledgers):
        piece = _next_piece(db, host, name, known, os.fsencode(ledger), remaining)
        if piece is not None:
            pieces.append(piece)
            remaining -= piece.read
        if remaining <= 0:
            return Outbox(_add_pieces(db, host, pieces), done=number)  # this ledger may have more
    return Outbox(_add_pieces(db, host, pieces), done=len(ledgers))


def _next_piece(
    db: Transaction, host: int, name: str, known: dict[bytes, LedgerRow], place: bytes, max_lines: int
) -> LedgerPiece | None:
    """Return the next lines of a ledger; ``None`` if there are none."""
    row = known.get(place)
    try:
        with opened(place) as file:
            if row is not None and row.offset and not recognised(row, file):
                # The file was replaced, maybe by one of the same length: what was published of it still
                # counts.
                db.execute("UPDATE ledgers SET gone = 'replaced' WHERE id = ?", (row.id,))
                row = None
            if row is not None and size_of(file) == row.offset:
                return None
            row = row or _insert_ledger(db, host, name, place)
            lines, read, end = _read_lines(file, row.offset, max_lines)
            if end == row.offset:
                return None
            head, tail = fingerprint(file, end)
            return LedgerPiece(row._replace(offset=end, head=head, tail=tail), lines, read)
    except OSError:
        return None  # it cannot be read now; the next pass tries again


def _read_lines(file: SecureFile, start: int, max_lines: int) -> tuple[list[CountedEntry], int, int]:
    lines, read, end = list[CountedEntry](), 0, start
    for offset, length, line in islice(read_counted(file, start), max_lines):
        end, read = offset + length, read + 1
        if not isinstance(line, DamagedLine):  # a damaged line is in no sum; ``verify`` names it
            lines.append(line)
    return lines, read, end


def _insert_ledger(db: Transaction, host: int, name: str, place: bytes, gone: str | None = None) -> LedgerRow:
    job_id = _text(job_of(place))
    path = os.fsencode(f"{name}:") + place
    number = _single_value(
        db,
        """INSERT INTO ledgers (host, place, path, job_id, gone, "offset", head, tail)
        VALUES (?, ?, ?, ?, ?, 0, 0, 0) RETURNING id""",
        *(host, place, path, job_id, gone),
    )
    return LedgerRow(int(str(number)), place, job_id, 0)


def _add_pieces(db: Transaction, host: int, pieces: Sequence[LedgerPiece]) -> int:
    """Add lines to the entries and the sums; return how many entries were new."""
    if not pieces:
        return 0
    dims = {dim_of(line) for piece in pieces for line in piece.lines}
    numbers = _dim_numbers(db, dims)
    new = _put_entries(db, pieces, numbers)
    _put_sums(db, host, pieces, numbers, set(new))
    for piece in pieces:
        row = piece.row
        values = (row.offset, row.head, row.tail, row.id)
        db.execute('UPDATE ledgers SET "offset" = ?, head = ?, tail = ? WHERE id = ?', values)
    return len(new)


def _dim_numbers(db: Transaction, dims: Iterable[Dim]) -> dict[Dim, int]:
    """Return the numbers of dimensions; new ones are inserted."""
    keys = {_dim_key(dim): dim for dim in dims}
    if not keys:
        return {}
    all_keys = list(keys)
    numbers = dict(db.execute("SELECT key, id FROM dims WHERE key = ANY(?)", (all_keys,)).fetchall())
    missing = sorted(key for key in all_keys if key not in numbers)  # in one order for all: no deadlocks
    for key in missing:
        values = (key, *map(_text, keys[key]))
        db.execute(
            f"""INSERT INTO dims (key, {", ".join(DIM_COLUMNS)}) VALUES ({_marks(values)})
            ON CONFLICT DO NOTHING""",
            values,
        )
    if missing:
        numbers |= dict(db.execute("SELECT key, id FROM dims WHERE key = ANY(?)", (missing,)).fetchall())
    return {dim: numbers[key] for key, dim in keys.items()}


def _dim_key(dim: Dim) -> str:
    return blake2b(json.dumps(dim).encode(), digest_size=16).hexdigest()


def _put_entries(db: Transaction, pieces: Sequence[LedgerPiece], numbers: dict[Dim, int]) -> set[str]:
    """Add the entries whose ids are new; return these ids."""
    db.execute("CREATE TEMP TABLE incoming (LIKE entries) ON COMMIT DROP")
    rows: dict[str, tuple[object, ...]] = {}
    for piece in pieces:
        for line in piece.lines:
            tokens = (line.sign * line.usage[0], line.sign * line.usage[1])
            key, dim = _text(line.id), numbers[dim_of(line)]
            rows.setdefault(key, (key, piece.row.id, dim, line.at, line.sign, line.cost, *tokens))
    db.copy("incoming", _ENTRY, list(rows.values()))
    # Ordered by id, so that two hosts that publish the same entries cannot deadlock.
    inserted = db.execute(
        "INSERT INTO entries SELECT * FROM incoming ORDER BY id ON CONFLICT DO NOTHING RETURNING id"
    )
    return {str(row[0]) for row in inserted}


def _put_sums(
    db: Transaction, host: int, pieces: Sequence[LedgerPiece], numbers: dict[Dim, int], new: set[str]
) -> None:
    cells, units = list[tuple[object, ...]](), list[tuple[object, ...]]()
    days, spend = dict[tuple[int, ...], list[int]](), dict[tuple[str, int, int], int]()
    activity = set[tuple[int, str, int]]()
    for piece in pieces:
        fold, ledger = _sums_of_new(piece, new), piece.row.id
        for (bucket, dim), values in fold.cells.items():
            cells.append((bucket, ledger, numbers[dim], host, *values))
            day = days.setdefault((bucket // DAY_BUCKETS, host, numbers[dim]), [0] * len(SUM_COLUMNS))
            day[:] = map(int.__add__, day, values)
            activity.add((bucket // DAY_BUCKETS, _text(dim[0]), ledger))
            if cost := values[_COST]:
                place = (_text(dim[0]), bucket, host)
                spend[place] = spend.get(place, 0) + cost
        units += [(b, ledger, numbers[dim], unit, n) for (b, dim, unit), n in fold.units.items()]
    _merge(db, "cells", _CELL, 3, cells, SUM_COLUMNS)
    _merge(db, "units", ("bucket", "ledger", "dim", "unit", "amount"), 4, units, ("amount",))
    _merge(
        db, "days", ("day", "host", "dim", *SUM_COLUMNS), 3, [(*k, *v) for k, v in days.items()], SUM_COLUMNS
    )
    _merge(
        db, "spend", ("user_id", "bucket", "host", "cost"), 3, [(*k, v) for k, v in spend.items()], ("cost",)
    )
    _merge(db, "activity", ("day", "user_id", "ledger"), 3, list(activity), ())


def _sums_of_new(piece: LedgerPiece, new: set[str]) -> Adder:
    """Return the sums of the lines whose ids are new; of two lines with the same id the first counts."""
    fold = Adder()
    for line in piece.lines:
        if (key := _text(line.id)) in new:
            fold.add(line)
            new.discard(key)
    return fold


def _merge(
    db: Transaction,
    table: str,
    columns: Sequence[str],
    keys: int,
    rows: Sequence[Sequence[object]],
    sums: Sequence[str],
) -> None:
    """Add rows to a table of sums, each to the row with the same key if there is one."""
    if not rows:
        return
    db.execute(f"CREATE TEMP TABLE new_{table} (LIKE {table}) ON COMMIT DROP")
    db.copy(f"new_{table}", columns, rows)
    names, key = ", ".join(columns), ", ".join(columns[:keys])
    grown = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in sums)
    action = f"DO UPDATE SET {grown}" if sums else "DO NOTHING"
    db.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM new_{table} ON CONFLICT ({key}) {action}")


def _text(text: str) -> str:
    """Return a text that PostgreSQL can store: NUL and lone surrogates become ``?``."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _single_value(db: Transaction, statement: str, *values: object) -> object:
    row = db.execute(statement, values).fetchone()
    assert row is not None  # the caller's statement always returns one
    return row[0]
