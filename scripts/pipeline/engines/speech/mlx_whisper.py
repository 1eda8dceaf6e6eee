"""mlx-whisper: Whisper on Apple silicon."""

from __future__ import annotations

from typing import Any, Final

from pipeline.audio import Audio
from pipeline.engines import EngineOptions, Needs
from pipeline.engines.speech import Heard
from pipeline.engines.speech.weights import heard_in, hub_weights, require, samples_as_floats

DEFAULT_MODEL: Final = "mlx-community/whisper-large-v3-mlx"


class MlxWhisper:
    """Recognition on this machine with Whisper weights in MLX form."""

    backend = "mlx-whisper"
    service = "local"
    model = "mlx-whisper"

    def __init__(self, library: Any, weights: str, options: EngineOptions) -> None:
        self._library = library
        self._weights = weights
        self._name = options.model or DEFAULT_MODEL
        self._language = options.language

    def needs(self, audio: Audio) -> Needs:
        """Return the length of the audio."""
        return Needs(audio_seconds=audio.seconds)

    def transcribe(self, audio: Audio) -> Heard:
        """Transcribe on the graphics cores."""
        result = self._library.transcribe(
            samples_as_floats(audio), path_or_hf_repo=self._weights, language=self._language
        )
        return heard_in(result, audio, self._name)


def open_engine(options: EngineOptions) -> MlxWhisper:
    """Return the engine.

    Raises:
        Unavailable: the package or its weights are missing.
    """
    library = require("mlx_whisper", "mlx-whisper")
    weights = hub_weights(options.model or DEFAULT_MODEL, download=options.download)
    return MlxWhisper(library, weights, options)
