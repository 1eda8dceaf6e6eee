"""``log``: what became of one call that was recorded by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..model import Entry
from ..money import Nanos, to_usd
from .document import Figure, Note, Report


def logged_report(entry: Entry, *, new: bool, alerts: Sequence[str] = ()) -> Report:
    """Return what was recorded, what priced it, and any budget alert it set off."""
    cost = entry.charge.total if entry.charge else None
    return Report(
        title=f"Recorded {entry.service}/{entry.model}" if new else "Recorded before: nothing was added",
        figures=tuple(_figures(entry, cost)),
        notes=tuple(_notes(entry, alerts)),
        data={
            "id": entry.id,
            "new": new,
            "job_id": entry.job_id,
            "user_id": entry.user_id,
            "service": entry.service,
            "model": entry.model,
            "cost_usd": None if cost is None else to_usd(cost),
            "priced_by": entry.charge.priced_by.source if entry.charge else None,
            "alerts": list(alerts),
        },
    )


def _figures(entry: Entry, cost: Nanos | None) -> Iterator[Figure]:
    priced_by = entry.charge.priced_by if entry.charge else None
    note = f"{priced_by.model}, from {priced_by.source} {priced_by.version}" if priced_by else ""
    yield Figure("cost", "Cost", cost, note=note, tone="plain" if priced_by else "warning")
    yield Figure("job", "Job", entry.job_id, "text")
    yield Figure("user", "User", entry.user_id, "text")


def _notes(entry: Entry, alerts: Sequence[str]) -> Iterator[Note]:
    if entry.charge is None:
        model = f"{entry.service}/{entry.model}"
        yield Note(f"No price is known for {model}: the call counts as unpriced, not as free.", "warning")
    for alert in alerts:
        yield Note(alert, "critical" if "CRITICAL" in alert else "warning")
