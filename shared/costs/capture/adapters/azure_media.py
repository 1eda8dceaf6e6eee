"""Azure's Speech, Translator and Document Intelligence.

A recognition states its duration in ticks of 100 nanoseconds, one utterance at a time. A translation
states its source characters, which are billed for each target language. Speech that was made states its
length, not the characters that are billed.
Sources: https://learn.microsoft.com/azure/ai-services/ and the types of
``azure-cognitiveservices-speech`` 1.53, ``azure-ai-translation-text`` 2.0 and
``azure-ai-documentintelligence`` 1.0, 2026-11-28.
"""

from __future__ import annotations

from typing import Final

from ..adapter import Adapter
from ..captured import Captured
from ..fields import Fields
from ._media import Kinds, NoStream, media_call, never_a_chunk

_TICKS: Final = 10_000_000
"""Ticks of a second."""


def _is_recognition(fields: Fields) -> bool:
    return fields.has("result_id", "duration", "offset")


def _recognition(fields: Fields) -> list[Captured]:
    return [
        media_call(
            "azure-speech",
            "stt",
            "transcription",
            {"audio_seconds": fields.count("duration") / _TICKS},
            "give audio_seconds to log_usage",
            request_id=fields.text("result_id"),
        )
    ]


def _is_synthesis(fields: Fields) -> bool:
    return fields.has("result_id") and fields.get("audio_duration") is not None


def _synthesis(fields: Fields) -> list[Captured]:
    advice = "give the characters of the text to log_usage"
    return [media_call("azure-speech", "neural", "speech", {}, advice, request_id=fields.text("result_id"))]


def _texts(fields: Fields) -> list[Fields]:
    """Return the translations of a list of texts, or of one."""
    texts = [Fields(item) for item in fields.raw] if isinstance(fields.raw, (list, tuple)) else [fields]
    return [made for text in texts for made in text.parts("translations")]


def _is_translation(fields: Fields) -> bool:
    return any(made.get("source_characters") is not None for made in _texts(fields))


def _translation(fields: Fields) -> list[Captured]:
    characters = sum(made.count("source_characters") for made in _texts(fields))
    advice = "give characters to log_usage"
    return [media_call("azure-translator", "standard", "translation", {"characters": characters}, advice)]


def _is_document(fields: Fields) -> bool:
    return fields.has("api_version", "model_id", "pages")


def _document(fields: Fields) -> list[Captured]:
    pages = len(fields.parts("pages"))
    model = fields.text("model_id") or ""
    return [media_call("azure-documents", model, "ocr", {"pages": pages}, "give pages to log_usage")]


_KINDS: Final = Kinds(
    (_is_translation, _translation),
    (_is_recognition, _recognition),
    (_is_synthesis, _synthesis),
    (_is_document, _document),
)


ADAPTER = Adapter(
    name="Azure",
    knows="Azure (speech, translated texts, Document Intelligence)",
    packages=frozenset({"azure"}),
    recognises=_KINDS.recognises,
    read=_KINDS.read,
    recognises_chunk=never_a_chunk,
    follow=lambda: NoStream("azure-speech"),
)
