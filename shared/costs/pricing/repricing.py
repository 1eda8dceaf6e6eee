"""Price calls again: corrections are new entries, and nothing here edits one. Entries in, entries out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Final

from ..corrections import Corrected
from ..model import NO_UNITS, UNSTATED, Charge, Entry, Units, Unpriced
from ..units import last_feature
from .catalogue import Catalogue
from .history import STATED, summed

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
    call = Corrected.of(entry, corrections)
    if entry.kind != "usage" or call.reversal is not None:
        return None
    before = call.priced_by
    is_whole = not call.unpriced and not call.missing
    if is_whole and (not wrong_too or before is None or before.source == STATED):
        return None
    found = priced_again(catalogue, entry, entry.unpriced_units if call.unpriced else call.missing)
    if isinstance(found, Unpriced):
        return None
    completed = bool(call.missing) and dict(found.missing) != dict(call.missing)
    if call.missing and not completed and not wrong_too:
        return None
    change = summed(found.parts, call.parts, -1)
    if not change and not call.unpriced and not completed:
        return None
    by = found.priced_by
    was = "it had no price" if before is None else f"it was priced by {before.source} {before.version}"
    return call.adjustment(
        identify(entry.job_id, "reprice", f"{entry.id} {by.source} {by.version} {by.model} {call.count}"),
        Charge(change, by, found.missing),
        f"priced by {by.source} {by.version}; {was}",
        now,
        whole=completed,
    )


def priced_again(catalogue: Catalogue, entry: Entry, missing: Units = NO_UNITS) -> Charge | Unpriced:
    """Return what a call costs at the catalogue's price of the call's own date.

    Of the units in ``missing``, those stay so that no price list can price: the call has no count of them.
    """
    at, tier, region = entry.timestamp, entry.service_tier, entry.region
    is_free = bool(missing) and catalogue.is_free(entry.service, entry.model, at)
    if entry.states_no_usage and not is_free:
        return Unpriced(f"{UNSTATED}: {_UNSTATED_REMEDY}")
    found = catalogue.charge(entry.service, entry.model, entry.usage, at, tier, region)
    if isinstance(found, Unpriced) or is_free:
        return found
    told = {*entry.usage.counts(), *_features(entry.model)} - {"requests"}
    beyond = {unit: count for unit, count in missing.items() if unit not in told}
    return found._replace(missing={**found.missing, **beyond})


_UNSTATED_REMEDY: Final = "its line says why (metadata.incomplete); log the counts where they are known"


def _features(model: str) -> Iterator[str]:
    while (parts := last_feature(model)) is not None:
        model, feature = parts
        yield feature
