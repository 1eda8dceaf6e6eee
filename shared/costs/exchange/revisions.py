"""Rows that are imported again and are other entries now, since a date, a zone or a model is said otherwise.

What was recorded of such a row is taken back, in the period where it counted, and the row is recorded under
the next of its ids. Its entries are thus all taken back but for the last one, also where an import before was
interrupted between the two lines.
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
"""What is settled, beside fields of entries: that a stated cost of zero beside usage is one."""


class RecordedCall(NamedTuple):
    """A call that was recorded, with its corrections, and the ledger in which it is."""

    ledger: Path
    corrected: Corrected


def recorded_anew(
    entry: Entry,
    ledger: Path,
    account: Callable[[str], RecordedCall | None],
    settled: Collection[str],
    now: datetime,
) -> Iterator[tuple[Path, Entry]]:
    """Yield the lines, each with its ledger, that make a row that is known the entry that it is now.

    Nothing, where it is that already as far as ``settled`` goes (names of fields, and :data:`FREE`), where
    its ledger cannot be read, or where somebody else took it back.
    """
    accounts: list[RecordedCall] = []
    while (found := account(_later_id(entry.id, len(accounts)))) is not None:
        accounts.append(found)
    last = accounts[-1].corrected if accounts else None
    if last is None or (last.reversal is not None and last.reversal.why != WHY):
        return
    is_other = last.reversal is not None or _is_other(last.call, entry, settled)
    for place, before in accounts if is_other else accounts[:-1]:
        if before.reversal is None:
            yield place, reversal(before, WHY, now)
    if is_other:
        yield ledger, replace(entry, id=_later_id(entry.id, len(accounts)))


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
