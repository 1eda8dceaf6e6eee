"""``cost-dashboard query``."""

from __future__ import annotations

import sys

import click

from ...exchange.answer import answer_report
from ...exchange.exports import Context
from ...exchange.source import Indexed
from ...exchange.warehouse import ask
from ...rollup import Query
from ..app import App, dashboard_command
from ..counting import counting


@dashboard_command(
    "Look",
    'query "SELECT model, sum(cost_usd) FROM entries GROUP BY model ORDER BY 2 DESC"',
    'query --json "SELECT stage, count(*) AS calls FROM entries GROUP BY ALL"',
    "query - < monthly.sql",
)
@click.argument("sql", metavar="SQL")
def command(app: App, sql: str) -> None:
    """Ask the entries in SQL.

    SQL is one SELECT over the table `entries`, in DuckDB's dialect, or - to read it from stdin. The
    columns are the ledger's fields (SELECT * FROM entries LIMIT 1 shows them); amounts are exact
    decimals in USD, times are in UTC. Nothing can be changed, and no file or network be reached.
    Needs DuckDB: pip install 'cost-ledger[warehouse]'.
    """
    asked = sys.stdin.read() if sql == "-" else sql
    index = app.workspace.index
    index.catch_up_all()
    with counting("entries") as progress:
        answer = ask(asked, Indexed(index, Query()), Context(progress=progress))
    app.show(answer_report(answer))
