"""Adds up all ledgers anew, beside the present sums, with processes that read and one that writes.

The present sums serve until the new ones take their place. What is appended meanwhile is read afterwards, as
from any sums that are behind their ledgers. What was kept of ledgers that are gone is put in first.
"""

from __future__ import annotations

import os
import pickle
import sqlite3
import subprocess
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Final, NamedTuple

from .. import platform
from ..errors import StorageUnavailable, UnsafePath
from ..ledger.batch import read_counted
from ..ledger.counted import Dim, keys_of
from ..ledger.lines import DamagedLine
from ..platform import SecureFile
from . import tables
from .catchup import CatchUp, NotedLedgers
from .database import Database, DatabaseBusy, DatabaseDamaged, SealedDatabase
from .gone import WAITING, Id, KeptJournal, fingerprint, next_number, put_back
from .intake import unreadable
from .journal import look_at, opened
from .tables import DAY_OF_BUCKET, PUT_ACTIVITY, SUM_COLUMNS, Adder, LedgerRow, Problem, Reserved

Progress = Callable[[int, int], None]
"""Called with how far a rebuild has come: bytes of ledgers that were read, and of all."""

CHUNK_BYTES: Final = 8 << 20
SMALL_BYTES: Final = 32 << 20
"""So little is read by this process itself: others would take longer to start."""

PROCESSES: Final = 2
_NEW: Final = "-new-"


@dataclass(frozen=True, slots=True)
class RebuildResult:
    """What a rebuild read. ``unread`` are the ledgers that could not be read, and why."""

    ledgers: int
    entries: int
    bytes: int
    unread: tuple[tuple[Path, str], ...]


class ScannedLedger(NamedTuple):
    """One ledger, added up. ``cells`` has row after row: bucket, place in the chunk's dims, and the sums."""

    row: LedgerRow
    cells: array[int]
    units: list[tuple[int, int, str, int]]
    reserved: dict[str, Reserved]
    keys: array[int]
    more: array[int]
    offsets: array[int]
    problems: list[Problem]


@dataclass(slots=True)
class Chunk:
    """Some ledgers, added up; those that could not be read are left out, and it is said why."""

    dims: dict[Dim, int] = field(default_factory=dict)
    ledgers: list[ScannedLedger] = field(default_factory=list)
    unread: list[tuple[int, Problem]] = field(default_factory=list)

    def scan(self, rows: Sequence[LedgerRow]) -> Chunk:
        """Read ledgers from their first byte to their last complete line. Ids are not compared."""
        for row in rows:
            try:
                with opened(row.path) as file:
                    self.ledgers.append(self._scanned(row, file))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as fault:
                self.unread.append((row.id, unreadable(fault)))
        return self

    def _scanned(self, row: LedgerRow, file: SecureFile) -> ScannedLedger:
        look = look_at(file.fileno())
        fold, ids, offsets, problems, end = Adder(), list[str](), array("q"), list[Problem](), 0
        for offset, length, line in read_counted(file.fileno()):
            end = offset + length
            if isinstance(line, DamagedLine):
                problems.append(Problem(offset, length, "damaged", str(line)))
                continue
            fold.add(line)
            ids.append(line.id)
            offsets.append(offset)
        keys, more = keys_of(ids)
        head, tail = fingerprint(file, end)
        cells = array("q")
        for (bucket, dim), values in fold.cells.items():
            cells.extend((bucket, self.dims.setdefault(dim, len(self.dims)), *values))
        units = [(bucket, self.dims[dim], unit, n) for (bucket, dim, unit), n in fold.units.items()]
        row = LedgerRow(*row[:6], 1, *look, end, head, tail)
        return ScannedLedger(
            row, cells, units, fold.reserved, array("q", keys), array("q", more), offsets, problems
        )


def rebuild(present: SealedDatabase, known: NotedLedgers, progress: Progress | None = None) -> RebuildResult:
    """Add everything up anew and put it in the place of the present sums.

    Raises:
        StorageUnavailable: the new file cannot be written, or the old one not be replaced.

    """
    path = present.file.with_name(f"{present.file.name}{_NEW}{os.getpid()}")
    with _reserved(path):
        sums = _BuildDatabase(path, tables.SCHEMA, tables.FORMAT)
        catch_up = CatchUp(known)
        try:
            is_begun = _is_begun(present)
            sums.write(catch_up.begin)
            sums.write(lambda db: db.execute("DROP INDEX seen_by_ledger"))
            rebuilt = _filled(sums, progress or (lambda _, __: None), catch_up)
            sums.write(KeptJournal(known.storage).add_all_read)
            # What changed or went away meanwhile is seen here, and kept.
            with suppress(DatabaseDamaged):
                if is_begun:
                    catch_up.bring_up(present, None, settled="all")
                    _carry_over(present, sums)
            sums.statement(lambda db: db.execute("PRAGMA journal_mode=WAL"))
        finally:
            sums.close()
        present.replace(path)
    return rebuilt


