"""The table APIs x charges beyond tokens: what each API bills beside tokens, and as what it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
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

from shared.costs.capture.captured import Captured
from shared.costs.capture.reading import read_response
from tests.support.golden import check

CHARGES: Final = ("searches", "other tools", "models beside", "where and how", "turns", "bill or estimate")

Make = Callable[[], list[Captured]]


def read(answer: Any, model: str | None = None) -> Make:
    return lambda: list(read_response(answer, model=model))


def follow(*events: Any, model: str | None = None) -> Make:
    return lambda: followed(list(events), model=model)


def used(**usage: Any) -> dict[str, Any]:
    return message(usage={"input_tokens": 1000, "output_tokens": 100, **usage})


TRIED: Final[dict[tuple[str, str], Make | str]] = {
    ("OpenAI chat", "searches"): read(chat("gpt-4o-search-preview", {})),
    ("OpenAI chat", "other tools"): "tools run at the caller's",
    ("OpenAI chat", "models beside"): "one model answers",
    ("OpenAI chat", "where and how"): read(chat("gpt-4o", {}, service_tier="flex")),
    ("OpenAI chat", "turns"): "each answer is one call",
    ("OpenAI chat", "bill or estimate"): read(chat("a/b", {"cost": 0.02}, provider="Acme")),
    ("OpenAI responses", "searches"): read(response([SEARCH, {"type": "file_search_call"}])),
    ("OpenAI responses", "other tools"): read(response([container("a"), container("b")])),
    ("OpenAI responses", "models beside"): read(response([], tool_usage={"image_gen": IMAGE})),
    ("OpenAI responses", "where and how"): read(response([], service_tier="priority")),
    ("OpenAI responses", "turns"): "each answer is one call",
    ("OpenAI responses", "bill or estimate"): read(
        response([], model="grok-4.3", usage={"input_tokens": 9, "cost_in_usd_ticks": 10**8})
    ),
    ("OpenAI Realtime", "searches"): "its tools run at the caller's",
    ("OpenAI Realtime", "other tools"): "its tools run at the caller's",
    ("OpenAI Realtime", "models beside"): follow(CREATED, transcribed("i")),
    ("OpenAI Realtime", "where and how"): "a session has one tier, and no region is stated",
    ("OpenAI Realtime", "turns"): follow(CREATED, turn("a", 10), turn("b", 20)),
    ("OpenAI Realtime", "bill or estimate"): "states neither",
    ("Anthropic messages", "searches"): read(used(server_tool_use={"web_search_requests": 3})),
    ("Anthropic messages", "other tools"): read(
        message(container={"id": "c"}, content=[{"name": "bash_code_execution"}])
    ),
    ("Anthropic messages", "models beside"): read(
        used(
            iterations=[
                attempt("message", "claude-fable-5", 50),
                attempt("fallback_message", "claude-opus-5", 9),
            ]
        )
    ),
    ("Anthropic messages", "where and how"): read(used(inference_geo="us", speed="fast")),
    ("Anthropic messages", "turns"): "each message is one call",
    ("Anthropic messages", "bill or estimate"): "states neither; its Agent SDK estimates",
    ("Gemini generate content", "searches"): read(gemini(grounding=QUERIES)),
    ("Gemini generate content", "other tools"): read(gemini("gemini-2.5-flash", MAPS)),
    ("Gemini generate content", "models beside"): "one model answers",
    ("Gemini generate content", "where and how"): read(
        gemini(sdk_http_response={"headers": {"x-gemini-service-tier": "flex"}})
    ),
    ("Gemini generate content", "turns"): follow(gemini(), gemini() | {"response_id": "r2"}),
    ("Gemini generate content", "bill or estimate"): "states neither",
    ("Gemini Live", "searches"): "as in generate content, in its grounding metadata",
    ("Gemini Live", "other tools"): "its tools run at the caller's",
    ("Gemini Live", "models beside"): "one model answers",
    ("Gemini Live", "where and how"): "its usage states the tier, as in generate content",
    ("Gemini Live", "turns"): follow(
        {"setup_complete": {}}, live(300, 100), live(500, 120), model="gemini-live"
    ),
    ("Gemini Live", "bill or estimate"): "states neither",
}


def told(call: Captured) -> str:
    """What a call says beside plain tokens."""
    counts = [f"{name} {count:,}" for name, count in call.usage.counts().items() if name != "tokens_input"]
    about = (call.service_tier, call.region, call.stated_by if call.actual_cost is not None else None)
    return f"{call.model}: {', '.join([*counts, *(each for each in about if each)])}"


@pytest.mark.parametrize("place", [place for place, tried in TRIED.items() if not isinstance(tried, str)])
def test_a_square_says_more_than_plain_tokens(place: tuple[str, str]) -> None:
    make = TRIED[place]
    assert not isinstance(make, str)
    calls = make()
    plain = {"tokens_input", "tokens_output"}
    more = any(set(call.usage.counts()) - plain or call.service_tier or call.region for call in calls)
    assert more or len(calls) > 1 or calls[0].actual_cost


def test_the_table_of_charges_as_people_read_it() -> None:
    apis = list(dict.fromkeys(api for api, _ in TRIED))
    assert set(TRIED) == {(api, charge) for api in apis for charge in CHARGES}, "the table has no hole"
    rows = ["# What is billed beside tokens, and as what it is read", ""]
    rows += [f"| | {' | '.join(CHARGES)} |", f"|{' --- |' * (len(CHARGES) + 1)}"]
    for api in apis:
        squares = [TRIED[api, charge] for charge in CHARGES]
        cells = [
            f"- ({s})" if isinstance(s, str) else "<br>".join(told(call) for call in s()) for s in squares
        ]
        rows.append(f"| **{api}** | {' | '.join(cells)} |")
    check("capture/CHARGES.md", "\n".join(rows) + "\n")
