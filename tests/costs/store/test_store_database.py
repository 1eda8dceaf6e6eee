"""SQLite files: private, refused when unsafe, usable by threads, after forks, interrupts and replacement."""

from __future__ import annotations

import gc
import os
import sqlite3
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

from shared.costs.errors import StorageUnavailable, UnsafePath
from shared.costs.store.database import (
    Database,
    DatabaseBusy,
    DatabaseDamaged,
    DatabaseNewer,
    SealedDatabase,
)
from shared.costs.store.state import StateDb, Tables

SCHEMA = ("CREATE TABLE t (x INTEGER)", "PRAGMA user_version=1")
SIDE = ("state.db", "state.db-wal", "state.db-shm")


def made(folder: Path, version: int = 1) -> Database:
    """Return a durable database with one row."""
    database = Database(folder / "state.db", SCHEMA, version, durable=True)
    insert(database)
    return database


def insert(database: Database, number: int = 1) -> None:
    database.write(lambda db: db.execute("INSERT INTO t VALUES (?)", (number,)))


def count(database: Database) -> int:
    return int(database.read(lambda db: db.execute("SELECT count(*) FROM t").fetchone())[0])


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o777])
def test_all_files_are_private_under_any_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        database = made(tmp_path)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("state.db*")}
    assert modes == dict.fromkeys(SIDE, 0o600)
    database.close()


def test_a_file_that_others_may_read_is_made_private(tmp_path: Path) -> None:
    (tmp_path / "state.db").touch(mode=0o644)
    made(tmp_path).close()
    assert stat.S_IMODE((tmp_path / "state.db").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", SIDE)
@pytest.mark.parametrize("kind", ["symlink", "hardlink", "fifo", "directory"])
def test_unsafe_files_are_refused_and_left_alone(tmp_path: Path, name: str, kind: str) -> None:
    victim, place = tmp_path / "victim", tmp_path / name
    victim.write_bytes(b"precious")
    make: dict[str, Callable[[], None]] = {
        "symlink": lambda: place.symlink_to(victim),
        "hardlink": lambda: place.hardlink_to(victim),
        "fifo": lambda: os.mkfifo(place),
        "directory": place.mkdir,
    }
    make[kind]()
    with pytest.raises(UnsafePath):
        made(tmp_path)
    assert victim.read_bytes() == b"precious"


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    database = made(tmp_path)

    def stop(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO t VALUES (2)")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        database.write(stop)
    assert count(database) == 1
    database.close()


def test_what_was_left_open_is_undone(tmp_path: Path) -> None:
    database, other = made(tmp_path), Database(tmp_path / "state.db", SCHEMA, 1, durable=True)
    database.statement(lambda db: db.execute("BEGIN IMMEDIATE"))
    assert count(database) == 1
    insert(other)
    assert count(database) == 2
    database.close()
    other.close()


def test_a_signal_handler_within_a_transaction_is_told(tmp_path: Path) -> None:
    database = made(tmp_path)

    def handler(_: sqlite3.Connection) -> None:
        with pytest.raises(DatabaseBusy, match="interrupted"):
            count(database)

    database.write(handler)
    assert count(database) == 1
    database.close()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors cannot be listed")
@pytest.mark.parametrize("kind", [Database, SealedDatabase, StateDb])
def test_a_signal_handler_that_closes_it_lets_what_it_interrupted_come_to_its_end(
    tmp_path: Path, kind: Callable[..., Database]
) -> None:
    path = tmp_path / "state.db"
    database = StateDb(path) if kind is StateDb else kind(path, SCHEMA, 1)
    database.write(lambda db: db.execute("CREATE TABLE IF NOT EXISTS t (x)"))

    def interrupted(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO t VALUES (7)")
        database.close()
        db.execute("INSERT INTO t VALUES (8)")

    database.write(interrupted)
    opened = [os.path.realpath(f"/proc/self/fd/{each}") for each in os.listdir("/proc/self/fd")]
    assert not [each for each in opened if each.startswith(str(tmp_path))]
    assert database.read(lambda db: db.execute("SELECT x FROM t WHERE x > 1").fetchall()) == [(7,), (8,)]
    database.close()


def test_a_held_lock_is_waited_for_and_then_told(tmp_path: Path) -> None:
    database = made(tmp_path)
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseBusy, match="another process"):
        database.write(lambda db: db.execute("INSERT INTO t VALUES (2)"), 0.01)
    other.execute("ROLLBACK")
    other.close()
    insert(database)
    assert count(database) == 2
    database.close()


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + bytes(4096)])
def test_a_damaged_file_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.db").write_bytes(content)
    with pytest.raises(DatabaseDamaged):
        made(tmp_path)


def test_a_newer_and_an_older_file_are_told(tmp_path: Path) -> None:
    made(tmp_path).close()
    with sqlite3.connect(tmp_path / "state.db") as other:
        other.execute("PRAGMA user_version=2")
    other.close()
    with pytest.raises(DatabaseNewer):
        made(tmp_path)
    with pytest.raises(DatabaseDamaged, match="older"):
        made(tmp_path, version=3)


