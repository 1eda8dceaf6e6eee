from __future__ import annotations

import math
import shutil
import struct
import subprocess
import wave
from pathlib import Path

import pytest
from pipeline.audio import SAMPLE_RATE, length_of, prepare
from pipeline.faults import StageFailed

RECORDINGS = sorted((Path(__file__).resolve().parents[2] / "scripts" / "recordings").glob("*.flac"))
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not on PATH")


def tone(path: Path, rate: int, channels: int, seconds: float) -> Path:
    with wave.open(str(path), "wb") as stream:
        stream.setparams((channels, 2, rate, 0, "NONE", "not compressed"))
        for frame in range(int(rate * seconds)):
            sample = int(8000 * math.sin(2 * math.pi * 440 * frame / rate))
            stream.writeframesraw(struct.pack("<h", sample) * channels)
    return path


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_shipped_recordings_are_decoded(path: Path, tmp_path: Path) -> None:
    audio = prepare(path, tmp_path)
    assert 13 < audio.seconds < 18
    assert sum(map(len, audio.chunks(4096))) == round(audio.seconds * SAMPLE_RATE) * 2


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2), (8_000, 1)])
def test_other_rates_and_channels_are_converted(tmp_path: Path, rate: int, channels: int) -> None:
    audio = prepare(tone(tmp_path / "tone.wav", rate, channels, 1.5), tmp_path)
    assert audio.seconds == pytest.approx(1.5, abs=0.01)


@needs_ffmpeg
def test_video_goes_through_ffmpeg(tmp_path: Path) -> None:
    video = tmp_path / "talk.mkv"
    picture = ["-f", "lavfi", "-i", "color=black:size=64x64:rate=5:duration=1"]
    sound = ["-f", "lavfi", "-i", "sine=frequency=440:duration=1"]
    subprocess.run(["ffmpeg", "-v", "error", *picture, *sound, str(video)], check=True)
    assert prepare(video, tmp_path).seconds == pytest.approx(1.0, abs=0.05)


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "codec", "parts"), [("joined.mp3", "libmp3lame", 3), ("voice.ogg", "libopus", 1)]
)
def test_what_miniaudio_reads_in_part_or_not_goes_through_ffmpeg(
    tmp_path: Path, name: str, codec: str, parts: int
) -> None:
    sound = ["-f", "lavfi", "-i", "sine=frequency=440:duration=1", "-c:a", codec]
    subprocess.run(["ffmpeg", "-v", "error", *sound, str(tmp_path / name)], check=True)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes() * parts)
    assert prepare(tmp_path / name, tmp_path).seconds == pytest.approx(parts, abs=0.2)
    assert length_of(tmp_path / name) == pytest.approx(parts, abs=0.2)


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("call.aac", ["-c:a", "aac", "-b:a", "96k", "-f", "adts"]),
        ("call.mp3", ["-c:a", "libmp3lame", "-q:a", "4", "-id3v2_version", "0", "-f", "mp3"]),
        ("call.flac", ["-f", "flac"]),
        ("call.wav", ["-f", "wav"]),
    ],
)
def test_a_recording_that_was_piped_and_begins_with_silence_has_the_length_of_all_its_packets(
    tmp_path: Path, name: str, options: list[str]
) -> None:
    silence = ["-f", "lavfi", "-i", "anullsrc=r=44100:cl=mono:d=5"]
    noise = ["-f", "lavfi", "-i", "anoisesrc=d=5:r=44100:a=0.5:seed=7"]
    joined = ["-filter_complex", "[0:a][1:a]concat=n=2:v=0:a=1"]
    # Into a pipe, where it cannot go back and write how long it became.
    command = ["ffmpeg", "-v", "error", *silence, *noise, *joined, *options, "-"]
    (tmp_path / name).write_bytes(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    assert length_of(tmp_path / name) == pytest.approx(10, abs=0.2)


@needs_ffmpeg
def test_ffmpegs_own_words_are_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no sound at all")
    with pytest.raises(StageFailed, match=r"notes.txt cannot be read as a recording: .*Invalid data"):
        prepare(tmp_path / "notes.txt", tmp_path)


def test_without_ffmpeg_it_says_what_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "talk.mp4").write_bytes(b"\0")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StageFailed, match=r"talk.mp4 needs ffmpeg on PATH; .*\.flac, \.mp3, \.ogg, \.wav"):
        prepare(tmp_path / "talk.mp4", tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "is missing"), (b"RIFF", "cannot be read as a recording"), (b"", "cannot be read")],
)
def test_what_is_no_recording_is_told(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "broken.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StageFailed, match=said):
        prepare(path, tmp_path)


def test_a_recording_without_a_sample_is_told(tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match="has no sound in it"):
        prepare(tone(tmp_path / "empty.wav", 16_000, 1, 0), tmp_path)
