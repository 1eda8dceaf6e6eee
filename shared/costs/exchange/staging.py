"""Turns lines of ledgers into Parquet: first a CSV table for each month, then one or more files from each.

What is written is read back, and must match what was staged in rows and in cost to the nano-dollar.
"""

from __future__ import annotations

import csv
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TextIO

from ..archive.duck import TYPES, connect, quoted, run
from ..archive.manifest import ParquetPart, RowSums
from ..archive.places import digest_of
from ..errors import CostError
from ..ledger.cells import Cells, cells_of, usual_cells
from ..ledger.columns import COLUMN_NAMES, COLUMNS
from ..ledger.counted import microseconds
from ..ledger.line import decode, encode
from ..ledger.lines import DamagedLine, Line
from ..money import NANOS_PER_USD, Nanos
from ..replacing import CannotWrite
from .calendar import Calendar
from .views import entries_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PART_BYTES: Final = 128 << 20
"""The maximum size of one Parquet file, in bytes."""

TABLE_BYTES: Final = 4 * PART_BYTES
"""The bytes of text that are staged for one file: Parquet needs a tenth of them, a quarter at worst."""

SPLIT_ROWS: Final = 20_480
"""The rows in a row group when a file that was too large is split."""

FURTHER: Final = (
    ("billing_day", "DATE"),
    ("billing_month", "VARCHAR"),
    ("ledger", "BIGINT"),
    ("ledger_offset", "BIGINT"),
    ("whole_seconds", "BOOLEAN"),
    ("original", "VARCHAR"),
)
"""The columns of a part after those of the export.

``whole_seconds`` says that whole durations have no decimals in the line; ``original`` is a line that cannot
be restored from its cells.
"""

SUMS: Final = (
    "count(*), coalesce(sum(sign), 0), coalesce(sum(unpriced_delta), 0), "
    "coalesce(sum(partial_delta), 0), coalesce(sum(cost_usd) * 1000000000, 0)"
)
"""The columns of :class:`RowSums` over entries of a part, as SQL."""

PART: Final = entries_of("FROM read_parquet(?, hive_partitioning = false)")
"""The entries of a part, as SQL with one parameter: its path."""

_AT: Final = {name: number for number, name in enumerate(COLUMN_NAMES)}
_USER, _TIMESTAMP, _PERIOD, _COST = (_AT[name] for name in ("user_id", "timestamp", "period_at", "cost_usd"))


class NotArchived(CostError):
    """What was written differs from what was read. Nothing was added to the archive."""


@dataclass(slots=True)
class _MonthRows:
    """Rows of one month, in a CSV file."""

    month: str
    path: Path
    file: TextIO
    rows: int = 0
    cost: int = 0

    @property
    def write(self) -> Any:
        """A function that writes a row."""
        return csv.writer(self.file).writerow


class Staging:
    """Writes the lines of closed months to CSV tables in a private folder."""

    def __init__(self, folder: Path, calendar: Calendar, before: str) -> None:
        self.folder = folder
        self.tables: list[_MonthRows] = []
        self._calendar, self._before = calendar, before
        self._open: dict[str, tuple[_MonthRows, Any]] = {}
        self._earliest, self._latest = "~", ""

    @property
    def times(self) -> tuple[int, int]:
        """The first and the last timestamp, in microseconds since 1970; there must be a row."""
        first, last = map(datetime.fromisoformat, (self._earliest, self._latest))
        return microseconds(first), microseconds(last)

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(table.rows for table in self.tables)

    def add_lines(self, number: int, lines: Iterable[Line], uncounted: frozenset[int], size: int) -> int:
        """Add the lines of a ledger; return the offset of the first that does not go into the archive.

        That is ``size`` if all of them do. Lines that do not count, are damaged or belong to months that are
        not over are left out.
        """
        rest, day_and_month = size, self._calendar.day_and_month
        for offset, _, raw in lines:
            parsed_line = None if offset in uncounted or raw[-1:] != b"\n" else _cells_and_form(raw)
            if parsed_line is None:
                rest = min(rest, offset)
                continue
            cells, form = parsed_line
            day, month = day_and_month(str(cells[_USER]), str(cells[_PERIOD] or cells[_TIMESTAMP]))
            if month >= self._before:
                rest = min(rest, offset)
                continue
            timestamp = str(cells[_TIMESTAMP])
            self._earliest, self._latest = min(self._earliest, timestamp), max(self._latest, timestamp)
            table, write = self._open.get(month) or self._new_table(month)
            cost = cells[_COST]
            if cost is not None:
                table.cost += round(float(cost) * NANOS_PER_USD)
            table.rows += 1
            cells += (day, month, number, offset, *form)
            write(cells)
            if not table.rows & 0xFFFF and table.file.tell() > TABLE_BYTES:
                del self._open[month]
        return rest

    def _new_table(self, month: str) -> tuple[_MonthRows, Any]:
        path = self.folder / f"{len(self.tables)}.csv"
        table = _MonthRows(month, path, path.open("w", encoding="utf-8", newline=""))
        self.tables.append(table)
        self._open[month] = table, table.write
        return self._open[month]

    def close(self) -> None:
        """Close all tables, so that their rows are in the files."""
        for table in self.tables:
            table.file.close()


