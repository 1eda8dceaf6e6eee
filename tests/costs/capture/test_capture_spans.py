"""What spans say, in every dialect of attribute names, and how nested ones are counted once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from capture_sink import Broken, Calls

from shared.costs.capture.spans import NO_USAGE, STILL_OPEN, read_span
from shared.costs.model import Usage

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"}

DIALECTS: dict[str, tuple[dict[str, Any], Usage]] = {
    "newest names": (
        CHAT
        | {
            "gen_ai.usage.input_tokens": 130,
            "gen_ai.usage.output_tokens": 16,
            "gen_ai.usage.cache_read.input_tokens": 100,
            "gen_ai.usage.cache_write.input_tokens": 20,
            "gen_ai.usage.reasoning.output_tokens": 7,
            "gen_ai.usage.audio.input_tokens": 5,
        },
        Usage(130, 16, 100, 20, tokens_reasoning=7, tokens_audio_input=5),
    ),
    "names before cache_write": (
        CHAT
        | {
            "gen_ai.usage.input_tokens": 130,
            "gen_ai.usage.output_tokens": 16,
            "gen_ai.usage.cache_creation.input_tokens": 20,
        },
        Usage(130, 16, tokens_cache_write=20),
    ),
    "older names": (
        {"gen_ai.system": "OpenAI", "gen_ai.usage.prompt_tokens": 30, "gen_ai.usage.completion_tokens": 9},
        Usage(30, 9),
    ),
    "oldest names": (
        {"gen_ai.system": "OpenAI", "llm.usage.prompt_tokens": 30, "llm.usage.completion_tokens": 9},
        Usage(30, 9),
    ),
    "OpenInference": (
        {
            "llm.system": "openai",
            "llm.model_name": "gpt-4o",
            "llm.token_count.prompt": 130,
            "llm.token_count.completion": 16,
            "llm.token_count.prompt_details.cache_read": 100,
            "llm.token_count.completion_details.reasoning": 7,
        },
        Usage(130, 16, 100, tokens_reasoning=7),
    ),
    "Anthropic's hour-long cache": (
        {
            "gen_ai.provider.name": "anthropic",
            "gen_ai.usage.input_tokens": 130,
            "gen_ai.usage.output_tokens": 16,
            "gen_ai.usage.cache_write.input_tokens": 20,
            "anthropic.usage.cache_creation.ephemeral_1h_input_tokens": 15,
        },
        Usage(130, 16, tokens_cache_write=20, tokens_cache_write_1h=15),
    ),
    "input without its cache, seen by its size": (
        {
            "gen_ai.system": "anthropic",
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.output_tokens": 16,
            "gen_ai.usage.cache_read_input_tokens": 100,
        },
        Usage(110, 16, 100),
    ),
    "input without its cache, seen by the total": (
        {
            "gen_ai.system": "anthropic",
            "gen_ai.usage.input_tokens": 300,
            "gen_ai.usage.output_tokens": 16,
            "gen_ai.usage.cache_read_input_tokens": 100,
            "llm.usage.total_tokens": 416,
        },
        Usage(400, 16, 100),
    ),
    "Gemini's thoughts dropped, seen by the total": (
        {
            "gen_ai.provider.name": "gcp.gen_ai",
            "gen_ai.usage.input_tokens": 1000,
            "gen_ai.usage.output_tokens": 40,
            "gen_ai.usage.total_tokens": 3000,
        },
        Usage(1000, 2000, tokens_reasoning=1960),
    ),
    "Gemini's thoughts dropped at Vertex AI, seen by the total": (
        {
            "gen_ai.provider.name": "gcp.vertex_ai",
            "gen_ai.usage.input_tokens": 1000,
            "gen_ai.usage.output_tokens": 40,
            "gen_ai.usage.total_tokens": 3000,
        },
        Usage(1000, 2000, tokens_reasoning=1960),
    ),
    "reasoning outside of the output, seen by the total": (
        {
            "gen_ai.provider.name": "x_ai",
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.output_tokens": 4,
            "gen_ai.usage.reasoning_tokens": 3,
            "gen_ai.usage.total_tokens": 17,
        },
        Usage(10, 7, tokens_reasoning=3),
    ),
    "reasoning outside of the output, seen by its size": (
        {
            "gen_ai.provider.name": "x_ai",
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.output_tokens": 4,
            "gen_ai.usage.reasoning_tokens": 9,
        },
        Usage(10, 13, tokens_reasoning=9),
    ),
}


@pytest.mark.parametrize(("attributes", "usage"), DIALECTS.values(), ids=DIALECTS.keys())
def test_dialects(attributes: dict[str, Any], usage: Usage) -> None:
    call = read_span(attributes)
    assert call is not None
    assert call.usage == usage
    assert call.incomplete is None


@pytest.mark.parametrize(
    ("stated", "service"),
    [
        ({"gen_ai.provider.name": "gcp.gemini"}, "google"),
        ({"gen_ai.provider.name": "aws.bedrock"}, "bedrock"),
        ({"gen_ai.system": "az.ai.openai"}, "azure"),
        ({"gen_ai.system": "Anthropic"}, "anthropic"),
        ({"llm.provider": "google", "llm.system": "vertexai"}, "google"),
        ({"gen_ai.response.model": "claude-sonnet-4-6"}, "anthropic"),
        ({}, "unknown"),
    ],
)
def test_who_served_it(stated: dict[str, Any], service: str) -> None:
    call = read_span(stated | {"gen_ai.usage.input_tokens": 1, "gen_ai.usage.output_tokens": 1})
    assert call is not None
    assert call.service == service


def test_what_else_a_span_says() -> None:
    call = read_span(
        CHAT
        | {
            "gen_ai.usage.input_tokens": 1,
            "gen_ai.operation.name": "embeddings",
            "gen_ai.response.id": "r-1",
            "gen_ai.response.model": "text-embedding-3-small",
            "openai.response.service_tier": "flex",
        }
    )
    assert call is not None
    assert (call.request_id, call.model, call.service_tier, call.operation, call.incomplete) == (
        "r-1",
        "text-embedding-3-small",
        "flex",
        "embeddings",
        None,
    )


@pytest.mark.parametrize("copy", ['{"id": "msg_1", "content": []}', '{"response_id": "msg_1"}'])
def test_the_id_in_openinferences_copy_of_the_response(copy: str) -> None:
    counts = {"llm.token_count.prompt": 1, "llm.token_count.completion": 1}
    call = read_span(counts | {"output.value": copy})
    assert call is not None
    assert call.request_id == "msg_1"


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_a_look_at_a_background_response_is_no_call_before_it_is_done(status: str) -> None:
    """The ledger counts an id once: the first look, without tokens, would stand for the call."""
    look = {"openinference.span.kind": "LLM", "llm.model_name": "gpt-5.1"}
    assert read_span(look | {"output.value": f'{{"id": "resp_68c1a0b2f4d8", "status": "{status}"}}'}) is None
    counts = {"llm.token_count.prompt": 1000, "llm.token_count.completion": 100}
    call = read_span(look | counts | {"output.value": '{"id": "resp_68c1a0b2f4d8", "status": "completed"}'})
    assert call is not None
    assert (call.request_id, call.usage.tokens_input, call.usage_known) == ("resp_68c1a0b2f4d8", 1000, True)


def test_an_id_that_its_server_uses_again_is_none() -> None:
    call = read_span(CHAT | {"gen_ai.response.id": "chatcmpl-417", "gen_ai.usage.input_tokens": 1})
    assert call is not None
    assert call.request_id is None


@pytest.mark.parametrize("copy", ["{not json", "__REDACTED__", "[1]", 5])
def test_a_copy_that_tells_no_id(copy: object) -> None:
    call = read_span({"llm.token_count.prompt": 1, "llm.token_count.completion": 1, "output.value": copy})
    assert call is not None
    assert call.request_id is None


@pytest.mark.parametrize(
    "attributes",
    [
        {"http.request.method": "POST"},
        CHAT,
        {"gen_ai.operation.name": "execute_tool", "gen_ai.response.id": "x"},
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "gpt-4o"},
    ],
)
def test_spans_without_a_billed_call(attributes: dict[str, Any]) -> None:
    assert read_span(attributes) is None


def test_an_error_before_an_answer_is_not_billed() -> None:
    assert read_span(CHAT | {"gen_ai.request.stream": True}, failed=True) is None


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"gen_ai.response.id": "r-1"}, NO_USAGE),
        ({"gen_ai.is_streaming": True}, NO_USAGE),
        ({"gen_ai.usage.input_tokens": 5}, "the span of this call states no output tokens"),
    ],
)
def test_an_answer_without_usage_is_never_missing(more: dict[str, Any], why: str) -> None:
    call = read_span(CHAT | more)
    assert call is not None
    assert call.incomplete == why


def test_a_stream_whose_span_has_its_request_alone_is_a_call_of_unknown_usage() -> None:
    asked = json.dumps({"model": "llama-3.3-70b-versatile", "stream": True})
    span = {"openinference.span.kind": "LLM", "llm.provider": "groq", "llm.invocation_parameters": asked}
    call = read_span(span)
    assert call is not None
    assert (call.service, call.model, call.incomplete) == ("groq", "llama-3.3-70b-versatile", NO_USAGE)
    assert read_span(span, failed=True) is None
    for cut in ('{"model": "llama-3.3', "[" * 100_000):
        assert read_span(span | {"llm.invocation_parameters": cut}) is None


def test_counts_that_are_no_numbers_are_left_out() -> None:
    call = read_span(
        {
            "gen_ai.usage.input_tokens": "5",
            "gen_ai.usage.output_tokens": True,
            "gen_ai.usage.prompt_tokens": 4,
        }
    )
    assert call is not None
    assert call.usage == Usage(4)


class TestProcessor:
    """With the real SDK's tracer."""

    @pytest.fixture
    def calls(self) -> Calls:
        return Calls()

    @pytest.fixture
    def provider(self, calls: Calls) -> Any:
        sdk = pytest.importorskip("opentelemetry.sdk.trace")
        from shared.costs.capture.hooks.opentelemetry import CostSpanProcessor

        provider = sdk.TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(CostSpanProcessor(calls))
        return provider

    def usage(self, span: Any, tokens: int, **more: Any) -> None:
        span.set_attributes({"gen_ai.usage.input_tokens": tokens, "gen_ai.usage.output_tokens": 1} | more)

    def test_one_span_is_one_call(self, provider: Any, calls: Calls) -> None:
        with provider.get_tracer("t").start_as_current_span("chat gpt-4o", attributes=CHAT) as span:
            self.usage(span, 5)
        [call] = calls
        assert (call.model, call.usage) == ("gpt-4o", Usage(5, 1))

    @pytest.mark.parametrize(
        ("scope", "whole"),
        [
            ("opentelemetry.instrumentation.bedrock", 9000),
            ("opentelemetry.instrumentation.botocore.bedrock-runtime", 9000),
            ("opentelemetry.instrumentation.anthropic", 5000),
        ],
    )
    def test_bedrocks_input_leaves_its_cache_out(
        self, scope: str, whole: int, provider: Any, calls: Calls
    ) -> None:
        more = {"gen_ai.usage.cache_read.input_tokens": 4000, "gen_ai.usage.total_tokens": 5001}
        with provider.get_tracer(scope).start_as_current_span("chat", attributes=CHAT) as span:
            self.usage(span, 5000, **more)
        [call] = calls
        assert (call.usage.tokens_input, call.usage.tokens_cached) == (whole, 4000)

    def test_the_innermost_of_nested_spans_counts(self, provider: Any, calls: Calls) -> None:
        tracer = provider.get_tracer("t")
        with tracer.start_as_current_span("invoke_agent") as agent:
            for number in (1, 2):
                with (
                    tracer.start_as_current_span("library") as library,
                    tracer.start_as_current_span("http"),
                    tracer.start_as_current_span("sdk") as sdk,
                ):
                    self.usage(sdk, number)
                    self.usage(library, number)
            self.usage(agent, 3)
        assert [call.usage.tokens_input for call in calls] == [1, 2]
        with tracer.start_as_current_span("alone") as span:
            self.usage(span, 9)
        assert calls[-1].usage.tokens_input == 9

    def test_a_span_that_lost_attributes_is_said_once(
        self, provider: Any, calls: Calls, caplog: pytest.LogCaptureFixture
    ) -> None:
        messages = {f"llm.input_messages.{number}.message.role": "user" for number in range(130)}
        for _ in range(2):
            with provider.get_tracer("t").start_as_current_span("chat gpt-4o", attributes=CHAT) as span:
                self.usage(span, 5)
                span.set_attributes(messages)
                self.usage(span, 5, **{"llm.model_name": "gpt-4o"})
        assert [call.usage.tokens_input for call in calls] == [5, 5]
        said = [line.getMessage() for line in caplog.records if line.name == "shared.cost_tracker"]
        assert len(said) == 1
        assert "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT" in said[0]

    def test_a_span_still_open_at_the_end(self, provider: Any, calls: Calls) -> None:
        span = provider.get_tracer("t").start_span("chat", attributes=CHAT | {"gen_ai.request.stream": True})
        provider.shutdown()
        [call] = calls
        assert call.incomplete == STILL_OPEN
        span.end()
        assert len(calls) == 1

    @pytest.mark.parametrize("inner_ended", [False, True])
    def test_nested_spans_still_open_at_the_end_are_one_call(
        self, provider: Any, calls: Calls, inner_ended: bool
    ) -> None:
        tracer = provider.get_tracer("t")
        with tracer.start_as_current_span("library", attributes=CHAT, end_on_exit=False):
            inner = tracer.start_span("sdk", attributes=CHAT)
        if inner_ended:
            self.usage(inner, 5)
            inner.end()
        provider.shutdown()
        assert [call.usage for call in calls] == [Usage(5, 1) if inner_ended else Usage()]

    def test_what_the_sink_raises_never_reaches_the_program(
        self, provider: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        from shared.costs.capture.hooks.opentelemetry import CostSpanProcessor

        provider.add_span_processor(CostSpanProcessor(Broken()))
        with provider.get_tracer("t").start_as_current_span("chat") as span:
            self.usage(span, 5)
        assert "disk full" in caplog.text

    def test_flush_has_nothing_to_do(self, provider: Any) -> None:
        assert provider.force_flush()


# --- agents: what their spans sum up counts once, whoever tells it

CHAT_SPAN = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.response.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 10,
}
AGENT_SPAN = CHAT_SPAN | {
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.usage.input_tokens": 200,
    "gen_ai.usage.output_tokens": 20,
}


