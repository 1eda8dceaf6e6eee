"""Streams in OpenAI's formats: chat chunks, events of responses, transcription and images.

Only one of them carries the usage: the last chat chunk (its ``choices`` are empty, and it comes only
when ``stream_options={"include_usage": True}`` was asked for), ``response.completed``,
``transcript.text.done``, ``image_generation.completed``.
Source: https://platform.openai.com/docs/api-reference/chat-streaming and its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from ...pricing.names import infer_service
from ..adapter import without_usage
from ..captured import Captured
from ..fields import Fields
from ._openai_format import delta_characters, response_id

Read = Callable[[Fields], Iterable[Captured]]

_CHUNKS: Final = frozenset({"chat.completion.chunk", "text_completion"})
_EVENTS: Final = ("response.", "transcript.text.", "image_generation.", "image_edit.")
_ADVICE: Final = "; chat streams send usage when asked with stream_options={'include_usage': True}"


def recognises_chunk(chunk: Fields) -> bool:
    """Tell whether this is a chunk of a chat stream or an event of another stream of OpenAI's."""
    kind = chunk.text("type") or ""
    return chunk.text("object") in _CHUNKS or kind.startswith(_EVENTS) or _inner_chunk(chunk).has("choices")


def _inner_chunk(chunk: Fields) -> Fields:
    # The SDK's chat stream helper wraps each chunk into an event of type "chunk".
    return chunk.part("chunk") if chunk.text("type") == "chunk" else Fields(None)


class OpenAIFollower:
    """Follows one stream of any of OpenAI's formats. ``read`` is what reads whole responses."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._id: str | None = None
        self._model = ""
        self._tier: str | None = None
        self._usage: object = None
        self._whole: Fields = Fields(None)
        self._characters = 0
        self._chat = True

    def add(self, chunk: Fields) -> None:
        """Take in one chunk or event."""
        chunk = _inner_chunk(chunk) or chunk
        if chunk.text("object") in _CHUNKS:
            self._add_chunk(chunk)
        elif (kind := chunk.text("type") or "").startswith(_EVENTS):
            self._add_event(kind, chunk)

    def _add_chunk(self, chunk: Fields) -> None:
        self._id = response_id(chunk) or self._id
        self._model = chunk.text("model") or self._model
        self._tier = chunk.text("service_tier") or self._tier
        # Groq puts it beside, Moonshot into the choice. Where several chunks carry one, the last is the sum.
        places = (chunk, chunk.part("x_groq"), *chunk.parts("choices")[:1])
        self._usage = next((u for place in places if (u := place.get("usage")) is not None), self._usage)
        self._characters += delta_characters(chunk)

    def _add_event(self, kind: str, event: Fields) -> None:
        self._chat = False
        response = event.part("response")
        if response:
            self._id = response_id(response) or self._id
            self._model = response.text("model") or self._model
            self._tier = response.text("service_tier") or self._tier
        if response.has("usage"):
            self._whole = response
        elif event.has("usage"):
            self._whole = _as_response(kind, event)
        if kind.endswith(".delta"):
            self._characters += len(event.text("delta") or "")

    def result(self, ending: str) -> Iterable[Captured]:
        """Return the call: as the final usage says, else what arrived, flagged."""
        if self._whole:
            return self._read(self._whole)
        if self._usage is not None:
            return self._read(Fields(self._as_chat_response()))
        service = infer_service(self._model) or "openai"
        advice = _ADVICE if self._chat else ""
        cut = without_usage(ending, self._characters, service=service, model=self._model, advice=advice)
        return [replace(cut, request_id=self._id)]

    def _as_chat_response(self) -> dict[str, object]:
        return {
            "object": "chat.completion",
            "id": self._id,
            "model": self._model,
            "service_tier": self._tier,
            "usage": self._usage,
        }


def _as_response(kind: str, event: Fields) -> Fields:
    """Give the closing event of a transcription or an image the shape of the whole response."""
    if kind.startswith("transcript."):
        return Fields({"text": "", "usage": event.get("usage")})
    picture = {"b64_json": ""}
    names = ("usage", "quality", "size")
    return Fields({"created": 1, "data": [picture], **{name: event.get(name) for name in names}})
