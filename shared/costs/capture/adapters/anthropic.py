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

from ..adapter import Adapter, estimated_tokens, states_any, tier
from ..captured import Captured, first_reason, usage_of
from ..fields import Fields
from ..unread import names_in, unread_counts

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
    "fallback_credit",
)
_INPUT: Final = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


def token_counts(usage: Fields) -> Counts:
    """Return the counts of an Anthropic ``usage``, with the cache added to the input.

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


_FREE_TOOLS: Final = frozenset({"web_search_requests", "web_fetch_requests"})
"""Counts of tools that are read here, or cost only their tokens."""

_KNOWN_TOOLS: Final = frozenset(
    {
        "advisor",
        "web_search",
        "web_fetch",
        "code_execution",
        "bash_code_execution",
        "text_editor_code_execution",
        "tool_search_tool_regex",
        "tool_search_tool_bm25",
    }
)
"""The tools that Anthropic runs itself, as named by ``BetaServerToolUseBlock`` of ``anthropic`` 2.14."""

_ITERATIONS: Final = frozenset({"message", "fallback_message", "compaction", "advisor_message"})


def unread_units(usage: Fields) -> dict[str, int | float]:
    """Return the counts of a ``usage`` that are not read here.

    >>> unread_units(Fields({"input_tokens": 9, "server_tool_use": {"image_generation_requests": 2}}))
    {'image_generation_requests': 2}
    """
    units = unread_counts(usage, frozenset(_USAGE))
    units.update(unread_counts(usage.part("server_tool_use"), _FREE_TOOLS))
    units.update(unread_counts(usage.part("output_tokens_details"), {"thinking_tokens"}))
    units.update(
        unread_counts(
            usage.part("cache_creation"), {"ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"}
        )
    )
    for entry in usage.parts("iterations"):
        kind = entry.text("type") or "iteration"
        if kind not in _ITERATIONS:
            for name, count in unread_counts(entry, ()).items():
                units[f"{kind}_{name}"] = units.get(f"{kind}_{name}", 0) + count
    return units


def _unread(fields: Fields) -> dict[str, int | float]:
    """Return what a message was billed for and is not read here: counts, and tools with new names."""
    units = unread_units(fields.part("usage"))
    for block in fields.parts("content"):
        name = block.text("name") or ""
        is_new_tool = block.text("type") == "server_tool_use" and name not in {"", *_KNOWN_TOOLS}
        if is_new_tool and f"{name}_requests" not in units:
            units[f"{name}_uses"] = units.get(f"{name}_uses", 0) + 1
    return units


def _recognises(fields: Fields) -> bool:
    return _is_message(fields) or _is_batch_result(fields)


def _is_message(fields: Fields) -> bool:
    return fields.text("type") == "message" and fields.has("usage", "model")


def _is_batch_result(fields: Fields) -> bool:
    kinds = {"succeeded", "errored", "canceled", "expired"}
    return fields.has("custom_id") and fields.part("result").text("type") in kinds


def _read(fields: Fields) -> Iterable[Captured]:
    if _is_message(fields):
        return read_message(fields)
    message = fields.part("result").part("message")
    # Requests of a batch that did not succeed are not billed:
    # https://docs.anthropic.com/en/docs/build-with-claude/batch-processing
    calls = read_message(message) if message else []
    return [replace(call, service_tier="batch") for call in calls]


def read_message(fields: Fields) -> list[Captured]:
    """Return the calls in a message: its own, and those of models that declined or advised before."""
    usage_fields = fields.usage("usage")
    iterations = usage_fields.parts("iterations")
    is_unbilled = _is_unbilled_refusal(fields)
    reason = None if usage_fields or is_unbilled else "the response has no usage"
    if is_unbilled:
        counts: Counts = {}
    else:
        counts = _with_compactions(token_counts(usage_fields), iterations)
    counts["containers"] = _containers(fields)
    usage, fault = usage_of({name: count for name, count in counts.items() if count})
    call = Captured(
        service=_service(fields.text("id")),
        model=_answering_model(fields, iterations),
        usage=usage,
        request_id=fields.text("id"),
        service_tier=_tier(usage_fields),
        region=region_of(usage_fields),
        operation="chat",
        unpriced_units=_unread(fields),
        usage_known=reason is None,
        incomplete=first_reason((reason, fault, _credited(usage_fields), _refused(fields))),
        metadata=_notes(usage_fields),
    )
    return [call, *_declined(call, iterations), *_advisors(call, iterations)]


def _answering_model(fields: Fields, iterations: list[Fields]) -> str:
    """Return the model that answered: a stream names the requested model, which may have declined."""
    fallbacks = [entry.text("model") for entry in iterations if entry.text("type") == "fallback_message"]
    return next((model for model in reversed(fallbacks) if model), None) or fields.text("model") or ""


_FREE_REFUSALS: Final = frozenset({None, "cyber", "general_harms"})
"""The policy categories whose refusals before any output are not billed; ``None`` is the unnamed one.
Sources: https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback (billing), release notes
of 2026-06-02, https://docs.apiyi.com/en/faq/claude-content-safety-refusal; read 2026-11-28."""


