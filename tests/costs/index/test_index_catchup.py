"""Catching up: the index takes in what was appended, whoever did it and whatever became of the files."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from scripts.faults.index_histories import BEGIN, PRICED, History, an_entry, assert_is_fold
from shared.costs.index import catchup, intake
from shared.costs.index.index import Index
from shared.costs.index.staging import SETTLE_AT
from shared.costs.ledger.line import encode, seal
from shared.costs.ledger.spool import put, waiting
from shared.costs.model import Charge, Usage
from shared.costs.money import Nanos
from shared.costs.rollup import Query


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path).filled(random.Random(5), jobs=2, calls=5)


def _calls(index: Index, query: Query | None = None) -> int:
    index.catch_up_all()
    groups = index.groups((), query or Query())
    return groups[0].totals.calls if groups else 0


def _unindexed(history: History, ledger: Path, count: int = 1, **fields: object) -> None:
    """Append as a process that died before it told the index."""
    chance = random.Random(9)
    with history.open() as index:
        index.register(ledger, ledger.parent.name)
    for _ in range(count):
        history.append(ledger, an_entry(chance, job_id=ledger.parent.name, **fields))


def test_entries_of_a_process_that_died_are_seen(history: History) -> None:
    _unindexed(history, history.job("job-1"), 3)
    with history.open() as index:
        assert _calls(index) == 13
        assert_is_fold(index, history)


def test_one_ledger_can_be_caught_up_alone(history: History) -> None:
    _unindexed(history, history.job("job-0"))
    with history.open() as index:
        index.catch_up(history.job("job-0"))
        index.catch_up(Path("/not/registered"))
        assert index.groups((), Query(ledger=history.job("job-0")))[0].totals.calls == 6


def test_another_process_appends_in_between(history: History) -> None:
    chance, ledger = random.Random(3), history.job("job-0")
    with history.open() as mine, history.open() as other:
        history.log(mine, ledger, an_entry(chance))
        history.log(other, ledger, an_entry(chance))
        history.append(ledger, an_entry(chance))
        history.log(mine, ledger, an_entry(chance))
        assert_is_fold(mine, history)
        assert_is_fold(other, history)


def test_an_entry_that_was_taken_in_already_is_not_counted_again(history: History) -> None:
    ledger, entry = history.job("job-0"), an_entry(random.Random(3))
    with history.open() as mine, history.open() as other:
        mine.register(ledger, "job-0")
        place, line = history.append(ledger, entry)
        assert _calls(other) == 11
        assert mine.note_appended(ledger, entry, place, line)
        assert_is_fold(mine, history)


def test_lines_shorter_than_a_fingerprint_and_notes_without_the_line(tmp_path: Path) -> None:
    history = History(tmp_path)
    ledger = history.job("j")
    with history.open() as index:
        index.register(ledger, "j")
        for number in range(4):
            entry = an_entry(random.Random(number), id=f"{number}", user_id="1")
            place, _ = history.append(ledger, entry)
            assert index.note_appended(ledger, entry, place)
        history.append_bytes(ledger, seal(b'{"v":9,"id":"x"') + b"short\n")
        assert_is_fold(index, history)
        assert len(index.problems()) == 2


def test_a_torn_tail_waits_for_its_end(history: History) -> None:
    ledger, entry = history.job("job-0"), an_entry(random.Random(4))
    line = encode(entry)
    with history.open() as index:
        index.register(ledger, "job-0")
        history.append_bytes(ledger, line[:200])
        assert _calls(index) == 10
        history.append_bytes(ledger, line[200:])
        assert _calls(index) == 11
        assert index.problems() == []


def test_damaged_lines_are_reported_and_reading_goes_on(history: History) -> None:
    ledger = history.job("job-0")
    size = ledger.stat().st_size
    history.append_bytes(ledger, b"no entry at all\n" + b"x" * 20_000 + b"\n\n")
    _unindexed(history, ledger)
    with history.open() as index:
        assert _calls(index) == 11
        assert [(p.path, p.offset, p.why) for p in index.problems()] == [
            (ledger, size, "cut off: it has no checksum at its end"),
            (ledger, size + 16, "longer than 8192 bytes"),
            (ledger, size + 16 + 20_001, "empty line"),
        ]
        assert_is_fold(index, history)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_an_id_that_occurs_twice_counts_once(history: History, elsewhere: bool) -> None:
    first = history.job("job-0")
    again = history.job("job-1") if elsewhere else first
    line = first.read_bytes().splitlines(keepends=True)[0]
    history.append_bytes(again, line)
    _unindexed(history, again)
    with history.open() as index:
        assert _calls(index) == 11
        assert index.problems() == []  # a repetition is harmless
        assert len(list(index.entries(Query()))) == 11
        assert_is_fold(index, history)


def test_the_same_id_with_other_content_is_a_conflict(history: History) -> None:
    ledger = history.job("job-0")
    [(_, entry), *_] = history.entries()
    other = replace(entry, charge=Charge({"stated": Nanos(7)}, PRICED), usage=Usage(tokens_input=1))
    history.append(ledger, other)
    history.append(history.job("job-1"), other)
    _unindexed(history, ledger)
    _unindexed(history, history.job("job-1"), id="another")
    with history.open() as index:
        assert _calls(index) == 12
        assert ["other content" in problem.why for problem in index.problems()] == [True, True]
        assert_is_fold(index, history)


def _restored(ledger: Path) -> None:
    """Put an earlier copy back."""
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(lines[:2]))


def _replaced(ledger: Path) -> None:
    other = ledger.with_name("other")
    other.write_bytes(encode(an_entry(random.Random(8))) * 1 + ledger.read_bytes())
    other.chmod(0o600)
    other.replace(ledger)


def _emptied(ledger: Path) -> None:
    os.truncate(ledger, 0)


def _rewritten(ledger: Path) -> None:
    """Other lines, as many bytes."""
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(reversed(lines)))


def _copied(ledger: Path) -> None:
    """The same bytes, another inode."""
    other = ledger.with_name("other")
    shutil.copy2(ledger, other)
    other.replace(ledger)


@pytest.fixture(params=[intake.FAST_BYTES, 0], ids=["small", "large"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take whole ledgers in as small ones, and as large ones."""
    monkeypatch.setattr(intake, "FAST_BYTES", request.param)


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("change", [_restored, _replaced, _emptied, _rewritten, _copied])
def test_a_ledger_that_changed_is_taken_in_anew(history: History, change: Callable[[Path], None]) -> None:
    ledger = history.job("job-0")
    with history.open() as index:
        assert _calls(index) == 10
        index.register(ledger, "job-0")
        change(ledger)
        assert_is_fold(index, history)
        history.log(index, ledger, an_entry(random.Random(77)))
        assert_is_fold(index, history)


