"""``estimate`` and ``compare-models``: by price, by file, by earlier jobs."""

from __future__ import annotations

import shutil
import struct
import subprocess
import wave
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.costs.analysis.estimates import WHOLE, ModelCost, PlannedCalls, StageEstimate
from shared.costs.model import Usage
from shared.costs.money import from_usd
from shared.costs.reports.compare_models import ComparisonFacts, comparison_report
from shared.costs.reports.estimate import (
    EstimatedWork,
    EstimateFacts,
    MonthRemainder,
    NotMeasured,
    characters_of,
    estimate_report,
    history_estimate_report,
    seconds_of,
)
from tests.costs.cli.cli_support import ROOT, Dashboard
from tests.support.golden import check_report

AT = datetime(2026, 11, 22, tzinfo=UTC)
WORK = EstimatedWork(
    PlannedCalls(Usage(tokens_input=1_500, tokens_output=375), AT, 200, "batch"),
    ["Output is assumed to be 375 tokens."],
)


def a_recording(path: Path, seconds: int) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8_000)
        file.writeframes(b"\x80" * 8_000 * seconds)
    return path


def test_by_price(dashboard: Dashboard) -> None:
    found = dashboard(
        "estimate", "gpt-4o", "--input-tokens", "1500", "--output-tokens", "300", "--calls", "200", "--json"
    ).json()
    assert (found["model"], found["cost_usd"], found["left_usd"]) == ("openai/gpt-4o", 1.35, 50)
    assert found["arithmetic"][-1] == "total $0.00675"
    half = dashboard("estimate", "gpt-4o", "--input-tokens", "1500", "--tier", "batch", "--json").json()
    assert half["usage"] == {"tokens_input": 1_500, "tokens_output": 375}
    assert half["cost_usd"] == 0.00375
    ran = dashboard("estimate", "acme/unheard-of-1", "--input-tokens", "9")
    assert (ran.code, "unpriced" in ran.out) == (3, True)
    dear = dashboard("estimate", "gpt-4", "--input-tokens", "9000000")
    assert "More than user 1 has left this month: $50.00." in dear.out


def test_by_file(tmp_path: Path, dashboard: Dashboard) -> None:
    text = tmp_path / "talk.txt"
    text.write_text("word " * 1_000)
    found = dashboard("estimate", "gpt-4o", "--file", text, "--json").json()
    assert found["usage"] == {"tokens_input": 1_250, "tokens_output": 312}
    assert len(found["assumed"]) == 2
    sound = a_recording(tmp_path / "talk.wav", 90)
    assert dashboard("estimate", "openai/whisper-1", "--file", sound, "--json").json()["cost_usd"] == 0.009


def test_without_ffprobe_other_recordings_cannot_be_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "c.mp3").write_bytes(b"sound")
    with pytest.raises(NotMeasured, match="without ffprobe"):
        seconds_of(tmp_path / "c.mp3")


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not on PATH")
def test_wav_that_python_cannot_read_is_measured_by_ffprobe(tmp_path: Path) -> None:
    whole, packed = a_recording(tmp_path / "a.wav", 3), tmp_path / "b.wav"
    subprocess.run(["ffmpeg", "-v", "error", "-i", whole, "-c:a", "pcm_alaw", packed], check=True)
    assert seconds_of(packed) == pytest.approx(3, abs=0.1)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not on PATH")
def test_a_recording_that_was_cut_without_copying_is_what_is_played_of_it(tmp_path: Path) -> None:
    whole, short = a_recording(tmp_path / "a.wav", 60), tmp_path / "b.m4a"
    subprocess.run(["ffmpeg", "-v", "error", "-i", whole, "-c:a", "aac", short], check=True)
    assert seconds_of(short) == pytest.approx(60, abs=0.1)
    cut = bytearray(short.read_bytes())
    edits = cut.index(b"elst")
    (scale,) = struct.unpack_from(">I", cut, cut.index(b"mvhd") + 16)
    (begin,) = struct.unpack_from(">I", cut, edits + 16)
    struct.pack_into(">II", cut, edits + 12, 10 * scale, begin + 20 * 8_000)
    short.write_bytes(cut)
    assert seconds_of(short) == pytest.approx(10, abs=0.2)


def test_recordings_are_measured(tmp_path: Path) -> None:
    whole = a_recording(tmp_path / "a.wav", 3)
    assert seconds_of(whole) == 3
    piped = bytearray(whole.read_bytes())  # what ffmpeg writes where it cannot go back to the header
    piped[4:8] = piped[40:44] = b"\xff" * 4
    (tmp_path / "piped.wav").write_bytes(piped)
    assert seconds_of(tmp_path / "piped.wav") == 3
    flac = tmp_path / "a.flac"
    stream = (16_000 << 44) | (0 << 41) | (15 << 36) | 40_000
    flac.write_bytes(b"fLaC\x80\x00\x00\x22" + bytes(10) + stream.to_bytes(8) + bytes(16))
    assert seconds_of(flac) == 2.5
    (tmp_path / "b.wav").write_bytes(b"RIFF and nothing more")
    with pytest.raises(NotMeasured, match="give --audio-minutes"):
        seconds_of(tmp_path / "b.wav")
    (tmp_path / "c.mp3").write_bytes(b"no sound")
    with pytest.raises(NotMeasured, match="give --audio-minutes"):
        seconds_of(tmp_path / "c.mp3")
    (tmp_path / "d.txt").write_bytes(b"\xff\xfe no UTF-8")
    with pytest.raises(NotMeasured, match="give its tokens"):
        characters_of(tmp_path / "d.txt")


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not on PATH")
def test_a_recording_that_does_not_state_its_length() -> None:
    recordings = ROOT / "scripts" / "recordings"
    assert seconds_of(recordings / "museum-tour.flac") == pytest.approx(14.74, abs=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gpt-4o"], "say how much work"),
        (["--input-tokens", "5", "--calls", "2"], "need a MODEL"),
        (["gpt-4o", "--input-tokens", "5", "--stage", "x"], "leave MODEL out"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str], message: str, dashboard: Dashboard) -> None:
    ran = dashboard("estimate", *arguments)
    assert (ran.code, message in ran.err) == (2, True)