class Told:
    """Keeps what a processor records."""

    def __init__(self) -> None:
        self.tokens: list[tuple[int, int]] = []

    def record_captured(self, captured: Any) -> float:
        self.tokens.append((captured.usage.tokens_input, captured.usage.tokens_output))
        return 0.0


def traced(arrange: Callable[[Any], None]) -> list[tuple[int, int]]:
    """What is recorded of spans that ``arrange`` makes with a tracer."""
    sdk = pytest.importorskip("opentelemetry.sdk.trace")
    from shared.costs.capture.hooks.opentelemetry import CostSpanProcessor

    told = Told()
    provider = sdk.TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(CostSpanProcessor(told))
    arrange(provider.get_tracer("test"))
    provider.shutdown()
    return told.tokens


def around(tracer: Any) -> None:
    with tracer.start_as_current_span("agent", attributes=AGENT_SPAN):
        for _ in range(2):
            tracer.start_span("chat", attributes=CHAT_SPAN).end()


def beside(tracer: Any) -> None:
    with tracer.start_as_current_span("job"):
        for _ in range(2):
            tracer.start_span("chat", attributes=CHAT_SPAN).end()
        tracer.start_span("agent", attributes=AGENT_SPAN).end()


def ended_before_its_chats(tracer: Any) -> None:
    with tracer.start_as_current_span("job"):
        chats = [tracer.start_span("chat", attributes=CHAT_SPAN) for _ in range(2)]
        tracer.start_span("agent", attributes=AGENT_SPAN).end()
        for chat in chats:
            chat.end()


