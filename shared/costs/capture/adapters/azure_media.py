"""Azure's Speech, Translator and Document Intelligence.

A recognition states the duration of each utterance, in ticks of 100 nanoseconds; partial and cancelled
results are not billed. A translation states its source characters, which are billed for each target language.
Generated speech states its length, not the characters that are billed.
Sources: https://learn.microsoft.com/azure/ai-services/ and the types of
``azure-cognitiveservices-speech`` 1.53, ``azure-ai-translation-text`` 2.0 and
``azure-ai-documentintelligence`` 1.0, 2026-11-28.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from ..captured import Captured
from ..fields import Fields
from ._media import Kinds, media_call, unstreamed

_TICKS: Final = 10_000_000
"""Ticks per second."""


def _is_recognition(fields: Fields) -> bool:
    return fields.has("result_id", "duration", "offset")


def _recognition(fields: Fields) -> list[Captured]:
    seconds = fields.count("duration") / _TICKS
    reason = _reason(fields)
    if reason in _UNBILLED or (not seconds and (reason == "Canceled" or fields.count("commit_token"))):
        return []
    return [
        media_call(
            "azure-speech",
            "speech-translation" if reason == "TranslatedSpeech" else "stt",
            "transcription",
            {"audio_seconds": seconds},
            "give audio_seconds to log_usage",
            request_id=fields.text("result_id"),
            features=tuple(_features(fields)),
        )
    ]


def _reason(fields: Fields) -> str | None:
    """Return the name of a result's reason, which the SDK has as an enumeration."""
    reason = fields.get("reason")
    return getattr(reason, "name", reason if isinstance(reason, str) else None)


_UNBILLED: Final = frozenset(
    {"RecognizingSpeech", "RecognizingIntent", "TranslatingSpeech", "RecognizingKeyword", "RecognizedKeyword"}
)
"""Partial results, and keywords that are recognised on the local machine."""


def _features(fields: Fields) -> Iterable[str]:
    """Yield the features that are billed by the hour on top of live recognition."""
    if fields.has("speaker_id"):
        yield "diarization"
    properties = fields.get("properties")
    names = {getattr(name, "name", name) for name in properties} if isinstance(properties, Mapping) else ()
    if "SpeechServiceConnection_AutoDetectSourceLanguageResult" in names:
        yield "language-identification"
    if '"PronunciationAssessment"' in (fields.text("json") or ""):
        yield "pronunciation"


def _is_synthesis(fields: Fields) -> bool:
    return fields.has("result_id") and fields.get("audio_duration") is not None


def _synthesis(fields: Fields) -> list[Captured]:
    if _reason(fields) == "Canceled":
        return []
    advice = "give the characters of the text to log_usage"
    return [media_call("azure-speech", "neural", "speech", {}, advice, request_id=fields.text("result_id"))]


def _texts(fields: Fields) -> list[Fields]:
    """Return the translations of a list of texts, or of one."""
    texts = [Fields(item) for item in fields.raw] if isinstance(fields.raw, (list, tuple)) else [fields]
    return [translation for text in texts for translation in text.parts("translations")]


def _is_translation(fields: Fields) -> bool:
    return any(translation.get("source_characters") is not None for translation in _texts(fields))


def _translation(fields: Fields) -> list[Captured]:
    characters = sum(translation.count("source_characters") for translation in _texts(fields))
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


ADAPTER = unstreamed(
    "Azure",
    "Azure (speech, translated texts, Document Intelligence)",
    "azure-speech",
    _KINDS.recognises,
    _KINDS.read,
    "azure",
)
