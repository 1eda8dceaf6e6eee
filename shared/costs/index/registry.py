"""Which ledgers there are, and which of them may have changed since they were taken in.

Looking at every ledger costs a microsecond each, 0.4 s for a hundred thousand with their rows. So a
process *marks* a ledger in ``state.db``, durably and before its first append, and the mark stays as
long as the process lives. Guaranteed is: *a ledger without a mark was taken in completely after its
last append*, because a mark is only taken away (``sweep``) when, in this order,

1. its process was found dead: the kernel released the lock on its file in ``writers/``,
2. no spooled line waits for the ledger (draining it would append without that process),
3. the ledger was looked at and taken in,
4. the ledger was synced (the dead process may not have come to it), and
5. the index was synced, together with a new random token, before the marks went and the same token
   came into ``state.db``.

An index with another token than ``state.db`` (deleted, restored from a copy, rolled back by a power
cut) says nothing about unmarked ledgers: then all are looked at.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from .. import platform
from ..errors import StorageUnavailable, UnsafePath
from ..forks import lock_of
from ..ledger.spool import waiting
from ..storage import CostStorage
from .database import WAIT_S
from .sqlite_faults import DatabaseBusy
from .state import StateDb

_LOOK_S: Final = 1.0

_BUSY_S: Final = 5.0
"""For how long after a wait for ``state.db`` in vain the next ones try once, and do not wait."""

_UNREGISTERED: Final = 1 << 40
"""From where on ledgers are numbered that ``state.db`` did not give a number."""

_NO_TOKEN: Final = -1


class Registered(NamedTuple):
    """A ledger that is known: its number, where it lies and whose it is."""

    id: int
    path: Path
    job_id: str

    @property
    def text(self) -> str:
        """The path as text."""
        return str(self.path)


class Registry:
    """The registered ledgers and their marks. Thread-safe; a forked child marks for itself."""

    def __init__(self, storage: CostStorage, state: StateDb) -> None:
        self.state = state
        self._storage = storage
        self._presence = Presence(storage.root / "writers")
        self._marked: dict[Path, Registered] = {}
        self._here: dict[Path, Registered] = {}
        """What this process writes to: all that is known while ``state.db`` cannot be used."""
        self._identity: object = None
        self._look_at = 0.0
        self._patient_at = 0.0
        self.origin: int | None = None
        """Which ``state.db`` this is, once it was read. Ledgers have other numbers in another."""
        self._changes = 0
        """How often this process changed what :meth:`outlook` tells."""
        self._outlook: tuple[object, int, list[Registered]] | None = None
        self._owner = 0
        self._lock = lock_of(self, "_lock")

    def mark(self, ledger: Path, job_id: str) -> Registered:
        """Register a ledger and mark it as written to by this process; durable, and done once.

        Done again after a fork, and when ``state.db`` or this process's file were deleted.

        Raises:
            StorageUnavailable: ``state.db`` cannot be used.
            UnsafePath: the path is no text that can be kept.

        """
        with self._lock:
            if ledger not in self._here:
                self._here[ledger] = Registered(_UNREGISTERED + len(self._here), ledger, job_id)
            now = time.monotonic()
            if now >= self._look_at or self._owner != os.getpid():
                self._look(now)
            known = self._marked.get(ledger)
            if known is None:
                known = self._mark(_text(ledger), job_id)
                self._identity = self._identities()
                self._marked[ledger] = known
            return known

    def _look(self, now: float) -> None:
        """Forget the marks of this process if they are gone. Looked at once a second: it costs 5 us."""
        self._look_at, self._owner = now + _LOOK_S, os.getpid()
        if self._identity != self._identities():
            self._marked.clear()

    def _identities(self) -> object:
        return self._presence.identity(), _inode(self.state.path)

    def _mark(self, path: str, job_id: str) -> Registered:
        holder = self._presence.name()
        try:
            with self.state.transaction(WAIT_S if time.monotonic() >= self._patient_at else 0.0) as db:
                found = _registered(db, path, job_id)
                db.execute("INSERT OR IGNORE INTO writers VALUES (?, ?)", (holder, found.id))
                self.origin = int(db.execute("SELECT origin FROM sweep").fetchone()[0])
                self._changes += 1
        except DatabaseBusy:
            self._patient_at = time.monotonic() + _BUSY_S
            raise
        return found

    def add(self, ledgers: Iterable[tuple[Path, str]]) -> list[Registered]:
        """Register ledgers (path and job id) that were found somewhere. All will be looked at again."""
        with self.state.transaction() as db:
            found = [_registered(db, _text(path), job_id) for path, job_id in ledgers]
            db.execute("UPDATE sweep SET token = ?", (random_token(),))
            self._changes += 1
        return found

    def known(self, ledger: Path) -> Registered | None:
        """Return a registered ledger by its path."""
        found = self._ask("SELECT id, path, job_id FROM ledgers WHERE path = ?", _text(ledger))
        return next((one for one in found if one.path == ledger), None)

    def all(self) -> list[Registered]:
        """Return every registered ledger, in the order in which they were registered."""
        return self._ask("SELECT id, path, job_id FROM ledgers ORDER BY id")

    def changing(self, more: Collection[int] = ()) -> list[Registered]:
        """Return the ledgers that can have changed, and those with the numbers ``more``."""
        return self._ask(
            """SELECT id, path, job_id FROM ledgers WHERE id IN (SELECT ledger FROM writers)
            OR id IN (SELECT value FROM json_each(?)) ORDER BY id""",
            json.dumps(sorted(more)),
        )

    def outlook(self) -> tuple[int, list[Registered]]:
        """Return the token of an index that knows all unmarked ledgers, and the marked ledgers.

        Asked at each budget check, so it is only read again when somebody changed ``state.db``.
        """
        try:
            return self._known_outlook()
        except (StorageUnavailable, UnsafePath):
            return _NO_TOKEN, list(self._here.values())

    def _known_outlook(self) -> tuple[int, list[Registered]]:
        with self.state.reading() as db:
            version = (db, db.execute("PRAGMA data_version").fetchone()[0], self._changes)
            if self._outlook is None or self._outlook[0] != version:
                token, self.origin = db.execute("SELECT token, origin FROM sweep").fetchone()
                self._outlook = (version, token, self.changing())
            return self._outlook[1:]

    def of_job(self, job_id: str) -> list[Registered]:
        """Return the ledgers of all jobs that have exactly this id."""
        found = self._ask("SELECT id, path, job_id FROM ledgers WHERE job_id = ? ORDER BY path", job_id)
        return [one for one in found if one.job_id == job_id]

    def _ask(self, query: str, *values: object) -> list[Registered]:
        """Return registered ledgers; those of this process alone where ``state.db`` cannot be used."""
        try:
            with self.state.reading() as db:
                return [_of(row) for row in db.execute(query, values)]
        except (StorageUnavailable, UnsafePath):
            return list(self._here.values())

    def drop(self, moved: list[int]) -> None:
        """Strike ledgers that are known at another place now from the list, and ``moved`` with them."""
        if moved:
            with self.state.transaction() as db:
                for table, column in (("writers", "ledger"), ("ledgers", "id")):
                    db.executemany(f"DELETE FROM {table} WHERE {column} = ?", [(n,) for n in moved])
                self._changes += 1
            moved.clear()

    def spooled(self) -> frozenset[Path]:
        """Return the ledgers for which lines wait in the spool.

        Raises:
            OSError: the spool cannot be read.

        """
        return frozenset(Path(os.path.realpath(one.ledger)) for one in waiting(self._storage))

    def dead_writers(self) -> list[str]:
        """Return the processes that left marks and are no more."""
        with self.state.reading() as db:
            holders = [str(row[0]) for row in db.execute("SELECT DISTINCT holder FROM writers")]
        return [holder for holder in holders if not self._presence.alive(holder)]

    def forget(
        self, db: sqlite3.Connection, holders: Collection[str], kept: Collection[int], token: int
    ) -> None:
        """Take the marks of dead processes away, but those on ``kept`` ledgers; set the token.

        ``db`` is the open transaction of ``state.db``.
        """
        rows = [
            row
            for row in db.execute("SELECT holder, ledger FROM writers")
            if row[0] in holders and row[1] not in kept
        ]
        db.executemany("DELETE FROM writers WHERE holder = ? AND ledger = ?", rows)
        db.execute("UPDATE sweep SET token = ?", (token,))
        self._changes += 1

    def tidy(self, holders: Iterable[str]) -> None:
        """Delete the files of dead processes."""
        for holder in holders:
            self._presence.remove(holder)

    def close(self) -> None:
        """Forget what this process has marked; its marks stay until somebody sweeps them."""
        with self._lock:
            self._marked.clear()
            self._presence.leave()


class Presence:
    """A file that is locked as long as this process lives, so that others can tell when it died."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = ""
        self._descriptor = -1
        self._owner = 0

    def name(self) -> str:
        """Return this process's name, after making sure that its file is there and locked."""
        if self.identity() is None:
            self._enter()
        return self._name

    def identity(self) -> tuple[int, str] | None:
        """Return what changes when this process forks or its file is deleted; ``None`` when out of work."""
        if self._owner != os.getpid() or _inode(self._folder / self._name) is None:
            return None
        return self._owner, self._name

    def _enter(self) -> None:
        self.leave()
        platform.secure_directory(self._folder)
        name = f"{os.getpid()}-{os.urandom(8).hex()}"
        self._descriptor = platform.create_secure(self._folder / name)
        platform.lock(self._descriptor, 0)
        self._name, self._owner = name, os.getpid()

    def alive(self, name: str) -> bool:
        """Tell whether the process of this name may still append."""
        if name == self._name and self._owner == os.getpid():
            return True
        try:
            descriptor = platform.open_secure(self._folder / name, write=True)
        except FileNotFoundError:
            return False
        try:
            return not platform.lock(descriptor, 0)
        finally:
            platform.close(descriptor)

    def remove(self, name: str) -> None:
        """Delete the file of a process that is no more."""
        with suppress(FileNotFoundError):
            os.unlink(self._folder / name)

    def leave(self) -> None:
        """Let go of the lock: this process will not append under its present name again."""
        if self._owner == os.getpid():
            platform.close(self._descriptor)
        self._owner = 0


def random_token() -> int:
    """Return 62 random bits. ``secrets`` would say it shorter, and costs 10 ms to import."""
    return int.from_bytes(os.urandom(8)) >> 2


def _registered(db: sqlite3.Connection, path: str, job_id: str) -> Registered:
    row = db.execute("SELECT id, path, job_id FROM ledgers WHERE path = ?", (path,)).fetchone()
    if row is None:
        found = db.execute("INSERT INTO ledgers (path, job_id) VALUES (?, ?)", (path, job_id))
        return Registered(int(found.lastrowid or 0), Path(path), job_id)
    return _of(row)


def _of(row: tuple[int, str, str]) -> Registered:
    return Registered(row[0], Path(row[1]), row[2])


def _inode(path: Path) -> int | None:
    try:
        return os.stat(path).st_ino
    except OSError:
        return None


def _text(path: Path) -> str:
    text = os.path.realpath(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UnsafePath(f"{text!a}: its name is no UTF-8; rename the directory") from None
    return text