def test_mistakes_of_ours_pass_as_they_are(tmp_path: Path) -> None:
    database = made(tmp_path)
    with pytest.raises(sqlite3.ProgrammingError):
        database.write(lambda db: db.execute("INSERT INTO t VALUES (?)", ()))
    with pytest.raises(OverflowError):
        database.read(
            lambda db: db.execute("SELECT sum(x) FROM (SELECT 9223372036854775807 x UNION ALL SELECT 1)")
        )
    database.close()


def test_a_file_that_was_replaced_is_opened_anew(tmp_path: Path) -> None:
    database = made(tmp_path)
    for name in SIDE:
        (tmp_path / name).unlink()
    assert count(database) == 0
    database.close()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises((StorageUnavailable, UnsafePath)):
        made(tmp_path / "file")


def test_threads_take_turns(tmp_path: Path) -> None:
    database = made(tmp_path)

    def add() -> None:
        for _ in range(50):
            insert(database)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(database) == 201
    database.close()


def test_a_forked_child_opens_its_own_connection(tmp_path: Path) -> None:
    database = made(tmp_path)
    child = os.fork()
    if child == 0:
        insert(database)
        database.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert count(database) == 2
    database.close()


# --- state.db

FIRST = Tables("notes", (("CREATE TABLE notes (text TEXT) STRICT", "INSERT INTO notes VALUES ('a;b')"),))
SECOND = Tables("notes", (*FIRST.steps, ("ALTER TABLE notes ADD COLUMN at INTEGER DEFAULT 7",)))


def notes(state: StateDb, columns: str = "text") -> list[tuple[object, ...]]:
    return state.read(lambda db: db.execute(f"SELECT {columns} FROM notes").fetchall())


def opened_with(folder: Path, tables: Tables) -> StateDb:
    state = StateDb(folder / "state.db")
    state.use(tables)
    return state


def test_tables_are_made_once_and_kept(tmp_path: Path) -> None:
    for _ in range(2):
        state = opened_with(tmp_path, FIRST)
        state.use(FIRST)
        assert notes(state) == [("a;b",)]
        state.close()


def test_older_tables_are_brought_up(tmp_path: Path) -> None:
    opened_with(tmp_path, FIRST).close()
    state = opened_with(tmp_path, SECOND)
    assert notes(state, "text, at") == [("a;b", 7)]
    state.close()


def test_newer_tables_are_refused(tmp_path: Path) -> None:
    opened_with(tmp_path, SECOND).close()
    with pytest.raises(StorageUnavailable, match="newer version"):
        opened_with(tmp_path, FIRST)


def test_a_step_that_fails_leaves_nothing(tmp_path: Path) -> None:
    state = StateDb(tmp_path / "state.db")
    with pytest.raises(StorageUnavailable):
        state.use(Tables("bad", (("CREATE TABLE good (x TEXT) STRICT", "CREATE NONSENSE"),)))
    found = state.read(lambda db: db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'good'").fetchone())
    assert found is None
    state.close()


def test_tables_come_back_after_the_file_was_lost(tmp_path: Path) -> None:
    state = opened_with(tmp_path, FIRST)
    for path in tmp_path.glob("state.db*"):
        path.unlink()
    assert notes(state) == [("a;b",)]
    state.close()


def test_what_need_not_be_synced_is_there_all_the_same(tmp_path: Path) -> None:
    state = opened_with(tmp_path, FIRST)
    state.write_unsynced(lambda db: db.execute("INSERT INTO notes VALUES ('more')"))
    assert notes(state) == [("a;b",), ("more",)]
    assert state.statement(lambda db: db.execute("PRAGMA synchronous").fetchone()) == (2,)
    state.close()


class Interrupt(BaseException):
    """What a signal handler raises."""


def interrupted(action: Callable[[], object], number: int) -> bool:
    """Do something that an exception ends at its so-manieth moment at which a signal may come."""

    def each(frame: FrameType, event: str, _: object) -> None:
        nonlocal number
        is_ours = f"{os.sep}costs{os.sep}" in frame.f_code.co_filename  # what a finaliser raises is lost
        number -= is_ours and event in {"call", "c_return"}
        if not number:
            sys.setprofile(None)
            raise Interrupt

    before = sys.getprofile()
    sys.setprofile(each)
    try:
        action()
    except Interrupt:
        return True
    finally:
        sys.setprofile(before)
    return False


@pytest.mark.no_cover
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors cannot be listed")
@pytest.mark.parametrize("kind", [Database, SealedDatabase])
def test_an_exception_at_any_moment_of_opening_and_closing_leaves_nothing_open_and_nothing_unsealed(
    tmp_path: Path, kind: type[Database]
) -> None:
    """Nor waits for the garbage collector to close what is left, which it would do at any time."""
    database = kind(tmp_path / "state.db", SCHEMA, 1)
    insert(database)
    database.close()

    def used() -> None:
        insert(database)
        database.close()

    moments = 0
    gc.collect()
    gc.disable()
    try:
        while interrupted(used, moments + 1):
            moments += 1
            assert count(database) > 0  # the next use opens it, and finds it as it was left
            database.close()
            paths = [os.path.realpath(f"/proc/self/fd/{each}") for each in os.listdir("/proc/self/fd")]
            assert not [path for path in paths if path.startswith(str(tmp_path))], moments
    finally:
        gc.enable()
    assert moments > 50
