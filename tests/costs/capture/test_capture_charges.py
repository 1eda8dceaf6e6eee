"""What providers bill beside plain tokens: each kind as a call states it, and what it then costs.

Amounts are list prices of the day of the calls, written out; the comments name the kinds that other tools get
wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from shared.cost_tracker import CostTracker
from shared.costs.capture.captured import Captured
from shared.costs.capture.reading import read_response
from shared.costs.capture.streams import track_stream
from shared.costs.capture.watch import StreamNames
from shared.costs.ledger.reader import read
from shared.costs.model import Entry, Usage
from shared.costs.money import from_usd, to_usd

AT = "2026-11-28T12:00:00+00:00"
Recorded = Callable[[], list[Entry]]


@pytest.fixture
def recorded(tracker: CostTracker) -> Recorded:
    """What stands in the tracker's ledger."""
    return lambda: [e for each in read(tracker._session.job.ledger) if isinstance(e := each.content, Entry)]


def followed(chunks: Sequence[Any], model: str | None = None, service: str | None = None) -> list[Captured]:
    """The calls that following a stream to its end gives."""
    calls: list[Captured] = []
    assert list(track_stream(iter(chunks), calls.append, StreamNames(service, model))) == list(chunks)
    return calls


def usd(entries: Sequence[Entry]) -> float | None:
    """What entries cost together; None where one of them has no cost."""
    if any(entry.charge is None for entry in entries):
        return None
    return round(sum(to_usd(entry.cost) for entry in entries), 9)


# --- OpenAI


def response(output: list[dict[str, Any]], model: str = "gpt-5", **more: Any) -> dict[str, Any]:
    usage = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
    whole = {"object": "response", "id": "resp_a1b2c3d4e5f6", "model": model, "status": "completed"}
    return {**whole, "output": output, "usage": usage, **more}


SEARCH = {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}}
OPENED = {"type": "web_search_call", "status": "completed", "action": {"type": "open_page", "url": "u"}}


def container(name: str) -> dict[str, Any]:
    return {"type": "code_interpreter_call", "container_id": name}


SHELL = {"type": "shell_call", "environment": {"type": "container_reference", "container_id": "cntr_1"}}
LOCAL_SHELL = {"type": "shell_call", "environment": {"type": "local"}}

TOOLS: list[tuple[str, dict[str, Any], dict[str, int]]] = [
    ("searches, not opened pages", response([SEARCH, OPENED, SEARCH]), {"web_searches": 2}),
    (
        "searches as stated, discounted ones left out",
        response([SEARCH] * 3, tool_usage={"web_search": {"num_requests": 1}}),
        {"web_searches": 1},
    ),
    (
        "searches of the preview tool",
        response([SEARCH], tools=[{"type": "web_search_preview_2025_03_11"}]),
        {"preview_searches": 1},
    ),
    ("searches of files", response([{"type": "file_search_call"}] * 3), {"file_searches": 3}),
    ("one container for two calls", response([container("a"), container("a")]), {"containers": 1}),
    ("two containers", response([container("a"), container("b")]), {"containers": 2}),
    ("a container without a name", response([{"type": "code_interpreter_call"}] * 2), {"containers": 1}),
    ("a shell in a container", response([SHELL, container("cntr_1")]), {"containers": 1}),
    ("a shell on the caller's machine", response([LOCAL_SHELL]), {}),
]


@pytest.mark.parametrize(("name", "answer", "counts"), TOOLS, ids=[tool[0] for tool in TOOLS])
def test_hosted_tools_of_openai(name: str, answer: dict[str, Any], counts: dict[str, Any]) -> None:
    [call] = read_response(answer)
    assert call.usage == Usage(tokens_input=1000, tokens_output=100, **counts)
    streamed = followed([{"type": "response.completed", "response": answer}])
    assert [each.usage for each in streamed] == [call.usage]


IMAGE = {
    "input_tokens": 50,
    "output_tokens": 4160,
    "total_tokens": 4210,
    "input_tokens_details": {"text_tokens": 40, "image_tokens": 10},
    "cached_tokens": 8,
    "cached_tokens_details": {"cached_image_tokens": 5, "cached_text_tokens": 3},
    "output_tokens_details": {"image_tokens": 4160, "text_tokens": 0},
}


