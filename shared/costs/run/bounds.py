"""The most that a request can use, read from the arguments of the method that sends it.

A token is at least one byte of text, so a text has at most as many tokens as bytes. Content that is not text
(pictures, sound, files), that the provider keeps (an earlier response) or looks up by itself (searches) has
no bound in the request.

>>> request = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
>>> bounds_of("openai.resources.chat.completions.completions", "Completions.create", request)
RequestBounds(tokens_input=113, max_tokens_output=9, characters=0, tier=None, region=None)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from .methods import value_at

PER_ITEM: Final = 16
"""How many tokens frame a message, a part of one or a tool, at most."""

FRAME: Final = 64
TOOLS: Final = 1024
"""What a provider adds to the input of a request with tools: 313 to 804 tokens at Anthropic.
https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview (2026-11-28)"""

_INPUTS: Final = (
    "messages", "prompt", "input", "instructions", "system", "tools", "functions", "response_format",
    "text_format", "text", "output_format", "output_config", "response_schema", "response_json_schema",
    "contents", "suffix", "tool_choice", "prediction", "documents", "message", "chat_history", "preamble",
    "tool_results", "texts", "inputs",
)  # fmt: skip
_MAXIMA: Final = ("max_completion_tokens", "max_tokens", "max_output_tokens")
_BEDROCK_MAXIMA: Final = ("maxTokens", "max_new_tokens", "maxTokenCount", "max_gen_len")
_BEDROCK_INPUTS: Final = ("messages", "prompt", "inputText", "texts", "inputs", "documents")
_BEDROCK_KEPT: Final = (
    "promptVariables", "guardrailConfig", "guardrailIdentifier", "inputImage", "images", "image",
)  # fmt: skip
"""A prompt that Bedrock keeps, checks that have a fee of their own, and pictures as encoded text."""
_KEPT: Final = (
    "previous_response_id", "conversation", "prompt_cache_id", "cached_content", "container",
    "mcp_servers", "web_search_options", "thread", "continuation_token", "fallbacks", "data_sources",
    "plugins", "search_parameters", "prompt_mode", "safe_prompt", "connectors", "conversation_id",
    "prompt_id", "context_window_fallback_dict",
)  # fmt: skip
"""Arguments for which the provider adds stored or looked-up content to the input, or may call several models.

``data_sources`` is for Azure, ``plugins`` for OpenRouter, ``search_parameters`` for xAI. With ``prompt_mode``
and ``safe_prompt`` Mistral prepends a prompt, with ``connectors`` Cohere searches.
"""
_LEFT_OUT: Final = frozenset({"NotGiven", "Omit", "Unset", "ellipsis"})
_OWN_TOOLS: Final = frozenset({"function", "custom", "", "NoneType"})
_MEDIA: Final = (
    "image", "audio", "file", "document", "video", "blob", "inline_data", "search_result", "item_reference",
)  # fmt: skip


_UNBOUNDED_MODULES: Final = (
    "images", "audio", "videos", "ocr", "transcriptions", ".agents", "conversations",
)  # fmt: skip
_UNBOUNDED_METHODS: Final = (
    "_generate_images", "_edit_image", "rerank", "classify", "generate", "generate_stream", "summarize",
)  # fmt: skip
"""Methods billed by something other than tokens of text, or that send a prompt which the provider keeps.

