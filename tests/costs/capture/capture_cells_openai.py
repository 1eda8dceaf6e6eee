"""Cells of OpenAI, with objects of the ``openai`` package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from capture_cells import Cell

CHAT = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
CHAT_COUNTS = {"tokens_input": 1000, "tokens_output": 200}


def chat(usage: dict[str, Any], **more: Any) -> Any:
    """A chat completion."""
    from openai.types.chat import ChatCompletion

    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello."}}
    return ChatCompletion.model_validate(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-4o-2024-08-06",
            "choices": [choice],
            "usage": usage,
        }
        | more
    )


def chunks(usage: dict[str, Any] | None) -> list[Any]:
    """A chat stream: two pieces of text, the end, and the chunk with the usage where it was asked for."""
    from openai.types.chat import ChatCompletionChunk

    head = {"id": "chatcmpl-2", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
    texts = [{"role": "assistant", "content": "A sentence of "}, {"content": "two pieces."}]
    choices: list[list[dict[str, Any]]] = [[{"index": 0, "delta": text}] for text in texts]
    choices.append([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    made = [ChatCompletionChunk.model_validate(head | {"choices": choice}) for choice in choices]
    if usage:
        made.append(ChatCompletionChunk.model_validate(head | {"choices": [], "usage": usage}))
    return made


def response(usage: dict[str, Any], **more: Any) -> Any:
    """A response of the Responses API."""
    from openai.types.responses import Response

    return Response.model_validate(
        {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "model": "gpt-5-2025-08-07",
            "output": [],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": usage,
        }
        | more
    )


def response_usage(cached: int = 0, reasoning: int = 0, written: int = 0) -> dict[str, Any]:
    """The usage of a response with 2,000 tokens in and 500 out."""
    return {
        "input_tokens": 2000,
        "output_tokens": 500,
        "total_tokens": 2500,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "output_tokens_details": {"reasoning_tokens": reasoning},
    }


def response_events(whole: bool = True) -> list[Any]:
    """A stream of the Responses API."""
    from openai.types.responses import (
        ResponseCompletedEvent,
        ResponseCreatedEvent,
        ResponseTextDeltaEvent,
    )

    begun = response(response_usage()).model_copy(update={"usage": None, "service_tier": "default"})
    created = ResponseCreatedEvent(response=begun, sequence_number=0, type="response.created")
    delta = ResponseTextDeltaEvent.model_construct(
        type="response.output_text.delta", delta="Twelve chars", sequence_number=1
    )
    done = ResponseCompletedEvent(
        response=response(response_usage(cached=1500, reasoning=300)),
        sequence_number=2,
        type="response.completed",
    )
    return [created, delta, done] if whole else [created, delta]


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


def transcription_events() -> list[Any]:
    """A streamed transcription."""
    from openai.types.audio import TranscriptionTextDeltaEvent, TranscriptionTextDoneEvent

    usage = {"type": "tokens", "input_tokens": 90, "output_tokens": 20, "total_tokens": 110}
    details = {"audio_tokens": 80, "text_tokens": 10}
    done = {"type": "transcript.text.done", "text": "Hi.", "usage": usage | {"input_token_details": details}}
    delta = TranscriptionTextDeltaEvent(delta="Hi.", type="transcript.text.delta")
    return [delta, TranscriptionTextDoneEvent.model_validate(done)]


def embeddings() -> Any:
    """Two vectors."""
    from openai.types import CreateEmbeddingResponse

    data = [{"object": "embedding", "index": i, "embedding": [0.1, 0.2]} for i in range(2)]
    usage = {"prompt_tokens": 64, "total_tokens": 64}
    return CreateEmbeddingResponse.model_validate(
        {"object": "list", "model": "text-embedding-3-small", "data": data, "usage": usage}
    )


def images(usage: dict[str, Any] | None, pictures: int = 1) -> Any:
    """Generated images."""
    from openai.types import ImagesResponse

    data = [{"b64_json": "aGk="}] * pictures
    return ImagesResponse.model_validate(
        {"created": 1, "data": data, "quality": "high", "size": "1024x1024", "usage": usage}
    )


def image_events() -> list[Any]:
    """A streamed image."""
    from openai.types import ImageGenCompletedEvent

    usage = IMAGE_USAGE
    event = {
        "type": "image_generation.completed",
        "b64_json": "aGk=",
        "created_at": 1,
        "background": "opaque",
        "output_format": "png",
        "quality": "high",
        "size": "1024x1024",
        "usage": usage,
    }
    return [ImageGenCompletedEvent.model_validate(event)]


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


def batch_line() -> dict[str, Any]:
    """A line of a batch's output file."""
    body = chat(CHAT).model_dump()
    answer = {"status_code": 200, "request_id": "req-9", "body": body}
    return {"id": "batch_req_1", "custom_id": "row-1", "response": answer, "error": None}


def searched() -> Any:
    """A response that searched the web twice and opened one page."""
    actions = [
        {"type": "search", "query": "q"},
        {"type": "search", "query": "q"},
        {"type": "open_page", "url": "u"},
    ]
    calls = [
        {"id": f"ws_{n}", "type": "web_search_call", "status": "completed", "action": action}
        for n, action in enumerate(actions)
    ]
    return response(response_usage(), output=calls)


