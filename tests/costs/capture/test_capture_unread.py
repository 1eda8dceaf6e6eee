"""Counts that no adapter reads make a charge partial, and counts that are no numbers lose no call."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_capture_charges import chat, followed, gemini, message, response

from shared.cost_tracker import CostTracker
from shared.costs.capture.fields import Fields
from shared.costs.capture.reading import read_response
from shared.costs.capture.spans import read_span
from shared.costs.capture.unread import every_number, names_in, unread_counts
from shared.costs.ledger.reader import read
from shared.costs.model import Entry

USED = {"input_tokens": 1000, "output_tokens": 100}


def entries_of(folder: Path, answer: Any, **said: Any) -> list[Entry]:
    """What one answer is recorded as."""
    tracker = CostTracker(job_dir=folder / "job", cost_storage_path=folder / "costs")
    tracker.log_response(answer, stage="s", **said)
    tracker.close()
    found = [line.content for line in read(folder / "job" / "cost_ledger.jsonl")]
    return [content for content in found if isinstance(content, Entry)]


def converse(**usage: Any) -> dict[str, Any]:
    return {"usage": {"inputTokens": 9, "outputTokens": 3, **usage}, "stopReason": "end_turn", "output": {}}


NEW: list[tuple[str, Any, dict[str, float]]] = [
    ("a count of a usage", chat("gpt-4o", {"video_tokens": 500}), {"video_tokens": 500}),
    (
        "a kind of output",
        chat("gpt-4o", {"completion_tokens_details": {"video_tokens": 40}}),
        {"video_tokens": 40},
    ),
    (
        "attempts in a list",
        chat("gpt-4o", {"attempts": [{"prompt_tokens": 5}, {"prompt_tokens": 6}]}),
        {"attempts_prompt_tokens": 11},
    ),
    ("a search count", chat("sonar", {"num_search_queries": 3}), {"num_search_queries": 3}),
    (
        "a hosted tool's call",
        response([{"type": "video_generation_call"}] * 2),
        {"video_generation_calls": 2},
    ),
    (
        "a hosted tool's usage",
        response([], tool_usage={"browser": {"num_requests": 4}}),
        {"browser_num_requests": 4},
    ),
    (
        "a count of Anthropic's",
        message(usage={**USED, "server_tool_use": {"image_generation_requests": 2}}),
        {"image_generation_requests": 2},
    ),
    (
        "a server tool's name",
        message(usage=USED, content=[{"type": "server_tool_use", "name": "browser", "id": "x"}]),
        {"browser_uses": 1},
    ),
    (
        "an iteration's kind",
        message(usage={**USED, "iterations": [{"type": "judge_message", "input_tokens": 70}]}),
        {"judge_message_input_tokens": 70},
    ),
    (
        "a count of Gemini's",
        gemini() | {"usage_metadata": {"prompt_token_count": 9, "videoGenerationTokenCount": 7}},
        {"video_generation_token_count": 7},
    ),
    (
        "a modality of Gemini's output",
        gemini()
        | {
            "usage_metadata": {
                "prompt_token_count": 9,
                "candidates_token_count": 50,
                "candidates_tokens_details": [{"modality": "VIDEO", "token_count": 50}],
            }
        },
        {"video_tokens": 50},
    ),
    ("a count of Bedrock's", converse(groundingSearches=2), {"grounding_searches": 2}),
    (
        "a billed unit of Cohere's",
        {"id": "c", "meta": {"billed_units": {"input_tokens": 9, "videos": 1}}, "embeddings": []},
        {"videos": 1},
    ),
    (
        "a page count of Mistral's",
        {
            "model": "mistral-ocr-latest",
            "usage_info": {"pages_processed": 3, "pages_annotated": 2},
            "pages": [],
        },
        {"pages_annotated": 2},
    ),
    (
        "a detail of LangChain's",
        {
            "type": "ai",
            "response_metadata": {"model_name": "gpt-4o"},
            "usage_metadata": {**USED, "output_token_details": {"video": 30}},
        },
        {"video_tokens": 30},
    ),
]


@pytest.mark.parametrize(("answer", "units"), [row[1:] for row in NEW], ids=[row[0] for row in NEW])
def test_a_count_that_nobody_reads_is_kept_as_a_unit_without_a_price(answer: Any, units: Any) -> None:
    model = (
        None if any(name in str(answer) for name in ("gpt", "claude", "gemini", "mistral", "sonar")) else "m"
    )
    [call] = read_response(answer, model=model)
    assert call.unpriced_units == units


KNOWN: list[tuple[str, Any]] = [
    (
        "all of OpenAI's",
        chat(
            "gpt-4o",
            {
                "total_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": 1, "text_tokens": 1, "video_tokens": 1},
                "completion_tokens_details": {
                    "accepted_prediction_tokens": 1,
                    "rejected_prediction_tokens": 1,
                },
            },
        ),
    ),
    ("times of a server", chat("llama", {"queue_time": 0.1, "completion_time": 0.2, "total_time": 0.3})),
    ("DeepSeek's misses", chat("deepseek-chat", {"prompt_cache_miss_tokens": 7})),
    ("reasoning that the total includes", chat("a", {"reasoning_tokens": 2, "total_tokens": 1500})),
    ("zeros", chat("gpt-4o", {"video_tokens": 0, "attempts": []})),
    ("all of Anthropic's", message(usage={**USED, "server_tool_use": {"web_fetch_requests": 2}})),
    ("the older names of Bedrock", converse(cacheReadInputTokenCount=5, totalTokens=12)),
]


@pytest.mark.parametrize("answer", [row[1] for row in KNOWN], ids=[row[0] for row in KNOWN])
def test_what_is_read_or_known_to_be_a_fact_is_no_missing_unit(answer: Any) -> None:
    [call] = read_response(answer, model="m" if "stopReason" in answer else None)
    assert call.unpriced_units == {}


def test_streams_keep_counts_that_nobody_reads() -> None:
    start = {"type": "message_start", "message": message(usage={**USED, "output_tokens": 1})}
    end = {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 9, "browser_requests": 3}}
    [spoken] = followed([start, end])
    chunk = gemini() | {"usage_metadata": {"prompt_token_count": 9, "map_tile_count": 4}}
    [drawn] = followed([chunk])
    assert (spoken.unpriced_units, drawn.unpriced_units) == ({"browser_requests": 3}, {"map_tile_count": 4})


def test_a_span_keeps_counts_that_nobody_reads() -> None:
    span = {"gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 9}
    more = {"gen_ai.usage.video_tokens": 40, "anthropic.usage.server_tool_use.browser_requests": 2}
    facts = {"gen_ai.usage.cost": 0.2, "anthropic.usage.server_tool_use.web_fetch_requests": 3}
    call = read_span({**span, **more, **facts})
    assert call is not None
    assert call.unpriced_units == {"video_tokens": 40, "browser_requests": 2}


def test_an_agents_result_keeps_counts_that_nobody_reads() -> None:
    used = {"inputTokens": 9, "outputTokens": 3, "maxOutputTokens": 64_000, "imageGenerationRequests": 2}
    result = {
        "session_id": "s",
        "num_turns": 1,
        "usage": {"input_tokens": 9},
        "model_usage": {"claude-opus-5": used},
    }
    [call] = read_response(result)
    assert call.unpriced_units == {"image_generation_requests": 2}


def test_tools_behind_langchain_are_billed() -> None:
    about = {
        "model_name": "claude-opus-5",
        "usage": {"input_tokens": 9, "server_tool_use": {"web_search_requests": 2}},
    }
    [anthropic] = read_response({"type": "ai", "response_metadata": about, "usage_metadata": USED})
    about = {"model_name": "gpt-5"}
    searched = [{"type": "web_search_call", "action": {"type": "search"}}, {"type": "code_interpreter_call"}]
    [openai] = read_response(
        {"type": "ai", "response_metadata": about, "usage_metadata": USED, "content": searched}
    )
    about = {"model_name": "gemini-3-flash-preview", "grounding_metadata": {"web_search_queries": ["a", "b"]}}
    [google] = read_response({"type": "ai", "response_metadata": about, "usage_metadata": USED})
    counts = [call.usage for call in (anthropic, openai, google)]
    assert [usage.web_searches for usage in counts] == [2, 1, 2]
    assert counts[1].containers == 1


def test_the_charge_is_partial_and_says_what_is_missing(tmp_path: Path) -> None:
    answer = chat("gpt-4o", {"prompt_tokens": 1000, "completion_tokens": 10, "video_tokens": 500})
    [entry] = entries_of(tmp_path, answer)
    assert (entry.cost_state, entry.unpriced_units) == ("partial", {"video_tokens": 500})


def test_a_bill_is_whole_whatever_else_is_counted(tmp_path: Path) -> None:
    answer = chat("a/b", {"cost": 0.02, "video_tokens": 500}, provider="Acme")
    [entry] = entries_of(tmp_path, answer)
    assert (entry.cost, entry.cost_state) == (20_000_000, "whole")


def test_a_bill_in_another_currency_is_none(tmp_path: Path) -> None:
    answer = chat("gpt-4o", {"cost": 0.5, "currency": "EUR"}, provider="Acme")
    [entry] = entries_of(tmp_path, answer)
    assert entry.actual_cost is None


@pytest.mark.parametrize("count", [math.nan, math.inf, -5, 5.5, True, "many", [3]])
def test_a_count_that_is_no_number_loses_no_call(count: Any, tmp_path: Path, caplog: Any) -> None:
    [entry] = entries_of(tmp_path, chat("gpt-4o", {"prompt_tokens": count, "completion_tokens": 10}))
    assert (entry.cost_state, entry.model, entry.unpriced_units) == ("unknown", "gpt-4o", {"requests": 1})
    assert "prompt_tokens must be a" in caplog.text


def test_digits_as_text_are_a_count() -> None:
    [call] = read_response(chat("gpt-4o", {"prompt_tokens": "1000", "completion_tokens": 10}))
    assert call.usage.tokens_input == 1000


def test_the_names_of_a_usage_are_those_of_any_kind_of_object() -> None:
    @dataclass
    class Usage:
        tokens: int
        _own: int = 0

    class Plain:
        def __init__(self) -> None:
            self.tokens = 3

    assert names_in(Fields(Usage(3))) == ["tokens", "_own"]
    assert names_in(Fields(Plain())) == names_in(Fields({"tokens": 3})) == ["tokens"]
    assert names_in(Fields(None)) == names_in(Fields(7)) == []


NAMES = st.text(st.sampled_from("abcAB_ \n"), min_size=1, max_size=80).map(lambda name: f"{name}_tokens")
VALUES = st.recursive(
    st.one_of(st.integers(), st.floats(), st.booleans(), st.text(max_size=3), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=30,
)


@pytest.mark.no_cover
@given(st.dictionaries(NAMES, VALUES, max_size=20))
def test_whatever_a_server_sends_the_units_are_few_short_and_positive(usage: dict[str, Any]) -> None:
    for units in (unread_counts(Fields(usage), ()), every_number(Fields(usage), ())):
        assert len(units) <= 16
        assert all(len(name) <= 64 and name.isprintable() and " " not in name for name in units)
        assert all(0 < count < math.inf for count in units.values())
