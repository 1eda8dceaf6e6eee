"""Cells of Mistral, with objects of the ``mistralai`` package."""

from __future__ import annotations

from typing import Any

from .cell import Api
from .clients import awaited

CHAT = Api("Mistral", "chat", "mistralai.client", "mistralai")
EMBEDDINGS = Api("Mistral", "embeddings", "mistralai.client", "mistralai")
OCR = Api("Mistral", "OCR", "mistralai.client", "mistralai")
TRANSCRIPTION = Api("Mistral", "transcription", "mistralai.client", "mistralai")

COUNTS = {"tokens_input": 1000, "tokens_output": 200}
USAGE = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
TEXT = "Sixteen letters."  # 16 characters, taken as 4 tokens where a stream is cut


def models() -> Any:
    """The SDK's types."""
    from mistralai.client import models

    return models


MISTRAL_ID = {"service": "mistral", "model": "mistral-large-latest", "request_id": "m-1", "incomplete": None}


def mistral(**usage: Any) -> Any:
    message = {"role": "assistant", "content": "Hello."}
    return models().ChatCompletionResponse.model_validate(
        {
            "id": "m-1",
            "object": "chat.completion",
            "created": 1,
            "model": "mistral-large-latest",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": USAGE | usage,
        },
    )


def mistral_events(whole: bool = True) -> list[Any]:
    head = {"id": "m-1", "object": "chat.completion.chunk", "created": 1, "model": "mistral-large-latest"}
    first = head | {"choices": [{"index": 0, "delta": {"content": TEXT}, "finish_reason": None}]}
    last = head | {
        "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}],
        "usage": USAGE,
    }
    events = [models().CompletionEvent.model_validate({"data": chunk}) for chunk in (first, last)]
    return events if whole else events[:1]


MISTRAL_PAGES = {
    "pages": [],
    "model": "mistral-ocr-latest",
    "usage_info": {"pages_processed": 12, "doc_size_bytes": 4096},
}
MISTRAL_VECTORS = {
    "id": "e-1",
    "object": "list",
    "model": "mistral-embed",
    "data": [],
    "usage": {"prompt_tokens": 64, "completion_tokens": 0, "total_tokens": 64},
}
MISTRAL_HEARD = {
    "model": "voxtral-mini-2507",
    "text": TEXT,
    "language": "en",
    "segments": [],
    "usage": {
        "prompt_audio_seconds": 203,
        "prompt_tokens": 4,
        "completion_tokens": 635,
        "total_tokens": 639,
    },
}


def vectors() -> Any:
    return models().EmbeddingResponse.model_validate(MISTRAL_VECTORS)


def pages() -> Any:
    return models().OCRResponse.model_validate(MISTRAL_PAGES)


def heard() -> Any:
    return models().TranscriptionResponse.model_validate(MISTRAL_HEARD)


def mistral_heard(whole: bool = True) -> list[Any]:
    """A streamed transcription."""
    parts: list[dict[str, Any]] = [{"type": "transcription.text.delta", "text": TEXT}]
    parts += [MISTRAL_HEARD | {"type": "transcription.done"}] if whole else []
    return [
        models().TranscriptionStreamEvents.model_validate({"event": part["type"], "data": part})
        for part in parts
    ]


def batch_line(body: Any) -> dict[str, Any]:
    """A line of a batch's output file; there is no type for it in the SDK, but for what is inside."""
    answer = {"status_code": 200, "body": body.model_dump(mode="json")}
    return {"id": "batch-1", "custom_id": "0", "response": answer, "error": None}


def asked(api: Api, method: str, payload: dict[str, Any], **request: Any) -> Any:
    """What the asynchronous methods of the client make of an answer."""
    from mistralai.client import Mistral

    async def ask(http: Any) -> Any:
        resource: Any = Mistral(api_key="k", async_client=http)
        for name in method.split("."):
            resource = getattr(resource, name)
        return await resource(**request)

    return awaited(api, ask, payload)


VECTOR = {"service": "mistral", "operation": "embeddings"}
PAGES = {"service": "mistral", "operation": "ocr", "model": "mistral-ocr-latest"}
SPOKEN = {"audio_seconds": 203, "tokens_input": 4, "tokens_output": 635}
HEARD = {"service": "mistral", "operation": "transcription", "model": "voxtral-mini-2507"}
DOCUMENT = {"type": "document_url", "document_url": "https://example.org/a.pdf"}

CELLS = [
    CHAT.cell("normal", mistral, COUNTS, MISTRAL_ID | {"operation": "chat"}),
    CHAT.cell("streamed", mistral_events, COUNTS, MISTRAL_ID),
    CHAT.cell("cut", lambda: mistral_events(whole=False), {"tokens_output": 4}, {"request_id": "m-1"}),
    CHAT.cell("async", mistral_events, COUNTS, MISTRAL_ID),
    CHAT.cell(
        "cached",
        lambda: mistral(prompt_tokens_details={"cached_tokens": 640}),
        COUNTS | {"tokens_cached": 640},
        MISTRAL_ID,
    ),
    CHAT.cell("batch", lambda: batch_line(mistral()), COUNTS, MISTRAL_ID | {"service_tier": "batch"}),
    EMBEDDINGS.cell(
        "normal",
        vectors,
        {"tokens_input": 64},
        VECTOR,
    ),
    EMBEDDINGS.cell(
        "async",
        lambda: asked(
            EMBEDDINGS, "embeddings.create_async", MISTRAL_VECTORS, model="mistral-embed", inputs=["x"]
        ),
        {"tokens_input": 64},
        VECTOR,
    ),
    EMBEDDINGS.cell(
        "batch",
        lambda: batch_line(vectors()),
        {"tokens_input": 64},
        VECTOR | {"service_tier": "batch"},
    ),
    OCR.cell("normal", pages, {"pages": 12}, PAGES),
    OCR.cell(
        "async",
        lambda: asked(OCR, "ocr.process_async", MISTRAL_PAGES, model="mistral-ocr-latest", document=DOCUMENT),
        {"pages": 12},
        PAGES,
    ),
    OCR.cell(
        "batch",
        lambda: batch_line(pages()),
        {"pages": 12},
        PAGES | {"service_tier": "batch"},
    ),
    TRANSCRIPTION.cell("normal", heard, SPOKEN, HEARD),
    TRANSCRIPTION.cell("streamed", mistral_heard, SPOKEN, HEARD),
    TRANSCRIPTION.cell(
        "cut", lambda: mistral_heard(whole=False), {"tokens_output": 4}, said={"model": "voxtral-mini-2507"}
    ),
    TRANSCRIPTION.cell("async", mistral_heard, SPOKEN, HEARD),
]
NONE = [
    *CHAT.none("counted in the output, not stated apart", "reasoning"),
    *EMBEDDINGS.none("vectors come at once", "streamed", "cut"),
    *EMBEDDINGS.none("the usage has input alone", "cached", "reasoning"),
    *OCR.none("pages come at once", "streamed", "cut"),
    *OCR.none("billed by the page", "cached", "reasoning"),
    *TRANSCRIPTION.none("billed by the minute", "cached", "reasoning"),
    *TRANSCRIPTION.none("batches are of chat, embeddings and OCR", "batch"),
]
