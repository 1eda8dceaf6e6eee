"""A storage that the version before the store wrote is brought over at first use, by whatever comes first.

It has a job of three calls, a line of it that waits in the spool, a job that was archived, with a call
of a second attempt, and a hold whose holder died.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from shared.cost_tracker import CostTracker
from shared.costs.errors import StorageUnavailable
from shared.costs.rollup import Query, Totals
from shared.costs.store.store import Store
from shared.costs.workspace import Workspace
from tests.costs.store.store_support import History, a_call, month

SAVED = Path(__file__).parents[2] / "data" / "earlier_storage"
THERE, GONE, SPOOLED, HELD = 18_000_000, 22_100_000, 17_510_000, 260_000_000


@pytest.fixture
def earlier(history: History) -> History:
    """The storage, with its paths where this test has its folder."""
    root = os.fspath(history.root)
    history.storage.prepare()
    for name in ("state", "index"):
        with closing(sqlite3.connect(history.storage.root / f"{name}.db")) as db:
            db.executescript((SAVED / f"{name}.sql").read_text().replace("/earlier", root))
            db.execute("PRAGMA journal_mode=WAL")
        (history.storage.root / f"{name}.db").chmod(0o600)
    [waiting] = SAVED.glob("*.spooled")
    there = history.job("there")
    for source, target in ((waiting, history.storage.spool_dir / waiting.name), (SAVED / there.name, there)):
        target.write_text(source.read_text().replace("/earlier", root))
        target.chmod(0o600)
    return history


def logged_first(history: History) -> int:
    """A call is recorded before anybody looks: its note comes before the sums."""
    with CostTracker(history.job("new").parent, "1", cost_storage_path=history.storage.root) as tracker:
        tracker.log_usage("openai", "gpt-4o", 1000, 0)
    return 2_500_000


def noted_first(history: History) -> int:
    assert history.open().note(history.job("new"))
    return 0


def looked_first(history: History) -> int:
    return 0


@pytest.mark.parametrize("begin", [logged_first, noted_first, looked_first])
def test_everything_is_brought_over(earlier: History, begin: Callable[[History], int]) -> None:
    owed = begin(earlier) + THERE + GONE + SPOOLED
    store = earlier.open()
    assert month(store) == owed
    [gone] = store.gone()
    assert (gone.path, gone.calls, gone.cost) == (earlier.root / "jobs/gone/cost_ledger.jsonl", 3, GONE)
    [retried] = store.groups((), Query(stage="07_x"))
    expected = Totals(calls=1, retried_calls=1, tokens_input=5000, tokens_output=10, jobs=1)
    expected.cost = expected.retried_cost = retried.totals.cost
    expected.cost_input, expected.cost_output = retried.totals.cost_input, retried.totals.cost_output
    assert retried.totals == expected
    assert earlier.job("there") in store.ledgers()
    for name in ("state.db", "index.db"):
        assert (earlier.storage.root / name).exists()


def test_what_was_brought_over_is_brought_over_once(earlier: History) -> None:
    store = earlier.open()
    assert month(store) == THERE + GONE + SPOOLED
    notes = (earlier.storage.root / "ledgers.journal").read_bytes()
    for _ in range(3):
        store.close()
        for path in earlier.storage.root.glob("sums.db*"):
            path.unlink()
        assert month(store) == THERE + GONE + SPOOLED
        store.rebuild()
        assert month(store) == THERE + GONE + SPOOLED
    assert (earlier.storage.root / "ledgers.journal").read_bytes() == notes
    for name in ("index.db", "state.db"):  # from here on they are needed no more
        (earlier.storage.root / name).unlink()
    store.rebuild()
    assert month(store) == THERE + GONE + SPOOLED


def test_a_job_that_was_archived_comes_back(earlier: History) -> None:
    """Its first call is known by its id and counts where it is now."""
    store = earlier.open()
    assert month(store) == THERE + GONE + SPOOLED
    earlier.append_bytes(earlier.job("gone"), earlier.job("there").read_bytes())
    assert store.note(earlier.job("gone"))
    assert month(store) == THERE + GONE + SPOOLED


def test_a_ledger_that_changed_since_the_index_read_it(earlier: History) -> None:
    ledger = earlier.job("there")
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(lines[0])
    earlier.append(ledger, a_call(7))
    assert month(earlier.open()) == THERE + GONE + SPOOLED + 7


def test_a_busy_earlier_file_is_waited_for(earlier: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums that left out what it knows would never look again."""
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *given, **named: connect(*given, **{**named, "timeout": 0.1})
    )
    holder = connect(earlier.storage.index_path, isolation_level=None)
    holder.execute("PRAGMA locking_mode=EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    store = earlier.open()
    with pytest.raises(StorageUnavailable, match="earlier version"):
        store.groups((), Query())
    holder.execute("ROLLBACK")
    holder.close()
    assert month(earlier.open()) == THERE + GONE + SPOOLED


@pytest.mark.parametrize(
    ("name", "left"), [("index.db", THERE + SPOOLED), ("state.db", THERE + GONE + SPOOLED)]
)
def test_an_earlier_file_that_is_damaged_is_passed_over(earlier: History, name: str, left: int) -> None:
    """Both of them name the ledgers; what was counted of those that are gone is in the index alone."""
    (earlier.storage.root / name).write_bytes(b"no database" * 1_000)
    assert month(earlier.open()) == left


def test_the_hold_and_what_waits_in_the_spool_are_brought_over(earlier: History) -> None:
    profile = earlier.root / "profile.yaml"
    profile.write_text("budget: {monthly_limit_usd: 100, block_at_limit: true}\n")
    with CostTracker(earlier.job("there").parent, "1", cost_storage_path=earlier.storage.root) as tracker:
        tracker.log_usage("openai", "gpt-4o", 0, 0)
        assert month(Store.of(earlier.storage)) == THERE + GONE + SPOOLED
    assert not list(earlier.storage.spool_dir.glob("*.spooled"))
    with Workspace(earlier.storage.root) as workspace:
        [held] = workspace.holds.holds()
    assert (held.reservation.estimate, held.reservation.state) == (HELD, "orphaned")
