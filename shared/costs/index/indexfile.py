"""``index.db`` as a file: created, opened, written back, closed and replaced, always under its seal."""

from __future__ import annotations

import atexit
import os
import sqlite3
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Final

from ..errors import StorageUnavailable
from . import tables
from .backend import Backend, lay_tables
from .database import SIDE_FILES, WAIT_S
from .seal import Seal, Stamp, sealing, stamp_of
from .sqlite_faults import DatabaseDamaged, translated

WRITE_BACK_BYTES: Final = 16 * 1024 * 1024
"""How large the ``-wal`` file may grow before its pages are written back into the index."""

_COMMITS_BETWEEN: Final = 64
"""After how many transactions the size of the ``-wal`` file is looked at."""

_WRITE_BACK_WAIT_MS: Final = 300


class IndexUntrusted(DatabaseDamaged):
    """The index is not as its last user left it."""


class IndexFile(Backend):
    """The index, believed only while its seal holds.

    SQLite writes to the file itself only when it brings pages back from the ``-wal`` file. It would
    do that whenever it sees fit; here it does so under the seal alone, and completely or not at
    all: a ``-wal`` of which half was brought back could not be shortened by damage without harm.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._commits = 0
        self._stamp: Stamp | None = None
        self._text = str(path)  # looked at for each statement
        atexit.register(_close_at_exit, weakref.ref(self))

    def ended(self, *, well: bool) -> None:
        """Bring the ``-wal`` file's pages into the index when there are many, unless somebody else does."""
        super().ended(well=well)
        self._commits += 1
        if self._commits % _COMMITS_BETWEEN == 0:
            self._write_back_if_large()

    def _write_back_if_large(self) -> None:
        wal = self.path.with_name(self.path.name + "-wal")
        try:
            if os.stat(wal).st_size < WRITE_BACK_BYTES:
                return
            self.write_back(wait_s=0)
        except (OSError, StorageUnavailable):
            return  # it stays as it is, valid, and is tried again at the next chance

    def write_back(self, wait_s: float = WAIT_S) -> None:
        """Bring the ``-wal`` file's pages into the index.

        Raises:
            StorageUnavailable: the lock or the file cannot be had.

        """
        with self.turn, translated(self.path), sealing(self.path, wait_s) as seal:
            if self._connection is not None and self._owner == os.getpid() and seal.holds():
                _write_back(self._connection, seal)
                self._stamp = stamp_of(self.path)

    def replace(self, by: Path | None) -> None:
        """Put a complete new index in the place of the present one; ``None``: an empty one.

        Other processes notice at their next use and open the new one.

        Raises:
            StorageUnavailable: the lock or the directory cannot be had.

        """
        with self.turn, translated(self.path), sealing(self.path, WAIT_S) as seal:
            seal.lift()
            self._drop()
            _remove_all(self.path, but_itself=by is not None)
            if by is not None:
                os.replace(by, self.path)
                seal.set()

    def start_anew(self) -> None:
        """Put an empty index in the place of the present one."""
        self.replace(None)

    def close(self) -> None:
        """Write back and close; the index opens again at its next use."""
        with self.turn:
            if self._connection is None or self._owner != os.getpid():
                super().close()
                return
            with suppress(StorageUnavailable), translated(self.path), sealing(self.path, WAIT_S) as seal:
                self._close_under(seal)
            self._drop()

    def _close_under(self, seal: Seal) -> None:
        trusted = seal.holds()
        if trusted and self._connection is not None:
            _write_back(self._connection, seal)
            trusted = seal.holds()
        self._drop()  # the last one to close also deletes the empty -wal file
        if trusted and not seal.holds():
            seal.set()

    def _drop(self) -> None:
        super().close()
        self._stamp = None

    def ready(self, wait_s: float) -> sqlite3.Connection:
        """Return the connection, after a look at the index's seal where its file has changed."""
        connection, stamp = self._connection, self._stamp
        if connection is None or self._owner != os.getpid() or stamp is None or stamp != stamp_of(self._text):
            return self._admitted(wait_s)
        return connection

    def _admitted(self, wait_s: float) -> sqlite3.Connection:
        """Open the index, or go on with it, after a look at its seal."""
        with sealing(self.path, wait_s) as seal:
            if stamp_of(self.path) is None:
                self._drop()
                self._create(seal, wait_s)
            elif not seal.holds():
                self._drop()
                raise IndexUntrusted(
                    f"{self.path}: changed by something else, or its user died; it is built anew"
                )
            elif self._replaced():
                self._drop()
            if self._connection is None:
                self._connection, self._owner = self._open(wait_s), os.getpid()
                self.forget()
                if not tables.is_current(self._connection):
                    self._drop()
                    raise IndexUntrusted(f"{self.path}: of another version; it is built anew")
            self._stamp = stamp_of(self.path)
            return self._connection

    def _replaced(self) -> bool:
        now = stamp_of(self.path)
        return self._owner != os.getpid() or self._stamp is None or now is None or now[0] != self._stamp[0]

    def _create(self, seal: Seal, wait_s: float) -> None:
        seal.lift()
        _remove_all(self.path)  # a -wal that was left behind belongs to no database any more
        connection = self._open(wait_s)
        try:
            lay_tables(connection)
            _write_back(connection, seal)
        finally:
            connection.close()
        seal.set()


def _write_back(connection: sqlite3.Connection, seal: Seal) -> None:
    seal.lift()
    connection.execute(f"PRAGMA busy_timeout={_WRITE_BACK_WAIT_MS}")
    try:
        busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    finally:
        connection.execute("PRAGMA busy_timeout=0")
    if not busy:
        seal.set()


def _remove_all(path: Path, *, but_itself: bool = False) -> None:
    for suffix in SIDE_FILES if but_itself else ("", *SIDE_FILES):
        with suppress(FileNotFoundError):
            os.unlink(path.with_name(path.name + suffix))


def _close_at_exit(reference: weakref.ref[IndexFile]) -> None:
    index = reference()
    if index is not None:
        index.close()
