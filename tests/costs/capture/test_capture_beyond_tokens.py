"""The table APIs x charges beyond tokens: what each API bills beside tokens, and as what it is read.

A square is filled by the calls that objects of the SDK's own types are read as: those of the table of forms,
and those made here for what that table does not have. Where no call says anything of a charge, there is a
reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, Final

import pytest
from capture_cells import APIS, CELLS
from capture_cells.recorded import made
from test_capture_charges import (
    CREATED,
    IMAGE,
    MAPS,
    QUERIES,
    SEARCH,
    attempt,
    chat,
    container,
    followed,
    gemini,
    live,
    message,
    response,
    transcribed,
    turn,
)
from test_capture_table import read

from shared.costs.capture.captured import Captured
from shared.costs.capture.reading import read_response
from shared.costs.model import Units
from shared.costs.pricing.names import states_bills
from tests.support.golden import check

Calls = list[Captured]

SEARCHES: Final = frozenset(
    {"web_searches", "preview_searches", "maps_searches", "file_searches", "search_units"}
)
TOKENS: Final = frozenset(
    {
        "tokens_input",
        "tokens_output",
        "tokens_cached",
        "tokens_cache_write",
        "tokens_cache_write_1h",
        "tokens_reasoning",
        "requests",
    }
)
TOOLS: Final = frozenset({"containers", "session_seconds"})


def units(calls: Calls) -> set[str]:
    return {name for call in calls for name in (*call.usage.counts(), *call.unpriced_units)}


CHARGES: Final[dict[str, Callable[[Calls], bool]]] = {
    "searches": lambda calls: bool(units(calls) & SEARCHES),
    "other tools": lambda calls: bool(units(calls) & TOOLS),
    "other units": lambda calls: bool(units(calls) - SEARCHES - TOKENS - TOOLS),
    "models beside": lambda calls: len({call.model for call in calls}) > 1,
    "where and how": lambda calls: any(call.service_tier or call.region for call in calls),
    "turns": lambda calls: any(call.usage.requests > 1 for call in calls) or len(repeated(calls)) > 0,
    "bill or estimate": lambda calls: any(call.actual_cost is not None for call in calls),
}
"""The charges, and when calls say something of one."""


def repeated(calls: Calls) -> set[str]:
    models = [call.model for call in calls]
    return {model for model in models if models.count(model) > 1}


def typed(name: str, value: dict[str, Any]) -> Any:
    """An answer as the SDK makes it of what a server sent, with fields that its type does not know."""
    module, _, kind = name.rpartition(".")
    made_type: Any = getattr(import_module(module), kind)
    package = module.partition(".")[0]
    if package in {"openai", "anthropic"}:
        return import_module(f"{package}._models").construct_type(type_=made_type, value=value)
    return made_type.model_validate(value)


CHAT: Final = "openai.types.chat.ChatCompletion"
RESPONSE: Final = "openai.types.responses.Response"
MESSAGE: Final = "anthropic.types.beta.BetaMessage"
GENERATED: Final = "google.genai.types.GenerateContentResponse"
LIVE: Final = "google.genai.types.LiveServerMessage"
AI: Final = "langchain_core.messages.AIMessage"
DONE: Final = "openai.types.realtime.ResponseDoneEvent"
HEARD: Final = "openai.types.realtime.ConversationItemInputAudioTranscriptionCompletedEvent"
SESSION: Final = "openai.types.realtime.SessionCreatedEvent"


def of(kind: str, value: dict[str, Any], model: str | None = None) -> Calls:
    return list(read_response(typed(kind, value), model=model))


def streamed(kinds: Iterable[tuple[str, dict[str, Any]]], model: str | None = None) -> Calls:
    return followed([typed(kind, value) for kind, value in kinds], model=model)


def used(**usage: Any) -> dict[str, Any]:
    return message(usage={"input_tokens": 1000, "output_tokens": 100, **usage})


def langchain(stated: dict[str, Any], /, **about: Any) -> Calls:
    usage = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100, **stated}
    named = {"model_name": "claude-opus-5", **about}
    return of(AI, {"content": "x", "usage_metadata": usage, "response_metadata": named})


DECLINED: Final = [attempt("message", "claude-fable-5", 50), attempt("fallback_message", "claude-opus-5", 9)]
VIDEO: Final = {
    "id": "v",
    "object": "video",
    "model": "sora-2",
    "status": "completed",
    "seconds": "8",
    "size": "720x1280",
}
CACHE: Final = {
    "name": "cachedContents/1",
    "model": "models/gemini-2.5-flash",
    "create_time": "2026-11-28T12:00:00Z",
    "expire_time": "2026-11-28T14:00:00Z",
    "usage_metadata": {"total_token_count": 1_000_000},
}
INTERACTION: Final = {
    "object": "interaction",
    "id": "i",
    "model": "gemini-3-flash-preview",
    "usage": {"total_input_tokens": 9, "grounding_tool_count": [{"type": "google_search", "count": 2}]},
}
CONVERSED: Final = {
    "usage": {"inputTokens": 9, "outputTokens": 3},
    "stopReason": "end_turn",
    "performanceConfig": {"latency": "optimized"},
}
EMBEDDED: Final = {"billed_units": {"input_tokens": 9, "image_tokens": 400, "images": 1}}
RESULTS: Final = {
    "session_id": "s",
    "num_turns": 3,
    "uuid": "u",
    "usage": {"input_tokens": 9},
    "model_usage": {
        "claude-opus-5": {"inputTokens": 9, "outputTokens": 3, "costUSD": 0.01},
        "claude-haiku-4-5": {"inputTokens": 5, "outputTokens": 1, "costUSD": 0.001},
    },
    "total_cost_usd": 0.011,
}

MORE: Final[list[tuple[str, Callable[[], Calls]]]] = [
    ("OpenAI chat", lambda: of(CHAT, chat("gpt-4o-search-preview", {}))),
    ("OpenAI chat", lambda: of(CHAT, chat("a/b", {"cost": 0.02, "is_byok": False}))),
    ("OpenAI responses", lambda: of(RESPONSE, response([SEARCH, {"type": "file_search_call"}]))),
    ("OpenAI responses", lambda: of(RESPONSE, response([container("a"), container("b")]))),
    ("OpenAI responses", lambda: of(RESPONSE, response([], tool_usage={"image_gen": IMAGE}))),
    ("OpenAI responses", lambda: of(RESPONSE, response([], service_tier="priority"))),
    (
        "OpenAI responses",
        lambda: of(
            RESPONSE, response([], model="grok-4.3", usage={"input_tokens": 9, "cost_in_usd_ticks": 10**8})
        ),
    ),
    (
        "OpenAI Realtime",
        lambda: streamed([(SESSION, CREATED), (HEARD, transcribed("i")), (DONE, turn("a", 10))]),
    ),
    ("OpenAI Realtime", lambda: streamed([(SESSION, CREATED), (DONE, turn("a", 10)), (DONE, turn("b", 20))])),
    ("OpenAI videos", lambda: of("openai.types.Video", VIDEO)),
    (
        "Anthropic messages",
        lambda: of(MESSAGE, message(container={"id": "c"}, content=[{"name": "bash_code_execution"}])),
    ),
    ("Anthropic messages", lambda: of(MESSAGE, used(iterations=DECLINED))),
    ("Anthropic messages", lambda: of(MESSAGE, used(inference_geo="us"))),
    ("Gemini generate content", lambda: of(GENERATED, gemini(grounding=QUERIES))),
    ("Gemini generate content", lambda: of(GENERATED, gemini("gemini-2.5-flash", MAPS))),
    (
        "Gemini generate content",
        lambda: of(GENERATED, gemini(sdk_http_response={"headers": {"x-gemini-service-tier": "flex"}})),
    ),
    (
        "Gemini generate content",
        lambda: streamed([(GENERATED, gemini()), (GENERATED, gemini() | {"response_id": "r2"})]),
    ),
    (
        "Gemini Live",
        lambda: streamed(
            [(LIVE, {"setup_complete": {}}), (LIVE, live(300, 100)), (LIVE, live(500, 120))],
            model="gemini-live",
        ),
    ),
    ("Gemini caches", lambda: of("google.genai.types.CachedContent", CACHE)),
    ("Gemini interactions", lambda: list(read_response(INTERACTION))),
    (
        "Cohere embed",
        lambda: of(
            "cohere.EmbedByTypeResponse", {"id": "e", "embeddings": {}, "meta": EMBEDDED}, "embed-v4.0"
        ),
    ),
    ("Bedrock Converse", lambda: list(read_response(CONVERSED, model="amazon.nova-pro-v1:0"))),
    ("Claude Agent SDK results", lambda: list(read_response(RESULTS))),
    (
        "LangChain messages",
        lambda: langchain({}, usage={"input_tokens": 9, "server_tool_use": {"web_search_requests": 2}}),
    ),
    ("LangChain messages", lambda: langchain({}, service_tier="flex", model_name="gpt-5")),
    (
        "LangChain messages",
        lambda: langchain({"input_token_details": {"audio": 40}}, model_name="gpt-4o-audio"),
    ),
    ("LangChain messages", lambda: langchain({"total_cost": 0.02})),
]
"""Calls that the table of forms has no cell for."""

ROWS: Final = [
    *dict.fromkeys([api.title for api in APIS if api.provider == "OpenAI"]),
    "OpenAI Realtime",
    "OpenAI videos",
    *dict.fromkeys([api.title for api in APIS if api.provider in {"Anthropic", "Gemini"}]),
    "Gemini Live",
    "Gemini caches",
    *dict.fromkeys([api.title for api in APIS if api.provider not in {"OpenAI", "Anthropic", "Gemini"}]),
]

NO_TOOLS: Final = "it runs no tools"
ONE_UNIT: Final[dict[str, str]] = {
    "searches": NO_TOOLS,
    "other tools": NO_TOOLS,
    "other units": "tokens are all that it bills",
    "models beside": "one model answers",
    "where and how": "it states neither a tier nor a region",
    "turns": "each answer is one call",
    "bill or estimate": "it states neither",
}
"""Why a charge is not there, unless something else is said below."""

WHY: Final[dict[tuple[str, str], str]] = {
    ("OpenAI chat", "other tools"): "tools run at the caller's",
    ("OpenAI responses", "turns"): "each response is one call",
    ("OpenAI images", "where and how"): "batches are in the table of forms",
    ("OpenAI Realtime", "searches"): "its tools run at the caller's",
    ("OpenAI Realtime", "other tools"): "its tools run at the caller's",
    ("OpenAI Realtime", "where and how"): "a session has one tier, and no region is stated",
    ("Anthropic messages", "other units"): "pictures and documents are tokens of the input",
    ("Anthropic messages", "bill or estimate"): "states neither; its Agent SDK estimates",
    ("Gemini generate content", "other tools"): "code runs for its tokens alone",
    ("Gemini Live", "searches"): "as in generate content, in its grounding metadata",
    ("Gemini Live", "other tools"): "its tools run at the caller's",
    ("Gemini Live", "where and how"): "its usage states the tier, as in generate content",
    ("Gemini interactions", "other tools"): "counts of other tools are units without a price",
    ("Gemini interactions", "other units"): "modalities are read as in generate content",
    ("Mistral chat", "searches"): "its connectors answer in the agents' API, which states no count",
    ("Mistral chat", "other tools"): "its connectors answer in the agents' API, which states no count",
    ("Bedrock Converse", "searches"): "counts of its server tools are units without a price",
    ("Bedrock Converse", "other units"): "pictures and documents are tokens of the input",
    ("Cohere rerank", "other units"): "searches are all that it bills",
    ("Runway tasks", "other units"): "credits are all that it bills",
    ("LlamaCloud jobs", "other units"): "credits are all that it bills",
    ("Ollama chat", "other units"): "nothing is billed",
    ("Ollama embed", "other units"): "nothing is billed",
    ("Claude Agent SDK results", "other tools"): "states searches alone",
    ("Claude Agent SDK results", "where and how"): "states neither a tier nor a region",
    ("LangChain messages", "other tools"): "read as in OpenAI responses, from the blocks of the content",
    ("LangChain messages", "models beside"): "a second model's tokens are not handed on",
    ("LiteLLM completion", "searches"): "read as in OpenAI chat, from its usage",
    ("LiteLLM completion", "other tools"): "tools run at the caller's",
    ("LiteLLM completion", "other units"): "read as in OpenAI chat, from the details",
    ("LiteLLM completion", "where and how"): "read as in OpenAI chat, from its service tier",
}


HEAD: Final = """# What is billed beside tokens, and as what it is read

