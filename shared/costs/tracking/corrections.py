"""Undoing a recorded call: a line that takes it back is appended, nothing is edited."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from ..corrections import CorrectedCall
from ..errors import UnknownEntry
from ..ledger.counted import id_for_request
from ..model import Entry
from ..store.store import Store


def corrected_entry(entry_id: str, index: Store, ledger: Path) -> CorrectedCall:
    """Return what an entry of ``ledger`` counts for after every correction.

    Raises:
        UnknownEntry: the ledger has no such call.

    """
    try:
        found = index.entries_in(ledger)
    except (FileNotFoundError, NotADirectoryError):
        raise UnknownEntry(
            f"the ledger of entry {entry_id!r} is not at {ledger} any more: what it counted stays counted; "
            f"put the ledger back to take the call back"
        ) from None
    original = next((e for e in found if e.id == entry_id), None)
    if original is None or original.kind != "usage":
        raise UnknownEntry(f"no call has the id {entry_id!r} in {ledger}; show-job --json lists ids")
    return CorrectedCall.of(original, (e for e in found if e.corrects == entry_id))


def reversal(corrected: CorrectedCall, why: str, at: datetime) -> Entry:
    """Return the entry that takes a call back, in the period where the call counted.

    Its id follows from the call's, so that taking back twice counts once.
    """
    call = corrected.call
    return corrected.undo(id_for_request(call.job_id, "reversal", call.id), why, at)
