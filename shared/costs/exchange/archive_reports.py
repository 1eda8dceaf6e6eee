"""What ``cost-dashboard archive`` shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ..archive.manifest import Manifest, Part, Sums
from ..money import to_usd
from ..reports.common import plural
from ..reports.document import Column, Figure, Note, Ref, Report, Row, Table
from .archive_check import ArchiveCheck
from .archiving import Archived
from .packing import PackingResult

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
    archived: Archived, location: str, before: str, packed: PackingResult | None = None
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
            **({"packed": _packing_data(packed)} if packed else {}),
            **_data(manifest),
        },
    )


def unpacked_report(result: PackingResult) -> Report:
    """Return which ledgers are back where they were."""
    return Report(
        "Unpacked",
        figures=(_packing("unpacked", "Ledgers put back", result),),
        notes=tuple(_stayed(result)),
        data={"unpacked": _packing_data(result)},
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


def _packing_data(result: PackingResult) -> dict[str, object]:
    return {
        "ledgers": [str(path) for path in result.ledgers],
        "bytes": result.size,
        "stayed": [{"ledger": str(each.ledger), "why": each.why} for each in result.stayed],
    }


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
            "faults": [fault._asdict() for fault in check.faults],
            "surplus": list(check.surplus),
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
    parts: dict[str, list[Part]] = {}
    for part in manifest.parts:
        parts.setdefault(part.month, []).append(part)
    rows = tuple(
        _month(month, sums, parts[month]) for month, sums in sorted(manifest.sums_by_month().items())
    )
    return Table("In the archive", _MONTHS, rows, empty="no month yet", key="months")


def _month(month: str, sums: Sums, parts: Sequence[Part]) -> Row:
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
                "entries": sums.rows,
                "calls": sums.calls,
                "unpriced_calls": sums.unpriced_calls,
                "partial_calls": sums.partial_calls,
                "cost_usd": to_usd(sums.cost),
            }
            for month, sums in manifest.sums_by_month().items()
        ],
    }
