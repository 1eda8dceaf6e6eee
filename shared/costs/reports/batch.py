"""``batch``: what was held for a batch that was submitted, and what collecting its results recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..money import to_usd
from .common import plural, priced_in_part
from .document import Figure, Note, Report

if TYPE_CHECKING:
    from ..tracking.batches import Collected, Submitted


def submitted_report(submitted: Submitted) -> Report:
    """Return what is held until the results of a batch are collected."""
    batch = submitted.batch
    notes = (
        [Note(f"What it can cost is not known: {submitted.unpriced}.", "warning")]
        if submitted.unpriced
        else []
    )
    return Report(
        title="Batch submitted",
        figures=(
            Figure("requests", "Requests", batch.total, "count"),
            Figure("estimate", "Held at most", submitted.estimate, "money"),
            Figure("reservation", "Reservation", batch.reservation or "none", "text"),
        ),
        notes=tuple(notes),
        data={
            "batch": batch.id,
            "reservation": batch.reservation,
            "requests": batch.total,
            "estimate_usd": None if submitted.estimate is None else to_usd(submitted.estimate),
        },
    )


def collected_report(collected: Collected) -> Report:
    """Return what results were recorded, and what is still waited for."""
    notes: list[Note] = []
    if collected.known:
        were = plural(collected.known, "result was", "results were")
        notes.append(Note(f"{were} recorded before."))
    if collected.unpriced:
        calls = plural(collected.unpriced, "call has no price and is", "calls have no price and are")
        notes.append(Note(f"{calls} not in the cost.", "warning"))
    if collected.partial:
        notes.append(priced_in_part(collected.partial))
    return Report(
        title="Batch results collected",
        figures=(
            Figure("cost", "Cost", collected.cost, "money"),
            Figure("recorded", "Recorded", collected.recorded, "count"),
            Figure("unbilled", "Failed, expired or cancelled", collected.unbilled, "count"),
            Figure("waiting", "Still waited for", collected.waiting, "count"),
        ),
        notes=tuple(notes),
        data={
            "cost_usd": to_usd(collected.cost),
            "recorded": collected.recorded,
            "recorded_before": collected.known,
            "unbilled": collected.unbilled,
            "unpriced_calls": collected.unpriced,
            "partial_calls": collected.partial,
            "waiting": collected.waiting,
            "released": collected.released,
        },
    )
