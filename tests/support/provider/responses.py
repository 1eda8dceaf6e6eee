"""OpenAI's Responses API: whole and streamed. The usage comes with ``response.completed``.

Shapes as in https://platform.openai.com/docs/api-reference/responses.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .replies import Answering, Asked


class OpenAIResponsesFormat:
    """``POST /v1/responses``."""

    def matches(self, path: str) -> bool:
        return path.endswith("/responses")

    def read(self, path: str, body: bytes, content_type: str) -> Asked:
        data = json.loads(body)
        return Asked(data["model"], data["input"], bool(data.get("stream")))

    def whole(self, answering: Answering) -> dict[str, Any]:
        return _response(answering, "completed") | {
            "output": [_message(answering)],
            "usage": _usage(answering),
        }

    def events(self, answering: Answering) -> Iterator[bytes]:
        place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        part = {"type": "output_text", "text": "", "annotations": []}
        message = _message(answering)
        yield _event("response.created", 0, response=_response(answering, "in_progress"))
        begun = message | {"status": "in_progress", "content": []}
        yield _event("response.output_item.added", 1, output_index=0, item=begun)
        yield _event("response.content_part.added", 2, **place, part=part)
        for number, word in enumerate(answering.words, 3):
            yield _event("response.output_text.delta", number, **place, delta=word, logprobs=[])
        last = 3 + len(answering.words)
        yield _event("response.output_text.done", last, **place, text=answering.reply.text, logprobs=[])
        yield _event("response.content_part.done", last + 1, **place, part=message["content"][0])
        yield _event("response.output_item.done", last + 2, output_index=0, item=message)
        yield _event("response.completed", last + 3, response=self.whole(answering))

    def fault(self, status: int) -> dict[str, Any]:
        return {"error": {"message": f"loopback answer {status}", "type": "server_error", "code": None}}


def _response(answering: Answering, status: str) -> dict[str, Any]:
    return {
        "id": answering.request_id,
        "object": "response",
        "created_at": 1_790_000_000,
        "model": answering.asked.model,
        "status": status,
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }


def _message(answering: Answering) -> dict[str, Any]:
    text = {"type": "output_text", "text": answering.reply.text, "annotations": [], "logprobs": []}
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [text]}


def _usage(answering: Answering) -> dict[str, Any]:
    counts = answering.counts
    return {
        "input_tokens": counts.tokens_input,
        "output_tokens": counts.tokens_output,
        "total_tokens": counts.tokens_input + counts.tokens_output,
        "input_tokens_details": {
            "cached_tokens": counts.tokens_cached,
            "cache_write_tokens": counts.tokens_cache_write,
        },
        "output_tokens_details": {"reasoning_tokens": counts.tokens_reasoning},
    }


def _event(kind: str, number: int, **facts: Any) -> bytes:
    return (
        f"event: {kind}\ndata: {json.dumps({'type': kind, 'sequence_number': number} | facts)}\n\n".encode()
    )