def test_the_image_tool_is_a_call_of_its_own_model() -> None:
    drawn = response(
        [{"type": "image_generation_call"}],
        tools=[{"type": "image_generation", "model": "gpt-image-1-mini"}],
        tool_usage={"image_gen": IMAGE, "web_search": {"num_requests": 0}},
    )
    answer, image = read_response(drawn)
    assert answer.usage == Usage(tokens_input=1000, tokens_output=100)
    assert (image.model, image.operation) == ("gpt-image-1-mini", "image")
    assert image.usage == Usage(
        tokens_input=50,
        tokens_output=4160,
        tokens_cached=8,
        tokens_image_input=10,
        tokens_image_cached=5,
        tokens_image_output=4160,
    )
    assert (answer.request_id, image.request_id) == ("resp_a1b2c3d4e5f6", "resp_a1b2c3d4e5f6/image")


def test_pictures_that_state_no_tokens_make_a_call_partial(tracker: CostTracker, recorded: Recorded) -> None:
    tracker.log_response(response([{"type": "image_generation_call"}] * 2), timestamp=AT)
    [entry] = recorded()
    assert (entry.cost_state, entry.unpriced_units) == ("partial", {"images": 2})
    assert to_usd(entry.cost) == 0.00225


@pytest.mark.parametrize(
    ("model", "counts"),
    [
        ("gpt-4o-search-preview-2025-03-11", {"preview_searches": 1}),
        ("gpt-4o-mini-search-preview", {"preview_searches": 1}),
        ("gpt-5-search-api", {"web_searches": 1}),
        ("gpt-4o", {}),
    ],
)
def test_models_that_search_at_every_call(model: str, counts: dict[str, Any]) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    [call] = read_response(
        {"object": "chat.completion", "id": "chatcmpl-Q7zzz1", "model": model, "usage": usage}
    )
    assert call.usage == Usage(tokens_input=10, tokens_output=5, **counts)


def test_embeddings_that_state_a_total_alone_are_all_input() -> None:
    embeddings = {"object": "list", "data": [], "model": "voyage-3.5", "usage": {"total_tokens": 1_000}}
    [call] = read_response(embeddings)
    assert (call.usage, call.incomplete) == (Usage(tokens_input=1_000), None)


JOBS: list[tuple[dict[str, Any], dict[str, Any] | None]] = [
    ({"object": "video", "status": "completed", "seconds": "8", "size": "1280x720"}, {"video_seconds": 8.0}),
    ({"object": "video", "status": "completed", "seconds": 12}, {"video_seconds": 12.0}),
    ({"object": "video", "status": "in_progress", "seconds": "8"}, None),
    ({"object": "video", "status": "failed", "seconds": "8"}, None),
    (
        {
            "object": "batch",
            "status": "expired",
            "request_counts": {"completed": 2, "failed": 1, "total": 9},
            "usage": {"input_tokens": 3000, "output_tokens": 600, "total_tokens": 3600},
        },
        {"tokens_input": 3000, "tokens_output": 600, "requests": 2},
    ),
    ({"object": "batch", "status": "in_progress", "usage": {"total_tokens": 9}}, None),
    ({"object": "batch", "status": "completed", "usage": None}, None),
]


@pytest.mark.parametrize(("job", "counts"), JOBS)
def test_jobs_count_when_they_are_over(job: dict[str, Any], counts: dict[str, Any] | None) -> None:
    calls = read_response({"id": "job_1", "model": "sora-2", **job})
    assert [call.usage for call in calls] == ([] if counts is None else [Usage(**counts)])
    assert [call.request_id for call in calls] == ["job_1"] * len(calls)


def test_a_video_without_a_duration_is_unknown_and_not_free(tracker: CostTracker, recorded: Recorded) -> None:
    tracker.log_response({"object": "video", "id": "v", "model": "sora-2", "status": "completed"})
    [entry] = recorded()
    assert (entry.charge, entry.unpriced_units) == (None, {"requests": 1})


