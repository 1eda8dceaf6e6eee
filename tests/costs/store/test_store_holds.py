"""Holds as earlier versions left them, and holds whose record is damaged."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.cost_tracker import BudgetExceeded, CostTracker
from shared.costs.storage import CostStorage
from shared.costs.store.holds import TABLES, LocalHolds
from shared.costs.store.presence import Presence
from shared.costs.store.state import Tables
from shared.costs.store.store import Store
from shared.costs.tracking.reserving import Reserving

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MICROS = int(NOW.timestamp() * 1_000_000)


@pytest.fixture
def storage(tmp_path: Path) -> CostStorage:
    made = CostStorage(tmp_path / "costs")
    made.prepare()
    return made


@pytest.fixture
def store(storage: CostStorage) -> Iterator[Store]:
    made = Store.of(storage)
    yield made
    made.close()


def opened(store: Store, storage: CostStorage) -> LocalHolds:
    return LocalHolds(store, Presence(storage.writers_dir), lambda: NOW)


GOOD = json.dumps(
    {
        "id": "good",
        "period_at": MICROS,
        "expires_at": MICROS + 3_600_000_000,
        "user_id": "u",
        "service": "openai",
        "model": "gpt-4o",
        "estimate": 5,
        "one_call": True,
        "some_day": "a later version",
        **dict.fromkeys(("job_id", "ledger", "stage")),
    }
)
"""A hold as a journal has it."""

BEFORE: list[tuple[str, str | None, tuple[str, bool]]] = [
    ("1", None, ("orphaned", False)),  # its holder had its file elsewhere, so that it counts as gone
    ("2", "it expired", ("orphaned", False)),
    ("3", "its block ended without a ledger entry", ("orphaned", True)),
    ("4", "its ledger entry waits outside the ledger", ("orphaned", True)),
    ("5", "its process ended", ("orphaned", False)),
]


def test_holds_of_an_earlier_version_are_brought_over(store: Store, storage: CostStorage) -> None:
    store.state.use(Tables(TABLES.topic, TABLES.steps[:1]))

    def left(db: sqlite3.Connection) -> None:
        for one, why, _ in BEFORE:
            values = (
                one,
                MICROS,
                MICROS + 3_600_000_000,
                "u",
                "job-1",
                "/out/job-é/cost_ledger.jsonl",
                "asr",
            )
            more = ("openai", "gpt-4o", 350_000_000, int(one != "2"), "4711-abc", why)
            db.execute(f"INSERT INTO reservations VALUES ({', '.join('?' * 13)})", (*values, *more))
        db.execute("UPDATE gate_clock SET latest = ?", (MICROS,))

    store.state.write(left)
    holds = opened(store, storage)
    found = {held.reservation.id: held.reservation for held in holds.holds()}
    assert {one: (each.state, each.block_ended) for one, each in found.items()} == {
        one: expected for one, _, expected in BEFORE
    }
    one = found["1"]
    assert (one.period_at, one.expires_at) == (NOW, NOW + timedelta(hours=1))
    assert (one.ledger, one.stage, one.estimate) == (Path("/out/job-é/cost_ledger.jsonl"), "asr", 350_000_000)
    assert (one.one_call, found["2"].one_call) == (True, False)
    assert (one.project, one.tags, one.submits) == (None, (), False)
    assert found["2"].orphaned == "it expired"
    assert holds.latest() == NOW
    holds.release(list(found))
    assert opened(store, storage).holds() == []


def test_a_damaged_line_of_a_journal_keeps_no_other_hold_from_coming_back(
    store: Store, storage: CostStorage
) -> None:
    storage.writers_dir.mkdir(exist_ok=True)
    lines = [
        "H torn {",
        "H bare {}",
        'H odd {"period_at":"x"}',
        f"H good {GOOD}",
        "H ended {}",
        "E ended",
        "",
    ]
    (storage.writers_dir / "1-gone").write_text("\n".join(lines))
    [held] = opened(store, storage).holds()
    assert (held.reservation.id, held.reservation.state, held.amount) == ("good", "orphaned", 5)


def test_who_looks_sees_what_an_old_copy_lacks_while_another_writes(
    store: Store, storage: CostStorage
) -> None:
    assert opened(store, storage).holds() == []
    (storage.writers_dir / "1-gone").write_text(f"H good {GOOD}\n")
    store.state.close()
    copy = storage.root / "copy"
    shutil.copy2(storage.state_path, copy)
    copy.replace(storage.state_path)
    with closing(sqlite3.connect(storage.state_path)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert [held.reservation.id for held in opened(store, storage).holds()] == ["good"]
        found = opened(store, storage).find("good")
        assert found is not None
        assert found.amount == 5


@pytest.mark.parametrize("how", ["moved there", "written over", "deleted"])
def test_an_old_copy_of_the_state_forgets_no_hold(how: str, tmp_path: Path) -> None:
    storage, profile = CostStorage(tmp_path / "costs"), tmp_path / "profile.yaml"
    profile.write_text("budget: {monthly_limit_usd: 1.5, block_at_limit: true}\n")
    tracker = CostTracker(tmp_path / "job-1", "1", storage.root, profile_path=profile)

    def reserve() -> Reserving:
        return tracker.reserve("openai", "gpt-4o", tokens_input=1000, max_tokens_output=60_000)  # $0.6025

    def reserved() -> None:
        with reserve() as hold:
            tracker.log_usage("openai", "gpt-4o", 1000, 60_000, reservation=hold)

    reserved()
    state, copy = Store.of(storage).state, tmp_path / "copy"
    state.close()
    shutil.copy2(storage.state_path, copy)
    with reserve() as hold:
        state.close()
        if how == "moved there":
            copy.replace(storage.state_path)
        elif how == "written over":
            storage.state_path.write_bytes(copy.read_bytes())
        else:
            storage.state_path.unlink()
        assert [held.reservation.state for held in opened(Store.of(storage), storage).holds()] == ["live"]
        with pytest.raises(BudgetExceeded, match=r"\$0\.6025 held for other calls"):
            reserved()
        hold.void()
    reserved()
    assert opened(Store.of(storage), storage).holds() == []


def test_a_hold_that_somebody_else_released_does_not_come_back(store: Store, storage: CostStorage) -> None:
    values = {"id": "one", "period_at": MICROS, "expires_at": MICROS, "user_id": "u", "job_id": None}
    values |= {"ledger": None, "stage": None, "service": "openai", "model": "gpt-4o", "estimate": 5}
    storage.writers_dir.mkdir(exist_ok=True)
    (storage.writers_dir / "1-gone").write_text(f"H one {json.dumps({**values, 'one_call': True})}\n")
    releasing = Presence(storage.writers_dir)
    holds = LocalHolds(store, releasing, lambda: NOW)
    assert [held.reservation.id for held in holds.holds()] == ["one"]
    holds.release(["one"])
    name = releasing.name()
    releasing.leave()
    releasing.remove(name)  # as a look does that finds the process gone
    store.state.close()
    assert opened(store, storage).holds() == []


RESERVING = """
import sys
from shared.cost_tracker import CostTracker

