"""The most that a request can use, read from the arguments of the method that sends it.

A token is at least one byte of text, so a text has at most as many tokens as bytes. What is not text
(pictures, sound, files), what the provider keeps (an earlier response) and what it looks up by itself
(searches) has no bound that stands in the request.

>>> request = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
>>> bounds_of("openai.resources.chat.completions.completions", "Completions.create", request)
RequestBounds(tokens_input=113, max_tokens_output=9, characters=0, tier=None, region=None)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from .methods import found_at

PER_ITEM: Final = 16
"""How many tokens frame a message, a part of one or a tool, at most."""

FRAME: Final = 64
TOOLS: Final = 1024
"""What a provider adds to the input where tools are given: 313 to 804 tokens at Anthropic.
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
"""A prompt that is kept there, checks that have a fee of their own, and pictures in a text of their own."""
_KEPT: Final = (
    "previous_response_id", "conversation", "prompt_cache_id", "cached_content", "container",
    "mcp_servers", "web_search_options", "thread", "continuation_token", "fallbacks", "data_sources",
    "plugins", "search_parameters", "prompt_mode", "safe_prompt", "connectors", "conversation_id",
    "prompt_id", "context_window_fallback_dict",
)  # fmt: skip
"""What the provider has, or looks up, and adds to the input, or for which it may ask several models.

``data_sources`` stands in bodies for Azure, ``plugins`` for OpenRouter, ``search_parameters`` for xAI;
``prompt_mode`` and ``safe_prompt`` have Mistral put a prompt before the program's, ``connectors`` have
Cohere search.
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
"""What is billed by something else than tokens of text, or what sends a prompt that the provider keeps.

``generate``, ``classify`` and ``summarize`` are of Cohere's first version.
"""


class RequestBounds(NamedTuple):
    """What a request can use at most; ``None`` where nothing in it says so.

    ``tier`` and ``region`` are what it asks for that has a higher price.
    """

    tokens_input: int | None = None
    max_tokens_output: int | None = None
    characters: int = 0
    tier: str | None = None
    region: str | None = None


class _NoBound(Exception):
    """Something in a request has no bound."""


def bounds_of(module: str, method: str, given: Mapping[str, Any]) -> RequestBounds:
    """Return the most that the request of a wrapped method can use."""
    config = _plain(given.get("config")) if module.startswith("google.") else None
    said = {**given, **_sent_instead(given), **(_google(config) if isinstance(config, Mapping) else {})}
    if method.endswith("Speech.create"):
        return RequestBounds(0, 0, len(said["input"]) if isinstance(said.get("input"), str) else 0)
    if any(name in module for name in _UNBOUNDED_MODULES) or method.endswith(_UNBOUNDED_METHODS):
        return RequestBounds()
    return RequestBounds(
        _input(said), _output(said) if "mbed" not in method else 0, tier=_tier(said), region=_region(said)
    )


def bounds_of_bedrock(given: Mapping[str, Any]) -> RequestBounds:
    """Return the most that a request to Bedrock's runtime can use, read from its arguments.

    The body of ``InvokeModel`` is in the words of the model's maker.

    >>> ask = [{"role": "user", "content": [{"text": "Hi"}]}]
    >>> bounds_of_bedrock({"modelId": "m", "messages": ask, "inferenceConfig": {"maxTokens": 9}})
    RequestBounds(tokens_input=149, max_tokens_output=9, characters=0, tier=None, region=None)
    """
    said = _bedrock_said(given)
    if said is None or ":prompt/" in str(given.get("modelId")):
        return RequestBounds()
    makes_text = "embed" not in str(given.get("modelId"))
    optimized = found_at(given, ("performanceConfig", "latency")) or given.get("performanceConfigLatency")
    asked = found_at(given, ("serviceTier", "type")) or given.get("serviceTier")
    return RequestBounds(
        _input(said),
        _output(said) if makes_text else 0,
        tier="optimized" if optimized == "optimized" else _tier({"service_tier": asked}),
    )


def _bedrock_said(given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a request's fields in the words of the others; ``None`` where they cannot be bounded."""
    said = dict(given)
    if "body" in said:
        try:
            body = json.loads(said.pop("body"))
        except (TypeError, ValueError):
            return None
        said |= body if isinstance(body, dict) else {"inputImage": body}
    if any(said.get(name) for name in _BEDROCK_KEPT) or not any(said.get(name) for name in _BEDROCK_INPUTS):
        return None
    more, config = said.get("additionalModelRequestFields") or {}, said.get("toolConfig") or {}
    tools = [*(said.get("tools") or ()), *(config.get("tools") or ()), *(more.get("tools") or ())]
    if any("systemTool" in tool for tool in tools):
        return None
    said |= more
    said["tools"] = tools or None
    beside = (said.get("inputText"), said.get("outputConfig"), config.get("toolChoice"))
    said["input"] = [each for each in beside if each is not None] or None
    within = said, said.get("inferenceConfig") or {}, said.get("textGenerationConfig") or {}
    most = [each[name] for each in within for name in _BEDROCK_MAXIMA if isinstance(each.get(name), int)]
    if most:
        said["max_tokens"] = max([*most, said.get("max_tokens") or 0])
    return said


