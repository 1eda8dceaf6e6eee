"""Our own exports, read back: JSON, JSON Lines (and any ledger), CSV, SQLite and Parquet.

Each row is a whole entry, so it comes back exactly. Parquet is read by DuckDB (the extra ``warehouse``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

from ...archive.duck import connect
from ...archive.restoring import plain_columns, values_of
from ...ledger.columns import COLUMN_KINDS, COLUMNS, ColumnKind, Value, entry_of
from ...ledger.line import decode, is_sealed
from ...ledger.lines import MAX_LINE, DamagedLine
from ...model import Entry
from ...money import from_usd
from ..delimited import csv_rows
from ..exports.csv import unguarded
from ..exports.sqlite import column_name
from ..files import opened, require_regular
from ..rows import Item, NotUnderstood
from . import OWN_DOCUMENT, CannotRead, FileSample, Import, opened_database

T = TypeVar("T")

_CSV_MARKS: Final = frozenset({"id", "cost_usd", "cost_parts", "price_source"})
_SQLITE_MARKS: Final = frozenset({"id", "cost_nanos", "cost_parts"})
_BATCH: Final = 1_000


def _item(where: str, source: T, make: Callable[[T], Entry]) -> Item:
    """Return the entry that ``make`` makes of a row, or why it cannot."""
    try:
        return make(source)
    except (DamagedLine, ValueError) as error:
        return NotUnderstood(where, str(error))


def _read_json(path: Path) -> Iterator[Item]:
    """Yield the entries of a document, each of which is on a line of its own."""
    try:
        with opened(path) as file:
            for number, raw in enumerate(iter(lambda: file.readline(2 * MAX_LINE), b""), start=1):
                if raw.startswith(b'{"v":'):
                    yield _item(f"line {number}", raw.rstrip(b",\r\n") + b"\n", decode)
    except OSError as error:
        raise CannotRead(f"{path}: cannot be read: {error.strerror or error}") from error


def _has_sealed_lines(sample: FileSample) -> bool:
    return any(is_sealed(line) for line in sample.head.splitlines(keepends=True)[:20])


def _read_lines(path: Path) -> Iterator[Item]:
    try:
        with opened(path) as file:
            number = 0
            # A line that is too long comes in pieces, each of which is reported as damaged.
            while raw := file.readline(MAX_LINE + 1):
                number += 1
                yield _item(f"line {number}", raw, decode)
    except OSError as error:
        raise CannotRead(f"{path}: cannot be read: {error.strerror or error}") from error


def _read_csv(path: Path) -> Iterator[Item]:
    for item in csv_rows(path, as_written=True):
        yield item if isinstance(item, NotUnderstood) else _item(f"line {item[0]}", item[1], _entry_of_cells)


def _entry_of_cells(row: dict[str, str]) -> Entry:
    return entry_of(
        {name: _value(COLUMN_KINDS[name], text) for name, text in row.items() if name in COLUMN_KINDS}
    )


def _value(kind: ColumnKind, text: str) -> Value:
    """Return the value that a cell was written from.

    Raises:
        ValueError: it is not a value of its column's kind.

    """
    if not text:
        return None
    if kind == "usd":
        return from_usd(text)
    if kind in ("count", "flag"):
        return int(text)
    if kind == "seconds":
        return float(text)
    return unguarded(text) if kind in ("text", "json") else text


def _read_sqlite(path: Path) -> Iterator[Item]:
    try:
        with opened_database(path) as database:
            rows = database.execute("SELECT * FROM entries ORDER BY rowid")
            ours = {column_name(column): column.name for column in COLUMNS}
            names = [ours.get(str(column[0])) for column in rows.description]
            for number, row in enumerate(rows, start=1):
                values = {name: value for name, value in zip(names, row, strict=True) if name}
                yield _item(f"entries row {number}", values, entry_of)
    except sqlite3.Error as error:
        raise CannotRead(f"{path}: cannot be read as an export: {error}") from error


def _read_parquet(path: Path) -> Iterator[Item]:
    """Yield the entries.

    Raises:
        MissingExtra: DuckDB is not installed.
        CannotRead: the file is not a Parquet export of ours.

    """
    require_regular(path)
    with connect() as database:
        import duckdb  # installed, because connect() succeeded

        try:
            sql = f"SELECT {plain_columns()} FROM read_parquet(?)"  # noqa: S608 - our own column names
            result = database.execute(sql, [str(path)])
            number = 0
            while rows := result.fetchmany(_BATCH):
                for row in rows:
                    number += 1
                    yield _item(f"row {number}", row, _entry_of_row)
        except duckdb.Error as error:
            raise CannotRead(f"{path}: cannot be read as a Parquet export: {error}") from None


def _entry_of_row(row: tuple[Any, ...]) -> Entry:
    return entry_of(values_of(row))


CSV: Final = Import("csv", "Our own export as CSV.", lambda sample: sample.header >= _CSV_MARKS, _read_csv)
JSON: Final = Import(
    "json", "Our own export as JSON.", lambda sample: sample.text.startswith(OWN_DOCUMENT), _read_json
)
LINES: Final = Import("jsonl", "Our own export as JSONL, or a ledger.", _has_sealed_lines, _read_lines)
PARQUET: Final = Import(
    "parquet", "Our own export as Parquet.", lambda sample: sample.head.startswith(b"PAR1"), _read_parquet
)
SQLITE: Final = Import(
    "sqlite",
    "Our own export as an SQLite database.",
    lambda sample: sample.tables.get("entries", frozenset()) >= _SQLITE_MARKS,
    _read_sqlite,
)
