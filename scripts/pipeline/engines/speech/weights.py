"""What the Whisper packages share: weights that are on this machine, samples in, segments out."""

from __future__ import annotations

import importlib
import importlib.util
import wave
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.audio import Audio
from pipeline.documents import Segment
from pipeline.engines import Spent, Unavailable
from pipeline.engines.speech import Heard


def require(module: str, package: str) -> Any:
    """Import ``module``, or say that ``package`` has to be installed.

    ``find_spec`` comes first: it costs nothing, and some of these packages take seconds to import.

    Raises:
        Unavailable: it is not installed.
    """
    if importlib.util.find_spec(module) is None:
        raise Unavailable(f"pip install {package}")
    return importlib.import_module(module)


def ctranslate2_weights(model: str, *, download: bool) -> str:
    """Return the folder of the CTranslate2 weights of ``model``, as faster-whisper keeps them.

    Raises:
        Unavailable: they are not there, and ``download`` is not set.
    """
    utils = require("faster_whisper.utils", "faster-whisper")
    return _local_or_said(model, lambda: utils.download_model(model, local_files_only=not download))


def hub_weights(repository: str, *, download: bool) -> str:
    """Return the folder of a Hugging Face repository in the local cache.

    Raises:
        Unavailable: it is not there, and ``download`` is not set.
    """
    hub = require("huggingface_hub", "huggingface-hub")
    return _local_or_said(
        repository, lambda: hub.snapshot_download(repository, local_files_only=not download)
    )


def _local_or_said(model: str, find: Callable[[], object]) -> str:
    if Path(model).is_dir():
        return model  # a folder of one's own
    # huggingface_hub raises LocalEntryNotFoundError, which is both a FileNotFoundError and a ValueError.
    try:
        return str(find())
    except (FileNotFoundError, ValueError) as fault:
        raise Unavailable(
            f"the weights of {model} are not on this machine; --download fetches them"
        ) from fault


def samples_as_floats(audio: Audio) -> Any:
    """Return the audio as a numpy array between -1 and 1, which all Whisper packages take."""
    numpy = require("numpy", "numpy")
    with wave.open(str(audio.path), "rb") as stream:
        samples = numpy.frombuffer(stream.readframes(stream.getnframes()), dtype=numpy.int16)
    return samples.astype(numpy.float32) / 32768.0


def heard_in(result: Mapping[str, Any], audio: Audio, weights: str) -> Heard:
    """Return what a Whisper package's result says was heard; ``weights`` goes into the entry."""
    segments = tuple(
        Segment(round(piece["start"], 3), round(piece["end"], 3), piece["text"].strip())
        for piece in result["segments"]
    )
    spent = Spent({"audio_seconds": audio.seconds}, details={"weights": weights})
    return Heard(result["language"], segments, spent)
