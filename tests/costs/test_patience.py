"""The waits of one call are bounded together."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from shared.costs import platform
from shared.costs.patience import BRIEF_S, allowed, at_most


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_waits_share_the_time_of_their_call(clock: list[float]) -> None:
    with at_most(2.0):
        assert (allowed(5.0), allowed(0.5)) == (2.0, 0.5)
        clock[0] += 1.5
        assert allowed(5.0) == 0.5
        clock[0] += 10
        assert (allowed(5.0), allowed(0.001)) == (BRIEF_S, 0.001)
    assert allowed(5.0) == 5.0


def test_the_earlier_end_counts_within_another_block(clock: list[float]) -> None:
    with at_most(2.0):
        with at_most(9.0):
            assert allowed(5.0) == 2.0
        with at_most(1.0):
            assert allowed(5.0) == 1.0
        clock[0] += 0.25
        assert allowed(5.0) == 1.75


def test_a_block_that_was_left_without_its_end_bounds_nothing() -> None:
    """As by an exception that a signal handler raises as the block's end begins."""

    def left() -> None:
        with at_most(9.0):
            at_most(0.0).__enter__()
            assert allowed(5.0) == 5.0
            inner = at_most(0.0)
            inner.__enter__()
            assert allowed(5.0) == BRIEF_S

    left()
    assert allowed(5.0) == 5.0


def test_other_threads_wait_as_they_like() -> None:
    found = list[float]()
    with at_most(0.0):
        thread = threading.Thread(target=lambda: found.append(allowed(3.0)))
        thread.start()
        thread.join()
    assert found == [3.0]


def test_a_lock_is_waited_for_no_longer_than_the_call_may_take(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    first, second = (platform.open_file(path, write=True, create=True) for _ in range(2))
    assert platform.lock(first, 0)
    with at_most(0.0):
        assert not platform.lock(second, 60.0)
    platform.close(first)
    platform.close(second)
