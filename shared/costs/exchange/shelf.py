"""The ledgers of a cost storage as an import uses them: looks up what is recorded, and writes entries."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from ..corrections import Corrected
from ..errors import CostError
from ..ledger.line import decode, encode
from ..ledger.lines import DamagedLine
from ..ledger.writer import append
from ..model import Entry
from ..rollup import Query
from ..storage import CostStorage
from ..store.store import Store
from .elsewhere import StatedCall, recorded_elsewhere
from .revisions import RecordedCall

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
                return RecordedCall(location.ledger, Corrected.of(entry, corrections.get(entry_id, ())))
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
