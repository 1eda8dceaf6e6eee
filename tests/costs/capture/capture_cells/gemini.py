"""Cells of Gemini, with objects of the ``google-genai`` package."""

from __future__ import annotations

from typing import Any

from .cell import Api
from .clients import awaited

GENERATE = Api("Gemini", "generate content", "google.genai", "google-genai")
INTERACTIONS = Api("Gemini", "interactions", "google.genai", "google-genai")
EMBEDDINGS = Api("Gemini", "embeddings", "google.genai", "google-genai")
IMAGES = Api("Gemini", "images", "google.genai", "google-genai")

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


def interaction(thoughts: int = 0, cached: int = 250) -> Any:
    """An interaction."""
    from google.genai.interactions import Interaction

    usage = {
        "total_input_tokens": 1000,
        "total_output_tokens": 200,
        "total_thought_tokens": thoughts,
        "total_cached_tokens": cached,
        "total_tool_use_tokens": 30,
        "total_tokens": 1230 + thoughts,
    }
    return Interaction.model_validate(
        {"id": "i-1", "status": "completed", "model": "gemini-2.5-flash", "usage": usage, "steps": []}
    )


def interaction_events(whole: bool = True) -> list[Any]:
    """A streamed interaction: it begins, a piece of text comes, it is completed."""
    from google.genai.interactions import InteractionCompletedEvent, InteractionCreatedEvent, StepDelta

    head = {"id": "i-1", "status": "in_progress", "model": "gemini-2.5-flash"}
    usage = {"total_input_tokens": 1000, "total_output_tokens": 200, "total_tokens": 1200}
    created = {"event_type": "interaction.created", "interaction": head}
    done = {
        "event_type": "interaction.completed",
        "interaction": head | {"status": "completed", "usage": usage},
    }
    delta = {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "Twelve chars"}}
    begun = [InteractionCreatedEvent.model_validate(created), StepDelta.model_validate(delta)]
    return [*begun, InteractionCompletedEvent.model_validate(done)] if whole else begun


def characters() -> Any:
    """A vector of Vertex AI, which states billable characters."""
    from google.genai.types import EmbedContentResponse

    return EmbedContentResponse.model_validate(
        {"embeddings": [{"values": [0.1, 0.2]}], "metadata": {"billable_character_count": 77}}
    )


def vector() -> Any:
    """A vector of the Gemini API, by its asynchronous client."""
    from google import genai

    async def ask(http: Any) -> Any:
        options = genai.types.HttpOptions(httpx_async_client=http)
        client = genai.Client(api_key="k", http_options=options)
        return await client.aio.models.embed_content(model="gemini-embedding-001", contents="x")

    return awaited(
        EMBEDDINGS, ask, {"embeddings": [{"values": [0.1]}], "usageMetadata": {"promptTokenCount": 9}}
    )


def vector_of_a_batch() -> Any:
    """A line of a batch of embeddings."""
    from google.genai.types import InlinedEmbedContentResponse

    return InlinedEmbedContentResponse.model_validate(
        {"response": {"embedding": {"values": [0.1]}, "token_count": 9}}
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


MODALITIES = {
    "tokens_input": 1000,
    "tokens_output": 1500,
    "tokens_cached": 400,
    "tokens_audio_input": 600,
    "tokens_audio_cached": 400,
    "tokens_image_input": 258,
    "tokens_image_output": 1290,
}
THOUGHTS = {"tokens_input": 1300, "tokens_output": 2000, "tokens_reasoning": 1960}
# Results of tools are 30 tokens beside the 1,000 of the input.
INTERACTION = {"tokens_input": 1030, "tokens_output": 200, "tokens_cached": 250}
UNCACHED = INTERACTION | {"tokens_cached": 0}
INTERACTION_ID = {"service": "google", "model": "gemini-2.5-flash", "request_id": "i-1"}
VECTOR = {"service": "google", "operation": "embeddings"}
EMBEDDER = {"model": "gemini-embedding-001"}
IMAGEN = {"model": "imagen-4"}
PICTURE = {"service": "google", "operation": "image"}

CELLS = [
    GENERATE.cell("normal", lambda: generated(USAGE), COUNTS, ID),
    GENERATE.cell("normal", modalities, MODALITIES, ID, variant="modalities"),
    GENERATE.cell(
        "normal",
        lambda: generated(USAGE | {"traffic_type": "ON_DEMAND_FLEX"}),
        COUNTS,
        {"service_tier": "flex"},
        variant="flex",
    ),
    GENERATE.cell("streamed", chunks, COUNTS, ID | {"incomplete": None}),
    GENERATE.cell("cut", lambda: chunks(whole=False), {"tokens_input": 1000, "tokens_output": 90}, ID),
    GENERATE.cell("async", chunks, COUNTS, ID | {"incomplete": None}),
    GENERATE.cell(
        "cached",
        lambda: generated(USAGE | {"cached_content_token_count": 768}),
        COUNTS | {"tokens_cached": 768},
        ID,
    ),
    GENERATE.cell("reasoning", lambda: generated(THINKING), THOUGHTS, ID),
    GENERATE.cell("batch", batch_line, COUNTS, ID | {"service_tier": "batch"}),
    INTERACTIONS.cell(
        "normal", lambda: interaction(cached=0), INTERACTION | {"tokens_cached": 0}, INTERACTION_ID
    ),
    INTERACTIONS.cell("streamed", interaction_events, COUNTS, INTERACTION_ID | {"incomplete": None}),
    INTERACTIONS.cell("cut", lambda: interaction_events(whole=False), {"tokens_output": 3}, INTERACTION_ID),
    INTERACTIONS.cell("async", interaction_events, COUNTS, INTERACTION_ID | {"incomplete": None}),
    INTERACTIONS.cell("cached", interaction, INTERACTION, INTERACTION_ID),
    INTERACTIONS.cell(
        "reasoning",
        lambda: interaction(thoughts=900),
        INTERACTION | {"tokens_output": 1100, "tokens_reasoning": 900},
        INTERACTION_ID,
    ),
    EMBEDDINGS.cell("normal", characters, {"characters": 77}, VECTOR, said=EMBEDDER),
    EMBEDDINGS.cell("async", vector, {"tokens_input": 9}, VECTOR, said=EMBEDDER),
    EMBEDDINGS.cell(
        "batch", vector_of_a_batch, {"tokens_input": 9}, VECTOR | {"service_tier": "batch"}, said=EMBEDDER
    ),
    IMAGES.cell("normal", pictures, {"images": 1}, PICTURE, said=IMAGEN),
    # The asynchronous client, on Vertex AI alone, gives an object of the same class.
    IMAGES.cell("async", pictures, {"images": 1}, PICTURE, said=IMAGEN),
]
NONE = [
    *INTERACTIONS.none("batches are of generated content and embeddings", "batch"),
    *EMBEDDINGS.none("vectors come at once", "streamed", "cut"),
    *EMBEDDINGS.none("the usage has input alone", "cached", "reasoning"),
    *IMAGES.none("pictures come at once", "streamed", "cut"),
    *IMAGES.none("billed by the picture", "cached", "reasoning"),
    *IMAGES.none("batches are of generated content and embeddings", "batch"),
]
