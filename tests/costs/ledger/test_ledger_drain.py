"""What waits in the spool reaches its ledger, whatever waits beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.costs.ledger import recorder as drain
from shared.costs.ledger import spool, writer
from shared.costs.ledger.line import encode
from shared.costs.ledger.lines import AppendedLine
from shared.costs.ledger.reader import read
from shared.costs.ledger.recorder import Recorder
from shared.costs.model import Entry
from shared.costs.storage import CostStorage
from tests.costs.ledger.ledger_support import entry
from tests.support.elapsed import PATIENCE_S, own_time


@pytest.fixture
def storage(tmp_path: Path) -> CostStorage:
    return CostStorage(tmp_path / "home")


def ids(ledger: Path) -> list[str]:
    return [one.content.id for one in read(ledger) if isinstance(one.content, Entry)]


def job(tmp_path: Path, name: str) -> Path:
    return tmp_path / "jobs" / name / "cost_ledger.jsonl"


def a_directory(ledger: Path) -> None:
    ledger.mkdir(parents=True)


def a_link(ledger: Path) -> None:
    ledger.parent.mkdir(parents=True)
    ledger.symlink_to("/nowhere/at/all")


def a_pipe(ledger: Path) -> None:
    ledger.parent.mkdir(parents=True)
    os.mkfifo(ledger)


def below_a_file(ledger: Path) -> None:
    ledger.parent.parent.mkdir(parents=True, exist_ok=True)
    ledger.parent.write_text("a file where the job's directory was")


STUCK: dict[str, Callable[[Path], None]] = {
    "a directory": a_directory,
    "a link": a_link,
    "a pipe": a_pipe,
    "below a file": below_a_file,
}


def put_many(storage: CostStorage, ledger: Path, number: int, form: str) -> None:
    """Put lines into the spool, named as now or as by earlier versions."""
    first = spool.put(storage, ledger, encode(entry()), entry().id)
    content = first.read_bytes()
    for each in range(number - 1):
        dash = "-" if form == "now" else ""
        name = f"{spool.group_of(ledger)}{dash}{each:020x}"
        copy = storage.spool_dir / f"{name}{spool.SUFFIX}"
        copy.write_bytes(content)
        copy.chmod(0o600)


@pytest.mark.parametrize("form", ["now", "before"])
def test_stuck_lines_of_some_ledgers_keep_out_none_of_another(
    storage: CostStorage, tmp_path: Path, form: str
) -> None:
    for name, make in STUCK.items():
        make(job(tmp_path, name))
        put_many(storage, job(tmp_path, name), 500, form)
    good = entry()
    path = spool.put(storage, job(tmp_path, "good"), encode(good), good.id)
    if form == "before":
        path.rename(path.with_name(f"ff{good.id}{spool.SUFFIX}"))
    calls, took = list[Entry](), list[float]()
    deadline = time.monotonic() + PATIENCE_S  # a call brings in what goes quickly: little on a busy machine
    while len(calls) < 60 or (not job(tmp_path, "good").exists() and time.monotonic() < deadline):
        calls.append(one := entry())
        began = own_time()
        Recorder(storage).record(job(tmp_path, "mine"), encode(one), one.id)
        took.append(own_time() - began)
    assert ids(job(tmp_path, "good")) == [good.id]
    assert ids(job(tmp_path, "mine")) == [one.id for one in calls]
    assert len(spool.waiting_paths(storage)) == 500 * len(STUCK)
    assert sorted(took)[len(took) // 2] < 0.05


def test_a_ledger_that_can_be_written_again_is(storage: CostStorage, tmp_path: Path) -> None:
    ledger, mine = job(tmp_path, "stuck"), job(tmp_path, "mine")
    a_directory(ledger)
    put_many(storage, ledger, 200, "now")
    one = entry()
    Recorder(storage).record(mine, encode(one), one.id)
    ledger.rmdir()
    deadline = time.monotonic() + PATIENCE_S
    while spool.waiting_paths(storage) and time.monotonic() < deadline:
        one = entry()
        Recorder(storage).record(mine, encode(one), one.id)
    assert len(ids(ledger)) == 200


def test_many_lines_of_one_ledger_take_few_syncs(
    storage: CostStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_many(storage, job(tmp_path, "good"), 200, "now")
    appended, real = list[int](), writer.append

    def append(ledger: Path, data: bytes, timeout_s: float) -> AppendedLine:
        appended.append(data.count(b"\n"))
        return real(ledger, data, timeout_s)

    monkeypatch.setattr(drain, "append", append)
    monkeypatch.setattr(drain, "DRAIN_S", 60.0)
    drain.Drain(storage).run(lambda _: None)
    assert appended == [1] + [drain.TOGETHER] * 3 + [199 - 3 * drain.TOGETHER]
    assert spool.waiting_paths(storage) == []


def test_ledgers_whose_names_begin_alike_get_their_own_lines(
    storage: CostStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "group_of", lambda _: "00000000")
    ledgers = [job(tmp_path, name) for name in "ab"]
    expected: dict[Path, list[str]] = {ledger: [] for ledger in ledgers}
    for number in range(10):
        one = entry()
        spool.put(storage, ledgers[number % 2], encode(one), one.id)
        expected[ledgers[number % 2]].append(one.id)
    known = drain.Drain(storage)
    while spool.waiting_paths(storage):
        known.run(lambda _: None)
    assert {ledger: sorted(ids(ledger)) for ledger in ledgers} == {
        ledger: sorted(those) for ledger, those in expected.items()
    }


@pytest.mark.parametrize("name", [b"job-\xe9t\xe9", "ж".encode() * 120, b"new\nline", b'quote"\\'])
def test_any_name_of_a_job_finds_its_way_through_the_spool(
    storage: CostStorage, tmp_path: Path, name: bytes
) -> None:
    folder = tmp_path / os.fsdecode(name)
    while len(os.fsencode(folder)) < 3600 and len(name) > 100:
        folder /= os.fsdecode(name)
    ledger, one = folder / "cost_ledger.jsonl", entry(description="ж" * 500)
    spool.put(storage, ledger, encode(one), one.id)
    Recorder(storage).close()
    assert ids(ledger) == [one.id]


def test_what_a_killed_process_began_to_spool_is_taken_away_in_the_end(
    storage: CostStorage, tmp_path: Path
) -> None:
    storage.prepare()
    old, new = (storage.spool_dir / f"{name}{spool.UNFINISHED}" for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b'"/x')
    os.utime(old, (0, 0))
    spool.put(storage, job(tmp_path, "job"), encode(entry()), "0c")
    drain.Drain(storage).run(lambda _: None)
    assert [path.name for path in storage.spool_dir.iterdir()] == [new.name]


WORKERS = """
import concurrent.futures, errno, multiprocessing, os, sys, threading
from pathlib import Path
from shared.costs.ledger.recorder import Recorder
from shared.costs.storage import CostStorage

