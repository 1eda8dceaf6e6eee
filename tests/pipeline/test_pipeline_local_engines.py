"""The local engines, for real: recognition of the shipped recordings, translation, summary."""

from __future__ import annotations

import importlib.util
import shutil
import wave
from pathlib import Path

import pytest
from pipeline.audio import Audio, prepare
from pipeline.documents import Segment, Transcript
from pipeline.engines import SPEECH, SUMMARY, TRANSLATION, EngineOptions
from pipeline.faults import StageFailed, StageSkipped

from tests.support.stages import RECORDINGS, word_error_rate, words

needs_apertium = pytest.mark.skipif(shutil.which("apertium") is None, reason="apertium is not on PATH")
ENGLISH = EngineOptions()


def test_pocketsphinx_hears_most_of_what_is_spoken(tmp_path: Path) -> None:
    audio = prepare(RECORDINGS[-1], tmp_path)
    heard = SPEECH.open("pocketsphinx", ENGLISH).transcribe(audio)
    spoken = RECORDINGS[-1].with_suffix(".txt").read_text()
    assert word_error_rate(spoken, " ".join(segment.text for segment in heard.segments)) < 0.1
    assert len(heard.segments) == 4  # one a sentence: there are pauses between them
    assert heard.spent.usage == {"audio_seconds": audio.seconds}
    times = [time for segment in heard.segments for time in (segment.start, segment.end)]
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] <= audio.seconds


def test_speech_up_to_the_last_frame_is_heard(tmp_path: Path) -> None:
    whole = prepare(RECORDINGS[-1], tmp_path)
    cut = tmp_path / "cut.wav"
    frame = SPEECH.open("pocketsphinx", ENGLISH)._library.Endpointer().frame_bytes
    with wave.open(str(cut), "wb") as stream:
        stream.setparams((1, 2, 16_000, 0, "NONE", "not compressed"))
        stream.writeframes(b"".join(whole.chunks(frame))[: frame * 60])  # 1.8 s: in the middle of a sentence
    heard = SPEECH.open("pocketsphinx", ENGLISH).transcribe(Audio(cut, 1.8, cut))
    assert words(" ".join(segment.text for segment in heard.segments))[:2] == ["good", "morning"]


def test_silence_has_no_segments(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "silence.wav"), "wb") as stream:
        stream.setparams((1, 2, 16_000, 0, "NONE", "not compressed"))
        stream.writeframes(bytes(64_000))
    heard = SPEECH.open("auto", ENGLISH).transcribe(prepare(tmp_path / "silence.wav", tmp_path))
    assert heard.segments == ()
    assert heard.spent.usage == {"audio_seconds": 2.0}


def test_other_languages_are_refused_with_what_would_do() -> None:
    with pytest.raises(StageSkipped) as said:
        SPEECH.open("auto", EngineOptions(language="hi"))
    assert "no engine is at hand; any one of these would do:" in str(said.value)
    assert "whisperx: pip install whisperx" in str(said.value)
    assert "pocketsphinx: its bundled model understands English only, not 'hi'" in str(said.value)


@pytest.mark.parametrize("name", ["whisperx", "faster-whisper", "mlx-whisper"])
def test_engines_that_are_not_there_say_how_to_get_them(name: str) -> None:
    if importlib.util.find_spec(name.replace("-", "_")):
        pytest.skip(f"{name} is installed here")
    with pytest.raises(StageFailed, match=f"engine {name} cannot be used: pip install {name}"):
        SPEECH.open(name, ENGLISH)


@needs_apertium
@pytest.mark.parametrize(
    ("text", "translated"),
    [
        (
            "this is the weekly report from the community garden",
            "Esto es el informe semanal del jardín comunitario",
        ),
        ("good morning everyone.", "buenos días Todo el mundo."),
    ],
)
def test_apertium_translates(text: str, translated: str) -> None:
    assert TRANSLATION.open("apertium", ENGLISH).translate([text]).texts == (translated,)


@needs_apertium
def test_apertium_keeps_segments_apart() -> None:
    texts = [f"{path.with_suffix('.txt').read_text()}".splitlines()[0] for path in RECORDINGS]
    engine = TRANSLATION.open("auto", ENGLISH)
    together = engine.translate([*texts, "a\n\nb", "please wait"])
    assert len(together.texts) == len(texts) + 2
    assert together.texts[:3] == tuple(engine.translate([text]).texts[0] for text in texts)
    assert together.spent.details == {"pair": "eng-spa"}


@needs_apertium
def test_a_pair_that_is_not_installed_is_told() -> None:
    with pytest.raises(StageSkipped, match=r"apertium: it has no pair eng-isl \(installed: .*eng-spa"):
        TRANSLATION.open("auto", EngineOptions(target="is"))


def test_without_apertium_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StageSkipped, match="apt install apertium apertium-eng-spa"):
        TRANSLATION.open("auto", ENGLISH)


def transcript(language: str, *texts: str) -> Transcript:
    return Transcript(language, "test", "test", 1.0, tuple(Segment(0.0, 1.0, text) for text in texts))


@pytest.mark.parametrize("language", ["en", "es", "xx"])
def test_a_summary_is_what_was_spoken_in_its_order(language: str) -> None:
    texts = ["the garden needs water", "good morning", "water is dear in the garden", "thank you"]
    summary = SUMMARY.open("auto", EngineOptions(sentences=2)).summarize(transcript(language, *texts))
    chosen = summary.text.splitlines()
    assert len(chosen) == 2
    assert chosen == [text for text in texts if text in chosen]


def test_the_summary_prefers_what_is_said_often() -> None:
    texts = ["good morning", "the garden needs water", "water the garden", "the end"]
    summary = SUMMARY.open("extractive", EngineOptions(sentences=1)).summarize(transcript("en", *texts))
    assert "garden" in summary.text


def test_a_summary_of_nothing_is_empty() -> None:
    assert SUMMARY.open("auto", ENGLISH).summarize(transcript("en")).text == ""
