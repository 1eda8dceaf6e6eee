"""``cost-dashboard run``."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ....money import Nanos
from ....reports.spec import parse_usd
from ..app import App, dashboard_command
from ..options import Parsed

if TYPE_CHECKING:
    from ....reports.document import Report
    from ....run.program import Assignment


@dashboard_command(
    "Record and share",
    "run -- python any_script.py",
    "run --job-dir out/job-1 --stage 13_summary -- python summarize.py talk.txt",
    "run --output cost.json -- make summaries",
    "run --budget 5 -- python agent.py",
)
@click.option("--job-dir", metavar="DIR", help="The job's directory; made if need be. Without it: no job.")
@click.option("--stage", help="The stage that the program is.")
@click.option(
    "--user", "--user-id", "user", metavar="ID", help="Who pays. Default: COST_TRACKER_USER, else 1."
)
@click.option(
    "--attempt",
    type=click.IntRange(min=1),
    metavar="N",
    help="Which attempt at the stage this is, from 1. Default: one more than in the job's ledger.",
)
@click.option(
    "--budget",
    type=Parsed(parse_usd),
    metavar="USD",
    help="What all calls may cost together: one that could pass it is not sent.",
)
@click.option(
    "--no-stream-usage",
    is_flag=True,
    help="Do not ask OpenAI for the usage of streams where the program does not.",
)
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND...")
def command(app: App, program: tuple[str, ...], job_dir: str | None, **given: Any) -> int:
    """Run a program and record its AI calls, without a changed line in it.

    Works for Python programs, and for whatever starts them, that use the SDKs of OpenAI, Anthropic or
    Gemini, and those of Mistral, Cohere, Ollama or Bedrock with an OpenTelemetry instrumentation
    installed (Mistral's brings its own). Streams count too. At the end the cost is printed to stderr,
    with --json to stdout, or written to --output; the exit code is the program's own.

    With --budget each call holds what it can cost at most before it is sent, in this run and against the
    limits of the profile that block; what does not fit is not sent, and the program gets BudgetExceeded
    in its place. A call that sets no maximum of output is let through while anything is left.
    """
    from ....reports.run import RunBudget, run_report
    from ....run.program import Run, entries_of, environment, start
    from ....run.purse import Purse

    run, budget = Run.begin(), given.pop("budget")
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
