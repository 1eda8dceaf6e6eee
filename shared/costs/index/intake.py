"""Takes a ledger into the index, from where it was left to its last complete line.

One transaction leads from one offset to the next, so the index is at any moment the exact sum of a
beginning of each ledger. A ledger whose bytes before the offset changed (truncated, restored, put in
another's place) is taken out and taken in anew.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .backend import Backend
from .duplicates import Problem, dependants, later_owners, put_problems, unseen
from .fold import Fold
from .keys import key_of
from .ledgerfile import LedgerFile, Line, opened
from .registry import Registered
from .staging import (
    StagedRow,
    drop,
    drop_all,
    reserved,
    staged_rows,
    summed,
    without_gap,
)
from .store import (
    LedgerRow,
    NumberedSums,
    SeenRow,
    find_seen,
    ledger_row,
    put_ledger,
    put_reserved,
    put_seen,
    put_sums,
    remove_ledger,
)
from .taken import advanced, grown, is_taken_in, new_row, recognised

if TYPE_CHECKING:
    from ..model import Entry

BATCH_LINES: Final = 1000
"""How many lines one transaction takes in: bounds how long other writers wait, and the memory."""

FAST_BYTES: Final = 4 << 20
"""From how many bytes on a whole ledger is taken in by :mod:`.scan`: faster, but its import takes 30 ms."""


@dataclass(slots=True)
class Batch:
    """Lines of one ledger, ready to be taken in."""

    end: int
    entries: list[tuple[Line, Entry]]
    problems: list[Problem]


class Intake:
    """Takes ledgers in, with transactions of one index."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.moved: list[int] = []
        """Ledgers that were found at another place, and are counted there now."""

    def catch_up(self, ledger: Registered, until: float | None = None) -> bool:
        """Take in what was appended since the last time; ``False`` when that takes longer than ``until``.

        ``until`` is an instant of ``time.monotonic``. What was taken in by then stays.

        Raises:
            OSError: the ledger cannot be read (``FileNotFoundError``: it was moved or archived).
            StorageUnavailable: the index cannot be used.

        """
        with opened(ledger.path) as file:
            while self._step(ledger, file):
                if until is not None and time.monotonic() > until:
                    return False
        return True

    def renew(self, ledger: Registered) -> None:
        """Take a ledger out and in again, whatever the index thinks of it.

        Raises:
            OSError: the ledger cannot be read; the index keeps what it had.
            StorageUnavailable: the index cannot be used.

        """
        with opened(ledger.path):
            pass  # it must be there before it is taken out
        with self._backend.transaction() as db:
            self.settle(db)
            self._renew(db, ledger, ledger_row(db, ledger.id) or new_row(ledger))

    def settle(self, db: sqlite3.Connection) -> None:
        """Add the rows of lines that were staged to the sums, as far as they have no gap before them."""
        for number, staged in staged_rows(db):
            row = ledger_row(db, number)
            rows = without_gap(staged, row.offset) if row else []
            if row and rows and not self._settled(db, row, rows):
                self._read_instead(db, row)

    def _settled(self, db: sqlite3.Connection, row: LedgerRow, rows: list[StagedRow]) -> bool:
        """Add rows of one ledger; ``False``, with nothing added, when an id was seen meanwhile."""
        if not put_seen(db, [one.seen for one in rows]):
            return False
        added = summed(rows)
        put_sums(db, row.id, added)
        put_reserved(db, row.id, reserved(rows))
        following = grown(row, [one.bucket for one in added])._replace(
            offset=rows[-1].end, tail=rows[-1].tail
        )
        put_ledger(db, following)
        drop(db, following)
        return True

    def _read_instead(self, db: sqlite3.Connection, row: LedgerRow) -> None:
        """Take lines in from their ledger in place of their rows; those stay where that cannot be."""
        with suppress(OSError), self._backend.undone_on_fault(db), opened(Path(row.path)) as file:
            drop_all(db, row.id)
            ledger = Registered(row.id, Path(row.path), row.job_id)
            if recognised(row, file):
                self._take_in_rest(db, ledger, row, file)
            else:
                self._renew(db, ledger, row)

    def _step(self, ledger: Registered, file: LedgerFile) -> bool:
        """Take one batch in; return whether there may be more to do."""
        with self._backend.snapshot() as db:
            if is_taken_in(db, ledger.id, file):
                return False
        with self._backend.transaction() as db:
            self.settle(db)
            row = ledger_row(db, ledger.id)
            if row is not None and not recognised(row, file):
                self._renew(db, ledger, row)
                return True
            batch = next_batch(ledger, file, row.offset if row else 0)
            if row is not None and batch.end == row.offset:
                drop_all(db, row.id)  # what is still staged was behind a gap, and was cut off with it
                put_ledger(db, row._replace(device=file.device, inode=file.inode))
                return False
            if row is None:
                self._take_over(db, ledger, file, batch)
            self._take_in(db, row or new_row(ledger), file, batch)
            return True

    def _take_over(self, db: sqlite3.Connection, ledger: Registered, file: LedgerFile, batch: Batch) -> None:
        """Take out what this ledger was at another place, if it was moved here."""
        if not batch.entries:
            return
        seen = find_seen(db, *key_of(batch.entries[0][1].id))
        before = ledger_row(db, seen.ledger) if seen and seen.ledger != ledger.id else None
        if before is not None and not os.path.lexists(before.path) and recognised(before, file):
            remove_ledger(db, before)
            db.execute("DELETE FROM waiting WHERE ledger = ?", (before.id,))
            self.moved.append(before.id)

    def _renew(self, db: sqlite3.Connection, ledger: Registered, row: LedgerRow) -> None:
        """Take a changed ledger out, and with it those that left entries to it as duplicates."""
        removed = [row, *(each for each in dependants(db, row) if Path(each.path).is_file())]
        for each in removed:
            remove_ledger(db, each)
        for each in sorted(removed):
            other = Registered(each.id, Path(each.path), each.job_id)
            self._take_in_all(db, ledger if each.id == ledger.id else other)

    def _take_in_all(self, db: sqlite3.Connection, ledger: Registered) -> None:
        with opened(ledger.path) as file:
            row = self._take_in_fast(db, ledger, file) if file.size >= FAST_BYTES else None
            put_ledger(db, self._take_in_rest(db, ledger, row or new_row(ledger), file))

    def _take_in_fast(self, db: sqlite3.Connection, ledger: Registered, file: LedgerFile) -> LedgerRow | None:
        """Take in a ledger of which nothing is there yet; ``None``, with nothing done, where an id was."""
        from .scan import scan_file

        found = scan_file(ledger, file)
        if not put_seen(db, found.seen.rows()):
            return None
        numbers = [self._backend.memory.dim(db, dim) for dim in found.dims]
        rows = [
            NumberedSums(bucket, numbers[dim], found.dims[dim][0], tuple(values))
            for bucket, _, dim, *values in found.sum_rows()
        ]
        put_sums(db, ledger.id, rows)
        put_reserved(db, ledger.id, {name: (calls, cost) for name, _, calls, cost in found.reserved})
        put_problems(db, found.problems)
        return found.ledgers[0]

    def _take_in_rest(
        self, db: sqlite3.Connection, ledger: Registered, row: LedgerRow, file: LedgerFile
    ) -> LedgerRow:
        while (batch := next_batch(ledger, file, row.offset)).end > row.offset:
            row = self._take_in(db, row, file, batch)
        return row

    def _take_in(self, db: sqlite3.Connection, row: LedgerRow, file: LedgerFile, batch: Batch) -> LedgerRow:
        ids = [SeenRow(*key_of(entry.id), row.id, line.offset) for line, entry in batch.entries]
        counted, doubled, later = [entry for _, entry in batch.entries], list[Problem](), list[LedgerRow]()
        if not put_seen(db, ids):
            later = later_owners(db, row, ids)
            for each in later:
                remove_ledger(db, each)
            counted, doubled = unseen(db, batch.entries, ids)
        fold = Fold()
        for entry in counted:
            fold.add(entry)
        added = self._numbered(db, fold)
        put_sums(db, row.id, added)
        put_reserved(db, row.id, fold.reserved)
        put_problems(db, [*batch.problems, *doubled])
        following = advanced(row, file, batch.end, [one.bucket for one in added])
        put_ledger(db, following)
        drop(db, following)
        for each in later:
            self._take_in_all(db, Registered(each.id, Path(each.path), each.job_id))
        return following

    def _numbered(self, db: sqlite3.Connection, fold: Fold) -> list[NumberedSums]:
        memory = self._backend.memory
        return [
            NumberedSums(bucket, memory.dim(db, dim), dim[0], values)
            for (bucket, dim), values in fold.sums.items()
        ]


def next_batch(ledger: Registered, file: LedgerFile, start: int) -> Batch:
    """Read and check the next lines of a ledger."""
    from ..ledger.line import DamagedLine, decode  # a warm view, which reads no line, does not pay for it

    batch = Batch(start, [], [])
    for line in islice(file.lines(start), BATCH_LINES):
        batch.end = line.offset + line.length
        try:
            batch.entries.append((line, decode(line.raw)))
        except DamagedLine as fault:
            batch.problems.append(Problem(ledger.id, line.offset, line.length, "damaged", str(fault)))
    return batch


def entries_of(file: LedgerFile, skipped: frozenset[int]) -> Iterator[Entry]:
    """Return the entries of a ledger that count; ``skipped`` are the offsets of those that do not."""
    from ..ledger.line import DamagedLine, decode

    for line in file.lines(0):
        if line.offset not in skipped:
            try:
                yield decode(line.raw)
            except DamagedLine:
                continue  # reported when the ledger was taken in
