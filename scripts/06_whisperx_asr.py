#!/usr/bin/env python3
"""Stage 06: speech recognition. Turns a job's recording into text with times.

Writes transcript.json (segments), transcript.txt and, with --subtitles, subtitles.LANGUAGE.srt.

    python scripts/06_whisperx_asr.py out/latest
    python scripts/06_whisperx_asr.py out/latest --engine openai --model whisper-1
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.audio import Audio, prepare
from pipeline.calls import StageCalls
from pipeline.documents import Transcript, plural
from pipeline.engines import SPEECH
from pipeline.engines.speech import Heard, SpeechEngine
from pipeline.stage import StageRun, run_stage, stage_parser

from shared.cost_tracker import BudgetExceeded, BudgetGateUnavailable, CostTracker

STAGE = "06_whisperx_asr"


def transcribe(run: StageRun) -> None:
    """Transcribe the job's recording and write what was said."""
    job, engine = run.job, run.open_engine(SPEECH)
    with (
        TemporaryDirectory(dir=run.job.path) as folder,
        CostTracker(run.job.path, run.job.user_id) as tracker,
    ):
        audio = prepare(Path(job.record.media.path), Path(folder))
        calls = StageCalls(tracker, "transcription", run.override)
        with tracker.stage(STAGE, logger=run.log, attempt=run.attempt):
            try:
                heard = recorded_call(calls, engine, audio)
            except (BudgetExceeded, BudgetGateUnavailable) as denied:
                engine = run.open_fallback(SPEECH, denied)
                heard = recorded_call(calls, engine, audio)
            what = f"{audio.seconds:.1f} s of audio, {plural(len(heard.segments), 'segment')}"
            run.log.info("Transcribed by %s/%s: %s", engine.backend, engine.model, what)
    write(run, Transcript(heard.language, engine.backend, engine.model, audio.seconds, heard.segments))


def recorded_call(calls: StageCalls, engine: SpeechEngine, audio: Audio) -> Heard:
    """Transcribe, with the money reserved before and the use recorded after."""
    with calls.reserved(engine, engine.needs(audio)) as record:
        heard = engine.transcribe(audio)
        record(heard.spent, segments=len(heard.segments))
    return heard


def write(run: StageRun, transcript: Transcript) -> None:
    """Leave the transcript in the job, for people and for the next stages."""
    run.job.write(run.job.path / "transcript.txt", transcript.text + "\n")
    if run.options.subtitles:
        run.job.write(run.job.path / f"subtitles.{transcript.language}.srt", transcript.as_srt())
    run.job.write(run.job.transcript_path, transcript.as_json())


def main() -> int:
    """Run the stage for the job on the command line."""
    parser = stage_parser(__doc__, SPEECH)
    parser.add_argument("--language", default="en", help="what is spoken, in ISO 639-1 (default: en)")
    parser.add_argument("--subtitles", action="store_true", help="write SubRip subtitles too")
    return run_stage(STAGE, parser, transcribe)


if __name__ == "__main__":
    sys.exit(main())
