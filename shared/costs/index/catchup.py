"""Brings the index up to its ledgers: one that was just appended to, one, or all that can have changed."""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol
from zlib import crc32

from ..errors import StorageUnavailable
from ..model import Entry
from .backend import Backend
from .fold import Fold, plus
from .intake import Intake, new_row
from .keys import key_of
from .ledgerfile import FINGERPRINT_BYTES, Fingerprint, opened
from .registry import Registered, Registry
from .store import LedgerRow, SeenRow, ledger_row, put_ledger, put_seen, put_sums

SWEEP_AT: Final = 32
"""How many ledgers may be marked before the marks of dead processes are taken away."""

GONE: Final = "moved or archived: its sums are kept, its entries cannot be shown"


class Appended(Protocol):
    """Where a line was appended: its first byte and how many it has."""

    @property
    def offset(self) -> int:
        """The line's first byte."""
        ...

    @property
    def length(self) -> int:
        """How many bytes it has, its newline included."""
        ...


class CatchUp:
    """Takes ledgers into one index."""

    def __init__(self, backend: Backend, registry: Registry) -> None:
        self._backend = backend
        self._registry = registry
        self._intake = Intake(backend)

    # --- one's own append ------------------------------------------------------------------------------

    def note(self, ledger: Registered, entry: Entry, place: Appended, line: bytes, wait_s: float) -> bool:
        """Take in an entry that was just appended; return whether the index has it now.

        Where nothing else was appended since the last time, the ledger is not read.

        Raises:
            StorageUnavailable: the index is busy or cannot be used.
            OSError: the ledger cannot be read.

        """
        with self._backend.transaction(wait_s) as db:
            found = os.stat(ledger.path)
            row = ledger_row(db, ledger.id)
            if row is not None and (row.device, row.inode) != (found.st_dev, found.st_ino):
                row, direct = None, False
            else:
                direct = (row.offset if row else 0) == place.offset
            if direct and self._put_entry(db, row or _first_row(ledger, found), entry, place, line):
                if found.st_size == place.offset + place.length:
                    self._backend.up_to_date[ledger.id] = _look(found)
                return True
            if row is not None and row.offset >= place.offset + place.length:
                return True  # another process was faster
        self._intake.catch_up(ledger)
        return True

    def _put_entry(
        self, db: sqlite3.Connection, row: LedgerRow, entry: Entry, place: Appended, line: bytes
    ) -> bool:
        if not put_seen(db, [SeenRow(*key_of(entry.id), row.id, place.offset)]):
            return False
        fold = Fold()
        fold.add(entry)
        [((bucket, _), sums)] = fold.sums.items()
        put_sums(db, self._backend.dims, row.id, fold.sums)
        print_ = _fingerprint(row, place, line)
        put_ledger(
            db,
            row._replace(
                offset=place.offset + place.length,
                head_length=print_.length,
                head=print_.head,
                tail=print_.tail,
                first_bucket=min(row.first_bucket, bucket),
                last_bucket=max(row.last_bucket, bucket),
                sums=plus(row.sums, sums),
            ),
        )
        return True

    # --- any ledger ------------------------------------------------------------------------------------

    def one(self, ledger: Registered) -> None:
        """Take in what was appended to one ledger, and remember when it cannot be read.

        Raises:
            StorageUnavailable: the index cannot be used.

        """
        try:
            found = os.stat(ledger.path)
            if self._backend.up_to_date.get(ledger.id) == _look(found):
                return
            self._intake.catch_up(ledger)
        except StorageUnavailable:
            raise
        except (FileNotFoundError, NotADirectoryError):
            self._wait_for(ledger, GONE)
        except OSError as fault:
            self._wait_for(ledger, f"cannot be read: {fault}")
        else:
            self._backend.up_to_date[ledger.id] = _look(found)
            self._registry.drop(self._intake.moved)

    def _wait_for(self, ledger: Registered, why: str) -> None:
        """Note that a ledger could not be looked at: it is tried again at each look."""
        with self._backend.reading() as db:
            row = db.execute("SELECT why FROM waiting WHERE ledger = ?", (ledger.id,)).fetchone()
        if row is None or row[0] != why:
            with self._backend.transaction() as db:
                db.execute("REPLACE INTO waiting VALUES (?, ?, ?)", (ledger.id, str(ledger.path), why))

    # --- all that can have changed -----------------------------------------------------------------------

    def all(self, patience_s: float | None) -> int:
        """Take in everything appended to any ledger; return how many were left when patience ran out.

        Raises:
            StorageUnavailable: the index cannot be used.

        """
        token = self._registry.token()
        with self._backend.reading() as db:
            whole = token is None or db.execute("SELECT token FROM meta").fetchone()[0] != token
            waiting = {int(row[0]) for row in db.execute("SELECT ledger FROM waiting")}
        ledgers = self._registry.all() if whole else self._registry.marked(waiting)
        dead = self._registry.dead_writers() if len(ledgers) - len(waiting) >= SWEEP_AT else []
        spooled = self._registry.spooled() if dead else frozenset()
        left = self._each(ledgers, patience_s)
        if left:
            return left
        self._no_longer_waiting(waiting)
        if dead:
            self._sweep(dead, spooled)
        elif whole and token is not None:
            with self._backend.transaction() as db:
                db.execute("UPDATE meta SET token = ?", (token,))
        return 0

    def _each(self, ledgers: list[Registered], patience_s: float | None) -> int:
        end = None if patience_s is None else time.monotonic() + patience_s
        for number, ledger in enumerate(ledgers):
            if end is not None and time.monotonic() > end:
                return len(ledgers) - number
            self.one(ledger)
        return 0

    def _no_longer_waiting(self, waiting: Iterable[int]) -> None:
        back = [(number,) for number in waiting if number in self._backend.up_to_date]
        if back:
            with self._backend.transaction() as db:
                db.executemany("DELETE FROM waiting WHERE ledger = ?", back)

    def _sweep(self, dead: list[str], spooled: frozenset[Path]) -> None:
        """Take away the marks of dead processes; see :mod:`.registry` for why this loses nothing."""
        kept = {each.id for each in self._registry.all() if each.path in spooled} if spooled else set()
        token = secrets.randbits(62)
        with self._registry.state.transaction() as state:
            with self._backend.synced() as db:
                db.execute("UPDATE meta SET token = ?", (token,))
            self._registry.forget(state, dead, kept, token)
        self._registry.tidy(dead)


def _first_row(ledger: Registered, found: os.stat_result) -> LedgerRow:
    return new_row(ledger)._replace(device=found.st_dev, inode=found.st_ino)


def _look(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_size, found.st_mtime_ns


def _fingerprint(row: LedgerRow, place: Appended, line: bytes) -> Fingerprint:
    """Return the fingerprint after an append, from the line alone where it is long enough."""
    if len(line) == place.length >= FINGERPRINT_BYTES:
        tail = crc32(line[-FINGERPRINT_BYTES:])
        if row.head_length == FINGERPRINT_BYTES:
            return Fingerprint(row.head_length, row.head, tail)
        if place.offset == 0:
            return Fingerprint(FINGERPRINT_BYTES, crc32(line[:FINGERPRINT_BYTES]), tail)
    with opened(Path(row.path)) as file:
        return file.fingerprint(place.offset + place.length)