@pytest.mark.usefixtures("size")
def test_duplicates_count_when_their_first_goes(history: History) -> None:
    first, second, third = (history.job(f"job-{n}") for n in range(3))
    for ledger in (second, third):
        history.append_bytes(ledger, first.read_bytes())
        _unindexed(history, ledger, id=f"{ledger}")
    with history.open() as index:
        assert _calls(index) == 12
        index.register(first, "job-0")
        os.truncate(first, 0)
        assert _calls(index) == 12
        assert_is_fold(index, history)


def test_an_archived_ledger_keeps_its_sums_and_is_reported(history: History) -> None:
    ledger, kept = history.job("job-0"), history.root / "archive"
    with history.open() as index:
        index.register(ledger, "job-0")
        ledger.rename(kept)
        assert _calls(index) == 10
        assert [(p.path, p.why) for p in index.problems()] == [(ledger, catchup.GONE)]
        assert len(list(index.entries(Query()))) == 5
        index.rebuild()
        assert _calls(index) == 10
        assert index.groups((), Query(ledger=ledger))[0].totals.calls == 5
        index.rebuild_ledger(ledger)
        assert _calls(index) == 10
        kept.rename(ledger)
        history.append(ledger, an_entry(random.Random(1)))
        assert _calls(index) == 11
        assert index.problems() == []


def test_a_moved_job_is_counted_where_it_is_now(history: History) -> None:
    old, new = history.job("job-0"), history.job("moved")
    with history.open() as index:
        index.register(old, "job-0")
        shutil.rmtree(new.parent)
        old.parent.rename(new.parent)
        history.log(index, new, an_entry(random.Random(1)))
        assert _calls(index) == 11
        assert index.groups((), Query(ledger=new))[0].totals.calls == 6
        assert index.jobs(Query(job_id="job-0")) == []
        assert index.problems() == []


def test_an_unreadable_ledger_is_reported_and_seen_later(history: History) -> None:
    ledger = history.job("job-0")
    other = ledger.with_name("second-name")
    with history.open() as index:
        index.register(ledger, "job-0")
        history.append(ledger, an_entry(random.Random(1)))
        other.hardlink_to(ledger)
        assert _calls(index) == 10
        assert "hard links" in index.problems()[0].why
        index.rebuild_ledger(ledger)
        index.rebuild()
        assert _calls(index) == 10
        other.unlink()
        assert _calls(index) == 11
        assert index.problems() == []


