"""Cells of Gemini, with objects of the ``google-genai`` package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from capture_cells import Cell

USAGE = {"prompt_token_count": 1000, "candidates_token_count": 200, "total_token_count": 1200}
THINKING = {
    "prompt_token_count": 1000,
    "candidates_token_count": 40,
    "thoughts_token_count": 1960,
    "tool_use_prompt_token_count": 300,
    "total_token_count": 3300,
}
COUNTS = {"tokens_input": 1000, "tokens_output": 200}
ID = {"service": "google", "model": "gemini-2.5-pro", "request_id": "r-1", "operation": "chat"}


def generated(usage: dict[str, Any], finish: str | None = "STOP", text: str = "Hello.") -> Any:
    """A response, or a chunk of a stream."""
    from google.genai.types import GenerateContentResponse

    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "finish_reason": finish}
    return GenerateContentResponse.model_validate(
        {
            "candidates": [candidate],
            "model_version": "gemini-2.5-pro",
            "response_id": "r-1",
            "usage_metadata": usage,
        }
    )


def chunks(whole: bool = True) -> list[Any]:
    """A stream, each chunk with the usage so far."""
    parts = [(10, None), (90, None), (200, "STOP")]
    made = [
        generated(USAGE | {"candidates_token_count": count, "total_token_count": 1000 + count}, finish)
        for count, finish in parts
    ]
    return made if whole else made[:2]


def modalities() -> Any:
    """Audio, an image and text in, of which a part of the audio was cached."""
    return generated(
        {
            "prompt_token_count": 1000,
            "prompt_tokens_details": [
                {"modality": "AUDIO", "token_count": 600},
                {"modality": "IMAGE", "token_count": 258},
                {"modality": "TEXT", "token_count": 142},
            ],
            "cached_content_token_count": 400,
            "cache_tokens_details": [{"modality": "AUDIO", "token_count": 400}],
            "candidates_token_count": 1500,
            "candidates_tokens_details": [{"modality": "IMAGE", "token_count": 1290}],
            "total_token_count": 2500,
        }
    )


def interaction(thoughts: int = 0) -> Any:
    """An interaction."""
    from google.genai.interactions import Interaction

    usage = {
        "total_input_tokens": 1000,
        "total_output_tokens": 200,
        "total_thought_tokens": thoughts,
        "total_cached_tokens": 250,
        "total_tool_use_tokens": 30,
        "total_tokens": 1230 + thoughts,
    }
    return Interaction.model_validate(
        {"id": "i-1", "status": "completed", "model": "gemini-2.5-flash", "usage": usage, "steps": []}
    )


def interaction_events() -> list[Any]:
    """A streamed interaction."""
    from google.genai.interactions import InteractionCompletedEvent, InteractionCreatedEvent

    head = {"id": "i-1", "status": "in_progress", "model": "gemini-2.5-flash"}
    usage = {"total_input_tokens": 1000, "total_output_tokens": 200, "total_tokens": 1200}
    created = {"event_type": "interaction.created", "interaction": head}
    done = {
        "event_type": "interaction.completed",
        "interaction": head | {"status": "completed", "usage": usage},
    }
    return [InteractionCreatedEvent.model_validate(created), InteractionCompletedEvent.model_validate(done)]


def embedded() -> Any:
    """A vector of Vertex AI, which states billable characters."""
    from google.genai.types import EmbedContentResponse

    return EmbedContentResponse.model_validate(
        {"embeddings": [{"values": [0.1, 0.2]}], "metadata": {"billable_character_count": 77}}
    )


def pictures() -> Any:
    """Two generated images, of which a filter held one back."""
    from google.genai.types import GenerateImagesResponse

    image = {"image": {"image_bytes": b"hi", "mime_type": "image/png"}}
    return GenerateImagesResponse.model_validate({"generated_images": [image, {"rai_filtered_reason": "x"}]})


def batch_line() -> Any:
    """A line of a batch with inlined responses."""
    from google.genai.types import InlinedResponse

    return InlinedResponse(response=generated(USAGE))


def _cell(
    form: Any, make: Any, counts: Mapping[str, float], expected: dict[str, Any], variant: str = ""
) -> Cell:
    said = {"model": "imagen-4"} if variant in {"images", "embeddings"} else {}
    return Cell("gemini", form, "google.genai", make, counts, expected, said, variant)


CELLS = [
    _cell("normal", lambda: generated(USAGE), COUNTS, ID),
    _cell(
        "normal",
        modalities,
        {
            "tokens_input": 1000,
            "tokens_output": 1500,
            "tokens_cached": 400,
            "tokens_audio_input": 600,
            "tokens_audio_cached": 400,
            "tokens_image_input": 258,
            "tokens_image_output": 1290,
        },
        ID,
        "modalities",
    ),
    _cell(
        "normal",
        lambda: generated(USAGE | {"traffic_type": "ON_DEMAND_FLEX"}),
        COUNTS,
        {"service_tier": "flex"},
        "flex",
    ),
    _cell(
        "normal",
        interaction,
        {"tokens_input": 1030, "tokens_output": 200, "tokens_cached": 250},
        {"model": "gemini-2.5-flash", "request_id": "i-1"},
        "interaction",
    ),
    _cell("normal", embedded, {"characters": 77}, {"operation": "embeddings"}, "embeddings"),
    _cell("normal", pictures, {"images": 1}, {"operation": "image"}, "images"),
    _cell("streamed", chunks, COUNTS, ID | {"incomplete": None}),
    _cell(
        "streamed",
        interaction_events,
        COUNTS,
        {"request_id": "i-1", "model": "gemini-2.5-flash", "incomplete": None},
        "interaction",
    ),
    _cell("cut", lambda: chunks(whole=False), {"tokens_input": 1000, "tokens_output": 90}, ID),
    _cell("async", chunks, COUNTS, ID | {"incomplete": None}),
    _cell(
        "cached",
        lambda: generated(USAGE | {"cached_content_token_count": 768}),
        COUNTS | {"tokens_cached": 768},
        ID,
    ),
    _cell(
        "reasoning",
        lambda: generated(THINKING),
        {"tokens_input": 1300, "tokens_output": 2000, "tokens_reasoning": 1960},
        ID,
    ),
    _cell(
        "reasoning",
        lambda: interaction(thoughts=900),
        {"tokens_input": 1030, "tokens_output": 1100, "tokens_reasoning": 900, "tokens_cached": 250},
        {},
        "interaction",
    ),
    _cell("batch", batch_line, COUNTS, ID | {"service_tier": "batch"}),
]
