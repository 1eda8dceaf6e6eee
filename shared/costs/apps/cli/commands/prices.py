"""``cost-dashboard prices``."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from pathlib import Path

from ....errors import WrongUsage
from ....reports.prices import (
    checked,
    checked_prices_report,
    coverage_report,
    covered,
    listed,
    price_report,
    price_update_report,
    prices_report,
    shown,
    updated,
    upgraded,
)
from ....reports.spec import Option, parse_day
from ..app import App, dashboard_command
from ..options import asked_with


@dashboard_command(
    "Keep in order",
    "prices show gpt-4o",
    "prices list gemini --format md",
    "prices check",
    "prices coverage",
    "prices update genai_prices-0.2.9-py3-none-any.whl",
    "prices update offer.yaml --yes",
)
@asked_with(
    Option("", called="action", choices=("list", "show", "check", "coverage", "update"), default="list"),
    Option("", "", "[MODEL|FILE]", called="what"),
    Option("--on", "The prices of this day instead of today.", "DATE", parse_day, called="day"),
    Option(
        "--everything",
        "Also list all that genai-prices knows, or check models that you do not use.",
        flag=True,
    ),
    Option("--yes", "Apply the update; without it only the difference is shown.", flag=True),
)
def command(
    app: App, action: str, what: str | None, *, day: date | None, everything: bool, yes: bool
) -> int | None:
    """Show where prices come from and since when, and update them.

    `list` shows every model with a price, or those with MODEL in their name. `show` has all rates of
    a model and the arithmetic of an example. `check` finds calls without a price, stale sources and
    sources that disagree (exit code 1: calls have no price, or only part of one). `coverage` tells of
    which models every unit has a price: of those in the ledgers, and of all that are known. `update`
    takes a wheel of genai-prices or a price file; without one it shows what the installed release
    changed since the one before.
    """
    at = datetime.combine(day, time.min, tzinfo=UTC) if day else app.workspace.clock()
    if action == "list":
        app.show(prices_report(listed(app.reader, at, what or "", everything=everything), at))
    elif action == "show":
        app.show(price_report(shown(app.reader, _given(what, "which model"), at), at))
    elif action == "update":
        update = updated(app.reader, Path(what), write=yes) if what else upgraded(app.reader)
        app.show(price_update_report(update))
    elif action == "coverage":
        app.show(coverage_report(covered(app.reader)))
    else:
        if what:
            raise WrongUsage("check looks at all models in the ledgers; leave the name out")
        facts = checked(app.reader, everything=everything)
        app.show(checked_prices_report(facts))
        return facts.exit_code
    return None


def _given(what: str | None, question: str) -> str:
    if what is None:
        raise WrongUsage(f"say {question}; see cost-dashboard prices --help")
    return what