Form = tuple[int, str | None]
"""The columns ``whole_seconds`` and ``original``: how a line is written, where its cells do not show it."""


def _cells_and_form(raw: bytes) -> tuple[Cells, Form] | None:
    """Return the cells and the form of a line; ``None`` if it is damaged."""
    if (cells := usual_cells(raw)) is not None:
        return cells, (_form(raw, is_usual=True) if _FRACTIONAL(raw) else (0, None))
    try:
        entry = decode(raw)
    except DamagedLine:
        return None
    try:
        is_usual = encode(entry) == raw
    except (ValueError, TypeError):
        is_usual = False
    return cells_of(entry), _form(raw, is_usual=is_usual)


def _form(raw: bytes, *, is_usual: bool) -> Form:
    """Return the form of a line: the cell for 600 seconds is the same whether the line has 600 or 600.0."""
    numbers = _FRACTIONAL(raw)
    whole = any(text.isdigit() for text in numbers)
    if not is_usual or (whole and any(text.endswith(b".0") for text in numbers)):
        return 0, raw.decode("ascii")
    return int(whole), None


_FRACTIONAL: Final = re.compile(rb'(?:_seconds|billable_units)":([0-9.]+)').findall


# --- Parquet


class Draft(NamedTuple):
    """A part that was written, and its path."""

    part: ParquetPart
    path: Path


class DuplicateLine(NamedTuple):
    """A ledger with lines that the archive has from another ledger, and the ``offset`` of the first."""

    ledger: int
    offset: int


