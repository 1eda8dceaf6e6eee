"""``cost-dashboard archive``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ....archive.known import KnownArchive, KnownArchives
from ....archive.manifest import Manifest, ParquetPart, RowSums
from ....archive.places import ArchiveStorage
from ....errors import FAILED, FINE, StorageUnavailable, WrongUsage
from ....exchange.archiving import ArchiveCheck, ArchiveResult, archive, check_archive
from ....exchange.calendar import Calendar
from ....exchange.packing import Needed, PackingResult, packed_paths, unpack
from ....exchange.packing import pack as pack_away
from ....periods import parse_month
from ....reports.common import plural
from ....reports.document import Column, Figure, Note, Ref, Report, Row, Table, derive
from ....reports.spec import Option
from ....workspace import Workspace
from ..app import App, dashboard_command
from ..options import asked_with


@dashboard_command(
    "Keep in order",
    "archive --to /data/costs-archive",
    "archive --to s3://team-costs/ledger --before 2026-09",
    "archive --pack",
    "archive verify",
    "archive unpack job-20260822-rpatel-0001",
)
@asked_with(
    Option("", called="action", choices=("write", "verify", "unpack"), default="write"),
    Option("", "", "[JOB_ID]...", called="jobs", many=True, completes="job"),
    Option(
        "--to",
        "A folder, or s3://BUCKET/PREFIX. Default: the archive that this cost storage has.",
        "PLACE",
        called="location",
    ),
    Option("--before", "Archive the months before this one. Default: all that are over.", "YYYY-MM"),
    Option(
        "--pack",
        "Then remove the ledgers that the archive gives back byte by byte. Every view goes on as before.",
        flag=True,
    ),
)
def command(
    app: App, action: str, jobs: tuple[str, ...], *, location: str | None, before: str | None, pack: bool
) -> int:
    """Keep closed months as Parquet, for years of history and for your own query engines.

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
        waiting = fleet.publish().unpublished
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


def _place(known: KnownArchives, location: str | None) -> ArchiveStorage:
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


SHOWN: Final = 10
"""How many ledgers that stay are named."""

_MONTHS: Final = (
    Column("month", "Month"),
    Column("entries", "Entries", "count"),
    Column("calls", "Calls", "count"),
    Column("unpriced_calls", "Unpriced", "count"),
    Column("partial_calls", "In part", "count"),
    Column("cost", "Cost", "money", places=4),
    Column("files", "Files", "count"),
    Column("bytes", "Bytes", "count"),
)


def archived_report(
    archived: ArchiveResult, location: str, before: str, packed: PackingResult | None = None
) -> Report:
    """Return what a run added to an archive, what this holds now, and what was packed away then."""
    manifest, written = archived.manifest, archived.written
    added = sum(part.rows for part in written)
    figures: tuple[Figure, ...] = (
        Figure("added", "Entries added", added, "count"),
        Figure("files", "New files", len(written), "count", f"{sum(part.size for part in written):,} bytes"),
        Figure("whole", "Ledgers held whole", _whole(manifest), "count", f"of {len(manifest.ledgers):,}"),
    )
    if packed is not None:
        figures += (_packing("packed", "Ledgers packed away", packed),)
    said = f"Months before {before} are in {location}."
    if not manifest.parts:
        said = f"No ledger here has entries of months before {before}: there is no archive at {location} yet."
    notes = [Note(said, places=(location,))]
    notes += _stayed(packed) if packed else []
    notes += [
        Note(f"{path} could not be read: {why}.", "warning", places=(str(path),))
        for path, why in archived.unread
    ]
    return Report(
        "Archive",
        figures=figures,
        tables=(_months(manifest),),
        notes=tuple(notes),
        data={
            "location": location,
            "before": before,
            "added": added,
            "known": archived.known,
            "files": [part.name for part in written],
            "unread": [{"ledger": str(path), "why": why} for path, why in archived.unread],
            **({"packed": derive(packed, *_PACKED)} if packed else {}),
            **_data(manifest),
        },
    )