def _is_refusal_before_output(fields: Fields) -> bool:
    return fields.text("stop_reason") == "refusal" and not fields.part("usage").count("output_tokens")


def _is_unbilled_refusal(fields: Fields) -> bool:
    return _is_refusal_before_output(fields) and _category(fields) in _FREE_REFUSALS


def _category(fields: Fields) -> str | None:
    return fields.part("stop_details").text("category")


def _refused(fields: Fields) -> str | None:
    if _is_refusal_before_output(fields) and not _is_unbilled_refusal(fields):
        return f"refused before any output: whether category {_category(fields)} is billed is not stated"
    return None


def _credited(usage: Fields) -> str | None:
    """Return a note if a credit lowered the bill: the amount is not stated (``BetaFallbackCreditUsage``)."""
    redeemed = usage.part("fallback_credit").part("status").text("type") == "redeemed"
    return "a fallback credit was redeemed: the bill is lower than these counts" if redeemed else None


def _containers(fields: Fields) -> int:
    """Return the containers that ran code: billed by the hour, but free with a search or a fetch.

    Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/code-execution-tool (pricing),
    2026-11-28. How long one ran is not stated.
    """
    tools = fields.part("usage").part("server_tool_use")
    if not fields.part("container").has("id") or tools.count("web_search_requests") + tools.count(
        "web_fetch_requests"
    ):
        return 0
    names = (block.text("name") or "" for block in fields.parts("content"))
    return int(any(name.endswith("code_execution") for name in names))


def _declined(call: Captured, iterations: list[Fields]) -> Iterable[Captured]:
    """Return the attempts of other models that declined midway, before the model that answered.

    Each is billed at its own model's rates if it generated output. The top-level usage covers only the
    answering attempt, whose own earlier steps name its model.
    Source: https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback, 2026-11-28, and
    ``BetaFallbackMessageIterationUsage`` of the ``anthropic`` package (2.14).
    """
    if not any(entry.text("type") == "fallback_message" for entry in iterations):
        return
    for number, entry in enumerate(iterations):
        model = entry.text("model")
        declined = entry.text("type") == "message" and model not in {None, call.model}
        if declined and entry.count("output_tokens"):
            yield _attempt(call, entry, number, "declined")


def _attempt(call: Captured, entry: Fields, number: int, kind: str) -> Captured:
    usage, fault = usage_of(token_counts(entry))
    return replace(
        call,
        model=entry.text("model") or call.model,
        usage=usage,
        unpriced_units=unread_counts(entry, frozenset(_USAGE)),
        incomplete=fault,
        request_id=f"{call.request_id}/{kind}-{number}" if call.request_id else None,
        operation="chat" if kind == "declined" else kind,
        metadata={},
    )


def _with_compactions(counts: Counts, iterations: list[Fields]) -> Counts:
    """Add context compactions, which are billed and not part of the top-level usage.

    Source: the ``iterations`` field of ``BetaUsage`` in the ``anthropic`` package.
    """
    for entry in iterations:
        if entry.text("type") == "compaction":
            for name, count in token_counts(entry).items():
                counts[name] += count
    return counts


def _advisors(call: Captured, iterations: list[Fields]) -> Iterable[Captured]:
    """Return the calls of a second model that advised the first.

    They are billed at its own rates and are not part of the top-level usage.
    Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/advisor-tool (usage and billing).
    """
    for number, entry in enumerate(iterations):
        if entry.text("type") == "advisor_message":
            yield _attempt(call, entry, number, "advisor")


def _service(message_id: str | None) -> str:
    # Bedrock and Vertex mark the ids of the messages they serve.
    kind = (message_id or "").removeprefix("msg_").partition("_")[0]
    return {"bdrk": "bedrock", "vrtx": "vertex"}.get(kind, "anthropic")


def _tier(usage: Fields) -> str | None:
    """Return the service tier; fast mode counts as one, because it has its own prices."""
    service_tier = tier(usage.text("service_tier"))
    return "fast" if usage.text("speed") == "fast" and service_tier is None else service_tier


