"""The wire formats that agents speak: Anthropic's messages, OpenAI's two, Gemini's; whole and streamed.

Shapes as in https://docs.anthropic.com/en/api/messages-streaming, https://platform.openai.com/docs/api-reference
(responses, chat) and https://ai.google.dev/api/generate-content, read on 2026-11-28.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from .billing import Answer, Bill, Tool


class Wire(Protocol):
    """One provider's way of asking and answering."""

    writes: bool

    def matches(self, path: str) -> bool:
        """Tell whether a request to ``path`` is one for an answer in this format."""

    def model(self, path: str, asked: Mapping[str, Any]) -> str:
        """Return the model that is asked."""

    def streams(self, path: str, asked: Mapping[str, Any]) -> bool:
        """Tell whether the answer is to come in pieces."""

    def whole(self, bill: Bill, answer: Answer) -> dict[str, Any]:
        """Return the answer in one piece."""

    def events(self, bill: Bill, answer: Answer) -> Iterator[bytes]:
        """Yield the answer in pieces. The last piece has the whole usage."""


def _words(text: str) -> list[str]:
    return re.findall(r"\S+\s*", text)


def _named_event(kind: str, data: Mapping[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()


class AnthropicMessages:
    """``POST /v1/messages``: input without the cache, which is told beside it; thoughts in the output."""

    writes = True

    def matches(self, path: str) -> bool:
        return path.endswith("/messages")

    def model(self, path: str, asked: Mapping[str, Any]) -> str:
        return str(asked["model"])

    def streams(self, path: str, asked: Mapping[str, Any]) -> bool:
        return bool(asked.get("stream"))

    def whole(self, bill: Bill, answer: Answer) -> dict[str, Any]:
        blocks = [block for block, _ in self._blocks(bill, answer)]
        return self._head(bill, blocks, self._usage(bill, answer, bill.tokens_output), self._reason(answer))

    def events(self, bill: Bill, answer: Answer) -> Iterator[bytes]:
        yield _named_event(
            "message_start", {"message": self._head(bill, [], self._usage(bill, answer, 1), None)}
        )
        for index, (block, deltas) in enumerate(self._blocks(bill, answer)):
            empty = {name: {} if name == "input" else value for name, value in block.items()}
            empty |= {name: "" for name in ("text", "thinking", "signature") if name in block}
            yield _named_event("content_block_start", {"index": index, "content_block": empty})
            for delta in deltas:
                yield _named_event("content_block_delta", {"index": index, "delta": delta})
            yield _named_event("content_block_stop", {"index": index})
        ended = {"stop_reason": self._reason(answer), "stop_sequence": None}
        used = self._usage(bill, answer, bill.tokens_output)
        yield _named_event("message_delta", {"delta": ended, "usage": used})
        yield _named_event("message_stop", {})

    def _blocks(self, bill: Bill, answer: Answer) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        if answer.thoughts:
            signature = "c2lnbmF0dXJl"
            yield (
                {"type": "thinking", "thinking": answer.thoughts, "signature": signature},
                [
                    {"type": "thinking_delta", "thinking": answer.thoughts},
                    {"type": "signature_delta", "signature": signature},
                ],
            )
        if answer.text:
            deltas = [{"type": "text_delta", "text": word} for word in _words(answer.text)]
            yield {"type": "text", "text": answer.text}, deltas
        for number, tool in enumerate(answer.tools):
            block = {"type": "tool_use", "id": f"toolu_{bill.number:04d}{number:020d}", "name": tool.name}
            partial = {"type": "input_json_delta", "partial_json": json.dumps(dict(tool.arguments))}
            yield block | {"input": dict(tool.arguments)}, [partial]

    def _head(
        self, bill: Bill, content: list[dict[str, Any]], usage: dict[str, Any], reason: str | None
    ) -> dict[str, Any]:
        return {
            "id": f"msg_01Loopback{bill.number:014d}",
            "type": "message",
            "role": "assistant",
            "model": bill.model,
            "content": content,
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": usage,
        }

    def _reason(self, answer: Answer) -> str:
        return "tool_use" if answer.tools else "end_turn"

    def _usage(self, bill: Bill, answer: Answer, output: int) -> dict[str, Any]:
        hour = bill.tokens_cache_write_1h
        return {
            "input_tokens": bill.uncached,
            "cache_creation_input_tokens": bill.tokens_cache_write,
            "cache_read_input_tokens": bill.tokens_cached,
            "cache_creation": {
                "ephemeral_5m_input_tokens": bill.tokens_cache_write - hour,
                "ephemeral_1h_input_tokens": hour,
            },
            "output_tokens": output,
            "service_tier": answer.tier,
        }


class OpenAIResponses:
    """``POST /v1/responses``: the cache in the input, the thoughts in the output."""

    writes = False

    def matches(self, path: str) -> bool:
        return path.endswith("/responses")

    def model(self, path: str, asked: Mapping[str, Any]) -> str:
        return str(asked["model"])

    def streams(self, path: str, asked: Mapping[str, Any]) -> bool:
        return bool(asked.get("stream"))

    def whole(self, bill: Bill, answer: Answer) -> dict[str, Any]:
        usage = {
            "input_tokens": bill.tokens_input,
            "input_tokens_details": {"cached_tokens": bill.tokens_cached},
            "output_tokens": bill.tokens_output,
            "output_tokens_details": {"reasoning_tokens": bill.tokens_reasoning},
            "total_tokens": bill.tokens_input + bill.tokens_output,
        }
        return self._response(bill, "completed") | {"output": self._items(bill, answer), "usage": usage}

    def events(self, bill: Bill, answer: Answer) -> Iterator[bytes]:
        yield _named_event("response.created", {"response": self._response(bill, "in_progress")})
        for index, item in enumerate(self._items(bill, answer)):
            begun = item | ({"content": []} if item["type"] == "message" else {})
            yield _named_event("response.output_item.added", {"output_index": index, "item": begun})
            if item["type"] == "message":
                place = {"item_id": item["id"], "output_index": index, "content_index": 0}
                for word in _words(answer.text):
                    yield _named_event("response.output_text.delta", place | {"delta": word})
            yield _named_event("response.output_item.done", {"output_index": index, "item": item})
        yield _named_event("response.completed", {"response": self.whole(bill, answer)})

    def _response(self, bill: Bill, status: str) -> dict[str, Any]:
        return {
            "id": f"resp_loopback{bill.number:024d}",
            "object": "response",
            "created_at": 1_790_000_000,
            "model": bill.model,
            "status": status,
            "output": [],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
        }

    def _items(self, bill: Bill, answer: Answer) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        if answer.thoughts:
            summary = [{"type": "summary_text", "text": answer.thoughts}]
            items.append({"type": "reasoning", "id": f"rs_{bill.number}", "summary": summary})
        if answer.text:
            part = {"type": "output_text", "text": answer.text, "annotations": []}
            message = {"type": "message", "id": f"msg_{bill.number}", "role": "assistant"}
            items.append(message | {"status": "completed", "content": [part]})
        for number, tool in enumerate(answer.tools):
            call = {"type": "function_call", "id": f"fc_{bill.number}_{number}", "status": "completed"}
            called = {"call_id": f"call_{bill.number}_{number}", "name": tool.name}
            items.append(call | called | {"arguments": json.dumps(dict(tool.arguments))})
        return items


class OpenAIChat:
    """``POST /v1/chat/completions``: the cache in the input, the thoughts in the output."""

    writes = False

    def matches(self, path: str) -> bool:
        return path.endswith("/chat/completions")

    def model(self, path: str, asked: Mapping[str, Any]) -> str:
        return str(asked["model"])

    def streams(self, path: str, asked: Mapping[str, Any]) -> bool:
        return bool(asked.get("stream"))

    def whole(self, bill: Bill, answer: Answer) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
        if answer.tools:
            message["tool_calls"] = self._calls(bill, answer)
        choice = {"index": 0, "message": message, "finish_reason": self._reason(answer)}
        return self._head(bill, "chat.completion") | {"choices": [choice], "usage": self._usage(bill)}

    def events(self, bill: Bill, answer: Answer) -> Iterator[bytes]:
        head = self._head(bill, "chat.completion.chunk")
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        if answer.thoughts:
            deltas.append({"reasoning_content": answer.thoughts})
        deltas += [{"content": word} for word in _words(answer.text)]
        deltas += [{"tool_calls": [call]} for call in self._calls(bill, answer)]
        for delta in deltas:
            yield self._event(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        last = {"index": 0, "delta": {}, "finish_reason": self._reason(answer)}
        yield self._event(head | {"choices": [last]})
        yield self._event(head | {"choices": [], "usage": self._usage(bill)}) + b"data: [DONE]\n\n"

    def _head(self, bill: Bill, kind: str) -> dict[str, Any]:
        made = {"created": 1_790_000_000, "model": bill.model}
        return {"id": f"chatcmpl-loopback{bill.number:020d}", "object": kind} | made

    def _calls(self, bill: Bill, answer: Answer) -> list[dict[str, Any]]:
        return [self._call(bill, number, tool) for number, tool in enumerate(answer.tools)]

    def _call(self, bill: Bill, number: int, tool: Tool) -> dict[str, Any]:
        function = {"name": tool.name, "arguments": json.dumps(dict(tool.arguments))}
        return {
            "index": number,
            "id": f"call_{bill.number}_{number}",
            "type": "function",
            "function": function,
        }

    def _reason(self, answer: Answer) -> str:
        return "tool_calls" if answer.tools else "stop"

    def _usage(self, bill: Bill) -> dict[str, Any]:
        return {
            "prompt_tokens": bill.tokens_input,
            "completion_tokens": bill.tokens_output,
            "total_tokens": bill.tokens_input + bill.tokens_output,
            "prompt_tokens_details": {"cached_tokens": bill.tokens_cached},
            "completion_tokens_details": {"reasoning_tokens": bill.tokens_reasoning},
        }

    def _event(self, data: Mapping[str, Any]) -> bytes:
        return f"data: {json.dumps(data)}\n\n".encode()


class Gemini:
    """``POST /v1beta/models/MODEL:streamGenerateContent``: the cache inside, thoughts beside."""

    writes = False
    _PATH = re.compile(r"/models/([^:/]+):(generateContent|streamGenerateContent)")

    def matches(self, path: str) -> bool:
        return self._PATH.search(path) is not None

    def model(self, path: str, asked: Mapping[str, Any]) -> str:
        found = self._PATH.search(path)
        return found[1] if found else ""

    def streams(self, path: str, asked: Mapping[str, Any]) -> bool:
        return ":stream" in path

    def whole(self, bill: Bill, answer: Answer) -> dict[str, Any]:
        return self._piece(bill, self._parts(answer), "STOP") | self._usage(bill)

    def events(self, bill: Bill, answer: Answer) -> Iterator[bytes]:
        *first, last = self._parts(answer)
        for part in first:
            yield self._event(self._piece(bill, [part], None))
        yield self._event(self._piece(bill, [last], "STOP") | self._usage(bill))

    def _parts(self, answer: Answer) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = []
        if answer.thoughts:
            parts.append({"text": answer.thoughts, "thought": True})
        parts += [{"text": word} for word in _words(answer.text)]
        return parts + [
            {"functionCall": {"name": tool.name, "args": dict(tool.arguments)}} for tool in answer.tools
        ]

    def _piece(self, bill: Bill, parts: list[dict[str, Any]], reason: str | None) -> dict[str, Any]:
        candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": parts}}
        if reason:
            candidate["finishReason"] = reason
        return {"candidates": [candidate], "modelVersion": bill.model, "responseId": f"gem{bill.number:013d}"}

    def _usage(self, bill: Bill) -> dict[str, Any]:
        used = {
            "promptTokenCount": bill.tokens_input,
            "candidatesTokenCount": bill.tokens_output - bill.tokens_reasoning,
            "thoughtsTokenCount": bill.tokens_reasoning,
            "cachedContentTokenCount": bill.tokens_cached,
            "totalTokenCount": bill.tokens_input + bill.tokens_output,
        }
        return {"usageMetadata": used}

    def _event(self, data: Mapping[str, Any]) -> bytes:
        return f"data: {json.dumps(data)}\r\n\r\n".encode()


WIRES: tuple[Wire, ...] = (AnthropicMessages(), OpenAIResponses(), OpenAIChat(), Gemini())