def test_a_rebuilt_ledger_has_the_same_sums(history: History) -> None:
    with history.open() as index:
        index.rebuild_ledger(history.job("job-1"))
        index.rebuild_ledger(Path("/not/registered"))
        assert_is_fold(index, history)


# --- marks --------------------------------


WRITER = """
import random, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from scripts.faults.index_histories import BEGIN, PRICED, History, an_entry
history = History(Path(sys.argv[2]))
ledger = history.job(sys.argv[3])
index = history.open()
index.register(ledger, ledger.parent.name)
history.append(ledger, an_entry(random.Random(sys.argv[3]), job_id=ledger.parent.name))
import os, signal
os.kill(os.getpid(), signal.SIGKILL)
"""

ROOT = Path(__file__).resolve().parents[3]


def _died(history: History, job: str) -> None:
    arguments = [
        sys.executable,
        "-c",
        WRITER,
        str(ROOT),
        str(history.root),
        job,
    ]
    subprocess.run(arguments, check=False)
    history.job(job)


def test_marks_of_dead_processes_go_and_nothing_is_missed(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catchup, "SWEEP_AT", 2)
    for number in range(3):
        _died(history, f"dead-{number}")
    with history.open() as index:
        before = index.registry.outlook()[0]
        assert _calls(index) == 13
        token, marked = index.registry.outlook()
        assert token != before
        assert marked == []
        assert list((history.storage.root / "writers").iterdir()) == []
        assert_is_fold(index, history)


def test_a_living_process_keeps_its_mark(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catchup, "SWEEP_AT", 1)
    _died(history, "dead")
    with history.open() as living, history.open() as index:
        living.register(history.job("job-0"), "job-0")
        index.register(history.job("job-1"), "job-1")
        assert _calls(index) == 11
        assert [each.job_id for each in index.registry.outlook()[1]] == ["job-0", "job-1"]
        history.append(history.job("job-0"), an_entry(random.Random(1)))
        assert _calls(index) == 12


def test_a_ledger_with_spooled_lines_keeps_its_mark(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catchup, "SWEEP_AT", 1)
    _died(history, "dead")
    entry = an_entry(random.Random(1), job_id="dead")
    put(history.storage, history.job("dead"), encode(entry), entry.id)
    with history.open() as index:
        assert _calls(index) == 11
        assert [each.job_id for each in index.registry.outlook()[1]] == ["dead"]
        [one] = waiting(history.storage)
        history.append_bytes(one.ledger, one.line)  # drained by a process that dies before it indexes
        one.path.unlink()
        assert _calls(index) == 12
        assert index.registry.outlook()[1] == []


def test_marks_stay_while_the_spool_cannot_be_read(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catchup, "SWEEP_AT", 1)
    _died(history, "dead")
    shutil.rmtree(history.storage.spool_dir, ignore_errors=True)
    history.storage.spool_dir.write_text("no directory")
    with history.open() as index:
        assert _calls(index) == 11
        assert "dead" in [each.job_id for each in index.registry.outlook()[1]]