@pytest.mark.parametrize(
    ("model", "size", "nanos"),
    [
        ("sora-2-pro", None, 2_400_000_000),
        ("sora-2-pro", "720x1280", 2_400_000_000),
        ("sora-2-pro", "1792x1024", 4_000_000_000),
        ("sora-2-pro", "1080x1920", 5_600_000_000),
        ("sora-2-pro", "4096x2160", 2_400_000_000),  # and what a picture of that size costs on top
        ("sora-2", "1792x1024", 800_000_000),
    ],
)
def test_a_video_costs_what_its_size_costs(
    model: str, size: str | None, nanos: int | None, tracker: CostTracker, recorded: Recorded
) -> None:
    video = {"object": "video", "id": "v", "status": "completed", "model": model, "seconds": "8"}
    tracker.log_response({**video, **({"size": size} if size else {})})
    [entry] = recorded()
    assert (entry.charge and entry.charge.total) == nanos
    unpriced = size is not None and (model == "sora-2" or size == "4096x2160")
    assert entry.unpriced_units == ({size: 1} if unpriced else {})


# --- bills and estimates


def chat(model: str, usage: dict[str, Any], **more: Any) -> dict[str, Any]:
    tokens = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
    return {"object": "chat.completion", "id": "gen-7", "model": model, "usage": tokens | usage, **more}


ROUTER, PERPLEXITY = {"provider": "Acme"}, {"citations": ["a"]}
BYOK = {"is_byok": True, "cost_details": {"upstream_inference_cost": 0.03}}
BILLS: list[tuple[str, dict[str, Any], str, float | None]] = [
    ("a router's bill", chat("openai/gpt-4o", {"cost": 0.02155}, **ROUTER), "stated@bill", 0.02155),
    ("one's own key", chat("openai/gpt-4o", {"cost": 0, **BYOK}, **ROUTER), "stated@bill", 0.03),
    ("one's own key, and a fee", chat("a/b", {"cost": 0.001, **BYOK}, **ROUTER), "stated@bill", 0.031),
    (
        "another one's key",
        chat("a/b", {"cost": 0.001, **BYOK, "is_byok": False}, **ROUTER),
        "stated@bill",
        0.001,
    ),
    (
        "a search engine's bill",
        chat("sonar", {"cost": {"total_cost": 0.0065}}, **PERPLEXITY),
        "stated@bill",
        0.0065,
    ),
    ("ticks", chat("grok-4.3", {"cost_in_usd_ticks": 127_344_000}), "stated@bill", 0.0127344),
    ("a zero that is not believed", chat("openai/gpt-4o", {"cost": 0}, **ROUTER), "genai-prices@", 0.0075),
    ("a figure of LiteLLM's proxy", chat("openai/gpt-4o", {"cost": 9}), "catalogue@", 0.0075),
    ("a zero for what is not known", chat("a/b", {"cost": 0}, **ROUTER), "", None),
]


@pytest.mark.parametrize(("name", "answer", "by", "cost"), BILLS, ids=[bill[0] for bill in BILLS])
def test_who_states_the_bill_decides(
    name: str, answer: dict[str, Any], by: str, cost: float | None, tracker: CostTracker, recorded: Recorded
) -> None:
    tracker.log_response(answer, timestamp=AT)
    [entry] = recorded()
    assert usd([entry]) == cost
    if entry.charge is not None:
        assert f"{entry.charge.priced_by.source}@{entry.charge.priced_by.version}".startswith(by)
    if by == "stated@bill":
        assert entry.charge is not None
        assert (list(entry.charge.parts), entry.actual_cost) == (["stated"], entry.cost)
        assert not entry.estimated


def test_our_arithmetic_stays_beside_a_bill(tracker: CostTracker, recorded: Recorded) -> None:
    tracker.log_response(chat("openai/gpt-4o", {"cost": 0.02155}, **ROUTER), timestamp=AT)
    [entry] = recorded()
    assert entry.catalogue_cost is not None
    assert to_usd(entry.catalogue_cost) == 0.0075


