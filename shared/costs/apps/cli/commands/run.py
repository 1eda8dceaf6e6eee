"""``cost-dashboard run``: a program, and what its AI calls cost."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from ....model import Entry
from ....money import Nanos, format_usd, percent, to_usd
from ....reports.common import noted, plural
from ....reports.document import Column, Figure, Gauge, Note, Report, Table, Tone, derive
from ....reports.spec import PAYER, Option, parse_usd
from ....rollup import Totals
from ..app import App, dashboard_command
from ..options import asked_with

if TYPE_CHECKING:
    from ....run.program import Assignment

_LONGEST: Final = 100


class RunBudget(NamedTuple):
    """What a run could spend, in nano-dollars, and how many of its calls were held back."""

    amount: Nanos
    denied: int = 0


def run_report(
    command: Sequence[str], entries: Iterable[Entry], exit_code: int, budget: RunBudget | None = None
) -> Report:
    """Return what a program's calls cost, by model, and what is not known about them."""
    entries = list(entries)
    total, by_model = Totals(), dict[str, Totals]()
    for entry in entries:
        total.add(entry)
        by_model.setdefault(f"{entry.service}/{entry.model}", Totals()).add(entry)
    # Nothing captured does not mean that it cost nothing: whether the program made calls is not known.
    known = any(entry.charge is not None for entry in entries)
    ranked = sorted(by_model.items(), key=lambda item: (-item[1].cost, item[0]))
    return Report(
        title="Cost of this run",
        subtitle=_shortened(" ".join(command)),
        figures=(
            Figure("cost", "Cost", total.cost, "money")
            if known
            else Figure("cost", "Cost", "unknown", "text"),
            Figure("calls", "AI calls", total.calls, "count"),
        ),
        gauges=(_gauge(budget, total),) if budget else (),
        tables=(_table(ranked),) if ranked else (),
        notes=(*_held_back(budget), *_notes(entries, total)),
        data={
            "command": list(command),
            "exit_code": exit_code,
            "total_cost": to_usd(total.cost) if known else None,
            **derive(total, "calls", "unpriced_calls", "partial_calls", "estimated_calls", "retried_calls"),
            "by_model": {model: to_usd(sums.cost) for model, sums in ranked},
            "budget_usd": to_usd(budget.amount) if budget else None,
            "denied_calls": budget.denied if budget else 0,
        },
    )


def _gauge(budget: RunBudget, total: Totals) -> Gauge:
    used = percent(total.cost, budget.amount)
    tone: Tone = "critical" if total.cost > budget.amount else "good"
    return Gauge("budget", total.cost, budget.amount, used, tone=tone)


def _held_back(budget: RunBudget | None) -> Iterator[Note]:
    if budget is not None and budget.denied:
        calls = plural(budget.denied, "call was", "calls were")
        yield Note(f"{calls} not sent: the budget of {format_usd(budget.amount)} had no room.", "warning")


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _table(ranked: Sequence[tuple[str, Totals]]) -> Table:
    return Table.of(
        "By model",
        ranked,
        (Column("model", "Model"), lambda one: one[0]),
        (Column("calls", "Calls", "count"), lambda one: one[1].calls),
        (Column("tokens_input", "Input", "tokens", rank=1), lambda one: one[1].tokens_input),
        (Column("tokens_output", "Output", "tokens", rank=1), lambda one: one[1].tokens_output),
        (Column("cost", "Cost", "money", places=4), lambda one: one[1].cost),
    )


def _notes(entries: Sequence[Entry], total: Totals) -> Iterator[Note]:
    if not entries:
        yield Note("No AI call was captured.", "warning")
    unpriced = ("call has no price and is", "calls have no price and are")
    yield from noted(total.unpriced_calls, *unpriced, "not in the cost.")
    if total.partial_calls:
        units = sorted({name for entry in entries for name in entry.unpriced_units if entry.charge})
        calls = plural(total.partial_calls, "call is", "calls are")
        yield Note(f"{calls} priced in part: there is no price for {', '.join(units)}.", "warning")
    reasons = {str(entry.metadata["incomplete"]) for entry in entries if "incomplete" in entry.metadata}
    for reason in sorted(reasons):
        yield Note(f"Estimated: {reason}.", "warning")
    again = "repeated by a later attempt of the stage."
    yield from noted(total.retried_calls, "call was", "calls were", again, "plain")


