"""``cost-dashboard stats``."""

from __future__ import annotations

import click

from ....analysis.sums import Step
from ....reports.report import period_facts, period_report
from ....reports.span import Span
from ..app import App, dashboard_command
from ..reporting import asked, filter_options

_COUNTS: dict[Step, int] = {"daily": 14, "weekly": 12, "monthly": 12}


@dashboard_command("Look", "stats --period weekly", "stats --period monthly --service openai")
@click.option(
    "--period",
    "step",
    type=click.Choice(list(_COUNTS)),
    default="daily",
    show_default=True,
    help="Rows of this length: the last 14 days, 12 weeks or 12 months.",
)
@filter_options
def command(app: App, step: Step, filters: dict[str, str]) -> None:
    """Spend by day, week or month, then by model and category."""
    question = asked("Statistics", Span(last=(step, _COUNTS[step])), filters, step=step)
    app.show(period_report(period_facts(app.reader, question)))
