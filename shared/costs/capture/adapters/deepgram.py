"""Deepgram: transcription by the second and channel, speech by the character.

The stated duration is that of the file, and each channel is billed. Generated speech states its characters
only in a header, which ``with_raw_response`` gives access to; a live session states its duration in its last
``Metadata`` message.
Sources: https://developers.deepgram.com/reference, https://deepgram.com/pricing and the types of
``deepgram-sdk`` 7.17, 2026-11-28.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from ..adapter import Adapter
from ..captured import Captured
from ..fields import Fields
from ._media import media_call, seconds_of

_CHARACTERS = "dg-char-count"


def _is_transcript(fields: Fields) -> bool:
    metadata = fields.part("metadata")
    return metadata.has("request_id", "duration", "channels") and fields.has("results")


def _is_speech(fields: Fields) -> bool:
    return fields.header(_CHARACTERS) is not None


def _recognises(fields: Fields) -> bool:
    return _is_transcript(fields) or _is_speech(fields)


def _read(fields: Fields) -> Iterable[Captured]:
    if _is_speech(fields):
        return [_speech(fields)]
    call = _transcript(fields.part("metadata"))
    return [replace(call, features=_features(fields.part("results")))]


def _features(results: Fields) -> tuple[str, ...]:
    """Return the features that a result shows; others, such as redaction, leave no trace in it."""
    alternatives = [
        alternative for channel in results.parts("channels") for alternative in channel.parts("alternatives")
    ]
    has_speakers = any(
        word.get("speaker") is not None
        for alternative in alternatives
        for word in alternative.parts("words")[:1]
    )
    has_entities = any(alternative.get("entities") is not None for alternative in alternatives)
    features = (("diarize", has_speakers), ("detect_entities", has_entities))
    return tuple(name for name, is_used in features if is_used)


_INTELLIGENCE: Final = ("summary_info", "sentiment_info", "topics_info", "intents_info")
"""Analyses of a transcript that are billed by their tokens."""


def _intelligence(metadata: Fields) -> dict[str, int | float]:
    units: dict[str, int | float] = {}
    for name in _INTELLIGENCE:
        tokens = metadata.part(name).count("input_tokens") + metadata.part(name).count("output_tokens")
        if tokens:
            units[f"{name.removesuffix('_info')}_tokens"] = tokens
    return units


def _transcript(metadata: Fields) -> Captured:
    counts = {"audio_seconds": seconds_of(metadata.get("duration")), "channels": metadata.count("channels")}
    return media_call(
        "deepgram",
        _model(metadata),
        "transcription",
        counts,
        "give audio_seconds to log_usage",
        request_id=metadata.text("request_id"),
        unpriced_units=_intelligence(metadata),
    )


def _model(metadata: Fields) -> str:
    """Return the model by its architecture, which has the price; medical models have their own price."""
    model_info = metadata.get("model_info")
    infos = [Fields(info) for info in model_info.values()] if isinstance(model_info, dict) else []
    if not infos:
        return ""
    arch, name = infos[0].text("arch") or "", infos[0].text("name") or ""
    return f"{arch}-medical" if arch and "medical" in name else arch or name


def _speech(fields: Fields) -> Captured:
    return media_call(
        "deepgram",
        _voice_family(fields.header("dg-model-name") or ""),
        "speech",
        {"characters": int(fields.header(_CHARACTERS) or 0)},
        "give characters to log_usage",
        request_id=fields.header("dg-request-id"),
    )


def _voice_family(model: str) -> str:
    """Return the model behind a voice: ``aura-2-thalia-en`` is ``aura-2``."""
    parts = model.split("-")
    return "-".join(parts[:2]) if parts[1:] and parts[1].isdigit() else parts[0]


def recognises_chunk(chunk: Fields) -> bool:
    """Tell whether this is a message of a live transcription."""
    kind = chunk.text("type")
    return (
        _is_turn(chunk)
        or (kind == "Results" and chunk.has("channel_index", "duration"))
        or (kind == "Metadata" and chunk.has("request_id", "channels"))
    )


def _is_turn(chunk: Fields) -> bool:
    """Tell whether this is a message of Flux, which reports turns and how much audio it has heard."""
    return chunk.text("type") == "TurnInfo" and chunk.has("turn_index", "audio_window_end")


class DeepgramFollower:
    """Follows a live transcription: results have their own durations, the last message has the total.

    Flux has no last message, so its duration is the audio that it has heard.
    """

    def __init__(self) -> None:
        self._metadata: Fields = Fields(None)
        self._model = ""
        self._id: str | None = None
        self._heard = 0.0

    def add(self, chunk: Fields) -> None:
        """Read one message."""
        if chunk.text("type") == "Metadata":
            self._metadata = chunk
            return
        if _is_turn(chunk):
            self._id = chunk.text("request_id") or self._id
            self._heard = max(self._heard, seconds_of(chunk.get("audio_window_end")))
            return
        metadata = chunk.part("metadata")
        self._id = metadata.text("request_id") or self._id
        self._model = metadata.part("model_info").text("arch") or self._model
        end = seconds_of(chunk.get("start")) + seconds_of(chunk.get("duration"))
        self._heard = max(self._heard, end)

    def result(self, ending: str) -> Iterable[Captured]:
        """Return the call, from the last message or, flagged, from what was heard."""
        if self._metadata:
            call = _transcript(self._metadata)
            yield replace(call, model=call.model or self._model, service_tier="streaming")
            return
        partial = media_call(
            "deepgram", self._model, "transcription", {"audio_seconds": self._heard}, "nothing was heard"
        )
        reason = f"the stream {ending} before its metadata: the duration is what was heard until then"
        yield replace(
            partial, service_tier="streaming", request_id=self._id, incomplete=partial.incomplete or reason
        )


ADAPTER = Adapter(
    name="Deepgram",
    knows="Deepgram (transcription, raw responses of speech)",
    packages=frozenset({"deepgram"}),
    recognises=_recognises,
    read=_read,
    recognises_chunk=recognises_chunk,
    follow=DeepgramFollower,
)
