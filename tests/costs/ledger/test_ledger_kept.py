"""Ledgers that are kept open: few of them, shared by threads, and given up without being closed."""

from __future__ import annotations

import errno
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from shared.costs import platform
from shared.costs.ledger import recorder as recorder_module
from shared.costs.ledger import writer
from shared.costs.ledger.line import encode
from shared.costs.ledger.reader import read
from shared.costs.ledger.recorder import Recorder
from shared.costs.ledger.writer import KEPT_OPEN, Kept, append
from shared.costs.model import Entry
from shared.costs.storage import CostStorage
from tests.costs.ledger.ledger_support import entry
from tests.support.elapsed import PATIENCE_S, slowest_of


def open_here(folder: Path) -> list[str]:
    """Return the files below a folder that this process has open."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        target = Path("/proc/self/fd", number)
        if target.is_symlink() and os.readlink(target).startswith(str(folder)):
            found.append(os.readlink(target))
    return found


def job(tmp_path: Path, number: int) -> Path:
    return tmp_path / f"job-{number}" / "cost_ledger.jsonl"


@pytest.mark.no_cover
def test_however_many_ledgers_a_process_writes_to_few_stay_open(tmp_path: Path) -> None:
    recorders = [Recorder(CostStorage(tmp_path / "home")) for _ in range(3 * KEPT_OPEN)]
    for _ in range(2):
        for number, recorder in enumerate(recorders):
            assert recorder.record(job(tmp_path, number), encode(entry()), "0c").place is not None
            assert len(open_here(tmp_path)) <= KEPT_OPEN
    assert all(len(list(read(job(tmp_path, number)))) == 2 for number in range(len(recorders)))
    del recorder
    recorders.clear()
    gc.collect()
    assert open_here(tmp_path) == []


def test_what_is_closed_or_dropped_or_not_kept_is_not_open(tmp_path: Path) -> None:
    append(job(tmp_path, 1), b"x\n", 1)
    assert open_here(tmp_path) == []
    kept: Kept = {}
    append(job(tmp_path, 1), b"x\n", 1, kept)
    assert open_here(tmp_path) == [str(job(tmp_path, 1))]
    writer.close(kept)
    assert open_here(tmp_path) == []
    append(job(tmp_path, 1), b"x\n", 1, kept)
    del kept
    assert open_here(tmp_path) == []


@pytest.mark.parametrize("change", ["deleted", "renamed", "directory deleted", "replaced"])
def test_a_ledger_that_is_kept_open_is_still_the_one_of_its_path(tmp_path: Path, change: str) -> None:
    kept: Kept = {}
    ledger, first, second = job(tmp_path, 1), entry(), entry()
    append(ledger, encode(first), 1, kept)
    if change == "deleted":
        ledger.unlink()
    elif change == "renamed":
        ledger.rename(tmp_path / "archived")
    elif change == "directory deleted":
        ledger.unlink()
        ledger.parent.rmdir()
    else:
        other = tmp_path / "other"
        other.touch(mode=0o600)
        other.replace(ledger)
    append(ledger, encode(second), 1, kept)
    assert [one.content.id for one in read(ledger) if isinstance(one.content, Entry)] == [second.id]


def test_a_second_name_is_noticed_while_a_ledger_is_open(tmp_path: Path) -> None:
    kept: Kept = {}
    append(job(tmp_path, 1), b"x\n", 1, kept)
    os.link(job(tmp_path, 1), tmp_path / "second")
    with pytest.raises(OSError, match="has 2 names"):
        append(job(tmp_path, 1), b"y\n", 1, kept)
    assert job(tmp_path, 1).read_bytes() == b"x\n"


def test_without_descriptors_those_that_are_kept_are_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: Kept = {}
    append(job(tmp_path, 1), b"x\n", 1, kept)
    real = platform.open_file

    def open_file(path: Path, **how: Any) -> platform.SecureFile:
        if open_here(tmp_path):
            raise OSError(errno.EMFILE, "Too many open files")
        return real(path, **how)

    monkeypatch.setattr(platform, "open_file", open_file)
    append(job(tmp_path, 2), b"x\n", 1, kept)
    append(job(tmp_path, 1), b"y\n", 1, kept)
    assert job(tmp_path, 1).read_bytes() == b"x\ny\n"


def test_threads_share_a_ledger(tmp_path: Path) -> None:
    recorder, ledger = Recorder(CostStorage(tmp_path / "home")), job(tmp_path, 1)
    others = [Recorder(CostStorage(tmp_path / "home")) for _ in range(4)]

    def work(mine: Recorder) -> None:
        for _ in range(50):
            mine.record(ledger, encode(one := entry()), one.id)

    threads = [threading.Thread(target=work, args=(each,)) for each in [recorder, recorder, *others]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.content.id for one in read(ledger) if isinstance(one.content, Entry)}) == 300
    assert len(list(read(ledger))) == 300
    assert len(open_here(tmp_path)) == 1


def test_a_forked_child_writes_through_a_file_of_its_own(tmp_path: Path) -> None:
    kept: Kept = {}
    ledger, lines = job(tmp_path, 1), [encode(entry()) for _ in range(3)]
    append(ledger, lines[0], 1, kept)
    with kept[str(ledger)]._lock:  # as another thread of the parent, at this moment
        child = os.fork()
        if not child:
            signal.alarm(int(PATIENCE_S))
            append(ledger, lines[1], 1, kept)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    append(ledger, lines[2], 1, kept)
    assert ledger.read_bytes() == b"".join(lines)


HOLDER = """
import fcntl, os, signal, sys
file = open(sys.argv[1], "rb+")
fcntl.flock(file, fcntl.LOCK_EX)
print(flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
"""


@pytest.mark.no_cover
@pytest.mark.parametrize("trackers", [1, 200])
def test_many_threads_behind_a_stopped_holder_of_the_ledger_wait_at_once(
    tmp_path: Path, trackers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If each waited for all before it, the last one would wait 400 s."""
    storage, ledger = CostStorage(tmp_path / "home"), job(tmp_path, 1)
    append(ledger, b"x\n", 1)
    with subprocess.Popen([sys.executable, "-c", HOLDER, ledger], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()

        def slowest() -> float:
            recorders = [Recorder(storage) for _ in range(trackers)]

            def call(number: int) -> None:
                recorders[number % trackers].record(ledger, encode(one := entry()), one.id)

            return slowest_of(200, call)

        try:
            whole = slowest()
            monkeypatch.setattr(recorder_module, "LOCK_TIMEOUT_S", 0.0)
            at_once = slowest()
        finally:
            holder.kill()
    deadline = time.monotonic() + PATIENCE_S
    while list(storage.spool_dir.glob("*.spooled")) and time.monotonic() < deadline:
        Recorder(storage).close()
    assert whole < 4.0 + 2 * at_once
    assert len({one.content.id for one in read(ledger) if isinstance(one.content, Entry)}) == 400
