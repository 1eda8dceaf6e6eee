"""``cost-dashboard log``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click

from ....model import Entry
from ....money import Nanos, to_usd
from ....reports.document import Figure, Note, Report, derive
from ....reports.spec import PAYER, Option
from ....tracking.call import Call, make_call
from ..app import App, dashboard_command
from ..options import asked_with

_COUNT = click.IntRange(min=0)


@dashboard_command(
    "Record and share",
    "log --model gpt-4o --input-tokens 1000 --output-tokens 200 --category summary",
    "log --service openai --model whisper-1 --audio-seconds 90 --job-dir out/job-1 --stage 06_asr",
)
@asked_with(
    Option("--model", "The model, such as gpt-4o.", required=True),
    Option("--service", "The provider, such as openai. Without it: inferred from the model."),
    Option("--input-tokens", "Input tokens, cached ones included.", "N", least=0, default=0),
    Option("--output-tokens", "Output tokens, reasoning included.", "N", least=0, default=0),
    Option("--cached-tokens", "How many of the input were cached.", "N", least=0, default=0),
    Option("--audio-seconds", "Length of the audio.", "S", least=0.0, default=0.0),
    Option("--category", "What the call was for, such as summary."),
    Option("--description", "A few words of your own.", "WORDS"),
    Option("--stage", "The stage it belongs to."),
    Option("--job-dir", "The job's directory. Without it: no job.", "DIR"),
    PAYER,
    Option("--request-id", "The provider's id of the call: logging it again then counts once."),
)
def command(app: App, job_dir: str | None, user: str | None, **given: Any) -> None:
    """Record one call by hand, for work that no script logged.

    It is priced and counted like any other. The amount is what the price catalogue says.
    """
    from ....tracking.context import job_context
    from ....tracking.session import Session

    try:
        call = _call(**given)
        job = job_context(job_dir, user, app.workspace.storage, app.workspace.environ)
    except (TypeError, ValueError) as fault:
        raise click.UsageError(str(fault)) from fault
    if refused := app.workspace.loaded_profile().fault:
        app.say(f"limits are the defaults, because the profile is refused: {refused}")
    session = Session(app.workspace, job)
    try:
        outcome = session.recording.record(call)
        alerts = [alert.text for alert in session.new_alerts(call.stage)]
    finally:
        session.close()
    app.show(logged_report(outcome.entry, new=outcome.new, alerts=alerts))


def _call(model: str, service: str | None, **given: Any) -> Call:
    """Return the call as the tracker takes it.

    Raises:
        ValueError: the provider was left out and the model's name does not tell it.
    """
    from ....pricing.names import infer_service

    service = service or infer_service(model)
    if service is None:
        raise ValueError(f"which provider's model is {model!r}? Name it with --service")
    return make_call(
        service,
        model,
        given["input_tokens"],
        given["output_tokens"],
        given["stage"],
        None,
        tokens_cached=given["cached_tokens"],
        audio_seconds=given["audio_seconds"],
        operation=given["category"],
        description=given["description"],
        request_id=given["request_id"],
    )


def logged_report(entry: Entry, *, new: bool, alerts: Sequence[str] = ()) -> Report:
    """Return what was recorded, what priced it, and any budget alert it set off."""
    cost = entry.charge.total if entry.charge else None
    return Report(
        title=f"Recorded {entry.service}/{entry.model}" if new else "Already recorded: nothing was added",
        figures=tuple(_figures(entry, cost)),
        notes=tuple(_notes(entry, alerts)),
        data={
            "id": entry.id,
            "new": new,
            **derive(entry, "job_id", "user_id", "service", "model"),
            "cost_usd": None if cost is None else to_usd(cost),
            "priced_by": entry.charge.priced_by.source if entry.charge else None,
            "alerts": list(alerts),
        },
    )


def _figures(entry: Entry, cost: Nanos | None) -> Iterator[Figure]:
    priced_by = entry.charge.priced_by if entry.charge else None
    note = f"{priced_by.model}, from {priced_by.source} {priced_by.version}" if priced_by else ""
    yield Figure("cost", "Cost", cost, note=note, tone="plain" if priced_by else "warning")
    yield Figure("job", "Job", entry.job_id, "text")
    yield Figure("user", "User", entry.user_id, "text")


def _notes(entry: Entry, alerts: Sequence[str]) -> Iterator[Note]:
    if entry.charge is None:
        model = f"{entry.service}/{entry.model}"
        yield Note(f"No price is known for {model}: the call counts as unpriced, not as free.", "warning")
    for alert in alerts:
        yield Note(alert, "critical" if "CRITICAL" in alert else "warning")
