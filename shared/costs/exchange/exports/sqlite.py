"""An SQLite database with a table ``entries``, amounts as whole nano-dollars.

SQLite has no decimals, and sums of its REALs are not exact: the table has ``cost_nanos`` and
``actual_cost_nanos``. The view ``entries_usd`` adds both in USD, for reading.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final

from ...ledger.columns import COLUMNS, ColumnKind, EntryColumn, Row, row_of
from ...replacing import CannotWrite
from ..source import EntrySource
from . import Export, ExportContext, counted

_TYPES: Final[dict[ColumnKind, str]] = {
    "text": "TEXT",
    "json": "TEXT",
    "instant": "TEXT",
    "count": "INTEGER",
    "flag": "INTEGER",
    "usd": "INTEGER",
    "seconds": "REAL",
}
_BATCH: Final = 1_000


def column_name(column: EntryColumn) -> str:
    """Return a column's name in the table: those of amounts end in ``_nanos``."""
    return column.name.removesuffix("_usd") + "_nanos" if column.kind == "usd" else column.name


_SCHEMA: Final = (
    f"CREATE TABLE entries ({', '.join(f'{column_name(c)} {_TYPES[c.kind]}' for c in COLUMNS)})",
    "CREATE VIEW entries_usd AS SELECT *, cost_nanos / 1e9 AS cost_usd, "
    "actual_cost_nanos / 1e9 AS actual_cost_usd FROM entries",
)


def write(source: EntrySource, target: Path, context: ExportContext) -> int:
    """Write the entries as an SQLite database.

    Raises:
        CannotWrite: the disk is full or fails.

    """
    rows = (row_of(entry) for entry in counted(source.entries(), context))
    try:
        with closing(sqlite3.connect(target, isolation_level=None)) as database:
            return _fill(database, rows)
    except sqlite3.Error as error:
        raise CannotWrite(f"the database cannot be written: {error}") from error


def _fill(database: sqlite3.Connection, rows: Iterator[Row]) -> int:
    # The file needs no journal: it is written once, under a temporary name, and synced at the end.
    database.execute("PRAGMA journal_mode = OFF")
    database.execute("PRAGMA synchronous = OFF")
    for statement in _SCHEMA:
        database.execute(statement)
    insert = f"INSERT INTO entries VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608 - holds no data
    written = 0
    while batch := list(islice(rows, _BATCH)):
        database.execute("BEGIN")
        database.executemany(insert, batch)
        database.execute("COMMIT")
        written += len(batch)
    return written


EXPORT: Final = Export("sqlite", ".db", "A database; amounts in nano-dollars.", write, text=False)
