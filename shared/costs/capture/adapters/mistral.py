"""Mistral: chat, embeddings, OCR by the page, transcription by the second.

Chat uses OpenAI's format, with its own names for audio.
Sources: https://docs.mistral.ai/api/ and the types of the ``mistralai`` package.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from ...pricing.names import infer_service
from ..adapter import Adapter, characters, without_usage
from ..captured import Captured, first_reason, usage_of
from ..fields import Fields
from ..unread import every_number
from ._openai_format import delta_characters, token_counts, unread_units
from ._openai_jobs import body_of, failed, read_line


def _is_mistral(fields: Fields) -> bool:
    package = type(fields.raw).__module__.partition(".")[0]
    named = package == "mistralai" or infer_service(fields.text("model") or "") == "mistral"
    return named or fields.text("object") == "conversation.response"


def _recognises(fields: Fields) -> bool:
    if body := body_of(fields):
        return not failed(fields) and _recognises(body)
    if fields.part("usage_info").has("pages_processed"):
        return True
    return _is_mistral(fields) and fields.has("usage") and fields.text("object") != "chat.completion.chunk"


def _operation(fields: Fields) -> str:
    if fields.has("usage_info"):
        return "ocr"
    if fields.has("choices"):
        return "chat"
    if fields.has("data"):
        return "embeddings"
    return "transcription" if fields.get("text") is not None else "chat"


def _read(fields: Fields) -> Iterable[Captured]:
    if body_of(fields):
        return read_line(fields, _read)
    return [_call(fields)]


def _call(fields: Fields) -> Captured:
    usage_fields, usage_info = fields.usage("usage"), fields.usage("usage_info")
    counts = token_counts(usage_fields)
    counts["audio_seconds"] = usage_fields.number("prompt_audio_seconds")
    counts["pages"] = usage_info.count("pages_processed")
    usage, fault = usage_of(counts)
    unread = unread_units(usage_fields)
    unread.pop("prompt_audio_seconds", None)  # read above
    known = bool(usage_fields or usage_info)
    no_usage = None if known else "the response has no usage"
    return Captured(
        service="mistral",
        model=fields.text("model") or _model_of_outputs(fields),
        usage=usage,
        request_id=fields.text("id"),
        operation=_operation(fields),
        features=("annotations",) if _is_annotated(fields) else (),
        usage_known=known,
        unpriced_units=unread | every_number(usage_info, {"pages_processed", "doc_size_bytes"}),
        incomplete=first_reason((no_usage, fault)),
    )


def _model_of_outputs(fields: Fields) -> str:
    """Return the model of a conversation, which only its messages name."""
    return next((model for output in fields.parts("outputs") if (model := output.text("model"))), "")


def _is_annotated(fields: Fields) -> bool:
    """Tell whether a document or its pictures were annotated, which has its own price."""
    pictures = (picture for page in fields.parts("pages") for picture in page.parts("images"))
    return bool(fields.text("document_annotation")) or any(
        picture.text("image_annotation") for picture in pictures
    )


def _chunk(fields: Fields) -> Fields:
    # The SDK wraps each chunk in an event, as its data.
    data = fields.part("data")
    return data if data.has("choices") or _is_other_event(data) else fields


def _is_transcription_event(chunk: Fields) -> bool:
    """Tell whether this is an event of a streamed transcription."""
    return (chunk.text("type") or "").startswith("transcription.")


def _is_other_event(chunk: Fields) -> bool:
    """Tell whether this is an event of a streamed transcription or conversation."""
    return _is_transcription_event(chunk) or (chunk.text("type") or "").startswith(_CONVERSATION_EVENTS)


_CONVERSATION_EVENTS: Final = ("conversation.response.", "message.output.", "tool.execution.")
"""Prefixes of the types of a conversation's events (``mistralai`` 3.7, 2026-11-30)."""


def recognises_chunk(fields: Fields) -> bool:
    """Tell whether this is a chunk of a Mistral stream, or the SDK's event around one."""
    chunk = _chunk(fields)
    return _is_other_event(chunk) or (chunk.has("choices") and _is_mistral(chunk))


class MistralFollower:
    """Follows a stream of a chat or a transcription, whose last chunk has the usage."""

    def __init__(self) -> None:
        self._id: str | None = None
        self._model = ""
        self._usage: object = None
        self._transcript: object = None
        self._characters = 0

    def add(self, chunk: Fields) -> None:
        """Read one chunk."""
        chunk = _chunk(chunk)
        self._id = chunk.text("id") or self._id
        self._model = chunk.text("model") or self._model
        self._usage = chunk.get("usage") or self._usage
        self._characters += delta_characters(chunk) + characters(chunk.get("content"))
        if _is_transcription_event(chunk):
            self._transcript = chunk.get("text")
            self._characters += characters(self._transcript)

    def result(self, ending: str) -> Iterable[Captured]:
        """Return the call, from the usage or, flagged, from what arrived."""
        if self._usage is not None:
            shape: dict[str, object] = {"choices": []} if self._transcript is None else {"text": ""}
            response = {"id": self._id, "model": self._model, "usage": self._usage, **shape}
            return [_call(Fields(response))]
        cut = without_usage(ending, self._characters, service="mistral", model=self._model)
        return [replace(cut, request_id=self._id)]


ADAPTER = Adapter(
    name="Mistral",
    knows="Mistral (chat, embeddings, OCR, transcription)",
    packages=frozenset({"mistralai"}),
    recognises=_recognises,
    read=_read,
    recognises_chunk=recognises_chunk,
    follow=MistralFollower,
)