def test_a_mark_that_was_deleted_is_made_again(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.costs.index.registry._LOOK_S", 0.0)
    ledger = history.job("job-0")
    with history.open() as index:
        index.register(ledger, "job-0")
        for file in (history.storage.root / "writers").iterdir():
            file.unlink()
        index.register(ledger, "job-0")
        assert len(list((history.storage.root / "writers").iterdir())) == 1
        for file in history.storage.root.glob("state.db*"):
            file.unlink()
        index.register(ledger, "job-0")
        assert [each.job_id for each in index.registry.all()] == ["job-0"]


def test_an_index_restored_from_a_copy_is_not_believed(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its token is old, and the marks of what happened since are gone."""
    monkeypatch.setattr(catchup, "SWEEP_AT", 1)
    storage, copy = history.storage, history.root / "copy"
    copy.mkdir()
    for name in ("index.db", "index.db-seal"):
        shutil.copy2(storage.root / name, copy)
    _died(history, "dead")
    with history.open() as index:
        assert _calls(index) == 11
    for name in ("index.db", "index.db-seal"):
        shutil.copy2(copy / name, storage.root / name)
    with history.open() as index:
        assert _calls(index) == 11
        assert_is_fold(index, history)


# --- the list of ledgers --------------------------------


def test_a_lost_state_is_refilled_from_a_directory(history: History) -> None:
    unassigned = history.storage.unassigned_ledger
    unassigned.parent.mkdir(parents=True, exist_ok=True)
    history.append(unassigned, an_entry(random.Random(1)))
    (history.root / "jobs" / "link").symlink_to(history.job("job-0").parent)
    for path in history.storage.root.glob("state.db*"):
        path.unlink()
    with history.open() as index:
        assert index.add_ledgers_under(history.root) == 3
        assert index.add_ledgers_under(history.root) == 0
        history.ledgers.insert(0, unassigned)
        assert_is_fold(index, history)
        assert [job.job_id for job in index.jobs(Query())] == ["job-0", "job-1", "unassigned"]


def test_a_path_that_is_no_text_is_not_registered(history: History) -> None:
    with history.open() as index:
        assert not index.register(Path(os.fsdecode(b"/tmp/\xff/cost_ledger.jsonl")), "x")
        assert index.degraded is not None
        assert "UTF-8" in index.degraded


def test_texts_that_sqlite_cannot_keep(history: History) -> None:
    ledger = history.job("job-0")
    with history.open() as index:
        history.log(index, ledger, an_entry(random.Random(1), user_id="half \ud83d", stage="\U0001f600"))
        [group] = index.groups(("user_id", "stage"), Query(user_id="half �"))
        assert group.key == ("half �", "\U0001f600")
        assert_is_fold(index, history)
        index.rebuild()
        assert_is_fold(index, history)


def test_a_look_with_little_patience_says_what_is_left(history: History) -> None:
    (history.storage.index_path).unlink()
    with Index.open(history.storage, patience_s=-1.0) as index:
        assert not index.catch_up_all()
        assert "the index is being built" in str(index.degraded)
        index.patience_s = None
        assert index.catch_up_all()
        assert not index.degraded
        assert_is_fold(index, history)


def test_one_large_ledger_is_taken_in_piece_by_piece(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.costs.index.intake.BATCH_LINES", 3)
    history.storage.index_path.unlink()
    with Index.open(history.storage, patience_s=0.0) as index:
        looks = 0
        while not index.catch_up_all():
            looks += 1
            assert looks < 20
        assert looks > 2
        assert_is_fold(index, history)


def test_much_is_taken_in_fast(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.costs.index.index.REBUILD_BYTES", 100)
    history.storage.index_path.unlink()
    history.ledgers[1].rename(history.root / "archived")
    with history.open() as index:
        assert_is_fold(index, history)


def test_sums_too_large_for_the_index_do_not_reach_the_caller(history: History) -> None:
    ledger, chance = history.job("job-0"), random.Random(1)
    with history.open() as index:
        index.register(ledger, "job-0")
        entries = [
            an_entry(chance, usage=Usage(tokens_input=10**12), user_id="1", timestamp=BEGIN)
            for _ in range(2 + SETTLE_AT)
        ]
        assert index.note_appended(ledger, entries[0], *history.append(ledger, entries[0]))
        index.catch_up_all()
        with sqlite3.connect(history.storage.index_path, isolation_level=None) as other:
            for table in ("sums", "days"):
                other.execute(f"UPDATE {table} SET tokens_input = ?", (2**63 - 10**12,))
        other.close()
        noted = [index.note_appended(ledger, e, *history.append(ledger, e)) for e in entries[1:]]
        assert not all(noted)


def test_a_ledger_that_comes_back_after_a_new_index_was_built(history: History) -> None:
    """As on a disk that was not mounted: nobody marks it, and the index has never seen it."""
    ledger, away = history.ledgers[0], history.root / "away"
    ledger.rename(away)
    history.storage.index_path.unlink()
    for file in (history.storage.root / "writers").iterdir():
        file.unlink()
    with history.open() as index:
        assert _calls(index) == 5
        assert [problem.path for problem in index.problems()] == [ledger]
        away.rename(ledger)
        assert _calls(index) == 10
        assert index.problems() == []


def test_a_process_does_not_trust_what_another_took_out(history: History) -> None:
    """One index logs; the ledger is emptied and another index takes that in; the first one logs again."""
    ledger, chance = history.job("job-2"), random.Random(4)
    with history.open() as mine, history.open() as other:
        history.log(mine, ledger, an_entry(chance, timestamp=BEGIN, user_id="1"))
        os.truncate(ledger, 0)
        history.log(other, ledger, an_entry(chance, timestamp=BEGIN + timedelta(days=9), user_id="1"))
        history.log(mine, ledger, an_entry(chance, timestamp=BEGIN, user_id="1"))
        assert_is_fold(mine, history)
        for day in (0, 9):
            query = Query(start=BEGIN + timedelta(days=day), end=BEGIN + timedelta(days=day + 1), user_id="1")
            assert ledger in {job.ledger for job in mine.jobs(query)}
