"""Whatever happens to ``index.db``, the answers stay those of a full fold."""

from __future__ import annotations

import gc
import os
import random
import sqlite3
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.faults.index_histories import History, an_entry, assert_is_fold
from shared.costs.errors import StorageUnavailable
from shared.costs.index import indexfile
from shared.costs.index.index import Index
from shared.costs.index.indexfile import IndexFile
from shared.costs.index.seal import sealing
from shared.costs.index.sqlite_faults import DatabaseBusy
from shared.costs.ledger.line import encode
from shared.costs.ledger.writer import append
from shared.costs.rollup import Query


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path).filled(random.Random(5), jobs=2, calls=15)


def _log(history: History, index: Index, seed: int = 0) -> None:
    history.log(index, history.job("job-0"), an_entry(random.Random(seed), job_id="job-0"))


def _deleted(path: Path) -> None:
    path.unlink()


def _deleted_with_its_side_files(path: Path) -> None:
    for file in path.parent.glob("index.db*"):
        file.unlink()


def _emptied(path: Path) -> None:
    os.truncate(path, 0)


def _cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _one_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) * 3 // 4] ^= 4
    path.write_bytes(data)


def _no_database(path: Path) -> None:
    path.write_bytes(b"something else" * 1_000)


def _older_version(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE meta SET format = 0")
    connection.commit()
    connection.close()


def _without_seal(path: Path) -> None:
    path.with_name("index.db-seal").unlink()


def _wrong_seal(path: Path) -> None:
    path.with_name("index.db-seal").write_bytes(b"x" * 36)


FAULTS = [
    _deleted,
    _deleted_with_its_side_files,
    _emptied,
    _cut_in_half,
    _one_bit,
    _no_database,
    _older_version,
    _without_seal,
    _wrong_seal,
]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("is_open", [False, True])
def test_a_fault_of_the_file_costs_only_time(
    history: History, fault: Callable[[Path], None], is_open: bool
) -> None:
    with history.open() as index:
        if is_open:
            assert_is_fold(index, history)
        fault(history.storage.index_path)
        _log_even_if_late(history, index)
        assert_is_fold(index, history)
        assert index.degraded is None
        _log(history, index, 2)
    with history.open() as index:
        assert_is_fold(index, history)


def _log_even_if_late(history: History, index: Index) -> None:
    ledger, entry = history.job("job-0"), an_entry(random.Random(1), job_id="job-0")
    index.register(ledger, "job-0")
    place, line = history.append(ledger, entry)
    index.note_appended(ledger, entry, place, line)


@pytest.mark.parametrize("name", ["index.db", "index.db-wal", "index.db-seal"])
@pytest.mark.parametrize("kind", ["symlink", "fifo", "directory"])
def test_unsafe_files_are_not_used(history: History, name: str, kind: str) -> None:
    victim = history.root / "victim"
    victim.write_text("precious")
    path = history.storage.root / name
    path.unlink(missing_ok=True)
    make: dict[str, Callable[[], None]] = {
        "symlink": lambda: path.symlink_to(victim),
        "fifo": lambda: os.mkfifo(path),
        "directory": path.mkdir,
    }
    make[kind]()
    with history.open() as index:
        assert_is_fold(index, history)
        assert (index.degraded is None) == (name == "index.db" and kind != "directory")  # a link is replaced
        _log_even_if_late(history, index)
        assert_is_fold(index, history)
    assert victim.read_text() == "precious"


def test_a_locked_index_is_replaced_by_memory_until_it_is_free(history: History) -> None:
    other = sqlite3.connect(history.storage.index_path, isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with history.open() as index:
        _log_even_if_late(history, index)
        assert_is_fold(index, history)
        assert "cannot be used" in str(index.degraded)
        other.execute("ROLLBACK")
        other.close()
        index._retry_at = 0.0  # as some seconds later
        assert_is_fold(index, history)
        assert index.degraded is None


def test_a_write_lock_delays_only_notes(history: History) -> None:
    with history.open() as index, history.open() as other:
        assert_is_fold(other, history)
        with other._file.transaction():
            ledger, entry = history.job("job-0"), an_entry(random.Random(1))
            index.register(ledger, "job-0")
            place, line = history.append(ledger, entry)
            assert not index.note_appended(ledger, entry, place, line)
        assert_is_fold(index, history)


def test_a_storage_that_cannot_be_written(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("shared.costs.index.seal._locked", refuse)
    with history.open() as index:
        assert_is_fold(index, history)
        assert "Read-only" in str(index.degraded)


def test_an_unusable_state_is_told_and_nothing_is_raised(history: History) -> None:
    path = history.storage.state_path
    for file in path.parent.glob("state.db*"):
        file.unlink()
    path.mkdir()
    with history.open() as index:
        assert not index.register(history.job("job-0"), "job-0")
        ledger, entry = history.job("job-0"), an_entry(random.Random(1))
        place, line = history.append(ledger, entry)
        assert not index.note_appended(ledger, entry, place, line)
        assert index.degraded is not None


def test_memory_is_used_when_a_damaged_index_cannot_be_replaced(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    _one_bit(history.storage.index_path)

    def refuse(*_: object) -> None:
        raise DatabaseBusy("held")

    with history.open() as index:
        monkeypatch.setattr(index._file, "start_anew", refuse)
        assert_is_fold(index, history)
        assert "cannot be used" in str(index.degraded)


# --- writing back --------------------------------


def test_a_large_wal_is_written_back_under_the_seal(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexfile, "WRITE_BACK_BYTES", 1)
    monkeypatch.setattr(indexfile, "_COMMITS_BETWEEN", 1)
    with history.open() as index, history.open() as other:
        for seed in range(5):
            _log(history, index, seed)
            assert history.storage.index_path.with_name("index.db-wal").stat().st_size == 0
            assert_is_fold(other, history)


def test_an_unfinished_write_back_is_not_believed(history: History) -> None:
    with history.open() as reader, history.open() as index:
        assert_is_fold(reader, history)
        with reader._file.reading() as db:
            db.execute("BEGIN")
            db.execute("SELECT count(*) FROM sums").fetchone()
            _log(history, index)
            index._file.write_back()  # the reader is in its way
            db.execute("COMMIT")
        assert_is_fold(index, history)
        assert_is_fold(reader, history)


def test_writing_back_waits_for_nobody_when_it_is_not_urgent(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexfile, "WRITE_BACK_BYTES", 1)
    monkeypatch.setattr(indexfile, "_COMMITS_BETWEEN", 1)
    with history.open() as index:
        _log(history, index)
        with sealing(history.storage.index_path, 1.0):
            _log(history, index, 1)
        assert_is_fold(index, history)


def test_closing_while_another_holds_the_seal(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexfile, "WAIT_S", 0.01)
    index = history.open()
    _log(history, index)
    with sealing(history.storage.index_path, 1.0):
        index.close()
    with history.open() as again:
        assert_is_fold(again, history)


def test_what_is_not_closed_is_closed_at_exit(history: History) -> None:
    index = history.open()
    _log(history, index)
    file = index._file
    indexfile._close_at_exit(weakref.ref(file))
    assert file._connection is None
    del index, file
    gc.collect()
    gone = weakref.ref(IndexFile(history.root / "other.db"))
    gc.collect()
    indexfile._close_at_exit(gone)
    with history.open() as again:
        assert_is_fold(again, history)


# --- processes and threads --------------------------------


def test_a_forked_child_goes_on_by_itself(history: History) -> None:
    index = history.open()
    _log(history, index)
    child = os.fork()
    if child == 0:
        try:
            _log(history, index, 1)
            index.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    _log(history, index, 2)
    assert_is_fold(index, history)
    index.close()


def test_threads_share_an_index(history: History) -> None:
    faults: list[BaseException] = []
    with history.open() as index:

        def work(number: int) -> None:
            ledger = history.job(f"thread-{number}")
            try:
                for seed in range(20):
                    history.log(index, ledger, an_entry(random.Random(seed * 10 + number)))
            except BaseException as fault:  # told by the test's own thread
                faults.append(fault)

        for number in range(4):
            history.job(f"thread-{number}")
        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert faults == []
        assert_is_fold(index, history)


def test_a_rebuild_that_cannot_write_leaves_the_index(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with history.open() as index:
        with monkeypatch.context() as disk:
            disk.setattr("shared.costs.index.rebuild.platform.create_secure", full)
            with pytest.raises(StorageUnavailable, match="No space"):
                index.rebuild()
        assert_is_fold(index, history)
        assert not list(history.storage.root.glob("*-new-*"))


def test_processes_append_to_one_ledger_at_once(history: History) -> None:
    ledger, children = history.job("shared"), []
    for number in range(4):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with history.open() as index:
                    for seed in range(25):
                        entry = an_entry(random.Random(seed * 10 + number))
                        index.register(ledger, "shared")
                        line = encode(entry)
                        index.note_appended(ledger, entry, append(ledger, line, 2.0), line)
                        index.spend(entry.timestamp, entry.timestamp)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0, 0]
    with history.open() as index:
        assert_is_fold(index, history)
        assert index.groups((), Query(ledger=ledger))[0].totals.calls == 100
