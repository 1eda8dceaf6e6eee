"""Commands that only show a report: one for each specification in :mod:`shared.costs.reports`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, Final

import click

from ...periods import Period
from ...reports.hosts import of_all_hosts
from ...reports.spec import Spec
from .app import App, DashboardCommand, in_app
from .options import parameters

WATCH: Final = "every_s"
SHARED: Final = "all_hosts"


def command_of(spec: Spec[Any, Any]) -> DashboardCommand:
    """Return the command that asks and shows a report."""

    def call(app: App, **values: Any) -> int:
        every_s, all_hosts = values.pop(WATCH, None), values.pop(SHARED, False)
        question = spec.asked(values)

        def show() -> int:
            reader = app.shared_reader if all_hosts else app.reader
            facts = spec.ask(reader, question)
            app.show(of_all_hosts(spec.report(facts), reader), last_day(facts))
            return spec.exit_code(facts)

        return app.repeat(show, every_s)

    return DashboardCommand(
        name=spec.name,
        section=spec.section,
        examples=spec.examples,
        help=spec.help,
        params=[
            *parameters(*spec.options),
            *([_watch()] if spec.watch else []),
            *([_shared()] if spec.shared else []),
        ],
        callback=in_app(call, spec.prepares),
    )


def last_day(facts: object) -> date | None:
    """Return the last day that the amounts of a report's facts are of; ``None`` where they are of now."""
    period = getattr(facts, "period", None)
    return period.dates()[-1] if isinstance(period, Period) else None


def _params(spec: Spec[Any, Any]) -> Iterator[click.Parameter]:
    yield from parameters(*spec.options)
    if spec.watch:
        yield _watch()
    if spec.shared:
        yield _shared()


def _shared() -> click.Option:
    return click.Option(
        ["--shared", SHARED],
        is_flag=True,
        help="Everyone's calls on all hosts that share the budgets, from their database.",
    )


def _watch() -> click.Option:
    return click.Option(
        ["--watch", WATCH],
        type=click.FloatRange(min=0.1),
        metavar="SECONDS",
        help="Show it again every SECONDS, until Ctrl-C.",
    )
