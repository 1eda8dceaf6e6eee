"""``cost-dashboard trend``."""

from __future__ import annotations

import click

from ....analysis.sums import Step
from ....reports.span import Span
from ....reports.trend import trend_facts, trend_report
from ..app import App, dashboard_command
from ..options import span_options
from ..reporting import BY, asked, filter_options

_COUNTS: dict[Step, int] = {"daily": 30, "weekly": 13, "monthly": 12}


@dashboard_command(
    "Look", "trend", "trend --period weekly --by stage", "trend --period monthly --service openai"
)
@click.option(
    "--period",
    "step",
    type=click.Choice(list(_COUNTS)),
    default="daily",
    show_default=True,
    help="A row for each.",
)
@click.option("--by", type=click.Choice(sorted(BY)), help="Also a line for each of these, dearest first.")
@span_options
@filter_options
def command(app: App, step: Step, by: str | None, span: Span, filters: dict[str, str]) -> None:
    """Spend by day, week or month as a chart, with the change from each to the next.

    Without dates: the last 30 days, 13 weeks or 12 months.
    """
    span = Span(last=(step, _COUNTS[step])) if span == Span() else span
    dimensions = (BY[by],) if by else ()
    app.show(trend_report(trend_facts(app.reader, asked("Trend", span, filters, by=dimensions), step)))
