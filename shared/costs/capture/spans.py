"""Reading the call in one OpenTelemetry span from its attributes. Pure; needs no OpenTelemetry.

Attribute names have changed over the years, and instrumentations differ in what they count, so every
name of each count is tried, newest first, and totals decide if two readings are possible.
Sources: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ (``gen_ai.*``, input
includes cache), https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md
(``llm.*``), and the spans of the instrumentations themselves.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from ..pricing.names import infer_service, normalize_service
from .adapter import UNFINISHED, comes_again, tier
from .captured import Captured, first_reason, usage_of
from .fields import Fields
from .hosts import region_of, service_of
from .unread import unread_counts

Attributes = Mapping[str, object]
Counts = dict[str, int | float]

_COUNTS: Final[dict[str, tuple[str, ...]]] = {
    "tokens_input": (
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.usage.prompt_tokens",
        "llm.token_count.prompt",
    ),
    "tokens_output": (
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.usage.completion_tokens",
        "llm.token_count.completion",
    ),
    "tokens_cached": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.details.cache_read_tokens",
        "gen_ai.usage.details.cached_tokens",
        "gen_ai.usage.cached_tokens",
        "llm.token_count.prompt_details.cache_read",
    ),
    "tokens_cache_write": (
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.details.cache_write_tokens",
        "llm.token_count.prompt_details.cache_write",
    ),
    "tokens_cache_write_1h": ("anthropic.usage.cache_creation.ephemeral_1h_input_tokens",),
    "tokens_reasoning": (
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.details.reasoning_tokens",
        "llm.usage.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
    ),
    "tokens_audio_input": (
        "gen_ai.usage.audio.input_tokens",
        "gen_ai.usage.details.input_audio_tokens",
        "llm.token_count.prompt_details.audio",
    ),
    "tokens_audio_output": (
        "gen_ai.usage.audio.output_tokens",
        "gen_ai.usage.details.output_audio_tokens",
        "llm.token_count.completion_details.audio",
    ),
    "tokens_audio_cached": (
        "gen_ai.usage.audio.cache_read.input_tokens",
        "gen_ai.usage.details.cache_audio_read_tokens",
    ),
    "tokens_image_input": ("gen_ai.usage.image.input_tokens",),
    "tokens_image_output": ("gen_ai.usage.image.output_tokens",),
    "web_searches": ("anthropic.usage.server_tool_use.web_search_requests",),
}
_COMPACTION: Final = "anthropic.usage.compaction."
"""Prefix of the counts of context compactions: billed, and not part of the call's own counts."""

_USAGE: Final = re.compile(r"(?:gen_ai\.usage|anthropic\.usage\.server_tool_use)\.(\w+)")
_FACTS: Final = frozenset({"web_fetch_requests"})
"""Counts that are not billed: fetching costs its tokens alone."""

_TOTAL: Final = ("gen_ai.usage.total_tokens", "llm.usage.total_tokens", "llm.token_count.total")
_MODEL: Final = (
    "gen_ai.response.model",
    "llm.response.model_name",
    "llm.model_name",
    "gen_ai.request.model",
    "embedding.model_name",
)
_PROVIDER: Final = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system")
_TIER: Final = (
    "openai.response.service_tier",
    "gen_ai.openai.response.service_tier",
    "anthropic.response.service_tier",
)
_STREAM: Final = ("gen_ai.request.stream", "gen_ai.is_streaming", "llm.is_streaming")
_OPERATIONS: Final = {
    "chat": "chat",
    "text_completion": "chat",
    "completion": "chat",
    "generate_content": "chat",
    "embeddings": "embeddings",
}
_GOOGLE: Final = frozenset({"google", "vertex"})

STILL_OPEN: Final = "the call was still open when the program ended"
NO_USAGE: Final = "the span of this call states no usage"


_EXCLUDE_CACHE: Final = (
    "opentelemetry.instrumentation.bedrock",
    "opentelemetry.instrumentation.botocore.bedrock",
)
"""Instrumentations that pass on Bedrock's own input, without the cache (0.62.4 and 0.66b2, 2026-11-29)."""


def read_span(
    attributes: Attributes,
    *,
    failed: bool = False,
    ended: bool = True,
    scope: str = "",
    by_host: bool = True,
) -> Captured | None:
    """Return the call that a span's attributes describe; ``None`` if nothing in it is billed.

    ``failed`` says that the span ended with an error: without usage and without a response, the
    provider billed nothing. ``ended`` is ``False`` for a span that is still open when the program ends.
    ``scope`` names the instrumentation, since some count in their own way. A client's span names the
    maker of the client, so the service is taken from the host, unless ``by_host`` is ``False``.

    >>> call = read_span({"gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o",
    ...                   "gen_ai.usage.prompt_tokens": 1000, "gen_ai.usage.completion_tokens": 200})
    >>> call.service, call.usage.tokens_input, call.usage.tokens_output
    ('openai', 1000, 200)
    >>> read_span({"http.request.method": "GET"}) is None
    True
    """
    counts = {name: _count(attributes, names) for name, names in _COUNTS.items()}
    nonzero = {name: count for name, count in counts.items() if count}
    has_usage = any(
        name in attributes for part in ("tokens_input", "tokens_output") for name in _COUNTS[part]
    )
    if not has_usage and not (
        _is_call(attributes) and (not ended or _was_answered(attributes, failed=failed))
    ):
        return None
    if not has_usage and _output(attributes).text("status") in UNFINISHED:
        return None  # a poll of a background response: a later one with the same id has the usage
    service = _service(attributes)
    total = _count(attributes, _TOTAL)
    canonical = _with_compaction(
        _canonical(nonzero, total, service, excludes_cache=scope.startswith(_EXCLUDE_CACHE)), attributes
    )
    usage, fault = usage_of(canonical)
    host = _text(attributes, ("server.address",)) or ""
    return Captured(
        service=(service_of(host) if by_host else None) or service,
        model=_text(attributes, _MODEL) or _parameters(attributes).text("model") or "unknown",
        usage=usage,
        request_id=_request_id(attributes),
        service_tier=tier(_text(attributes, _TIER)),
        region=region_of(host),
        usage_known=not usage.is_zero or (has_usage and ended),
        unpriced_units=_unread(attributes),
        operation=_OPERATIONS.get(_text(attributes, ("gen_ai.operation.name",)) or "chat", "chat"),
        incomplete=first_reason((_missing(attributes, ended=ended), fault)),
    )


