"""Soniox: recordings and live sessions by their length; the usage log states the bill of each request.

A new transcription states 0 ms, and its transcript states nothing. Every event of a live session states how
much it has heard. Log a request once: as its transcription, or as its entry of the usage log.
Sources: https://soniox.com/docs/stt/api-reference, https://soniox.com/pricing and the types of ``soniox``
2.10, 2026-11-28.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from ..adapter import Adapter
from ..captured import Captured, usd_of
from ..fields import Fields, UnreadableCount
from ._media import Kinds, billed_call, media_call

_ADVICE: Final = "give audio_seconds to log_usage"


def _is_transcription(fields: Fields) -> bool:
    return fields.has("id", "status", "filename") and fields.get("enable_speaker_diarization") is not None


def _transcription(fields: Fields) -> Iterable[Captured]:
    if fields.text("status") != "completed":
        return
    yield media_call(
        "soniox",
        fields.text("model") or "",
        "transcription",
        {"audio_seconds": fields.number("audio_duration_ms") / 1000},
        _ADVICE,
        request_id=fields.text("id"),
    )


def _is_logged(fields: Fields) -> bool:
    return fields.has("uuid", "cost_usd", "request_scope")


def _logged(fields: Fields) -> Iterable[Captured]:
    cost = usd_of(fields.get("cost_usd"))
    if cost is None:
        raise UnreadableCount(f"cost_usd must be an amount in USD, not {fields.get('cost_usd')!r}")
    names = ("input_audio_duration_ms", "output_audio_duration_ms")
    notes: dict[str, object] = {name: count for name in names if (count := fields.count(name))}
    yield billed_call(
        "soniox", fields.text("model") or "", "transcription", cost, notes, request_id=fields.text("uuid")
    )


def recognises_chunk(chunk: Fields) -> bool:
    """Tell whether this is an event of a live session."""
    return chunk.get("tokens") is not None and chunk.has("total_audio_proc_ms")


class SonioxFollower:
    """Follows a live session, whose events each state how much was heard so far."""

    def __init__(self) -> None:
        self._heard = 0.0
        self._over = False

    def add(self, chunk: Fields) -> None:
        """Read one event."""
        self._heard = max(self._heard, chunk.number("total_audio_proc_ms") / 1000)
        self._over = self._over or chunk.get("finished") is True

    def result(self, ending: str) -> Iterable[Captured]:
        """Return the call, from the last event; a lower bound if the session was cut."""
        call = media_call("soniox", "", "transcription", {"audio_seconds": self._heard}, "nothing was heard")
        reason = f"the stream {ending} before its last event: the duration is what was heard until then"
        yield replace(
            call, service_tier="streaming", incomplete=call.incomplete or (None if self._over else reason)
        )


_KINDS: Final = Kinds((_is_transcription, _transcription), (_is_logged, _logged))


ADAPTER = Adapter(
    name="Soniox",
    knows="Soniox (transcriptions, live sessions, entries of the usage log)",
    packages=frozenset({"soniox"}),
    recognises=_KINDS.recognises,
    read=_KINDS.read,
    recognises_chunk=recognises_chunk,
    follow=SonioxFollower,
)
