"""faster-whisper: Whisper on CTranslate2, on the processor or a CUDA card."""

from __future__ import annotations

from typing import Any, Final

from pipeline.audio import Audio
from pipeline.documents import Segment
from pipeline.engines import EngineOptions, Needs, Spent
from pipeline.engines.speech import Heard
from pipeline.engines.speech.weights import ctranslate2_weights, require, samples_as_floats

DEFAULT_MODEL: Final = "small"


class FasterWhisper:
    """Recognition on this machine with Whisper weights."""

    backend = "faster-whisper"
    service = "local"
    model = "faster-whisper"

    def __init__(self, library: Any, weights: str, options: EngineOptions) -> None:
        self._whisper = library.WhisperModel(weights, device="auto", compute_type="int8")
        self._name = options.model or DEFAULT_MODEL
        self._language = options.language

    def needs(self, audio: Audio) -> Needs:
        """Return the length of the audio."""
        return Needs(audio_seconds=audio.seconds)

    def transcribe(self, audio: Audio) -> Heard:
        """Transcribe; pauses are cut out by the package's own voice activity detector."""
        pieces, info = self._whisper.transcribe(
            samples_as_floats(audio), language=self._language, vad_filter=True
        )
        segments = tuple(Segment(round(p.start, 3), round(p.end, 3), p.text.strip()) for p in pieces)
        details = {"weights": self._name}
        return Heard(info.language, segments, Spent({"audio_seconds": audio.seconds}, details=details))


def open_engine(options: EngineOptions) -> FasterWhisper:
    """Return the engine.

    Raises:
        Unavailable: the package or its weights are missing.
    """
    library = require("faster_whisper", "faster-whisper")
    weights = ctranslate2_weights(options.model or DEFAULT_MODEL, download=options.download)
    return FasterWhisper(library, weights, options)
