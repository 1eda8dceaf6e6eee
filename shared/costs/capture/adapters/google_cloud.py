"""Google Cloud's Speech, Translation, Text-to-Speech, Vision and Document AI.

A duration of zero is unknown, because a missing one reads as zero. Translated texts and generated speech
state no characters; batches of texts and documents do. Document AI bills the pages that it returns, Vision
the images that it receives.
Sources: https://cloud.google.com/speech-to-text/v2/docs/reference/rest,
https://cloud.google.com/translate/docs/reference/rest/v3, https://cloud.google.com/document-ai/docs/reference,
and the types of ``google-cloud-speech`` 2.41, ``-translate`` 3.28 and ``-documentai`` 3.16, 2026-11-28.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from ..adapter import Adapter
from ..captured import Captured
from ..fields import Fields
from ._media import Kinds, media_call, seconds_of


def _is_speech(fields: Fields) -> bool:
    has_duration = (
        fields.get("total_billed_time") is not None or fields.get("total_billed_duration") is not None
    )
    return has_duration or fields.part("metadata").get("total_billed_duration") is not None


def _speech(fields: Fields) -> list[Captured]:
    """Return the call. Version 1 and batches state the duration on top (as a sum), version 2 in metadata."""
    metadata = fields.part("metadata")
    billed = fields.get("total_billed_time", "total_billed_duration")
    billed = metadata.get("total_billed_duration") if billed is None else billed
    request_id = metadata.text("request_id") or fields.get("request_id")
    call = media_call(
        "google-speech",
        "",
        "transcription",
        {"audio_seconds": seconds_of(billed)},
        "give audio_seconds to log_usage",
        request_id=str(request_id) if request_id else None,  # version 1 has a number, 0 for none
    )
    # Both versions have models of the same name, such as latest_long, with different prices.
    is_version_1 = call.usage_known and fields.get("total_billed_time") is not None
    return [replace(call, features=("v1",)) if is_version_1 else call]


def _is_translation(fields: Fields) -> bool:
    billed = fields.has("total_billable_pages") or fields.has("total_billable_characters")
    return billed or fields.has("translated_characters", "total_characters") or _is_translated_text(fields)


def _is_translated_text(fields: Fields) -> bool:
    return type(fields.raw).__name__ == "TranslateTextResponse" or any(
        item.has("translated_text") for item in fields.parts("translations")[:1]
    )


def _translation(fields: Fields) -> list[Captured]:
    characters = _whole(fields, "total_billable_characters") or _whole(fields, "translated_characters")
    first = next(iter(_listed(fields, "translations")), Fields(None))
    counts = {"pages": _whole(fields, "total_billable_pages"), "characters": characters}
    model = (first.text("model") or "").partition("/models/")[2]
    return [
        media_call("google-translate", model or "nmt", "translation", counts, "give characters to log_usage")
    ]


def _whole(fields: Fields, name: str) -> int:
    """Return a 64-bit count, which is a text in JSON."""
    value = fields.get(name)
    return int(value) if isinstance(value, str) else fields.count(name)


def _is_called(*names: str) -> Callable[[Fields], bool]:
    """Return a function that tells whether an answer has one of these types."""
    return lambda fields: type(fields.raw).__name__ in names


def _unstated(service: str, operation: str) -> Callable[[Fields], list[Captured]]:
    """Return a reader for answers that do not state the billed characters."""
    advice = "give characters or pages to log_usage"
    return lambda _: [media_call(service, _DEFAULTS.get(service, ""), operation, {}, advice)]


_DEFAULTS: Final = {"google-translate": "nmt"}


def _vision(fields: Fields) -> list[Captured]:
    """Return a call for one image or a batch; the requested features decide the price and are not stated."""
    images = len(_listed(fields, "responses")) or 1
    return [media_call("google-vision", "", "ocr", {"pages": images}, "give pages to log_usage")]


def _is_document(fields: Fields) -> bool:
    if type(fields.raw).__name__ == "ProcessResponse":
        return True
    return any(page.has("page_number") for page in fields.part("document").parts("pages")[:1])


def _document(fields: Fields) -> list[Captured]:
    pages = len(_listed(fields.part("document"), "pages"))
    return [media_call("google-documentai", "", "ocr", {"pages": pages}, "give pages to log_usage")]


def _listed(fields: Fields, name: str) -> list[Fields]:
    """Return the objects of a list; a repeated field of a protocol buffer is not a ``Sequence``."""
    value = fields.get(name)
    return [Fields(item) for item in value] if hasattr(value, "__iter__") else []


_KINDS: Final = Kinds(
    (_is_speech, _speech),
    (_is_translation, _translation),
    (_is_document, _document),
    (_is_called("TranslateDocumentResponse"), _unstated("google-translate", "translation")),
    (
        _is_called("SynthesizeSpeechResponse", "StreamingSynthesizeResponse"),
        _unstated("google-tts", "speech"),
    ),
    (_is_called("AnnotateImageResponse", "BatchAnnotateImagesResponse"), _vision),
)


def recognises_chunk(chunk: Fields) -> bool:
    """Tell whether this is an answer of a live recognition."""
    return type(chunk.raw).__name__ == "StreamingRecognizeResponse"


class SpeechFollower:
    """Follows a live recognition, whose answers state what was billed so far, the last one the total."""

    def __init__(self) -> None:
        self._billed = 0.0
        self._last: Fields = Fields({"total_billed_time": 0})

    def add(self, chunk: Fields) -> None:
        """Read one answer."""
        [call] = _speech(chunk)
        if call.usage.audio_seconds >= self._billed:
            self._billed, self._last = call.usage.audio_seconds, chunk

    def result(self, ending: str) -> Iterable[Captured]:
        """Return the call; its usage is unknown if no answer stated what is billed."""
        [call] = _speech(self._last)
        reason = f"the stream {ending} before what is billed was stated: give audio_seconds to log_usage"
        return [call if self._billed else replace(call, incomplete=reason)]


ADAPTER = Adapter(
    name="Google Cloud",
    knows="Google Cloud (speech, translation, Text-to-Speech, Vision, Document AI)",
    packages=frozenset({"google.cloud"}),
    recognises=_KINDS.recognises,
    read=_KINDS.read,
    recognises_chunk=recognises_chunk,
    follow=SpeechFollower,
)
