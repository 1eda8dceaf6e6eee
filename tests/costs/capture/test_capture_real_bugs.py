"""Bugs that other tools really had, each one tried from the provider's own object to the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from capture_cells import WHOLE
from capture_cells.anthropic import CACHE, USAGE, message
from capture_cells.openai_chat import CHAT, chat, chunks
from capture_cells.openai_media import transcription
from capture_cells.recorded import made

from shared.cost_tracker import CostTracker
from shared.costs.capture.reading import read_response
from shared.costs.capture.spans import read_span
from shared.costs.ledger.reader import read
from shared.costs.model import Entry


@pytest.fixture
def recorded(tracker: CostTracker) -> Callable[[], list[Entry]]:
    """The entries in the tracker's ledger."""

    def look() -> Iterator[Entry]:
        for located in read(tracker._session.job.ledger):
            assert isinstance(located.content, Entry)
            yield located.content

    return lambda: list(look())


def test_cached_tokens_are_not_counted_twice(tracker: CostTracker) -> None:
    """ "Input" includes the cache at OpenAI and excludes it at Anthropic. Same work, same counts."""
    pytest.importorskip("openai")
    pytest.importorskip("anthropic")
    openai = chat(CHAT | {"prompt_tokens": 6700, "prompt_tokens_details": {"cached_tokens": 5000}})
    [here], [there] = read_response(openai), read_response(message(USAGE | CACHE))
    assert here.usage.tokens_input == there.usage.tokens_input == 6700
    # 1,700 at 2.50, 5,000 cached at 1.25, 200 out at 10 USD per million
    assert tracker.log_response(openai) == pytest.approx(0.0125)
    # 1,000 at 3, 5,000 read at 0.30, 500 written at 3.75, 200 for an hour at 6, 200 out at 15
    assert tracker.log_response(message(USAGE | CACHE)) == pytest.approx(0.010575)


def test_geminis_thoughts_are_not_dropped() -> None:
    """Output was 98 % low where ``candidatesTokenCount`` alone was read; also in spans of today."""
    made = {
        "modelVersion": "gemini-2.5-pro",
        "candidates": [],
        "usageMetadata": {
            "promptTokenCount": 1000,
            "candidatesTokenCount": 40,
            "thoughtsTokenCount": 1960,
            "totalTokenCount": 3000,
        },
    }
    [call] = read_response(made)
    assert (call.usage.tokens_output, call.usage.tokens_reasoning) == (2000, 1960)
    span = read_span(
        {
            "gen_ai.provider.name": "gcp.gemini",
            "gen_ai.usage.input_tokens": 1000,
            "gen_ai.usage.output_tokens": 40,
            "gen_ai.usage.total_tokens": 3000,
        }
    )
    assert span is not None
    assert span.usage.tokens_output == 2000


def test_a_stream_is_not_logged_as_nothing(tracker: CostTracker, recorded: Callable[[], list[Entry]]) -> None:
    pytest.importorskip("openai")
    list(tracker.log_stream(iter(chunks(CHAT))))
    list(tracker.log_stream(iter(chunks(None)), request_id="another"))
    whole, unasked = recorded()
    assert whole.cost > 0
    assert not whole.estimated
    assert (unasked.charge, unasked.cost_state) == (None, "unknown"), "its input is not known"
    assert unasked.unpriced_units == {"requests": 1}
    assert unasked.usage.tokens_output > 0
    assert unasked.estimated
    assert "include_usage" in str(unasked.metadata["incomplete"])


def test_an_empty_request_id_is_no_key(tracker: CostTracker, recorded: Callable[[], list[Entry]]) -> None:
    """Rows vanished where every call without an id had the same one."""
    answer: dict[str, Any] = {"object": "chat.completion", "id": "", "model": "gpt-4o", "usage": CHAT}
    for _ in range(3):
        tracker.log_response(answer)
    first, *others = recorded()
    assert len(others) == 2
    assert first.request_id is None
    assert len({entry.id for entry in recorded()}) == 3


@pytest.mark.no_cover
@pytest.mark.parametrize("cell", WHOLE, ids=lambda cell: cell.id)
def test_no_adapter_skips_deduplication(
    cell: Any, tracker: CostTracker, recorded: Callable[[], list[Entry]]
) -> None:
    """One of several loaders counted every line again. Here an id counts once, whoever it is from."""
    answer = made(cell)
    first, again = tracker.log_response(answer, **cell.said), tracker.log_response(answer, **cell.said)
    assert again == first
    has_id = recorded()[0].request_id is not None
    assert len(recorded()) == (1 if has_id else 2)


def test_a_tier_belongs_to_its_own_request(tracker: CostTracker) -> None:
    """Prices by size of the prompt were picked per day's sum, not per request."""
    for number in range(3):
        usage = {"promptTokenCount": 100_000, "candidatesTokenCount": 1000, "totalTokenCount": 101_000}
        cost = tracker.log_response(
            {"modelVersion": "gemini-1.5-pro", "responseId": f"r-{number}", "usageMetadata": usage}
        )
        assert cost == pytest.approx(0.13), "each is below 128,000 tokens, whatever their sum"
    [flex] = read_response(chat(CHAT, service_tier="flex")) if pytest.importorskip("openai") else []
    assert flex.service_tier == "flex"


def test_transcription_by_the_second_is_not_free(tracker: CostTracker) -> None:
    pytest.importorskip("openai")
    made = transcription({"type": "duration", "seconds": 90})
    assert tracker.log_response(made, model="whisper-1") == pytest.approx(0.009)
