"""DuckDB, an embedded SQL engine (https://duckdb.org): the extra ``warehouse``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from ..errors import CostError
from ..extras import install_command
from ..ledger.columns import ColumnKind

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

T = TypeVar("T")

TYPES: Final[dict[ColumnKind, str]] = {
    "text": "VARCHAR",
    "json": "VARCHAR",
    "instant": "TIMESTAMPTZ",
    "count": "BIGINT",
    "flag": "BOOLEAN",
    "usd": "DECIMAL(18,9)",
    "seconds": "DOUBLE",
}
"""The type in SQL of each kind of column."""

MEMORY_LIMIT: Final = "512MB"


class MissingExtra(CostError):
    """A library that only some commands need is not installed. The message says how to get it."""


def connect(path: str = ":memory:", *, read_only: bool = False) -> DuckDBPyConnection:
    """Open a DuckDB database with bounded memory.

    Raises:
        MissingExtra: DuckDB is not installed.

    """
    try:
        import duckdb  # 100 ms, and an extra: only these commands pay for it
    except ImportError:
        raise MissingExtra(f"DuckDB is needed here: {install_command('warehouse')}") from None
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY_LIMIT,
        "autoload_known_extensions": False,
    }
    return duckdb.connect(path, read_only, settings)


def run(database: DuckDBPyConnection, work: Callable[[], T]) -> T:
    """Return what DuckDB gives for ``work``, and stop it where Ctrl-C is pressed meanwhile.

    DuckDB looks for no signal while it computes; so it does that in a thread of its own, and this one
    waits where signals are taken.
    """
    # A process that ends can import it no more; what it publishes then is read without it.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(work)
        try:
            return running.result()
        except KeyboardInterrupt:
            database.interrupt()
            raise


def quoted(text: object) -> str:
    """Return a text for the inside of an SQL literal: DuckDB takes no parameter for a file that it writes.

    >>> quoted("it's")
    "it''s"
    """
    return str(text).replace("'", "''")
