"""Parquet, with amounts as DECIMAL(18, 9), written by DuckDB (the extra ``warehouse``)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ..destination import CannotWrite
from ..source import Source
from ..warehouse import staged
from . import Context, Export


def write(source: Source, target: Path, context: Context) -> int:
    """Write the entries as Parquet.

    Raises:
        MissingExtra: DuckDB is not installed.
        CannotWrite: the disk is full or fails.

    """
    with staged(source, target.parent, context) as warehouse:
        import duckdb  # there, since something is staged in it

        # DuckDB takes no parameter for the name of a file it writes.
        name = str(target).replace("'", "''")
        try:
            warehouse.database.execute(f"COPY (FROM entries) TO '{name}' (FORMAT parquet, COMPRESSION zstd)")
        except duckdb.Error as error:
            raise CannotWrite(f"the file cannot be written: {error}") from error
        return warehouse.rows


EXPORT: Final = Export(
    "parquet", ".parquet", "Columns for DuckDB, Spark, pandas; exact decimals.", write, text=False
)
