"""OpenAI's wire format: chat completions (whole and streamed) and audio transcriptions.

Shapes as in https://platform.openai.com/docs/api-reference/chat and .../audio.
"""

from __future__ import annotations

import io
import json
import math
import wave
from collections.abc import Iterator
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, cast

from .replies import Answering, Asked


class OpenAIChatFormat:
    """``POST /v1/chat/completions``."""

    def matches(self, path: str) -> bool:
        return path.endswith("/chat/completions")

    def read(self, path: str, body: bytes, content_type: str) -> Asked:
        data = json.loads(body)
        text = "\n".join(message["content"] for message in data["messages"])
        asked_for = data.get("stream_options", {}).get("include_usage", False)
        return Asked(data["model"], text, bool(data.get("stream")), usage_in_stream=asked_for)

    def whole(self, answering: Answering) -> dict[str, Any]:
        message = {"role": "assistant", "content": answering.reply.text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        head = _head(answering, "chat.completion") | {"choices": [choice]}
        usage = _usage(answering)
        return head if usage is None else head | {"usage": usage}

    def events(self, answering: Answering) -> Iterator[bytes]:
        head = _head(answering, "chat.completion.chunk")
        for word in answering.words:
            yield _event(head | {"choices": [{"index": 0, "delta": {"content": word}}]})
        yield _event(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        usage = _usage(answering)
        if usage is not None and answering.asked.usage_in_stream:
            yield _event(head | {"choices": [], "usage": usage})
        yield b"data: [DONE]\n\n"

    def fault(self, status: int) -> dict[str, Any]:
        return _fault(status)


class OpenAIAudioFormat:
    """``POST /v1/audio/transcriptions``, billed by the started second."""

    def matches(self, path: str) -> bool:
        return path.endswith("/audio/transcriptions")

    def read(self, path: str, body: bytes, content_type: str) -> Asked:
        head = f"Content-Type: {content_type}\r\n\r\n".encode()
        form = BytesParser(policy=HTTP).parsebytes(head + body)
        fields = {part.get_param("name", header="content-disposition"): part for part in form.iter_parts()}
        recording, model = fields["file"].get_payload(decode=True), fields["model"].get_payload()
        with wave.open(io.BytesIO(cast("bytes", recording))) as audio:
            seconds = math.ceil(audio.getnframes() / audio.getframerate())
        return Asked(str(model).strip(), "", stream=False, audio_seconds=seconds)

    def whole(self, answering: Answering) -> dict[str, Any]:
        seconds = answering.asked.audio_seconds
        segment = {"id": 0, "seek": 0, "start": 0.0, "end": seconds, "text": f" {answering.reply.text}"}
        scores = {
            "tokens": [],
            "temperature": 0.0,
            "avg_logprob": 0.0,
            "compression_ratio": 1.0,
            "no_speech_prob": 0.0,
        }
        body: dict[str, Any] = {"task": "transcribe", "language": "english", "duration": seconds}
        body |= {"text": answering.reply.text, "segments": [segment | scores]}
        if answering.reply.how == "silent":
            return body
        if answering.asked.model.startswith("gpt-4o"):
            return {"text": answering.reply.text, "usage": _audio_tokens(answering)}
        return body | {"usage": {"type": "duration", "seconds": seconds}}

    def events(self, answering: Answering) -> Iterator[bytes]:
        raise AssertionError("transcriptions are not streamed here")

    def fault(self, status: int) -> dict[str, Any]:
        return _fault(status)


def _audio_tokens(answering: Answering) -> dict[str, Any]:
    counts = answering.counts
    return {
        "type": "tokens",
        "input_tokens": counts.tokens_input,
        "input_token_details": {"audio_tokens": counts.tokens_audio_input, "text_tokens": 0},
        "output_tokens": counts.tokens_output,
        "total_tokens": counts.tokens_input + counts.tokens_output,
    }


def _head(answering: Answering, kind: str) -> dict[str, Any]:
    return {
        "id": answering.request_id,
        "object": kind,
        "created": 1_790_000_000,
        "model": answering.asked.model,
        "service_tier": answering.reply.tier,
    }


def _usage(answering: Answering) -> dict[str, Any] | None:
    counts = answering.counts
    total = counts.tokens_input + counts.tokens_output
    if answering.reply.how == "silent":
        return None
    if answering.reply.how == "total-only":
        return {"total_tokens": total}
    return {
        "prompt_tokens": counts.tokens_input,
        "completion_tokens": counts.tokens_output,
        "total_tokens": total,
        "prompt_tokens_details": {
            "cached_tokens": counts.tokens_cached,
            "cache_write_tokens": counts.tokens_cache_write,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {"reasoning_tokens": counts.tokens_reasoning, "audio_tokens": 0},
    }


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


def _fault(status: int) -> dict[str, Any]:
    kind = "rate_limit_exceeded" if status == 429 else "server_error"
    return {"error": {"message": f"loopback answer {status}", "type": kind, "param": None, "code": kind}}
