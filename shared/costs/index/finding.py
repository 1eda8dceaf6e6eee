"""Finds ledgers on the disk, when the list of them was lost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..storage import LEDGER_NAME, CostStorage


def ledgers_under(root: Path, storage: CostStorage) -> Iterator[Path]:
    """Return every ledger under a directory, and the one of calls that belong to no job, in a fixed order.

    Symbolic links are not followed, so that no ledger is found twice; directories that cannot be
    read are passed over.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "out" / "job-1").mkdir(parents=True)
    >>> (folder / "out" / "job-1" / LEDGER_NAME).touch()
    >>> [path.parent.name for path in ledgers_under(folder, CostStorage(folder / "costs"))]
    ['job-1']
    """
    if storage.unassigned_ledger.is_file():
        yield storage.unassigned_ledger
    for folder, inner, files in os.walk(os.path.realpath(root)):
        inner.sort()
        path = Path(folder, LEDGER_NAME)
        if LEDGER_NAME in files and not path.is_symlink() and path != storage.unassigned_ledger:
            yield path
