"""The ledgers of a cost storage as an import uses them: looks up what is recorded, and writes entries.

Rows can be imported again as other entries, because options now give another date, zone or model. The earlier
entry is then reversed in the period where it counted, and the row is recorded under the next of its ids. So
all entries of a row except the last are reversed, even if an earlier import was interrupted between the two
lines.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

from filelock import FileLock, Timeout

from ..corrections import CorrectedCall
from ..errors import CostError
from ..ledger.line import decode, encode
from ..ledger.lines import DamagedLine
from ..ledger.writer import append
from ..model import Entry
from ..rollup import Query
from ..storage import CostStorage
from ..store.store import Store
from ..tracking.corrections import reversal
from .recorded_calls import StatedCall, recorded_elsewhere

WHY: Final = "the file was imported again and is read otherwise"

FREE: Final = "free"
"""Besides fields of entries, what can be settled: that a stated cost of zero beside usage is true."""


class RecordedCall(NamedTuple):
    """A recorded call with its corrections, and its ledger."""

    ledger: Path
    corrected: CorrectedCall


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
    """Return the id of a row's entry after it was recorded again ``number`` times."""
    if not number:
        return first
    return blake2b(f"{first}/{number}".encode(), digest_size=14, person=b"cost-import").hexdigest()


BATCH: Final = 2_000
"""How many entries are collected in memory before they are written, so that each ledger is synced once."""

LOCK_TIMEOUT_S: Final = 10.0

LOCK_WAIT_S: Final = 60.0
"""How long an import or a correction by a bill waits for another one, in seconds."""


class NotWritten(CostError):
    """A ledger cannot be written to. What was written before stays; running it again adds the rest."""


def import_lock(storage: CostStorage) -> AbstractContextManager[object]:
    """Acquire the lock that keeps others from importing the same calls or correcting them by a bill.

    Raises:
        NotWritten: another import or correction did not release it in time.

    """
    try:
        return FileLock(storage.root / "imports.lock", mode=0o600).acquire(timeout=LOCK_WAIT_S)
    except Timeout:
        raise NotWritten(
            f"{storage.root}: another import, reprice or reconcile --adjust has been at work for "
            f"{LOCK_WAIT_S:g} s; try again when it is done"
        ) from None


class BatchWriter:
    """Writes entries into ledgers in batches; each batch of a ledger is written as a whole and synced."""

    def __init__(self, index: Store) -> None:
        self._index = index
        self._waiting: dict[Path, list[bytes]] = {}
        self._ids: set[str] = set()
        self._corrections: dict[Path, dict[str, list[Entry]]] = {}

    def knows(self, entry_id: str) -> bool:
        """Tell whether an entry with this id counts already, or waits to be written."""
        return entry_id in self._ids or self._index.find(entry_id) is not None

    def known(self, entry_ids: Sequence[str]) -> Container[str]:
        """Return the ids whose entries count already, without those that wait to be written."""
        return self._index.find_many(entry_ids)

    def import_lock(self) -> AbstractContextManager[object]:
        """Acquire the lock that keeps other imports from recording the same calls (:func:`import_lock`)."""
        self._corrections.clear()  # others may have written some before
        return import_lock(self._index.storage)

    def ids_recorded_elsewhere(self, calls: Iterable[StatedCall], source: str) -> set[str]:
        """Return the response ids among these whose calls were recorded, but not by ``source``."""
        return recorded_elsewhere(self._index, calls, source)

    def recorded_call(self, entry_id: str) -> RecordedCall | None:
        """Return the recorded call; ``None`` if there is none, or its ledger cannot be read."""
        location = self._index.find(entry_id)
        with suppress(OSError, DamagedLine):
            if location is not None and (entry := self._index.entry(entry_id)) is not None:
                corrections = self._corrections.get(location.ledger)
                if corrections is None:
                    corrections = self._corrections[location.ledger] = self._corrections_in(location.ledger)
                return RecordedCall(location.ledger, CorrectedCall.of(entry, corrections.get(entry_id, ())))
        return None

    def _corrections_in(self, ledger: Path) -> dict[str, list[Entry]]:
        """Return all corrections in a ledger by the id that they correct."""
        corrections: dict[str, list[Entry]] = {}
        for line in self._index.lines(Query(ledger=ledger), text=b'"corrects":'):
            with suppress(DamagedLine):
                entry = decode(line)
                if entry.corrects:
                    corrections.setdefault(entry.corrects, []).append(entry)
        return corrections

    def write(self, ledger: Path, entry: Entry) -> None:
        """Queue an entry; it is on disk after the next :meth:`flush` at the latest.

        Raises:
            NotWritten: a batch was full, and its ledger cannot be written to.

        """
        self._waiting.setdefault(ledger, []).append(encode(entry))
        self._ids.add(entry.id)
        if len(self._ids) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Write everything that waits.

        Raises:
            NotWritten: a ledger cannot be written to.

        """
        for ledger, lines in self._waiting.items():
            self._index.note(ledger)
            try:
                append(ledger, b"".join(lines), LOCK_TIMEOUT_S)
            except OSError as fault:
                raise NotWritten(f"{ledger}: cannot be written to: {fault.strerror or fault}") from fault
            self._index.catch_up(ledger)
        self._waiting.clear()
        self._ids.clear()
