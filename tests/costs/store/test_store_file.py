"""Whatever happens to the files of the storage, to processes and to threads, the answers stay right."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.costs import platform
from shared.costs.errors import StorageUnavailable
from shared.costs.ledger.line import encode
from shared.costs.patience import at_most
from shared.costs.rollup import Query
from shared.costs.store import build, database, intake
from shared.costs.store.database import DatabaseBusy
from shared.costs.store.journal import opened
from shared.costs.store.store import Store
from tests.costs.store.store_support import WIDE, History, a_call, an_entry, assert_is_fold, month, spent
from tests.support.elapsed import PATIENCE_S, own_time, slowest_of


@pytest.fixture
def filled(history: History) -> History:
    return history.filled(random.Random(5), jobs=2, calls=15)


def log(history: History, store: Store, seed: int = 0) -> None:
    history.log(store, history.job("job-0"), an_entry(random.Random(seed), job_id="job-0"))


# --- sums.db


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def one_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) * 3 // 4] ^= 4
    path.write_bytes(data)


def not_a_database(path: Path) -> None:
    path.write_bytes(b"something else" * 1_000)


def of_version(number: int) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        connection = sqlite3.connect(path)
        connection.execute(f"PRAGMA user_version={number}")
        connection.commit()
        connection.close()

    change.__name__ = f"version_{number}"
    return change


def without_side_files(path: Path) -> None:
    for file in path.parent.glob("sums.db*"):
        file.unlink()


def wrong_seal(path: Path) -> None:
    path.with_name("sums.db-seal").write_bytes(b"x" * 36)


FAULTS = [cut_in_half, one_bit, not_a_database, of_version(0), without_side_files, wrong_seal]


@pytest.mark.no_cover
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("is_open", [False, True])
def test_a_fault_of_the_file_costs_only_time(
    filled: History, fault: Callable[[Path], None], is_open: bool
) -> None:
    store = filled.open()
    if is_open:
        assert_is_fold(store, filled)
    fault(filled.storage.sums_path)
    log(filled, store, 1)
    assert_is_fold(store, filled)
    assert store.degraded is None
    log(filled, store, 2)
    assert_is_fold(filled.open(), filled)


@pytest.mark.parametrize("is_sealed", [True, False])
def test_sums_of_a_newer_version_are_left_alone(filled: History, is_sealed: bool) -> None:
    path = filled.storage.sums_path
    before = filled.open()
    of_version(99)(path)
    if is_sealed:
        seal = opened(path.with_name("sums.db-seal"), write=True)
        database._set_seal(path, seal)
        seal.close()
    store = filled.open()
    assert_is_fold(store, filled)
    assert ("newer" in str(store.degraded)) == is_sealed
    log(filled, store)
    assert_is_fold(store, filled)
    before.close()


@pytest.mark.no_cover
@pytest.mark.parametrize("name", ["sums.db", "sums.db-wal", "sums.db-seal"])
@pytest.mark.parametrize("kind", ["symlink", "fifo", "directory", "hardlink"])
def test_unsafe_files_are_not_used(filled: History, name: str, kind: str) -> None:
    victim = filled.root / "victim"
    victim.write_text("precious")
    path = filled.storage.root / name
    path.unlink(missing_ok=True)
    make: dict[str, Callable[[], None]] = {
        "symlink": lambda: path.symlink_to(victim),
        "fifo": lambda: os.mkfifo(path),
        "directory": path.mkdir,
        "hardlink": lambda: path.hardlink_to(victim),
    }
    make[kind]()
    store = filled.open()
    assert_is_fold(store, filled)
    log(filled, store, 1)
    assert_is_fold(store, filled)
    assert victim.read_text() == "precious"


def locked(history: History) -> sqlite3.Connection:
    other = sqlite3.connect(history.storage.sums_path, isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    return other


def test_locked_sums_are_replaced_by_memory_until_they_are_free(filled: History) -> None:
    other = locked(filled)
    store = filled.open()
    assert_is_fold(store, filled)
    assert "cannot be used" in str(store.degraded)
    log(filled, store, 1)
    assert_is_fold(store, filled)
    other.execute("ROLLBACK")
    other.close()
    store._retry_at = 0.0  # as some seconds later
    assert_is_fold(store, filled)
    assert store.degraded is None


def test_a_call_does_not_read_everything_while_the_sums_are_held(filled: History) -> None:
    other, store = locked(filled), filled.open()
    began = own_time()
    with at_most(0.3), pytest.raises(StorageUnavailable):
        spent(store)
    entry = an_entry(random.Random(1))
    assert store.note(filled.job("job-0"))
    with at_most(0.3):
        assert filled.tell(store, filled.job("job-0"), entry) is None
    assert own_time() - began < 2.0
    other.execute("ROLLBACK")
    other.close()
    assert_is_fold(store, filled)


@pytest.mark.no_cover
@pytest.mark.parametrize("threads", [250])
def test_many_threads_behind_a_holder_wait_at_the_same_time(filled: History, threads: int) -> None:
    """If each waited for all before it, the last one would wait 550 s."""
    other, store = locked(filled), filled.open()

    def call(patience_s: float) -> None:
        with at_most(patience_s), pytest.raises(StorageUnavailable):
            store.spends([WIDE])

    at_once = slowest_of(threads, lambda _: call(0.0))
    assert slowest_of(threads, lambda _: call(2.2)) < 3.0 + 2 * at_once
    other.execute("ROLLBACK")
    other.close()
    assert_is_fold(store, filled)


def test_a_storage_that_cannot_be_written(filled: History, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(database, "opened", refuse)
    store = filled.open()
    assert_is_fold(store, filled)
    assert "Read-only" in str(store.degraded)


def test_memory_is_used_when_damaged_sums_cannot_be_replaced(
    filled: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_bit(filled.storage.sums_path)

    def refuse(*_: object) -> None:
        raise DatabaseBusy("held")

    store = filled.open()
    monkeypatch.setattr(store._file, "replace", refuse)
    assert_is_fold(store, filled)
    assert "cannot be used" in str(store.degraded)


def test_kept_sums_that_cannot_be_written_stop_a_view_not_a_call(filled: History) -> None:
    store = filled.open()
    owed = month(store)
    path = filled.storage.root / "kept.journal"
    path.unlink()
    path.mkdir()
    os.truncate(filled.job("job-1"), 0)
    with pytest.raises(StorageUnavailable):
        month(store)
    assert store.note(filled.job("job-0"))
    entry = a_call(10)
    filled.tell(store, filled.job("job-0"), entry)
    path.rmdir()
    assert month(store) == owed + 10


def test_a_large_wal_is_written_back(filled: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_WRITE_BACK_BYTES", 1)
    monkeypatch.setattr(database, "_COMMITS_BETWEEN", 1)
    store, other = filled.open(), filled.open()
    for seed in range(5):
        log(filled, store, seed)
        assert_is_fold(other, filled)
        assert_is_fold(store, filled)
    assert filled.storage.sums_path.with_name("sums.db-wal").stat().st_size == 0


def test_sums_too_large_are_told(history: History) -> None:
    store, ledger = history.open(), history.job("job")
    for _ in range(3):
        history.log(store, ledger, a_call(10**15))
    month(store)
    with sqlite3.connect(history.storage.sums_path, isolation_level=None) as other:
        for table in ("cells", "days", "spend"):
            other.execute(f"UPDATE {table} SET cost = ?", (2**63 - 10**15,))
    other.close()
    for _ in range(300):
        history.log(store, ledger, a_call(10**15))
    with pytest.raises(StorageUnavailable, match="9 billion"):
        store.groups((), Query())


# --- processes and threads


def test_a_forked_child_goes_on_by_itself(filled: History) -> None:
    store = Store.of(filled.storage)
    log(filled, store)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            log(filled, store, 1)
            code = 0 if spent(store) > 0 else 2
            store.close()
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    log(filled, store, 2)
    entry = an_entry(random.Random(1), job_id="job-0")
    assert sum(group.totals.calls for group in store.groups((), Query())) == 33
    assert entry.job_id == "job-0"
    store.close()


def test_a_fork_while_other_threads_are_at_work(filled: History) -> None:
    store = Store.of(filled.storage)
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            spent(store)
            month(store)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for each in threads:
        each.start()
    codes = []
    for seed in range(8):
        child = os.fork()
        if child == 0:
            signal.alarm(int(PATIENCE_S))
            code = 1
            try:
                log(filled, store, seed)
                code = 0 if month(store) == spent(store) else 2
            finally:
                os._exit(code)
        codes.append(os.waitpid(child, 0)[1])
    stop.set()
    for each in threads:
        each.join()
    assert codes == [0] * 8
    store.close()


def test_threads_share_a_store(history: History) -> None:
    faults: list[BaseException] = []
    store = history.open()
    ledgers = [history.job(f"thread-{number}") for number in range(4)]

    def work(number: int) -> None:
        try:
            for seed in range(30):
                history.log(store, ledgers[number], an_entry(random.Random(seed * 10 + number)))
                spent(store)
                if seed % 10 == number:
                    month(store)
        except BaseException as fault:  # told by the test's own thread
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert faults == []
    assert_is_fold(store, history)


WRITER = """
import os, random, signal, sys
from pathlib import Path
from shared.costs.ledger.line import encode
from shared.costs.ledger.writer import append
from shared.costs.storage import CostStorage
from shared.costs.store.store import Store
from tests.costs.store.store_support import a_call
root, ledger, calls, ends = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
store = Store.of(CostStorage(root))
ledger.parent.mkdir(parents=True, exist_ok=True)
assert store.note(ledger)
for _ in range(calls):
    entry = a_call(1000)
    place = append(ledger, encode(entry), 5.0)
    if ends != "before":
        store.appended(ledger, entry, place, encode(entry))
