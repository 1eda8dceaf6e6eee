"""Anthropic's wire format: messages, whole and streamed.

Shapes as in https://docs.anthropic.com/en/api/messages and .../messages-streaming. Its input
tokens exclude the cache, and the usage of a ``message_delta`` is cumulative.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .replies import Answering, Asked


class AnthropicFormat:
    """``POST /v1/messages``."""

    def matches(self, path: str) -> bool:
        return path.endswith("/v1/messages")

    def read(self, path: str, body: bytes, content_type: str) -> Asked:
        data = json.loads(body)
        said = [data.get("system", ""), *(message["content"] for message in data["messages"])]
        text = "\n".join(_text(content) for content in said)
        return Asked(data["model"], text, bool(data.get("stream")))

    def whole(self, answering: Answering) -> dict[str, Any]:
        content = [{"type": "text", "text": answering.reply.text}]
        message = _message(answering, content) | {"stop_reason": "end_turn"}
        return message | {"usage": _usage(answering, answering.counts.tokens_output)}

    def events(self, answering: Answering) -> Iterator[bytes]:
        started = _message(answering, []) | {"stop_reason": None, "usage": _usage(answering, 1)}
        yield _event("message_start", {"message": started})
        yield _event("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}})
        for word in answering.words:
            yield _event("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": word}})
        yield _event("content_block_stop", {"index": 0})
        ended = {"stop_reason": "end_turn", "stop_sequence": None}
        used = {"output_tokens": answering.counts.tokens_output}
        yield _event("message_delta", {"delta": ended, "usage": used})
        yield _event("message_stop", {})

    def fault(self, status: int) -> dict[str, Any]:
        kind = "rate_limit_error" if status == 429 else "api_error"
        return {"type": "error", "error": {"type": kind, "message": f"loopback answer {status}"}}


def _text(content: str | list[dict[str, Any]]) -> str:
    """Content is text, or a list of blocks."""
    return content if isinstance(content, str) else " ".join(block.get("text", "") for block in content)


def _message(answering: Answering, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": answering.request_id,
        "type": "message",
        "role": "assistant",
        "model": answering.asked.model,
        "content": content,
        "stop_sequence": None,
    }


def _usage(answering: Answering, output: int) -> dict[str, Any]:
    counts = answering.counts
    return {
        "input_tokens": counts.tokens_input - counts.tokens_cached - counts.tokens_cache_write,
        "cache_read_input_tokens": counts.tokens_cached,
        "cache_creation_input_tokens": counts.tokens_cache_write,
        "cache_creation": {
            "ephemeral_5m_input_tokens": counts.tokens_cache_write,
            "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": output,
        "service_tier": "standard" if answering.reply.tier == "default" else answering.reply.tier,
    }


def _event(kind: str, data: dict[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | data)}\n\n".encode()
