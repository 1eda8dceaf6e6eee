"""AWS Textract, Polly, Transcribe, Translate and Rekognition. boto3 gives plain dicts.

Textract repeats all its pages on every page of results, so they count once for each job: give the job's id as
``request_id``. Only the results show which features were requested of a document: if an analysis found
nothing, or something without a known price, the charge is unknown unless the features are given as the model.
Polly states its characters. Transcribe and Translate state nothing that is billed; Rekognition analyses one
image per request.
Source: https://docs.aws.amazon.com/ (API references of the four) and the service models of boto3 1.44,
2026-11-28.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ..captured import Captured
from ..fields import Fields
from ._media import Kinds, media_call, unstreamed


def _is_textract(fields: Fields) -> bool:
    return fields.part("DocumentMetadata").has("Pages")


def _textract(fields: Fields) -> Iterable[Captured]:
    status = fields.text("JobStatus")
    if status not in {None, "SUCCEEDED", "PARTIAL_SUCCESS"}:
        return
    pages = fields.part("DocumentMetadata").count("Pages")
    # Each answer about one job has its own id, and states all pages.
    request_id = None if status else _request_id(fields)
    yield media_call(
        "aws-textract",
        features(fields),
        "ocr",
        {"pages": pages},
        "give pages to log_usage",
        request_id=request_id,
        metadata={} if status is None else {"repeats": "give request_id=JobId: each answer states all pages"},
    )


_FEATURES: Final = (
    ("forms", "KEY_VALUE_SET"),
    ("tables", "TABLE"),
    ("queries", "QUERY"),
    ("signatures", "SIGNATURE"),
)
"""The features of AnalyzeDocument, and the blocks that show them."""


def features(fields: Fields) -> str:
    """Return the requested features, which decide the price, as far as the answer shows them.

    A feature that was requested and not found leaves no block.

    >>> features(Fields({"AnalyzeDocumentModelVersion": "1.0", "Blocks": [{"BlockType": "LINE"}]}))
    'analyze-document'
    """
    if fields.get("ExpenseDocuments") is not None:
        return "expense"
    if fields.get("IdentityDocuments") is not None:
        return "analyze-id"
    if fields.has("AnalyzeLendingModelVersion"):
        return "analyze-lending"
    kinds = {block.text("BlockType") or "" for block in fields.parts("Blocks")}
    names = [feature for feature, kind in _FEATURES if kind in kinds]
    if any(kind.startswith("LAYOUT_") for kind in kinds):
        names.append("layout")
    if names:
        return "+".join(names)
    return "analyze-document" if fields.has("AnalyzeDocumentModelVersion") else "detect-document-text"


def _polly(fields: Fields) -> Iterable[Captured]:
    yield media_call(
        "aws-polly",
        "",
        "speech",
        {"characters": fields.count("RequestCharacters")},
        "give characters to log_usage",
        request_id=_request_id(fields),
    )


def _polly_task(fields: Fields) -> Iterable[Captured]:
    task = fields.part("SynthesisTask")
    if task.text("TaskStatus") == "completed":
        yield media_call(
            "aws-polly",
            task.text("Engine") or "",
            "speech",
            {"characters": task.count("RequestCharacters")},
            "give characters to log_usage",
            request_id=task.text("TaskId"),
        )


_JOBS: Final = {
    "TranscriptionJob": "standard",
    "MedicalTranscriptionJob": "medical",
    "MedicalScribeJob": "medical-scribe",
    "CallAnalyticsJob": "call-analytics",
}
"""Transcribe's kinds of jobs, and the model that each is billed as."""


def _job_kind(fields: Fields) -> str | None:
    return next((kind for kind in _JOBS if fields.part(kind).has(f"{kind}Name")), None)


def _transcribe(fields: Fields) -> Iterable[Captured]:
    kind = _job_kind(fields) or ""
    job = fields.part(kind)
    # The medical kind's status field may have the plain kind's name.
    if job.text(f"{kind}Status", f"{kind.removeprefix('Medical')}Status") == "COMPLETED":
        yield media_call(
            "aws-transcribe",
            _JOBS[kind],
            "transcription",
            {},
            "give audio_seconds to log_usage",
            request_id=job.text(f"{kind}Name"),
        )


def _is_translation(fields: Fields) -> bool:
    has_translation = (
        fields.has("TranslatedText") or fields.part("TranslatedDocument").get("Content") is not None
    )
    return has_translation and fields.has("TargetLanguageCode")


def _translate(fields: Fields) -> Iterable[Captured]:
    yield media_call(
        "aws-translate",
        "standard",
        "translation",
        {},
        "give characters to log_usage",
        request_id=_request_id(fields),
    )


_DETECTIONS: Final = ("TextDetections", "Labels", "FaceDetails", "ModerationLabels", "CelebrityFaces")


def _is_detection(fields: Fields) -> bool:
    return not fields.has("JobStatus") and any(fields.get(name) is not None for name in _DETECTIONS)


def _detection(fields: Fields) -> Iterable[Captured]:
    yield media_call(
        "aws-rekognition",
        "image",
        "detection",
        {"images": 1},
        "give images to log_usage",
        request_id=_request_id(fields),
    )


def _request_id(fields: Fields) -> str | None:
    return fields.part("ResponseMetadata").text("RequestId")


_KINDS: Final = Kinds(
    (_is_textract, _textract),
    (lambda fields: fields.has("RequestCharacters"), _polly),
    (lambda fields: fields.part("SynthesisTask").has("TaskId", "TaskStatus"), _polly_task),
    (lambda fields: _job_kind(fields) is not None, _transcribe),
    (_is_translation, _translate),
    (_is_detection, _detection),
)


def _recognises(fields: Fields) -> bool:
    return isinstance(fields.raw, dict) and _KINDS.recognises(fields)


ADAPTER = unstreamed(
    "AWS", "AWS (Textract, Polly, Transcribe, Translate, Rekognition)", "aws", _recognises, _KINDS.read
)
