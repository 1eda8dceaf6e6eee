"""``cost-dashboard report``."""

from __future__ import annotations

import click

from ....reports.report import period_facts, period_report
from ....reports.span import Span
from ..app import App, dashboard_command
from ..reporting import BY, asked, filter_options, span_options


@dashboard_command(
    "Look",
    "report --days 7 --by stage --by user",
    "report --since 2026-11-01 --until 2026-11-15 --model openai/gpt-4o",
    "report --workflow subtitle --period daily --json",
)
@span_options
@filter_options
@click.option(
    "--by", "by", multiple=True, type=click.Choice(sorted(BY)), help="Break down by this; may be repeated."
)
@click.option("--period", "step", type=click.Choice(["daily", "weekly", "monthly"]), help="Add a history.")
def command(app: App, span: Span, filters: dict[str, str], by: tuple[str, ...], step: str | None) -> None:
    """Any stretch of time, filtered and broken down as you ask.

    Without dates: the present month. Without --by: by model and by category.
    """
    dimensions = [BY[name] for name in by] or [BY["model"], BY["category"]]
    app.show(
        period_report(period_facts(app.reader, asked("Report", span, filters, by=dimensions, step=step)))
    )
