"""Cells of OpenAI's embeddings, transcriptions and images, with objects of the ``openai`` package."""

from __future__ import annotations

from typing import Any

from .cell import Api
from .clients import awaited
from .openai_chat import batch_line

EMBEDDINGS = Api("OpenAI", "embeddings", "openai", "openai")
BY_TOKENS = Api("OpenAI", "transcription by tokens", "openai", "openai")
BY_DURATION = Api("OpenAI", "transcription by duration", "openai", "openai")
IMAGES = Api("OpenAI", "images", "openai", "openai")


def asked(api: Api, kind: str, payload: dict[str, Any], **request: Any) -> Any:
    """What the asynchronous client makes of an answer."""
    from openai import AsyncOpenAI

    async def ask(http: Any) -> Any:
        resource: Any = AsyncOpenAI(api_key="k", http_client=http)
        for name in kind.split("."):
            resource = getattr(resource, name)
        return await resource(**request)

    return awaited(api, ask, payload)


def transcription(usage: dict[str, Any]) -> Any:
    """A transcription."""
    from openai.types.audio import Transcription

    return Transcription.model_validate({"text": "Hello.", "usage": usage})


def verbose_transcription() -> Any:
    """A transcription with segments, whose usage is its duration."""
    from openai.types.audio import TranscriptionVerbose

    usage = {"type": "duration", "seconds": 9}
    return TranscriptionVerbose.model_validate(
        {"duration": 8.47, "language": "english", "text": "Hello.", "usage": usage}
    )


def transcription_events(whole: bool = True) -> list[Any]:
    """A streamed transcription."""
    from openai.types.audio import TranscriptionTextDeltaEvent, TranscriptionTextDoneEvent

    done = {"type": "transcript.text.done", "text": "Twelve chars", "usage": TOKENS}
    events: list[Any] = [TranscriptionTextDeltaEvent(delta="Twelve chars", type="transcript.text.delta")]
    return [*events, TranscriptionTextDoneEvent.model_validate(done)] if whole else events


VECTORS = {
    "object": "list",
    "model": "text-embedding-3-small",
    "data": [{"object": "embedding", "index": i, "embedding": [0.1, 0.2]} for i in range(2)],
    "usage": {"prompt_tokens": 64, "total_tokens": 64},
}


def embeddings() -> Any:
    """Two vectors."""
    from openai.types import CreateEmbeddingResponse

    return CreateEmbeddingResponse.model_validate(VECTORS)


def pictures(usage: dict[str, Any] | None, number: int = 1) -> dict[str, Any]:
    """Generated images, as they are sent."""
    data = [{"b64_json": "aGk="}] * number
    return {"created": 1, "data": data, "quality": "high", "size": "1024x1024", "usage": usage}


def images(usage: dict[str, Any] | None, number: int = 1) -> Any:
    """Generated images."""
    from openai.types import ImagesResponse

    return ImagesResponse.model_validate(pictures(usage, number))


def image_events(whole: bool = True) -> list[Any]:
    """A streamed image: a first look at it, and the whole one, which carries the usage."""
    from openai.types import ImageGenCompletedEvent, ImageGenPartialImageEvent

    look = {"b64_json": "aGk=", "created_at": 1, "background": "opaque", "output_format": "png"}
    look |= {"quality": "high", "size": "1024x1024"}
    first = look | {"type": "image_generation.partial_image", "partial_image_index": 0}
    done = look | {"type": "image_generation.completed", "usage": IMAGE_USAGE}
    events: list[Any] = [ImageGenPartialImageEvent.model_validate(first)]
    return [*events, ImageGenCompletedEvent.model_validate(done)] if whole else events


IMAGE_USAGE = {
    "input_tokens": 50,
    "output_tokens": 4160,
    "total_tokens": 4210,
    "input_tokens_details": {"image_tokens": 30, "text_tokens": 20},
}
IMAGE_COUNTS = {
    "tokens_input": 50,
    "tokens_output": 4160,
    "tokens_image_input": 30,
    "tokens_image_output": 4160,
}

