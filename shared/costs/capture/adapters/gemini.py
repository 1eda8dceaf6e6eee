"""Gemini: generate content, embeddings, images, batches, and the Interactions API.

The prompt includes its cache. Thoughts are outside of the candidates and results of tools outside of
the prompt, so both are added.
Sources: https://ai.google.dev/api/generate-content#UsageMetadata (``total_token_count`` is the sum of
prompt, candidates, tool use and thoughts), https://ai.google.dev/api/interactions-api, and the
types of the ``google-genai`` package.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from ..adapter import UNFINISHED, Adapter, tier
from ..captured import Captured, first_reason, usage_of
from ..fields import Fields
from ._gemini_stream import GeminiFollower, recognises_chunk

Counts = dict[str, int | float]

_NO_USAGE: Final = "the response has no usage"


def _recognises(fields: Fields) -> bool:
    return (
        _is_generated(fields)
        or _is_interaction(fields)
        or _is_embeddings(fields)
        or fields.has("generated_images")
        or _is_batch_line(fields)
        or _is_failed_line(fields)
    )


def _read(fields: Fields) -> Iterable[Captured]:
    if _is_failed_line(fields):
        return []
    if _is_batch_line(fields):
        return [replace(call, service_tier="batch") for call in _read(fields.part("response"))]
    if _is_interaction(fields):
        return [_interaction(fields)]
    if fields.has("generated_images"):
        return [_images(fields)]
    if _is_embeddings(fields):
        return [_embeddings(fields)]
    return [_generated(fields)]


def _is_generated(fields: Fields) -> bool:
    metadata = fields.part("usage_metadata")
    named = type(fields.raw).__name__ == "GenerateContentResponse"
    return named or fields.has("candidates", "model_version") or metadata.has("prompt_token_count")


def _generated(fields: Fields) -> Captured:
    metadata = fields.part("usage_metadata")
    groundings = [candidate.part("grounding_metadata") for candidate in fields.parts("candidates")]
    counts = _generate_counts(metadata)
    # A grounded prompt is billed once, however many searches it took:
    # https://ai.google.dev/gemini-api/docs/pricing (Grounding with Google Search)
    counts["web_searches"] = int(any(grounding.has("web_search_queries") for grounding in groundings))
    usage, fault = usage_of(counts)
    return Captured(
        service="google",
        model=fields.text("model_version") or "",
        usage=usage,
        request_id=fields.text("response_id"),
        service_tier=tier(metadata.text("service_tier", "traffic_type")),
        operation="chat",
        incomplete=first_reason((None if metadata else _NO_USAGE, fault)),
    )


def _generate_counts(metadata: Fields) -> Counts:
    prompt = metadata.parts("prompt_tokens_details") + metadata.parts("tool_use_prompt_tokens_details")
    # The second name is what the Live API calls it.
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
        "tokens_audio_output": _of_modality(candidates, "audio"),
        "tokens_image_output": _of_modality(candidates, "image"),
    }


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
    usage_fields = fields.part("usage")
    counts = _interaction_counts(usage_fields)
    for grounding in usage_fields.parts("grounding_tool_count"):
        if grounding.text("type") == "google_search":
            counts["web_searches"] = counts.get("web_searches", 0) + grounding.count("count")
    usage, fault = usage_of(counts)
    return Captured(
        service="google",
        model=fields.text("model", "agent") or "",
        usage=usage,
        # Done in the background, the same interaction comes again with its usage.
        request_id=None if fields.text("status") in UNFINISHED else fields.text("id"),
        service_tier=tier(fields.text("service_tier")),
        operation="chat",
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
        "tokens_audio_output": _of_modality(output, "audio"),
        "tokens_image_output": _of_modality(output, "image"),
    }


def _is_embeddings(fields: Fields) -> bool:
    if type(fields.raw).__name__ == "EmbedContentResponse":
        return True
    single = fields.part("embedding").has("values")
    return single or any(entry.has("values") for entry in fields.parts("embeddings")[:1])


def _embeddings(fields: Fields) -> Captured:
    """Vertex states billable characters, the newer API tokens, the older one nothing."""
    metadata = fields.part("usage_metadata")
    characters = fields.part("metadata").count("billable_character_count")
    statistics = sum(
        int(entry.part("statistics").number("token_count")) for entry in fields.parts("embeddings")
    )
    usage, _ = usage_of(
        {
            "tokens_input": metadata.count("prompt_token_count", "total_token_count")
            or fields.count("token_count")  # of a line of a batch
            or statistics,
            "characters": characters,
        }
    )
    known = usage.tokens_input or characters
    return Captured(
        service="google",
        model="",
        usage=usage,
        operation="embeddings",
        incomplete=None if known else _NO_USAGE,
    )


def _images(fields: Fields) -> Captured:
    """Imagen is billed by the picture; those that a filter held back are not delivered."""
    made = sum(entry.has("image") for entry in fields.parts("generated_images"))
    usage, _ = usage_of({"images": made})
    return Captured(service="google", model="", usage=usage, operation="image")


def _is_failed_line(fields: Fields) -> bool:
    """Tell whether this is a request of a batch that failed: it has an error in place of a response.

    Source: https://ai.google.dev/gemini-api/docs/batch-api (results).
    """
    of_batch = fields.has("key") or type(fields.raw).__name__ == "InlinedResponse"
    return of_batch and fields.has("error") and not fields.has("response")


def _is_batch_line(fields: Fields) -> bool:
    response = fields.part("response")
    return bool(response) and (_is_generated(response) or _is_embeddings(response))


ADAPTER = Adapter(
    name="Gemini",
    knows="Gemini (generate content, interactions, embeddings, images, batch lines)",
    packages=frozenset({"google.genai"}),
    recognises=_recognises,
    read=_read,
    recognises_chunk=recognises_chunk,
    follow=lambda: GeminiFollower(_read),
)
