"""Usage in OpenAI's wire format, which many servers and libraries use, each with small changes.

Sources: https://platform.openai.com/docs/api-reference/chat/object (usage),
https://platform.openai.com/docs/api-reference/responses/object (usage).
"""

from __future__ import annotations

from typing import Final

from ...money import divide
from ..adapter import characters, comes_again
from ..fields import Fields
from ..unread import unread_counts

Counts = dict[str, int | float]

SPEECH: Final = "speech"
"""The ``object`` given to the last event of a speech stream, so that it is read as a whole response."""


def token_counts(usage: Fields) -> Counts:
    """Return the counts of a ``usage`` object of chat, responses, embeddings, images or transcription.

    Input includes cache and output includes reasoning, as OpenAI counts. Servers whose
    ``completion_tokens`` exclude reasoning (such as xAI) are recognised by their own ``total_tokens``.

    >>> token_counts(Fields({"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 17,
    ...                      "completion_tokens_details": {"reasoning_tokens": 5}}))["tokens_output"]
    7
    """
    inputs = usage.part("prompt_tokens_details", "input_tokens_details", "input_token_details")
    outputs = usage.part("completion_tokens_details", "output_tokens_details", "output_token_details")
    tokens_input = usage.count("prompt_tokens", "input_tokens")
    tokens_output = usage.count("completion_tokens", "output_tokens")
    reasoning = outputs.count("reasoning_tokens")
    if reasoning and usage.count("total_tokens") == tokens_input + tokens_output + reasoning:
        tokens_output += reasoning
    return {
        "tokens_input": tokens_input,
        "tokens_output": tokens_output,
        "tokens_reasoning": reasoning,
        "tokens_cached": _cached(usage, inputs),
        "tokens_cache_write": _cache_write(usage, inputs),
        # The next count and the last one are LiteLLM's names for Anthropic's usage; its proxy sends them too.
        "tokens_cache_write_1h": inputs.part("cache_creation_token_details").count(
            "ephemeral_1h_input_tokens"
        ),
        "tokens_audio_input": inputs.count("audio_tokens"),
        "tokens_audio_cached": _cached_of(usage, inputs).count("audio_tokens", "cached_audio_tokens"),
        "tokens_image_cached": _cached_of(usage, inputs).count("image_tokens", "cached_image_tokens"),
        "tokens_image_input": inputs.count("image_tokens"),
        "tokens_audio_output": outputs.count("audio_tokens"),
        "tokens_image_output": outputs.count("image_tokens"),
        "web_searches": usage.part("server_tool_use").count("web_search_requests")
        or inputs.count("web_search_requests"),
    }


_TOP: Final = frozenset(
    {
        "prompt_tokens",
        "completion_tokens",
        "input_tokens",
        "output_tokens",
        "total_tokens",
        "prompt_tokens_details",
        "input_tokens_details",
        "input_token_details",
        "completion_tokens_details",
        "output_tokens_details",
        "output_token_details",
        "cached_tokens",
        "cached_tokens_details",
        "num_cached_tokens",
        "prompt_cache_hit_tokens",
        "prompt_cache_miss_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "cache_creation",
        "seconds",
        "num_server_side_tools_used",
        "cost",
        "cost_details",
        "cost_in_usd_ticks",
        "completion_time_info",
        "time_info",
    }
)
_INPUTS: Final = frozenset(
    {
        "text_tokens",
        "audio_tokens",
        "image_tokens",
        "video_tokens",  # part of the input, at its rate
        "file_tokens",
        "cached_tokens",
        "cached_tokens_details",
        "cache_write_tokens",
        "cache_creation_tokens",
        "cache_creation_token_details",
        "web_search_requests",
    }
)
_OUTPUTS: Final = frozenset(
    {
        "text_tokens",
        "reasoning_tokens",
        "audio_tokens",
        "image_tokens",
        "accepted_prediction_tokens",
        "rejected_prediction_tokens",
    }
)
_TOOLS: Final = frozenset({"web_search_requests"})
_X_TOOLS: Final = frozenset(
    {"web_search_calls", "x_search_calls", "file_search_calls", "code_interpreter_calls", "mcp_calls"}
)


