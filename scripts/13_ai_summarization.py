#!/usr/bin/env python3
"""Stage 13: summary. Turns a job's transcript into a few sentences.

Writes summary.txt. The default engine is local and costs nothing; a provider is used when named.

    python scripts/13_ai_summarization.py out/latest
    python scripts/13_ai_summarization.py out/latest --engine openai --model gpt-4o-mini
"""

from __future__ import annotations

import sys

from pipeline.calls import StageCalls
from pipeline.documents import Transcript, read_transcript
from pipeline.engines import SUMMARY
from pipeline.engines.summary import Summary, SummaryEngine
from pipeline.stage import StageRun, run_stage, stage_parser

from shared.cost_tracker import BudgetExceeded, BudgetGateUnavailable, CostTracker

STAGE = "13_ai_summarization"


def summarize(run: StageRun) -> None:
    """Summarise the job's transcript; without room in the budget, do what ``--on-budget`` says."""
    transcript = read_transcript(run.job.transcript_path)
    engine: SummaryEngine = run.open_engine(SUMMARY)
    with (
        CostTracker(run.job.path, run.job.user_id) as tracker,
        tracker.stage(STAGE, logger=run.log, attempt=run.attempt),
    ):
        try:
            summary = recorded_call(tracker, engine, transcript, run)
        except (BudgetExceeded, BudgetGateUnavailable) as denied:
            engine = run.open_fallback(SUMMARY, denied)
            summary = recorded_call(tracker, engine, transcript, run)
        points = len(summary.text.splitlines())
        run.log.info("Summarised by %s/%s: %d key points", engine.service, engine.model, points)
    summary.spent.refuse_faulty()
    run.job.write(run.job.path / "summary.txt", summary.text + "\n")


def recorded_call(
    tracker: CostTracker, engine: SummaryEngine, transcript: Transcript, run: StageRun
) -> Summary:
    """Estimate, reserve, call, record: the four steps of every call that may cost money."""
    needs = engine.needs(transcript)
    estimate = tracker.estimate_cost(
        engine.service, engine.model, tokens_input=needs.tokens_input, tokens_output=needs.max_tokens_output
    )
    if estimate:
        run.log.info("%s/%s: at most $%.4f", engine.service, engine.model, estimate)
    calls = StageCalls(tracker, "summarization", run.override)
    with calls.reserved(engine, needs) as record:
        summary = engine.summarize(transcript)
        record(summary.spent)
    return summary


def main() -> int:
    """Run the stage for the job on the command line."""
    parser = stage_parser(__doc__, SUMMARY)
    parser.add_argument("--sentences", type=int, metavar="N", default=2, help="length of the summary")
    parser.add_argument("--max-output-tokens", type=int, metavar="N", default=400)
    parser.add_argument("--stream", action="store_true", help="let a chat model stream its answer")
    return run_stage(STAGE, parser, summarize)


if __name__ == "__main__":
    sys.exit(main())
