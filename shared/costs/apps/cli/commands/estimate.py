"""``cost-dashboard estimate``."""

from __future__ import annotations

import click

from ....errors import WrongUsage
from ....reports.estimate import (
    Given,
    by_history,
    estimate_report,
    history_estimate_report,
    left_of,
    priced,
    work_of,
)
from ..app import App, dashboard_command
from ..options import user_option
from ..work_options import work_options


@dashboard_command(
    "Save",
    "estimate gpt-4o --input-tokens 1500 --output-tokens 300 --calls 200",
    "estimate openai/whisper-1 --audio-minutes 90",
    "estimate --audio-minutes 90",
    "estimate --stage 13_ai_summarization --input-tokens 20000",
)
@click.argument("model", required=False)
@work_options
@click.option("--stage", metavar="NAME", help="Without MODEL: only this stage of your jobs.")
@user_option
def command(app: App, model: str | None, given: Given, stage: str | None, user: str | None) -> int | None:
    """What work will cost: on a MODEL, by its price; without one, by what your earlier jobs cost.

    From earlier jobs: the median and the 90th percentile by stage, per audio minute or per 1,000
    input tokens, against what is left of the month. Exit code 3 when MODEL has no price, or there are
    no earlier jobs.
    """
    reader, user_id = app.reader, user or app.default_user
    work, left = work_of(reader, given), left_of(reader, user_id)
    if model is None:
        if given.calls > 1 or given.tier:
            raise WrongUsage("--calls and --tier need a MODEL: earlier jobs are whole jobs")
        found = by_history(reader, user_id, stage, work)
        app.show(history_estimate_report(work, found, left))
        return None if found else 3
    if stage:
        raise WrongUsage("--stage is for estimates from earlier jobs; leave MODEL out")
    cost, arithmetic = priced(reader, model, work)
    app.show(estimate_report(work, cost, arithmetic, left))
    return 3 if cost.cost is None else None
