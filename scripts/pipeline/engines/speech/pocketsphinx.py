"""Pocketsphinx: the embedded default. Its US English model comes in its wheel; no downloads.

Speech is cut at pauses by its voice activity detector, and each piece is decoded on its own, so
that memory stays flat and every segment has its times.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pipeline.audio import Audio
from pipeline.documents import Segment
from pipeline.engines import EngineOptions, Needs, Spent, Unavailable
from pipeline.engines.speech import Heard

LANGUAGE: Final = "en"


class Pocketsphinx:
    """Recognition on this machine with the bundled ``en-us`` model."""

    backend = "pocketsphinx"
    service = "local"
    model = "pocketsphinx"

    def __init__(self, library: Any) -> None:
        self._library = library

    def needs(self, audio: Audio) -> Needs:
        """Return the length of the audio."""
        return Needs(audio_seconds=audio.seconds)

    def transcribe(self, audio: Audio) -> Heard:
        """Decode each stretch of speech; stretches without a word are left out."""
        decoder = self._library.Decoder(loglevel="FATAL")
        segments = tuple(
            Segment(start, end, text)
            for start, end, samples in self._speech(audio)
            if (text := _decode(decoder, samples))
        )
        return Heard(LANGUAGE, segments, Spent({"audio_seconds": audio.seconds}))

    def _speech(self, audio: Audio) -> Iterator[tuple[float, float, bytes]]:
        """Yield start and end in seconds, and the samples, of each stretch of speech."""
        endpointer = self._library.Endpointer()
        gathered = bytearray()
        for frame in audio.chunks(endpointer.frame_bytes):
            whole = len(frame) == endpointer.frame_bytes
            gathered += (endpointer.process(frame) if whole else endpointer.end_stream(frame)) or b""
            if gathered and not endpointer.in_speech:
                yield round(endpointer.speech_start, 3), round(endpointer.speech_end, 3), bytes(gathered)
                gathered.clear()
        if gathered:  # the recording ended in the middle of speech, at a whole frame
            yield round(endpointer.speech_start, 3), round(audio.seconds, 3), bytes(gathered)


def _decode(decoder: Any, samples: bytes) -> str:
    decoder.start_utt()
    decoder.process_raw(samples, full_utt=True)
    decoder.end_utt()
    found = decoder.hyp()
    return found.hypstr.strip() if found else ""


def open_engine(options: EngineOptions) -> Pocketsphinx:
    """Return the engine; English is all it understands.

    Raises:
        Unavailable: the package is missing, or the recording is in another language.
    """
    if options.language != LANGUAGE:
        raise Unavailable(f"its bundled model understands English only, not {options.language!r}")
    try:
        import pocketsphinx
    except ImportError:
        raise Unavailable("pip install '.[local]'") from None
    return Pocketsphinx(pocketsphinx)
