"""Our own export as Parquet, read by DuckDB (the extra ``warehouse``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ...archive.duck import connect
from ...archive.restoring import plain_columns, values_of
from ...ledger.columns import entry_of
from ..files import require_regular
from . import CannotRead, Import, Item, NotUnderstood, Sample

_BATCH: Final = 1_000


def _recognises(sample: Sample) -> bool:
    return sample.head.startswith(b"PAR1")


def _read(path: Path) -> Iterator[Item]:
    """Yield the entries.

    Raises:
        MissingExtra: DuckDB is not installed.
        CannotRead: the file is no Parquet export of ours.

    """
    require_regular(path)
    with connect() as database:
        import duckdb  # there, since connect() succeeded

        try:
            sql = f"SELECT {plain_columns()} FROM read_parquet(?)"  # noqa: S608 - our own column names
            result = database.execute(sql, [str(path)])
            number = 0
            while rows := result.fetchmany(_BATCH):
                for row in rows:
                    number += 1
                    yield _item(number, row)
        except duckdb.Error as error:
            raise CannotRead(f"{path}: cannot be read as a Parquet export: {error}") from None


def _item(number: int, row: tuple[Any, ...]) -> Item:
    try:
        return entry_of(values_of(row))
    except ValueError as error:
        return NotUnderstood(f"row {number}", str(error))


IMPORT: Final = Import("parquet", "Our own export as Parquet.", _recognises, _read)
