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

from ..storage import CostStorage
from . import tables
from .intake import GONE, Kept, new_row
from .tables import SUM_COLUMNS, Fold

if TYPE_CHECKING:
    from .catchup import Known

_OLD_SUMS: Final = (
    "calls",
    "unpriced_calls",
    "estimated_calls",
    "retried_calls",
    "tokens_input",
    "tokens_output",
    "tokens_cached",
    "tokens_reasoning",
    "audio_microseconds",
    "cost",
    "cost_output",
    "retried_cost",
)
_OLD_DIMS: Final = (
    "user_id",
    "stage",
    "service",
    "model",
    "operation",
    "workflow",
    "project",
    "tags",
    "service_tier",
)


def bring_over(storage: CostStorage, db: sqlite3.Connection, known: Known, kept: Kept) -> None:
    """Note the ledgers that ``state.db`` lists, and put the sums of those that are gone into new sums.

    Raises:
        OSError: what was found cannot be noted.

    """
    if known.is_begun:
        return
    for number, path in _rows(storage.root / "index.db", "SELECT id, path FROM ledgers ORDER BY id"):
        if not os.path.lexists(path):
            _keep(storage.root / "index.db", number, os.fsencode(path), db, kept)
    paths = [
        os.fsencode(path)
        for (path,) in _rows(storage.root / "state.db", "SELECT path FROM ledgers ORDER BY id")
    ]
    if storage.unassigned_ledger.exists():
        paths.append(os.fsencode(storage.unassigned_ledger))
    known.add(dict.fromkeys(paths))


def _keep(index: Path, number: int, path: bytes, db: sqlite3.Connection, kept: Kept) -> None:
    """Put what the index has of one ledger into the sums, as of one that is gone."""
    fold = Fold()
    names = ", ".join([*(f"d.{name}" for name in _OLD_DIMS), *(f"s.{name}" for name in _OLD_SUMS)])
    query = f"SELECT s.bucket, {names} FROM %s s JOIN dims d ON d.id = s.dim WHERE s.ledger = ?"
    for table in ("sums", "staged"):
        for bucket, *values in _rows(index, query % table, number):
            dim = tuple(map(str, values[: len(_OLD_DIMS)]))
            sums = dict(zip(_OLD_SUMS, values[len(_OLD_DIMS) :], strict=True))
            _add(fold, bucket, dim, sums)
    if not fold.cells:
        return
    # The same each time, should bringing over be interrupted: what is kept twice counts once.
    row = new_row(db, path)._replace(uid=crc32(b"%d %b" % (number, path)), gone=GONE, is_read=1, offset=1)
    tables.put_ledger(db, row)
    tables.put_fold(db, row.id, fold)
    seen = _rows(index, "SELECT key, more, offset FROM seen WHERE ledger = ?", number)
    tables.put_seen(db, [(key, more, row.id, offset) for key, more, offset in seen])
    kept.add(db, [row])


def _add(fold: Fold, bucket: int, dim: tuple[str, ...], sums: dict[str, int]) -> None:
    """Split what an earlier version kept in one row: first calls, and those of later attempts."""
    again = {"calls": sums["retried_calls"], "cost": sums["retried_cost"]}
    first = {name: sums.get(name, 0) - again.get(name, 0) for name in SUM_COLUMNS}
    for repeated, part in (("", first), ("1", again)):
        if any(part.values()):
            values = fold.cells.setdefault((bucket, (*dim, repeated)), [0] * len(SUM_COLUMNS))
            values[:] = [value + part.get(name, 0) for value, name in zip(values, SUM_COLUMNS, strict=True)]


def _rows(file: Path, query: str, *values: object) -> Sequence[tuple[Any, ...]]:
    """Return what an earlier file says; nothing where it is not there or cannot be read."""
    if not file.exists():
        return []
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(f"file:{quote(os.fspath(file))}?mode=ro", uri=True)) as old,
    ):
        return old.execute(query, values).fetchall()
    return []
