"""``cost-dashboard archive``."""

from __future__ import annotations

import click

from ....archive.known import KnownArchives
from ....archive.places import Place
from ....errors import WrongUsage
from ....exchange.archive_check import check_archive
from ....exchange.archive_reports import archived_report, checked_report
from ....exchange.archiving import archive
from ....exchange.calendar import Calendar
from ....exits import FAILED, FINE
from ....periods import parse_month
from ..app import App, dashboard_command


@dashboard_command(
    "Keep in order",
    "archive --to /data/costs-archive",
    "archive --to s3://team-costs/ledger --before 2026-09",
    "archive verify",
)
@click.argument("action", type=click.Choice(["write", "verify"]), default="write")
@click.option(
    "--to",
    "location",
    metavar="PLACE",
    help="A folder, or s3://BUCKET/PREFIX. Default: the archive that this cost storage has.",
)
@click.option(
    "--before", metavar="YYYY-MM", help="Archive the months before this one. Default: all that are over."
)
def command(app: App, action: str, location: str | None, before: str | None) -> int:
    """Keep closed months as Parquet, for years of history and for engines of your own.

    `write` puts the entries of months that are over into month=YYYY-MM/part-*.parquet, and then the
    manifest that says what is there: files, rows, sums, SHA-256, and how far each ledger was read. Done
    again it adds what is new; entries that come late for a month become a further file. Ledgers stay as they
    are. `verify` reads all of an archive back (exit code 1: something is not as it was written). Needs
    DuckDB: pip install '.[warehouse]'; for S3 also boto3: pip install '.[s3]'.
    """
    known = KnownArchives(app.workspace.storage)
    place = _place(known, location)
    if action == "verify":
        if before:
            raise WrongUsage("verify reads the whole archive; leave --before out")
        with app.reader.progress("Verifying") as advance:
            check = check_archive(place, advance)
        app.show(checked_report(check, place.location))
        return check.exit_code
    calendar = Calendar(app.workspace.profile)
    month = _before(app, calendar, before)
    with app.reader.progress("Archiving") as advance:
        archived = archive(app.workspace.index, calendar, known, place, month, advance)
    app.show(archived_report(archived, place.location, month))
    return FAILED if archived.unread else FINE


def _place(known: KnownArchives, location: str | None) -> Place:
    if location is not None:
        return known.place(location)
    archives = known.all()
    if len(archives) != 1:
        some = "".join(f" {each.place.location}" for each in archives)
        raise WrongUsage(f"say which archive with --to PLACE; this cost storage has{some or ' none yet'}")
    return archives[0].place


def _before(app: App, calendar: Calendar, before: str | None) -> str:
    """Return the first month that is not archived."""
    present = calendar.open_month(app.workspace.clock())
    if before is None:
        return present
    try:
        month = parse_month(before, app.workspace.profile.timezone).name
    except ValueError as fault:
        raise WrongUsage(f"--before: {fault}") from fault
    if month > present:
        raise WrongUsage(f"--before {month}: {present} is not over, so only months before it can be archived")
    return month
