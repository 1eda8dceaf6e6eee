"""Turning a recording into what every speech engine reads: 16 kHz mono WAV.

WAV and FLAC are decoded by miniaudio, whose decoders come in its wheel; video and everything else by
ffmpeg, where it is on PATH. Without it miniaudio also reads MP3 and Ogg Vorbis, but of an MP3 that was
joined from several the first one alone: ``findings/miniaudio_first_part_of_joined_mp3.sh``.
"""

from __future__ import annotations

import shutil
import subprocess
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .faults import StageFailed

SAMPLE_RATE: Final = 16_000
SAMPLE_BYTES: Final = 2
EMBEDDED: Final = frozenset({".wav", ".flac", ".mp3", ".ogg"})
_WHOLE: Final = frozenset({".wav", ".flac"})
_CHUNK_FRAMES: Final = SAMPLE_RATE


@dataclass(frozen=True)
class Audio:
    """A 16 kHz mono WAV file of ``seconds`` length, and the recording it was made from."""

    path: Path
    seconds: float
    original: Path

    def chunks(self, size: int) -> Iterator[bytes]:
        """Yield the samples (16-bit, native order) in pieces of ``size`` bytes; the last may be shorter."""
        with wave.open(str(self.path), "rb") as stream:
            while chunk := stream.readframes(size // SAMPLE_BYTES):
                yield chunk


def prepare(media: Path, folder: Path) -> Audio:
    """Decode ``media`` into ``folder``; memory stays flat whatever its length.

    Raises:
        StageFailed: the file is missing, is not a recording, or needs an ffmpeg that is not there.
    """
    if not media.is_file():
        raise StageFailed(f"{media} is missing: put the recording back, or begin a new job")
    target = folder / "audio.wav"
    frames = 0
    with wave.open(str(target), "wb") as stream:
        stream.setparams((1, SAMPLE_BYTES, SAMPLE_RATE, 0, "NONE", "not compressed"))
        for chunk in _decode(media):
            stream.writeframesraw(chunk)
            frames += len(chunk) // SAMPLE_BYTES
    if not frames:
        raise StageFailed(f"{media} has no sound in it")
    return Audio(target, frames / SAMPLE_RATE, media)


def length_of(media: Path) -> float:
    """Return the length of a recording in seconds; 0.0 where it is not known before it is decoded."""
    kind, can_probe = media.suffix.lower(), shutil.which("ffprobe") is not None
    is_embedded = kind in EMBEDDED and (kind in _WHOLE or not can_probe)
    # A FLAC file that was piped states no length.
    seconds = _embedded_length(media) if is_embedded else 0.0
    return seconds or (_packets_length(media) if can_probe else 0.0)


def _packets_length(media: Path) -> float:
    """Add up the packets: ffprobe's own length of MP3 and AAC may be a guess from the first ones' size."""
    asked = ["ffprobe", "-v", "error", "-select_streams", "a:0", "-show_entries", "packet=duration_time"]
    asked += ["-of", "csv=p=0", str(media)]
    said = subprocess.run(asked, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    try:
        return sum(float(packet.strip(",")) for packet in said.stdout.split())
    except ValueError:
        return 0.0


def _embedded_length(media: Path) -> float:
    try:
        import miniaudio
    except ImportError:
        return 0.0
    try:
        return float(miniaudio.get_file_info(str(media)).duration)
    except (OSError, miniaudio.MiniaudioError):
        return 0.0


def _decode(media: Path) -> Iterator[bytes]:
    kind = media.suffix.lower()
    if kind not in _WHOLE and shutil.which("ffmpeg"):
        return _decode_ffmpeg(media)
    if kind in EMBEDDED:
        return _decode_embedded(media)
    readable = ", ".join(sorted(EMBEDDED))
    raise StageFailed(f"{media.name} needs ffmpeg on PATH; without it these are read: {readable}")


def _decode_embedded(media: Path) -> Iterator[bytes]:
    try:
        import miniaudio
    except ImportError:
        raise StageFailed("reading recordings needs miniaudio: pip install '.[local]'") from None
    try:
        stream = miniaudio.stream_file(
            str(media), miniaudio.SampleFormat.SIGNED16, 1, SAMPLE_RATE, frames_to_read=_CHUNK_FRAMES
        )
        for samples in stream:
            yield samples.tobytes()
    except miniaudio.MiniaudioError as fault:
        raise StageFailed(f"{media} cannot be read as a recording: {fault}") from fault


def _decode_ffmpeg(media: Path) -> Iterator[bytes]:
    raw = ["-vn", "-f", "s16le", "-ac", "1", "-ar", str(SAMPLE_RATE), "-"]
    command = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(media), *raw]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while chunk := process.stdout.read(_CHUNK_FRAMES * SAMPLE_BYTES):
            yield chunk
        fault = process.stderr.read().decode(errors="replace").strip()
    if process.returncode:
        raise StageFailed(f"{media} cannot be read as a recording: {fault}")
