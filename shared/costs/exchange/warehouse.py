"""Entries in DuckDB, an embedded SQL engine (https://duckdb.org), for Parquet and for ``query``.

DuckDB is an extra: ``pip install '.[warehouse]'``. Entries reach it through a private file in a private
directory, so that memory stays bounded. Amounts are DECIMAL(18, 9), times are UTC.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..archive.duck import TYPES, connect, quoted, run
from ..errors import WrongUsage
from ..ledger.cells import Cells
from ..ledger.columns import COLUMN_NAMES, COLUMNS, ColumnKind
from ..profile.types import Profile
from .calendar import Calendar
from .exports import ExportContext, counted
from .source import EntrySource
from .views import DELTAS, entries_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_BATCH: Final = 1_000


class BadQuery(WrongUsage):
    """SQL that DuckDB does not understand, or that is not a single SELECT."""


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A database whose view ``entries`` has ``rows`` entries."""

    database: DuckDBPyConnection
    rows: int


@contextmanager
def staged(source: EntrySource, folder: Path, context: ExportContext) -> Iterator[Warehouse]:
    """Yield a database with a view ``entries`` over a private copy in ``folder``.

    Raises:
        MissingExtra: DuckDB is not installed.

    """
    with tempfile.TemporaryDirectory(prefix=".entries-", dir=folder) as private, connect() as database:
        copy = Path(private) / "entries.csv"
        rows = _stage(counted(source.cells(), context), copy)
        database.execute(f"SET temp_directory = '{quoted(private)}'")
        database.execute(f"CREATE VIEW entries AS FROM {_scan(copy, TYPES)}")
        yield Warehouse(database, rows)


_NONE: Final[Mapping[str, str]] = {}


def _stage(rows: Iterable[Cells], copy: Path) -> int:
    written = 0
    with copy.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for written, cells in enumerate(rows, start=1):  # noqa: B007 - counts
            writer.writerow(cells)
    return written


def _scan(copy: Path, types: Mapping[ColumnKind, str], further: Mapping[str, str] = _NONE) -> str:
    """Return the DuckDB table function that reads the private copy, with the type of every column."""
    column_types = {**{column.name: types[column.kind] for column in COLUMNS}, **further}
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in column_types.items())
    return (
        f"read_csv('{quoted(copy)}', columns = {{{columns}}}, auto_detect = false, header = false, "
        "delim = ',', quote = '\"', escape = '\"', nullstr = '', new_line = '\\r\\n')"
    )


