"""Price calls again: corrections are new entries, and nothing here edits one. Entries in, entries out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from ..model import NO_UNITS, Charge, Entry, PricedBy, Units, Unpriced
from .catalogue import Catalogue
from .history import STATED, parts_of, summed

Identify = Callable[[str, str, str], str]
"""Makes an entry's id from job, service and request; the same ones give the same id."""


def adjustment(
    entry: Entry,
    corrections: Iterable[Entry],
    catalogue: Catalogue,
    now: datetime,
    identify: Identify,
    *,
    wrong_too: bool = False,
) -> Entry | None:
    """Return the entry that corrects a call's charge to the catalogue's price of the call's own date.

    ``None`` when there is nothing to correct: the call has a whole price (unless ``wrong_too`` asks
    for wrong ones as well), the provider stated its cost, it was undone, or what has no price has none
    yet. ``corrections`` are the entries that name this one. The same call and prices always give the
    same id, so that a run that is repeated adds nothing.
    """
    made = list(corrections)
    if entry.kind != "usage" or any(correction.kind == "reversal" for correction in made):
        return None
    unpriced = entry.charge is None and not any(correction.resolves_unpriced for correction in made)
    missing = _missing(entry, made)
    before = _latest(entry, made)
    if not unpriced and not missing and (not wrong_too or before is None or before.source == STATED):
        return None
    found = catalogue.charge(
        entry.service, entry.model, entry.usage, entry.timestamp, entry.service_tier, entry.region
    )
    if isinstance(found, Unpriced):
        return None
    completed = bool(missing) and not unpriced and dict(found.missing) != dict(missing)
    if missing and not unpriced and not completed and not wrong_too:
        return None
    current = parts_of(entry)
    for correction in made:
        current = summed(current, parts_of(correction), 1)
    change = summed(found.parts, current, -1)
    if not change and not unpriced and not completed:
        return None
    by = found.priced_by
    was = "it had no price" if before is None else f"it was priced by {before.source} {before.version}"
    return Entry(
        id=identify(entry.job_id, "reprice", f"{entry.id} {by.source} {by.version} {by.model} {len(made)}"),
        kind="adjustment",
        timestamp=now,
        job_id=entry.job_id,
        user_id=entry.user_id,
        service=entry.service,
        model=entry.model,
        charge=Charge(change, by),
        stage=entry.stage,
        attempt=entry.attempt,
        operation=entry.operation,
        workflow=entry.workflow,
        project=entry.project,
        tags=entry.tags,
        service_tier=entry.service_tier,
        period_at=entry.counted_at,
        reservation=entry.reservation,
        corrects=entry.id,
        why=f"priced by {by.source} {by.version}; {was}",
        unpriced_units=found.missing if unpriced or completed else NO_UNITS,
        resolves_unpriced=unpriced,
        resolves_partial=completed,
    )


def _missing(entry: Entry, corrections: Sequence[Entry]) -> Units:
    """Return the units of a call that have no price, after its corrections."""
    missing = entry.unpriced_units if entry.charge is not None else NO_UNITS
    for correction in corrections:
        if correction.resolves_partial or correction.resolves_unpriced:
            missing = correction.unpriced_units
    return missing


def _latest(entry: Entry, corrections: Sequence[Entry]) -> PricedBy | None:
    charges = [e.charge for e in (entry, *corrections) if e.charge is not None]
    return charges[-1].priced_by if charges else None