def unpacked_report(result: PackingResult) -> Report:
    """Return which ledgers are back where they were."""
    return Report(
        "Unpacked",
        figures=(_packing("unpacked", "Ledgers put back", result),),
        notes=tuple(_stayed(result)),
        data={"unpacked": derive(result, *_PACKED)},
    )


def _packing(name: str, title: str, result: PackingResult) -> Figure:
    return Figure(name, title, len(result.ledgers), "count", f"{result.size:,} bytes")


def _stayed(result: PackingResult) -> list[Note]:
    notes = [
        Note(f"{each.ledger} stays as it is: {each.why}.", "warning", places=(str(each.ledger),))
        for each in result.stayed[:SHOWN]
    ]
    if len(result.stayed) > SHOWN:
        notes.append(Note(f"So do {len(result.stayed) - SHOWN:,} more; --json names them.", "warning"))
    return notes


_PACKED: Final = ("ledgers", "bytes=size", "stayed")
"""What JSON has of ledgers that were packed away or put back."""


def checked_report(check: ArchiveCheck, location: str) -> Report:
    """Return what reading an archive back showed."""
    manifest = check.manifest
    rows: tuple[Row, ...] = tuple((fault.name, fault.why) for fault in check.faults)
    columns = (Column("file", "File"), Column("why", "Why", wraps=True))
    tables = (_months(manifest), *((Table("Not as written", columns, rows, key="faults"),) if rows else ()))
    return Report(
        "Archive verified" if not rows else "The archive is damaged",
        figures=(
            Figure("files", "Files", len(manifest.parts), "count"),
            Figure("whole", "Ledgers held whole", _whole(manifest), "count", f"of {len(manifest.ledgers):,}"),
        ),
        tables=tables,
        notes=tuple(_checked_notes(check, location)),
        data={
            "location": location,
            "sound": not check.faults,
            **derive(check, "faults", "surplus"),
            **_data(manifest),
        },
    )


def _checked_notes(check: ArchiveCheck, location: str) -> Iterator[Note]:
    if check.faults:
        files = len({fault.name for fault in check.faults})
        yield Note(
            f"{plural(files, 'file is', 'files are')} not as written: put {'it' if files == 1 else 'them'} "
            f"back from a copy of {location}.",
            "critical",
            places=(location,),
        )
    else:
        yield Note("Every file has the bytes, the entries and the cost that the manifest says.", "good")
    if check.surplus:
        yield Note(
            f"{plural(len(check.surplus), 'file is', 'files are')} not in the manifest and do not count: "
            f"{check.surplus[0]}{' and others' if len(check.surplus) > 1 else ''}. A run that was cut off "
            "left them, or another host is archiving now; the next run of that storage takes them away.",
            "warning",
        )


def _whole(manifest: Manifest) -> int:
    return sum(held.is_whole for held in manifest.ledgers)


def _months(manifest: Manifest) -> Table:
    parts: dict[str, list[ParquetPart]] = {}
    for part in manifest.parts:
        parts.setdefault(part.month, []).append(part)
    rows = tuple(
        _month(month, sums, parts[month]) for month, sums in sorted(manifest.sums_by_month().items())
    )
    return Table("In the archive", _MONTHS, rows, empty="no month yet", key="months")


def _month(month: str, sums: RowSums, parts: Sequence[ParquetPart]) -> Row:
    size = sum(part.size for part in parts)
    name = Ref(month, "month")
    return name, sums.rows, sums.calls, sums.unpriced_calls, sums.partial_calls, sums.cost, len(parts), size


def _data(manifest: Manifest) -> dict[str, object]:
    return {
        "ledgers": len(manifest.ledgers),
        "ledgers_whole": _whole(manifest),
        "months": [
            {
                "month": month,
                **derive(sums, "entries=rows", "calls", "unpriced_calls", "partial_calls", "cost"),
            }
            for month, sums in manifest.sums_by_month().items()
        ],
    }