def unread_units(usage: Fields) -> dict[str, int | float]:
    """Return what a ``usage`` counts that :func:`token_counts` does not read.

    >>> unread_units(Fields({"prompt_tokens": 9, "completion_tokens_details": {"video_tokens": 40}}))
    {'video_tokens': 40}
    """
    parts = (
        (_INPUTS, ("prompt_tokens_details", "input_tokens_details", "input_token_details")),
        (_OUTPUTS, ("completion_tokens_details", "output_tokens_details", "output_token_details")),
        (_TOOLS, ("server_tool_use",)),
        (_X_TOOLS, ("server_side_tool_usage_details",)),
    )
    units = unread_counts(usage, _TOP | {name for _, names in parts for name in names})
    for known, names in parts:
        units.update(unread_counts(usage.part(*names), known))
    if _includes_reasoning(usage):
        units.pop("reasoning_tokens", None)
    return units


def _includes_reasoning(usage: Fields) -> bool:
    """Tell whether reasoning at the top level is part of the output, by the details or the total.

    Perplexity bills it separately: https://docs.perplexity.ai/getting-started/pricing (Sonar Deep Research),
    2026-11-28.
    """
    if usage.part("completion_tokens_details", "output_tokens_details").has("reasoning_tokens"):
        return True
    tokens = usage.count("prompt_tokens", "input_tokens") + usage.count("completion_tokens", "output_tokens")
    return usage.count("total_tokens") == tokens


def response_id(fields: Fields) -> str | None:
    """Return the id of a response or chunk, with its time of creation if the server may reuse the id.

    >>> response_id(Fields({"id": "chatcmpl-417", "created": 1795618492}))
    'chatcmpl-417@1795618492'
    """
    id_ = fields.text("id", "_request_id") or fields.part("x_groq").text("id")
    if id_ is None or not comes_again(id_):
        return id_
    created = fields.count("created", "created_at")
    return f"{id_}@{created}" if created else None


def split_total(total: int) -> tuple[Counts, str]:
    """Split a total, if a server states no more, into 80 % input and 20 % output; return a note about it.

    >>> split_total(1000)[0]
    {'tokens_input': 800, 'tokens_output': 200}
    """
    tokens_input = divide(total * 4, 5)
    counts: Counts = {"tokens_input": tokens_input, "tokens_output": total - tokens_input}
    return counts, "the server states only a total, taken as 80 % input and 20 % output"


def _cached_of(usage: Fields, inputs: Fields) -> Fields:
    """Return the cached tokens by kind; the image tool states them outside the details of its input."""
    return inputs.part("cached_tokens_details") or usage.part("cached_tokens_details")


def _cached(usage: Fields, inputs: Fields) -> int:
    # All but the first name are those of DeepSeek, Moonshot, Mistral and LiteLLM, in this order.
    return inputs.count("cached_tokens") or usage.count(
        "prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens", "cache_read_input_tokens"
    )


def _cache_write(usage: Fields, inputs: Fields) -> int:
    # The second is LiteLLM's name, the last its older one.
    return inputs.count("cache_write_tokens", "cache_creation_tokens") or usage.count(
        "cache_creation_input_tokens"
    )


def delta_characters(chunk: Fields) -> int:
    """Return how many characters of output a chunk of a chat stream has."""
    total = 0
    for choice in chunk.parts("choices"):
        delta = choice.part("delta")
        total += len(choice.text("text") or "")
        total += sum(characters(delta.get(name)) for name in ("content", "reasoning_content", "refusal"))
        for call in delta.parts("tool_calls"):
            total += len(call.part("function").text("arguments") or "")
    return total