def _is_begun(present: Database) -> bool:
    """Tell whether the present sums know anything; those that cannot be used are to be replaced."""
    try:
        return present.read(tables.is_begun)
    except DatabaseBusy:
        raise
    except (StorageUnavailable, UnsafePath):
        return False


def _carry_over(present: Database, sums: Database) -> None:
    """Put in what the present sums have of ledgers that could not be read now, and of lines that wait."""
    unread = sums.read(
        lambda db: {row.path: row.id for row in tables.ledgers(db, "gone IS NULL AND offset = 0")}
    )

    def counted(db: sqlite3.Connection) -> list[tuple[LedgerRow, Adder, list[Id], list[Problem]]]:
        ids = "SELECT key, more, offset FROM seen WHERE ledger = ?"
        problems = "SELECT offset, length, kind, why FROM problems WHERE ledger = ?"
        return [
            (
                row,
                tables.fold_of(db, row.id),
                db.execute(ids, (row.id,)).fetchall(),
                [Problem(*each) for each in db.execute(problems, (row.id,))],
            )
            for row in tables.ledgers(db, f"(gone IS NULL AND offset > 0) OR gone = '{WAITING}'")
            if row.gone or row.path in unread
        ]

    def put(
        db: sqlite3.Connection, row: LedgerRow, fold: Adder, ids: list[Id], problems: list[Problem]
    ) -> None:
        number, is_read = (next_number(db), 1) if row.gone else (unread[row.path], 0)
        put_back(db, row._replace(id=number, is_read=is_read), fold, ids)
        tables.put_problems(db, number, problems)

    for row, fold, ids, problems in present.read(counted):
        sums.write(partial(put, row=row, fold=fold, ids=ids, problems=problems))


def _filled(sums: Database, progress: Progress, catch_up: CatchUp) -> RebuildResult:
    rows = sums.read(lambda db: tables.ledgers(db, "gone IS NULL ORDER BY id"))
    chunks, whole = _chunks(rows)
    entries = size = 0
    with _scanned(chunks, whole) as results:
        for rows_of, chunk in zip(chunks, results, strict=True):
            sums.write(partial(_put, catch_up, rows_of, chunk))
            entries += sum(len(each.keys) for each in chunk.ledgers)
            size += sum(each.row.offset for each in chunk.ledgers)
            progress(min(size, whole), whole)
    sums.write(_derive)
    unread = sums.read(
        lambda db: db.execute(
            """SELECT path, why FROM ledgers JOIN problems ON ledger = id
            WHERE problems.offset < 0 AND gone IS NULL ORDER BY id"""
        ).fetchall()
    )
    missing = tuple((Path(os.fsdecode(path)), why) for path, why in unread)
    return RebuildResult(len(rows) - len(missing), entries, size, missing)


def _put(catch_up: CatchUp, rows: Sequence[LedgerRow], chunk: Chunk, db: sqlite3.Connection) -> None:
    """Put a chunk in."""
    seen = [
        row
        for each in chunk.ledgers
        for row in zip(each.keys, each.more, [each.row.id] * len(each.keys), each.offsets, strict=True)
    ]
    if not tables.put_seen(db, sorted(seen)):  # an id occurs twice: it takes a closer look
        catch_up.take_in(db, [row.path for row in rows])
        return
    for number, problem in chunk.unread:
        tables.put_problems(db, number, [problem])
    numbers = [tables.dim_number(db, dim) for dim in chunk.dims]
    width = 2 + len(SUM_COLUMNS)
    cells = [
        (bucket, each.row.id, numbers[dim], *values)
        for each in chunk.ledgers
        for bucket, dim, *values in zip(*[iter(each.cells)] * width, strict=True)
    ]
    tables.insert_rows(db, "INSERT INTO cells", cells)
    for each in chunk.ledgers:
        units = [(bucket, each.row.id, numbers[dim], unit, n) for bucket, dim, unit, n in each.units]
        tables.insert_rows(db, "INSERT INTO units", units)
        reserved = [(name, each.row.id, *sums) for name, sums in each.reserved.items()]
        tables.insert_rows(db, "INSERT INTO reserved", reserved)
        tables.put_problems(db, each.row.id, each.problems)
        tables.put_ledger(db, each.row)


