"""SQLite files: private, refused when unsafe, usable by threads, after forks and after replacement."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from shared.costs.errors import UnsafePath
from shared.costs.index.database import Database
from shared.costs.index.sqlite_faults import DatabaseBusy, DatabaseDamaged


def _make(path: Path) -> Database:
    database = Database(path, durable=True)
    with database.transaction() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS t (x INTEGER)")
        connection.execute("INSERT INTO t VALUES (1)")
    return database


def _count(database: Database) -> int:
    with database.reading() as connection:
        return int(connection.execute("SELECT count(*) FROM t").fetchone()[0])


def _insert_and_stop(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute("INSERT INTO t VALUES (2)")
        raise KeyboardInterrupt


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o777])
def test_all_files_are_private_under_any_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        database = _make(tmp_path / "state.db")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("state.db*")}
    assert modes == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}
    database.close()


def test_an_open_file_is_made_private(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.touch(mode=0o644)
    _make(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["state.db", "state.db-wal", "state.db-shm"])
@pytest.mark.parametrize("kind", ["symlink", "hardlink", "fifo", "directory"])
def test_unsafe_files_are_refused_and_left_alone(tmp_path: Path, name: str, kind: str) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    place = tmp_path / name
    make: dict[str, Callable[[], None]] = {
        "symlink": lambda: place.symlink_to(victim),
        "hardlink": lambda: place.hardlink_to(victim),
        "fifo": lambda: os.mkfifo(place),
        "directory": place.mkdir,
    }
    make[kind]()
    with pytest.raises(UnsafePath):
        _make(tmp_path / "state.db")
    assert victim.read_bytes() == b"precious"


def _leave_open(database: Database) -> None:
    with database.reading() as connection:
        connection.execute("SAVEPOINT one")
        connection.execute("INSERT INTO t VALUES (2)")


def test_what_a_block_leaves_open_is_undone_and_joined_by_nobody(tmp_path: Path) -> None:
    database, other = _make(tmp_path / "state.db"), Database(tmp_path / "state.db", durable=True)
    _leave_open(database)
    assert _count(database) == 1
    with database.transaction() as connection:
        connection.execute("INSERT INTO t VALUES (3)")
    assert _count(other) == 2
    database.close()
    other.close()


class _Failing(sqlite3.Connection):
    """A connection whose disk fails when something is to be undone."""

    def execute(self, sql: str, *values: object) -> sqlite3.Cursor:
        if sql == "ROLLBACK":
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, *values)  # type: ignore[arg-type]


def test_a_connection_that_cannot_undo_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = _make(tmp_path / "state.db")
    database.close()
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=_Failing))
        _leave_open(database)
    assert _count(database) == 1
    with database.reading() as connection:
        assert type(connection) is sqlite3.Connection
    database.close()


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    database = _make(tmp_path / "state.db")
    with pytest.raises(KeyboardInterrupt):
        _insert_and_stop(database)
    assert _count(database) == 1
    database.close()


def test_a_held_lock_is_waited_for_and_then_told(tmp_path: Path) -> None:
    database = _make(tmp_path / "state.db")
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseBusy, match="another process"), database.transaction(wait_s=0.01):
        pass
    other.execute("ROLLBACK")
    other.close()
    with database.transaction(wait_s=0.01):
        pass
    database.close()


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + bytes(4096)])
def test_a_damaged_file_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(content)
    with pytest.raises(DatabaseDamaged):
        _make(path)


def test_mistakes_of_ours_pass_as_they_are(tmp_path: Path) -> None:
    database = _make(tmp_path / "state.db")
    with pytest.raises(sqlite3.ProgrammingError), database.transaction() as connection:
        connection.execute("INSERT INTO t VALUES (?)", ())
    database.close()


def test_a_replaced_file_is_opened_anew(tmp_path: Path) -> None:
    database = _make(tmp_path / "state.db")
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        (tmp_path / name).unlink()
    with pytest.raises(DatabaseDamaged, match="no such table"):
        _count(database)
    database.close()


@pytest.mark.parametrize("outer", ["transaction", "reading"])
@pytest.mark.parametrize("inner", ["transaction", "reading"])
def test_a_block_keeps_its_connection_whatever_becomes_of_the_file(
    tmp_path: Path, outer: str, inner: str
) -> None:
    database = _make(tmp_path / "state.db")
    with getattr(database, outer)() as connection:
        (tmp_path / "state.db").rename(tmp_path / "moved.db")
        with getattr(database, inner)() as joined:
            assert joined is connection
        connection.execute("SELECT count(*) FROM t").fetchone()
    with database.reading() as later:
        assert later is not connection
    database.close()


def test_threads_take_turns(tmp_path: Path) -> None:
    database = _make(tmp_path / "state.db")

    def add() -> None:
        for _ in range(50):
            with database.transaction() as connection:
                connection.execute("INSERT INTO t VALUES (3)")

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _count(database) == 201
    database.close()


def test_a_forked_child_opens_its_own_connection(tmp_path: Path) -> None:
    database = _make(tmp_path / "state.db")
    child = os.fork()
    if child == 0:
        with database.transaction() as connection:
            connection.execute("INSERT INTO t VALUES (4)")
        database.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert _count(database) == 2
    database.close()
