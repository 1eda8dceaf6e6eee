"""``cost-dashboard query``: a bounded table for people, and all of the result, row by row, for programs."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from decimal import Decimal
from io import StringIO
from itertools import islice, repeat
from math import isfinite
from typing import Any, Final

from ....archive.known import KnownArchive, KnownArchives
from ....errors import WrongUsage
from ....exchange.calendar import Calendar
from ....exchange.exports import ExportContext
from ....exchange.history import StoredHistory
from ....exchange.views import view_named, view_names
from ....exchange.warehouse import QueryResult, ask
from ....formats.csv import safe_text
from ....reports.document import Column, Kind, Note, Report, Table, Value
from ....reports.spec import Option
from ..app import App, dashboard_command, progress_bar
from ..exporting import told_incomplete
from ..options import asked_with

SHOWN: Final = 1_000
"""So many rows are laid out for people, which needs all of them in memory."""
COUNTED: Final = 1_000_000
"""So many rows beyond those are counted: a query may have no end."""

_PIECE: Final = 500


def answer_report(answer: QueryResult) -> Report:
    """Return the first rows of a query's result as a table, and how many more there are."""
    rows = iter(answer.rows)
    first = list(islice(rows, SHOWN))
    more = sum(1 for _ in islice(rows, COUNTED))
    endless = next(rows, None) is not None
    values = [[row[n] for row in first] for n in range(len(answer.columns))]
    columns = tuple(
        Column(name, name, _kind(each)) for name, each in zip(answer.columns, values, strict=True)
    )
    cells = zip(*(map(_shown, each, repeat(_places(each))) for each in values), strict=True)
    table = Table("", columns, tuple(cells), empty="no rows")
    count = len(first) + more
    title = f"{'more than ' if endless else ''}{count:,} row{'' if count == 1 else 's'}"
    return Report(title, tables=(table,), notes=tuple(_notes(more, endless)))


def _notes(more: int, endless: bool) -> Iterator[Note]:
    if endless:
        yield Note(f"More than {more:,} more, which are not counted; --format csv or --json has them all.")
    elif more:
        yield Note(f"{more:,} more; --format csv or --json has them all.")


def _kind(values: list[Any]) -> Kind:
    """Return ``count`` for numbers, of which no digit is left out; everything else is shown as it is."""
    numbers = (int, float, Decimal)
    return "count" if all(type(value) in numbers for value in values if value is not None) else "text"


def _places(values: list[Any]) -> int:
    """Return how many decimals show every decimal of a column in full."""
    return max((len(_digits(v).partition(".")[2]) for v in values if isinstance(v, Decimal)), default=0)


def _shown(value: Any, places: int) -> Value:  # whatever DuckDB gives
    if isinstance(value, Decimal):
        return f"{value:,.{places}f}"
    if value is None or isinstance(value, (int, float, str)):
        return value
    return _text(value)


def _text(value: Any) -> str:
    """Return what is neither a number nor a text as text: lists and structs as JSON."""
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(_plain(value), ensure_ascii=False)
    return str(value)


def _digits(value: Decimal) -> str:
    """Return a decimal; nine places of which most are zeros say nothing more than the digits before them."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def csv_pieces(answer: QueryResult) -> Iterator[str]:
    """Yield a query's result as CSV, its header first."""
    out = StringIO()
    write = csv.writer(out, lineterminator="\n").writerow
    write(map(safe_text, answer.columns))
    for number, row in enumerate(answer.rows, start=1):
        write(map(_cell, row))
        if number % _PIECE == 0:
            yield _taken(out)
    yield _taken(out)


def _taken(out: StringIO) -> str:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text


def _cell(value: Any) -> object:  # whatever DuckDB gives
    """Return what the writer of CSV prints as it should be: numbers and ``None`` it knows itself."""
    kind = type(value)
    if kind is str:
        return safe_text(value)
    if kind is int or kind is float or value is None:
        return value
    if kind is bool:
        return "true" if value else "false"
    return _digits(value) if kind is Decimal else safe_text(_text(value))


