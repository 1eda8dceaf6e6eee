"""Undoing a recorded call: a line that reverses it is appended, nothing is edited."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from ..corrections import CorrectedCall
from ..errors import UnknownEntry
from ..ledger.counted import id_for_request
from ..model import Entry
from ..store.store import Store


def corrected_entry(entry_id: str, index: Store, ledger: Path) -> CorrectedCall:
    """Return a call of ``ledger`` with all its corrections.

    Raises:
        UnknownEntry: the ledger does not have this call.

    """
    try:
        entries = index.entries_in(ledger)
    except (FileNotFoundError, NotADirectoryError):
        raise UnknownEntry(
            f"the ledger of entry {entry_id!r} is not at {ledger} any more: what it counted stays counted; "
            f"put the ledger back to take the call back"
        ) from None
    original = next((entry for entry in entries if entry.id == entry_id), None)
    if original is None or original.kind != "usage":
        raise UnknownEntry(f"no call has the id {entry_id!r} in {ledger}; show-job --json lists ids")
    return CorrectedCall.of(original, (entry for entry in entries if entry.corrects == entry_id))


def reversal(corrected: CorrectedCall, why: str, at: datetime) -> Entry:
    """Return the entry that reverses a call, in the period where the call counted.

    Its id is derived from the call's, so that a second reversal counts nothing.
    """
    call = corrected.call
    return corrected.undo(id_for_request(call.job_id, "reversal", call.id), why, at)
