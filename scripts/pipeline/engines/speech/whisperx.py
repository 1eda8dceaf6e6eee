"""WhisperX: batched Whisper with voice activity detection."""

from __future__ import annotations

from typing import Any, Final

from pipeline.audio import Audio
from pipeline.engines import EngineOptions, Needs
from pipeline.engines.speech import Heard
from pipeline.engines.speech.weights import ctranslate2_weights, heard_in, require, samples_as_floats

DEFAULT_MODEL: Final = "large-v3"


class WhisperX:
    """Recognition on this machine with Whisper weights."""

    backend = "whisperx"
    service = "local"
    model = "whisperx"

    def __init__(self, library: Any, weights: str, options: EngineOptions) -> None:
        cuda = require("torch", "torch").cuda.is_available()
        device, kind = ("cuda", "float16") if cuda else ("cpu", "int8")
        self._whisper = library.load_model(weights, device, compute_type=kind, language=options.language)
        self._name = options.model or DEFAULT_MODEL

    def needs(self, audio: Audio) -> Needs:
        """Return the length of the audio."""
        return Needs(audio_seconds=audio.seconds)

    def transcribe(self, audio: Audio) -> Heard:
        """Transcribe in batches."""
        result = self._whisper.transcribe(samples_as_floats(audio), batch_size=8)
        return heard_in(result, audio, self._name)


def open_engine(options: EngineOptions) -> WhisperX:
    """Return the engine.

    Raises:
        Unavailable: the package or its weights are missing.
    """
    library = require("whisperx", "whisperx")
    weights = ctranslate2_weights(options.model or DEFAULT_MODEL, download=options.download)
    return WhisperX(library, weights, options)