@pytest.mark.parametrize(("model", "cost"), [("gpt-4o", 0.0045), ("never-heard-of", 0.5)])
def test_an_estimate_counts_only_where_there_is_no_price(
    model: str, cost: float, tracker: CostTracker, recorded: Recorded
) -> None:
    call = Captured(service="openai", model=model, usage=Usage(1000, 200), actual_cost=None)
    tracker.record_captured(replace(call, actual_cost=from_usd("0.5")))
    tracker.record_captured(replace(call, actual_cost=from_usd("0")))
    first, second = recorded()
    assert usd([first]) == cost
    assert first.estimated == (model == "never-heard-of")
    assert usd([second]) == (0.0045 if model == "gpt-4o" else None), "a zero beside usage is not believed"


# --- Realtime and Live sessions


def turn(name: str, tokens: int, **more: Any) -> dict[str, Any]:
    usage = {
        "total_tokens": tokens * 3,
        "input_tokens": tokens,
        "output_tokens": tokens * 2,
        "input_token_details": {"audio_tokens": tokens, "cached_tokens": 0},
        "output_token_details": {"audio_tokens": tokens * 2},
    }
    response = {"object": "realtime.response", "id": name, "status": "completed", "usage": usage, **more}
    return {"type": "response.done", "response": response}


def transcribed(item: str, seconds: float = 3.5) -> dict[str, Any]:
    kind = "conversation.item.input_audio_transcription.completed"
    return {
        "type": kind,
        "item_id": item,
        "content_index": 0,
        "usage": {"type": "duration", "seconds": seconds},
    }


CREATED = {
    "type": "session.created",
    "session": {
        "type": "realtime",
        "model": "gpt-realtime-2",
        "audio": {"input": {"transcription": {"model": "whisper-1"}}},
    },
}


def test_every_turn_of_a_session_counts_and_what_it_wrote_down_counts_apart() -> None:
    calls = followed([CREATED, turn("a", 10), transcribed("i1"), turn("b", 20), turn("c", 30)])
    assert [(call.model, call.request_id) for call in calls] == [
        ("gpt-realtime-2", "a"),
        ("whisper-1", "i1/0/transcription"),
        ("gpt-realtime-2", "b"),
        ("gpt-realtime-2", "c"),
    ]
    assert sum(call.usage.tokens_audio_output for call in calls) == 120
    assert calls[1].usage == Usage(audio_seconds=3.5)


def test_a_session_that_names_no_model_has_the_callers_for_its_turns_alone() -> None:
    calls = followed([turn("a", 10), transcribed("i1"), turn("b", 20)], model="gpt-realtime")
    assert [call.model for call in calls] == ["gpt-realtime", "unknown", "gpt-realtime"]
    [call] = followed([transcribed("i1")], model="gpt-4o-transcribe")
    assert call.model == "gpt-4o-transcribe"


def test_a_turn_is_recorded_when_it_is_over_and_not_when_the_session_is() -> None:
    calls: list[Captured] = []
    stream = track_stream((each for each in (CREATED, turn("a", 10), turn("b", 20))), calls.append)
    next(stream), next(stream)
    assert [call.request_id for call in calls] == ["a"]
    stream.close()
    assert [call.request_id for call in calls] == ["a"]


def test_a_turn_that_was_cut_is_unknown_and_one_that_failed_is_none() -> None:
    delta = {"type": "response.output_audio_transcript.delta", "response_id": "b", "delta": "abcdefgh"}
    failed = {"type": "response.done", "response": {"id": "c", "status": "failed", "usage": None}}
    [done, cut] = followed([CREATED, turn("a", 10), delta, failed])
    assert (done.usage_known, cut.usage_known, cut.request_id) == (True, False, "b")
    assert cut.usage == Usage(tokens_output=2)


def live(prompt: int, answer: int, over: bool = True) -> dict[str, Any]:
    usage = {
        "prompt_token_count": prompt,
        "response_token_count": answer,
        "total_token_count": prompt + answer,
        "response_tokens_details": [{"modality": "AUDIO", "token_count": answer}],
    }
    return {"usage_metadata": usage, "server_content": {"turn_complete": over}}