class PartWriter:
    """Writes the tables of a staging as Parquet, without the entries that are already in the archive."""

    def __init__(self, staging: Staging, known: Sequence[Path]) -> None:
        self._staging = staging
        self._known = [str(path) for path in known]
        self.duplicates: list[DuplicateLine] = []
        self.skipped = 0

    def drafts(self) -> Iterator[Draft]:
        """Write the parts, month by month, and yield each.

        Raises:
            MissingExtra: DuckDB is not installed.
            NotArchived: their content differs from what was staged.
            CannotWrite: the disk is full or fails.

        """
        with connect() as database:
            import duckdb  # installed, because connect() succeeded

            database.execute(f"SET temp_directory = '{quoted(self._staging.folder)}'")
            try:
                self._load_known(database)
                for table in sorted(self._staging.tables, key=lambda table: table.month):
                    yield from self._write_month(database, table)
            except duckdb.Error as fault:
                raise CannotWrite(f"the archive's files cannot be written: {fault}") from fault

    def _load_known(self, database: DuckDBPyConnection) -> None:
        database.execute("CREATE TABLE known (id VARCHAR, ledger BIGINT)")
        if self._known:
            load = "INSERT INTO known SELECT id, ledger FROM read_parquet(?, hive_partitioning = false)"
            run(database, partial(database.execute, load, [self._known]))

    def _write_month(self, database: DuckDBPyConnection, table: _MonthRows) -> Iterator[Draft]:
        database.execute(f"CREATE OR REPLACE VIEW staged AS FROM {_scan(table.path)}")
        skipped = self._count_skipped(database) if self._known else RowSums()
        if skipped.rows < table.rows:
            paths = self._copy_to_parquet(database, table.path)
            drafts = [Draft(_part(database, path, table.month), path) for path in paths]
            table.path.unlink()
            written = [draft.part.sums for draft in drafts]
        else:
            drafts, written = [], []
        rows = skipped.rows + sum(sums.rows for sums in written)
        cost = skipped.cost + sum(sums.cost for sums in written)
        if (rows, cost) != (table.rows, table.cost):
            raise NotArchived(
                f"{table.month}: {table.rows:,} entries for {table.cost} nano-dollars were read, and "
                f"{rows:,} for {cost} are in the new files; nothing was archived; please report this"
            )
        self.skipped += skipped.rows
        yield from drafts

    def _count_skipped(self, database: DuckDBPyConnection) -> RowSums:
        """Return the sums of the rows that the archive has; note those from other ledgers."""
        of_others = """SELECT s.ledger, min(s.ledger_offset) FROM staged s JOIN known k ON k.id = s.id
            WHERE k.ledger != s.ledger GROUP BY 1"""
        self.duplicates += [
            DuplicateLine(*row) for row in run(database, database.execute(of_others).fetchall)
        ]
        rows = entries_of("FROM staged s SEMI JOIN known k ON k.id = s.id")
        return sums_of(database.execute(f"SELECT {SUMS} FROM ({rows})").fetchone() or ())  # noqa: S608 - our own text

    def _copy_to_parquet(self, database: DuckDBPyConnection, table: Path) -> list[Path]:
        """Write one Parquet file, or several if it would be too large."""
        rows = "FROM staged s ANTI JOIN known k ON k.id = s.id" if self._known else "FROM staged"
        options = "FORMAT parquet, COMPRESSION zstd"
        whole = table.with_suffix(".parquet")
        run(
            database,
            partial(database.execute, f"COPY ({rows}) TO '{quoted(whole)}' ({options}, USE_TMP_FILE false)"),
        )
        if whole.stat().st_size <= PART_BYTES:
            return [whole]
        folder = table.with_suffix(".parts")
        # With several threads each would begin a file of its own, and the rows would lose their order.
        pieces = f"ROW_GROUP_SIZE {SPLIT_ROWS}, FILE_SIZE_BYTES {PART_BYTES * 7 // 8}"
        database.execute("SET threads = 1")
        copy = f"COPY (FROM read_parquet('{quoted(whole)}')) TO '{quoted(folder)}' ({options}, {pieces})"
        run(database, partial(database.execute, copy))
        database.execute("RESET threads")
        whole.unlink()
        return sorted(folder.iterdir())


def _scan(path: Path) -> str:
    """Return the DuckDB table function that reads a CSV table, with the type of every column."""
    types = {**{column.name: TYPES[column.kind] for column in COLUMNS}, **dict(FURTHER)}
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in types.items())
    return (
        f"read_csv('{quoted(path)}', columns = {{{columns}}}, auto_detect = false, header = false, "
        "delim = ',', quote = '\"', escape = '\"', nullstr = '', new_line = '\\r\\n')"
    )


def _part(database: DuckDBPyConnection, path: Path, month: str) -> ParquetPart:
    """Return the manifest's record of a file that was written, from reading it back."""
    ends = "min(epoch_us(timestamp)), max(epoch_us(timestamp)), min(ledger), max(ledger)"
    sql = f"SELECT {SUMS}, {ends} FROM ({PART})"  # noqa: S608 - our own text
    row = run(database, database.execute(sql, [str(path)]).fetchone) or ()
    path.chmod(0o600)
    size, sha256 = digest_of(path)
    name = f"month={month}/part-{secrets.token_hex(12)}.parquet"
    return ParquetPart(name, month, row[0], size, sha256, sums_of(row), *row[len(RowSums._fields) :])


def sums_of(row: Sequence[Any]) -> RowSums:
    """Return the sums from a row of a query of :data:`SUMS`."""
    rows, calls, unpriced, partly, cost = map(int, row[: len(RowSums._fields)])
    return RowSums(rows, calls, unpriced, partly, Nanos(cost))
