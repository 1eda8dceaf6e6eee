"""Cells of the Claude Agent SDK, with objects of the ``claude-agent-sdk`` package."""

from __future__ import annotations

from typing import Any

from .cell import Api

RESULTS = Api("Claude Agent SDK", "results", "claude_agent_sdk", "claude-agent-sdk")

COUNTS = {"tokens_input": 1000, "tokens_output": 200, "requests": 2}
AGENT_MODEL = "claude-sonnet-4-5-20250929"
AGENT_USAGE = {
    "inputTokens": 100,
    "outputTokens": 200,
    "cacheReadInputTokens": 800,
    "cacheCreationInputTokens": 100,
    "webSearchRequests": 1,
    "costUSD": 0.0123,
    "contextWindow": 200_000,
    "maxOutputTokens": 64_000,
}
AGENT_COUNTS = COUNTS | {"tokens_cached": 800, "tokens_cache_write": 100, "web_searches": 1}
AGENT_ID = {
    "service": "anthropic",
    "model": AGENT_MODEL,
    "operation": "agent",
    "actual_cost": 12_300_000,
    "request_id": f"u-1/{AGENT_MODEL}",
}


def agent_result(**more: Any) -> Any:
    facts: dict[str, Any] = {
        "subtype": "success",
        "duration_ms": 9,
        "duration_api_ms": 8,
        "is_error": False,
        "num_turns": 2,
        "session_id": "s-1",
        "total_cost_usd": 0.0123,
        "model_usage": {AGENT_MODEL: AGENT_USAGE},
        "uuid": "u-1",
    }
    return agent_message("ResultMessage", facts | more)


def agent_step(message_id: str = "msg_9") -> Any:
    usage = {"input_tokens": 100, "output_tokens": 50, "cache_read_input_tokens": 900}
    facts = {"content": [], "model": AGENT_MODEL, "usage": usage, "message_id": message_id}
    return agent_message("AssistantMessage", facts | {"session_id": "s-1", "uuid": "x"})


def agent_message(name: str, facts: dict[str, Any]) -> Any:
    """A message, which is a data class."""
    import claude_agent_sdk

    return getattr(claude_agent_sdk, name)(**facts)


def conversation() -> list[Any]:
    """Two messages of one step, which have one id and one usage, and the result, which sums all up."""
    return [agent_step(), agent_step(), agent_result()]


CELLS = [
    RESULTS.cell("normal", agent_result, AGENT_COUNTS, AGENT_ID),
    RESULTS.cell(
        "normal",
        lambda: agent_result(model_usage=None, usage={"input_tokens": 1000, "output_tokens": 200}),
        COUNTS,
        {"actual_cost": 12_300_000, "request_id": "u-1"},
        said={"model": AGENT_MODEL},
        variant="without models",
    ),
    RESULTS.cell("streamed", conversation, AGENT_COUNTS, AGENT_ID | {"incomplete": None}),
    RESULTS.cell(
        "cut",
        lambda: conversation()[:2],
        {"tokens_input": 1000, "tokens_output": 50, "tokens_cached": 900},
        {"request_id": "msg_9", "model": AGENT_MODEL},
    ),
    RESULTS.cell("async", conversation, AGENT_COUNTS, AGENT_ID),
    RESULTS.cell("cached", agent_result, AGENT_COUNTS, AGENT_ID),
    RESULTS.cell(
        "reasoning",
        lambda: agent_result(model_usage={AGENT_MODEL: AGENT_USAGE | {"thinkingTokens": 120}}),
        AGENT_COUNTS | {"tokens_reasoning": 120},
        AGENT_ID,
    ),
]
NONE = RESULTS.none("a conversation is not batched", "batch")
