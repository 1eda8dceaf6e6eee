"""DuckDB, an embedded SQL engine (https://duckdb.org): the extra ``warehouse``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
INTERRUPTED: Final = "Query interrupted"
"""What DuckDB says where a signal arrived during a statement."""


class MissingExtra(CostError):
    """A library that only some commands need is not installed. The message says how to get it."""


@contextmanager
def connect(path: str = ":memory:", *, read_only: bool = False) -> Iterator[DuckDBPyConnection]:
    """Open a DuckDB database with bounded memory, and close it at the end of the block.

    On a signal during a statement DuckDB drops the exception of the signal's handler, Ctrl-C included, and
    raises a ``RuntimeError`` of its own, which an ``except Exception`` would take for a failed query. Source:
    duckdb 2.0.1, 2026-11-30.

    Raises:
        MissingExtra: DuckDB is not installed.
        KeyboardInterrupt: a statement was interrupted.

    """
    try:
        import duckdb  # 100 ms, and an extra: only these commands pay for it
    except ImportError:
        raise MissingExtra(f"DuckDB is needed here: {install_command('warehouse')}") from None
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY_LIMIT,
        "autoload_known_extensions": False,
    }
    with duckdb.connect(path, read_only, settings) as database:
        try:
            yield database
        except RuntimeError as fault:
            if str(fault) != INTERRUPTED:
                raise
            raise KeyboardInterrupt from None


def run(database: DuckDBPyConnection, work: Callable[[], T]) -> T:
    """Return what ``work`` returns, and interrupt DuckDB on Ctrl-C.

    DuckDB does not check for signals while it computes. So ``work`` runs in a thread of its own, and this
    thread waits where Python handles signals.
    """
    # Imported here: it cannot be imported while the interpreter shuts down, when ledgers are published once
    # more.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(work)
        try:
            return future.result()
        except KeyboardInterrupt:
            database.interrupt()
            raise


def quoted(text: object) -> str:
    """Escape a text for use inside an SQL literal: DuckDB has no parameters for the names of files it writes.

    >>> quoted("it's")
    "it''s"
    """
    return str(text).replace("'", "''")
