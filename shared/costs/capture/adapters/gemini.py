"""Gemini: generate content, embeddings, images, batches, and the Interactions API.

The prompt includes its cache. The candidates exclude thoughts and the prompt excludes results of tools, so
both are added.
Sources: https://ai.google.dev/api/generate-content#UsageMetadata (``total_token_count`` is the sum of
prompt, candidates, tool use and thoughts), https://ai.google.dev/api/interactions-api, and the
types of the ``google-genai`` package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from ..adapter import UNFINISHED, Adapter, tier
from ..captured import Captured, first_reason, usage_of
from ..fields import Fields
from ..unread import unread_counts
from ._gemini_jobs import (
    SEARCH_TOOLS,
    cache_storage,
    grounding_counts,
    interaction_searches,
    is_cache,
    is_video_job,
    video_job,
)
from ._gemini_stream import COUNTS, GeminiFollower, recognises_chunk

Counts = dict[str, int | float]

_NO_USAGE: Final = "the response has no usage"


def _recognises(fields: Fields) -> bool:
    return _is_failed_line(fields) or any(matches(fields) for matches, _ in _SHAPES)


def _read(fields: Fields) -> Iterable[Captured]:
    if _is_failed_line(fields):
        return []
    return next((read(fields) for matches, read in _SHAPES if matches(fields)), ())


def _batch_line(fields: Fields) -> Iterable[Captured]:
    return [replace(call, service_tier="batch") for call in _read(fields.part("response"))]


def _is_generated(fields: Fields) -> bool:
    metadata = fields.part("usage_metadata")
    named = type(fields.raw).__name__ == "GenerateContentResponse"
    return named or fields.has("candidates", "model_version") or metadata.has("prompt_token_count")


def _generated(fields: Fields) -> Captured:
    metadata = fields.usage("usage_metadata")
    model = fields.text("model_version") or ""
    candidates = fields.parts("candidates")
    searches = grounding_counts([candidate.part("grounding_metadata") for candidate in candidates], model)
    usage, fault = usage_of(generate_counts(metadata) | searches)
    earlier_requests = _earlier_requests(fields)
    units: dict[str, int | float] = {"requests": earlier_requests} if earlier_requests else {}
    unseen = f"the usage of {earlier_requests} earlier requests of automatic function calling"
    return Captured(
        service=_served_by(metadata),
        model=model,
        usage=usage,
        request_id=fields.text("response_id"),
        service_tier=served_tier(fields),
        operation="chat",
        usage_known=bool(metadata),
        unpriced_units=units | _unread(metadata),
        incomplete=first_reason(
            (None if metadata else _NO_USAGE, fault, f"not stated: {unseen}" if earlier_requests else None)
        ),
    )


def _served_by(metadata: Fields) -> str:
    """Return the service that answered: only Vertex AI states a traffic type, and it has its own prices.

    Source: ``GenerateContentResponseUsageMetadata.traffic_type`` of ``google-genai`` 3.6 ("This field is not
    supported in Gemini API"), 2026-11-30.
    """
    return "vertex" if metadata.has("traffic_type") else "google"


def served_tier(fields: Fields) -> str | None:
    """Return the tier that served a request: the Gemini API states it only in a header, Vertex in the usage.

    Source: https://ai.google.dev/gemini-api/docs/priority-inference (``x-gemini-service-tier``), and
    ``GenerateContentResponseUsageMetadata`` of ``google-genai`` 3.6, which drops the body's; 2026-11-28.
    """
    header = fields.part("sdk_http_response").header("x-gemini-service-tier")
    return tier(header or fields.part("usage_metadata").text("service_tier", "traffic_type"))


def _earlier_requests(fields: Fields) -> int:
    """Return how many earlier requests automatic function calling made, whose usage it drops."""
    return sum(
        turn.text("role") == "model" and any(part.has("function_call") for part in turn.parts("parts"))
        for turn in fields.parts("automatic_function_calling_history")
    )


def generate_counts(metadata: Fields) -> Counts:
    """Return the counts of a ``usageMetadata``, with thoughts and the input of tools added."""
    prompt = metadata.parts("prompt_tokens_details") + metadata.parts("tool_use_prompt_tokens_details")
    # The second name is the Live API's.
    candidates = metadata.parts("candidates_tokens_details", "response_tokens_details")
    thoughts = metadata.count("thoughts_token_count")
    return {
        "tokens_input": metadata.count("prompt_token_count") + metadata.count("tool_use_prompt_token_count"),
        "tokens_output": metadata.count("candidates_token_count", "response_token_count") + thoughts,
        "tokens_reasoning": thoughts,
        "tokens_cached": metadata.count("cached_content_token_count"),
        "tokens_audio_input": _of_modality(prompt, "audio"),
        "tokens_image_input": _of_modality(prompt, "image"),
        "tokens_audio_cached": _of_modality(metadata.parts("cache_tokens_details"), "audio"),
        "tokens_image_cached": _of_modality(metadata.parts("cache_tokens_details"), "image"),
        "tokens_audio_output": _of_modality(candidates, "audio"),
        "tokens_image_output": _of_modality(candidates, "image"),
    }


_METADATA: Final = frozenset(COUNTS)
_INTERACTION: Final = frozenset(
    {
        "total_input_tokens",
        "total_output_tokens",
        "total_thought_tokens",
        "total_tool_use_tokens",
        "total_cached_tokens",
        "total_tokens",
        "input_tokens_by_modality",
        "output_tokens_by_modality",
        "cached_tokens_by_modality",
        "tool_use_tokens_by_modality",
        "grounding_tool_count",
    }
)
_OUTPUT_MODALITIES: Final = frozenset({"", "modality_unspecified", "text", "image", "audio"})
_INPUT_MODALITIES: Final = _OUTPUT_MODALITIES | {"video", "document"}


def _unread(metadata: Fields) -> dict[str, int | float]:
    """Return the counts of a usage that are not read here: new counts, and new kinds of tokens."""
    prompt = metadata.parts("prompt_tokens_details") + metadata.parts("tool_use_prompt_tokens_details")
    candidates = metadata.parts("candidates_tokens_details", "response_tokens_details")
    counts = unread_counts(metadata, _METADATA)
    return counts | _other_modalities(prompt, _INPUT_MODALITIES) | _other_modalities(candidates)


def _unread_of_interaction(usage: Fields) -> dict[str, int | float]:
    prompt = usage.parts("input_tokens_by_modality") + usage.parts("tool_use_tokens_by_modality")
    output = usage.parts("output_tokens_by_modality")
    counts = unread_counts(usage, _INTERACTION)
    return counts | _other_modalities(prompt, _INPUT_MODALITIES) | _other_modalities(output)


def _other_modalities(
    details: list[Fields], known: frozenset[str] = _OUTPUT_MODALITIES
) -> dict[str, int | float]:
    counts: dict[str, int | float] = {}
    for entry in details:
        modality = (entry.text("modality") or "").lower()
        if modality not in known and (count := entry.count("token_count", "tokens")):
            counts[f"{modality}_tokens"] = counts.get(f"{modality}_tokens", 0) + count
    return counts


def _of_modality(details: list[Fields], modality: str) -> int:
    return sum(
        entry.count("token_count", "tokens")
        for entry in details
        if (entry.text("modality") or "").lower() == modality
    )


def _is_interaction(fields: Fields) -> bool:
    usage = fields.part("usage")
    return (
        fields.text("object") == "interaction"
        or usage.has("total_input_tokens")
        or _named_interaction(fields)
    )


def _named_interaction(fields: Fields) -> bool:
    return type(fields.raw).__name__ in {"Interaction", "InteractionSseEventInteraction"}


def _interaction(fields: Fields) -> Captured:
    usage_fields = fields.usage("usage")
    model = fields.text("model", "agent") or ""
    tools = {tool.text("type"): tool.count("count") for tool in usage_fields.parts("grounding_tool_count")}
    usage, fault = usage_of(_interaction_counts(usage_fields) | interaction_searches(tools))
    other_tools: dict[str, int | float] = {
        name: count for name, count in tools.items() if name and name not in SEARCH_TOOLS and count
    }
    return Captured(
        service="google",
        model=model,
        usage=usage,
        # An interaction in the background comes again, with its usage.
        request_id=None if fields.text("status") in UNFINISHED else fields.text("id"),
        service_tier=tier(fields.text("service_tier")),
        operation="chat",
        usage_known=bool(usage_fields) or fields.text("status") in UNFINISHED,
        unpriced_units=other_tools | _unread_of_interaction(usage_fields),
        incomplete=first_reason((None if usage_fields else _NO_USAGE, fault)),
    )


def _interaction_counts(usage: Fields) -> Counts:
    prompt = usage.parts("input_tokens_by_modality") + usage.parts("tool_use_tokens_by_modality")
    output = usage.parts("output_tokens_by_modality")
    thoughts = usage.count("total_thought_tokens")
    return {
        "tokens_input": usage.count("total_input_tokens") + usage.count("total_tool_use_tokens"),
        "tokens_output": usage.count("total_output_tokens") + thoughts,
        "tokens_reasoning": thoughts,
        "tokens_cached": usage.count("total_cached_tokens"),
        "tokens_audio_input": _of_modality(prompt, "audio"),
        "tokens_image_input": _of_modality(prompt, "image"),
        "tokens_audio_cached": _of_modality(usage.parts("cached_tokens_by_modality"), "audio"),
        "tokens_image_cached": _of_modality(usage.parts("cached_tokens_by_modality"), "image"),
        "tokens_audio_output": _of_modality(output, "audio"),
        "tokens_image_output": _of_modality(output, "image"),
    }


def _is_embeddings(fields: Fields) -> bool:
    if type(fields.raw).__name__ == "EmbedContentResponse":
        return True
    single = fields.part("embedding").has("values")
    return single or any(entry.has("values") for entry in fields.parts("embeddings")[:1])


def _embeddings(fields: Fields) -> Captured:
    """Return a call for embeddings.

    Vertex states billable characters and tokens, the newer API tokens, the older one nothing. The price of
    the model decides which of them is billed.
    """
    metadata = fields.part("usage_metadata")
    characters = fields.part("metadata").count("billable_character_count")
    statistics = sum(
        int(entry.part("statistics").number("token_count")) for entry in fields.parts("embeddings")
    )
    tokens = (
        metadata.count("prompt_token_count", "total_token_count")
        or fields.count("token_count")  # in a line of a batch
        or statistics
    )
    usage, _ = usage_of({"tokens_input": tokens, "characters": characters})
    known = tokens or characters
    return Captured(
        service="google",
        model="",
        usage=usage,
        operation="embeddings",
        usage_known=bool(known),
        incomplete=None if known else _NO_USAGE,
    )


def _images(fields: Fields) -> Captured:
    """Return a call for Imagen, billed by the picture; pictures that a filter removed are empty items."""
    pictures = (entry.part("image") for entry in fields.parts("generated_images"))
    count = sum(picture.has("image_bytes") or picture.has("gcs_uri") for picture in pictures)
    usage, _ = usage_of({"images": count})
    return Captured(service="google", model="", usage=usage, operation="image")


def _is_failed_line(fields: Fields) -> bool:
    """Tell whether this is a failed request of a batch, which has an error in place of a response.

    Source: https://ai.google.dev/gemini-api/docs/batch-api (results).
    """
    is_batch_line = fields.has("key") or type(fields.raw).__name__ == "InlinedResponse"
    return is_batch_line and fields.has("error") and not fields.has("response")


def _is_batch_line(fields: Fields) -> bool:
    response = fields.part("response")
    return bool(response) and (_is_generated(response) or _is_embeddings(response))


_SHAPES: Final[tuple[tuple[Callable[[Fields], bool], Callable[[Fields], Iterable[Captured]]], ...]] = (
    (_is_batch_line, _batch_line),
    (_is_interaction, lambda fields: [_interaction(fields)]),
    (lambda fields: fields.has("generated_images"), lambda fields: [_images(fields)]),
    (is_video_job, video_job),
    (is_cache, lambda fields: [cache_storage(fields)]),
    (_is_embeddings, lambda fields: [_embeddings(fields)]),
    (_is_generated, lambda fields: [_generated(fields)]),
)
"""The shapes of Gemini's objects, and how each is read; the first that matches is used."""


ADAPTER = Adapter(
    name="Gemini",
    knows="Gemini (generate content, live sessions, interactions, embeddings, images, videos, caches, "
    "batch lines)",
    packages=frozenset({"google.genai"}),
    recognises=_recognises,
    read=_read,
    recognises_chunk=recognises_chunk,
    follow=lambda: GeminiFollower(_read),
)
