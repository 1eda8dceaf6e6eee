"""A program that forks while its threads log: the children log too."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from shared.cost_tracker import CostTracker
from tests.support.elapsed import PATIENCE_S

CHILDREN = 10


def log(tracker: CostTracker) -> None:
    tracker.log_usage("openai", "gpt-4o", 1000, 200)


def child_of(tracker: CostTracker) -> int:
    """Fork a child that logs one call, and is killed where that takes 10 s."""
    child = os.fork()
    if child == 0:
        signal.alarm(int(PATIENCE_S))
        log(tracker)
        os._exit(0)
    return child


@pytest.mark.no_cover
def test_children_of_a_busy_program_log(tmp_path: Path, cost_home: Path) -> None:
    done, logged = threading.Event(), [0, 0]
    with CostTracker(tmp_path / "job") as tracker:
        log(tracker)  # imports: Python's own locks for those are not free in a child

        def work(number: int) -> None:
            while not done.is_set():
                log(tracker)
                logged[number] += 1

        threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        ended = [os.waitpid(child_of(tracker), 0)[1] for _ in range(CHILDREN)]
        done.set()
        for thread in threads:
            thread.join()
        assert ended == [0] * CHILDREN
        assert tracker.get_monthly_summary()["total_calls"] == 1 + sum(logged) + CHILDREN
