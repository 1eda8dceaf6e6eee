"""Our own export as Parquet, read by DuckDB (the extra ``warehouse``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ...money import from_usd
from ..columns import COLUMN_KINDS, COLUMN_NAMES, Value, entry_of
from ..files import require_regular
from ..warehouse import connect
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
            sql = f"SELECT {_columns()} FROM read_parquet(?)"  # noqa: S608 - our own column names
            result = database.execute(sql, [str(path)])
            number = 0
            while rows := result.fetchmany(_BATCH):
                for row in rows:
                    number += 1
                    yield _item(number, row)
        except duckdb.Error as error:
            raise CannotRead(f"{path}: cannot be read as a Parquet export: {error}") from None


def _columns() -> str:
    # Times as text: Python objects with zones would need a library that DuckDB does not bring.
    return ", ".join(
        f"strftime({name}::TIMESTAMP, '%Y-%m-%dT%H:%M:%S.%fZ') AS {name}" if kind == "instant" else name
        for name, kind in COLUMN_KINDS.items()
    )


def _item(number: int, row: tuple[Any, ...]) -> Item:
    try:
        return entry_of({name: _value(name, value) for name, value in zip(COLUMN_NAMES, row, strict=True)})
    except ValueError as error:
        return NotUnderstood(f"row {number}", str(error))


def _value(name: str, value: Any) -> Value:  # whatever a Parquet column holds
    if value is not None and COLUMN_KINDS[name] == "usd":
        return from_usd(value)
    return value if isinstance(value, (str, int, float)) else None


IMPORT: Final = Import("parquet", "Our own export as Parquet.", _recognises, _read)
