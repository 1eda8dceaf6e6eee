"""``cost-dashboard archive``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ....archive.known import KnownArchive, KnownArchives
from ....archive.places import Place
from ....errors import FAILED, FINE, StorageUnavailable, WrongUsage
from ....exchange.archive_check import check_archive
from ....exchange.archive_reports import archived_report, checked_report, unpacked_report
from ....exchange.archiving import archive
from ....exchange.calendar import Calendar
from ....exchange.packing import Needed, packed_paths, unpack
from ....exchange.packing import pack as pack_away
from ....periods import parse_month
from ....workspace import Workspace
from ..app import App, dashboard_command
from ..options import complete_job


@dashboard_command(
    "Keep in order",
    "archive --to /data/costs-archive",
    "archive --to s3://team-costs/ledger --before 2026-09",
    "archive --pack",
    "archive verify",
    "archive unpack job-20260822-rpatel-0001",
)
@click.argument("action", type=click.Choice(["write", "verify", "unpack"]), default="write")
@click.argument("jobs", nargs=-1, metavar="[JOB_ID]...", shell_complete=complete_job)
@click.option(
    "--to",
    "location",
    metavar="PLACE",
    help="A folder, or s3://BUCKET/PREFIX. Default: the archive that this cost storage has.",
)
@click.option(
    "--before", metavar="YYYY-MM", help="Archive the months before this one. Default: all that are over."
)
@click.option(
    "--pack",
    is_flag=True,
    help="Then remove the ledgers that the archive gives back byte by byte. Every view goes on as before.",
)
def command(
    app: App, action: str, jobs: tuple[str, ...], *, location: str | None, before: str | None, pack: bool
) -> int:
    """Keep closed months as Parquet, for years of history and for engines of your own.

    `write` puts the entries of months that are over into month=YYYY-MM/part-*.parquet, and then the
    manifest that says what is there: files, rows, sums, SHA-256, and how far each ledger was read. Done
    again it adds what is new; entries that come late for a month become a further file. Ledgers stay as
    they are, unless you --pack them: `unpack` puts them back where they were, all or those of JOB_IDs.
    `verify` reads all of an archive back (exit code 1: something is not as it was written). Needs DuckDB:
    pip install '.[warehouse]'; for S3 also boto3: pip install '.[s3]'.
    """
    if action != "write" and (before or pack):
        raise WrongUsage(f"{action} takes neither --before nor --pack")
    if action != "unpack" and jobs:
        raise WrongUsage(f"{action} is about all jobs; leave {' '.join(jobs)} out")
    if action == "unpack":
        return _unpack(app, jobs)
    known = KnownArchives(app.workspace.storage)
    place = _place(known, location)
    if action == "verify":
        with app.reader.progress("Verifying") as advance:
            check = check_archive(place, advance)
        app.show(checked_report(check, place.location))
        return check.exit_code
    calendar = Calendar(app.workspace.profile)
    month = _before(app, calendar, before)
    with app.reader.progress("Archiving") as advance:
        archived = archive(app.workspace.index, calendar, known, place, month, advance)
    packed = None
    if pack:
        with app.reader.progress("Packing") as advance:
            held = KnownArchive(place, archived.manifest)
            packed = pack_away(app.workspace.index, held, advance, _needed(app.workspace))
    app.show(archived_report(archived, place.location, month, packed))
    return FAILED if archived.unread else FINE


def _needed(workspace: Workspace) -> Needed:
    """Keep ledgers until all hosts that share a budget count them: they are published from nowhere else."""
    fleet = workspace.fleet
    if fleet is None:
        return lambda _: None
    try:
        waiting = fleet.publish().left
    except StorageUnavailable as fault:
        why = f"it is not known whether the shared budget counts it: {fault}"
        return lambda _: why
    return lambda path: "the shared budget does not count all of it yet" if path in waiting else None


def _unpack(app: App, jobs: Sequence[str]) -> int:
    index = app.workspace.index
    paths = list(packed_paths(index, jobs))
    if missing := sorted(set(jobs) - {path.parent.name for path in paths}):
        raise WrongUsage(f"no ledger of {', '.join(missing)} was packed away")
    with app.reader.progress("Unpacking") as advance:
        result = unpack(index, paths, advance)
    app.show(unpacked_report(result))
    return FAILED if result.stayed else FINE


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
