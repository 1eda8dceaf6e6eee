"""Stages around generators: their calls are theirs, and nobody else's are."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from shared.cost_tracker import BudgetExceeded, CostTracker
from tests.support.elapsed import PATIENCE_S


def call(tracker: CostTracker) -> float:
    return tracker.log_usage("openai", "gpt-4o", 1000, 200)


def spent(tracker: CostTracker) -> dict[str, float]:
    return {stage: round(cost / 0.0045, 3) for stage, cost in tracker.get_stage_costs().items()}


def test_a_generator_has_its_calls_and_not_those_of_its_caller(
    tracker: CostTracker, capsys: pytest.CaptureFixture[str]
) -> None:
    @tracker.stage("translate")
    def translated() -> Generator[str, int, str]:
        for piece in ("one", "two"):
            call(tracker)
            yield piece
        call(tracker)
        return "done"

    for _ in translated():
        call(tracker)
    assert spent(tracker) == {"translate": 3, "unassigned": 2}
    assert capsys.readouterr().err.count("Stage cost: $0.0135") == 1

    with tracker.stage("speak"):
        for _ in translated():
            call(tracker)
    assert spent(tracker) == {"translate": 6, "unassigned": 2, "speak": 2}


def test_a_stage_that_asks_another_for_its_pieces_has_neither_of_its_calls(tracker: CostTracker) -> None:
    @tracker.stage("transcribe")
    def transcribed() -> Generator[int, None, None]:
        for piece in range(2):
            call(tracker)
            yield piece

    @tracker.stage("translate")
    def translated() -> Generator[int, None, None]:
        for piece in transcribed():
            call(tracker)
            call(tracker)
            yield piece

    for _ in translated():
        with tracker.stage("speak"):
            call(tracker)
    assert spent(tracker) == {"transcribe": 2, "translate": 4, "speak": 2}


def test_what_is_sent_and_raised_reaches_the_generator(tracker: CostTracker) -> None:
    @tracker.stage("chat")
    def chat() -> Generator[int, int, str]:
        try:
            first = yield 1
            call(tracker)
            try:
                yield first + 1
            except KeyError:
                call(tracker)
                yield 3
        finally:
            call(tracker)
        return "end"

    talk = chat()
    assert (next(talk), talk.send(10), talk.throw(KeyError("x"))) == (1, 11, 3)
    with pytest.raises(StopIteration, match="end"):
        next(talk)
    assert spent(tracker) == {"chat": 3}
    left = chat()
    next(left)
    left.close()
    assert spent(tracker) == {"chat": 4}
    call(tracker)
    assert spent(tracker) == {"chat": 4, "unassigned": 1}


def test_asynchronous_generators_do_so_too(tracker: CostTracker) -> None:
    @tracker.stage("translate")
    async def translated() -> AsyncGenerator[int, int]:
        try:
            for piece in range(2):
                await asyncio.sleep(0)
                call(tracker)
                given = yield piece
                assert given in (None, 5)
        except KeyError:
            yield 9
        finally:
            call(tracker)

    async def listened() -> None:
        async for _ in translated():
            call(tracker)
        assert spent(tracker) == {"translate": 3, "unassigned": 2}
        pieces = translated()
        assert (await anext(pieces), await pieces.asend(5), await pieces.athrow(KeyError("x"))) == (0, 1, 9)
        await pieces.aclose()
        assert spent(tracker) == {"translate": 6, "unassigned": 2}

    asyncio.run(listened())


def test_what_a_generator_reserved_is_held_while_it_waits_and_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cost_home: Path
) -> None:
    profile = tmp_path / "profile.yaml"
    profile.write_text("budget: {monthly_limit_usd: 1, block_at_limit: true}\n")
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(profile))
    tracker = CostTracker(tmp_path / "job")

    @tracker.stage("translate", reserve=0.9)
    def translated() -> Generator[int, None, None]:
        yield 1
        call(tracker)

    pieces = translated()
    next(pieces)
    with pytest.raises(BudgetExceeded), tracker.stage("speak", reserve=0.5):
        pass
    assert list(pieces) == []
    with tracker.stage("speak", reserve=0.5):
        call(tracker)
    assert spent(tracker) == {"translate": 1, "speak": 1}
    tracker.close()


LEFT = """
import sys
from shared.cost_tracker import CostTracker
tracker = CostTracker(sys.argv[1])
@tracker.stage("translate")
def translated():
    tracker.log_usage("openai", "gpt-4o", 1000, 200)
    yield 1
pieces = translated()
next(pieces)
"""


def test_a_generator_that_waits_as_the_program_ends_says_nothing_of_a_fault(
    tmp_path: Path, cost_home: Path
) -> None:
    job = tmp_path / "job"
    command = [sys.executable, "-c", LEFT, str(job)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    assert (ended.stdout, ended.stderr) == ("", "")
    tracker = CostTracker(job)
    assert spent(tracker) == {"translate": 1}
    tracker.close()
