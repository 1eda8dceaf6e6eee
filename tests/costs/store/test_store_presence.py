"""Which processes live, and the journal of what each holds, with real processes."""

from __future__ import annotations

import gc
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.errors import UnsafePath
from shared.costs.platform import KeptFile
from shared.costs.store import presence as module
from shared.costs.store.presence import HoldJournal, Presence, parsed, presence_in

HOLDER = """
import sys, time
from pathlib import Path
from shared.costs.store.presence import presence_in
here = presence_in(Path(sys.argv[1]))
here.begin("hold-1", b'{"amount": 7}')
print(here.name(), flush=True)
time.sleep(60)
"""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Presence]:
    made = Presence(tmp_path / "writers")
    yield made
    made.leave()


def test_a_killed_process_is_dead_and_its_journal_is_there(here: Presence) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(here.folder)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        name = holder.stdout.readline().strip()
        assert here.alive(name)
        assert here.dead([name, here.name(), "1-missing"]) == {"1-missing"}
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert not here.alive(name)
    assert here.read(name).open == {"hold-1": b'{"amount": 7}'}


def test_looking_at_the_same_time_nobody_takes_a_dead_process_for_a_living_one(here: Presence) -> None:
    here.name()
    (here.folder / "7-dead").touch(mode=0o600)
    wrong: list[bool] = []

    def look() -> None:
        wrong.extend(here.alive("7-dead") for _ in range(300))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not any(wrong)


def test_a_forked_child_is_somebody_else_and_does_not_keep_its_parent_alive(here: Presence) -> None:
    parent = here.name()
    here.begin("mine", b"{}")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, f"{here.name()} {len(here.read(here.name()).open)}".encode())
        os.close(writer)
        time.sleep(30)
        os._exit(0)
    os.close(writer)
    try:
        name, held = os.read(reader, 200).decode().split()
        assert name != parent
        assert held == "0"
        assert here.alive(name)
        here.leave()
        assert not Presence(here.folder).alive(parent)
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert not here.alive(name)


def test_all_that_ask_share_one_presence_and_one_descriptor(tmp_path: Path) -> None:
    first = presence_in(tmp_path / "writers")
    first.name()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        presence_in(tmp_path / "writers").begin("x", b"{}")
    assert presence_in(tmp_path / "." / "writers") is first
    assert len(os.listdir("/proc/self/fd")) == before
    first.leave()


@pytest.mark.no_cover
def test_dropped_ones_close_their_descriptors_without_a_word(tmp_path: Path) -> None:
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for number in range(20):
        Presence(tmp_path / str(number)).name()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_deleted_file_is_made_again_under_its_name_with_what_is_held(here: Presence) -> None:
    name = here.name()
    inode = (here.folder / name).stat().st_ino
    here.begin("a", b"1")
    here.begin("b", b"2")
    here.end("a")
    os.unlink(here.folder / name)
    assert here.name() == name
    assert (here.folder / name).stat().st_ino != inode
    assert here.read(name).open == {"b": b"2"}
    assert Presence(here.folder).alive(name)


def test_a_journal_stays_small_however_much_was_held(here: Presence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMPACT_BYTES", 2_000)
    here.begin("kept", b"{}")
    here.end("somebody-elses")
    for number in range(500):
        here.begin(f"k{number}", b"x" * 100)
        here.end(f"k{number}")
    assert (here.folder / here.name()).stat().st_size < 2_300
    assert here.read(here.name()) == HoldJournal({"kept": b"{}"}, frozenset({"somebody-elses"}))


def test_what_is_pending_stays_so_when_the_journal_is_written_anew(here: Presence) -> None:
    here.begin("granted", b"1", pending=True)
    here.begin("granted", b"1")
    here.begin("requested", b"2", pending=True)
    os.unlink(here.folder / here.name())
    name = here.name()
    assert here.read(name).pending == {"requested"}
    here.end("requested")
    assert here.read(name) == HoldJournal({"granted": b"1"})


def test_after_a_line_that_was_cut_short_the_next_one_counts(
    here: Presence, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.begin("a", b"1")
    write = KeptFile.write
    monkeypatch.setattr(KeptFile, "write", lambda file, data: write(file, data[:5]))
    with pytest.raises(OSError, match="disk full"):
        here.begin("lost", b"2")
    monkeypatch.undo()
    here.begin("b", b"3")
    assert here.read(here.name()).open == {"a": b"1", "b": b"3"}


KEYS = st.text("abc", min_size=1, max_size=2)
EVENTS = st.lists(st.tuples(st.sampled_from("HPE"), KEYS), max_size=20)


@given(EVENTS, st.integers(0, 400))
def test_a_journal_cut_anywhere_says_what_its_lines_say(events: list[tuple[str, str]], cut: int) -> None:
    lines = [f"E {key}\n" if kind == "E" else f"{kind} {key} {{}}\n" for kind, key in events]
    text = "".join(lines)[:cut]
    begun: dict[str, str] = {}
    for kind, key in events[: text.count("\n")]:
        if kind == "E":
            begun.pop(key, None)
        else:
            begun[key] = kind
    journal = parsed(text.encode())
    assert journal.open == dict.fromkeys(begun, b"{}")
    assert journal.pending == {key for key, kind in begun.items() if kind == "P"}


@given(st.binary(max_size=200))
def test_no_bytes_trouble_the_reader(data: bytes) -> None:
    assert all(b"\n" not in record for record in parsed(data).open.values())


def old(path: Path) -> None:
    os.utime(path, (0, 0))


def dead(here: Presence, name: str, text: str) -> Path:
    here.name()
    path = here.folder / name
    path.write_text(text)
    old(path)
    return path


def test_files_of_the_dead_go_when_nothing_depends_on_them(here: Presence) -> None:
    over = dead(here, "1-over", "H a {}\nE a\n")
    held = dead(here, "2-held", "H b {}\n")
    released = dead(here, "3-released", "H c {}\n")
    ends = dead(here, "4-ends", "E b\n")
    draft = dead(here, ".new-5-x", "")
    young = here.folder / "6-young"
    young.touch()
    here.tidy(lambda: ["b"])
    assert [path.exists() for path in (over, held, released, ends, draft, young)] == [
        False,
        True,
        False,
        True,
        False,
        True,
    ]
    assert (here.folder / here.name()).exists()


def test_a_file_whose_journal_holds_something_is_not_removed(here: Presence) -> None:
    kept = dead(here, "1-held", "H b {}\n")
    gone = dead(here, "2-empty", "")
    here.remove("1-held")
    here.remove("2-empty")
    here.remove("3-missing")
    assert (kept.exists(), gone.exists()) == (True, False)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_refused_and_not_waited_for(here: Presence, make: object) -> None:
    here.name()
    assert callable(make)
    make(here.folder / "1-odd")
    with pytest.raises(UnsafePath, match="1-odd"):
        here.alive("1-odd")


def test_files_are_private_under_any_umask(here: Presence) -> None:
    before = os.umask(0o277)
    try:
        path = here.folder / here.name()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
