"""How much work a file is: the characters of a text, the seconds of a recording. Nothing is decoded."""

from __future__ import annotations

import shutil
import subprocess
import wave
from pathlib import Path
from typing import Final

from ..capture.recordings import wav_seconds
from ..errors import CostError

TEXTS: Final = frozenset({".txt", ".md", ".srt", ".vtt", ".json", ".csv", ".html", ".rst", ".tex"})
_PROBE_S: Final = 20.0


class NotMeasured(CostError):
    """How much work a file is cannot be measured."""


def characters_of(path: Path) -> int:
    """Return the number of characters of a text.

    Raises:
        NotMeasured: it is not UTF-8 text.
        OSError: it cannot be read.
    """
    try:
        return len(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise NotMeasured(f"{path} is not UTF-8 text; give its tokens with --input-tokens") from None


def seconds_of(path: Path) -> float:
    """Return the length of a recording: of WAV and FLAC from its header, of others by ffprobe's packets.

    Raises:
        NotMeasured: its length cannot be measured.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(42)
    if head[:4] == b"fLaC":
        return _flac(path, head)
    if head[:4] == b"RIFF":
        return _wave(path)
    return _probed(path)


def _flac(path: Path, head: bytes) -> float:
    """Read STREAMINFO: 20 bits of sample rate, 8 of format, 36 of samples (RFC 9639, section 8.2)."""
    bits = int.from_bytes(head[18:26])
    rate, samples = bits >> 44, bits & (1 << 36) - 1
    # An encoder that wrote into a pipe left the number of samples out.
    return samples / rate if rate and samples else _probed(path)


def _wave(path: Path) -> float:
    try:
        with path.open("rb") as file:
            return wav_seconds(file)
    except (wave.Error, EOFError, ZeroDivisionError) as fault:
        if shutil.which("ffprobe"):  # of 24 bits or packed, which only it can read
            return _probed(path)
        raise NotMeasured(
            f"{path} is not a WAV file that can be read ({fault}); give --audio-minutes"
        ) from None


def _probed(path: Path) -> float:
    program = shutil.which("ffprobe")
    if program is None:
        raise NotMeasured(f"{path}: only WAV and FLAC can be measured without ffprobe; give --audio-minutes")
    # Not every file states its length, and where it does not, ffprobe's own figure is a guess from the first
    # frames' bit rate (findings/length_of_a_recording_that_begins_with_silence.sh); packets add up to it.
    command = [program, "-v", "error", "-select_streams", "a:0", "-show_entries", "packet=duration_time"]
    command += ["-of", "csv=p=0", str(path.absolute())]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_PROBE_S, check=True)
        found = sum(float(line.strip(b",")) for line in done.stdout.split())
    except (subprocess.SubprocessError, ValueError) as fault:
        raise NotMeasured(f"{path}: ffprobe cannot tell its length ({fault}); give --audio-minutes") from None
    if not found:
        raise NotMeasured(f"{path} has no sound; give --audio-minutes")
    return found
