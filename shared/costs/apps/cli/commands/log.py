"""``cost-dashboard log``."""

from __future__ import annotations

from typing import Any

import click

from ....reports.logged import logged_report
from ....tracking.call import Call, make_call
from ..app import App, dashboard_command

_COUNT = click.IntRange(min=0)


@dashboard_command(
    "Record and share",
    "log --model gpt-4o --input-tokens 1000 --output-tokens 200 --category summary",
    "log --service openai --model whisper-1 --audio-seconds 90 --job-dir out/job-1 --stage 06_asr",
)
@click.option("--model", required=True, help="The model, such as gpt-4o.")
@click.option("--service", help="The provider, such as openai. Without it: inferred from the model.")
@click.option(
    "--input-tokens", type=_COUNT, default=0, metavar="N", help="Input tokens, cached ones included."
)
@click.option(
    "--output-tokens", type=_COUNT, default=0, metavar="N", help="Output tokens, reasoning included."
)
@click.option(
    "--cached-tokens", type=_COUNT, default=0, metavar="N", help="How many of the input were cached."
)
@click.option(
    "--audio-seconds", type=click.FloatRange(min=0), default=0.0, metavar="S", help="Length of the audio."
)
@click.option("--category", help="What the call was for, such as summary.")
@click.option("--description", help="A few words of your own.")
@click.option("--stage", help="The stage it belongs to.")
@click.option("--job-dir", metavar="DIR", help="The job's directory. Without it: no job.")
@click.option(
    "--user", "--user-id", "user", metavar="ID", help="Who pays. Default: COST_TRACKER_USER, else 1."
)
@click.option("--request-id", help="The provider's id of the call: logging it again then counts once.")
def command(app: App, job_dir: str | None, user: str | None, **given: Any) -> None:
    """Record one call by hand, for work that no script could log.

    It is priced and counted like any other. The amount is what the price catalogue says.
    """
    from ....tracking.context import job_context
    from ....tracking.session import Session

    try:
        call = _call(**given)
        job = job_context(job_dir, user, app.workspace.storage, app.workspace.environ)
    except (TypeError, ValueError) as fault:
        raise click.UsageError(str(fault)) from fault
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
