"""Brings over what an earlier version's storage knew: its ledgers, and the sums of those that are gone.

Everything else is read anew from the ledgers. The earlier files stay as they are.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from zlib import crc32

from .. import platform
from ..ledger.counted import DIM_COLUMNS
from ..storage import CostStorage
from .database import DatabaseBusy, code_of
from .gone import GONE, fingerprint, job_of, next_number, put_back, uid
from .queries import REPEATED
from .tables import SUM_COLUMNS, Adder, LedgerRow

if TYPE_CHECKING:
    from .catchup import NotedLedgers

_OLD_SUMS: Final = (*(name for name in SUM_COLUMNS if name != "partial_calls"), *REPEATED)
_OLD_DIMS: Final = DIM_COLUMNS[:-1]


def bring_over(storage: CostStorage, db: sqlite3.Connection, known: NotedLedgers) -> None:
    """Note the ledgers that ``state.db`` lists, and put the sums of those that are gone into new sums.

    What was brought over before, and counts, is left as it is.

    Raises:
        OSError: what was found cannot be noted.
        DatabaseBusy: an earlier version's process has one of its files.

    """
    index, paths = storage.index_path, dict[bytes, None]()
    for number, path, *read in _rows(index, "SELECT id, path, offset, head_length, head, tail FROM ledgers"):
        if not _is_there(os.fsencode(path), *read):
            _keep(index, number, os.fsencode(path), db)
    for file in (storage.state_path, index):
        paths |= {os.fsencode(path): None for (path,) in _rows(file, "SELECT path FROM ledgers")}
    if storage.unassigned_ledger.exists():
        paths[os.fsencode(storage.unassigned_ledger)] = None
    before = known.all()
    known.add(path for path in paths if path not in before)


def _is_there(path: bytes, offset: int, head_length: int, head: int, tail: int) -> bool:
    """Tell whether a ledger still begins with what the index has of it."""
    with suppress(OSError), platform.open_file(Path(os.fsdecode(path))) as file:
        first = crc32(os.pread(file.fileno(), head_length, 0))
        return os.fstat(file.fileno()).st_size >= offset and (first, fingerprint(file, offset)[1]) == (
            head,
            tail,
        )
    return False


def _keep(index: Path, number: int, path: bytes, db: sqlite3.Connection) -> None:
    """Put what the index has of one ledger into the sums, as of one that is gone."""
    fold = Adder()
    names = ", ".join([*(f"d.{name}" for name in _OLD_DIMS), *(f"s.{name}" for name in _OLD_SUMS)])
    query = f"SELECT s.bucket, {names} FROM %s s JOIN dims d ON d.id = s.dim WHERE s.ledger = ?"
    for table in ("sums", "staged"):
        for bucket, *values in _rows(index, query % table, number):
            dim = tuple(map(str, values[: len(_OLD_DIMS)]))
            sums = dict(zip(_OLD_SUMS, values[len(_OLD_DIMS) :], strict=True))
            _add(fold, bucket, dim, sums)
    ids = _rows(index, "SELECT key, more, offset FROM seen WHERE ledger = ?", number)
    row = LedgerRow(next_number(db), path, job_of(path), uid(), gone=GONE, is_read=1, offset=1)
    put_back(db, row, fold, [(key, more, offset) for key, more, offset in ids])


def _add(fold: Adder, bucket: int, dim: tuple[str, ...], sums: dict[str, int]) -> None:
    """Split what an earlier version kept in one row: first calls, and those of later attempts."""
    again = {"calls": sums["retried_calls"], "cost": sums["retried_cost"]}
    first = {name: sums.get(name, 0) - again.get(name, 0) for name in SUM_COLUMNS}
    for repeated, part in (("", first), ("1", again)):
        if any(part.values()):
            values = fold.cells.setdefault((bucket, (*dim, repeated)), [0] * len(SUM_COLUMNS))
            values[:] = [value + part.get(name, 0) for value, name in zip(values, SUM_COLUMNS, strict=True)]


def _rows(file: Path, query: str, *values: object) -> Sequence[tuple[Any, ...]]:
    """Return what an earlier file says; nothing where it is not there, or is none of an earlier version."""
    if not file.exists():
        return []
    try:
        with closing(sqlite3.connect(f"file:{quote(os.fspath(file))}?mode=ro", uri=True)) as old:
            return old.execute(query, values).fetchall()
    except sqlite3.Error as fault:
        if code_of(fault) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise DatabaseBusy(f"{file}: an earlier version's process holds it; try again") from fault
        return []