LIVE: dict[str, list[dict[str, Any]]] = {
    "with the end of each turn": [live(300, 100), live(500, 120)],
    "before the end": [
        {**live(300, 100), "server_content": {"model_turn": {}}},
        {"server_content": {"turn_complete": True}},
        live(500, 120),
    ],
    "after the end": [
        {"server_content": {"turn_complete": True}},
        {"usage_metadata": live(300, 100)["usage_metadata"]},
        {"server_content": {"turn_complete": True}},
        {"usage_metadata": live(500, 120)["usage_metadata"]},
    ],
    "growing within a turn": [live(300, 10, over=False), live(300, 100), live(500, 120)],
}


@pytest.mark.parametrize("name", LIVE)
def test_every_turn_of_a_live_session_counts_wherever_its_usage_stands(name: str) -> None:
    calls = followed([{"setup_complete": {}}, *LIVE[name]], model="gemini-live", service="google")
    assert [(call.usage.tokens_input, call.usage.tokens_audio_output) for call in calls] == [
        (300, 100),
        (500, 120),
    ]
    assert all(call.model == "gemini-live" for call in calls)


# --- streams: the latest known value of each count


def test_a_closing_event_of_zeros_takes_nothing_back() -> None:
    start = {"input_tokens": 25_100, "output_tokens": 1, "cache_read_input_tokens": 0}
    message = {"id": "msg_1", "model": "claude-sonnet-4-6", "usage": start}
    end = {"input_tokens": 0, "output_tokens": 40, "cache_read_input_tokens": 0}
    [call] = followed(
        [{"type": "message_start", "message": message}, {"type": "message_delta", "delta": {}, "usage": end}]
    )
    assert call.usage == Usage(tokens_input=25_100, tokens_output=40)


def test_a_closing_event_may_restate_what_was_read_from_the_cache() -> None:
    message = {
        "id": "msg_1",
        "model": "claude-sonnet-4-6",
        "usage": {"input_tokens": 25_100, "output_tokens": 1},
    }
    end = {"input_tokens": 0, "output_tokens": 40, "cache_read_input_tokens": 25_100}
    [call] = followed(
        [{"type": "message_start", "message": message}, {"type": "message_delta", "delta": {}, "usage": end}]
    )
    assert call.usage == Usage(tokens_input=25_100, tokens_output=40, tokens_cached=25_100)


def test_the_last_usage_of_a_chat_stream_counts_unless_it_says_nothing() -> None:
    head = {"object": "chat.completion.chunk", "id": "chatcmpl-Zabcd", "model": "gpt-4o", "choices": []}
    usage = {"prompt_tokens": 900, "completion_tokens": 30, "total_tokens": 930}
    zeros = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    [call] = followed([head | {"usage": usage}, head | {"usage": zeros}])
    assert call.usage == Usage(tokens_input=900, tokens_output=30)
    [call] = followed([head | {"usage": zeros}, head | {"usage": usage}])
    assert call.usage == Usage(tokens_input=900, tokens_output=30)


# --- Gemini


def gemini(model: str = "gemini-3-flash-preview", grounding: Any = None, **more: Any) -> dict[str, Any]:
    usage = {"prompt_token_count": 1000, "candidates_token_count": 100, "total_token_count": 1100}
    candidate = {
        "content": {"parts": [{"text": "x"}]},
        "finish_reason": "STOP",
        "grounding_metadata": grounding,
    }
    return {
        "candidates": [candidate],
        "model_version": model,
        "response_id": "r1",
        "usage_metadata": usage,
        **more,
    }


QUERIES = {"web_search_queries": ["a", "b", "a", "  ", ""]}
MAPS = {"grounding_chunks": [{"maps": {"place_id": "p"}}]}
GROUNDING: list[tuple[str, Any, dict[str, int]]] = [
    ("gemini-3-flash-preview", QUERIES, {"web_searches": 2}),
    ("models/gemini-3.8-pro", QUERIES, {"web_searches": 2}),
    ("gemini-2.5-flash", QUERIES, {"web_searches": 1}),
    ("gemini-2.0-flash-001", QUERIES, {"web_searches": 1}),
    ("gemini-3-flash-preview", {"web_search_queries": [""]}, {}),
    ("gemini-2.5-flash", MAPS, {"maps_searches": 1}),
    (
        "gemini-2.5-flash",
        QUERIES | {"grounding_chunks": [{"web": {}}, {"maps": {}}]},
        {"web_searches": 1, "maps_searches": 1},
    ),
    ("gemini-2.5-flash", {}, {}),
]