folder = sys.argv[1]
tracker = CostTracker(f"{folder}/job-2", "1", f"{folder}/costs", profile_path=f"{folder}/profile.yaml")
try:
    with tracker.reserve("openai", "gpt-4o", tokens_input=1000, max_tokens_output=60_000) as hold:
        print("reserved", flush=True)
        sys.stdin.read()
        hold.void()
except Exception as fault:
    print(fault)
"""


@pytest.mark.parametrize(
    ("lost", "first"), [("-wal", "this one"), ("-shm", "the other"), ("-wal -shm", "the other")]
)
def test_files_beside_the_state_that_are_lost_while_it_is_open_let_no_limit_be_overrun(
    lost: str, first: str, tmp_path: Path
) -> None:
    storage, profile = CostStorage(tmp_path / "costs"), tmp_path / "profile.yaml"
    profile.write_text("budget: {monthly_limit_usd: 1.0, block_at_limit: true}\n")
    tracker = CostTracker(tmp_path / "job-1", "1", storage.root, profile_path=profile)

    def reserve() -> Reserving:
        return tracker.reserve("openai", "gpt-4o", tokens_input=1000, max_tokens_output=60_000)  # $0.6025

    with reserve() as hold:
        hold.void()
    for suffix in lost.split():
        storage.state_path.with_name(storage.state_path.name + suffix).unlink()
    other = [sys.executable, "-c", RESERVING, str(tmp_path)]
    with ExitStack() as stack:
        if first == "this one":
            stack.callback(stack.enter_context(reserve()).void)
        process = subprocess.Popen(other, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        stack.callback(process.communicate)
        assert process.stdout is not None
        said = process.stdout.readline()
        if first == "the other":
            assert said == "reserved\n"
            with pytest.raises(BudgetExceeded, match="held for other calls"):
                stack.enter_context(reserve())
        else:
            assert "held for other calls" in said


@pytest.mark.parametrize("kept", ["state.db", "nothing"])
def test_a_storage_that_is_emptied_under_a_process_lets_no_limit_be_overrun(
    kept: str, tmp_path: Path
) -> None:
    storage, profile = CostStorage(tmp_path / "costs"), tmp_path / "profile.yaml"
    profile.write_text("budget: {monthly_limit_usd: 1.00, block_at_limit: true}\n")

    def spend(most: int) -> int:
        with CostTracker(tmp_path / "job-1", "1", storage.root, profile_path=profile) as tracker:
            for made in range(most):
                try:
                    with tracker.reserve("openai", "gpt-4o", max_tokens_output=5_000) as hold:  # $0.05
                        tracker.log_usage("openai", "gpt-4o", 0, 5_000, reservation=hold)
                except BudgetExceeded:
                    return made
        return most

    assert spend(9) == 9
    Store.of(storage).close()
    shutil.rmtree(tmp_path / "job-1")
    for file in storage.root.iterdir():
        if not file.name.startswith(kept):
            shutil.rmtree(file) if file.is_dir() else file.unlink()
    assert 11 <= spend(60) <= 20  # what was spent before is in no file any more
