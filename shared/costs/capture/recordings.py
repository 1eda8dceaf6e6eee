"""How long a recording is, by what stands in it."""

from __future__ import annotations

import wave
from typing import BinaryIO


def wav_seconds(file: BinaryIO) -> float:
    """Return the seconds of a WAV file, of no more frames than it has: one that was piped states the most.

    Raises:
        wave.Error, EOFError, ZeroDivisionError: it is not a WAV file that can be read.
        OSError: it cannot be read.

    """
    size = file.seek(0, 2)
    file.seek(0)
    with wave.open(file) as sound:
        there = (size - file.tell()) // (sound.getnchannels() * sound.getsampwidth())
        return float(min(sound.getnframes(), there) / sound.getframerate())