GROUNDING += [
    (model, {"web_search_queries": ["", " "], "grounding_chunks": chunks}, counts)
    for model in ("gemini-2.5-pro", "gemini-3-flash-preview")
    for chunks, counts in (([], {}), ([{"maps": {"place_id": "p"}}], {"maps_searches": 1}))
]
"""Queries with nothing in them are none, whatever they are billed by."""


@pytest.mark.parametrize(("model", "grounding", "counts"), GROUNDING)
def test_grounding_counts_as_the_model_bills_it(model: str, grounding: Any, counts: dict[str, Any]) -> None:
    [call] = read_response(gemini(model, grounding))
    assert call.usage == Usage(tokens_input=1000, tokens_output=100, **counts)


@pytest.mark.parametrize(("header", "tier"), [("priority", "priority"), ("FLEX", "flex"), ("standard", None)])
def test_the_tier_that_served_stands_in_a_header_alone(header: str, tier: str | None) -> None:
    http = {"headers": {"X-Gemini-Service-Tier": header}}
    [call] = read_response(gemini(sdk_http_response=http))
    assert call.service_tier == tier
    [call] = followed([gemini(sdk_http_response=http)])
    assert call.service_tier == tier


def test_vertex_is_told_by_its_traffic_type_and_has_prices_of_its_own(
    tracker: CostTracker, recorded: Recorded
) -> None:
    usage = gemini()["usage_metadata"]
    answer = gemini("gemini-2.0-flash", usage_metadata=usage | {"traffic_type": "ON_DEMAND"})
    [call] = followed([answer])
    assert (call.service, call.service_tier) == ("vertex", None)
    tracker.log_response(answer, timestamp=AT)
    tracker.log_response(gemini("gemini-2.0-flash"), timestamp=AT)
    # 0.15 and 0.60 a million; 0.10 and 0.40 on the Gemini API.
    assert [usd([entry]) for entry in recorded()] == [0.00021, 0.00014]


def test_requests_that_automatic_function_calling_made_before_are_named(
    tracker: CostTracker, recorded: Recorded
) -> None:
    asked = {"role": "model", "parts": [{"function_call": {"name": "f"}}]}
    answered = {"role": "user", "parts": [{"function_response": {"name": "f"}}]}
    tracker.log_response(gemini(automatic_function_calling_history=[asked, answered] * 2), timestamp=AT)
    [entry] = recorded()
    assert (entry.cost_state, entry.unpriced_units) == ("partial", {"requests": 2})


def test_a_stream_of_several_responses_counts_each() -> None:
    first, second = gemini(), gemini() | {"response_id": "r2"}
    calls = followed([first, second, second])
    assert [(call.request_id, call.usage.tokens_input) for call in calls] == [("r1", 1000), ("r2", 1000)]


def test_filtered_pictures_are_not_counted() -> None:
    pictures = [{"image": {"image_bytes": b"x"}}, {"image": {}, "rai_filtered_reason": "r"}, {"image": None}]
    [call] = read_response({"generated_images": pictures}, model="imagen-4.0-generate-001")
    assert call.usage == Usage(images=1)


def test_a_cache_is_stored_by_the_token_and_hour() -> None:
    cache = {
        "name": "cachedContents/1",
        "model": "models/gemini-2.5-pro",
        "create_time": "2026-11-28T10:00:00Z",
        "expire_time": "2026-11-28T12:30:00Z",
        "usage_metadata": {"total_token_count": 40_000},
    }
    [call] = read_response(cache)
    assert (call.usage, call.model) == (Usage(cache_token_hours=100_000), "gemini-2.5-pro")
    assert "until it expires" in (call.incomplete or "")


# --- Anthropic


