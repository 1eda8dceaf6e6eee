"""A call that a signal handler interrupts is recorded once, and the handler's exception goes on."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.cost_tracker import CostTracker
from shared.costs.ledger.reader import read
from shared.costs.model import Entry
from shared.costs.rollup import Query
from shared.costs.store.recent import RecentLine, _RunningSum
from shared.costs.tracking import recording
from tests.support.elapsed import PATIENCE_S


class SoftLimit(Exception):
    """As a task queue raises it in a signal handler."""


@pytest.fixture
def tracker(tmp_path: Path) -> Iterator[CostTracker]:
    with CostTracker(tmp_path / "job", cost_storage_path=tmp_path / "home") as tracker:
        tracker.log_usage("openai", "gpt-4o", 1000, 200)
        yield tracker


def calls(tmp_path: Path) -> list[Entry]:
    found = [one.content for one in read(tmp_path / "job" / "cost_ledger.jsonl")]
    assert all(isinstance(one, Entry) for one in found)
    return [one for one in found if isinstance(one, Entry)]


def once(raised: BaseException, real: Callable[..., object]) -> Callable[..., object]:
    turns = [raised]

    def interrupted(*given: object, **named: object) -> object:
        if turns:
            raise turns.pop()
        return real(*given, **named)

    return interrupted


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), SoftLimit(), TimeoutError("too slow")])
@pytest.mark.parametrize("step", ["settle", "encode", "note", "appended"])
def test_whatever_step_is_interrupted(
    tmp_path: Path,
    tracker: CostTracker,
    monkeypatch: pytest.MonkeyPatch,
    raised: BaseException,
    step: str,
) -> None:
    owner: object = recording if step in ("settle", "encode") else tracker._session.workspace.index
    monkeypatch.setattr(owner, step, once(raised, getattr(owner, step)))
    with pytest.raises(type(raised)), tracker.stage("13", attempt=2):
        tracker.log_usage("openai", "gpt-4o", 1000, 200)
    first, *others = calls(tmp_path)
    assert {(one.id != first.id, one.stage, one.attempt) for one in others} == {(True, "13", 2)}
    assert len({one.id for one in others}) == 1
    assert tracker.log_usage("openai", "gpt-4o", 1000, 200) == 0.0045
    assert calls(tmp_path)[-1].stage is None
    assert tracker.get_job_cost() == 0.0135


def test_a_sum_that_was_being_added_up_is_begun_anew(
    tracker: CostTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, real = tracker._session.workspace.index, _RunningSum.brought_up

    def torn(known: _RunningSum, lines: list[RecentLine]) -> int:
        before = known._at
        real(known, lines)
        known._at = before
        raise SoftLimit

    tracker.log_usage("openai", "gpt-4o", 1000, 200)
    with monkeypatch.context() as patch, pytest.raises(SoftLimit):
        patch.setattr(_RunningSum, "brought_up", torn)
        tracker.log_usage("openai", "gpt-4o", 1000, 200)
    assert set(index.spends([Query(), *index._recent._spent])) == {13_500_000}


# Between opening a file and its ``with`` an exception leaves it to be closed as it is collected: at once.
# One that is raised while Python collects something is passed over by Python itself.
@pytest.mark.no_cover
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
def test_a_storm_of_alarms_sticks_no_thread_and_loses_no_call(tmp_path: Path, tracker: CostTracker) -> None:
    """The short form of ``scripts/faults/signals.py``."""
    interrupts, acknowledged, stop = 0, 1, threading.Event()

    def alarm(*_: object) -> None:
        raise SoftLimit

    beside: list[float] = []

    def work() -> None:
        while not stop.is_set():
            beside.append(tracker.log_usage("openai", "gpt-4o", 1000, 200))

    thread = threading.Thread(target=work)
    before = signal.signal(signal.SIGALRM, alarm)
    thread.start()
    until = time.monotonic() + 20  # where each of them takes long, fewer do
    try:
        for number in range(400):
            if interrupts >= 100 or (interrupts > 20 and time.monotonic() > until):
                break  # a disk that syncs slowly has nearly every call interrupted
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.00002 + number % 40 * 0.00002)
                tracker.log_usage("openai", "gpt-4o", 1000, 200)
                acknowledged += 1
                signal.setitimer(signal.ITIMER_REAL, 0)
            except SoftLimit:
                interrupts += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        stop.set()
        thread.join(PATIENCE_S)
    assert not thread.is_alive()
    tracker.close()
    tracker.close()  # what waits is written in turns
    number = len({one.id for one in calls(tmp_path)})
    assert acknowledged + len(beside) <= number <= acknowledged + len(beside) + interrupts
    assert interrupts > 20
