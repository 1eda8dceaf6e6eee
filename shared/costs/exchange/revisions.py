"""Rows that are imported again as other entries, because options now give another date, zone or model.

The earlier entry is reversed in the period where it counted, and the row is recorded under the next of its
ids. So all entries of a row except the last are reversed, even if an earlier import was interrupted between
the two lines.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

from ..corrections import Corrected
from ..model import Entry
from ..tracking.corrections import reversal

WHY: Final = "the file was imported again and is read otherwise"

FREE: Final = "free"
"""Besides fields of entries, what can be settled: that a stated cost of zero beside usage is true."""


class RecordedCall(NamedTuple):
    """A recorded call with its corrections, and its ledger."""

    ledger: Path
    corrected: Corrected


def recorded_anew(
    entry: Entry,
    ledger: Path,
    recorded_call: Callable[[str], RecordedCall | None],
    settled: Collection[str],
    now: datetime,
) -> Iterator[tuple[Path, Entry]]:
    """Yield the lines, each with its ledger, that replace the recorded entry of a known row by ``entry``.

    Yields nothing if the fields in ``settled`` (names of fields, and :data:`FREE`) are the same, if the
    ledger cannot be read, or if the entry was reversed for another reason.
    """
    earlier: list[RecordedCall] = []
    while (call := recorded_call(_later_id(entry.id, len(earlier)))) is not None:
        earlier.append(call)
    last = earlier[-1].corrected if earlier else None
    if last is None or (last.reversal is not None and last.reversal.why != WHY):
        return
    is_other = last.reversal is not None or _is_other(last.call, entry, settled)
    for call_ledger, corrected in earlier if is_other else earlier[:-1]:
        if corrected.reversal is None:
            yield call_ledger, reversal(corrected, WHY, now)
    if is_other:
        yield ledger, replace(entry, id=_later_id(entry.id, len(earlier)))


def _is_other(recorded: Entry, entry: Entry, settled: Collection[str]) -> bool:
    if any(getattr(recorded, name) != getattr(entry, name) for name in settled if name != FREE):
        return True
    charge = entry.charge
    is_free = charge is not None and charge.priced_by.source == "stated" and not charge.total
    return FREE in settled and is_free and recorded.charge != charge


def _later_id(first: str, number: int) -> str:
    """Return the id of a row's entry after it was recorded anew ``number`` times."""
    if not number:
        return first
    return blake2b(f"{first}/{number}".encode(), digest_size=14, person=b"cost-import").hexdigest()
