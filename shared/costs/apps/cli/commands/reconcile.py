"""``cost-dashboard reconcile``."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import click

from ....errors import WrongUsage
from ....exchange.bills import bill_format_for, bill_formats
from ....exchange.reconciled import Reconciled, reconciled_report
from ....exchange.reconciling.adjusting import Adjuster
from ....exchange.reconciling.run import Bill, Comparing, Terms
from ....exchange.shelf import Shelf
from ....periods import zone
from ..app import App, dashboard_command
from ..formatlist import with_formats
from ..options import Parsed
from ..progress import share_bar


def parse_rate(text: str) -> tuple[str, Decimal]:
    """Return a currency and what one of it is in USD, written as ``EUR=1.16``.

    Raises:
        ValueError: it is written otherwise, or not above 0.

    >>> parse_rate("eur=1.16")
    ('EUR', Decimal('1.16'))
    """
    name, _, rate = text.partition("=")
    try:
        value = Decimal(rate)
    except InvalidOperation:
        value = Decimal(0)
    if not name.isalpha() or not value.is_finite() or value <= 0:
        raise ValueError(f"{text!r} is no rate; write what one is in USD, such as EUR=1.16")
    return name.upper(), value


@dashboard_command(
    "Look",
    "reconcile costs-2026-11.json",
    "reconcile usage.json costs.json --json",
    "reconcile bill.csv --rate EUR=1.16 --format html --output bill.html",
    "reconcile spend-logs.csv --adjust",
)
@click.argument(
    "files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path, dir_okay=False)
)
@click.option(
    "--from",
    "format_from",
    type=click.Choice(sorted(bill_formats())),
    help="The files' format. Default: as each looks.",
)
@click.option(
    "--key", "keys", multiple=True, metavar="ID", help="Only lines of this key, project or workspace."
)
@click.option(
    "--rate",
    "rates",
    multiple=True,
    type=Parsed(parse_rate),
    metavar="CUR=USD",
    help="What one of a currency is in USD.",
)
@click.option("--timezone", metavar="ZONE", help="Where the bill's days begin. Default: as its format says.")
@click.option("--adjust", is_flag=True, help="Append adjustments that carry the bill's lines.")
def command(app: App, files: Sequence[Path], format_from: str | None, *, adjust: bool, **given: Any) -> int:
    """Compare a provider's bill or usage report with the ledgers, and say why they differ.

    Nothing is sent anywhere. Calls are matched by the response's id where the file has one, else summed by
    model, day and tier. The exit code is 1 where differences are left that no later line of the bill will
    mend; with --adjust each of them that can be told is appended to the ledgers, once.
    """
    bills = [Bill.of_file(path, bill_format_for(path, format_from)) for path in files]
    terms = Terms(dict(given["rates"]), frozenset(given["keys"]), _zone(given["timezone"]))
    app.show(reconciled_report(facts := reconcile(app, bills, terms, adjust=adjust)))
    return facts.exit_code


command.help = with_formats(command.help, bill_formats())


def _zone(name: str | None) -> str | None:
    try:
        return zone(name).key if name else None
    except ValueError as fault:
        raise WrongUsage(str(fault)) from fault


def reconcile(app: App, bills: Sequence[Bill], terms: Terms, *, adjust: bool) -> Reconciled:
    """Compare bills with the storage, and with ``adjust`` append what follows."""
    index, now = app.workspace.index, app.workspace.clock()
    adjuster = Adjuster(index, Shelf(index), app.workspace.storage, now, app.default_user) if adjust else None
    with share_bar("Comparing") as advance:
        comparing = Comparing(index, now, terms, adjuster, advance)
        found = comparing.run(bills)
    names = [f"{bill.name} as {bill.format.name}" for bill in bills]
    if adjuster is None:
        return Reconciled(names, found)
    return Reconciled(names, found, adjuster.written, adjuster.cost)