if ends != "well":
    os.kill(os.getpid(), signal.SIGKILL)
"""


def writers(history: History, jobs: list[str], calls: int, ends: str) -> None:
    """Run one process for each job name, all at once."""
    root = os.fspath(history.storage.root)
    running = [
        subprocess.Popen([sys.executable, "-c", WRITER, root, os.fspath(history.job(job)), str(calls), ends])
        for job in jobs
    ]
    for each in running:
        each.wait()


@pytest.mark.parametrize("ends", ["well", "killed", "before"])
def test_processes_that_write_to_one_ledger_at_once(history: History, ends: str) -> None:
    """They end as they should, are killed, or are killed before they count what they wrote."""
    writers(history, ["shared"] * 4, 15, ends)
    store = history.open()
    assert spent(store) == month(store) == 60_000


def test_writers_that_died_are_swept(history: History) -> None:
    store = history.open()
    month(store)
    writers(history, ["one", "two"], 2, "before")
    assert month(store) == 4_000
    assert month(store) == 4_000
    names = list(history.storage.writers_dir.iterdir())
    assert [path.name for path in names] in ([], [store.presence._name])
    assert store._file.read(lambda db: db.execute("SELECT count(*) FROM writers").fetchone()) == (0,)
    history.append(history.job("one"), a_call(500))  # by hand
    store._turn_at = 0.0
    assert month(store) == 4_500


def test_a_living_writer_is_not_swept(history: History) -> None:
    store, living = history.open(), history.open()
    ledger = history.job("job")
    assert living.note(ledger)
    for number in range(3):
        history.append(ledger, a_call(10))
        assert spent(store) == month(store) == 10 * (number + 1)


ASKED: list[Callable[[Store], object]] = [spent, month, Store.problems]


class _Interrupt(Exception):
    """What a signal handler raises."""


# A file that an interrupt let fall is closed all the same, with this warning.
@pytest.mark.no_cover
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers")
def test_exceptions_of_signal_handlers_leave_nothing_behind(history: History) -> None:
    store, ledger, chance = history.open(), history.job("job"), random.Random(3)
    month(store)
    descriptors = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0

    def interrupt(*_: object) -> None:
        raise _Interrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    hits = 0
    try:
        for number in range(400):
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.00002, 0.004))
                entry = a_call(1 + number)
                if store.note(ledger):
                    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])  # the test's own file
                    place = history.append(ledger, entry)
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
                    store.appended(ledger, entry, place, encode(entry), [WIDE])
                ASKED[number % 3](store)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except _Interrupt:
                hits += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert hits > 20
    owed = sum(entry.cost for _, entry in history.there())
    assert spent(store) == month(store) == owed
    assert spent(history.open()) == owed
    assert not store._file.statement(lambda db: db.in_transaction)
    if descriptors:
        assert len(os.listdir("/proc/self/fd")) <= descriptors + 16
    worker = threading.Thread(target=lambda: spent(store), daemon=True)
    worker.start()
    worker.join(PATIENCE_S)
    assert not worker.is_alive()


# --- building with several processes


@pytest.fixture
def spread(history: History, monkeypatch: pytest.MonkeyPatch) -> History:
    monkeypatch.setattr(build, "SMALL_BYTES", 0)
    monkeypatch.setattr(build, "CHUNK_BYTES", 3_000)
    return history.filled(random.Random(5), jobs=6, calls=10)


def test_two_processes_build_the_sums(spread: History) -> None:
    told: list[tuple[int, int]] = []
    store = spread.open()
    rebuilt = store.rebuild(lambda done, whole: told.append((done, whole)))
    assert (rebuilt.ledgers, rebuilt.entries, rebuilt.unread) == (6, 60, ())
    whole = sum(ledger.stat().st_size for ledger in spread.ledgers)
    assert told[-1] == (whole, whole)
    assert told == sorted(told)
    assert rebuilt.bytes == whole
    assert_is_fold(store, spread)


def test_ids_that_occur_in_two_chunks(spread: History) -> None:
    copy, again = spread.ledgers[5], spread.ledgers[3]
    copy.write_bytes(spread.ledgers[0].read_bytes() + copy.read_bytes())
    again.write_bytes(again.read_bytes() * 2)
    store = spread.open()
    store.rebuild()
    assert_is_fold(store, spread)
    conflict = an_entry(random.Random(1), id=spread.there()[0][1].id, model="another", charge=None)
    spread.append(again, conflict, counts=False)
    store.rebuild()
    assert_is_fold(store, spread)
    assert [problem.path for problem in store.problems()] == [again]


def test_a_reading_process_that_fails_is_told(spread: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    store = spread.open()
    with pytest.raises(StorageUnavailable):
        store.rebuild()
    assert_is_fold(store, spread)
    assert not list(spread.storage.root.glob("*-new-*"))


def test_building_goes_on_beside_appending(spread: History) -> None:
    store, other = spread.open(), spread.open()
    entries = iter([an_entry(random.Random(n)) for n in range(100)])

    def log_more(_: int, __: int) -> None:
        spread.log(other, spread.ledgers[0], next(entries))

    store.rebuild(log_more)
    assert_is_fold(other, spread)
    assert_is_fold(store, spread)


def test_what_a_killed_build_left_is_cleared(spread: History) -> None:
    left, busy = (spread.storage.root / f"sums.db-new-{number}" for number in (1, 2))
    left.touch(mode=0o600)
    held = opened(busy, write=True)
    platform.lock(held.fileno(), 0)
    store = spread.open()
    store.rebuild()
    assert_is_fold(store, spread)
    assert [path.name for path in spread.storage.root.glob("*-new-*")] == [busy.name]
    held.close()


def test_small_and_large_ledgers_are_read_alike(spread: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "FAST_BYTES", 0)
    monkeypatch.setattr(intake, "BATCH_LINES", 3)
    for ledger in spread.ledgers[:3]:
        ledger.write_bytes(b"damaged\n" + ledger.read_bytes())
    assert_is_fold(spread.open(), spread)


def test_a_call_with_little_time_says_what_is_left(spread: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "BATCH_LINES", 3)
    monkeypatch.setattr("shared.costs.store.catchup.STEP_S", 0.0)
    monkeypatch.setattr("shared.costs.patience.BRIEF_S", 0.0)
    store = spread.open()
    store.close()
    spread.storage.sums_path.unlink()
    with at_most(0.0):
        assert not store.catch_up_all()
        assert "still to be read" in str(store.degraded)
    assert store.catch_up_all()
    assert store.degraded is None
    assert_is_fold(store, spread)


def test_ledgers_found_somewhere(history: History) -> None:
    store = history.open()
    known, unknown = history.job("known"), history.job("unknown")
    history.log(store, known, a_call(5))
    for entry in (a_call(50), a_call(60)):
        history.append(unknown, entry)
    (history.root / "jobs" / "link").symlink_to(unknown.parent)
    month(store)
    assert store.unknown() == [unknown]
    assert store.add_under(history.root) == 1
    assert store.add_under(history.root) == 0
    assert store.unknown() == []
    assert month(store) == spent(store) == 115
    copy = history.job("copy")
    copy.write_bytes(unknown.read_bytes())
    copy.chmod(0o600)
    assert store.unknown() == []  # nothing of it is out of sight


@pytest.mark.parametrize("side", ["-wal", "-shm"])
@pytest.mark.parametrize("is_empty", [False, True])
def test_what_lies_beside_the_sums_is_lost_while_processes_use_them(
    history: History, side: str, is_empty: bool
) -> None:
    """They are read anew: a page of one ``-wal`` file at the place of another's would be any number."""
    first, second = history.open(), history.open()
    for number in range(40):
        history.log(first, history.job(f"job-{number % 7}"), a_call(10**number % 10**9))
        assert month(second) == history.owed
        if number == 20:
            history.close()  # so the file itself has this much
    shutil.rmtree(history.job("job-3").parent)
    assert month(first) == month(second) == history.owed
    lost = history.storage.sums_path.with_name(f"sums.db{side}")
    lost.unlink()
    if is_empty:
        lost.touch(0o600)
    for number in range(40):
        history.log(second, history.job(f"job-{number % 9}"), a_call(number))
        assert month(first) == month(second) == history.owed
    assert (first.degraded, second.degraded) == (None, None)
    assert month(history.open()) == history.owed


def test_an_old_copy_without_a_seal_gives_way_to_what_was_kept_since(history: History) -> None:
    ledger, sums = history.job("job"), history.storage.sums_path
    with history.open() as store:
        history.log(store, ledger, a_call(1))
        store.close()
        old = sums.read_bytes()
        history.log(store, ledger, a_call(20))
        assert month(store) == history.owed
        shutil.rmtree(ledger.parent)
        assert month(store) == history.owed
    sums.write_bytes(old)
    sums.with_name("sums.db-seal").unlink()
    assert month(history.open()) == history.owed
