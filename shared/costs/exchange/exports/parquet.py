"""Parquet, with amounts as DECIMAL(18, 9), written by DuckDB (the extra ``warehouse``)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

from ...archive.duck import quoted, run
from ...replacing import CannotWrite
from ..source import EntrySource
from ..warehouse import staged
from . import Export, ExportContext

_ROW_GROUP: Final = "ROW_GROUP_SIZE 20480, ROW_GROUP_SIZE_BYTES '16MB'"
"""DuckDB's default of 122,880 rows needs 200 MB more memory for 4 % less on disk; with rows of 8 KB, the
longest ledger lines, it would need a gigabyte."""

_IN_PLACE: Final = "USE_TMP_FILE false"
"""The draft is private and gets synced; DuckDB's own temporary file, which would replace it, is neither."""

_SETTINGS: Final = ("SET threads = 1", "SET preserve_insertion_order = false", "SET memory_limit = '192MB'")
"""Each thread holds a row group in memory. With one thread, rows keep their order without DuckDB preserving
it, and only then does it limit a row group by its bytes."""


def write(source: EntrySource, target: Path, context: ExportContext) -> int:
    """Write the entries as Parquet.

    Raises:
        MissingExtra: DuckDB is not installed.
        CannotWrite: the disk is full or fails.

    """
    with staged(source, target.parent, context) as warehouse:
        import duckdb  # installed, because staged() succeeded

        options = f"FORMAT parquet, COMPRESSION zstd, {_ROW_GROUP}, {_IN_PLACE}"
        try:
            for setting in _SETTINGS:
                warehouse.database.execute(setting)
            copy = f"COPY (FROM entries) TO '{quoted(target)}' ({options})"
            run(warehouse.database, partial(warehouse.database.execute, copy))
        except duckdb.Error as error:
            raise CannotWrite(f"the file cannot be written: {error}") from error
        return warehouse.rows


EXPORT: Final = Export(
    "parquet", ".parquet", "Columns for DuckDB, Spark, pandas; exact decimals.", write, text=False
)
