from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipeline.documents import Segment, Transcript, read_transcript
from pipeline.faults import WrongUsage

SPOKEN = Transcript(
    "en",
    "pocketsphinx",
    "pocketsphinx",
    14.0,
    (Segment(0.6, 3.3, "good morning"), Segment(3599.9999, 3725.25, "¿qué?")),
)

segments = st.builds(
    Segment, st.floats(0, 1e5), st.floats(0, 1e5), st.text(st.characters(exclude_categories=["Cs"]))
)


@given(st.lists(segments))
def test_what_was_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, spoken: list[Segment]
) -> None:
    path = tmp_path_factory.mktemp("written") / "transcript.json"
    transcript = Transcript("en", "backend", "model", 12.5, tuple(spoken))
    path.write_text(transcript.as_json(), encoding="utf-8")
    assert read_transcript(path) == transcript


def test_subtitles_carry_into_minutes_and_hours() -> None:
    assert SPOKEN.as_srt() == (
        "1\n00:00:00,600 --> 00:00:03,300\ngood morning\n\n2\n01:00:00,000 --> 01:02:05,250\n¿qué?\n"
    )


def test_a_translation_keeps_the_times() -> None:
    spanish = SPOKEN.translated("es", "apertium", "apertium", ["buenos días", "¿qué?"])
    assert spanish.text == "buenos días\n¿qué?"
    assert [(s.start, s.end) for s in spanish.segments] == [(s.start, s.end) for s in SPOKEN.segments]


def test_a_translation_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        SPOKEN.translated("es", "apertium", "apertium", ["buenos días"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "run 06_whisperx_asr.py on this job first"),
        ("{", "is not a transcript"),
        ("[]", "is not a transcript"),
        ('{"segments": 3}', "is not a transcript"),
        ('{"segments": [], "language": "en"}', "is not a transcript"),
    ],
)
def test_what_is_no_transcript_is_refused(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "transcript.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(WrongUsage, match=said):
        read_transcript(path)