def _notes(usage: Fields) -> dict[str, object]:
    notes: dict[str, object] = {}
    if fetches := usage.part("server_tool_use").count("web_fetch_requests"):
        notes["web_fetches"] = fetches
    if geo := region_of(usage):
        notes["inference_geo"] = geo
    return notes


def region_of(usage: Fields) -> str | None:
    """Return the region that inference was restricted to, which has a price of its own."""
    geo = usage.text("inference_geo")
    return None if geo in {None, "global", "not_available"} else geo


def recognises_chunk(chunk: Fields) -> bool:
    """Tell whether this is an event of a message stream."""
    return chunk.text("type") == "message_start" or (
        chunk.text("type") in {"message_delta", "content_block_start"}
        and (chunk.has("delta") or chunk.has("content_block"))
    )


_SEARCHED: Final = "web_search_tool_result"


class AnthropicFollower:
    """Follows a message stream: ``message_start`` has a usage, each ``message_delta`` overwrites it."""

    def __init__(self) -> None:
        self._id: str | None = None
        self._model = ""
        self._usage: dict[str, object] = {}
        self._message_fields: dict[str, object] = {}
        self._final = False
        self._characters = 0
        self._tools: list[dict[str, str]] = []
        self._searches = 0
        self._last_output: object = None

    def add(self, chunk: Fields) -> None:
        """Read one event."""
        kind = chunk.text("type")
        if kind == "message_start":
            message = chunk.part("message")
            self._id, self._model = message.text("id"), message.text("model") or ""
            self._overwrite(message.part("usage"))
        elif kind == "message_delta":
            self._final = self._final or chunk.has("usage")
            self._last_output = chunk.part("usage").get("output_tokens")
            self._overwrite(chunk.part("usage"))
            delta = chunk.part("delta")
            names = ("stop_reason", "stop_details", "container")
            self._message_fields.update(
                {name: value for name in names if (value := delta.get(name)) is not None}
            )
        elif kind == "content_block_start":
            block = chunk.part("content_block")
            if name := block.text("name"):
                self._tools.append({"name": name, "type": block.text("type") or ""})
            # A failed search has an error in place of its results, and is not billed.
            self._searches += block.text("type") == _SEARCHED and isinstance(block.get("content"), list)
        elif kind == "content_block_delta":
            delta = chunk.part("delta")
            names = ("text", "partial_json", "thinking")
            self._characters += sum(len(delta.text(name) or "") for name in names)

    def _overwrite(self, usage: Fields) -> None:
        """Keep the latest value of each count. Counts are cumulative, and a zero does not replace a count.

        The three counts of the input belong together: an event that states any of them replaces all.
        """
        restated = any(usage.get(name) not in {None, 0} for name in _INPUT)
        for name in dict.fromkeys((*_USAGE, *names_in(usage))):
            value = usage.get(name)
            if value is None:
                continue
            zero = not value if isinstance(value, int) else not _has_content(value)
            if not zero or name not in self._usage or (restated and name in _INPUT):
                self._usage[name] = value

    def result(self, ending: str) -> Iterable[Captured]:
        """Return the call. If the stream was cut, its input is as stated and its output is estimated."""
        if self._final:
            if self._message_fields.get("stop_reason") == "refusal" and self._last_output == 0:
                self._usage["output_tokens"] = 0  # the first event counts a token that never came
            return read_message(self._as_message())
        if self._searches and not states_any(Fields(self._usage.get("server_tool_use"))):
            self._usage["server_tool_use"] = {"web_search_requests": self._searches}
        stated_output = Fields(self._usage).count("output_tokens")
        self._usage["output_tokens"] = max(stated_output, estimated_tokens(self._characters))
        input_note = "input as stated" if "input_tokens" in self._usage else "input unknown"
        reason = (
            f"the stream {ending} before its final usage: output estimated from "
            f"{self._characters} characters, {input_note}"
        )
        known = "input_tokens" in self._usage
        return [
            replace(call, incomplete=reason, usage_known=known) for call in read_message(self._as_message())
        ]

    def _as_message(self) -> Fields:
        message = {"type": "message", "id": self._id, "model": self._model, "usage": self._usage}
        return Fields({**message, **self._message_fields, "content": self._tools})


def _has_content(value: object) -> bool:
    return isinstance(value, str) or states_any(Fields(value))


ADAPTER = Adapter(
    name="Anthropic",
    knows="Anthropic (messages, batch results)",
    packages=frozenset({"anthropic"}),
    recognises=_recognises,
    read=_read,
    recognises_chunk=recognises_chunk,
    follow=AnthropicFollower,
)
