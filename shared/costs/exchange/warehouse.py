"""Entries in DuckDB, an embedded SQL engine (https://duckdb.org), for Parquet and for ``query``.

DuckDB is an extra: ``pip install '.[warehouse]'``. Entries reach it through a private
file in a private directory, so that memory stays flat, and amounts are DECIMAL(18, 9) throughout.
Times are UTC.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..archive.duck import TYPES, connect, quoted, run
from ..errors import WrongUsage
from ..ledger.cells import Cells
from ..ledger.columns import COLUMN_NAMES, COLUMNS, ColumnKind
from .exports import Context, counted
from .source import Source

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_BATCH: Final = 1_000


class BadQuery(WrongUsage):
    """SQL that DuckDB does not understand, or that is no single SELECT."""


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A database in which ``entries`` holds ``rows`` entries."""

    database: DuckDBPyConnection
    rows: int


@contextmanager
def staged(source: Source, folder: Path, context: Context) -> Iterator[Warehouse]:
    """Give a database with a view ``entries`` over a private copy in ``folder``, to be read once.

    Raises:
        MissingExtra: DuckDB is not installed.

    """
    with tempfile.TemporaryDirectory(prefix=".entries-", dir=folder) as private, connect() as database:
        copy = Path(private) / "entries.csv"
        rows = _stage(counted(source.cells(), context), copy)
        database.execute(f"SET temp_directory = '{quoted(private)}'")
        database.execute(f"CREATE VIEW entries AS FROM {_scan(copy, TYPES)}")
        yield Warehouse(database, rows)


def _stage(rows: Iterable[Cells], copy: Path) -> int:
    written = 0
    with copy.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for written, cells in enumerate(rows, start=1):  # noqa: B007 - counts
            writer.writerow(cells)
    return written


def _scan(copy: Path, types: dict[ColumnKind, str]) -> str:
    """Return the table function that reads the private copy, with every type stated."""
    columns = ", ".join(f"'{column.name}': '{types[column.kind]}'" for column in COLUMNS)
    return (
        f"read_csv('{quoted(copy)}', columns = {{{columns}}}, auto_detect = false, header = false, "
        "delim = ',', quote = '\"', escape = '\"', nullstr = '', new_line = '\\r\\n')"
    )


# --- query ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """What a SELECT gave. ``rows`` are read once, and fetched in batches. No two ``columns`` are alike.

    Values are text, numbers (``Decimal`` for amounts), booleans, times, ``None``, or lists and
    dictionaries of those.
    """

    columns: tuple[str, ...]
    rows: Iterable[tuple[Any, ...]]


@contextmanager
def ask(sql: str, source: Source, context: Context) -> Iterator[Answer]:
    """Run one SELECT over a table ``entries`` and give its result, for as long as the block lasts.

    The SQL sees the entries and nothing else: no file, no network, no setting to change that. What
    it computes goes away with the copy that it is computed on.

    Raises:
        MissingExtra: DuckDB is not installed.
        BadQuery: the text is no single SELECT, or DuckDB refuses it; the message is DuckDB's. Reading
            the rows raises it too: some faults lie in a later one.

    >>> from shared.costs.exchange.source import Listed
    >>> with ask("SELECT 0.1 + 0.2 AS exact", Listed([]), Context()) as answer:
    ...     list(answer.rows)
    [(Decimal('0.3'),)]
    """
    with tempfile.TemporaryDirectory(prefix="cost-query-") as private:
        file, copy = f"{private}/entries.duckdb", Path(private) / "entries.csv"
        with connect(file) as database:
            _require_select(database, sql)
            _stage(counted(source.cells(), context), copy)
            types = TYPES | {"instant": "TIMESTAMP"}  # without a zone, DuckDB needs no further library
            database.execute(f"SET temp_directory = '{quoted(private)}'")
            run(database, partial(database.execute, f"CREATE TABLE entries AS FROM {_scan(copy, types)}"))
        copy.unlink()
        # Opened anew for reading alone: a SELECT may hold a DELETE.
        with connect(file, read_only=True) as database:
            _shut(database, private)
            yield _answer(database, sql)


def _require_select(database: DuckDBPyConnection, sql: str) -> None:
    import duckdb

    try:
        statements = database.extract_statements(sql)
    except duckdb.Error as error:
        raise BadQuery(str(error)) from None
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise BadQuery("a query is one SELECT over the table entries; nothing can be changed by it")


def _shut(database: DuckDBPyConnection, private: str) -> None:
    """Take from the connection what reaches beyond the table, for good."""
    database.execute(f"SET temp_directory = '{quoted(private)}'")
    database.execute("SET enable_external_access = false")
    database.execute("SET lock_configuration = true")


def _answer(database: DuckDBPyConnection, sql: str) -> Answer:
    import duckdb

    try:
        result = run(database, partial(database.execute, sql))
    except duckdb.Error as error:
        raise BadQuery(f"{error}\nentries has the columns {', '.join(COLUMN_NAMES)}") from None
    names = [str(column[0]) for column in result.description or ()]
    return Answer(_told_apart(names), _fetched(database))


def _told_apart(names: Sequence[str]) -> tuple[str, ...]:
    """Return names of columns, numbered where several are called the same, as DuckDB does in a table.

    >>> _told_apart(["cost_usd", "cost_usd", "stage"])
    ('cost_usd', 'cost_usd_1', 'stage')
    """
    found: list[str] = []
    for name in names:
        numbered = (f"{name}_{number}" for number in count(1))
        found.append(next(each for each in chain([name], numbered) if each not in found))
    return tuple(found)


def _fetched(database: DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    import duckdb

    try:
        while batch := run(database, partial(database.fetchmany, _BATCH)):
            yield from batch
    except duckdb.Error as error:
        raise BadQuery(str(error)) from None
