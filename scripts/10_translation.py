#!/usr/bin/env python3
"""Stage 10: translation. Turns a job's transcript into other languages, segment by segment.

Writes transcript.LANGUAGE.json and .txt and, with --subtitles, subtitles.LANGUAGE.srt.

    python scripts/10_translation.py out/latest --to es
    python scripts/10_translation.py out/latest --to es hi --engine openai --model gpt-4o --or gpt-4o-mini
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipeline.calls import StageCalls
from pipeline.documents import Transcript, plural, read_transcript
from pipeline.engines import TRANSLATION
from pipeline.engines.translation import Translated, TranslationEngine, parts
from pipeline.faults import StageSkipped
from pipeline.stage import StageRun, run_stage, stage_parser

from shared.cost_tracker import BudgetExceeded, BudgetGateUnavailable, CostTracker

STAGE = "10_translation"


def translate(run: StageRun) -> None:
    """Translate the transcript into every language asked for; say at the end which were skipped."""
    transcript = read_transcript(run.job.transcript_path)
    missing = []
    with (
        CostTracker(run.job.path, run.job.user_id) as tracker,
        tracker.stage(STAGE, logger=run.log, attempt=run.attempt),
    ):
        calls = StageCalls(tracker, "translation", run.override)
        for target in run.options.to:
            if run.options.resume and run.job.translation_path(target).exists():
                continue  # done by an earlier attempt, which stopped at another language
            try:
                translate_into(target, transcript, run, calls)
            except StageSkipped as reason:
                missing.append(f"{target}: {reason}")
    if missing:
        raise StageSkipped("\n".join(missing))


def translate_into(target: str, transcript: Transcript, run: StageRun, calls: StageCalls) -> None:
    """Translate the transcript into one language, in as many calls as the engine needs, and write it."""
    languages = {"language": transcript.language, "target": target}
    engines: list[TranslationEngine] = run.open_engines(TRANSLATION, **languages)
    wanted = engine = engines[0]
    texts: list[str] = []
    for part in parts([segment.text for segment in transcript.segments], engine.segments_per_call):
        try:
            engine, translated = recorded_call(calls, engines, part, target, wanted)
        except (BudgetExceeded, BudgetGateUnavailable) as denied:
            engines = [run.open_fallback(TRANSLATION, denied, **languages)]
            engine, translated = recorded_call(calls, engines, part, target, wanted)
        engines = engines[engines.index(engine) :]  # also for the parts that follow
        translated.spent.refuse_faulty()
        texts += translated.texts
    write(run, transcript.translated(target, engine.backend, engine.model, texts))


def recorded_call(
    calls: StageCalls,
    engines: Sequence[TranslationEngine],
    texts: Sequence[str],
    target: str,
    wanted: TranslationEngine,
) -> tuple[TranslationEngine, Translated]:
    """Translate by the first engine that the budget allows, and record what it used."""
    with calls.chosen(engines, engines[0].needs(texts), wanted) as (engine, record):
        translated = engine.translate(texts)
        record(translated.spent, segments=len(texts), target_languages=[target])
    return engine, translated


def write(run: StageRun, transcript: Transcript) -> None:
    """Leave the translation in the job, and say in its log what was translated."""
    language = transcript.language
    segments = plural(len(transcript.segments), "segment")
    run.log.info("Translated by %s: %s to %s", transcript.backend, segments, language)
    run.job.write(run.job.path / f"transcript.{language}.txt", transcript.text + "\n")
    if run.options.subtitles:
        run.job.write(run.job.path / f"subtitles.{language}.srt", transcript.as_srt())
    run.job.write(run.job.translation_path(language), transcript.as_json())


def main() -> int:
    """Run the stage for the job on the command line."""
    parser = stage_parser(__doc__, TRANSLATION)
    parser.add_argument("--to", nargs="+", metavar="LANGUAGE", default=["es"], help="ISO 639-1 (default: es)")
    parser.add_argument("--max-output-tokens", type=int, metavar="N", default=4000, help="per call")
    parser.add_argument("--stream", action="store_true", help="let a chat model stream its answer")
    parser.add_argument("--subtitles", action="store_true", help="write SubRip subtitles too")
    return run_stage(STAGE, parser, translate)


if __name__ == "__main__":
    sys.exit(main())