def _derive(db: sqlite3.Connection) -> None:
    """Fill the tables whose rows are sums of cells."""
    summed = ", ".join(f"sum({name})" for name in SUM_COLUMNS)
    for table in ("days", "spend", "activity"):
        db.execute(f"DELETE FROM {table}")
    db.execute(tables.SEEN_BY_LEDGER)
    db.execute(f"INSERT INTO days SELECT {DAY_OF_BUCKET}, dim, {summed} FROM cells GROUP BY 1, 2")
    db.execute(
        """INSERT INTO spend SELECT user_id, bucket, sum(cost) AS spent
        FROM cells JOIN dims ON dims.id = dim GROUP BY 1, 2 HAVING spent != 0"""
    )
    db.execute(PUT_ACTIVITY)


class _BuildDatabase(Database):
    """The sums that are being built: nobody sees them before they are whole, so nothing is synced."""

    def _configure(self, connection: sqlite3.Connection) -> None:
        for pragma in ("journal_mode=MEMORY", "synchronous=OFF", "cache_size=-65536", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")


@contextmanager
def _reserved(path: Path) -> Iterator[None]:
    """Make the new file, and see that it goes if it is not put in its place; clear what others left."""
    for left in path.parent.glob(f"*{_NEW}*"):
        with suppress(OSError), opened(os.fsencode(left), write=True) as file:
            if platform.lock(file.fileno(), 0):
                left.unlink()
    try:
        with opened(path, write=True) as file:
            platform.lock(file.fileno(), 0)  # tells the next one that this file is being written
            yield
    except OSError as fault:
        raise StorageUnavailable(f"{path}: {fault}; see cost-dashboard doctor") from fault
    finally:
        path.unlink(missing_ok=True)


def _chunks(rows: Sequence[LedgerRow]) -> tuple[list[list[LedgerRow]], int]:
    """Return ledgers in chunks of some megabytes, and the bytes of all."""
    chunks, whole, room = list[list[LedgerRow]](), 0, 0
    for row in rows:
        try:
            size = os.stat(row.path).st_size
        except OSError:
            size = 0
        if room <= 0:
            chunks.append([])
            room = CHUNK_BYTES
        chunks[-1].append(row)
        room -= size + 1000  # opening a ledger takes as long as reading some lines
        whole += size
    return chunks, whole


@contextmanager
def _scanned(chunks: Sequence[Sequence[LedgerRow]], whole: int) -> Iterator[Iterator[Chunk]]:
    """Give the chunks added up, in their order."""
    if whole < SMALL_BYTES or len(chunks) < PROCESSES:
        yield (Chunk().scan(rows) for rows in chunks)
        return
    with ExitStack() as stack:
        readers = [stack.enter_context(_reader(chunks[n::PROCESSES])) for n in range(PROCESSES)]
        yield (_received(readers[n % PROCESSES]) for n in range(len(chunks)))


@contextmanager
def _reader(chunks: Sequence[Sequence[LedgerRow]]) -> Iterator[IO[bytes]]:
    """Start a process that adds chunks up, and give what it writes: one result after the other."""
    # A program of its own, not a fork: SQLite connections and locks must not be inherited.
    process = subprocess.Popen(
        [sys.executable, "-c", f"from {__name__} import main; main()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    with process:
        try:
            if process.stdin is not None:  # it reads all of it before it writes the first result
                pickle.dump(chunks, process.stdin)
                process.stdin.close()
            if process.stdout is not None:
                yield process.stdout
        finally:
            process.kill()


def _received(results: IO[bytes]) -> Chunk:
    try:
        chunk: Chunk = pickle.load(results)  # noqa: S301  # from our own child
    except (EOFError, pickle.UnpicklingError, OSError) as fault:
        raise StorageUnavailable(f"a process that reads ledgers failed: {fault!r}; try again") from fault
    return chunk


def main() -> None:
    """Add up the chunks that come in on standard input, and write one result for each."""
    for rows in pickle.load(sys.stdin.buffer):  # noqa: S301  # from the process that started this one
        pickle.dump(Chunk().scan(rows), sys.stdout.buffer, protocol=pickle.HIGHEST_PROTOCOL)
        sys.stdout.buffer.flush()
