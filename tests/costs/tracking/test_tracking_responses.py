"""``log_response`` and ``log_stream`` on the tracker: stages, what the caller says, threads and tasks."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from shared.cost_tracker import CostTracker
from shared.costs.capture.captured import Captured
from shared.costs.ledger.reader import read
from shared.costs.model import Entry, Usage
from shared.costs.money import to_usd

USAGE = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}


def answer(number: int = 1, **more: Any) -> dict[str, Any]:
    """A chat completion, which costs $0.0045."""
    return {"object": "chat.completion", "id": f"c-{number}", "model": "gpt-4o", "usage": USAGE} | more


def chunks(number: int = 1) -> list[dict[str, Any]]:
    """The same, streamed."""
    head = {"object": "chat.completion.chunk", "id": f"c-{number}", "model": "gpt-4o"}
    text = head | {"choices": [{"delta": {"content": "Hello, you."}}]}
    return [text, head | {"choices": [], "usage": USAGE}]


@pytest.fixture
def recorded(tracker: CostTracker) -> Callable[[], list[Entry]]:
    def look() -> Iterator[Entry]:
        for located in read(tracker._session.job.ledger):
            assert isinstance(located.content, Entry)
            yield located.content

    return lambda: list(look())


Recorded = Callable[[], list[Entry]]


class TestLogResponse:
    @pytest.mark.parametrize("made", ["resp_" + "a" * 300, "resp\n1"])
    def test_an_id_that_no_entry_can_hold_does_not_lose_the_call(
        self, made: str, tracker: CostTracker, recorded: Recorded
    ) -> None:
        """Proxies wrap the provider's id and the route to it into one id of their own."""
        costs = [tracker.log_response(answer(id=each)) for each in (made, made, made + "b")]
        assert costs == [0.0045] * 3
        assert len(recorded()) == 2

    def test_work_in_the_background_is_paid_when_it_is_done(self, tracker: CostTracker) -> None:
        begun = {"object": "response", "id": "resp_A1", "model": "gpt-4o", "status": "queued"}
        done = begun | {"status": "completed", "usage": {"input_tokens": 1000, "output_tokens": 200}}
        assert [tracker.log_response(made) for made in (begun, done, done)] == [0.0, 0.0045, 0.0045]
        assert tracker.get_monthly_cost() == 0.0045

    def test_all_that_a_response_says_is_in_the_entry(self, tracker: CostTracker, recorded: Recorded) -> None:
        cost = tracker.log_response(
            answer(service_tier="flex", usage=USAGE | {"cost_in_usd_ticks": 4 * 10**7}), "13_x", {"a": 1}
        )
        [entry] = recorded()
        assert cost == entry.cost / 1e9
        assert (entry.service, entry.model, entry.stage, entry.request_id) == (
            "openai",
            "gpt-4o",
            "13_x",
            "c-1",
        )
        assert (entry.service_tier, entry.operation, entry.actual_cost) == ("flex", "chat", 4_000_000)
        assert entry.usage == Usage(1000, 200)
        assert entry.metadata == {"a": 1}
        assert not entry.estimated

    def test_what_the_caller_says_wins(self, tracker: CostTracker, recorded: Recorded) -> None:
        tracker.log_response(
            answer(service_tier="flex"),
            service="azure",
            model="gpt-4o-mini",
            request_id="mine",
            batch=True,
            category="summary",
            tags=["b", "a"],
            attempt=3,
            actual_cost_usd=0.5,
            workflow="media",
            timestamp="2026-10-05T09:30:00Z",
        )
        [entry] = recorded()
        assert (entry.service, entry.model, entry.request_id) == ("azure", "gpt-4o-mini", "mine")
        assert (entry.service_tier, entry.operation, entry.tags) == ("batch", "summary", ("a", "b"))
        assert (entry.attempt, entry.actual_cost, entry.workflow) == (3, 500_000_000, "media")
        assert entry.timestamp.month == 10

    def test_the_same_response_counts_once(self, tracker: CostTracker, recorded: Recorded) -> None:
        assert tracker.log_response(answer()) == tracker.log_response(answer()) == 0.0045
        assert len(recorded()) == 1
        assert tracker.get_job_cost() == 0.0045

    def test_several_calls_in_one_response(self, tracker: CostTracker, recorded: Recorded) -> None:
        usage = {"inputTokens": 100, "outputTokens": 20, "costUSD": 0.001}
        result = {
            "session_id": "s",
            "num_turns": 1,
            "uuid": "u",
            "total_cost_usd": 0.002,
            "model_usage": {"claude-sonnet-4-5": usage, "claude-haiku-4-5": usage},
        }
        with tracker.reserve("anthropic", "claude-sonnet-4-5", tokens_input=1, max_tokens_output=1) as hold:
            cost = tracker.log_response(result, reservation=hold, request_id="mine")
        first, second = recorded()
        assert cost == pytest.approx((first.cost + second.cost) / 1e9)
        assert (first.model, second.model) == ("claude-sonnet-4-5", "claude-haiku-4-5")
        assert (first.reservation, second.reservation) == (hold.id, None)
        assert (first.request_id, second.request_id) == ("mine", "u/claude-haiku-4-5")

    def test_a_wrong_argument_writes_nothing(self, tracker: CostTracker) -> None:
        with pytest.raises(TypeError, match="is not an argument"):
            tracker.log_response(answer(), tokens_output=3, colour="red")  # type: ignore[call-arg]  # the point
        with pytest.raises(ValueError, match="attempt"):
            tracker.log_response(answer(), attempt=0)
        with pytest.raises(TypeError, match="not a response that log_response can read"):
            tracker.log_response(object())
        assert not tracker._session.job.ledger.exists()

    @pytest.mark.parametrize("fault", [RuntimeError("not read yet"), ZeroDivisionError()])
    @pytest.mark.parametrize("where", ["usage", "id"])
    def test_an_object_that_cannot_be_looked_at_is_recorded_without_its_usage(
        self, tracker: CostTracker, recorded: Recorded, fault: Exception, where: str
    ) -> None:
        class Answer:
            object = "chat.completion"
            model = "gpt-4o"

            def __getattr__(self, name: str) -> Any:
                if name == where:
                    raise fault
                raise AttributeError(name)

        tracker.log_response(Answer(), stage="13_x")
        [entry] = recorded()
        assert (entry.model, entry.stage, entry.charge) == ("gpt-4o", "13_x", None)
        assert entry.metadata["not_read"] == f"{type(fault).__name__}: {fault}"

    def test_awaiting_it(self, tracker: CostTracker) -> None:
        assert asyncio.run(tracker.alog_response(answer(), stage="13_x")) == 0.0045
        assert tracker.get_stage_costs() == {"13_x": 0.0045}

    def test_hooks_come_in_the_same_way(self, tracker: CostTracker, recorded: Recorded) -> None:
        with tracker.stage("10_translation"):
            captured = Captured(service="openai", model="gpt-4o", usage=Usage(1000, 200), incomplete="why")
            assert tracker.record_captured(captured) == 0.0045
        [entry] = recorded()
        assert (entry.stage, entry.estimated, entry.metadata) == (
            "10_translation",
            True,
            {"incomplete": "why"},
        )