def _chat_details(prompt: dict[str, int], completion: dict[str, int]) -> dict[str, Any]:
    return CHAT | {"prompt_tokens_details": prompt, "completion_tokens_details": completion}


CHAT_ID = {"service": "openai", "model": "gpt-4o-2024-08-06", "request_id": "chatcmpl-1", "operation": "chat"}
STREAM_ID = {"service": "openai", "model": "gpt-4o-mini", "request_id": "chatcmpl-2"}
RESPONSE_COUNTS = {"tokens_input": 2000, "tokens_output": 500}


def _cell(
    form: Any, make: Any, counts: Mapping[str, float], expected: dict[str, Any], variant: str, **more: Any
) -> Cell:
    return Cell("openai", form, "openai", make, counts, expected, variant=variant, **more)


CELLS = [
    _cell("normal", lambda: chat(CHAT), CHAT_COUNTS, CHAT_ID, "chat"),
    _cell("normal", lambda: chat(CHAT, service_tier="flex"), CHAT_COUNTS, {"service_tier": "flex"}, "flex"),
    _cell("normal", lambda: chat(CHAT, service_tier="default"), CHAT_COUNTS, {"service_tier": None}, "tier"),
    _cell("normal", embeddings, {"tokens_input": 64}, {"operation": "embeddings"}, "embeddings"),
    _cell(
        "normal",
        lambda: transcription({"type": "duration", "seconds": 61.5}),
        {"audio_seconds": 61.5},
        {"operation": "transcription", "model": "whisper-1"},
        "by-duration",
        said={"model": "whisper-1"},
    ),
    _cell(
        "normal",
        verbose_transcription,
        {"audio_seconds": 9},
        {"model": "whisper-1"},
        "verbose",
        said={"model": "whisper-1"},
    ),
    _cell(
        "normal",
        lambda: transcription(
            {
                "type": "tokens",
                "input_tokens": 90,
                "output_tokens": 20,
                "total_tokens": 110,
                "input_token_details": {"audio_tokens": 80, "text_tokens": 10},
            }
        ),
        {"tokens_input": 90, "tokens_output": 20, "tokens_audio_input": 80},
        {"operation": "transcription"},
        "by-tokens",
        said={"model": "gpt-4o-transcribe"},
    ),
    _cell(
        "normal",
        lambda: images(IMAGE_USAGE),
        IMAGE_COUNTS,
        {"operation": "image"},
        "image-tokens",
        said={"model": "gpt-image-1"},
    ),
    _cell("normal", lambda: images(None, 2), {"images": 2}, {}, "pictures", said={"model": "dall-e-3"}),
    _cell("normal", searched, RESPONSE_COUNTS | {"web_searches": 2}, {"request_id": "resp_1"}, "web-search"),
    _cell(
        "normal",
        lambda: chat(_chat_details({"audio_tokens": 700, "text_tokens": 300}, {"audio_tokens": 150})),
        CHAT_COUNTS | {"tokens_audio_input": 700, "tokens_audio_output": 150},
        CHAT_ID,
        "audio",
    ),
    _cell("streamed", lambda: chunks(CHAT), CHAT_COUNTS, STREAM_ID | {"incomplete": None}, "chat"),
    _cell(
        "streamed",
        response_events,
        RESPONSE_COUNTS | {"tokens_cached": 1500, "tokens_reasoning": 300},
        {"request_id": "resp_1", "model": "gpt-5-2025-08-07", "incomplete": None},
        "responses",
    ),
    _cell(
        "streamed",
        transcription_events,
        {"tokens_input": 90, "tokens_output": 20, "tokens_audio_input": 80},
        {"operation": "transcription"},
        "transcription",
        said={"model": "gpt-4o-mini-transcribe"},
    ),
    _cell("streamed", image_events, IMAGE_COUNTS, {}, "image", said={"model": "gpt-image-1"}),
    # 14 characters came, a token is about 4: output 4, and the input is not known.
    _cell("cut", lambda: chunks(None)[:1], {"tokens_output": 4}, STREAM_ID, "chat"),
    _cell(
        "cut",
        lambda: response_events(whole=False),
        {"tokens_output": 3},
        {"request_id": "resp_1"},
        "responses",
    ),
    _cell("async", lambda: chunks(CHAT), CHAT_COUNTS, STREAM_ID | {"incomplete": None}, "chat"),
    _cell(
        "cached",
        lambda: chat(_chat_details({"cached_tokens": 768, "cache_write_tokens": 128}, {})),
        CHAT_COUNTS | {"tokens_cached": 768, "tokens_cache_write": 128},
        CHAT_ID,
        "chat",
    ),
    _cell(
        "cached",
        lambda: response(response_usage(cached=1500, written=400)),
        RESPONSE_COUNTS | {"tokens_cached": 1500, "tokens_cache_write": 400},
        {},
        "responses",
    ),
    _cell(
        "reasoning",
        lambda: chat(_chat_details({}, {"reasoning_tokens": 150, "rejected_prediction_tokens": 9})),
        CHAT_COUNTS | {"tokens_reasoning": 150},
        CHAT_ID,
        "chat",
    ),
    _cell(
        "reasoning",
        lambda: response(response_usage(reasoning=450)),
        RESPONSE_COUNTS | {"tokens_reasoning": 450},
        {},
        "responses",
    ),
    _cell("batch", batch_line, CHAT_COUNTS, CHAT_ID | {"service_tier": "batch"}, "chat"),
]
