"""Speechmatics: recordings by the second of the file, as stated by transcripts and finished jobs.

Sources: https://docs.speechmatics.com/api-ref/batch and the types of ``speechmatics-batch`` 1.1, 2026-11-28.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..captured import Captured
from ..fields import Fields
from ._media import media_call, seconds_of, unstreamed


def _is_transcript(fields: Fields) -> bool:
    return fields.has("format", "metadata") and fields.part("job").has("id", "data_name")


def _is_job(fields: Fields) -> bool:
    return fields.has("id", "status", "data_name")


def _recognises(fields: Fields) -> bool:
    return _is_transcript(fields) or _is_job(fields)


def _read(fields: Fields) -> Iterable[Captured]:
    transcript = _is_transcript(fields)
    if not transcript and fields.text("status") != "done":
        return
    job = fields.part("job") if transcript else fields
    config = fields.part("metadata" if transcript else "config").part("transcription_config")
    yield media_call(
        "speechmatics",
        config.text("model", "operating_point") or "",
        "transcription",
        {"audio_seconds": seconds_of(job.get("duration"))},
        "give audio_seconds to log_usage",
        request_id=job.text("id"),
    )


ADAPTER = unstreamed(
    "Speechmatics",
    "Speechmatics (transcripts, batch jobs)",
    "speechmatics",
    _recognises,
    _read,
    "speechmatics",
)
