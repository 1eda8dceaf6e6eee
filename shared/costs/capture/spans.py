"""From the attributes of one OpenTelemetry span to the call in it. Pure; needs no OpenTelemetry.

Attribute names have changed over the years, and instrumentations differ in what they count, so every
name of each count is tried, newest first, and totals decide where two readings are possible.
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
"""Compactions of the context: billed, and no part of the call's own counts."""

_USAGE: Final = re.compile(r"(?:gen_ai\.usage|anthropic\.usage\.server_tool_use)\.(\w+)")
_FACTS: Final = frozenset({"web_fetch_requests"})
"""Counts beside what is billed: fetching costs its tokens alone."""

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
NO_USAGE: Final = "the span of this call tells no usage"


_BESIDE: Final = ("opentelemetry.instrumentation.bedrock", "opentelemetry.instrumentation.botocore.bedrock")
"""Who writes Bedrock's own input, which leaves out the cache (versions 0.62.4 and 0.66b2, 2026-11-29)."""


def read_span(
    attributes: Attributes,
    *,
    failed: bool = False,
    ended: bool = True,
    scope: str = "",
    by_host: bool = True,
) -> Captured | None:
    """Return the call that a span's attributes tell of; ``None`` when nothing in it is billed.

    ``failed`` tells that the span ended with an error: without usage and without a response, the
    provider billed nothing. ``ended`` is ``False`` for a span that is still open at the program's end.
    ``scope`` names the instrumentation that wrote it, where that tells what its counts are. A client's span
    names the maker of the client: who serves the call, its host tells, unless ``by_host`` is ``False``.

    >>> call = read_span({"gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o",
    ...                   "gen_ai.usage.prompt_tokens": 1000, "gen_ai.usage.completion_tokens": 200})
    >>> call.service, call.usage.tokens_input, call.usage.tokens_output
    ('openai', 1000, 200)
    >>> read_span({"http.request.method": "GET"}) is None
    True
    """
    counts = {name: _count(attributes, names) for name, names in _COUNTS.items()}
    known = {name: count for name, count in counts.items() if count}
    stated = any(name in attributes for part in ("tokens_input", "tokens_output") for name in _COUNTS[part])
    if not stated and not (_is_call(attributes) and (not ended or _was_answered(attributes, failed=failed))):
        return None
    if not stated and _output(attributes).text("status") in UNFINISHED:
        return (
            None  # a look at a response in the background: the usage comes, by the same id, with a later one
        )
    service = _service(attributes)
    total = _count(attributes, _TOTAL)
    settled = _with_compaction(_settled(known, total, service, beside=scope.startswith(_BESIDE)), attributes)
    usage, fault = usage_of(settled)
    host = _text(attributes, ("server.address",)) or ""
    return Captured(
        service=(service_of(host) if by_host else None) or service,
        model=_text(attributes, _MODEL) or _asked(attributes).text("model") or "unknown",
        usage=usage,
        request_id=_request_id(attributes),
        service_tier=tier(_text(attributes, _TIER)),
        region=region_of(host),
        usage_known=not usage.is_zero or (stated and ended),
        unpriced_units=_unread(attributes),
        operation=_OPERATIONS.get(_text(attributes, ("gen_ai.operation.name",)) or "chat", "chat"),
        incomplete=first_reason((_missing(attributes, ended=ended), fault)),
    )


def _unread(attributes: Attributes) -> dict[str, int | float]:
    """Return what a span counts of its usage that is not read here. Details are as each library has them."""
    known = {name for names in _COUNTS.values() for name in names} | set(_TOTAL)
    named = {name: found for name in attributes.keys() - known if (found := _USAGE.fullmatch(name))}
    return unread_counts(Fields({found[1]: attributes[name] for name, found in named.items()}), _FACTS)


_AGENT_OPERATIONS: Final = frozenset({"invoke_agent", "invoke_workflow", "create_agent"})


def is_agent(attributes: Attributes) -> bool:
    """Tell whether a span is that of an agent, whose counts are the sum of its calls."""
    kind = _text(attributes, ("openinference.span.kind", "traceloop.span.kind")) or ""
    operation = _text(attributes, ("gen_ai.operation.name",))
    return operation in _AGENT_OPERATIONS or kind.upper() in {"AGENT", "CHAIN", "WORKFLOW"}


def _is_call(attributes: Attributes) -> bool:
    """Tell whether a span is that of one call of a model. One that is still open may have been billed."""
    operation = _text(attributes, ("gen_ai.operation.name",))
    return operation in _OPERATIONS or _text(attributes, ("openinference.span.kind",)) == "LLM"


def _was_answered(attributes: Attributes, *, failed: bool) -> bool:
    """Tell whether the span of a call without usage had an answer all the same: a stream, as a rule."""
    answered = "gen_ai.response.id" in attributes or "gen_ai.response.model" in attributes
    streaming = True in (_asked(attributes).get("stream"), *map(attributes.get, _STREAM))
    return answered or ((streaming or "llm.model_name" in attributes) and not failed)


def _asked(attributes: Attributes) -> Fields:
    """Return a request's parameters: all that openinference-instrumentation-groq 0.1.33 has of a stream."""
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
        return "the span of this call tells no output tokens"
    return None


def _settled(counts: Counts, total: int | float, service: str, *, beside: bool) -> Counts:
    """Bring the counts to the canonical rule, where an instrumentation counts otherwise.

    ``beside`` tells that the input leaves out the cache, however large it is.
    """
    counts = dict(counts)
    cache = counts.get("tokens_cached", 0) + counts.get("tokens_cache_write", 0)
    tokens_input, tokens_output = counts.get("tokens_input", 0), counts.get("tokens_output", 0)
    missing = total - tokens_input - tokens_output
    if cache and (beside or cache > tokens_input or missing == cache):
        counts["tokens_input"] = tokens_input + cache
    elif missing > 0 and (service in _GOOGLE or missing == counts.get("tokens_reasoning")):
        # Thoughts are outside of Gemini's candidates, and some instrumentations drop them:
        # the total that Gemini states has them.
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
    stated = _text(attributes, _PROVIDER)
    if not stated:
        return infer_service(_text(attributes, _MODEL) or "") or "unknown"
    name = normalize_service(stated)
    return "bedrock" if name == "aws" else name


def _request_id(attributes: Attributes) -> str | None:
    stated = _text(attributes, ("gen_ai.response.id",)) or _output(attributes).text("id", "response_id")
    return None if stated and comes_again(stated) else stated


def _output(attributes: Attributes) -> Fields:
    """Return OpenInference's copy of the response: no attribute has its id and status."""
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