class TestLogStream:
    def test_it_belongs_to_the_stage_it_began_in(self, tracker: CostTracker, recorded: Recorded) -> None:
        with tracker.stage("13_x"):
            stream = tracker.log_stream(iter(chunks()), description="a stream")
        assert list(stream) == chunks()
        [entry] = recorded()
        assert (entry.stage, entry.description, entry.cost) == ("13_x", "a stream", 4_500_000)

    def test_the_stage_line_has_its_cost(
        self, tracker: CostTracker, caplog: pytest.LogCaptureFixture
    ) -> None:
        logger = logging.getLogger("a-stage")
        with caplog.at_level(logging.INFO), tracker.stage("13_x", logger=logger):
            list(tracker.log_stream(iter(chunks())))
        assert "Stage cost: $0.0045" in caplog.text

    def test_wrong_arguments_are_refused_before_it_is_read(self, tracker: CostTracker) -> None:
        with pytest.raises(ValueError, match="attempt"):
            tracker.log_stream(iter(chunks()), attempt=0)
        with pytest.raises(TypeError, match="not a stream"):
            tracker.log_stream(42)

    def test_asynchronously(self, tracker: CostTracker, recorded: Recorded) -> None:
        async def arriving() -> AsyncIterator[dict[str, Any]]:
            for chunk in chunks():
                yield chunk

        async def read_it() -> int:
            return len([chunk async for chunk in tracker.log_stream(arriving(), model="gpt-4o-mini")])

        assert asyncio.run(read_it()) == 2
        assert recorded()[0].model == "gpt-4o-mini"

    def test_cut_it_is_flagged(self, tracker: CostTracker, recorded: Recorded) -> None:
        stream = tracker.log_stream((chunk for chunk in chunks()), "13_x")
        next(stream)
        stream.close()
        [entry] = recorded()
        assert entry.estimated
        assert entry.usage == Usage(tokens_output=3)
        assert "was closed early" in str(entry.metadata["incomplete"])


