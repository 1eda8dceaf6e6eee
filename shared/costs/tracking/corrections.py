"""Undoing a recorded call: a line that takes it back is appended, nothing is edited."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from ..errors import UnknownEntry
from ..ledger.ids import id_for_request
from ..ledger.reader import read
from ..model import Charge, Entry, PricedBy
from ..money import Nanos


@dataclass(frozen=True, slots=True)
class Corrected:
    """An entry with all its corrections so far: what it counts for now."""

    entry: Entry
    parts: dict[str, Nanos]
    unpriced: bool
    partial: bool
    reversal: Entry | None


def corrected_entry(entry_id: str, ledger: Path) -> Corrected:
    """Return what an entry of ``ledger`` counts for after every correction.

    Raises:
        UnknownEntry: the ledger has no such call.

    """
    try:
        found = [e for located in read(ledger) if isinstance(e := located.content, Entry)]
    except (FileNotFoundError, NotADirectoryError):
        raise UnknownEntry(
            f"the ledger of entry {entry_id!r} is not at {ledger} any more: what it counted stays counted; "
            f"put the ledger back to take the call back"
        ) from None
    original = next((e for e in found if e.id == entry_id), None)
    if original is None or original.kind != "usage":
        raise UnknownEntry(f"no call has the id {entry_id!r} in {ledger}; show-job --json lists ids")
    return _fold(original, (e for e in found if e.corrects == entry_id))


def _fold(original: Entry, corrections: Iterable[Entry]) -> Corrected:
    unique = list({c.id: c for c in corrections}.values())
    parts: Counter[str] = Counter()
    for entry in (original, *unique):
        parts.update(entry.charge.parts if entry.charge else {})
    return Corrected(
        entry=original,
        parts={part: Nanos(amount) for part, amount in parts.items() if amount},
        unpriced=original.charge is None and not any(c.resolves_unpriced for c in unique),
        partial=sum(entry.partial_delta for entry in (original, *unique)) > 0,
        reversal=next((c for c in unique if c.kind == "reversal"), None),
    )


def reversal(corrected: Corrected, why: str, at: datetime) -> Entry:
    """Return the entry that takes a call back, in the period where the call counted.

    Its id follows from the call's, so that taking back twice counts once.
    """
    original = corrected.entry
    return replace(
        original,
        id=id_for_request(original.job_id, "reversal", original.id),
        kind="reversal",
        timestamp=at,
        period_at=original.counted_at,
        charge=_negative(corrected),
        corrects=original.id,
        why=why,
        resolves_unpriced=corrected.unpriced,
        resolves_partial=corrected.partial,
        request_id=None,
        reservation=None,
        actual_cost=None,
        catalogue_cost=None,
        unpriced_units={},
        metadata={},
    )


def _negative(corrected: Corrected) -> Charge:
    original = corrected.entry
    priced_by = original.charge.priced_by if original.charge else PricedBy("reversal", "1", original.model)
    return Charge({part: Nanos(-amount) for part, amount in corrected.parts.items()}, priced_by)
