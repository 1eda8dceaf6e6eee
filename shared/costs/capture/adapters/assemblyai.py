"""AssemblyAI: recorded speech by the second of the file, live speech by the second of the session.

A transcript that failed or is not finished is not billed. Only the plain response states channels.
Sources: https://www.assemblyai.com/docs/api-reference, https://www.assemblyai.com/pricing and the types of
``assemblyai`` 1.8, 2026-11-28.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from ..adapter import Adapter
from ..captured import Captured
from ..fields import Fields
from ._media import media_call, seconds_of


def _recognises(fields: Fields) -> bool:
    return fields.has("id", "audio_url", "status")


def _read(fields: Fields) -> Iterable[Captured]:
    if fields.text("status") != "completed":
        return
    plain = fields.part("json_response") or fields
    is_multichannel = plain.get("multichannel") is True or plain.get("dual_channel") is True
    counts: dict[str, int | float] = {"audio_seconds": seconds_of(fields.get("audio_duration"))}
    if is_multichannel:
        counts["channels"] = plain.count("audio_channels")
    yield media_call(
        "assemblyai",
        fields.text("speech_model_used")
        or fields.text("speech_model")
        or plain.text("speech_model_used")
        or "",
        "transcription",
        counts,
        "give audio_seconds to log_usage",
        request_id=fields.text("id"),
        features=tuple(name for name in _FEATURES if plain.get(name) is True),
    )


_FEATURES: Final = (
    "speaker_labels",
    "redact_pii",
    "iab_categories",
    "entity_detection",
    "auto_chapters",
    "auto_highlights",
    "content_safety",
    "sentiment_analysis",
    "summarization",
)
"""Features billed by the hour on top of the model. The last five have no listed price and stay unpriced."""


def recognises_chunk(chunk: Fields) -> bool:
    """Tell whether this is an event of a live session that states what is billed."""
    kind = chunk.text("type")
    return (kind == "Begin" and chunk.has("id", "expires_at")) or (
        kind == "Termination" and chunk.has("session_duration_seconds")
    )


class AssemblyAIFollower:
    """Follows a live session, whose ``Termination`` states how long it was open, which is billed."""

    def __init__(self) -> None:
        self._id: str | None = None
        self._model = ""
        self._seconds = 0.0

    def add(self, chunk: Fields) -> None:
        """Read one event."""
        self._id = chunk.text("id") or self._id
        self._model = chunk.part("configuration").text("speech_model") or self._model
        if chunk.text("type") == "Termination":
            durations = (chunk.get("session_duration_seconds"), chunk.get("audio_duration_seconds"))
            self._seconds = next(
                (seconds for duration in durations if (seconds := seconds_of(duration))), 0.0
            )

    def result(self, ending: str) -> Iterable[Captured]:
        """Return the call; its usage is unknown if the session was cut before it stated its end."""
        advice = f"the session {ending} before its end was stated"
        call = media_call(
            "assemblyai", self._model, "transcription", {"audio_seconds": self._seconds}, advice
        )
        yield replace(call, service_tier="streaming", request_id=self._id)


ADAPTER = Adapter(
    name="AssemblyAI",
    knows="AssemblyAI (transcripts, live sessions)",
    packages=frozenset({"assemblyai"}),
    recognises=_recognises,
    read=_read,
    recognises_chunk=recognises_chunk,
    follow=AssemblyAIFollower,
)
