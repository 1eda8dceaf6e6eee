"""``cost-dashboard summary``."""

from __future__ import annotations

import click

from ....reports.report import period_facts, period_report
from ....reports.span import Span
from ..app import App, dashboard_command
from ..reporting import asked, filter_options


@dashboard_command("Look", "summary", "summary --days 30 --user rpatel")
@click.option(
    "--days", type=click.IntRange(1, 36_500), default=7, show_default=True, help="How many days back."
)
@filter_options
def command(app: App, days: int, filters: dict[str, str]) -> None:
    """The last days, today included, by day, model and category."""
    question = asked("Summary", Span(days=days), filters, step="daily" if days <= 31 else "weekly")
    app.show(period_report(period_facts(app.reader, question)))
