"""Commands that only show a report: one for each specification in :mod:`shared.costs.reports`."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

import click

from ...periods import Period
from ...reports.spec import Spec
from .app import App, DashboardCommand, in_app
from .options import parameters

WATCH: Final = "every_s"


def command_of(spec: Spec[Any, Any]) -> DashboardCommand:
    """Return the command that asks and shows a report."""

    def call(app: App, **values: Any) -> int:
        every_s = values.pop(WATCH, None)
        question = spec.asked(values)

        def show() -> int:
            facts = spec.ask(app.reader, question)
            app.show(spec.report(facts), last_day(facts))
            return spec.exit_code(facts)

        return app.repeat(show, every_s)

    return DashboardCommand(
        name=spec.name,
        section=spec.section,
        examples=spec.examples,
        help=spec.help,
        params=[*parameters(*spec.options), *([_watch()] if spec.watch else [])],
        callback=in_app(call, spec.prepares),
    )


def last_day(facts: object) -> date | None:
    """Return the last day that the amounts of a report's facts are of; ``None`` where they are of now."""
    period = getattr(facts, "period", None)
    return period.dates()[-1] if isinstance(period, Period) else None


def _watch() -> click.Option:
    return click.Option(
        ["--watch", WATCH],
        type=click.FloatRange(min=0.1),
        metavar="SECONDS",
        help="Show it again every SECONDS, until Ctrl-C.",
    )
