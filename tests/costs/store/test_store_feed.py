"""What a process logged last counts, whatever becomes of its ledger before anybody looked."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from shared.cost_tracker import BudgetExceeded, CostTracker
from shared.costs.ledger import spool
from shared.costs.patience import at_most
from shared.costs.storage import LEDGER_NAME, CostStorage
from shared.costs.store import journal as module
from shared.costs.store import store as store_module
from shared.costs.store.catchup import CatchUp
from shared.costs.store.journal import FedLine, WriterLinesReader, sealed
from shared.costs.store.store import Store
from tests.costs.store.store_support import History, a_call, month, spent
from tests.costs.store.test_store_outlives import cleared, cut_after_a_line, emptied, overwritten, replaced


@pytest.fixture(autouse=True)
def never_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines stay beside the sums until a view is asked for."""
    monkeypatch.setattr(store_module, "TAKE_IN_S", 1_000.0)


def waiting(history: History) -> list[FedLine]:
    """What processes keep."""
    return WriterLinesReader(history.storage.writers_dir).news()


def logging(history: History, calls: int = 3) -> tuple[Store, Path]:
    """Return a store, and a ledger to which it logged some calls that no sum has."""
    store, ledger = history.open(), history.job("job")
    month(store)
    store._take_in_at = float("inf")
    for number in range(calls):
        history.log(store, ledger, a_call(10**number))
    assert len(waiting(history)) == calls
    return store, ledger


FATES = [cleared, emptied, cut_after_a_line, replaced, overwritten]


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("who", ["itself", "another"])
def test_a_ledger_goes_before_anybody_looked(
    history: History, fate: Callable[[History, Path], None], who: str
) -> None:
    store, ledger = logging(history)
    saved = ledger.read_bytes()
    fate(history, ledger)
    assert month(store if who == "itself" else history.open()) == history.owed
    assert spent(store) == month(store) == month(history.open()) == history.owed
    ledger.parent.mkdir(exist_ok=True)
    ledger.write_bytes(saved)  # it comes back
    assert month(store) == month(history.open()) == history.owed


@pytest.mark.parametrize("fate", FATES)
def test_a_ledger_goes_after_one_saw_its_lines_beside_the_sums(
    history: History, fate: Callable[[History, Path], None]
) -> None:
    """Somebody in haste brings the sums up to the ledger that is left: they lack its last lines."""
    asker = history.open()
    _, ledger = logging(history)
    asker._take_in_at = float("inf")
    assert spent(asker) == history.owed
    fate(history, ledger)
    with at_most(60.0):
        history.open().catch_up(ledger)
    assert spent(asker) == history.owed == month(history.open())


@pytest.mark.parametrize("fate", [cleared, replaced])
@pytest.mark.parametrize("look", ["a call", "a view", "as it closes"])
def test_a_ledger_goes_again_and_again(
    history: History, fate: Callable[[History, Path], None], look: str
) -> None:
    """Its process notices by itself, also on the way of a call."""
    store, ledger = logging(history)
    for number in range(4):
        fate(history, ledger)
        for more in range(2):
            history.log(store, ledger, a_call(10_000 * number + more))
    cleared(history, ledger)
    if look == "a call":
        store._take_in_at = 0.0
        with at_most(2.0):
            history.log(store, ledger, a_call(5))
        assert waiting(history) == []
    elif look == "as it closes":
        store.close()
        assert waiting(history) == []
    assert month(history.open()) == history.owed