def json_pieces(answer: QueryResult) -> Iterator[str]:
    """Yield a query's result as one JSON object: its columns, and an object for each row, one a line."""
    yield f'{{\n  "columns": {json.dumps(answer.columns)},\n  "rows": ['
    number = 0
    for number, row in enumerate(answer.rows, start=1):
        members = dict(zip(answer.columns, map(_plain, row), strict=True))
        yield f"{',' if number > 1 else ''}\n    {json.dumps(members, allow_nan=False)}"
    yield "\n  ]\n}\n" if number else "]\n}\n"


def _plain(value: Any) -> object:  # whatever DuckDB gives
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, float):
        return value if isfinite(value) else None  # JSON has no other numbers
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


PIECES: Final[dict[str, Callable[[QueryResult], Iterable[str]]]] = {"csv": csv_pieces, "json": json_pieces}
"""The formats for programs, by name."""


@dashboard_command(
    "Look",
    'query "SELECT model, sum(cost_usd) FROM entries GROUP BY model ORDER BY 2 DESC"',
    'query --json "SELECT stage, count(*) AS calls FROM entries GROUP BY stage"',
    "query --view models",
    "query --view months --on spark://cluster:15002",
    "query - < monthly.sql",
)
@asked_with(
    Option("", "", "[SQL]", called="sql"),
    Option("--view", f"A view in place of SQL: {', '.join(view_names())}.", "NAME", completes=view_names),
    Option(
        "--on",
        "local (DuckDB), or spark://HOST:PORT of a Spark Connect server.",
        "ENGINE",
        called="engine",
        default="local",
        shows_default=True,
    ),
    Option("--archive", "Which archive to read; needed where there are several.", "PLACE", called="location"),
)
def command(app: App, sql: str | None, view: str | None, *, engine: str, location: str | None) -> int | None:
    """Ask the entries in SQL.

    SQL is one SELECT over the table `entries`, in DuckDB's dialect, or - to read it from stdin. The
    columns are the ledger's fields, the billing_day and billing_month of its user's time zone, and sign,
    unpriced_delta and partial_delta, which add up to the number of calls, of unpriced and of partial ones
    (SELECT * FROM entries LIMIT 1 shows them); amounts are exact decimals in USD, times are in UTC. Months
    that were archived are read from there, everything else from the ledgers. Nothing can be changed, and no
    file or network be reached. Text shows the first 1,000 rows; csv and json have all of them, however many.
    The exit code is 3 where a ledger could not be read. Needs DuckDB: pip install '.[warehouse]'; for Spark
    also its client: pip install '.[cluster]'.
    """
    asked = _sql(sql, view)
    index = app.workspace.index
    index.catch_up_all()
    history = StoredHistory.of(index, _archive(app, location))
    pieces = PIECES.get(app.output.format_name)
    with ExitStack() as stack:
        with progress_bar("entries", None) as progress:
            answer = stack.enter_context(
                _asked(app, asked, engine, history, ExportContext(progress=progress))
            )
        if pieces is None:
            app.show(answer_report(answer))
        else:
            app.pour(pieces(answer))
    return told_incomplete(app, history.missed)


def _sql(sql: str | None, view: str | None) -> str:
    if (sql is None) == (view is None):
        raise WrongUsage("give one SELECT, - to read it from stdin, or --view NAME")
    if view is not None:
        return view_named(view)
    return sys.stdin.read() if sql == "-" else str(sql)


def _archive(app: App, location: str | None) -> KnownArchive | None:
    """Return the archive to read: the one named, or the only one there is."""
    known = KnownArchives(app.workspace.storage)
    archives = known.all()
    if location is None:
        return archives[0] if len(archives) == 1 else None
    wanted = known.place(location).location
    archive = next((each for each in archives if each.place.location == wanted), None)
    if archive is None:
        raise WrongUsage(
            f"this cost storage has no archive at {wanted}; cost-dashboard archive --to makes one"
        )
    return archive


def _asked(
    app: App, sql: str, engine: str, history: StoredHistory, context: ExportContext
) -> AbstractContextManager[QueryResult]:
    calendar = Calendar(app.workspace.loaded_profile().profile)
    if engine == "local":
        return ask(sql, history, context, calendar, history)
    from ....exchange.spark import PREFIX, ask_spark  # its client takes a second to import

    if not engine.startswith(PREFIX):
        raise WrongUsage(f"--on {engine}: write local, or spark://HOST:15002")
    return ask_spark(sql, engine, history, context, calendar)