def message(**more: Any) -> dict[str, Any]:
    usage = {"input_tokens": 1000, "output_tokens": 100}
    return {"type": "message", "id": "msg_1", "model": "claude-opus-5", "usage": usage, "content": [], **more}


@pytest.mark.parametrize(
    ("category", "output", "billed"),
    [("cyber", 0, 0), (None, 0, 0), ("general_harms", 0, 0), ("bio", 0, 1000), ("cyber", 7, 1000)],
)
def test_a_refusal_is_billed_when_there_was_output_or_its_category_is(
    category: str | None, output: int, billed: int
) -> None:
    refused = message(
        stop_reason="refusal",
        stop_details={"type": "refusal", "category": category},
        usage={"input_tokens": 1000, "output_tokens": output},
    )
    [call] = read_response(refused)
    assert call.usage.tokens_input == billed
    start = {"type": "message_start", "message": {**refused, "stop_reason": None, "stop_details": None}}
    end = {
        "type": "message_delta",
        "delta": {"stop_reason": "refusal", "stop_details": refused["stop_details"]},
    }
    [streamed] = followed([start, end | {"usage": {"output_tokens": output}}])
    assert streamed.usage == call.usage


def attempt(kind: str, model: str | None, output: int) -> dict[str, Any]:
    return {"type": kind, "model": model, "input_tokens": 5, "output_tokens": output}


def test_attempts_that_declined_are_billed_at_their_own_model_if_they_said_something() -> None:
    steps = [
        attempt("message", "claude-fable-5", 50),
        attempt("message", "claude-fable-5-1", 0),
        attempt("message", "claude-opus-5", 20),
        attempt("fallback_message", "claude-opus-5", 100),
    ]
    answered = message(usage={"input_tokens": 1000, "output_tokens": 100, "iterations": steps})
    calls = read_response(answered)
    assert [(call.model, call.usage.tokens_output) for call in calls] == [
        ("claude-opus-5", 100),
        ("claude-fable-5", 50),
    ]
    assert calls[1].request_id == "msg_1/declined-0"


def test_a_credit_that_was_redeemed_is_said() -> None:
    credit = {"status": {"type": "redeemed"}}
    [call] = read_response(message(usage={"input_tokens": 9, "output_tokens": 1, "fallback_credit": credit}))
    assert "the bill is lower" in (call.incomplete or "")


@pytest.mark.parametrize(
    ("geo", "region"), [("us", "us"), ("global", None), ("not_available", None), (None, None)]
)
def test_where_anthropic_ran_is_kept_and_charged(
    geo: str | None, region: str | None, tracker: CostTracker, recorded: Recorded
) -> None:
    usage = {"input_tokens": 1_000_000, "output_tokens": 0, "inference_geo": geo}
    tracker.log_response(message(model="claude-sonnet-4-6", usage=usage), timestamp=AT)
    [entry] = recorded()
    assert (entry.region, usd([entry])) == (region, 3.3 if region else 3.0)


def test_a_container_that_ran_code_is_named_unless_it_came_with_a_search() -> None:
    ran = {"container": {"id": "c1"}, "content": [{"type": "server_tool_use", "name": "bash_code_execution"}]}
    [call] = read_response(message(**ran))
    assert call.usage.containers == 1
    tools = {"input_tokens": 1, "output_tokens": 1, "server_tool_use": {"web_search_requests": 1}}
    [call] = read_response(message(**ran, usage=tools))
    assert (call.usage.containers, call.usage.web_searches) == (0, 1)


# --- others


def test_latency_optimised_inference_is_a_tier_of_its_own() -> None:
    converse = {
        "output": {},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 5, "outputTokens": 1},
        "performanceConfig": {"latency": "optimized"},
    }
    [call] = read_response(converse, model="us.amazon.nova-pro-v1:0")
    assert call.service_tier == "optimized"