def test_by_earlier_jobs(jobs: Path, dashboard: Dashboard) -> None:
    ran = dashboard("estimate", "--user", "2", "--audio-minutes", "20", "--json")
    stages = {one["stage"]: one for one in ran.json()["stages"]}
    minutes = (90.5 + 600) / 60
    assert stages["06_whisperx_asr"]["median_usd"] == pytest.approx(0.06 / minutes * 20, abs=1e-7)
    assert stages[WHOLE]["p90_usd"] == pytest.approx(0.06675 / minutes * 20, abs=1e-7)
    one = dashboard(
        "estimate", "--user", "2", "--stage", "13_ai_summarization", "--input-tokens", "3000", "--json"
    ).json()
    assert [(s["stage"], s["median_usd"], s["per"]) for s in one["stages"]] == [
        ("13_ai_summarization", 0.0135, "1,000 input tokens")
    ]
    none = dashboard("estimate", "--user", "nobody", "--audio-minutes", "20")
    assert (none.code, "No earlier jobs" in none.out) == (3, True)


def test_models_beside_each_other(dashboard: Dashboard) -> None:
    named = dashboard("compare-models", "gpt-4o", "acme-1", "gpt-4o-mini", "--input-tokens", "3000", "--json")
    models = named.json()["models"]
    assert [one["model"] for one in models] == ["openai/gpt-4o-mini", "openai/gpt-4o", "acme-1"]
    assert [one["cost_usd"] for one in models] == [0.0009, 0.015, None]
    speech = dashboard("compare-models", "--audio-minutes", "60", "--json").json()["models"]
    costs = {one["model"]: one["cost_usd"] for one in speech}
    assert costs["openai/whisper-1"] == 0.36
    assert "openai/gpt-4o-transcribe" not in costs  # it bills tokens, which nobody gave
    assert list(costs.values()) == sorted(costs.values())


def test_what_they_look_like() -> None:
    cost = ModelCost("openai/gpt-4o", from_usd("0.675"), unverified=True)
    lines = ("1,500 input tokens x $1.25 per million = $0.001875", "total $0.003375")
    check_report(
        "estimate-price",
        estimate_report(EstimateFacts(WORK, MonthRemainder("rpatel", from_usd(9)), cost, lines)),
    )
    none = ModelCost("acme/one", None, "no price for acme/one")
    check_report(
        "estimate-unpriced",
        estimate_report(EstimateFacts(WORK, MonthRemainder("1", None), none, ("no price",))),
    )
    stages = [
        StageEstimate("06_asr", from_usd("0.54"), from_usd("0.61"), 12, "audio minute", from_usd("0.7")),
        StageEstimate(WHOLE, from_usd("0.60"), from_usd("0.80"), 12, "audio minute", from_usd("0.9")),
    ]
    audio = EstimatedWork(PlannedCalls(Usage(audio_seconds=5_400), AT))
    check_report(
        "estimate-history", history_estimate_report(audio, stages, MonthRemainder("rpatel", from_usd("0.7")))
    )
    check_report("estimate-nothing", history_estimate_report(audio, [], MonthRemainder("rpatel", None)))
    several = [ModelCost("local/tiny", from_usd(0)), ModelCost("acme/two", from_usd("0.002")), cost, none]
    check_report("compare-models", comparison_report(ComparisonFacts(WORK, several), 2))
    check_report("compare-models-none", comparison_report(ComparisonFacts(audio, []), 2))


def test_free_models_of_a_service_do_not_seem_to_do_any_work(dashboard: Dashboard) -> None:
    found = dashboard("compare-models", "--audio-minutes", "60", "--json").json()["models"]
    assert [one["model"] for one in found if not one["cost_usd"]] == ["local/*"]
    named = dashboard("compare-models", "google/gemma-3-27b-it", "--input-tokens", "60", "--json").json()
    assert named["models"][0]["cost_usd"] == 0


def test_one_stage_is_held_against_the_budget_too() -> None:
    work = EstimatedWork(PlannedCalls(Usage(audio_seconds=600), AT))
    stage = StageEstimate("06_asr", from_usd("0.2"), from_usd("0.3"), 9, "audio minute")
    report = history_estimate_report(work, [stage], MonthRemainder("rpatel", from_usd("0.6")))
    assert [note.text for note in report.notes] == [
        "50.0% of the $0.60 that user rpatel has left this month."
    ]
