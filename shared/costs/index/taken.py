"""How far a ledger was taken in, and whether its file is still the one it was."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from typing import Final

from .ledgerfile import LedgerFile
from .registry import Registered
from .staging import all_staged, last_tail
from .store import LedgerRow, ledger_row

NEVER: Final = 1 << 40
"""``first_bucket`` of a ledger without entries: later than any."""


def new_row(ledger: Registered) -> LedgerRow:
    """Return the row of a ledger of which nothing was taken in yet."""
    return LedgerRow(ledger.id, str(ledger.path), ledger.job_id, 0, 0, 0, 0, 0, 0, NEVER, -NEVER)


def is_taken_in(db: sqlite3.Connection, ledger: int, file: LedgerFile) -> bool:
    """Tell whether all of a file is in the sums or staged, and it still ends as it did then."""
    row, end = ledger_row(db, ledger), all_staged(db, ledger).end
    if row is None or end != file.size or (row.device, row.inode) != (file.device, file.inode):
        return False
    return recognised(row, file) and last_tail(db, ledger) in (None, file.fingerprint(end).tail)


def recognised(row: LedgerRow, file: LedgerFile) -> bool:
    """Tell whether the file still begins with what was taken in."""
    if file.size < row.offset:
        return False
    found = file.fingerprint(row.offset, row.head_length)
    return (found.head, found.tail) == (row.head, row.tail)


def advanced(row: LedgerRow, file: LedgerFile, end: int, buckets: Collection[int]) -> LedgerRow:
    """Return the row of a ledger after everything up to ``end`` was taken in, with sums of these buckets."""
    print_ = file.fingerprint(end)
    return grown(row, buckets)._replace(
        device=file.device,
        inode=file.inode,
        offset=end,
        head_length=print_.length,
        head=print_.head,
        tail=print_.tail,
    )


def grown(row: LedgerRow, buckets: Collection[int]) -> LedgerRow:
    """Return the row of a ledger to which sums of these buckets were added."""
    return row._replace(
        first_bucket=min([row.first_bucket, *buckets]),
        last_bucket=max([row.last_bucket, *buckets]),
    )
