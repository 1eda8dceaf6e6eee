"""Anthropic messages: the API, its batches, and the same messages served by Bedrock and Vertex.

"Input" excludes the cache here: read and written tokens are added to it. Thinking is part of output.
Sources: https://docs.anthropic.com/en/api/messages,
https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching (usage),
https://docs.anthropic.com/en/api/messages-streaming (usage of ``message_delta`` is cumulative).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from ..adapter import Adapter, estimated_tokens, tier
from ..captured import Captured, usage_of
from ..fields import Fields

Counts = dict[str, int | float]

_USAGE: Final = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation",
    "output_tokens_details",
    "server_tool_use",
    "service_tier",
    "inference_geo",
    "speed",
    "iterations",
)


def token_counts(usage: Fields) -> Counts:
    """Return the counts of an Anthropic ``usage``, cache added to input.

    >>> counts = token_counts(Fields({"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 3}))
    >>> counts["tokens_input"], counts["tokens_cached"]
    (100, 90)
    """
    read, creation = usage.count("cache_read_input_tokens"), usage.part("cache_creation")
    hour = creation.count("ephemeral_1h_input_tokens")
    written = usage.count("cache_creation_input_tokens") or hour + creation.count("ephemeral_5m_input_tokens")
    details = usage.part("output_tokens_details")
    return {
        "tokens_input": usage.count("input_tokens") + read + written,
        "tokens_output": usage.count("output_tokens"),
        "tokens_cached": read,
        "tokens_cache_write": written,
        "tokens_cache_write_1h": hour,
        "tokens_reasoning": details.count("thinking_tokens"),
        "web_searches": usage.part("server_tool_use").count("web_search_requests"),
    }


def _recognises(fields: Fields) -> bool:
    return _is_message(fields) or _is_batch_result(fields)


def _is_message(fields: Fields) -> bool:
    return fields.text("type") == "message" and fields.has("usage", "model")


def _is_batch_result(fields: Fields) -> bool:
    kinds = {"succeeded", "errored", "canceled", "expired"}
    return fields.has("custom_id") and fields.part("result").text("type") in kinds


def _read(fields: Fields) -> Iterable[Captured]:
    if _is_message(fields):
        return _message(fields)
    message = fields.part("result").part("message")
    # Requests of a batch that did not succeed are not billed:
    # https://docs.anthropic.com/en/docs/build-with-claude/batch-processing
    calls = _message(message) if message else []
    return [replace(call, service_tier="batch") for call in calls]


def _message(fields: Fields) -> list[Captured]:
    usage_fields = fields.part("usage")
    iterations = usage_fields.parts("iterations")
    usage, fault = usage_of(_with_compactions(token_counts(usage_fields), iterations))
    call = Captured(
        service=_service(fields.text("id")),
        model=fields.text("model") or "",
        usage=usage,
        request_id=fields.text("id"),
        service_tier=_tier(usage_fields),
        operation="chat",
        incomplete=fault,
        metadata=_notes(usage_fields),
    )
    return [call, *_advisors(call, iterations)]


def _with_compactions(counts: Counts, iterations: list[Fields]) -> Counts:
    """Add the compactions of the context: billed, and not part of the top-level usage.

    Source: the ``iterations`` field of ``BetaUsage`` in the ``anthropic`` package.
    """
    for entry in iterations:
        if entry.text("type") == "compaction":
            for name, count in token_counts(entry).items():
                counts[name] += count
    return counts


def _advisors(call: Captured, iterations: list[Fields]) -> Iterable[Captured]:
    """Return the calls of a second model that advised the first.

    They are billed at its own rates and are no part of the top-level usage.
    Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/advisor-tool (usage and billing).
    """
    for number, entry in enumerate(iterations):
        if entry.text("type") == "advisor_message":
            usage, fault = usage_of(token_counts(entry))
            request_id = f"{call.request_id}/advisor-{number}" if call.request_id else None
            yield replace(
                call,
                model=entry.text("model") or call.model,
                usage=usage,
                incomplete=fault,
                request_id=request_id,
                operation="advisor",
            )


def _service(message_id: str | None) -> str:
    # Bedrock and Vertex mark the ids of the messages they serve.
    kind = (message_id or "").removeprefix("msg_").partition("_")[0]
    return {"bdrk": "bedrock", "vrtx": "vertex"}.get(kind, "anthropic")


def _tier(usage: Fields) -> str | None:
    """Fast mode has prices of its own, so it is a tier here."""
    stated = tier(usage.text("service_tier"))
    return "fast" if usage.text("speed") == "fast" and stated is None else stated


def _notes(usage: Fields) -> dict[str, object]:
    notes: dict[str, object] = {}
    if fetches := usage.part("server_tool_use").count("web_fetch_requests"):
        notes["web_fetches"] = fetches
    geo = usage.text("inference_geo")
    if geo and geo not in {"global", "not_available"}:
        notes["inference_geo"] = geo
    return notes


def recognises_chunk(chunk: Fields) -> bool:
    """Tell whether this is an event of a message stream."""
    return chunk.text("type") == "message_start" or (
        chunk.text("type") in {"message_delta", "content_block_start"}
        and (chunk.has("delta") or chunk.has("content_block"))
    )


class AnthropicFollower:
    """Follows a message stream: ``message_start`` opens the usage, each ``message_delta`` overwrites it."""

    def __init__(self) -> None:
        self._id: str | None = None
        self._model = ""
        self._usage: dict[str, object] = {}
        self._final = False
        self._characters = 0

    def add(self, chunk: Fields) -> None:
        """Take in one event."""
        kind = chunk.text("type")
        if kind == "message_start":
            message = chunk.part("message")
            self._id, self._model = message.text("id"), message.text("model") or ""
            self._overwrite(message.part("usage"))
        elif kind == "message_delta":
            self._final = self._final or chunk.has("usage")
            self._overwrite(chunk.part("usage"))
        elif kind == "content_block_delta":
            delta = chunk.part("delta")
            names = ("text", "partial_json", "thinking")
            self._characters += sum(len(delta.text(name) or "") for name in names)

    def _overwrite(self, usage: Fields) -> None:
        self._usage.update({name: value for name in _USAGE if (value := usage.get(name)) is not None})

    def result(self, ending: str) -> Iterable[Captured]:
        """Return the call. Cut before its end, its input is known and its output is estimated."""
        if self._final:
            return _message(self._as_message())
        stated = Fields(self._usage).count("output_tokens")
        self._usage["output_tokens"] = max(stated, estimated_tokens(self._characters))
        what = "input as stated" if "input_tokens" in self._usage else "input unknown"
        why = (
            f"the stream {ending} before its final usage: output estimated from "
            f"{self._characters} characters, {what}"
        )
        return [replace(call, incomplete=why) for call in _message(self._as_message())]

    def _as_message(self) -> Fields:
        return Fields({"type": "message", "id": self._id, "model": self._model, "usage": self._usage})


ADAPTER = Adapter(
    name="Anthropic",
    knows="Anthropic (messages, batch results)",
    packages=frozenset({"anthropic"}),
    recognises=_recognises,
    read=_read,
    recognises_chunk=recognises_chunk,
    follow=AnthropicFollower,
)