def model_of(given: Mapping[str, Any]) -> str | None:
    """Return the model that the arguments of a wrapped method ask for, where they name one."""
    model = _sent_instead(given).get("model") or given.get("model")
    return str(model) if model else None


def _sent_instead(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the SDK puts into the request in place of other arguments."""
    body = given.get("extra_body")
    return body if isinstance(body, Mapping) else {}


def _tier(said: Mapping[str, Any]) -> str | None:
    """Return the tier that is asked for where that costs more; a cheaper one may not be served."""
    tier = said.get("service_tier")
    named = str(getattr(tier, "value", tier)).lower()
    return "priority" if named == "priority" else "fast" if said.get("speed") == "fast" else None


def _region(said: Mapping[str, Any]) -> str | None:
    geo = said.get("inference_geo")
    return geo if isinstance(geo, str) and geo != "global" else None


def _google(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return Gemini's configuration in the words of the others."""
    renamed = {"system_instruction": "system", "candidate_count": "n"}
    return {renamed.get(name, name): value for name, value in config.items() if value is not None}


def _input(said: Mapping[str, Any]) -> int | None:
    try:
        is_kept = any(_is_given(said.get(name)) and said[name] is not False for name in _KEPT) or isinstance(
            said.get("prompt"), Mapping
        )
        if is_kept or _looks_up(said.get("tools")) or "compact" in str(said.get("context_management")):
            return None
        found = sum(_size(said[name]) for name in _INPUTS if _is_given(said.get(name)))
    except _NoBound:
        return None
    return FRAME + found + (TOOLS if _is_given(said.get("tools")) else 0)


def _output(said: Mapping[str, Any]) -> int | None:
    stated: list[int] = [said[name] for name in _MAXIMA if isinstance(said.get(name), int)]
    if not stated:
        return None
    # What is predicted and not taken over is billed as output, and so are all of which the best are returned.
    predicted = _size(said["prediction"]) if _is_given(said.get("prediction")) else 0
    answers: int = max([1, *(said[name] for name in ("n", "best_of") if isinstance(said.get(name), int))])
    return (max(stated) + predicted) * answers * _prompts(said.get("prompt"))


def _prompts(prompt: Any) -> int:
    """Return how many prompts a completion has, each of which is answered: one may be a list of tokens."""
    is_many = isinstance(prompt, (list, tuple)) and not any(isinstance(each, int) for each in prompt)
    return max(len(prompt), 1) if is_many else 1


def _looks_up(tools: Any) -> bool:
    """Tell whether a tool is run by the provider, whose results are input too, and may cost a fee."""
    if not _is_given(tools):
        return False
    listed = tools if isinstance(tools, (list, tuple)) else [tools]
    return any(not _is_own(_plain(tool)) for tool in listed)


def _is_own(tool: Any) -> bool:
    if not isinstance(tool, Mapping):
        return callable(tool)
    if (names := {name for name, value in tool.items() if value is not None}) <= {"function_declarations"}:
        return bool(names)  # Gemini's
    return str(tool.get("type") or "") in _OWN_TOOLS and not {"google_search", "url_context"} & names


def _is_given(value: Any) -> bool:
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
    return sum(_size(str(name)) + _size(each) for name, each in value.items() if each is not None)


def _has_media(names: Iterable[Any]) -> bool:
    return bool({"inline_data", "file_data", "image_url", "s3Location"} & set(names))


def _plain(value: Any) -> Any:
    """Return an object of an SDK as the map that it stands for; anything else as it is."""
    dump = getattr(value, "model_dump", None)
    return dump() if callable(dump) and not isinstance(value, type) else value
