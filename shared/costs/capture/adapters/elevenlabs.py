"""ElevenLabs: transcription by the second, speech and sounds by the character or credit.

A transcription of several channels states its duration at the top level and again in each transcript: the
top-level one counts. Speech states its characters only in a header, which ``with_raw_response`` gives access
to.
Sources: https://elevenlabs.io/docs/api-reference, and the types of ``elevenlabs`` 2.78, 2026-11-28.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..captured import Captured
from ..fields import Fields
from ._media import media_call, seconds_of, unstreamed

_CHARACTERS = "character-cost"


def _is_transcript(fields: Fields) -> bool:
    is_complete = fields.has("transcription_id") and (fields.has("transcripts") or fields.has("words"))
    return is_complete or fields.has("audio_duration_secs")


def _recognises(fields: Fields) -> bool:
    return _is_transcript(fields) or fields.header(_CHARACTERS) is not None


def _read(fields: Fields) -> Iterable[Captured]:
    if _is_transcript(fields):
        seconds = seconds_of(fields.get("audio_duration_secs"))
        yield media_call(
            "elevenlabs",
            fields.text("model_id") or "",
            "transcription",
            {"audio_seconds": seconds},
            "give audio_seconds to log_usage",
            request_id=fields.text("transcription_id"),
            features=("entity_detection",) if fields.get("entities") else (),
        )
        return
    yield media_call(
        "elevenlabs",
        "",
        "speech",
        {"characters": int(float(fields.header(_CHARACTERS) or 0))},
        "give characters to log_usage",
        request_id=fields.header("request-id"),
    )


ADAPTER = unstreamed(
    "ElevenLabs",
    "ElevenLabs (transcription, raw responses of speech)",
    "elevenlabs",
    _recognises,
    _read,
    "elevenlabs",
)