FORKED = """
import os, sys
from shared.cost_tracker import CostTracker

def chunks():
    about = {"id": "c-1", "object": "chat.completion.chunk", "model": "gpt-4o"}
    yield {**about, "choices": [{"delta": {"content": "Good morning"}}]}
    yield {**about, "choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 200}}

stream = CostTracker(sys.argv[2]).log_stream(chunks())
reading = iter(stream)
next(reading)
if not (child := os.fork()):
    if sys.argv[1] == "drops it":
        del reading, stream
    elif sys.argv[1] == "closes it":
        stream.close()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
list(reading)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no processes")
@pytest.mark.parametrize("how", ["ends", "drops it", "closes it"])
def test_a_child_that_is_forked_while_a_stream_is_read_leaves_its_call_to_the_parent(
    how: str, tracker: CostTracker, recorded: Recorded
) -> None:
    """It has the same id, so that what the child told first, without usage, stood for the call."""
    subprocess.run([sys.executable, "-c", FORKED, how, tracker._session.job.ledger.parent], check=True)
    assert [to_usd(entry.cost) for entry in recorded()] == [0.0045]


@pytest.mark.no_cover
def test_hundreds_of_tasks_on_one_tracker(tracker: CostTracker, recorded: Recorded) -> None:
    """Each in a stage of its own, some streamed: every call where it belongs."""

    async def work(number: int) -> None:
        async with tracker.stage(f"stage-{number % 5}", logger=logging.getLogger("quiet")):
            await asyncio.sleep(0)
            if number % 2:
                await tracker.alog_response(answer(number))
            else:
                for _ in tracker.log_stream(iter(chunks(number))):
                    await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(*(work(number) for number in range(300)))

    asyncio.run(main())
    entries = recorded()
    assert len(entries) == 300
    assert {entry.stage for entry in entries if entry.request_id == "c-7"} == {"stage-2"}
    for number, cost in tracker.get_stage_costs().items():
        assert cost == pytest.approx(60 * 0.0045), number
    assert tracker.get_job_cost() == pytest.approx(300 * 0.0045)
    assert tracker.get_usage_stats()["total_calls"] == 300


def test_threads_on_one_tracker(tracker: CostTracker, recorded: Recorded) -> None:
    def work(first: int) -> None:
        for number in range(first, first + 10):
            tracker.log_response(answer(number), stage="13_x")

    threads = [threading.Thread(target=work, args=(first,)) for first in range(0, 80, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({entry.request_id for entry in recorded()}) == len(recorded()) == 80
    assert tracker.get_job_cost() == pytest.approx(80 * 0.0045)
