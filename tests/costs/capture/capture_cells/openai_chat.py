"""Cells of OpenAI's chat and responses, with objects of the ``openai`` package."""

from __future__ import annotations

from typing import Any

from .cell import Api

CHAT_API = Api("OpenAI", "chat", "openai", "openai")
RESPONSES_API = Api("OpenAI", "responses", "openai", "openai")

CHAT = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
CHAT_COUNTS = {"tokens_input": 1000, "tokens_output": 200}


def chat(usage: dict[str, Any], **more: Any) -> Any:
    """A chat completion."""
    from openai.types.chat import ChatCompletion

    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello."}}
    return ChatCompletion.model_validate(
        {
            "id": "chatcmpl-A1",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-4o-2024-08-06",
            "choices": [choice],
            "usage": usage,
        }
        | more
    )


def chunks(usage: dict[str, Any] | None) -> list[Any]:
    """A chat stream: two pieces of text, the end, and the chunk with the usage where it was asked for."""
    from openai.types.chat import ChatCompletionChunk

    head = {"id": "chatcmpl-A2", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
    texts = [{"role": "assistant", "content": "A sentence of "}, {"content": "two pieces."}]
    choices: list[list[dict[str, Any]]] = [[{"index": 0, "delta": text}] for text in texts]
    choices.append([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    made = [ChatCompletionChunk.model_validate(head | {"choices": choice}) for choice in choices]
    if usage:
        made.append(ChatCompletionChunk.model_validate(head | {"choices": [], "usage": usage}))
    return made


def response(usage: dict[str, Any], **more: Any) -> Any:
    """A response of the Responses API."""
    from openai.types.responses import Response

    return Response.model_validate(
        {
            "id": "resp_A1",
            "object": "response",
            "created_at": 1,
            "model": "gpt-5-2025-08-07",
            "output": [],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": usage,
        }
        | more
    )


def response_usage(cached: int = 0, reasoning: int = 0, written: int = 0) -> dict[str, Any]:
    """The usage of a response with 2,000 tokens in and 500 out."""
    return {
        "input_tokens": 2000,
        "output_tokens": 500,
        "total_tokens": 2500,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "output_tokens_details": {"reasoning_tokens": reasoning},
    }


def response_events(whole: bool = True) -> list[Any]:
    """A stream of the Responses API."""
    from openai.types.responses import (
        ResponseCompletedEvent,
        ResponseCreatedEvent,
        ResponseTextDeltaEvent,
    )

    begun = response(response_usage()).model_copy(update={"usage": None, "service_tier": "default"})
    created = ResponseCreatedEvent(response=begun, sequence_number=0, type="response.created")
    delta = ResponseTextDeltaEvent.model_construct(
        type="response.output_text.delta", delta="Twelve chars", sequence_number=1
    )
    done = ResponseCompletedEvent(
        response=response(response_usage(cached=1500, reasoning=300)),
        sequence_number=2,
        type="response.completed",
    )
    return [created, delta, done] if whole else [created, delta]


def batch_line(body: Any) -> dict[str, Any]:
    """A line of a batch's output file; there is no type for it in the SDK, but for what is inside."""
    answer = {"status_code": 200, "request_id": "req-9", "body": body.model_dump(mode="json")}
    return {"id": "batch_req_1", "custom_id": "row-1", "response": answer, "error": None}


def searched() -> Any:
    """A response that searched the web twice and opened one page."""
    actions = [
        {"type": "search", "query": "q"},
        {"type": "search", "query": "q"},
        {"type": "open_page", "url": "u"},
    ]
    calls = [
        {"id": f"ws_{n}", "type": "web_search_call", "status": "completed", "action": action}
        for n, action in enumerate(actions)
    ]
    return response(response_usage(), output=calls)


def details(prompt: dict[str, int], completion: dict[str, int]) -> dict[str, Any]:
    """A chat's usage with its details."""
    return CHAT | {"prompt_tokens_details": prompt, "completion_tokens_details": completion}


CHAT_ID = {
    "service": "openai",
    "model": "gpt-4o-2024-08-06",
    "request_id": "chatcmpl-A1",
    "operation": "chat",
}
STREAM_ID = {"service": "openai", "model": "gpt-4o-mini", "request_id": "chatcmpl-A2"}
RESPONSE_COUNTS = {"tokens_input": 2000, "tokens_output": 500}
STREAMED_RESPONSE = RESPONSE_COUNTS | {"tokens_cached": 1500, "tokens_reasoning": 300}
RESPONSE_ID = {"request_id": "resp_A1", "model": "gpt-5-2025-08-07", "incomplete": None}
AUDIO = details({"audio_tokens": 700, "text_tokens": 300}, {"audio_tokens": 150})
REASONING = details({}, {"reasoning_tokens": 150, "rejected_prediction_tokens": 9})
CACHE = details({"cached_tokens": 768, "cache_write_tokens": 128}, {})

CELLS = [
    CHAT_API.cell("normal", lambda: chat(CHAT), CHAT_COUNTS, CHAT_ID),
    CHAT_API.cell(
        "normal",
        lambda: chat(CHAT, service_tier="flex"),
        CHAT_COUNTS,
        {"service_tier": "flex"},
        variant="flex",
    ),
    CHAT_API.cell(
        "normal",
        lambda: chat(CHAT, service_tier="default"),
        CHAT_COUNTS,
        {"service_tier": None},
        variant="default tier",
    ),
    CHAT_API.cell(
        "normal",
        lambda: chat(AUDIO),
        CHAT_COUNTS | {"tokens_audio_input": 700, "tokens_audio_output": 150},
        CHAT_ID,
        variant="audio",
    ),
    CHAT_API.cell("streamed", lambda: chunks(CHAT), CHAT_COUNTS, STREAM_ID | {"incomplete": None}),
    # 14 characters came, a token is about 4: output 4, and the input is not known.
    CHAT_API.cell("cut", lambda: chunks(None)[:1], {"tokens_output": 4}, STREAM_ID),
    CHAT_API.cell("async", lambda: chunks(CHAT), CHAT_COUNTS, STREAM_ID | {"incomplete": None}),
    CHAT_API.cell(
        "cached",
        lambda: chat(CACHE),
        CHAT_COUNTS | {"tokens_cached": 768, "tokens_cache_write": 128},
        CHAT_ID,
    ),
    CHAT_API.cell("reasoning", lambda: chat(REASONING), CHAT_COUNTS | {"tokens_reasoning": 150}, CHAT_ID),
    CHAT_API.cell("batch", lambda: batch_line(chat(CHAT)), CHAT_COUNTS, CHAT_ID | {"service_tier": "batch"}),
    RESPONSES_API.cell("normal", lambda: response(response_usage()), RESPONSE_COUNTS, RESPONSE_ID),
    RESPONSES_API.cell(
        "normal", searched, RESPONSE_COUNTS | {"web_searches": 2}, RESPONSE_ID, variant="web search"
    ),
    RESPONSES_API.cell("streamed", response_events, STREAMED_RESPONSE, RESPONSE_ID),
    RESPONSES_API.cell(
        "cut", lambda: response_events(whole=False), {"tokens_output": 3}, {"request_id": "resp_A1"}
    ),
    RESPONSES_API.cell("async", response_events, STREAMED_RESPONSE, RESPONSE_ID),
    RESPONSES_API.cell(
        "cached",
        lambda: response(response_usage(cached=1500, written=400)),
        RESPONSE_COUNTS | {"tokens_cached": 1500, "tokens_cache_write": 400},
        RESPONSE_ID,
    ),
    RESPONSES_API.cell(
        "reasoning",
        lambda: response(response_usage(reasoning=450)),
        RESPONSE_COUNTS | {"tokens_reasoning": 450},
        RESPONSE_ID,
    ),
    RESPONSES_API.cell(
        "batch",
        lambda: batch_line(response(response_usage(cached=1500))),
        RESPONSE_COUNTS | {"tokens_cached": 1500},
        RESPONSE_ID | {"service_tier": "batch"},
    ),
]
