"""Google Cloud's Speech, Translation and Document AI.

A duration of zero states nothing: it is what an absent one reads as. Texts that were translated state no
characters; batches of texts and documents do. Document AI bills the pages that it returns.
Sources: https://cloud.google.com/speech-to-text/v2/docs/reference/rest,
https://cloud.google.com/translate/docs/reference/rest/v3, https://cloud.google.com/document-ai/docs/reference,
and the types of ``google-cloud-speech`` 2.41, ``-translate`` 3.28 and ``-documentai`` 3.16, 2026-11-28.
"""

from __future__ import annotations

from typing import Final

from ..adapter import Adapter
from ..captured import Captured
from ..fields import Fields
from ._media import Kinds, NoStream, media_call, never_a_chunk, seconds_of


def _is_speech(fields: Fields) -> bool:
    stated = fields.get("total_billed_time") is not None or fields.get("total_billed_duration") is not None
    return stated or fields.part("metadata").get("total_billed_duration") is not None


def _speech(fields: Fields) -> list[Captured]:
    """Version 1 and batches state it on top (a batch the sum of its files), version 2 in the metadata."""
    metadata = fields.part("metadata")
    billed = fields.get("total_billed_time", "total_billed_duration")
    billed = metadata.get("total_billed_duration") if billed is None else billed
    known = metadata.text("request_id") or fields.get("request_id")
    return [
        media_call(
            "google-speech",
            "",
            "transcription",
            {"audio_seconds": seconds_of(billed)},
            "give audio_seconds to log_usage",
            request_id=str(known) if known else None,  # version 1 has a number, 0 for none
        )
    ]


def _is_translation(fields: Fields) -> bool:
    billed = fields.has("total_billable_pages") or fields.has("total_billable_characters")
    return billed or fields.has("translated_characters", "total_characters") or _is_translated_text(fields)


def _is_translated_text(fields: Fields) -> bool:
    return type(fields.raw).__name__ == "TranslateTextResponse" or any(
        each.has("translated_text") for each in fields.parts("translations")[:1]
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
    """Return a count of 64 bits, which is text in JSON."""
    stated = fields.get(name)
    return int(stated) if isinstance(stated, str) else fields.count(name)


def _is_document(fields: Fields) -> bool:
    if type(fields.raw).__name__ == "ProcessResponse":
        return True
    return any(page.has("page_number") for page in fields.part("document").parts("pages")[:1])


def _document(fields: Fields) -> list[Captured]:
    pages = len(_listed(fields.part("document"), "pages"))
    return [media_call("google-documentai", "", "ocr", {"pages": pages}, "give pages to log_usage")]


def _listed(fields: Fields, name: str) -> list[Fields]:
    """Return the objects of a list; a repeated field of a protocol buffer is no ordinary sequence."""
    value = fields.get(name)
    return [Fields(item) for item in value] if hasattr(value, "__iter__") else []


_KINDS: Final = Kinds(
    (_is_speech, _speech),
    (_is_translation, _translation),
    (_is_document, _document),
)


ADAPTER = Adapter(
    name="Google Cloud",
    knows="Google Cloud (speech, batch translation, Document AI)",
    packages=frozenset({"google.cloud"}),
    recognises=_KINDS.recognises,
    read=_KINDS.read,
    recognises_chunk=never_a_chunk,
    follow=lambda: NoStream("google-speech"),
)
