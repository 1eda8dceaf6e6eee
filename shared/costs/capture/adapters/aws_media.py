"""AWS Textract, Polly, Transcribe and Translate. boto3 gives plain dicts.

Textract states its pages, whole again on every page of results, so they count once for each job: give
the job's id as ``request_id``. Polly states its characters. Transcribe and Translate state nothing that is
billed.
Source: https://docs.aws.amazon.com/ (API references of the four) and the service models of boto3 1.44,
2026-11-28.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ..adapter import Adapter
from ..captured import Captured
from ..fields import Fields
from ._media import Kinds, NoStream, media_call, never_a_chunk


def _is_textract(fields: Fields) -> bool:
    return fields.part("DocumentMetadata").has("Pages")


def _textract(fields: Fields) -> Iterable[Captured]:
    status = fields.text("JobStatus")
    if status not in {None, "SUCCEEDED", "PARTIAL_SUCCESS"}:
        return
    pages = fields.part("DocumentMetadata").count("Pages")
    # The answers about one job have an id each, and all of them state all pages.
    request_id = None if status else _request_id(fields)
    yield media_call(
        "aws-textract",
        _features(fields),
        "ocr",
        {"pages": pages},
        "give pages to log_usage",
        request_id=request_id,
        metadata={} if status is None else {"repeats": "give request_id=JobId: each answer states all pages"},
    )


def _features(fields: Fields) -> str:
    """Return what was asked of a document, as far as its answer tells: that has the price."""
    if fields.get("ExpenseDocuments") is not None:
        return "expense"
    kinds = {block.text("BlockType") for block in fields.parts("Blocks")}
    found = [name for name, kind in (("forms", "KEY_VALUE_SET"), ("tables", "TABLE")) if kind in kinds]
    return "+".join(found) or "detect-document-text"


def _polly(fields: Fields) -> Iterable[Captured]:
    yield media_call(
        "aws-polly",
        "",
        "speech",
        {"characters": fields.count("RequestCharacters")},
        "give characters to log_usage",
        request_id=_request_id(fields),
    )


def _transcribe(fields: Fields) -> Iterable[Captured]:
    job = fields.part("TranscriptionJob")
    if job.text("TranscriptionJobStatus") == "COMPLETED":
        name = job.text("TranscriptionJobName")
        yield media_call(
            "aws-transcribe",
            "standard",
            "transcription",
            {},
            "give audio_seconds to log_usage",
            request_id=name,
        )


def _translate(fields: Fields) -> Iterable[Captured]:
    yield media_call(
        "aws-translate",
        "standard",
        "translation",
        {},
        "give characters to log_usage",
        request_id=_request_id(fields),
    )


def _request_id(fields: Fields) -> str | None:
    return fields.part("ResponseMetadata").text("RequestId")


_KINDS: Final = Kinds(
    (_is_textract, _textract),
    (lambda fields: fields.has("RequestCharacters"), _polly),
    (lambda fields: fields.part("TranscriptionJob").has("TranscriptionJobName"), _transcribe),
    (lambda fields: fields.has("TranslatedText", "TargetLanguageCode"), _translate),
)


def _recognises(fields: Fields) -> bool:
    return isinstance(fields.raw, dict) and _KINDS.recognises(fields)


ADAPTER = Adapter(
    name="AWS",
    knows="AWS (Textract, Polly, Transcribe, Translate)",
    packages=frozenset(),
    recognises=_recognises,
    read=_KINDS.read,
    recognises_chunk=never_a_chunk,
    follow=lambda: NoStream("aws"),
)