def before_its_chats_began(tracer: Any) -> None:
    from opentelemetry import trace

    agent = tracer.start_span("agent", attributes=AGENT_SPAN)
    agent.end()
    for _ in range(2):
        tracer.start_span("chat", context=trace.set_span_in_context(agent), attributes=CHAT_SPAN).end()


def nested(tracer: Any) -> None:
    with tracer.start_as_current_span("outer", attributes=AGENT_SPAN):
        with tracer.start_as_current_span("inner", attributes=AGENT_SPAN):
            for _ in range(2):
                tracer.start_span("chat", attributes=CHAT_SPAN).end()


def alone(tracer: Any) -> None:
    with tracer.start_as_current_span("outer", attributes=AGENT_SPAN):
        tracer.start_span("inner", attributes=AGENT_SPAN).end()


def two_agents(tracer: Any) -> None:
    with tracer.start_as_current_span("job"):
        around(tracer)
        tracer.start_span("agent", attributes=AGENT_SPAN).end()


@pytest.mark.parametrize(
    ("arrange", "tokens"),
    [
        (around, (200, 20)),
        (beside, (200, 20)),
        (ended_before_its_chats, (200, 20)),
        (before_its_chats_began, (200, 20)),
        (nested, (200, 20)),
        (alone, (200, 20)),
        (two_agents, (400, 40)),
    ],
)
def test_each_token_of_an_agent_counts_once(arrange: Callable[[Any], None], tokens: tuple[int, int]) -> None:
    found = traced(arrange)
    assert (sum(each[0] for each in found), sum(each[1] for each in found)) == tokens


def test_a_span_that_tells_nothing_is_of_unknown_usage() -> None:
    stream = {name: value for name, value in CHAT_SPAN.items() if "usage" not in name}
    call = read_span(stream)
    assert call is not None
    assert not call.usage_known


@pytest.mark.parametrize(
    ("host", "service"),
    [
        ("api.groq.com", "groq"),
        ("openrouter.ai", "openrouter"),
        ("acme.openai.azure.com", "azure"),
        ("api.openai.com", "openai"),
        ("localhost", "openai"),
    ],
)
def test_who_serves_a_call_is_read_from_its_host(host: str, service: str) -> None:
    spans = [read_span(CHAT_SPAN | {"server.address": host}, by_host=by_host) for by_host in (True, False)]
    assert [call and call.service for call in spans] == [service, "openai"]


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("eu.api.openai.com", "eu"),
        ("api.openai.com", None),
        ("us-east1-aiplatform.googleapis.com", "us-east1"),
    ],
)
def test_where_a_call_ran_is_read_from_its_host(host: str, region: str | None) -> None:
    call = read_span(CHAT_SPAN | {"server.address": host})
    assert call is not None
    assert call.region == region
