"""DeepL: texts and documents by the character, as billed.

A document's characters are in its status once it is done; an earlier status is not a call yet.
Source: https://developers.deepl.com/docs/api-reference and the types of ``deepl`` 1.32, 2026-11-28.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..captured import Captured
from ..fields import Fields
from ._media import media_call, unstreamed


def _texts(fields: Fields) -> list[Fields]:
    """Return the results of a list of texts or of one text; the plain response lists them."""
    if isinstance(fields.raw, (list, tuple)):
        return [Fields(item) for item in fields.raw]
    return fields.parts("translations") or [fields]


def _is_text(fields: Fields) -> bool:
    return any(text.has("text", "billed_characters") for text in _texts(fields))


def _is_document(fields: Fields) -> bool:
    return fields.has("status") and (fields.has("document_id") or fields.has("billed_characters"))


def _recognises(fields: Fields) -> bool:
    return _is_document(fields) or _is_text(fields)


def _read(fields: Fields) -> Iterable[Captured]:
    advice = "give characters to log_usage"
    if not _is_document(fields):
        characters = sum(text.count("billed_characters") for text in _texts(fields))
        yield media_call("deepl", "text", "translation", {"characters": characters}, advice)
    elif fields.text("status") == "done":
        yield media_call(
            "deepl",
            "document",
            "translation",
            {"characters": fields.count("billed_characters")},
            advice,
            request_id=fields.text("document_id"),
        )


ADAPTER = unstreamed("DeepL", "DeepL (texts, documents)", "deepl", _recognises, _read, "deepl")
