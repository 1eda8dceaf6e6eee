"""Brings the index up to its ledgers: one that was just appended to, one, or all that can have changed."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zlib import crc32

from ..errors import StorageUnavailable
from ..ledger.places import Appended
from ..money import Nanos
from . import spends
from .backend import Backend
from .intake import Intake
from .ledgerfile import FINGERPRINT_BYTES, opened
from .registry import Registered, Registry, random_token
from .spends import Asked
from .sqlite_faults import DatabaseDamaged
from .staging import SETTLE_AT, Spot, all_staged, any_waits, is_taken_in, stage

if TYPE_CHECKING:
    from ..model import Entry

SWEEP_AT: Final = 32
"""How many ledgers may be marked before the marks of dead processes are taken away."""

GONE: Final = "moved or archived: its sums are kept, its entries cannot be shown"


class CatchUp:
    """Takes ledgers into one index."""

    def __init__(self, backend: Backend, registry: Registry) -> None:
        self._backend = backend
        self._registry = registry
        self._intake = Intake(backend)

    # --- one's own append ------------------------------------------------------------------------------

    def note(
        self,
        ledger: Registered,
        entry: Entry,
        place: Appended,
        line: bytes,
        wait_s: float,
        asked: Asked,
    ) -> list[Nanos]:
        """Take in an entry that was just appended: its row is staged, and the ledger is not read.

        Returns what was spent then in each span asked for.

        Raises:
            StorageUnavailable: the index is busy or cannot be used.
            OSError: the ledger cannot be read.

        """
        found = os.stat(ledger.text)
        spot = Spot(place.offset, place.length, _tail(ledger, place, line), found.st_ino, found.st_dev)
        try:
            if found.st_size < place.offset + place.length:
                raise _NotNext  # the ledger was put back to an earlier state: the line is not in it any more
            with self._backend.transaction(wait_s) as db:
                self._stage(db, ledger.id, entry, spot)
                answer = spends.spends(db, asked, ledger.id)
                if answer.staged.rows >= SETTLE_AT:
                    self._settle(db, ledger.id)
        except _NotNext:
            self._same_origin()
            self._intake.catch_up(ledger, time.monotonic() + wait_s)
            self._registry.drop(self._intake.moved)
            with self._backend.snapshot() as db:
                return spends.spends(db, asked).spends
        if answer.staged.end == found.st_size:
            self._backend.up_to_date[ledger.id] = _look(found)
        return answer.spends

    def _stage(self, db: sqlite3.Connection, number: int, entry: Entry, spot: Spot) -> None:
        """Stage a line.

        Raises:
            _NotNext: it takes a look into the ledger.

        """
        if self._backend.origin != self._registry.origin:
            raise _NotNext  # not compared yet since the index was opened
        if not stage(db, self._backend.memory, number, entry, spot) and not is_taken_in(
            db, number, entry, spot.offset
        ):
            raise _NotNext

    def _settle(self, db: sqlite3.Connection, number: int) -> None:
        """Settle what has no gap before it; other writers fill the gap of a line or two soon."""
        self._intake.settle(db)
        if all_staged(db, number).rows >= SETTLE_AT:
            raise _NotNext  # the line before the gap will not come any more

    def settle(self) -> None:
        """Add what is staged to the sums.

        Raises:
            StorageUnavailable: the index cannot be used.

        """
        with self._backend.reading() as db:
            if not any_waits(db):
                return
        with self._backend.transaction() as db:
            self._intake.settle(db)

    # --- any ledger ------------------------------------------------------------------------------------

    def one(self, ledger: Registered, patience_s: float | None = None) -> bool:
        """Take in what was appended to one ledger, and remember when it cannot be read.

        Raises:
            StorageUnavailable: the index cannot be used.

        """
        self._same_origin()
        return self._one(ledger, _until(patience_s))

    def _one(self, ledger: Registered, until: float | None) -> bool:
        """Take one ledger in; ``False`` when that takes longer than ``until``."""
        try:
            found = os.stat(ledger.path)
            if self._backend.up_to_date.get(ledger.id) == _look(found):
                return True
            whole = self._intake.catch_up(ledger, until)
        except StorageUnavailable:
            raise
        except (FileNotFoundError, NotADirectoryError):
            self._wait_for(ledger, GONE)
        except OSError as fault:
            self._wait_for(ledger, f"cannot be read: {fault}")
        else:
            self._registry.drop(self._intake.moved)
            if not whole:
                return False
            self._backend.up_to_date[ledger.id] = _look(found)
        return True

    def anew(self, ledger: Registered) -> None:
        """Take one ledger out and in again.

        Raises:
            StorageUnavailable: the index cannot be used.

        """
        self._same_origin()
        self._backend.up_to_date.pop(ledger.id, None)
        try:
            self._intake.renew(ledger)
        except (FileNotFoundError, NotADirectoryError):
            self._wait_for(ledger, GONE)
        except OSError as fault:
            self._wait_for(ledger, f"cannot be read: {fault}")

    def _same_origin(self) -> None:
        """See that the tables number ledgers as ``state.db`` does; new tables are made to.

        Raises:
            DatabaseDamaged: they belong to another ``state.db``, one that was lost.

        """
        with self._backend.reading():  # opens it, and forgets what is known of another
            if self._backend.origin == self._registry.origin is not None:
                return
        self._registry.outlook()
        with self._backend.transaction() as db:
            db.execute("UPDATE meta SET origin = ? WHERE origin IS NULL", (self._registry.origin,))
            if db.execute("SELECT origin FROM meta").fetchone()[0] != self._registry.origin:
                raise DatabaseDamaged("the index belongs to a state.db that was lost; it is built anew")
        self._backend.origin = self._registry.origin

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
        token, ledgers = self._registry.outlook()
        marked = len(ledgers)
        with self._backend.reading() as db:
            if self._backend.origin is None or self._backend.origin != self._registry.origin:
                self._same_origin()
            known, some_wait = db.execute(_OUTLOOK).fetchone()
            waiting = [int(row[0]) for row in db.execute("SELECT ledger FROM waiting")] if some_wait else []
        whole = known != token
        if whole:
            ledgers = self._registry.all()
        elif waiting:
            ledgers = self._registry.changing(waiting)
        dead, spooled = self._dead() if marked >= SWEEP_AT else ([], frozenset[Path]())
        left = self._each(self._not_whole(ledgers) if whole else ledgers, patience_s)
        if left:
            return left
        self._no_longer_waiting(waiting)
        if dead:
            self._sweep(dead, ledgers, spooled)
        elif whole:
            with self._backend.transaction() as db:
                db.execute("UPDATE meta SET token = ?", (token,))
        return 0

    def _dead(self) -> tuple[list[str], frozenset[Path]]:
        """Return the processes that are no more, and the ledgers for which lines wait in the spool."""
        try:
            return self._registry.dead_writers(), self._registry.spooled()
        except OSError:
            return [], frozenset()  # not known: no mark is taken away

    def _each(self, ledgers: list[Registered], patience_s: float | None) -> int:
        """Take ledgers in, at least a piece of one; return how many are left when patience runs out."""
        until = _until(patience_s)
        for number, ledger in enumerate(ledgers):
            if not self._one(ledger, until):
                return len(ledgers) - number
            if until is not None and time.monotonic() > until and number + 1 < len(ledgers):
                return len(ledgers) - number - 1
        return 0

    def _not_whole(self, ledgers: list[Registered]) -> list[Registered]:
        """Return the ledgers of which more, less or another file is there than was taken in.

        For a look at all of them: one question and a ``stat`` each, 4 us instead of 20.
        """
        with self._backend.reading() as db:
            rows = db.execute("SELECT id, offset, inode, device FROM ledgers")
            taken = {number: place for number, *place in rows}
        places = ((each, _place(each)) for each in ledgers)
        return [each for each, place in places if place is None or taken.get(each.id) != place]

    def is_new(self) -> bool:
        """Tell whether nothing was taken in yet."""
        with self._backend.reading() as db:
            return not db.execute("SELECT EXISTS (SELECT 1 FROM ledgers)").fetchone()[0]

    def _no_longer_waiting(self, waiting: Iterable[int]) -> None:
        back = [(number,) for number in waiting if number in self._backend.up_to_date]
        if back:
            with self._backend.transaction() as db:
                db.executemany("DELETE FROM waiting WHERE ledger = ?", back)

    def _sweep(self, dead: list[str], ledgers: list[Registered], spooled: frozenset[Path]) -> None:
        """Take away the marks of dead processes; see :mod:`.registry` for why this loses nothing."""
        kept = {each.id for each in ledgers if each.path in spooled or not _synced(each)}
        token = random_token()
        with self._registry.state.transaction() as state:
            with self._backend.synced() as db:
                db.execute("UPDATE meta SET token = ?", (token,))
            self._registry.forget(state, dead, kept, token)
        self._registry.tidy(dead)


def _look(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_size, found.st_mtime_ns


def _until(patience_s: float | None) -> float | None:
    return None if patience_s is None else time.monotonic() + patience_s


def _place(ledger: Registered) -> list[int] | None:
    try:
        found = os.stat(ledger.path)
    except OSError:
        return None
    return [found.st_size, found.st_ino, found.st_dev]


def _synced(ledger: Registered) -> bool:
    """Bring a ledger to the disk: a process that died between its write and its sync did not."""
    try:
        with opened(ledger.path) as file:
            file.sync()
    except FileNotFoundError:
        return True  # it waits, as a ledger that is gone, and is looked at without a mark
    except OSError:
        return False
    return True


class _NotNext(Exception):
    """The ledger is new or another file, or the id was seen: the ledger has to be read."""


_OUTLOOK: Final = "SELECT token, EXISTS (SELECT 1 FROM waiting) FROM meta"


def _tail(ledger: Registered, place: Appended, line: bytes) -> int:
    """Return the checksum before the new offset, from the line alone where it is long enough."""
    if len(line) == place.length >= FINGERPRINT_BYTES:
        return crc32(line[-FINGERPRINT_BYTES:])
    with opened(ledger.path) as file:
        return file.fingerprint(place.offset + place.length).tail
