"""Gemini's wire format: generateContent and streamGenerateContent.

Shapes as in https://ai.google.dev/api/generate-content. Its thoughts are outside the candidates'
tokens, its cache is inside the prompt's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from .replies import Answering, Asked

_PATH = re.compile(r"/models/([^:/]+):(generateContent|streamGenerateContent)")


class GeminiFormat:
    """``POST /v1beta/models/MODEL:generateContent`` and ``:streamGenerateContent?alt=sse``."""

    def matches(self, path: str) -> bool:
        return _PATH.search(path) is not None

    def read(self, path: str, body: bytes, content_type: str) -> Asked:
        found = _PATH.search(path)
        assert found is not None
        data = json.loads(body)
        contents = [*data["contents"], data.get("systemInstruction", {"parts": []})]
        text = "\n".join(part["text"] for content in contents for part in content["parts"])
        return Asked(found[1], text, found[2] == "streamGenerateContent")

    def whole(self, answering: Answering) -> dict[str, Any]:
        return _response(answering, answering.reply.text, "STOP") | _usage(answering)

    def events(self, answering: Answering) -> Iterator[bytes]:
        *first, last = answering.words
        for word in first:
            yield _event(_response(answering, word, None))
        yield _event(_response(answering, last, "STOP") | _usage(answering))

    def fault(self, status: int) -> dict[str, Any]:
        kind = "RESOURCE_EXHAUSTED" if status == 429 else "INTERNAL"
        return {"error": {"code": status, "message": f"loopback answer {status}", "status": kind}}


def _response(answering: Answering, text: str, finish: str | None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": [{"text": text}]}}
    if finish:
        candidate["finishReason"] = finish
    return {
        "candidates": [candidate],
        "modelVersion": answering.asked.model,
        "responseId": answering.request_id,
    }


def _usage(answering: Answering) -> dict[str, Any]:
    counts = answering.counts
    if answering.reply.how == "silent":
        return {}
    used = {
        "promptTokenCount": counts.tokens_input,
        "candidatesTokenCount": counts.tokens_output - counts.tokens_reasoning,
        "thoughtsTokenCount": counts.tokens_reasoning,
        "cachedContentTokenCount": counts.tokens_cached,
        "totalTokenCount": counts.tokens_input + counts.tokens_output,
    }
    return {"usageMetadata": used}


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\r\n\r\n".encode()