TOKENS = {
    "type": "tokens",
    "input_tokens": 90,
    "output_tokens": 20,
    "total_tokens": 110,
    "input_token_details": {"audio_tokens": 80, "text_tokens": 10},
}
SPOKEN = {"tokens_input": 90, "tokens_output": 20, "tokens_audio_input": 80}
SECONDS = {"type": "duration", "seconds": 61.5}
TRANSCRIPTION: dict[str, Any] = {"operation": "transcription"}
GPT_TRANSCRIBE = {"model": "gpt-4o-transcribe"}
WHISPER = {"model": "whisper-1"}
GPT_IMAGE = {"model": "gpt-image-1"}
EMBED_REQUEST = {"model": "text-embedding-3-small", "input": "x", "encoding_format": "float"}
FILE = ("a.wav", b"RIFF")
VECTOR: dict[str, Any] = {"operation": "embeddings", "model": "text-embedding-3-small"}
IMAGE: dict[str, Any] = {"operation": "image", "model": "gpt-image-1"}

CELLS = [
    EMBEDDINGS.cell("normal", embeddings, {"tokens_input": 64}, VECTOR),
    EMBEDDINGS.cell(
        "async",
        lambda: asked(
            EMBEDDINGS, "embeddings.create", VECTORS, model="m", input="x", encoding_format="float"
        ),
        {"tokens_input": 64},
        VECTOR,
    ),
    EMBEDDINGS.cell(
        "batch", lambda: batch_line(embeddings()), {"tokens_input": 64}, VECTOR | {"service_tier": "batch"}
    ),
    BY_TOKENS.cell("normal", lambda: transcription(TOKENS), SPOKEN, TRANSCRIPTION, said=GPT_TRANSCRIBE),
    BY_TOKENS.cell("streamed", transcription_events, SPOKEN, TRANSCRIPTION, said=GPT_TRANSCRIBE),
    BY_TOKENS.cell(
        "cut", lambda: transcription_events(whole=False), {"tokens_output": 3}, said=GPT_TRANSCRIBE
    ),
    BY_TOKENS.cell("async", transcription_events, SPOKEN, TRANSCRIPTION, said=GPT_TRANSCRIBE),
    BY_DURATION.cell(
        "normal",
        lambda: transcription(SECONDS),
        {"audio_seconds": 61.5},
        TRANSCRIPTION | WHISPER,
        said=WHISPER,
    ),
    BY_DURATION.cell(
        "normal",
        verbose_transcription,
        {"audio_seconds": 9},
        TRANSCRIPTION | WHISPER,
        said=WHISPER,
        variant="verbose",
    ),
    BY_DURATION.cell(
        "async",
        lambda: asked(
            BY_DURATION,
            "audio.transcriptions.create",
            {"text": "Hello.", "usage": SECONDS},
            model="whisper-1",
            file=FILE,
        ),
        {"audio_seconds": 61.5},
        TRANSCRIPTION | WHISPER,
        said=WHISPER,
    ),
    IMAGES.cell("normal", lambda: images(IMAGE_USAGE), IMAGE_COUNTS, IMAGE, said=GPT_IMAGE),
    IMAGES.cell(
        "normal", lambda: images(None, 2), {"images": 2}, said={"model": "dall-e-3"}, variant="by the picture"
    ),
    IMAGES.cell("streamed", image_events, IMAGE_COUNTS, IMAGE, said=GPT_IMAGE),
    # A picture that was begun: nothing tells what it will have cost, so the entry says that.
    IMAGES.cell("cut", lambda: image_events(whole=False), {}, said=GPT_IMAGE),
    IMAGES.cell(
        "async",
        lambda: asked(IMAGES, "images.generate", pictures(IMAGE_USAGE), model="gpt-image-1", prompt="x"),
        IMAGE_COUNTS,
        IMAGE,
        said=GPT_IMAGE,
    ),
    IMAGES.cell(
        "batch",
        lambda: batch_line(images(IMAGE_USAGE)),
        IMAGE_COUNTS,
        IMAGE | {"service_tier": "batch"},
        said=GPT_IMAGE,
    ),
]
NONE = [
    *EMBEDDINGS.none("vectors come at once", "streamed", "cut"),
    *EMBEDDINGS.none("the usage has input tokens alone", "cached", "reasoning"),
    *BY_TOKENS.none("the usage tells audio and text apart, no more", "cached", "reasoning"),
    *BY_TOKENS.none("the batch API takes no audio", "batch"),
    *BY_DURATION.none("models that are billed by duration do not stream", "streamed", "cut"),
    *BY_DURATION.none("billed by the second", "cached", "reasoning"),
    *BY_DURATION.none("the batch API takes no audio", "batch"),
    *IMAGES.none("the usage tells images and text apart, no more", "cached", "reasoning"),
]
