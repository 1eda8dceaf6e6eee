"""SQLite's errors as our own, which name the file and the next step; and patience with a busy file."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ..errors import StorageBusy, StorageUnavailable, UnsafePath
from ..patience import allowed

_SHORTEST_NAP_S: Final = 0.000_05
_LONGEST_NAP_S: Final = 0.002
_NAP_SHARE: Final = 0.1
"""A nap may be longer than that, up to this share of the time waited so far."""

_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGED: Final = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_FORMAT}
)


class DatabaseBusy(StorageBusy):
    """Another process held the database for longer than this one may wait."""


class DatabaseDamaged(StorageUnavailable):
    """The file is no usable database: its bytes are damaged or not of our making."""


def retried(action: Callable[[], object], wait_s: float) -> None:
    """Do ``action``; while another process is in the way, nap and try again for ``wait_s`` seconds.

    Raises:
        sqlite3.Error: what the last try raised.

    """
    end, nap = 0.0, _SHORTEST_NAP_S
    while True:
        try:
            action()
        except sqlite3.OperationalError as fault:
            now = time.monotonic()
            if not end:
                wait_s = allowed(wait_s)
                end = now + wait_s
            if code_of(fault) not in _BUSY or now >= end:
                raise
        else:
            return
        time.sleep(nap)
        # Who has waited long looks less often: many lookers would keep the one they wait for from working.
        waited = wait_s - (end - now)
        nap = min(nap * 1.5, max(_LONGEST_NAP_S, waited * _NAP_SHARE))


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's and the system's errors into our own within a block."""
    try:
        yield
    except BaseException as fault:
        raise_translated(path, fault)
        raise


def raise_translated(path: Path, fault: BaseException) -> None:
    """Raise one of our own errors for one of SQLite's or the system's: it names the file and the next step.

    Returns for what is none of those, and for mistakes of ours (``ProgrammingError``,
    ``IntegrityError``, ``InterfaceError``).
    """
    if isinstance(fault, sqlite3.Error):
        if not isinstance(fault, (sqlite3.ProgrammingError, sqlite3.IntegrityError, sqlite3.InterfaceError)):
            raise _explained(path, fault) from fault
    elif isinstance(fault, OSError) and not isinstance(fault, UnsafePath):
        raise StorageUnavailable(f"{path}: {fault.strerror or fault}; see cost-dashboard doctor") from fault


def _explained(path: Path, fault: sqlite3.Error) -> StorageUnavailable:
    code = code_of(fault)
    if code in _BUSY:
        return DatabaseBusy(f"{path}: another process holds it; try again, or see cost-dashboard doctor")
    if code in _DAMAGED or code == sqlite3.SQLITE_ERROR:
        return DatabaseDamaged(f"{path}: not a usable database ({fault}); see cost-dashboard doctor")
    return StorageUnavailable(f"{path}: {fault}; see cost-dashboard doctor")


def code_of(fault: sqlite3.Error) -> int:
    """Return SQLite's primary result code of an error; 0 where there is none."""
    return int(getattr(fault, "sqlite_errorcode", 0)) & 0xFF