def test_image_tokens_of_cohere_are_beside_its_input() -> None:
    billed = {"input_tokens": 10, "image_tokens": 200, "images": 2}
    [call] = read_response(
        {"id": "e1", "embeddings": [], "meta": {"billed_units": billed}}, model="embed-v4.0"
    )
    assert call.usage == Usage(tokens_input=210, tokens_image_input=200, images=2)
    [merged] = read_response(
        {"id": "e1, e2", "embeddings": [], "meta": {"billed_units": {"input_tokens": 10}}}, model="embed-v4.0"
    )
    assert "batching=False" in (merged.incomplete or "")


@pytest.mark.parametrize("model", ["openai/gpt-4o-transcribe", "google/gemini-2.5-flash"])
def test_seconds_of_a_model_that_is_billed_by_tokens_are_unpriced(
    model: str, tracker: CostTracker, recorded: Recorded
) -> None:
    service, _, name = model.partition("/")
    assert tracker.log_usage(service, name, audio_seconds=3600, timestamp=AT) == 0.0
    [entry] = recorded()
    assert entry.charge is None


def test_what_a_library_answered_from_its_cache_is_no_spend(tracker: CostTracker, recorded: Recorded) -> None:
    counts = {"input_tokens": 1_000_000, "output_tokens": 1000, "total_tokens": 1_001_000}
    about = {"model_name": "gemini-2.5-pro", "model_provider": "google_genai"}
    first = {"type": "ai", "id": "lc_run--1", "usage_metadata": counts, "response_metadata": about}
    tracker.log_response(first, timestamp=AT)
    tracker.log_response({**first, "usage_metadata": counts | {"total_cost": 0}}, timestamp=AT)
    spent, saved = recorded()
    assert spent.cost > 0
    assert (saved.cost, saved.usage, saved.cost_state) == (0, Usage(), "whole")
    assert saved.metadata["answered_from"] == "cache"
    assert saved.metadata["cached_tokens_input"] == 1_000_000


def test_a_cut_stream_settles_at_what_its_hold_knew(tracker: CostTracker, recorded: Recorded) -> None:
    delta = {"object": "chat.completion.chunk", "id": "chatcmpl-Zqabc", "model": "gpt-4o"}
    chunk = delta | {"choices": [{"delta": {"content": "abcd" * 50}}]}
    with tracker.reserve("openai", "gpt-4o", tokens_input=100_000, max_tokens_output=400) as hold:
        stream = tracker.log_stream((each for each in (chunk, chunk)), reservation=hold)
        next(stream)
        stream.close()
    [entry] = recorded()
    assert entry.usage == Usage(tokens_input=100_000, tokens_output=50)
    assert entry.estimated
    assert to_usd(entry.cost) == 0.2505


def test_tools_that_ran_before_a_stream_was_cut_are_charged(tracker: CostTracker, recorded: Recorded) -> None:
    def events() -> Iterator[dict[str, Any]]:
        yield {"type": "response.created", "response": {"id": None, "model": "gpt-5"}}
        for number in range(2):
            item = {
                "type": "web_search_call",
                "id": f"ws_{number}",
                "action": {"type": "search", "query": "a"},
            }
            yield {"type": "response.output_item.done", "item": item}
        yield {"type": "response.output_text.delta", "delta": "abcd" * 100}
        raise ConnectionError

    with pytest.raises(ConnectionError):
        list(tracker.log_stream(events()))
    with tracker.reserve("openai", "gpt-5", tokens_input=10_000, max_tokens_output=400) as hold:
        with pytest.raises(ConnectionError):
            list(tracker.log_stream(events(), reservation=hold))
    alone, held = recorded()
    assert (to_usd(alone.cost), alone.cost_state, alone.unpriced_units) == (0.021, "partial", {"requests": 1})
    assert held.usage == Usage(tokens_input=10_000, tokens_output=100, web_searches=2)
    assert (to_usd(held.cost), held.cost_state) == (0.0335, "whole")


def test_a_cut_stream_of_a_model_that_is_free_costs_nothing(tracker: CostTracker, recorded: Recorded) -> None:
    stream = tracker.log_stream(iter([{"model": "llama3", "message": {"content": "abcd"}, "done": False}]))
    list(stream)
    [entry] = recorded()
    assert (entry.service, entry.cost, entry.cost_state) == ("ollama", 0, "whole")
