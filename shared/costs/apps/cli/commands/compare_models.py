"""``cost-dashboard compare-models``."""

from __future__ import annotations

import click

from ....reports.estimate import Given, compared, comparison_report, work_of
from ..app import App, dashboard_command
from ..work_options import work_options

SHOWN = 40


@dashboard_command(
    "Save",
    "compare-models --input-tokens 3000 --output-tokens 1000",
    "compare-models gpt-4o gpt-4o-mini claude-3-haiku --input-tokens 3000",
    "compare-models --audio-minutes 60 --json",
)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@work_options
def command(app: App, models: tuple[str, ...], given: Given) -> None:
    """The same work on several models, the cheapest first: those named, or all with a price for it.

    Whether they do the work as well is for you to judge.
    """
    work = work_of(app.reader, given)
    app.show(comparison_report(work, compared(app.reader, models, work), SHOWN))
