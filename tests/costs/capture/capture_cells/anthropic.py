"""Cells of Anthropic, with objects of the ``anthropic`` package."""

from __future__ import annotations

from typing import Any

from .cell import Api

MESSAGES = Api("Anthropic", "messages", "anthropic", "anthropic")
USAGE = {"input_tokens": 1000, "output_tokens": 200}
CACHE = {
    "cache_read_input_tokens": 5000,
    "cache_creation_input_tokens": 700,
    "cache_creation": {"ephemeral_5m_input_tokens": 500, "ephemeral_1h_input_tokens": 200},
}


def message(usage: dict[str, Any], **more: Any) -> Any:
    """A message."""
    from anthropic.types import Message

    return Message.model_validate(_message(usage) | more)


def beta_message(usage: dict[str, Any]) -> Any:
    """A message of the beta API, which states its iterations."""
    from anthropic.types.beta import BetaMessage

    return BetaMessage.model_validate(_message(usage))


def _message(usage: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": [{"type": "text", "text": "Hello."}],
        "stop_reason": "end_turn",
        "usage": usage,
    }


def events(whole: bool = True) -> list[Any]:
    """A stream. ``message_start`` opens the usage, ``message_delta`` states it again, larger."""
    from anthropic.types import (
        RawContentBlockDeltaEvent,
        RawContentBlockStartEvent,
        RawMessageDeltaEvent,
        RawMessageStartEvent,
        RawMessageStopEvent,
    )

    opened = message({"input_tokens": 1000, "output_tokens": 1, "cache_read_input_tokens": 5000}, content=[])
    delta = {"type": "text_delta", "text": "A text of forty characters, counted here"}
    usage = {"output_tokens": 200, "input_tokens": 1100, "cache_read_input_tokens": 5000}
    usage["cache_creation_input_tokens"] = 0
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    made = [
        RawMessageStartEvent(message=opened, type="message_start"),
        RawContentBlockStartEvent.model_validate(block),
        RawContentBlockDeltaEvent.model_validate({"type": "content_block_delta", "index": 0, "delta": delta}),
    ]
    rest = [RawMessageDeltaEvent.model_validate(end), RawMessageStopEvent(type="message_stop")]
    return made + rest if whole else made


def batch_result(kind: str = "succeeded") -> Any:
    """A line of a batch's results."""
    from anthropic.types.messages import MessageBatchIndividualResponse

    result: dict[str, Any] = {"type": kind}
    if kind == "succeeded":
        result["message"] = _message(USAGE | CACHE | {"service_tier": "batch"})
    return MessageBatchIndividualResponse.model_validate({"custom_id": "row-1", "result": result})


COUNTS = {"tokens_input": 1000, "tokens_output": 200}
CACHED_COUNTS = {
    "tokens_input": 1000 + 5000 + 700,
    "tokens_output": 200,
    "tokens_cached": 5000,
    "tokens_cache_write": 700,
    "tokens_cache_write_1h": 200,
}
ID = {
    "service": "anthropic",
    "model": "claude-sonnet-4-5-20250929",
    "request_id": "msg_01",
    "operation": "chat",
}
# message_delta overwrites: input 1,100 and not 2,100, output 200 and not 201.
STREAMED_COUNTS = {"tokens_input": 1100 + 5000, "tokens_output": 200, "tokens_cached": 5000}
# Cut before it: the input as message_start says, 40 characters taken as 10 tokens.
CUT_COUNTS = {"tokens_input": 1000 + 5000, "tokens_output": 10, "tokens_cached": 5000}


SEARCHES = USAGE | {"server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 1}}
THINKING = USAGE | {"output_tokens_details": {"thinking_tokens": 120}}
COMPACTION = {"type": "compaction", "input_tokens": 300, "output_tokens": 40}
COMPACTION |= {"cache_read_input_tokens": 60, "cache_creation_input_tokens": 0}

READ = USAGE | {"cache_read_input_tokens": 5000, "cache_creation_input_tokens": 0}
FIVE_MINUTES = USAGE | {
    "cache_creation_input_tokens": 700,
    "cache_creation": {"ephemeral_5m_input_tokens": 700, "ephemeral_1h_input_tokens": 0},
}
ONE_HOUR = USAGE | {
    "cache_creation_input_tokens": 700,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 700},
}
WRITTEN = {"tokens_input": 1700, "tokens_output": 200, "tokens_cache_write": 700}

CELLS = [
    MESSAGES.cell("normal", lambda: message(USAGE), COUNTS, ID),
    MESSAGES.cell(
        "normal",
        lambda: message(SEARCHES),
        COUNTS | {"web_searches": 3},
        {"metadata": {"web_fetches": 1}},
        variant="server tools",
    ),
    MESSAGES.cell(
        "normal", lambda: message(USAGE | {"speed": "fast"}), COUNTS, {"service_tier": "fast"}, variant="fast"
    ),
    MESSAGES.cell(
        "normal",
        lambda: message(USAGE, id="msg_bdrk_01"),
        COUNTS,
        {"service": "bedrock"},
        variant="on Bedrock",
    ),
    MESSAGES.cell(
        "normal",
        lambda: beta_message(USAGE | {"iterations": [COMPACTION]}),
        {"tokens_input": 1000 + 360, "tokens_output": 240, "tokens_cached": 60},
        ID,
        variant="compaction",
    ),
    MESSAGES.cell("streamed", events, STREAMED_COUNTS, ID | {"incomplete": None}),
    MESSAGES.cell("cut", lambda: events(whole=False), CUT_COUNTS, ID),
    MESSAGES.cell("async", events, STREAMED_COUNTS, ID | {"incomplete": None}),
    MESSAGES.cell("cached", lambda: message(USAGE | CACHE), CACHED_COUNTS, ID),
    MESSAGES.cell(
        "cached",
        lambda: message(READ),
        {"tokens_input": 6000, "tokens_output": 200, "tokens_cached": 5000},
        ID,
        variant="read",
    ),
    MESSAGES.cell("cached", lambda: message(FIVE_MINUTES), WRITTEN, ID, variant="written for 5 minutes"),
    MESSAGES.cell(
        "cached",
        lambda: message(ONE_HOUR),
        WRITTEN | {"tokens_cache_write_1h": 700},
        ID,
        variant="written for 1 hour",
    ),
    MESSAGES.cell("reasoning", lambda: message(THINKING), COUNTS | {"tokens_reasoning": 120}, ID),
    MESSAGES.cell("batch", batch_result, CACHED_COUNTS, ID | {"service_tier": "batch"}),
]