def test_what_the_sums_have_is_kept_no_longer(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    store, ledger = logging(history)
    assert month(history.open()) == history.owed
    assert len(waiting(history)) == 3
    monkeypatch.setattr(store_module, "TAKE_IN_S", 0.0)
    store._take_in_at = 0.0
    history.log(store, ledger, a_call(7))
    assert waiting(history) == []
    assert month(store) == history.owed


def test_a_child_that_was_forked_keeps_its_own(history: History) -> None:
    store, ledger = logging(history)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            history.log(store, ledger, a_call(50))
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    history.counted["the child's"] = (ledger, a_call(50))
    assert sorted(each.path for each in waiting(history)) == [os.fsencode(ledger)] * 4
    shutil.rmtree(ledger.parent)
    assert month(history.open()) == history.owed
    history.log(store, history.job("job"), a_call(7))
    store.close()
    assert waiting(history) == []  # the child is dead, and its file went with it


def test_where_nothing_can_be_kept_the_call_is_in_its_ledger(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, ledger = logging(history, 1)
    [file] = history.storage.writers_dir.glob("*.lines")
    file.unlink()
    store._feed.clear()
    file.mkdir()
    history.log(store, ledger, a_call(7))
    file.rmdir()
    monkeypatch.setattr(module, "MOST_BYTES", -1)
    history.log(store, ledger, a_call(70))
    assert waiting(history) == []
    assert spent(store) == month(history.open()) == history.owed


def test_a_note_is_lost_before_anybody_read_it(history: History) -> None:
    """What its process logged says that there is the ledger."""
    store, _ = logging(history)
    history.log(store, history.job("new"), a_call(5))
    (history.storage.root / "ledgers.journal").unlink()
    assert month(history.open()) == month(store) == history.owed
    assert history.job("new") in history.open().ledgers()
    history.close()
    assert month(history.open()) == history.owed


WRITER = """
import sys
from pathlib import Path
from shared.cost_tracker import CostTracker
tracker = CostTracker(sys.argv[1])
for _ in sys.stdin:
    tracker.log_usage("openai", "gpt-4o", 1_000, 200)
    print(flush=True)
"""


def have_logged(writer: subprocess.Popen[str]) -> None:
    """Have a process log a call."""
    assert writer.stdin is not None
    assert writer.stdout is not None
    print(file=writer.stdin, flush=True)
    assert writer.stdout.readline()


@contextmanager
def a_writer(ledger: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has logged two calls and waits to log more."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, os.fspath(ledger.parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        for _ in range(2):
            have_logged(writer)
        yield writer


@pytest.mark.parametrize("lost", ["", ".lines"])
def test_a_file_of_a_living_process_is_lost_before_its_ledger_is(
    tmp_path: Path, cost_home: Path, lost: str
) -> None:
    """It is not taken for dead, and what it logs afterwards is kept in a new file."""
    ledger = tmp_path / "jobs" / "job" / LEDGER_NAME
    with a_writer(ledger) as writer:
        storage = CostStorage(cost_home)
        [file] = storage.writers_dir.glob(f"{writer.pid}-*.lines")
        file.with_suffix(lost).unlink()
        store = Store(storage)
        assert month(store) == 2 * 4_500_000
        have_logged(writer)
        lines = ledger.read_bytes().splitlines(keepends=True)
        ledger.write_bytes(b"".join(lines[:2]))
        assert month(store) == 3 * 4_500_000
        store.close()
        writer.communicate()


@pytest.mark.parametrize("is_idle", [True, False])
def test_another_process_begins_a_ledger_anew_that_was_cleared_at_once(
    tmp_path: Path, cost_home: Path, is_idle: bool
) -> None:
    """What its process logged before counts for the other one's budgets, and when it goes on or ends."""
    ledger = tmp_path / "jobs" / "job" / LEDGER_NAME
    with a_writer(ledger) as writer:
        shutil.rmtree(ledger.parent)
        with CostTracker(ledger.parent) as other:
            for _ in range(3):
                other.log_usage("openai", "gpt-4o", 1_000, 200)
            store = Store.of(CostStorage(cost_home))
            if is_idle:
                with at_most(2.0):
                    assert spent(store) == 5 * 4_500_000
            else:
                have_logged(writer)
            writer.communicate()
        assert month(store) == (5 if is_idle else 6) * 4_500_000


@pytest.mark.parametrize("fate", [cleared, emptied, None])
@pytest.mark.parametrize("job", ["job", "other"])
def test_who_reserves_counts_what_went_before_anybody_took_it_in(
    tmp_path: Path, cost_home: Path, history: History, fate: Callable[[History, Path], None] | None, job: str
) -> None:
    """Where the one who logged it is idle, and another one begins its folder or the storage anew.

    Of a storage that was deleted it counts what its own ledger has; the others when their processes end.
    """
    ledger, profile = tmp_path / "jobs" / "job" / LEDGER_NAME, tmp_path / "profile.yaml"
    profile.write_text("budget: {monthly_limit_usd: 0.0091, block_at_limit: true}\n")
    with Store(CostStorage(cost_home)) as begun:
        month(begun)
    with closing(sqlite3.connect(cost_home / "sums.db", isolation_level=None)) as taking_in:
        taking_in.execute("BEGIN IMMEDIATE")  # so that nobody else comes to it
        with a_writer(ledger) as writer:
            taking_in.execute("ROLLBACK")
            if fate is None:
                shutil.rmtree(cost_home)
            else:
                fate(history, ledger)
            with CostTracker(ledger.parent.with_name(job), profile_path=profile) as other:
                granted = sum(reserved_and_logged(other) for _ in range(3))
                writer.communicate()
    assert granted == (2 if fate is None and job == "other" else 0)
    with Store(CostStorage(cost_home)) as after:
        assert month(after) == (2 + granted) * 4_500_000


def reserved_and_logged(tracker: CostTracker) -> bool:
    """Tell whether a call was granted, and log it then."""
    try:
        with tracker.reserve("openai", "gpt-4o", tokens_input=1_000, max_tokens_output=200) as hold:
            tracker.log_usage("openai", "gpt-4o", 1_000, 200, reservation=hold)
    except BudgetExceeded:
        return False
    return True


def full_disk(*_: object) -> Path:
    raise OSError(28, "no room")


@pytest.mark.parametrize("where", ["spool", "memory"])
def test_a_line_that_waited_counts_at_once_and_outlives_its_ledger(
    tmp_path: Path, cost_home: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """From when it is in its ledger, for views and on the way of a call, whoever brought it there."""
    ledger = tmp_path / "jobs" / "job" / LEDGER_NAME
    with CostTracker(ledger.parent) as job, CostTracker(tmp_path / "jobs" / "other") as other:
        job.log_usage("openai", "gpt-4o", 1_000, 200)
        ledger.rename(ledger.with_name("aside"))
        ledger.mkdir()
        with monkeypatch.context() as disk:
            if where == "memory":
                disk.setattr(spool, "put", full_disk)
            job.log_usage("openai", "gpt-4o", 1_000, 200)
        ledger.rmdir()
        ledger.with_name("aside").rename(ledger)
        store = Store.of(CostStorage(cost_home))
        assert month(store) == 2 * 4_500_000
        store._take_in_at = float("inf")
        bringer = other if where == "spool" else job
        bringer.log_usage("openai", "gpt-4o", 1_000, 200)
        assert len(ledger.read_bytes().splitlines()) >= 2
        assert spent(store) == 3 * 4_500_000
        ledger.unlink()
        assert month(store) == 3 * 4_500_000


def test_odd_ids_paths_and_bytes(history: History) -> None:
    """A record that was torn or has no line is passed over; paths and ids are what they were."""
    store, _ = logging(history, 1)
    ledger = history.job("a \\ b\nc\udcff")
    history.log(store, ledger, a_call(7, id="an id \udc80"))
    [file] = history.storage.writers_dir.glob("*.lines")
    found = waiting(history)[-1]
    with file.open("ab") as damaged:
        damaged.write(sealed(b"0 %b\0id\0no line\n" % os.fsencode(ledger)))
        damaged.write(sealed(b"torn")[:-4])
    assert (found.path, found.entry_id) == (os.fsencode(ledger), "an id \udc80")
    shutil.rmtree(ledger.parent)
    assert month(history.open()) == history.owed


def test_the_folder_is_listed_where_a_file_may_have_come_or_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reservation looks, also beside hundreds of processes."""
    listed, listdir = list[bytes](), os.listdir

    def listing(folder: bytes) -> list[bytes]:
        listed.append(folder)
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", listing)

    def keep(name: str, *ids: str) -> None:
        path = tmp_path / name
        with path.open("ab") as file:
            file.writelines(sealed(b"0 /job/%b\0%b\0{}" % (name.encode(), each.encode())) for each in ids)
        path.chmod(0o600)
        os.utime(tmp_path, (1, changed.pop(0)))

    changed, feeds = [1, 2], WriterLinesReader(tmp_path)
    keep("1-a.lines", "a")
    assert [each.entry_id for each in feeds.news()] == ["a"]
    with (tmp_path / "1-a.lines").open("ab") as file:
        file.write(sealed(b"0 /job\0b\0{}"))
    assert [[each.entry_id for each in feeds.news()] for _ in range(3)] == [["b"], [], []]
    assert len(listed) == 1
    keep("2-b.lines", "c", "d")
    assert [each.entry_id for each in feeds.news()] == ["c", "d"]
    (tmp_path / "1-a.lines").unlink()  # changed just now: another file may come in the same tick
    assert [feeds.news() for _ in range(3)] == [[], [], []]
    assert len(listed) == 5
    shutil.rmtree(tmp_path)
    assert feeds.news() == []


def test_a_line_that_nobody_can_read_is_looked_for_no_more(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a newer version, which runs at the same time: each reservation brought the sums up three times."""
    store, _ = logging(history)
    newer = history.storage.writers_dir / "1-a.lines"
    newer.write_bytes(sealed(b"0 /job/cost_ledger.jsonl\0some-id\0{}"))
    newer.chmod(0o600)
    looks, bring_up = list[str](), CatchUp.bring_up

    def looking(self: CatchUp, *args: Any, **kwargs: Any) -> int:
        looks.append("")
        return bring_up(self, *args, **kwargs)

    monkeypatch.setattr(CatchUp, "bring_up", looking)
    assert spent(store) == history.owed
    before = len(looks)
    assert before
    assert [spent(store) for _ in range(3)] == [history.owed] * 3
    assert len(looks) == before
    history.log(store, history.job("other"), a_call(1))
    assert spent(store) == month(history.open()) == history.owed
