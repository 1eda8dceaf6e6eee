"""What was counted counts on, whatever becomes of ledgers, of the files of the storage, or of both."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.cost_tracker import CostTracker
from shared.costs.errors import StorageUnavailable
from shared.costs.ledger.line import encode
from shared.costs.ledger.writer import append
from shared.costs.patience import at_most
from shared.costs.platform import SecureFile
from shared.costs.rollup import Query
from shared.costs.storage import CostStorage
from shared.costs.store import build, catchup, database, intake, tables
from shared.costs.store import gone as gone_ledgers
from shared.costs.store.database import Database, DatabaseBusy
from shared.costs.store.gone import LOST, NOTES, REPLACED, WAITING
from shared.costs.store.journal import Journal, opened
from shared.costs.store.store import Store
from tests.costs.store.store_support import WIDE, History, a_call, an_entry, month, spent

Fate = Callable[[History, Path], None]

# --- what becomes of a job


def cleared(history: History, ledger: Path) -> None:
    """The job's folder is removed."""
    shutil.rmtree(ledger.parent)
    ledger.parent.mkdir()


def emptied(history: History, ledger: Path) -> None:
    os.truncate(ledger, 0)


def cut_after_a_line(history: History, ledger: Path) -> None:
    lines = ledger.read_bytes().splitlines(keepends=True)
    os.truncate(ledger, len(b"".join(lines[: len(lines) // 2])))


def cut_within_a_line(history: History, ledger: Path) -> None:
    os.truncate(ledger, ledger.stat().st_size * 2 // 3)
    history.append_bytes(ledger, b"\n")  # as the next writer heals it


def cut_by_one_byte(history: History, ledger: Path) -> None:
    os.truncate(ledger, max(ledger.stat().st_size - 1, 0))
    history.append_bytes(ledger, b"\n")


def replaced(history: History, ledger: Path) -> None:
    """Another job's lines, in a new file."""
    fresh = ledger.with_name("fresh")
    fresh.write_bytes(b"")
    fresh.chmod(0o600)
    history.append(fresh, a_call(70_000))
    fresh.replace(ledger)


def overwritten(history: History, ledger: Path) -> None:
    """Another job's lines, in the same file."""
    ledger.write_bytes(b"")
    history.append(ledger, a_call(80_000))


def renamed(history: History, ledger: Path) -> None:
    target = ledger.parent.with_name(f"{ledger.parent.name}-renamed")
    shutil.rmtree(target, ignore_errors=True)
    ledger.parent.rename(target)
    ledger.parent.mkdir()


def renamed_and_known(history: History, ledger: Path) -> None:
    """The job goes on under its new name."""
    renamed(history, ledger)
    moved = history.job(f"{ledger.parent.name}-renamed")
    history.log(history.open(), moved, a_call(90_000))


def copied_then_deleted(history: History, ledger: Path) -> None:
    copy = history.job(f"{ledger.parent.name}-copy")
    shutil.copy2(ledger, copy)
    history.log(history.open(), copy, a_call(60_000))
    ledger.unlink()


def reversed_lines(history: History, ledger: Path) -> None:
    """The same lines in another order."""
    ledger.write_bytes(b"".join(reversed(ledger.read_bytes().splitlines(keepends=True))))


def cleared_and_restored(history: History, ledger: Path) -> None:
    data = ledger.read_bytes()
    ledger.unlink()
    month(history.open())
    ledger.write_bytes(data)
    ledger.chmod(0o600)


def swapped(history: History, ledger: Path) -> None:
    """Two ledgers take each other's places."""
    other = history.job("other")
    if not other.exists():
        history.log(history.open(), other, a_call(50_000))
    aside = ledger.with_name("aside")
    ledger.rename(aside)
    other.rename(ledger)
    aside.rename(other)


def moved_over_another(history: History, ledger: Path) -> None:
    other = history.job("target")
    history.log(history.open(), other, a_call(40_000))
    ledger.rename(other)


def a_pipe(history: History, ledger: Path) -> None:
    ledger.unlink()
    os.mkfifo(ledger)
    month(history.open())
    ledger.unlink()


def of_another_name(history: History, ledger: Path) -> None:
    """It cannot be read for a while."""
    other = ledger.with_name("second name")
    other.hardlink_to(ledger)
    month(history.open())
    other.unlink()


FATES = [
    cleared,
    emptied,
    cut_after_a_line,
    cut_within_a_line,
    cut_by_one_byte,
    replaced,
    overwritten,
    renamed,
    renamed_and_known,
    copied_then_deleted,
    reversed_lines,
    cleared_and_restored,
    swapped,
    moved_over_another,
    a_pipe,
    of_another_name,
]


def a_job(history: History, store: Store, calls: int = 4) -> Path:
    """Return the ledger of a job with some calls that were counted."""
    ledger = history.job("job")
    for number in range(calls):
        history.log(store, ledger, a_call(10**number))
    assert month(store) == history.owed
    return ledger


def lose_sums(history: History) -> None:
    """Close all stores and delete everything derived."""
    history.close()
    for path in history.storage.root.glob("sums.db*"):
        path.unlink()


@pytest.mark.parametrize("fate", FATES)
def test_what_was_counted_counts(history: History, fate: Fate) -> None:
    store, other = history.open(), history.open()
    ledger = a_job(history, store)
    assert spent(other) == history.owed
    fate(history, ledger)
    assert spent(store) == spent(other) == month(store) == month(other) == history.owed
    history.log(store, ledger, a_call(5_000_000))
    assert spent(other) == spent(store) == month(store) == history.owed
    store.rebuild()
    assert spent(other) == month(store) == month(other) == history.owed
    store.rebuild_ledger(ledger)
    assert month(store) == history.owed
    lose_sums(history)
    assert month(store) == spent(other) == history.owed
    assert sum(each.cost for each in store.gone()) <= history.owed


def pairs(of: Sequence[Fate]) -> Iterator[Any]:
    """Yield all pairs, of which each fourth is tried each time, with each of them first and second."""
    for first, second in itertools.product(range(len(of)), repeat=2):
        often = (first + second) % 4 == 0
        name = f"{of[first].__name__}-{of[second].__name__}"
        marks = () if often else pytest.mark.long
        yield pytest.param(of[first], of[second], id=name, marks=marks)


@pytest.mark.no_cover
@pytest.mark.parametrize(("first", "second"), list(pairs(FATES)))
def test_one_fate_after_the_other(
    history: History,
    first: Fate,
    second: Fate,
) -> None:
    """With nothing lost, between and after them."""
    store = history.open()
    ledger = a_job(history, store)
    first(history, ledger)
    if not ledger.exists():
        history.log(store, ledger, a_call(300_000))
    assert month(store) == history.owed
    second(history, ledger)
    assert month(store) == history.owed
    lose_sums(history)
    assert month(store) == history.owed


# --- what becomes of the files of the storage


def deleted(path: Path) -> None:
    path.unlink(missing_ok=True)


def truncated(path: Path) -> None:
    os.truncate(path, 0)


def half_of_it(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def noise(path: Path) -> None:
    path.write_bytes(random.Random(4).randbytes(max(64, path.stat().st_size)))


HURTS = [deleted, truncated, half_of_it, noise]


@pytest.mark.no_cover
@pytest.mark.parametrize("name", ["sums.db", "sums.db-seal", "kept.journal", "ledgers.journal"])
@pytest.mark.parametrize("hurt", HURTS)
@pytest.mark.parametrize("is_open", [True, False])
def test_one_lost_file_loses_no_money(
    history: History, name: str, hurt: Callable[[Path], None], is_open: bool
) -> None:
    store = history.open()
    ledger = a_job(history, store)
    history.log(store, history.job("kept"), a_call(20_000_000))
    emptied(history, ledger)
    assert month(store) == history.owed
    if not is_open:
        history.close()
    hurt(history.storage.root / name)
    assert month(store) == history.owed
    assert spent(store) == history.owed
    assert store.degraded is None
    history.log(store, ledger, a_call(7))
    assert spent(store) == month(history.open()) == history.owed


@pytest.mark.parametrize("name", ["kept.journal", "ledgers.journal"])
@pytest.mark.parametrize("hurt", [deleted, truncated, half_of_it])
def test_what_was_lost_is_written_again(history: History, name: str, hurt: Callable[[Path], None]) -> None:
    """First one file is lost and, after a look, the sums."""
    store = history.open()
    ledger = a_job(history, store)
    history.log(store, history.job("there"), a_call(20_000_000))
    emptied(history, ledger)
    assert month(store) == history.owed
    hurt(history.storage.root / name)
    assert month(store) == history.owed
    lose_sums(history)
    assert month(store) == history.owed


def test_what_a_process_wrote_last_is_taken_in_before_it_ends(history: History) -> None:
    """A job that was never looked at is cleared when its process has ended."""
    month(history.open())
    program = """
import sys
from shared.cost_tracker import CostTracker
tracker = CostTracker(sys.argv[1], "1", cost_storage_path=sys.argv[2])
for _ in range(3):
    tracker.log_usage("openai", "gpt-4o", 1000, 100)
"""
    job = history.root / "jobs" / "short"
    arguments = [sys.executable, "-c", program, str(job), str(history.storage.root)]
    subprocess.run(arguments, check=True)
    shutil.rmtree(job)
    assert month(history.open()) == 3 * 3_500_000


def test_a_file_of_the_same_inode_and_size_is_read_anew(history: History) -> None:
    store, other = history.open(), history.open()
    ledger = history.job("job")
    for each in (store, other):
        each.note(ledger)
        month(each)
    history.log(other, ledger, a_call(10))
    other.close()
    assert spent(store) == 10
    time.sleep(0.02)  # the kernel's clock has to go on
    ledger.unlink()
    again = history.open()
    history.log(again, ledger, a_call(10))
    history.append(ledger, a_call(100))
    assert spent(store) == month(store) == 120


# --- several sums of one storage


def in_memory(history: History) -> Store:
    """Return a store that cannot use the file."""
    store = history.open()
    store._memory = Database(None, tables.SCHEMA, tables.FORMAT)
    store._retry_at = time.monotonic() + 1_000
    return store


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("more", [0, 2])
def test_a_ledger_that_two_sums_keep_counts_once(history: History, first: bool, more: int) -> None:
    """One process adds up in memory, another in the file, and both keep what was counted of a ledger."""
    store = history.open()
    ledger = a_job(history, store)
    memory = in_memory(history)
    assert month(memory) == history.owed
    for number in range(more):
        history.append(ledger, a_call(3 + number))
    assert month(memory) == history.owed
    emptied(history, ledger)
    for each in (memory, store) if first else (store, memory):
        month(each)
    assert month(memory) == month(store) == history.owed
    lose_sums(history)
    assert month(store) == history.owed


def test_what_only_sums_in_memory_have_seen_is_counted_in_the_file_too(history: History) -> None:
    store = history.open()
    a_job(history, store)
    memory, ledger = in_memory(history), history.job("short")
    memory.note(ledger)
    history.append(ledger, a_call(9_000))
    assert month(memory) == history.owed
    ledger.unlink()
    assert month(memory) == history.owed
    assert month(store) == spent(store) == history.owed


def test_what_was_kept_of_a_ledger_that_came_back_gives_way(history: History) -> None:
    """Another process took it for gone, as on a disk that was not mounted for a moment."""
    store = history.open()
    ledger = a_job(history, store)
    away = ledger.with_name("away")
    ledger.rename(away)
    memory = in_memory(history)
    aside = history.open()
    assert month(aside) == history.owed
    away.rename(ledger)
    history.append(ledger, a_call(70))
    assert month(store) == month(memory) == month(aside) == history.owed
    lose_sums(history)
    assert month(store) == history.owed


def test_a_kept_ledger_that_is_there_in_part(history: History) -> None:
    """The sums have read less of it than was kept, and the rest is read later."""
    store = history.open()
    ledger = a_job(history, store)
    data = ledger.read_bytes()
    memory = in_memory(history)
    history.append(ledger, a_call(5_000))
    assert month(memory) == history.owed
    rest = ledger.read_bytes()[len(data) :]
    ledger.unlink()
    assert month(memory) == history.owed  # and keeps it
    ledger.write_bytes(data)
    ledger.chmod(0o600)
    assert month(store) == history.owed
    history.append_bytes(ledger, rest)
    assert month(store) == month(memory) == history.owed
    lose_sums(history)
    assert month(store) == history.owed


# --- rebuilding


def test_a_rebuild_keeps_what_cannot_be_read(history: History) -> None:
    store = history.open()
    ledger = a_job(history, store)
    other = history.job("other")
    history.log(store, other, a_call(5))
    other.write_bytes(other.read_bytes() + ledger.read_bytes())
    second = ledger.with_name("second name")
    second.hardlink_to(ledger)
    rebuilt = store.rebuild()
    assert [path for path, _ in rebuilt.unread] == [ledger]
    assert "2 names (hard links)" in rebuilt.unread[0][1]
    assert month(store) == history.owed
    assert [problem.path for problem in store.problems()] == [ledger]
    second.unlink()
    history.append(ledger, a_call(77))
    assert month(store) == history.owed
    assert store.problems() == []


def test_a_rebuild_carries_over_what_nothing_else_has(history: History) -> None:
    """A ledger in whose place a folder stands, and lines that waited in a spool that was cleared."""
    store = history.open()
    ledger, other, lost = a_job(history, store), history.job("other"), a_call(77)
    ledger.unlink()
    ledger.mkdir()
    store.waits(other, encode(lost))
    history.counted[lost.id] = (other, lost)
    for _ in range(2):
        assert [path for path, _ in store.rebuild().unread] == [ledger]
        assert spent(store) == month(store) == history.owed
    ledger.rmdir()
    assert month(store) == history.owed
    assert sorted(each.why for each in store.gone()) == [REPLACED, WAITING]


def test_a_rebuild_carries_over_a_ledger_that_the_disk_does_not_give(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the lines of it that do not count: it goes on where it was when it can be read again."""
    store = history.open()
    first, second = a_job(history, store), history.job("second")
    history.append_bytes(second, first.read_bytes())
    history.log(store, second, a_call(77))
    assert month(store) == history.owed

    def unreadable(path: bytes | Path, **how: bool) -> SecureFile:
        if os.fsencode(path) == os.fsencode(second):
            raise OSError(5, "Input/output error")
        return opened(path, **how)

    with monkeypatch.context() as disk:
        disk.setattr(build, "opened", unreadable)
        disk.setattr(intake, "opened", unreadable)
        assert [path for path, _ in store.rebuild().unread] == [second]
        assert month(store) == history.owed
    assert month(store) == history.owed
    assert sum(1 for _ in store.entries(Query())) == len(history.counted)
    assert (store.problems(), store.gone()) == ([], [])


def test_a_rebuild_waits_for_nobody_who_has_the_sums_for_long(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they know may be known to nobody else: it is tried again later."""
    store = history.open()
    a_job(history, store)
    assert month(store) == history.owed

    def busy(*_: object, **__: object) -> int:
        raise DatabaseBusy("another process has it")

    with monkeypatch.context() as held:
        held.setattr(catchup.CatchUp, "bring_up", busy)
        with pytest.raises(DatabaseBusy, match="another process has it"):
            build.rebuild(store._file, store._known)
    assert month(store) == history.owed


@pytest.mark.parametrize("fate", [cleared, emptied, cut_after_a_line, renamed, replaced])
def test_what_changes_during_a_rebuild_counts(
    history: History, fate: Callable[[History, Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = history.open(), history.open()
    ledger = a_job(history, store)
    history.log(store, history.job("more"), a_call(5))
    assert spent(other) == history.owed
    told: list[int] = []

    def change(_: int, __: int) -> None:
        if not told:
            fate(history, ledger)
            month(other)
        told.append(1)

    store.rebuild(change)
    assert told
    assert month(store) == month(other) == history.owed
    lose_sums(history)
    assert month(store) == history.owed


def test_a_ledger_goes_between_the_look_and_the_reading(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = history.open()
    ledger = a_job(history, store)
    from shared.costs.store import build

    real = build._chunks

    def late(rows: list[tables.LedgerRow]) -> object:
        os.truncate(ledger, 0)
        return real(rows)

    monkeypatch.setattr(build, "_chunks", late)
    store.rebuild()
    assert month(store) == history.owed


@pytest.mark.parametrize("fate", [cleared, emptied, cut_after_a_line])
def test_one_ledger_is_rebuilt_that_changed_unseen(
    history: History, fate: Callable[[History, Path], None]
) -> None:
    store = history.open()
    ledger = a_job(history, store)
    fate(history, ledger)
    store.rebuild_ledger(ledger)
    assert month(store) == history.owed


def test_an_unknown_ledger_is_left_alone(history: History) -> None:
    store = history.open()
    a_job(history, store)
    ledger = history.job("unknown")
    history.append(ledger, a_call(5), counts=False)
    store.catch_up(ledger)
    store.rebuild_ledger(ledger)
    store.rebuild_ledger(Path("/not/there"))
    assert month(store) == history.owed
    assert ledger not in store.ledgers()


# --- names and notes


def test_paths_that_are_no_text(history: History) -> None:
    store = history.open()
    for name in (b"j\xff\n", b"\xc3(", b"tab\t and blank ", b"x" * 200):
        ledger = Path(os.fsdecode(os.fsencode(history.root) + b"/jobs/" + name)) / "cost_ledger.jsonl"
        ledger.parent.mkdir(parents=True)
        history.ledgers.append(ledger)
        call = a_call(10)
        history.log(store, ledger, call)
        history.append(history.job("repeats"), call)
        history.append(history.job("repeats"), replace(call, model="another"))
        store.note(history.job("repeats"))
        assert month(store) == spent(store) == history.owed
        second = ledger.with_name("second name")
        second.hardlink_to(ledger)
        history.append(ledger, a_call(3))
        assert month(store) == spent(store) == history.owed - 3
        assert len(store.problems()) == len(history.ledgers)
        second.unlink()
        assert month(store) == history.owed
    assert set(store.ledgers()) == set(history.ledgers)
    assert {job.ledger for job in store.jobs(Query())} == set(history.ledgers)
    lose_sums(history)
    assert month(store) == spent(store) == history.owed


def test_a_torn_note_is_read_once(history: History) -> None:
    store = history.open()
    a_job(history, store)
    store.close()
    with (history.storage.root / "ledgers.journal").open("ab") as notes:
        notes.write(b"\n0000")
    store = history.open()
    month(store)
    assert store.version == store.version
    history.log(store, history.job("next"), a_call(6))
    assert month(history.open()) == history.owed


def test_a_ledger_is_known_before_it_is_written_to(history: History) -> None:
    store, ledger = history.open(), history.job("new")
    assert store.note(ledger)
    notes = Journal(history.storage.root / "ledgers.journal").news().records
    assert notes == [store.presence.name().encode() + b" " + os.fsencode(ledger)]
    assert store.note(ledger)
    assert len(Journal(history.storage.root / "ledgers.journal").news().records) == 1


@pytest.mark.parametrize("kind", ["directory", "link", "pipe"])
def test_a_note_that_cannot_be_made_is_told(history: History, kind: str) -> None:
    store, ledger = history.open(), history.job("new")
    month(store)
    path = history.storage.root / "ledgers.journal"
    path.unlink(missing_ok=True)
    history.storage.root.mkdir(exist_ok=True)
    make: dict[str, Callable[[], None]] = {
        "directory": path.mkdir,
        "link": lambda: path.symlink_to("/nowhere"),
        "pipe": lambda: os.mkfifo(path),
    }
    make[kind]()
    assert not store.note(ledger)
    assert str(ledger) in str(store.degraded)
    if kind == "directory":
        path.rmdir()
    else:
        path.unlink()
    assert store.note(ledger)
    assert store.degraded is None


def test_ten_thousand_small_changes_do_not_grow_the_storage(history: History) -> None:
    """What is looked at again and again is written once."""
    store = history.open()
    ledger = a_job(history, store)
    emptied(history, ledger)
    month(store)
    sizes = {path: path.stat().st_size for path in history.storage.root.glob("*.journal")}
    for _ in range(50):
        month(store)
        store.rebuild()
    assert {path: path.stat().st_size for path in history.storage.root.glob("*.journal")} == sizes


def test_lines_of_others_and_ones_own_are_told_apart(history: History) -> None:
    """A gone ledger's entries are passed over, and whoever asks is told."""
    store = history.open()
    ledger = a_job(history, store)
    line = encode(an_entry(random.Random(1), id="later"))
    ledger.write_bytes(line)
    missed: list[Path] = []
    entries = list(store.entries(Query(), lambda path, _: missed.append(path)))
    assert [entry.id for entry in entries] == ["later"]
    assert missed == [ledger]


def test_a_request_is_repeated_after_its_ledger_was_replaced(history: History) -> None:
    """Another call stands where it stood; it counts once, and says what it costs itself."""
    job = history.root / "jobs" / "again"
    with CostTracker(job, "1", cost_storage_path=history.storage.root) as tracker:
        cost = tracker.log_usage("openai", "gpt-4o", 1000, 100, request_id="first")
        shutil.rmtree(job)
        other = tracker.log_usage("openai", "gpt-4o", 7000, 100, request_id="second")
        assert tracker.log_usage("openai", "gpt-4o", 1000, 100, request_id="first") == cost != other
        assert tracker.get_monthly_cost() == cost + other


def test_notes_that_are_none_are_passed_over(history: History) -> None:
    """Whoever writes there has this account: a newer version, or a program that means no good."""
    store = history.open()
    a_job(history, store)
    odd = (
        b"no path",
        b"- ",
        b"- relative/path",
        b"- /nul\0byte",
        b"\xff\xfe /x",
        b"../../passwd /y",
        b"1-z /z",
    )
    Journal(history.storage.root / "ledgers.journal").append(*odd)
    before = store.ledgers()
    assert month(store) == spent(store) == history.owed
    store.rebuild()
    assert month(store) == history.owed
    assert store.ledgers() == before


@pytest.mark.parametrize("record", [b"no json", b"[]", b'{"row": []}', b'{"row": ["", "", "seven"]}'])
def test_a_kept_record_that_is_not_understood_is_told(history: History, record: bytes) -> None:
    store = history.open()
    a_job(history, store)
    Journal(history.storage.root / "kept.journal").append(record)
    with pytest.raises(StorageUnavailable, match="newer version"):
        month(store)
    assert store.note(history.job("next"))


def kept_otherwise(history: History, change: Callable[[dict[str, Any]], object]) -> Store:
    """Keep what a ledger had under a reservation as another version does; return a store without sums."""
    writer = history.open()
    ledger = history.job("gone")
    history.log(writer, ledger, a_call(7, reservation="hold-1"))
    shutil.rmtree(ledger.parent)
    assert month(writer) == 7
    writer.close()
    path = history.storage.root / "kept.journal"
    records = list(map(json.loads, Journal(path).news().records))
    path.unlink()
    for record in records:
        if "row" in record:
            change(record)
        Journal(path).append(json.dumps(record).encode())
    lose_sums(history)
    return history.open()


def test_what_an_earlier_version_kept_counts(history: History) -> None:
    """It did not count which calls under a reservation have no price."""
    store = kept_otherwise(history, lambda record: record["reserved"]["hold-1"].pop())
    assert month(store) == spent(store) == history.owed
    assert store.logged(["hold-1"]) == {"hold-1": (1, 7, 0)}


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record["reserved"]["hold-1"].append(0),
        lambda record: record["cells"][0][2].append(0),
        lambda record: record["cells"][0][1].append(""),
    ],
    ids=["reserved", "sums", "dimensions"],
)
def test_what_a_later_version_kept_is_told(
    history: History, change: Callable[[dict[str, Any]], object]
) -> None:
    """A call is logged all the same: its line counts as soon as this version can read what was kept."""
    store = kept_otherwise(history, change)
    with pytest.raises(StorageUnavailable, match="newer version"):
        month(store)
    assert history.log(store, history.job("next"), a_call(1), [WIDE]) is None


@pytest.mark.parametrize("hurt", [*HURTS, lambda path: path.write_bytes(b"x" * path.stat().st_size)])
def test_a_rebuild_after_the_notes_were_lost(history: History, hurt: Callable[[Path], None]) -> None:
    """What the sums know is noted again, and with it who writes there."""
    store, writer = history.open(), history.open()
    ledger = history.job("job")
    history.log(writer, ledger, a_call(5))
    history.log(store, history.job("other"), a_call(50))
    assert month(store) == history.owed
    hurt(history.storage.root / "ledgers.journal")
    store.rebuild()
    assert month(store) == history.owed
    history.append(ledger, a_call(500))
    assert spent(store) == month(store) == history.owed
    lose_sums(history)
    assert month(store) == history.owed


def test_a_ledger_and_the_sums_lost_together_are_told(tmp_path: Path) -> None:
    """What neither the ledger nor the storage has any more cannot be counted: the answer says so."""
    tmp_path = tmp_path.resolve()
    home, ledger = CostStorage(tmp_path / "costs"), tmp_path / "job" / "cost_ledger.jsonl"
    ledger.parent.mkdir()
    with Store.of(home) as store:
        store.note(ledger)
        append(ledger, encode(a_call(5)), 1.0)
        assert store.groups((), Query())[0].totals.calls == 1
    saved = ledger.read_bytes()
    shutil.rmtree(ledger.parent)
    for file in home.root.glob("sums.db*"):
        file.unlink()
    with Store.of(home) as store:
        assert store.groups((), Query()) == []
        [problem] = store.problems()
        assert (problem.path, "what was counted of it is lost" in problem.why) == (ledger, True)
        assert [path for path, _ in store.rebuild().unread] == [ledger]
        assert store.problems() == [problem]
        ledger.parent.mkdir()
        append(ledger, encode(a_call(5)), 1.0)
        assert (store.groups((), Query())[0].totals.calls, store.problems()) == (1, [problem])
        ledger.write_bytes(saved)  # it was put back
        assert (store.groups((), Query())[0].totals.calls, store.problems()) == (2, [])
        shutil.rmtree(ledger.parent)  # and went as any other: what it said is kept
        assert (store.groups((), Query())[0].totals.calls, store.problems()) == (2, [])
    for file in home.root.glob("sums.db*"):
        file.unlink()
    with Store.of(home) as store:
        assert (store.groups((), Query())[0].totals.calls, store.problems()) == (2, [])


@pytest.mark.no_cover
@pytest.mark.parametrize("fate", [cleared, emptied, cut_after_a_line, replaced, overwritten])
@pytest.mark.parametrize("again", ["lost again", "rebuilt", "its journal is lost", "gone again"])
def test_a_ledger_that_was_cut_together_with_the_sums_is_told(
    history: History, fate: Callable[[History, Path], None], again: str
) -> None:
    """Whatever stands in its place, and whatever is lost next."""
    store = history.open()
    ledger = a_job(history, store)
    store.close()
    saved = ledger.read_bytes()
    fate(history, ledger)
    lose_sums(history)
    store = history.open()
    said = month(store)
    assert said < history.owed
    [problem] = store.problems()
    assert (problem.path, problem.why) == (ledger, LOST)
    if again == "lost again":
        lose_sums(history)
    elif again == "rebuilt":
        store.rebuild()
    elif again == "its journal is lost":
        (history.storage.root / "kept.journal").unlink()
    else:
        history.log(store, ledger, a_call(3))
        shutil.rmtree(ledger.parent)
        said += 3
    assert (month(store), store.problems()) == (said, [problem])
    if again in ("lost again", "rebuilt"):
        ledger.parent.mkdir(exist_ok=True)
        ledger.write_bytes(saved)
        assert (month(history.open()), history.open().problems()) == (history.owed, [])


@pytest.mark.parametrize(
    "hurt", [noise, half_of_it, lambda path: path.write_bytes(b"\n" * path.stat().st_size)]
)
def test_notes_that_were_damaged_in_place_are_noted_again(
    history: History, hurt: Callable[[Path], None]
) -> None:
    """At the next look: the loss of the sums, at any time after, loses no ledger from sight."""
    store = history.open()
    for number in range(3):
        history.log(store, history.job(f"job-{number}"), a_call(5))
    assert month(store) == history.owed
    hurt(history.storage.root / "ledgers.journal")
    assert month(store) == history.owed
    lose_sums(history)
    assert month(history.open()) == history.owed


def test_the_journal_of_gone_ledgers_is_shortened(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of what it says is over when ledgers go and come back, or grow."""
    monkeypatch.setattr(gone_ledgers, "SHORTEN_BYTES", 2_000)
    store, sizes = history.open(), list[int]()
    gone, coming, growing = a_job(history, store), history.job("coming"), history.job("growing")
    cleared(history, gone)
    history.log(store, coming, a_call(7))
    for _ in range(30):
        history.log(store, growing, a_call(1))
        saved = coming.read_bytes()
        coming.unlink()
        assert month(store) == history.owed
        coming.write_bytes(saved)
        assert month(store) == history.owed
        sizes.append((history.storage.root / "kept.journal").stat().st_size)
    assert max(sizes) < 10_000
    lose_sums(history)
    assert (month(history.open()), history.open().problems()) == (history.owed, [])


def test_what_is_appended_while_a_journal_is_shortened_stays(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.append(b"over", b"kept")

    def shorter(records: list[bytes]) -> list[bytes]:
        journal.append(b"meanwhile")
        journal.rewrite(lambda _: [])  # another is at it: nothing is done
        return records[1:]

    journal.rewrite(shorter)
    journal.append(b"later")
    assert journal.news()[:2] == ([b"kept", b"meanwhile", b"later"], 0)
    assert [path.name for path in tmp_path.glob("journal*")] == ["journal"]


def test_sums_of_an_earlier_version_know_what_is_gone_since(history: History) -> None:
    store = history.open()
    ledger = a_job(history, store)
    store.close()
    with closing(sqlite3.connect(history.storage.sums_path, isolation_level=None)) as db:
        db.execute(f"PRAGMA user_version={tables.FORMAT - 1}")
    with opened(history.storage.root / "sums.db-seal", write=True) as seal:
        database._set_seal(history.storage.sums_path, seal)
    shutil.rmtree(ledger.parent)
    again = history.open()
    assert (month(again), again.problems()) == (history.owed, [])


LOGS_AND_LOSES_ITS_STORAGE = """
import shutil, sys
from shared.cost_tracker import CostTracker
tracker = CostTracker(sys.argv[1], "1", cost_storage_path=sys.argv[2])
tracker.log_usage("openai", "gpt-4o", 1000, 100)
shutil.rmtree(sys.argv[2])
if sys.argv[3] == "closed":
    tracker.close()
"""


@pytest.mark.parametrize("ends", ["closed", "open"])
def test_a_storage_that_was_deleted_does_not_come_back_as_its_process_ends(
    history: History, ends: str
) -> None:
    job, storage = history.root / "jobs" / "short", history.root / "its own storage"
    arguments = [sys.executable, "-c", LOGS_AND_LOSES_ITS_STORAGE, str(job), str(storage), ends]
    subprocess.run(arguments, check=True)
    assert not storage.exists()
    assert (job / "cost_ledger.jsonl").exists()


def test_a_storage_that_is_out_of_reach_at_the_end_is_left_as_it_is(history: History) -> None:
    """As where its folder may not be entered any more: a server ended with a fault, and exit code 3."""
    store = history.open()
    ledger = history.job("job")
    store.note(ledger)
    history.log(store, ledger, a_call(10))
    assert month(store) == 10
    aside = history.storage.root.with_name("aside")
    history.storage.root.rename(aside)
    history.storage.root.write_text("a file")
    store.close()
    assert history.storage.root.read_text() == "a file"
    history.storage.root.unlink()
    aside.rename(history.storage.root)
    again = history.open()
    assert (month(again), again.problems()) == (10, [])


def test_a_rebuild_tells_moved_ledgers_from_lost_ones(history: History) -> None:
    """What was renamed counts elsewhere: it is not lost, also where the journal of gone ledgers was."""
    store = history.open()
    ledger = history.job("old name")
    store.note(ledger)
    history.log(store, ledger, a_call(10))
    assert month(store) == 10
    ledger.parent.rename(ledger.parent.with_name("new name"))
    store.add([history.root / "jobs" / "new name" / ledger.name])
    assert month(store) == 10
    (history.storage.root / "kept.journal").unlink(missing_ok=True)
    assert month(store) == 10
    assert store.rebuild().unread == ()
    assert month(store) == 10
    lose_sums(history)
    again = history.open()
    assert (month(again), again.problems()) == (10, [])


@pytest.mark.parametrize("seal", ["lost", "torn", "changed"])
def test_a_ledger_that_goes_together_with_the_seal(history: History, seal: str) -> None:
    """A writer killed as it writes back leaves no seal; a seal that tells of a change is believed."""
    store = history.open()
    ledger = history.job("job")
    store.note(ledger)
    history.log(store, ledger, a_call(10))
    assert month(store) == 10
    store.close()
    shutil.rmtree(ledger.parent)
    path = history.storage.root / "sums.db-seal"
    if seal == "lost":
        path.unlink()
    elif seal == "torn":
        path.write_bytes(path.read_bytes()[:20])
    else:
        os.utime(history.storage.root / "sums.db", ns=(1, 1))
    again = history.open()
    if seal == "changed":
        assert month(again) == 0
        [problem] = again.problems()
        assert "what was counted of it is lost" in problem.why
    else:
        assert month(again) == month(history.open()) == 10
        assert again.problems() == []


@pytest.mark.parametrize("lost", ["sums.db", "sums.db-seal"])
def test_a_ledger_that_cannot_be_read_as_the_sums_go(history: History, lost: str) -> None:
    """Its sums are kept elsewhere too, as nothing can tell them any more."""
    store = history.open()
    ledger = a_job(history, store)
    saved = ledger.rename(ledger.with_name("aside"))
    ledger.mkdir()
    assert month(store) == history.owed
    store.close()
    for path in history.storage.root.glob(f"{lost}*"):
        path.unlink()
    again = history.open()
    assert month(again) == history.owed
    assert [problem.path for problem in again.problems()] == [ledger]
    ledger.rmdir()
    saved.rename(ledger)
    assert month(again) == history.owed
    assert (again.problems(), again.gone()) == ([], [])


def test_a_rebuild_keeps_what_was_replaced_unseen(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ledgers to which nobody writes are looked at in turns: a rebuild looks at all of them first."""
    store = history.open()
    ledgers = [history.job(f"job-{number}") for number in range(5)]
    for ledger in ledgers:
        history.append(ledger, a_call(10))
    store.add(ledgers)
    assert month(store) == 50
    monkeypatch.setattr(catchup, "AT_ONCE", 1)
    monkeypatch.setattr(catchup, "TURN_S", -1.0)
    for ledger in ledgers:
        ledger.unlink()
        history.append(ledger, a_call(100))
    store.rebuild()
    assert month(store) == month(history.open()) == 550


# --- the sums and what was kept beside them, both lost


@pytest.mark.parametrize("hurt", [deleted, truncated, noise])
@pytest.mark.parametrize("seal", [deleted, half_of_it])
def test_the_seal_and_the_journal_of_gone_ledgers_are_lost(
    history: History, seal: Callable[[Path], None], hurt: Callable[[Path], None]
) -> None:
    """What the sums have of a ledger that went before is in no other file: they are still whole."""
    store = history.open()
    ledger = a_job(history, store)
    history.log(store, history.job("there"), a_call(20_000_000))
    emptied(history, ledger)
    assert month(store) == history.owed
    store.close()
    seal(history.storage.root / "sums.db-seal")
    hurt(history.storage.root / "kept.journal")
    assert (month(history.open()), history.open().problems()) == (history.owed, [])
    lose_sums(history)
    assert (month(history.open()), history.open().problems()) == (history.owed, [])


@pytest.mark.parametrize("fate", [cleared, emptied, replaced])
@pytest.mark.parametrize("hurt", HURTS)
def test_the_sums_and_what_was_kept_of_a_gone_ledger_are_lost(
    history: History, hurt: Callable[[Path], None], fate: Fate
) -> None:
    """The notes tell that something was counted: the answer says what it lacks until that is back."""
    store = history.open()
    ledger = a_job(history, store)
    saved = ledger.read_bytes()
    fate(history, ledger)
    assert month(store) == history.owed
    lose_sums(history)
    hurt(history.storage.root / "kept.journal")
    store = history.open()
    assert month(store) < history.owed
    [problem] = store.problems()
    assert (problem.path, problem.length, problem.is_lost) == (ledger, len(saved), True)
    lose_sums(history)
    ledger.write_bytes(saved)
    ledger.chmod(0o600)
    store = history.open()
    assert (month(store), store.problems()) == (sum(e.cost for _, e in history.there()), [])


@pytest.mark.parametrize("shortened", [False, True])
def test_what_came_back_is_not_taken_for_lost(
    history: History, monkeypatch: pytest.MonkeyPatch, shortened: bool
) -> None:
    """Files of the storage are lost one after the other, each looked at, when nothing is missed any more."""
    monkeypatch.setattr(gone_ledgers, "SHORTEN_BYTES", 0 if shortened else 1 << 20)
    store = history.open()
    ledger, gone = a_job(history, store), history.job("gone")
    history.log(store, gone, a_call(9))
    gone.unlink()
    saved = ledger.read_bytes()
    for _ in range(2):
        ledger.unlink()
        assert month(store) == history.owed
        ledger.write_bytes(saved)
        assert month(store) == history.owed
    for name in ("kept.journal", "ledgers.journal", "kept.journal"):
        (history.storage.root / name).unlink()
        assert month(store) == history.owed
        lose_sums(history)
        store = history.open()
        assert (month(store), store.problems()) == (history.owed, [])


def test_every_ledger_is_noted_again_after_the_storage_was_deleted(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by who writes to many and asks nothing between, as an import does."""
    monkeypatch.setattr(catchup, "LOOK_S", 0)
    ledgers = [history.job(name) for name in ("first", "second", "third")]
    for _ in range(2):
        shutil.rmtree(history.storage.root, ignore_errors=True)
        history.storage.prepare()
        assert all(map(Store.of(history.storage).note, ledgers))
    notes = (history.storage.root / NOTES).read_bytes()
    assert [os.fsencode(ledger) in notes for ledger in ledgers] == [True] * 3


@pytest.mark.parametrize("is_asked", [True, False])
def test_a_call_after_the_storage_was_deleted_is_seen_by_others(
    history: History, monkeypatch: pytest.MonkeyPatch, is_asked: bool
) -> None:
    """At once, also where its process believes its notes and logs no other call."""
    monkeypatch.setattr(catchup, "LOOK_S", 1_000.0)
    store = history.open()
    ledger = a_job(history, store)
    shutil.rmtree(history.storage.root)
    assert month(history.open()) == 0  # nobody knows of the ledger
    history.log(store, ledger, a_call(77), [Query()] if is_asked else [])
    with at_most(1.0):
        assert spent(history.open()) == history.owed
    assert month(history.open()) == history.owed


@pytest.mark.parametrize("hurt", [deleted, truncated, noise])
def test_the_sums_and_the_notes_are_lost(history: History, hurt: Callable[[Path], None]) -> None:
    """What is kept beside the sums names every ledger that was ever counted."""
    store = history.open()
    ledger = a_job(history, store)
    history.log(store, history.job("there"), a_call(20_000_000))
    history.log(store, history.job("moved"), a_call(40_000_000))
    assert month(store) == history.owed
    cleared(history, ledger)
    history.job("moved").parent.rename(history.root / "jobs" / "elsewhere")
    assert month(store) == history.owed
    lose_sums(history)
    hurt(history.storage.root / "ledgers.journal")
    store = history.open()
    assert (month(store), store.problems()) == (history.owed, [])
    lose_sums(history)
    assert month(history.open()) == history.owed
