"""Queries in SQL on Spark, through Spark Connect (the extra ``cluster``).

The cluster reads the archive's files itself: from S3 as ``s3a://``, or from a folder that each of its
machines has at the same path. Entries that are only in ledgers are sent along as a table. A query is one
SELECT that DuckDB also understands; the session's time zone is UTC.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from itertools import chain
from pathlib import Path
from typing import Any, Final

from ..archive.duck import MissingExtra, connect
from ..errors import CostError, WrongUsage
from ..extras import install_command
from .calendar import Calendar
from .exports import ExportContext
from .history import StoredHistory
from .views import ENTRIES
from .warehouse import QUERIED, STORED, BadQuery, QueryResult, distinct_names, load_rest, require_select

PREFIX: Final = "spark://"

PIECE_ROWS: Final = 50_000
"""How many entries are sent to a server at once: it needs some 2 KB of memory for each."""


class NoCluster(CostError):
    """A Spark Connect server cannot be reached, or cannot read the archive."""


@contextmanager
def ask_spark(
    sql: str, address: str, history: StoredHistory, context: ExportContext, calendar: Calendar
) -> Iterator[QueryResult]:
    """Run one SELECT over a view ``entries`` on a Spark Connect server, and yield its result.

    ``address`` is ``spark://HOST:PORT``.

    Raises:
        MissingExtra: the client of Spark, or DuckDB, is not installed.
        WrongUsage: the address has no host.
        BadQuery: the text is not a single SELECT, or Spark refuses it; the message is Spark's.
        NoCluster: the server does not answer, or cannot read the archive.

    """
    with _session(address) as spark, tempfile.TemporaryDirectory(prefix="cost-query-") as private:
        with connect(f"{private}/rest.duckdb") as database:
            require_select(database, sql)
            load_rest(database, Path(private), history, context, calendar, history)
            with _translated_errors(address):
                _prepare(spark, database, history)
        with _translated_errors(address):
            result = spark.sql(sql)
            names = distinct_names(result.columns)
            yield QueryResult(names, _rows(result, address))


@contextmanager
def _session(address: str) -> Iterator[Any]:  # Spark's own type is not known without it
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the version of pandas, which is not used here
            from pyspark.sql import SparkSession
    except ImportError:
        raise MissingExtra(f"the client of Spark is needed here: {install_command('cluster')}") from None
    host = address.removeprefix(PREFIX)
    if not host or "/" in host:
        raise WrongUsage(f"{address} names no server: write spark://HOST:15002")
    with _translated_errors(address), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spark = SparkSession.builder.remote(f"sc://{host}").create()
        spark.conf.set("spark.sql.session.timeZone", "UTC")
    try:
        yield spark
    finally:
        spark.stop()


def _prepare(
    spark: Any, database: Any, history: StoredHistory
) -> None:  # Spark's session, DuckDB's connection
    """Create the view ``entries`` in the session."""
    # Arrow has times with a zone, like Parquet, so that both tables have the same types.
    zoned = ("timestamp", "period_at")
    columns = ", ".join(f"{n}::TIMESTAMPTZ AS {n}" if n in zoned else n for n in STORED)
    database.execute("SET TimeZone = 'UTC'")
    rest = database.sql(f"SELECT {columns} FROM rest")  # noqa: S608 - our own text
    tables = list(_send(spark, rest, or_none=not history.parts))
    if history.parts:
        archived = spark.read.parquet(*_addresses(history))
        if history.ledgers is not None:
            ledgers = database.sql("FROM ledgers").to_arrow_table()
            archived = archived.join(spark.createDataFrame(ledgers), on="ledger", how="left_semi")
        tables.append(archived.select(*STORED))
    reduce(lambda table, other: table.unionByName(other), tables).createOrReplaceTempView("stored")
    spark.sql(ENTRIES).createOrReplaceTempView("entries")


def _send(spark: Any, rows: Any, *, or_none: bool) -> Iterator[Any]:  # Spark's session, DuckDB's relation
    """Send rows to the server in pieces; with ``or_none`` yield an empty table if there are no rows.

    A server keeps what it is sent in memory. So if there are several pieces, each is moved to its disks.
    """
    import pyarrow  # installed with Spark's client

    read = rows.to_arrow_reader if hasattr(rows, "to_arrow_reader") else rows.fetch_arrow_reader  # DuckDB 1.3
    pieces = read(PIECE_ROWS)
    tables = (spark.createDataFrame(pyarrow.Table.from_batches([piece])) for piece in pieces)
    first, second = next(tables, None), next(tables, None)
    if second is not None:
        yield from (table.localCheckpoint() for table in chain((first, second), tables))
    elif first is not None:
        yield first
    elif or_none:
        yield spark.createDataFrame(pieces.schema.empty_table())


def _addresses(history: StoredHistory) -> list[str]:
    """Return the addresses at which a cluster reads the parts of the archive."""
    if history.archive is None:
        return []
    location = history.archive.place.location
    root = (
        f"s3a://{location.removeprefix('s3://')}" if location.startswith("s3://") else Path(location).as_uri()
    )
    return [f"{root}/{part.name}" for part in history.parts]


def _rows(result: Any, address: str) -> Iterator[tuple[Any, ...]]:  # Spark's data frame
    with _translated_errors(address):
        yield from map(tuple, result.toLocalIterator())


@contextmanager
def _translated_errors(address: str) -> Iterator[None]:
    """Raise Spark's errors as ours."""
    from pyspark.errors import AnalysisException, ParseException, PySparkException

    try:
        yield
    except (AnalysisException, ParseException) as fault:
        if "PATH_NOT_FOUND" in str(fault):
            raise NoCluster(
                f"{address} cannot read the archive where it lies: {_first_line(fault)}"
            ) from fault
        raise BadQuery(f"{_first_line(fault)}\nentries has the columns {', '.join(QUERIED)}") from fault
    except PySparkException as fault:
        raise NoCluster(f"{address}: {_first_line(fault)}") from fault


def _first_line(fault: Exception) -> str:
    return str(fault).strip().partition("\n")[0]
