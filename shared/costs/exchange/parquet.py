"""Rows of other programs' Parquet files, read by DuckDB (the extra ``warehouse``) in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..archive.duck import connect
from .files import require_regular
from .rows import CannotRead

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MAGIC: Final = b"PAR1"
"""The first bytes of a Parquet file."""

_BATCH: Final = 1_000


def parquet_columns(path: Path) -> tuple[str, ...]:
    """Return the names of a Parquet file's columns.

    Raises:
        MissingExtra: DuckDB is not installed.
        CannotRead: the file is no Parquet, or damaged.

    """
    with _opened(path) as database:
        return tuple(name for name, _ in _columns_of(database, path))


def parquet_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows by column name, each with its number; times are UTC.

    Structs are mappings; amounts are decimals or floats, as in the file.

    Raises:
        MissingExtra: DuckDB is not installed.
        CannotRead: the file is no Parquet, or damaged.

    """
    with _opened(path) as database:
        columns = _columns_of(database, path)
        chosen = ", ".join(_column_sql(name, kind) for name, kind in columns)
        result = database.execute(f"SELECT {chosen} FROM read_parquet(?)", [str(path)])  # noqa: S608 - quoted names
        names, number = [name for name, _ in columns], 0
        while rows := result.fetchmany(_BATCH):
            for row in rows:
                number += 1
                yield f"row {number}", dict(zip(names, row, strict=True))


def _columns_of(database: DuckDBPyConnection, path: Path) -> Sequence[tuple[str, str]]:
    columns = database.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
    return [(str(name), str(kind)) for name, kind, *_ in columns]


def _column_sql(name: str, kind: str) -> str:
    """Return a column as SQL; a time with a zone becomes UTC: DuckDB needs another library to return it."""
    column = '"' + name.replace('"', '""') + '"'
    return f"make_timestamp(epoch_us({column}))" if kind == "TIMESTAMP WITH TIME ZONE" else column


@contextmanager
def _opened(path: Path) -> Iterator[DuckDBPyConnection]:
    require_regular(path)
    with connect() as database:
        import duckdb  # installed, because connect() succeeded

        try:
            yield database
        except duckdb.Error as error:
            raise CannotRead(f"{path}: cannot be read as Parquet: {error}") from None
