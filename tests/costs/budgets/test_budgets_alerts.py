"""Each alert is told once, by exactly one process."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from datetime import UTC, datetime
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from shared.costs.budgets.limits import Crossing, Limit, Scope
from shared.costs.errors import StorageUnavailable
from shared.costs.money import from_usd
from shared.costs.notify.alerts import fire
from shared.costs.periods import month, zone
from shared.costs.rollup import Query
from shared.costs.store.state import LocalNotices, StateDb
from tests.support.elapsed import PATIENCE_S

NOW = datetime(2026, 11, 22, tzinfo=UTC)
MONTH = Scope("u", "month")


@pytest.fixture
def notices(tmp_path: Path) -> Iterator[LocalNotices]:
    state = StateDb(tmp_path / "state.db")
    yield LocalNotices(state)
    state.close()


def crossed(threshold: float, scope: Scope = MONTH, at: datetime = NOW) -> Crossing:
    limit = Limit(scope, from_usd(50), month(at, zone("UTC")), Query(), (50.0, 80.0))
    return Crossing(limit, from_usd(45), threshold)


def told(notices: LocalNotices, *candidates: Crossing) -> list[float]:
    return [c.threshold for c in fire(notices, candidates, NOW)]


def test_a_threshold_is_told_once(notices: LocalNotices) -> None:
    assert told(notices, crossed(80)) == [80]
    assert told(notices, crossed(80)) == []


def test_a_higher_one_is_news_and_a_lower_one_is_not(notices: LocalNotices) -> None:
    assert told(notices, crossed(80)) == [80]
    assert told(notices, crossed(100)) == [100]
    assert told(notices, crossed(80), crossed(50)) == []


def test_a_jump_over_thresholds_tells_the_highest_alone(notices: LocalNotices) -> None:
    assert told(notices, crossed(100)) == [100]
    assert told(notices, crossed(50)) == []


def test_a_new_threshold_below_one_that_was_told_is_no_news(notices: LocalNotices) -> None:
    assert told(notices, crossed(100)) == [100]
    assert told(notices, crossed(90)) == []


def test_scopes_and_periods_are_told_apart(notices: LocalNotices) -> None:
    december = crossed(80, at=datetime(2026, 12, 1, tzinfo=UTC))
    others = [
        crossed(80, Scope("u", "day")),
        crossed(80, Scope("v", "month")),
        crossed(80, Scope(None, "month")),
    ]
    assert told(notices, crossed(80), *others, december) == [80] * 5
    assert told(notices, crossed(80), *others, december) == []


def test_nothing_crossed_touches_nothing(tmp_path: Path) -> None:
    state = StateDb(tmp_path / "state.db")
    assert fire(LocalNotices(state), [], NOW) == []
    assert not state.file.exists()


def test_it_survives_the_process(tmp_path: Path) -> None:
    for expected in ([80], []):
        state = StateDb(tmp_path / "state.db")
        assert told(LocalNotices(state), crossed(80)) == expected
        state.close()


def test_a_raised_limit_does_not_tell_again(notices: LocalNotices) -> None:
    assert told(notices, crossed(80)) == [80]
    raised = crossed(80)._replace(limit=crossed(80).limit._replace(amount=from_usd(60)))
    assert told(notices, raised) == []


ROUNDS = 20


def _compete(path: Path, barrier: Barrier, results: Queue[list[int]]) -> None:
    state = StateDb(path)
    counts = []
    for turn in range(ROUNDS):
        barrier.wait(timeout=PATIENCE_S)
        counts.append(len(fire(LocalNotices(state), [crossed(80, Scope(f"user-{turn}", "month"))], NOW)))
    results.put(counts)


def test_of_processes_at_once_exactly_one_tells(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(3), context.Queue()
    workers = [
        context.Process(target=_compete, args=(tmp_path / "state.db", barrier, results)) for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    counts = [results.get(timeout=PATIENCE_S) for _ in workers]
    for worker in workers:
        worker.join()
    assert [sum(turn) for turn in zip(*counts, strict=True)] == [1] * ROUNDS


def test_a_state_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"no database" * 100)
    with pytest.raises(StorageUnavailable):
        fire(LocalNotices(StateDb(tmp_path / "state.db")), [crossed(80)], NOW)
