#!/usr/bin/env python3
"""Stage 13: summary. Turns a job's transcript into a few sentences.

Writes summary.txt. The default engine is local and costs nothing; a provider is used when named.

    python scripts/13_ai_summarization.py out/latest
    python scripts/13_ai_summarization.py out/latest --engine openai --model gpt-4o --or gpt-4o-mini
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipeline.calls import StageCalls, name_of
from pipeline.documents import Transcript, plural, read_transcript
from pipeline.engines import SUMMARY
from pipeline.engines.summary import Summary, SummaryEngine
from pipeline.stage import StageRun, run_stage, stage_parser

from shared.cost_tracker import BudgetExceeded, BudgetGateUnavailable, CostTracker

STAGE = "13_ai_summarization"


def summarize(run: StageRun) -> None:
    """Summarise the job's transcript; without room in the budget, do what ``--on-budget`` says."""
    transcript = read_transcript(run.job.transcript_path)
    engines: list[SummaryEngine] = run.open_engines(SUMMARY)
    with (
        CostTracker(run.job.path, run.job.user_id) as tracker,
        tracker.stage(STAGE, logger=run.log, attempt=run.attempt),
    ):
        try:
            engine, summary = recorded_call(tracker, engines, transcript, run)
        except (BudgetExceeded, BudgetGateUnavailable) as denied:
            local = run.open_fallback(SUMMARY, denied)
            engine, summary = recorded_call(tracker, [local], transcript, run, instead_of=engines[0])
        points = plural(len(summary.text.splitlines()), "key point")
        run.log.info("Summarised by %s/%s: %s", engine.service, engine.model, points)
    summary.spent.refuse_faulty()
    run.job.write(run.job.path / "summary.txt", summary.text + "\n")


def recorded_call(
    tracker: CostTracker,
    engines: Sequence[SummaryEngine],
    transcript: Transcript,
    run: StageRun,
    instead_of: SummaryEngine | None = None,
) -> tuple[SummaryEngine, Summary]:
    """Estimate, choose and reserve, call, record: the four steps of every call that may cost money."""
    first, needs = engines[0], engines[0].needs(transcript)
    estimate = tracker.estimate_cost(
        first.service, first.model, tokens_input=needs.tokens_input, tokens_output=needs.max_tokens_output
    )
    if estimate:
        run.log.info("%s/%s: at most $%.4f", first.service, first.model, estimate)
    calls = StageCalls(tracker, "summarization", run.override)
    with calls.chosen(engines, needs, instead_of) as (engine, record):
        if engine is not first:
            run.log.warning("The budget does not allow %s: %s is used.", name_of(first), name_of(engine))
        summary = engine.summarize(transcript)
        record(summary.spent)
    return engine, summary


def main() -> int:
    """Run the stage for the job on the command line."""
    parser = stage_parser(__doc__, SUMMARY)
    parser.add_argument("--sentences", type=int, metavar="N", default=2, help="length of the summary")
    parser.add_argument("--max-output-tokens", type=int, metavar="N", default=400)
    parser.add_argument("--stream", action="store_true", help="let a chat model stream its answer")
    return run_stage(STAGE, parser, summarize)


if __name__ == "__main__":
    sys.exit(main())
