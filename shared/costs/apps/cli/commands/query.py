"""``cost-dashboard query``."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, ExitStack

import click

from ....archive.known import KnownArchive, KnownArchives
from ....errors import WrongUsage
from ....exchange.answer import PIECES, answer_report
from ....exchange.calendar import Calendar
from ....exchange.exports import Context
from ....exchange.history import History
from ....exchange.views import view_named, view_names
from ....exchange.warehouse import Answer, ask
from ..app import App, dashboard_command, progress_bar
from ..exporting import told_incomplete


@dashboard_command(
    "Look",
    'query "SELECT model, sum(cost_usd) FROM entries GROUP BY model ORDER BY 2 DESC"',
    'query --json "SELECT stage, count(*) AS calls FROM entries GROUP BY stage"',
    "query --view models",
    "query --view months --on spark://cluster:15002",
    "query - < monthly.sql",
)
@click.argument("sql", metavar="SQL", required=False)
@click.option(
    "--view",
    metavar="NAME",
    help=f"A view in place of SQL: {', '.join(view_names())}.",
    shell_complete=lambda _context, _parameter, typed: [n for n in view_names() if n.startswith(typed)],
)
@click.option(
    "--on",
    "engine",
    metavar="ENGINE",
    default="local",
    show_default=True,
    help="local (DuckDB), or spark://HOST:PORT of a Spark Connect server.",
)
@click.option(
    "--archive", "location", metavar="PLACE", help="Which archive to read; needed where there are several."
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
    asked = _text(sql, view)
    index = app.workspace.index
    index.catch_up_all()
    history = History.of(index, _archive(app, location))
    pieces = PIECES.get(app.output.format_name)
    with ExitStack() as stack:
        with progress_bar("entries", None) as progress:
            answer = stack.enter_context(_asked(app, asked, engine, history, Context(progress=progress)))
        if pieces is None:
            app.show(answer_report(answer))
        else:
            app.pour(pieces(answer))
    return told_incomplete(app, history.missed)


def _text(sql: str | None, view: str | None) -> str:
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
    found = next((each for each in archives if each.place.location == wanted), None)
    if found is None:
        raise WrongUsage(
            f"this cost storage has no archive at {wanted}; cost-dashboard archive --to makes one"
        )
    return found


def _asked(
    app: App, sql: str, engine: str, history: History, context: Context
) -> AbstractContextManager[Answer]:
    calendar = Calendar(app.workspace.loaded_profile().profile)
    if engine == "local":
        return ask(sql, history, context, calendar, history)
    from ....exchange.spark import PREFIX, ask_spark  # its client takes a second to import

    if not engine.startswith(PREFIX):
        raise WrongUsage(f"--on {engine}: write local, or spark://HOST:15002")
    return ask_spark(sql, engine, history, context, calendar)
