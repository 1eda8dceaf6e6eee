"""``cost-dashboard reconcile``."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from zoneinfo import ZoneInfo

import click

from ....errors import WrongUsage
from ....exchange.bills import bill_format_for, bill_formats
from ....exchange.reconciled import Reconciled, reconciled_report
from ....exchange.reconciling.adjusting import Adjuster
from ....exchange.reconciling.run import Bill, Comparing, Terms
from ....exchange.shelf import Shelf
from ....periods import zone
from ....reports.questions import Span
from ....reports.spec import SPAN
from ..app import App, dashboard_command
from ..formatlist import with_formats
from ..options import Parsed, asked_with
from ..progress import share_bar

SERVICES: Final = ("anthropic", "openai")
"""The services whose reports can be fetched."""


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
    "reconcile --fetch openai --month 2026-10",
)
@click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path(path_type=Path, dir_okay=False))
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
@click.option(
    "--fetch",
    "services",
    type=click.Choice(SERVICES),
    multiple=True,
    help="Ask the service for its own reports, with an admin key from the environment.",
)
@asked_with(SPAN)
@click.option("--adjust", is_flag=True, help="Append adjustments that carry the bill's lines.")
def command(app: App, files: Sequence[Path], services: Sequence[str], span: Span, **given: Any) -> int:
    """Compare a provider's bill or usage report with the ledgers, and say why they differ.

    Nothing is sent anywhere without --fetch. Calls are matched by the response's id where the file has one,
    else summed by model, day and tier. The exit code is 1 where differences are left that no later line of
    the bill will mend; with --adjust each of them that can be told is appended to the ledgers, once.
    --fetch asks OpenAI (OPENAI_ADMIN_KEY) or Anthropic (ANTHROPIC_ADMIN_KEY) for the days that --month,
    --days, or --since and --until name.
    """
    if not files and not services:
        raise WrongUsage("name a bill: cost-dashboard reconcile FILE, or --fetch openai; see --help")
    if span != Span() and not services:
        raise WrongUsage("dates are for --fetch; a file is compared over the days that it has")
    terms = Terms(dict(given["rates"]), frozenset(given["keys"]), _zone(given["timezone"]))
    bills = [Bill.of_file(path, bill_format_for(path, given["format_from"])) for path in files]
    with TemporaryDirectory(prefix="reconcile-") as folder:
        bills += _fetched(app, services, span, by_key=bool(terms.keys), folder=Path(folder))
        facts = reconcile(app, bills, terms, adjust=given["adjust"])
    app.show(reconciled_report(facts))
    return facts.exit_code


command.help = with_formats(command.help, bill_formats())


def _fetched(app: App, services: Sequence[str], span: Span, *, by_key: bool, folder: Path) -> list[Bill]:
    if not services:
        return []
    from ....exchange.reconciling.fetching import fetched, request_of

    request = request_of(span.period(app.workspace.clock(), ZoneInfo("UTC")), by_key=by_key)
    environ = app.workspace.environ
    return [bill for service in services for bill in fetched(service, request, environ, folder)]


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