def _unread(attributes: Attributes) -> dict[str, int | float]:
    """Return the counts of a span's usage that are not read here. Names of details differ by library."""
    known = {name for names in _COUNTS.values() for name in names} | set(_TOTAL)
    matches = {name: match for name in attributes.keys() - known if (match := _USAGE.fullmatch(name))}
    return unread_counts(Fields({match[1]: attributes[name] for name, match in matches.items()}), _FACTS)


_AGENT_OPERATIONS: Final = frozenset({"invoke_agent", "invoke_workflow", "create_agent"})


def is_agent(attributes: Attributes) -> bool:
    """Tell whether a span is an agent's, whose counts are the sum of its calls."""
    kind = _text(attributes, ("openinference.span.kind", "traceloop.span.kind")) or ""
    operation = _text(attributes, ("gen_ai.operation.name",))
    return operation in _AGENT_OPERATIONS or kind.upper() in {"AGENT", "CHAIN", "WORKFLOW"}


def _is_call(attributes: Attributes) -> bool:
    """Tell whether a span is one call of a model. A call that is still open may have been billed."""
    operation = _text(attributes, ("gen_ai.operation.name",))
    return operation in _OPERATIONS or _text(attributes, ("openinference.span.kind",)) == "LLM"


def _was_answered(attributes: Attributes, *, failed: bool) -> bool:
    """Tell whether a call without usage was answered all the same, usually by a stream."""
    answered = "gen_ai.response.id" in attributes or "gen_ai.response.model" in attributes
    streaming = True in (_parameters(attributes).get("stream"), *map(attributes.get, _STREAM))
    return answered or ((streaming or "llm.model_name" in attributes) and not failed)


def _parameters(attributes: Attributes) -> Fields:
    """Return the request's parameters: all that openinference-instrumentation-groq 0.1.33 has of a stream."""
    copy = attributes.get("llm.invocation_parameters")
    if isinstance(copy, str):
        with suppress(ValueError, RecursionError):
            return Fields(json.loads(copy))
    return Fields({})


def _missing(attributes: Attributes, *, ended: bool) -> str | None:
    if not ended:
        return STILL_OPEN
    outputs, inputs = _COUNTS["tokens_output"], _COUNTS["tokens_input"]
    if not any(name in attributes for name in inputs):
        return NO_USAGE
    embeddings = _text(attributes, ("gen_ai.operation.name",)) == "embeddings"
    if not embeddings and not any(name in attributes for name in outputs):
        return "the span of this call states no output tokens"
    return None


def _canonical(counts: Counts, total: int | float, service: str, *, excludes_cache: bool) -> Counts:
    """Return the counts by the canonical rule, if an instrumentation counts otherwise.

    ``excludes_cache`` says that the input excludes the cache, however large the input is.
    """
    counts = dict(counts)
    cache = counts.get("tokens_cached", 0) + counts.get("tokens_cache_write", 0)
    tokens_input, tokens_output = counts.get("tokens_input", 0), counts.get("tokens_output", 0)
    missing = total - tokens_input - tokens_output
    if cache and (excludes_cache or cache > tokens_input or missing == cache):
        counts["tokens_input"] = tokens_input + cache
    elif missing > 0 and (service in _GOOGLE or missing == counts.get("tokens_reasoning")):
        # Gemini's candidates exclude thoughts, and some instrumentations drop them; Gemini's total has them.
        counts["tokens_output"] = tokens_output + missing
        counts["tokens_reasoning"] = max(missing, counts.get("tokens_reasoning", 0))
    elif counts.get("tokens_reasoning", 0) > tokens_output:
        counts["tokens_output"] = tokens_output + counts["tokens_reasoning"]
    return counts


def _with_compaction(counts: Counts, attributes: Attributes) -> Counts:
    for name in ("tokens_input", "tokens_output"):
        kind = name.removeprefix("tokens_")
        if count := _count(attributes, (f"{_COMPACTION}{kind}_tokens",)):
            counts[name] = counts.get(name, 0) + count
    return counts


def _service(attributes: Attributes) -> str:
    provider = _text(attributes, _PROVIDER)
    if not provider:
        return infer_service(_text(attributes, _MODEL) or "") or "unknown"
    name = normalize_service(provider)
    return "bedrock" if name == "aws" else name


def _request_id(attributes: Attributes) -> str | None:
    response_id = _text(attributes, ("gen_ai.response.id",)) or _output(attributes).text("id", "response_id")
    return None if response_id and comes_again(response_id) else response_id


def _output(attributes: Attributes) -> Fields:
    """Return OpenInference's copy of the response, because no attribute has its id and status."""
    copy = attributes.get("output.value")
    if isinstance(copy, str) and copy.startswith("{"):
        with suppress(ValueError):
            return Fields(json.loads(copy))
    return Fields({})


def _count(attributes: Attributes, names: tuple[str, ...]) -> int | float:
    for name in names:
        value = attributes.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
            return int(value)
    return 0


def _text(attributes: Attributes, names: tuple[str, ...]) -> str | None:
    return Fields(attributes).text(*names)
