"""``cost-dashboard run``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..app import App, dashboard_command

if TYPE_CHECKING:
    from ....reports.document import Report
    from ....run.program import Assignment


@dashboard_command(
    "Record and share",
    "run -- python any_script.py",
    "run --job-dir out/job-1 --stage 13_summary -- python summarize.py talk.txt",
    "run --output cost.json -- make summaries",
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
    """
    from ....reports.run import run_report
    from ....run.program import Run, entries_of, environment, start

    run = Run.begin()
    assignment = _assignment(app, Path(job_dir) if job_dir else None, **given)
    env = environment(os.environ, run, assignment, app.workspace.storage, app.workspace.profile_path)
    code = start(program, env)
    _tell(app, run_report(program, entries_of(app.workspace.index, run), code))
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
