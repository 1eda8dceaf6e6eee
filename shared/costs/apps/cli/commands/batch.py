"""``cost-dashboard batch``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ....capture.batch_files import lines_of, read_request
from ....errors import WrongUsage
from ....reports.common import plural, priced_in_part
from ....reports.document import Figure, Note, Report, derive
from ....reports.spec import PAYER, Option
from ..app import App, dashboard_command
from ..options import asked_with

if TYPE_CHECKING:
    from ....tracking.batches import BatchHold, CollectResult


@dashboard_command(
    "Record and share",
    "batch submit requests.jsonl --job-dir out/job-1 --stage 13_summary",
    "batch collect output.jsonl errors.jsonl batch.json",
)
@asked_with(
    Option("", called="action", required=True, choices=("submit", "collect")),
    Option("", called="files", parse=click.Path(path_type=Path, dir_okay=False), many=True, required=True),
    Option("--job-dir", "The job. Without it: no job.", "DIR", parse=Path),
    Option("--stage", "The stage that the batch belongs to."),
    PAYER,
    Option("--model", "The model of requests that name none (Gemini's)."),
    Option("--max-output", "Output tokens where none is stated.", "N", least=1),
    Option("--batch-id", "The provider's id of the batch, where it is known already."),
)
def command(app: App, action: str, files: tuple[Path, ...], **given: Any) -> None:
    """Hold money for a batch, and record its results when they are there.

    `submit` reads the file of requests that goes to OpenAI, Anthropic or Gemini, and holds the most that
    they can cost at batch rates: the hold is listed as submitted. `collect` reads output and error files
    and the batch's own object, in any order and as often as you like: each result counts once, requests
    that failed, expired or were cancelled cost nothing, and the hold ends when nothing more will come.
    """
    texts = [_text(file) for file in files]
    if action == "submit":
        _submit(app, texts, **given)
    else:
        _collect(app, texts, **given)


def _text(file: Path) -> str:
    from ....exchange.files import opened
    from ....exchange.rows import CannotRead

    try:
        with opened(file) as content:
            return content.read().decode("utf-8-sig")
    except (CannotRead, OSError) as fault:
        raise WrongUsage(str(fault)) from None
    except UnicodeDecodeError as fault:
        raise WrongUsage(f"{file} is not UTF-8 text: {fault}") from None


def _submit(app: App, texts: list[str], *, job_dir: Path | None, user: str | None, **given: Any) -> None:
    from ....tracking.batches import submit
    from ....tracking.context import job_context
    from ....tracking.session import Session

    try:
        requests = [read_request(line, given["model"]) for text in texts for line in lines_of(text)]
        job = job_context(job_dir, user, app.workspace.storage, app.workspace.environ)
    except ValueError as fault:
        raise click.UsageError(str(fault)) from fault
    session = Session(app.workspace, job)
    submitted = submit(
        session,
        requests,
        job_dir=job_dir,
        stage=given["stage"],
        max_output=given["max_output"],
        batch_id=given["batch_id"],
    )
    app.show(submitted_report(submitted))


def _collect(app: App, texts: list[str], *, job_dir: Path | None, user: str | None, **_: Any) -> None:
    from ....tracking.batches import collect

    app.show(collected_report(collect(app.workspace, texts, job_dir=job_dir, user=user)))


def submitted_report(submitted: BatchHold) -> Report:
    """Return what is held until the results of a batch are collected."""
    batch = submitted.batch
    notes = (
        [Note(f"The most it can cost is not known: {submitted.unpriced}.", "warning")]
        if submitted.unpriced
        else []
    )
    return Report(
        title="Batch submitted",
        figures=(
            Figure("requests", "Requests", batch.total, "count"),
            Figure("estimate", "Held at most", submitted.estimate, "money"),
            Figure("reservation", "Reservation", batch.reservation or "none", "text"),
        ),
        notes=tuple(notes),
        data=derive(submitted, "batch=batch.id", "batch.reservation", "requests=batch.total", "estimate"),
    )


def collected_report(collected: CollectResult) -> Report:
    """Return what results were recorded, and what is still waited for."""
    notes: list[Note] = []
    if collected.known:
        had = plural(collected.known, "result had", "results had")
        notes.append(Note(f"{had} already been recorded."))
    if collected.unpriced:
        calls = plural(collected.unpriced, "call has no price and is", "calls have no price and are")
        notes.append(Note(f"{calls} not in the cost.", "warning"))
    if collected.partial:
        notes.append(priced_in_part(collected.partial))
    notes += [
        Note(
            f"{name} is over, but which of the submitted batches it is cannot be told, so nothing was given "
            "back: collect its results in the same command, or submit with --batch-id.",
            "warning",
        )
        for name in collected.unplaced
    ]
    return Report(
        title="Batch results collected",
        figures=(
            Figure("cost", "Cost", collected.cost, "money"),
            Figure("recorded", "Recorded", collected.recorded, "count"),
            Figure("unbilled", "Failed, expired or cancelled", collected.unbilled, "count"),
            Figure("waiting", "Still to come", collected.waiting, "count"),
        ),
        notes=tuple(notes),
        data={
            **derive(collected, "cost", "recorded", "recorded_before=known", "unbilled"),
            **derive(collected, "unpriced_calls=unpriced", "partial_calls=partial", "waiting"),
            **derive(collected, "released", "unplaced"),
        },
    )
