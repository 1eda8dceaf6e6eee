"""Cartesia: transcription by the second. Speech states no usage: give its characters to ``log_usage``.

A message of a live session states the length of its own segment; the final ones add up to the session.

Sources: https://docs.cartesia.ai/api-reference and the types of ``cartesia`` 4.2, 2026-11-28.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..adapter import Adapter
from ..captured import Captured
from ..fields import Fields
from ._media import media_call, seconds_of

_ADVICE = "give audio_seconds to log_usage"


def _is_text(fields: Fields) -> bool:
    return fields.text("type") == "transcript" and fields.get("text") is not None


def _recognises(fields: Fields) -> bool:
    return _is_text(fields) and fields.get("is_final") is None


def _read(fields: Fields) -> Iterable[Captured]:
    yield media_call(
        "cartesia",
        "ink-whisper",
        "transcription",
        {"audio_seconds": seconds_of(fields.get("duration"))},
        _ADVICE,
        request_id=fields.text("request_id"),
    )


def recognises_chunk(chunk: Fields) -> bool:
    """Tell whether this is a message of a live session."""
    return _is_text(chunk) and chunk.get("is_final") is not None


class CartesiaFollower:
    """Follows a live session. A segment that was not final when the session was cut is not known."""

    def __init__(self) -> None:
        self._id: str | None = None
        self._seconds = 0.0
        self._open = False

    def add(self, chunk: Fields) -> None:
        """Read one message."""
        self._id = chunk.text("request_id") or self._id
        self._open = chunk.get("is_final") is not True
        if not self._open:
            self._seconds += seconds_of(chunk.get("duration"))

    def result(self, ending: str) -> Iterable[Captured]:
        """Return the call: the sum of the final segments, flagged if another one had begun."""
        counts = {"audio_seconds": self._seconds}
        call = media_call("cartesia", "ink-whisper", "transcription", counts, _ADVICE, request_id=self._id)
        reason = f"the stream {ending} before its last piece was final" if self._open else None
        yield replace(call, service_tier="streaming", incomplete=call.incomplete or reason)


ADAPTER = Adapter(
    name="Cartesia",
    knows="Cartesia (transcription, live sessions)",
    packages=frozenset({"cartesia"}),
    recognises=_recognises,
    read=_read,
    recognises_chunk=recognises_chunk,
    follow=CartesiaFollower,
)