Written by `tests/costs/capture/test_capture_beyond_tokens.py` from what objects of the SDKs' own types are
read as: those of the table of forms, and some more. A dash is a charge that is not there, and why.
"""


def squares() -> dict[tuple[str, str], list[Calls]]:
    """What says something of each charge, by row and charge."""
    tried = [
        (cell.api.title, [read(cell, made(cell))])
        for cell in CELLS
        if cell.form not in {"batch", "cut", "async"}
    ]
    tried += [(title, make()) for title, make in MORE]
    found: dict[tuple[str, str], list[Calls]] = {}
    for title, calls in tried:
        for charge, says in CHARGES.items():
            if says(calls):
                found.setdefault((title, charge), []).append(calls)
    return found


def told(calls: Calls) -> str:
    """What calls say beside plain tokens."""
    return " + ".join(dict.fromkeys(_of(call) for call in calls))


def _of(call: Captured) -> str:
    stated: Units = {**call.usage.counts(), **call.unpriced_units}
    counts = [f"{name} {count:,}" for name, count in stated.items() if name != "tokens_input"]
    stated_by = "bill" if call.stated_by == "server" and states_bills(call.service) else call.stated_by
    about = (call.service_tier, call.region, stated_by if call.actual_cost is not None else None)
    return f"{call.model}: {', '.join([*counts, *(each for each in about if each)]) or 'tokens_input'}"


@pytest.mark.no_cover
@pytest.mark.parametrize(("title", "make"), MORE, ids=[f"{title}-{n}" for n, (title, _) in enumerate(MORE)])
def test_an_object_of_the_sdk_says_more_than_plain_tokens(title: str, make: Callable[[], Calls]) -> None:
    calls = make()
    assert title in ROWS
    assert any(says(calls) for says in CHARGES.values())


@pytest.mark.no_cover
def test_a_reason_is_given_for_nothing_that_is_tried() -> None:
    assert not [place for place in WHY if place in squares()]
    assert {title for title, _ in WHY} <= set(ROWS)


def test_the_table_of_charges_as_people_read_it() -> None:
    found = squares()
    rows = [HEAD, f"| | {' | '.join(CHARGES)} |", f"|{' --- |' * (len(CHARGES) + 1)}"]
    for title in ROWS:
        cells = []
        for charge in CHARGES:
            texts = dict.fromkeys(told(calls) for calls in found.get((title, charge), []))
            cells.append("<br>".join(texts) or f"- ({WHY.get((title, charge), ONE_UNIT[charge])})")
        rows.append(f"| **{title}** | {' | '.join(cells)} |")
    check("capture/CHARGES.md", "\n".join(rows) + "\n")
