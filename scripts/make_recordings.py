#!/usr/bin/env python3
"""Make the recordings in ``scripts/recordings`` again from their texts.

Each ``NAME.txt`` holds one sentence a line. Every sentence is spoken by a Flite voice (through
ffmpeg's ``flite`` source), sentences are parted by a pause, and the whole is written as 16 kHz
mono FLAC. Needs an ffmpeg built with libflite, as Debian's and Ubuntu's are.

    python scripts/make_recordings.py
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

RECORDINGS = Path(__file__).resolve().parent / "recordings"
VOICES = {"garden-report": "rms", "museum-tour": "slt", "team-meeting": "awb"}
SAMPLE_RATE = 16_000
PAUSE_SECONDS = 0.6


def ffmpeg(*arguments: str, data: bytes | None = None) -> bytes:
    """Run ffmpeg on ``data`` and return what it writes to its standard output."""
    command = ["ffmpeg", "-v", "error", *arguments]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def speak(sentence: str, voice: str) -> bytes:
    """Return ``sentence`` spoken, as 16-bit mono samples."""
    if "'" in sentence:
        raise ValueError(f"ffmpeg's filter syntax has no room for an apostrophe: {sentence}")
    source = f"flite=text='{sentence}':voice={voice}"
    return ffmpeg("-f", "lavfi", "-i", source, "-ar", str(SAMPLE_RATE), "-ac", "1", "-f", "s16le", "-")


def make(text: Path) -> Path:
    """Speak one text and return the FLAC file that was written."""
    pause = bytes(2 * int(SAMPLE_RATE * PAUSE_SECONDS))
    sentences = text.read_text(encoding="utf-8").splitlines()
    samples = pause + pause.join(speak(sentence, VOICES[text.stem]) for sentence in sentences) + pause
    target = text.with_suffix(".flac")
    raw = ("-f", "s16le", "-ar", str(SAMPLE_RATE), "-ac", "1", "-i", "-")
    encoded = ffmpeg(*raw, "-compression_level", "12", "-bitexact", "-f", "flac", "-", data=samples)
    target.write_bytes(encoded)
    return target


def main() -> int:
    """Make every recording; the exit code is 1 when ffmpeg refuses."""
    for text in sorted(RECORDINGS.glob("*.txt")):
        try:
            made = make(text)
        except (OSError, subprocess.CalledProcessError) as fault:
            detail = getattr(fault, "stderr", b"") or str(fault).encode()
            print(f"{text.name}: ffmpeg with libflite is needed: {detail.decode().strip()}", file=sys.stderr)
            return 1
        print(f"{made.name}: {made.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