``generate``, ``classify`` and ``summarize`` belong to Cohere's first version.
"""


class RequestBounds(NamedTuple):
    """The most that a request can use; ``None`` for what nothing in it limits.

    ``tier`` and ``region`` are those it requests, if they have a higher price.
    """

    tokens_input: int | None = None
    max_tokens_output: int | None = None
    characters: int = 0
    tier: str | None = None
    region: str | None = None


class _NoBound(Exception):
    """Something in a request has no bound."""


def bounds_of(module: str, method: str, arguments: Mapping[str, Any]) -> RequestBounds:
    """Return the most that the request of a wrapped method can use."""
    config = _plain(arguments.get("config")) if module.startswith("google.") else None
    request = {
        **arguments,
        **_sent_instead(arguments),
        **(_google(config) if isinstance(config, Mapping) else {}),
    }
    if method.endswith("Speech.create"):
        return RequestBounds(0, 0, len(request["input"]) if isinstance(request.get("input"), str) else 0)
    if any(name in module for name in _UNBOUNDED_MODULES) or method.endswith(_UNBOUNDED_METHODS):
        return RequestBounds()
    return RequestBounds(
        _input(request),
        _output(request) if "mbed" not in method else 0,
        tier=_tier(request),
        region=_region(request),
    )


def bounds_of_bedrock(arguments: Mapping[str, Any]) -> RequestBounds:
    """Return the most that a request to Bedrock's runtime can use, read from its arguments.

    The body of ``InvokeModel`` has the format of the model's maker.

    >>> messages = [{"role": "user", "content": [{"text": "Hi"}]}]
    >>> bounds_of_bedrock({"modelId": "m", "messages": messages, "inferenceConfig": {"maxTokens": 9}})
    RequestBounds(tokens_input=149, max_tokens_output=9, characters=0, tier=None, region=None)
    """
    request = _bedrock_request(arguments)
    if request is None or ":prompt/" in str(arguments.get("modelId")):
        return RequestBounds()
    makes_text = "embed" not in str(arguments.get("modelId"))
    optimized = value_at(arguments, ("performanceConfig", "latency")) or arguments.get(
        "performanceConfigLatency"
    )
    tier_name = value_at(arguments, ("serviceTier", "type")) or arguments.get("serviceTier")
    return RequestBounds(
        _input(request),
        _output(request) if makes_text else 0,
        tier="optimized" if optimized == "optimized" else _tier({"service_tier": tier_name}),
    )


def _bedrock_request(arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a request's fields by the names of the other SDKs; ``None`` if they have no bound."""
    request = dict(arguments)
    if "body" in request:
        try:
            body = json.loads(request.pop("body"))
        except (TypeError, ValueError):
            return None
        request |= body if isinstance(body, dict) else {"inputImage": body}
    if any(request.get(name) for name in _BEDROCK_KEPT) or not any(
        request.get(name) for name in _BEDROCK_INPUTS
    ):
        return None
    extra_fields, config = request.get("additionalModelRequestFields") or {}, request.get("toolConfig") or {}
    tools = [*(request.get("tools") or ()), *(config.get("tools") or ()), *(extra_fields.get("tools") or ())]
    if any("systemTool" in tool for tool in tools):
        return None
    request |= extra_fields
    request["tools"] = tools or None
    other_inputs = (request.get("inputText"), request.get("outputConfig"), config.get("toolChoice"))
    request["input"] = [part for part in other_inputs if part is not None] or None
    scopes = request, request.get("inferenceConfig") or {}, request.get("textGenerationConfig") or {}
    maxima = [part[name] for part in scopes for name in _BEDROCK_MAXIMA if isinstance(part.get(name), int)]
    if maxima:
        request["max_tokens"] = max([*maxima, request.get("max_tokens") or 0])
    return request


def model_of(arguments: Mapping[str, Any]) -> str | None:
    """Return the model that the arguments of a wrapped method name; ``None`` if they name none."""
    model = _sent_instead(arguments).get("model") or arguments.get("model")
    return str(model) if model else None


