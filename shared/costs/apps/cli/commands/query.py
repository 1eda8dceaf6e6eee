"""``cost-dashboard query``."""

from __future__ import annotations

import sys
from contextlib import ExitStack

import click

from ....exchange.answer import PIECES, answer_report
from ....exchange.exports import Context
from ....exchange.source import Indexed
from ....exchange.warehouse import ask
from ....rollup import Query
from ..app import App, dashboard_command
from ..exporting import told_incomplete
from ..progress import progress_bar


@dashboard_command(
    "Look",
    'query "SELECT model, sum(cost_usd) FROM entries GROUP BY model ORDER BY 2 DESC"',
    'query --json "SELECT stage, count(*) AS calls FROM entries GROUP BY ALL"',
    "query - < monthly.sql",
)
@click.argument("sql", metavar="SQL")
def command(app: App, sql: str) -> int | None:
    """Ask the entries in SQL.

    SQL is one SELECT over the table `entries`, in DuckDB's dialect, or - to read it from stdin. The
    columns are the ledger's fields (SELECT * FROM entries LIMIT 1 shows them); amounts are exact
    decimals in USD, times are in UTC. Nothing can be changed, and no file or network be reached.
    Text shows the first 1,000 rows; csv and json have all of them, however many. The exit code is 3 where
    a ledger could not be read. Needs DuckDB: pip install '.[warehouse]'.
    """
    asked = sys.stdin.read() if sql == "-" else sql
    index = app.workspace.index
    index.catch_up_all()
    source, pieces = Indexed(index, Query()), PIECES.get(app.output.format_name)
    with ExitStack() as stack:
        with progress_bar("entries", None) as progress:
            answer = stack.enter_context(ask(asked, source, Context(progress=progress)))
        if pieces is None:
            app.show(answer_report(answer))
        else:
            app.pour(pieces(answer))
    return told_incomplete(app, source.missed)