@dashboard_command(
    "Record and share",
    "run -- python any_script.py",
    "run --job-dir out/job-1 --stage 13_summary -- python summarize.py talk.txt",
    "run --output cost.json -- make summaries",
    "run --budget 5 -- python agent.py",
)
@asked_with(
    Option("--job-dir", "The job's directory; created if missing. Without it: no job.", "DIR"),
    Option("--stage", "The stage that the program runs."),
    PAYER,
    Option(
        "--attempt",
        "Which attempt at the stage this is, from 1. Default: one more than in the job's ledger.",
        "N",
        least=1,
    ),
    Option(
        "--budget",
        "What all calls may cost together: one that could pass it is not sent.",
        "USD",
        parse=parse_usd,
    ),
    Option(
        "--no-stream-usage",
        "Do not ask OpenAI for the usage of streams where the program does not.",
        flag=True,
    ),
    Option("", "", "COMMAND...", click.UNPROCESSED, called="program", many=True, required=True),
)
def command(app: App, program: tuple[str, ...], job_dir: str | None, **given: Any) -> int:
    """Run a program and record its AI calls, without a changed line in it.

    Works for Python programs, and for whatever starts them, that use LiteLLM or the SDKs of OpenAI,
    Anthropic, Gemini, Mistral, Cohere, Bedrock (boto3), Voyage or fal, those of Deepgram, AssemblyAI,
    ElevenLabs, DeepL, Google Cloud, AWS and Azure for speech, translation and documents, and Ollama's with
    an OpenTelemetry instrumentation installed. Streams count too. At the end the cost is printed to stderr,
    with --json to stdout, or written to --output; the exit code is the program's own.

    With --budget each call holds what it can cost at most before it is sent, in this run and against the
    limits of the profile that block; what does not fit is not sent, and the program gets BudgetExceeded
    in its place. A call that sets no maximum of output is let through while anything is left.
    """
    from ....run.program import ProgramRun, entries_of, environment, start
    from ....run.purse import Purse

    run, budget = ProgramRun.begin(), given.pop("budget")
    assignment = _assignment(app, Path(job_dir) if job_dir else None, **given)
    purse = None if budget is None else Purse.filled(app.workspace.storage.root / "runs" / run.id, budget)
    if purse is not None:
        assignment = replace(assignment, purse=purse.path)
    env = environment(os.environ, run, assignment, app.workspace.storage, app.workspace.profile_path)
    try:
        code = start(program, env)
        limits = None if purse is None else RunBudget(Nanos(purse.state.budget), purse.state.denied)
    finally:
        if purse is not None:
            purse.remove()
    _tell(app, run_report(program, entries_of(app.workspace.index, run), code, limits))
    return code


command.allow_interspersed_args = False
"""What comes after the program's name is the program's own."""


def _assignment(
    app: App, job_dir: Path | None, *, stage: str | None, user: str | None, attempt: int | None, **given: bool
) -> Assignment:
    from ....run.program import Assignment, next_attempt
    from ....tracking.context import job_context

    try:
        job = job_context(job_dir, user, app.workspace.storage, app.workspace.environ)
    except ValueError as fault:
        raise click.UsageError(str(fault)) from fault
    if job_dir is not None:
        job_dir.mkdir(parents=True, exist_ok=True)
    if attempt is None:
        attempt = next_attempt(app.workspace.index, job.ledger, stage or job.work.stage)
    return Assignment(job_dir, stage, user, attempt, stream_usage=not given["no_stream_usage"])


def _tell(app: App, report: Report) -> None:
    if app.output.path is not None or app.output.format_name != "text":
        app.show(report)  # JSON follows whatever the program printed
        return
    app.print(report, sys.stderr)  # stdout is the program's
