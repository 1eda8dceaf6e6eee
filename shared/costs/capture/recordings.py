"""How long a recording is, read from the file itself."""

from __future__ import annotations

import wave
from typing import BinaryIO


def wav_seconds(file: BinaryIO) -> float:
    """Return the length of a WAV file in seconds.

    Frames that the header claims and the file does not have are not counted: a file that was written to a
    pipe states the largest number there is.

    Raises:
        wave.Error, EOFError, ZeroDivisionError: not a WAV file that can be read.
        OSError: the file cannot be read.

    """
    size = file.seek(0, 2)
    file.seek(0)
    with wave.open(file) as sound:
        frames_present = (size - file.tell()) // (sound.getnchannels() * sound.getsampwidth())
        return float(min(sound.getnframes(), frames_present) / sound.getframerate())
