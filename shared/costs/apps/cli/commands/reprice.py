"""``cost-dashboard reprice``."""

from __future__ import annotations

import sys
from datetime import date, datetime, time

import click

from ....errors import WrongUsage
from ....reports.queries import zone_of
from ....reports.repricing import repricing_report
from ....reports.spec import parse_day
from ..app import App, dashboard_command
from ..options import Parsed
from ..progress import share_bar
from ..repricing import reprice


@dashboard_command("Keep in order", "reprice", "reprice --yes", "reprice --all --since 2026-11-01")
@click.option("--since", type=Parsed(parse_day), metavar="DATE", help="Only calls from this day on.")
@click.option("--all", "wrong_too", is_flag=True, help="Also correct calls that have another price.")
@click.option("--dry-run", is_flag=True, help="Only show the difference, and do not ask.")
@click.option("--yes", is_flag=True, help="Append the corrections without asking.")
def command(app: App, since: date | None, wrong_too: bool, dry_run: bool, yes: bool) -> None:
    """Price calls that had no price by the price list of their own day.

    Appends an adjustment for each; no line is edited, and a second run adds nothing. The difference
    is shown first: on a terminal you are asked, elsewhere nothing is written without --yes.
    """
    if dry_run and yes:
        raise WrongUsage("--dry-run writes nothing and --yes writes; give one of them")
    start = _start(app, since)
    if not yes:
        _work(app, start, wrong_too=wrong_too, write=False)
        if dry_run or not sys.stdin.isatty() or not click.confirm("Append these corrections?", err=True):
            return
    _work(app, start, wrong_too=wrong_too, write=True)


def _start(app: App, since: date | None) -> datetime | None:
    if since is None:
        return None
    return datetime.combine(since, time.min, tzinfo=zone_of(app.reader, None))


def _work(app: App, start: datetime | None, *, wrong_too: bool, write: bool) -> None:
    with share_bar("Repricing") as advance:
        found = reprice(app.workspace, start, advance, wrong_too=wrong_too, write=write)
    path = str(app.workspace.prices_path or "prices.yaml")
    app.show(repricing_report(found, written=write, prices_path=path))