def work(home, ledger, line, entry_id):
    real = os.write
    def fail(descriptor, data):
        if descriptor > 2: raise OSError(errno.ENOSPC, "full")
        return real(descriptor, data)
    os.write = fail
    Recorder(CostStorage(Path(home))).record(Path(ledger), line.encode(), entry_id)
    os.write = real

if __name__ == "__main__":
    how, *arguments = sys.argv[1:]
    if how == "thread":
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        thread.start(); thread.join()
    elif how == "pool":
        with concurrent.futures.ProcessPoolExecutor(1) as pool:
            pool.submit(work, *arguments).result()
    elif how == "inherited":
        work(*arguments)
        if not os.fork(): os._exit(0)
        os.wait()
    else:
        process = multiprocessing.get_context(how).Process(target=work, args=arguments)
        process.start(); process.join()
"""


@pytest.mark.parametrize("how", ["thread", "pool", "fork", "spawn", "forkserver", "inherited"])
def test_what_is_kept_in_memory_is_tried_again_when_any_process_ends(
    storage: CostStorage, tmp_path: Path, how: str
) -> None:
    one, ledger = entry(), job(tmp_path, "job")
    program = tmp_path / "program.py"
    program.write_text(WORKERS)
    arguments = [how, str(storage.root), str(ledger), encode(one).decode(), one.id]
    subprocess.run([sys.executable, program, *arguments], check=True, capture_output=True, timeout=PATIENCE_S)
    assert ids(ledger) == [one.id]


def test_a_child_does_not_write_what_its_parent_keeps(
    storage: CostStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, one, ledger = Recorder(storage), entry(), job(tmp_path, "job")

    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "write", fail)
        recorder.record(ledger, encode(one), one.id)
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: -1)
        recorder.close()
        assert not ledger.exists() or ids(ledger) == []
    recorder.close()
    assert ids(ledger) == [one.id]