def _sent_instead(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields that the SDK sends in place of other arguments."""
    body = arguments.get("extra_body")
    return body if isinstance(body, Mapping) else {}


def _tier(request: Mapping[str, Any]) -> str | None:
    """Return the requested tier if it costs more; a cheaper tier may not be the one that serves."""
    tier = request.get("service_tier")
    name = str(getattr(tier, "value", tier)).lower()
    return "priority" if name == "priority" else "fast" if request.get("speed") == "fast" else None


def _region(request: Mapping[str, Any]) -> str | None:
    geo = request.get("inference_geo")
    return geo if isinstance(geo, str) and geo != "global" else None


def _google(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return Gemini's configuration by the names of the other SDKs."""
    renamed = {"system_instruction": "system", "candidate_count": "n"}
    return {renamed.get(name, name): value for name, value in config.items() if value is not None}


def _input(request: Mapping[str, Any]) -> int | None:
    try:
        has_kept_content = any(
            _is_set(request.get(name)) and request[name] is not False for name in _KEPT
        ) or isinstance(request.get("prompt"), Mapping)
        if (
            has_kept_content
            or _looks_up(request.get("tools"))
            or "compact" in str(request.get("context_management"))
        ):
            return None
        size = sum(_size(request[name]) for name in _INPUTS if _is_set(request.get(name)))
    except _NoBound:
        return None
    return FRAME + size + (TOOLS if _is_set(request.get("tools")) else 0)


def _output(request: Mapping[str, Any]) -> int | None:
    maxima: list[int] = [request[name] for name in _MAXIMA if isinstance(request.get(name), int)]
    if not maxima:
        return None
    # Predicted tokens that are rejected are billed as output, and so is every candidate of ``best_of``.
    predicted = _size(request["prediction"]) if _is_set(request.get("prediction")) else 0
    choices: int = max(
        [1, *(request[name] for name in ("n", "best_of") if isinstance(request.get(name), int))]
    )
    return (max(maxima) + predicted) * choices * _prompts(request.get("prompt"))


def _prompts(prompt: Any) -> int:
    """Return how many prompts a completion answers; a list of integers is one prompt, as tokens."""
    is_many = isinstance(prompt, (list, tuple)) and not any(isinstance(part, int) for part in prompt)
    return max(len(prompt), 1) if is_many else 1


def _looks_up(tools: Any) -> bool:
    """Tell whether the provider runs a tool: its results become input, and may cost a fee."""
    if not _is_set(tools):
        return False
    tool_list = tools if isinstance(tools, (list, tuple)) else [tools]
    return any(not _is_program_tool(_plain(tool)) for tool in tool_list)


def _is_program_tool(tool: Any) -> bool:
    if not isinstance(tool, Mapping):
        return callable(tool)
    if (names := {name for name, value in tool.items() if value is not None}) <= {"function_declarations"}:
        return bool(names)  # Gemini's
    return str(tool.get("type") or "") in _OWN_TOOLS and not {"google_search", "url_context"} & names


def _is_set(value: Any) -> bool:
    return value is not None and type(value).__name__ not in _LEFT_OUT


def _size(value: Any) -> int:
    """Return how many tokens a part of a request has at most."""
    if isinstance(value, str):
        return len(value.encode(errors="surrogatepass"))
    if value is None or isinstance(value, (bool, int, float)) or type(value).__name__ in _LEFT_OUT:
        return PER_ITEM
    if isinstance(value, Mapping):
        return PER_ITEM + _sum_of(value)
    if isinstance(value, (list, tuple)):
        return PER_ITEM + sum(map(_size, value))
    if isinstance(value, type) and hasattr(value, "model_json_schema"):
        return _size(value.model_json_schema())
    plain = _plain(value)
    if plain is value:
        raise _NoBound
    return _size(plain)


def _sum_of(value: Mapping[Any, Any]) -> int:
    if any(mark in str(value.get("type") or "") for mark in _MEDIA) or _has_media(value):
        raise _NoBound
    return sum(_size(str(name)) + _size(item) for name, item in value.items() if item is not None)


def _has_media(names: Iterable[Any]) -> bool:
    return bool({"inline_data", "file_data", "image_url", "s3Location"} & set(names))


def _plain(value: Any) -> Any:
    """Return an SDK's object as a mapping; anything else unchanged."""
    dump = getattr(value, "model_dump", None)
    return dump() if callable(dump) and not isinstance(value, type) else value
