"""OpenAI's transcription API, and every server that speaks the same wire format (``--base-url``)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.audio import Audio
from pipeline.documents import Segment
from pipeline.engines import EngineOptions, Needs, Spent, Used
from pipeline.engines.chat import required_model
from pipeline.engines.chat.openai import open_client
from pipeline.engines.chat.refusals import refusals
from pipeline.engines.speech import Heard
from pipeline.faults import StageFailed

if TYPE_CHECKING:
    from openai import OpenAI

# https://platform.openai.com/docs/guides/speech-to-text: "File uploads are currently limited to 25 MB
# and the following input file types are supported".
LARGEST_UPLOAD: Final = 25_000_000
TYPES: Final = frozenset({".flac", ".m4a", ".mp3", ".mp4", ".mpeg", ".mpga", ".ogg", ".wav", ".webm"})

# Models that are billed by tokens, not by the second: what they take in and give out at most.
# https://developers.openai.com/api/docs/models/gpt-4o-transcribe
TOKEN_MODELS: Final = "gpt-4o"
MOST_TOKENS: Final = Needs(tokens_input=16_000, tokens_audio_input=16_000, max_tokens_output=2_000)


class OpenAITranscription:
    """Recognition by a model of OpenAI or of a compatible server."""

    backend = "openai"

    def __init__(self, client: OpenAI, options: EngineOptions) -> None:
        self._client = client
        self._language = options.language
        self.service = options.service or "openai"
        self.model = required_model(options)
        self._by_tokens = self.model.startswith(TOKEN_MODELS)

    def needs(self, audio: Audio) -> Needs:
        """Return the length of the audio in started seconds, by which it is billed; or the most tokens.

        Raises:
            StageFailed: the recording is larger than the API takes.
        """
        upload(audio)
        return MOST_TOKENS if self._by_tokens else Needs(audio_seconds=math.ceil(audio.seconds))

    def transcribe(self, audio: Audio) -> Heard:
        """Send the audio and return its segments; models that give no times give one segment.

        Raises:
            Refused: the provider did not serve the request.
        """
        from openai import APIStatusError

        with upload(audio).open("rb") as stream, refusals(APIStatusError):
            raw = self._client.audio.transcriptions.with_raw_response.create(
                model=self.model,
                file=stream,
                language=self._language,
                response_format="json" if self._by_tokens else "verbose_json",
            )
        reply: Any = raw.parse()
        details = {"sdk_retries": raw.retries_taken}
        # A transcription has no id of its own; the request does.
        spent = Spent(_usage(reply.usage, audio), raw.headers.get("x-request-id"), details)
        return Heard(self._language, _segments(reply, audio), spent)


def upload(audio: Audio) -> Path:
    """Return the file to send: the WAV, or the recording itself where that is smaller and must be.

    Raises:
        StageFailed: neither can be sent.
    """
    if audio.path.stat().st_size <= LARGEST_UPLOAD:
        return audio.path
    size = audio.original.stat().st_size
    if audio.original.suffix.lower() in TYPES and size <= LARGEST_UPLOAD:
        return audio.original
    raise StageFailed(
        f"{audio.original.name} cannot be sent ({size:,} bytes): the API takes {LARGEST_UPLOAD:,} bytes "
        f"of {', '.join(sorted(TYPES))}"
    )


def _segments(reply: Any, audio: Audio) -> tuple[Segment, ...]:
    pieces = getattr(reply, "segments", None)
    if pieces is None:
        return (Segment(0.0, round(audio.seconds, 3), reply.text.strip()),)
    return tuple(Segment(round(p.start, 3), round(p.end, 3), p.text.strip()) for p in pieces)


def _usage(usage: Any, audio: Audio) -> Used:
    """Return what the server billed; without a word from it, the length of what was sent."""
    if usage is None:
        return {"audio_seconds": audio.seconds, "estimated": True}
    if usage.type == "duration":
        return {"audio_seconds": usage.seconds}
    details = usage.input_token_details
    return {
        "tokens_input": usage.input_tokens,
        "tokens_output": usage.output_tokens,
        "tokens_audio_input": (details.audio_tokens if details else None) or 0,
        "audio_seconds": audio.seconds,
    }


def open_engine(options: EngineOptions) -> OpenAITranscription:
    """Return the engine.

    Raises:
        Unavailable: the SDK or the key is missing.
    """
    return OpenAITranscription(open_client(options), options)