# --- query ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The result of a SELECT. ``rows`` can be read once, in batches. No two ``columns`` have the same name.

    Values are text, numbers (``Decimal`` for amounts), booleans, times, ``None``, or lists and
    dictionaries of those.
    """

    columns: tuple[str, ...]
    rows: Iterable[tuple[Any, ...]]


@contextmanager
def ask(
    sql: str,
    source: EntrySource,
    context: ExportContext,
    calendar: Calendar | None = None,
    archived: ParquetEntries | None = None,
) -> Iterator[QueryResult]:
    """Run one SELECT over a table ``entries`` and yield its result, valid within the block.

    ``calendar`` provides the billing days and months; without it they are in UTC. ``archived`` are entries in
    Parquet in addition to those of the source; an entry in both counts once. The SQL can read the entries and
    nothing else: no file, no network, no setting that would change that. It runs on a private copy that is
    deleted afterwards.

    Raises:
        MissingExtra: DuckDB is not installed.
        BadQuery: the text is not a single SELECT, or DuckDB refuses it; the message is DuckDB's. Reading
            the rows may raise it too, because some errors occur only in a later row.

    >>> from shared.costs.exchange.source import ListedEntries
    >>> with ask("SELECT 0.1 + 0.2 AS exact", ListedEntries([]), ExportContext()) as result:
    ...     list(result.rows)
    [(Decimal('0.3'),)]
    """
    with tempfile.TemporaryDirectory(prefix="cost-query-") as private:
        file = f"{private}/entries.duckdb"
        with connect(file) as database:
            require_select(database, sql)
            load_rest(database, Path(private), source, context, calendar, archived)
            database.execute(f"CREATE VIEW entries AS {entries_of(_stored(archived))}")
        # Opened again read-only: a SELECT may contain a DELETE.
        with connect(file, read_only=True) as database:
            _restrict(database, private, archived)
            yield _run_select(database, sql)


BILLING: Final = {"billing_day": "DATE", "billing_month": "VARCHAR"}
"""The columns of a query besides those of the export, and their types."""

STORED: Final = (*COLUMN_NAMES, *BILLING)
"""The columns of a query that are stored in files; the others are computed from them."""

QUERIED: Final = (*STORED, *DELTAS)
"""The columns of a query."""

_PLAIN_TYPES: Final = TYPES | {"instant": "TIMESTAMP"}
"""Types without a time zone, for which DuckDB needs no further library."""


class ParquetEntries(Protocol):
    """Entries in Parquet: all, or those of ``ledgers`` if that is not ``None``."""

    @property
    def ledgers(self) -> Collection[int] | None:
        """The numbers of the ledgers whose rows count; ``None`` for all."""
        ...

    def files(self) -> list[str]:
        """Return the paths of all files."""
        ...

    def files_with(self, earliest: int, latest: int) -> list[str]:
        """Return the paths of files that may have timestamps in a range, in microseconds since 1970."""
        ...


def load_rest(
    database: DuckDBPyConnection,
    private: Path,
    source: EntrySource,
    context: ExportContext,
    calendar: Calendar | None,
    archived: ParquetEntries | None,
) -> None:
    """Create a table ``rest`` with the entries of a source that are not archived, and one of ``ledgers``."""
    copy, days = private / "entries.csv", calendar or Calendar(Profile())
    rows = _stage((_with_billing(cells, days) for cells in counted(source.cells(), context)), copy)
    database.execute(f"SET temp_directory = '{quoted(private)}'")
    load = f"CREATE TABLE rest AS FROM {_scan(copy, _PLAIN_TYPES, BILLING)}"
    run(database, partial(database.execute, load))
    copy.unlink()
    if archived is not None and archived.ledgers:
        database.execute("CREATE TABLE ledgers (ledger BIGINT)")
        database.executemany("INSERT INTO ledgers VALUES (?)", [[number] for number in archived.ledgers])
    if archived is not None and rows:
        ends = database.execute("SELECT min(epoch_us(timestamp)), max(epoch_us(timestamp)) FROM rest")
        if files := archived.files_with(*(ends.fetchone() or ())):
            known = "SELECT id FROM read_parquet(?, hive_partitioning = false)"
            database.execute(f"DELETE FROM rest WHERE id IN ({known})", [files])  # noqa: S608 - our own text


def _with_billing(cells: Cells, calendar: Calendar) -> Cells:
    at = str(cells[_PERIOD] or cells[_TIMESTAMP])
    return [*cells, *calendar.day_and_month(str(cells[_USER]), at)]


_USER, _TIMESTAMP, _PERIOD = map(COLUMN_NAMES.index, ("user_id", "timestamp", "period_at"))


def _stored(archived: ParquetEntries | None) -> str:
    """Return the SQL of all rows: the rest, and those in Parquet."""
    files = archived.files() if archived is not None else []
    if archived is None or not files:
        return "FROM rest"
    # Converted to UTC without a zone: a cast would use the session's zone.
    plain = {column.name for column in COLUMNS if column.kind == "instant"}
    columns = (f"make_timestamp(epoch_us({name})) AS {name}" if name in plain else name for name in STORED)
    listed = ", ".join(f"'{quoted(file)}'" for file in files)
    ledger_filter = "" if archived.ledgers is None else " WHERE ledger IN (FROM ledgers)"
    return (
        f"FROM rest UNION ALL SELECT {', '.join(columns)} "  # noqa: S608 - our own text
        f"FROM read_parquet([{listed}], hive_partitioning = false){ledger_filter}"
    )


def require_select(database: DuckDBPyConnection, sql: str) -> None:
    """Refuse a text that is not a single SELECT.

    Raises:
        BadQuery: it is not; the message is DuckDB's if it cannot parse the text.

    """
    import duckdb

    try:
        statements = database.extract_statements(sql)
    except duckdb.Error as error:
        raise BadQuery(str(error)) from None
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise BadQuery("a query is one SELECT over the table entries; nothing can be changed by it")


def _restrict(database: DuckDBPyConnection, private: str, archived: ParquetEntries | None) -> None:
    """Restrict a connection to the entries, for its whole life."""
    database.execute(f"SET temp_directory = '{quoted(private)}'")
    if archived is not None:
        listed = ", ".join(f"'{quoted(file)}'" for file in archived.files())
        database.execute(f"SET allowed_paths = [{listed}]")
    database.execute("SET enable_external_access = false")
    database.execute("SET lock_configuration = true")


def _run_select(database: DuckDBPyConnection, sql: str) -> QueryResult:
    import duckdb

    try:
        result = run(database, partial(database.execute, sql))
    except duckdb.Error as error:
        raise BadQuery(f"{error}\nentries has the columns {', '.join(QUERIED)}") from None
    names = [str(column[0]) for column in result.description or ()]
    return QueryResult(distinct_names(names), _fetch_rows(database))


def distinct_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return column names with repeated ones numbered, as DuckDB does in a table.

    >>> distinct_names(["cost_usd", "cost_usd", "stage"])
    ('cost_usd', 'cost_usd_1', 'stage')
    """
    distinct: list[str] = []
    for name in names:
        numbered = (f"{name}_{number}" for number in count(1))
        distinct.append(next(candidate for candidate in chain([name], numbered) if candidate not in distinct))
    return tuple(distinct)


def _fetch_rows(database: DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    import duckdb

    try:
        while batch := run(database, partial(database.fetchmany, _BATCH)):
            yield from batch
    except duckdb.Error as error:
        raise BadQuery(str(error)) from None
