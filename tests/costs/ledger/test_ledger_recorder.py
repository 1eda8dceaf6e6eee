from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from shared.costs import platform
from shared.costs.errors import UnsafePath
from shared.costs.ledger import recorder as recorder_module
from shared.costs.ledger import spool, writer
from shared.costs.ledger.line import encode
from shared.costs.ledger.lines import AppendedLine
from shared.costs.ledger.reader import read
from shared.costs.ledger.recorder import Recorder
from shared.costs.model import Entry
from shared.costs.storage import CostStorage
from tests.costs.ledger.ledger_support import entry
from tests.support.elapsed import PATIENCE_S


@pytest.fixture
def storage(tmp_path: Path) -> CostStorage:
    return CostStorage(tmp_path / "home")


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "jobs" / "job-1" / "cost_ledger.jsonl"


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "LOCK_TIMEOUT_S", 0.06)


def ids(ledger: Path) -> list[str]:
    return [one.content.id for one in read(ledger) if isinstance(one.content, Entry)]


def fail(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_line_goes_into_its_ledger(storage: CostStorage, ledger: Path) -> None:
    recorder, one = Recorder(storage), entry()
    recorded = recorder.record(ledger, encode(one), one.id)
    assert recorded.place is not None
    assert ids(ledger) == [one.id]
    assert recorder.degraded == 0
    assert not storage.root.exists()


@pytest.mark.usefixtures("hurried")
def test_a_locked_ledger_makes_its_lines_wait_in_the_spool(storage: CostStorage, ledger: Path) -> None:
    announced: list[Path] = []
    recorder = Recorder(storage, announced.append)
    first, second, third = entry(), entry(), entry()
    recorder.record(ledger, encode(first), first.id)
    fd = platform.open_file(ledger, append=True)
    assert platform.lock(fd, 1)
    recorded = recorder.record(ledger, encode(second), second.id)
    assert recorded.place is None
    assert "waiting in the spool" in recorded.explained
    assert "locked" in recorded.explained
    recorder.close()  # the lock is still taken: it goes on waiting
    assert [one.ledger for one in spool.waiting(storage)] == [ledger]
    platform.close(fd)
    recorder.record(ledger, encode(third), third.id)
    assert ids(ledger) == [first.id, third.id, second.id]
    assert list(spool.waiting(storage)) == []
    assert ledger in announced
    assert recorder.degraded == 1


@pytest.mark.usefixtures("hurried")
def test_a_lock_that_was_waited_for_in_vain_is_waited_for_briefly_for_a_while(
    storage: CostStorage, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, real, now = list[float](), writer.append, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def append(path: Path, line: bytes, timeout_s: float, kept: writer.Kept | None = None) -> AppendedLine:
        waits.append(timeout_s)
        return real(path, line, 0, kept)

    recorder = Recorder(storage)
    recorder.record(ledger, encode(entry()), "0a")
    fd = platform.open_file(ledger, append=True)
    assert platform.lock(fd, 1)
    monkeypatch.setattr(recorder_module, "append", append)
    elsewhere = ledger.parent.parent / "job-2" / "cost_ledger.jsonl"
    for place in (ledger, ledger, elsewhere):
        recorder.record(place, encode(entry()), "0b")
    now[0] += recorder_module.LOCKED_S
    recorder.record(ledger, encode(entry()), "0c")
    platform.close(fd)
    full, brief = recorder_module.LOCK_TIMEOUT_S, recorder_module.BRIEF_TIMEOUT_S
    assert [wait for wait in waits if wait] == [full, brief, full, full]


def test_another_process_drains_what_waits(storage: CostStorage, ledger: Path) -> None:
    waiting, mine = entry(), entry()
    spool.put(storage, ledger, encode(waiting), waiting.id)
    elsewhere = ledger.parent.parent / "job-2" / "cost_ledger.jsonl"
    Recorder(storage).record(elsewhere, encode(mine), mine.id)
    assert ids(ledger) == [waiting.id]


def test_a_failed_sync_spools_under_the_same_id(
    storage: CostStorage, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, one = Recorder(storage), entry()
    with monkeypatch.context() as broken:
        syncs = iter([OSError(errno.EIO, "Input/output error")])
        real = platform.sync

        def sync(fd: int) -> None:
            for fault in syncs:
                raise fault
            real(fd)

        broken.setattr(platform, "sync", sync)
        assert recorder.record(ledger, encode(one), one.id).place is None
    recorder.close()
    assert ids(ledger) == [one.id, one.id]  # one id: it counts once


def test_with_nowhere_to_write_a_line_is_kept_and_shown(
    storage: CostStorage, ledger: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder, one, two = Recorder(storage), entry(), entry()
    with monkeypatch.context() as broken:
        broken.setattr(os, "write", fail)
        recorded = recorder.record(ledger, encode(one), one.id)
        assert "in memory" in recorded.explained
        assert recorder.waiting == 1
        recorder.close()
        assert recorder.waiting == 1
    assert encode(one).decode() in capsys.readouterr().err
    recorder.record(ledger, encode(two), two.id)
    assert sorted(ids(ledger)) == sorted([one.id, two.id])
    assert recorder.waiting == 0


def test_what_is_in_memory_goes_to_the_spool_where_its_ledger_stays_locked(
    storage: CostStorage, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, one = Recorder(storage), entry()
    with monkeypatch.context() as broken:
        broken.setattr(os, "write", fail)
        recorder.record(ledger, encode(one), one.id)
    monkeypatch.setattr(recorder_module, "append", fail)
    recorder.close()
    assert recorder.waiting == 1
    assert [found.line for found in spool.waiting(storage)] == [encode(one)]


def test_a_call_is_not_held_up_by_all_that_is_kept(
    storage: CostStorage, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a long failure each call writes some of what is kept, within its time; the end writes all."""
    recorder, kept = Recorder(storage), [entry() for _ in range(5)]
    with monkeypatch.context() as broken:
        broken.setattr(os, "write", fail)
        for one in kept:
            recorder.record(ledger, encode(one), one.id)
    monkeypatch.setattr(recorder_module, "DRAIN_S", -1.0)
    last = entry()
    recorder.record(ledger, encode(last), last.id)
    assert recorder.waiting == 5
    assert ids(ledger) == [last.id]
    recorder.close()
    assert recorder.waiting == 0
    assert sorted(ids(ledger)) == sorted(one.id for one in [last, *kept])


@pytest.mark.parametrize("state", ["missing", "closed", "broken"])
def test_a_process_without_standard_error_records_all_the_same(
    storage: CostStorage, ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    recorder, one = Recorder(storage), entry()
    closed = (tmp_path / "err").open("w")
    closed.close()
    streams = {"missing": None, "closed": closed, "broken": SimpleNamespace(write=fail)}
    with monkeypatch.context() as broken:
        broken.setattr(sys, "stderr", streams[state])
        broken.setattr(os, "write", fail)
        assert "in memory" in recorder.record(ledger, encode(one), one.id).explained
    recorder.close()
    assert ids(ledger) == [one.id]


def test_an_interrupt_while_writing_what_is_kept_loses_nothing(
    storage: CostStorage, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, one = Recorder(storage), entry()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(os, "write", fail)
        recorder.record(ledger, encode(one), one.id)
        broken.setattr(os, "write", interrupt)
        with pytest.raises(KeyboardInterrupt):
            recorder.close()
    recorder.close()
    assert ids(ledger) == [one.id]


def test_a_spool_that_takes_no_bytes_is_no_endless_loop(
    storage: CostStorage, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "write", lambda *_: 0)
    with pytest.raises(OSError, match="accepts no bytes"):
        spool.put(storage, ledger, b"a line\n", "0c")
    assert list(storage.spool_dir.iterdir()) == []


EXITS = """
import os, sys
from pathlib import Path
from shared.costs.ledger.recorder import Recorder
from shared.costs.storage import CostStorage
home, ledger, line, entry_id = sys.argv[1:]
real = os.write
def fail(*_): raise OSError(28, "No space left on device")
os.write = fail
recorder = Recorder(CostStorage(Path(home)))
recorder.record(Path(ledger), line.encode(), entry_id)
os.write = real
"""


def test_at_exit_what_is_in_memory_is_tried_once_more(storage: CostStorage, ledger: Path) -> None:
    one = entry()
    arguments = [str(storage.root), str(ledger), encode(one).decode(), one.id]
    subprocess.run([sys.executable, "-c", EXITS, *arguments], check=True, capture_output=True)
    assert ids(ledger) == [one.id]


def test_a_spool_that_cannot_be_listed_stops_nothing(storage: CostStorage, ledger: Path) -> None:
    storage.root.mkdir()
    storage.spool_dir.write_text("in the way")
    recorder, one = Recorder(storage), entry()
    assert recorder.record(ledger, encode(one), one.id).place is not None


def test_a_damaged_spool_file_is_left_for_people(storage: CostStorage, ledger: Path, tmp_path: Path) -> None:
    storage.prepare()
    bad = {"a": b"no json\nline\n", "b": b'"/x/y"\nno newline', "c": b"7\nline\n"}
    for name, content in bad.items():
        (storage.spool_dir / f"{name}{spool.SUFFIX}").write_bytes(content)
    (storage.spool_dir / f"d{spool.SUFFIX}").symlink_to(tmp_path / "victim")
    assert [one.is_damaged for one in spool.waiting(storage)] == [True] * 4
    one = entry()
    Recorder(storage).record(ledger, encode(one), one.id)
    assert len(spool.waiting_paths(storage)) == 4


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_what_waits_is_private_under_any_umask(storage: CostStorage, ledger: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        spool.put(storage, ledger, b"a line\n", "0c")
    finally:
        os.umask(before)
    [path] = spool.waiting_paths(storage)
    modes = [one.stat().st_mode & 0o777 for one in (storage.root, storage.spool_dir, path)]
    assert modes == [0o700, 0o700, 0o600]


def test_a_spool_that_leads_elsewhere_is_not_written_to(
    storage: CostStorage, ledger: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    storage.root.mkdir()
    storage.spool_dir.symlink_to(elsewhere)
    with pytest.raises(UnsafePath, match="not a directory of its own"):
        spool.put(storage, ledger, b"a line\n", "0c")
    assert list(elsewhere.iterdir()) == []


def test_a_spooled_file_is_whole_or_not_there(
    storage: CostStorage, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.prepare()
    for broken in ("sync", "create_file"):
        with monkeypatch.context() as patched:
            patched.setattr(platform, broken, fail)
            with pytest.raises(OSError, match="No space"):
                spool.put(storage, ledger, encode(entry()), "0c")
    assert os.listdir(storage.spool_dir) == []


def test_an_id_never_leads_out_of_the_spool(storage: CostStorage, ledger: Path) -> None:
    spool.put(storage, ledger, encode(entry()), "../../out")
    [waiting] = spool.waiting(storage)
    assert waiting.path.parent == storage.spool_dir


def test_what_another_process_drained_meanwhile_is_no_fault(
    storage: CostStorage, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = entry()
    spool.put(storage, ledger, encode(one), one.id)
    names, real = os.listdir(storage.spool_dir), writer.append

    def append(path: Path, data: bytes, timeout_s: float) -> AppendedLine:
        for name in names:  # another process, at the same moment
            real(path, data, timeout_s)
            (storage.spool_dir / name).unlink()
        return real(path, data, timeout_s)

    with monkeypatch.context() as patched:
        patched.setattr(recorder_module, "append", append)
        recorder_module.Drain(storage).run(lambda _: None)
    monkeypatch.setattr(spool, "listed", lambda _: names)
    assert list(spool.waiting(storage)) == []
    recorder_module.Drain(storage).run(lambda _: None)
    assert ids(ledger) == [one.id, one.id]  # one id: it counts once


def test_draining_takes_its_share_of_time_and_no_more(
    storage: CostStorage, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        one = entry()
        spool.put(storage, ledger, encode(one), one.id)
    monkeypatch.setattr(recorder_module, "DRAIN_S", -1.0)
    Recorder(storage).close()
    assert len(spool.waiting_paths(storage)) == 3


WRITER = """
import sys
from pathlib import Path
from shared.costs.ledger.writer import append
ledger = Path(sys.argv[1])
for line in sys.stdin.buffer:
    append(ledger, line, 10)
    sys.stdout.buffer.write(line[-12:])
    sys.stdout.buffer.flush()
"""


def test_what_a_killed_writer_acknowledged_is_there(ledger: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(ledger)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(3)
    ]
    lines = [[encode(entry()) for _ in range(40)] for _ in writers]
    for process, mine in zip(writers, lines, strict=True):
        assert process.stdin is not None
        process.stdin.write(b"".join(mine))
        process.stdin.flush()
    acknowledged = []
    for process in writers:
        assert process.stdout is not None
        acknowledged += [process.stdout.readline() for _ in range(5)]
        process.kill()
        acknowledged += process.communicate()[0].splitlines(keepends=True)
    found = [one.content for one in read(ledger) if isinstance(one.content, Entry)]
    sealed = {encode(one)[-12:] for one in found}
    assert {seal for seal in acknowledged if len(seal) == 12} <= sealed
    last = entry()
    writer.append(ledger, encode(last), 5)
    assert ids(ledger)[-1] == last.id


def test_eight_processes_write_eight_hundred_lines(ledger: Path, storage: CostStorage) -> None:
    code = (
        "import sys; from shared.cost_tracker import CostTracker\n"
        "with CostTracker(sys.argv[1], cost_storage_path=sys.argv[2]) as tracker:\n"
        "    for _ in range(100): tracker.log_usage('openai', 'gpt-4o', 1000, 200, stage='13')\n"
    )
    command = [sys.executable, "-c", code, str(ledger.parent), str(storage.root)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(8)]
    for process in running:
        _, said = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, said.decode()
    Recorder(storage).close()  # what had to wait on a slow machine is written now
    found = list(read(ledger))
    assert all(isinstance(one.content, Entry) for one in found)
    assert len(set(ids(ledger))) == 800
    lines = set(ledger.read_text().splitlines())  # two processes may bring one that waited: the same line
    assert len(lines) == 800
    assert sum(round(json.loads(line)["cost_usd"] * 10**9) for line in lines) == 800 * 4_500_000


class SoftLimit(Exception):
    """As a task queue raises it in a signal handler."""


HANDLED: list[BaseException] = [KeyboardInterrupt(), SoftLimit("too long"), TimeoutError("too slow")]


@pytest.mark.parametrize("raised", HANDLED, ids=lambda raised: type(raised).__name__)
@pytest.mark.parametrize("step", ["try_lock", "sync"])
def test_what_a_signal_handler_raises_goes_on_and_the_line_is_kept(
    storage: CostStorage, ledger: Path, monkeypatch: pytest.MonkeyPatch, raised: BaseException, step: str
) -> None:
    recorder, one = Recorder(storage), entry()
    real, turns = getattr(platform, step), [raised]

    def interrupted(fd: int) -> object:
        if turns:
            raise turns.pop()
        return real(fd)

    monkeypatch.setattr(platform, step, interrupted)
    with pytest.raises(type(raised)):
        recorder.record(ledger, encode(one), one.id)
    other = platform.open_file(ledger, append=True)
    assert platform.lock(other, 0)  # nobody has it any more
    platform.close(other)
    recorder.close()
    assert set(ids(ledger)) == {one.id}
    assert all(isinstance(each.content, Entry) for each in read(ledger))


def test_an_interrupt_while_spooling_leaves_the_line_on_standard_error(
    storage: CostStorage, ledger: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder, one = Recorder(storage), entry()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(platform, "try_lock", fail)
        broken.setattr(spool, "put", interrupt)
        with pytest.raises(KeyboardInterrupt):
            recorder.record(ledger, encode(one), one.id)
    assert encode(one).decode() in capsys.readouterr().err
    recorder.close()
    assert ids(ledger) == [one.id]
