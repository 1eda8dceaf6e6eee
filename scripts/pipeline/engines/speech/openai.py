"""OpenAI's transcription API, and every server that speaks the same wire format (``--base-url``)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from pipeline.audio import Audio
from pipeline.documents import Segment
from pipeline.engines import EngineOptions, Needs, Spent, Used
from pipeline.engines.chat import required_model
from pipeline.engines.chat.openai import open_client
from pipeline.engines.speech import Heard
from pipeline.faults import StageFailed

if TYPE_CHECKING:
    from openai import OpenAI

# https://platform.openai.com/docs/guides/speech-to-text: "File uploads are currently limited to 25 MB".
LARGEST_UPLOAD: Final = 25_000_000


class OpenAITranscription:
    """Recognition by a model of OpenAI or of a compatible server, priced by the second of audio."""

    backend = "openai"

    def __init__(self, client: OpenAI, options: EngineOptions) -> None:
        self._client = client
        self._language = options.language
        self.service = options.service or "openai"
        self.model = required_model(options)

    def needs(self, audio: Audio) -> Needs:
        """Return the length of the audio in started seconds, by which it is billed.

        Raises:
            StageFailed: the recording is larger than the API takes; nothing was sent.
        """
        size = audio.path.stat().st_size
        if size > LARGEST_UPLOAD:
            raise StageFailed(
                f"{audio.original.name} is {size:,} bytes as WAV; the API takes {LARGEST_UPLOAD:,}"
            )
        return Needs(audio_seconds=math.ceil(audio.seconds))

    def transcribe(self, audio: Audio) -> Heard:
        """Send the audio and return the segments with their times."""
        with audio.path.open("rb") as stream:
            raw = self._client.audio.transcriptions.with_raw_response.create(
                model=self.model, file=stream, language=self._language, response_format="verbose_json"
            )
        reply: Any = raw.parse()
        pieces = reply.segments or ()
        segments = tuple(Segment(round(p.start, 3), round(p.end, 3), p.text.strip()) for p in pieces)
        details = {"retries": raw.retries_taken}
        # A transcription has no id of its own; the request does.
        spent = Spent(_usage(reply, audio), raw.headers.get("x-request-id"), details)
        return Heard(self._language, segments, spent)


def _usage(reply: Any, audio: Audio) -> Used:
    """Return the seconds the server billed; without a word from it, the length of what was sent."""
    usage = reply.usage
    if usage is not None and usage.type == "duration":
        return {"audio_seconds": usage.seconds}
    return {"audio_seconds": audio.seconds, "estimated": True}


def open_engine(options: EngineOptions) -> OpenAITranscription:
    """Return the engine.

    Raises:
        Unavailable: the SDK or the key is missing.
    """
    return OpenAITranscription(open_client(options), options)
