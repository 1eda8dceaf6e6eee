"""``cost-dashboard set-budget``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ....errors import WrongUsage
from ....money import Nanos
from ....reports.settings import settings_report
from ..app import App, dashboard_command
from ..options import Parsed, limit, named_limit


@dashboard_command(
    "Budgets",
    "set-budget --monthly 50 --daily 5",
    "set-budget --user rpatel --monthly 100 --block",
    "set-budget --model openai/gpt-4=10 --stage 13_ai_summarization=0.50 --alert-at 50 --alert-at 80",
    "set-budget --user rpatel --weekly none",
)
@click.option(
    "--user", "--user-id", "user", metavar="ID", help="Only this user. Without it: everyone's default."
)
@click.option("--organization", is_flag=True, help="The limits over all users together.")
@click.option("--monthly", type=Parsed(limit), metavar="USD", help="Limit a month; none takes it away.")
@click.option("--weekly", type=Parsed(limit), metavar="USD", help="Limit a week, Monday to Sunday.")
@click.option("--daily", type=Parsed(limit), metavar="USD", help="Limit a day.")
@click.option("--job", type=Parsed(limit), metavar="USD", help="Limit a job, over its whole life.")
@click.option(
    "--stage",
    "stages",
    type=Parsed(named_limit),
    multiple=True,
    metavar="NAME=USD",
    help="Limit a stage in each job.",
)
@click.option(
    "--model",
    "models",
    type=Parsed(named_limit),
    multiple=True,
    metavar="NAME=USD",
    help="Limit a model, a month.",
)
@click.option(
    "--alert-at",
    "thresholds",
    type=click.FloatRange(0, 100, min_open=True),
    multiple=True,
    metavar="PERCENT",
    help="Warn at this part of a limit; may be repeated.",
)
@click.option(
    "--block/--no-block", "block", default=None, help="Refuse reserved calls that could pass a limit."
)
@click.option("--timezone", metavar="ZONE", help="Where days and months begin, such as Europe/Berlin.")
def command(app: App, user: str | None, organization: bool, timezone: str | None, **limits: Any) -> None:
    """Change the limits in your profile; its comments and everything else stay.

    Without a profile, a commented one is written first, where every command finds it.
    """
    from ....profile.edit import Edit, edit_profile  # locks and checks that only this command needs

    if user is not None and organization:
        raise WrongUsage("--user and --organization exclude each other")
    changes = _changes(limits)
    if not changes and timezone is None:
        raise WrongUsage("nothing to change: give --monthly, --daily or another limit; see --help")
    path = app.workspace.profile_path or _new_profile(app)
    profile = edit_profile(path, Edit(changes, user, organization, timezone))
    app.show(settings_report(profile, path, user, organization=organization))


def _changes(limits: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given, as fields of a budget."""
    found: dict[str, Any] = {
        f"{option}_limit": _value(limits[option])
        for option in ("monthly", "weekly", "daily", "job")
        if limits[option] is not None
    }
    for option, field in (("stages", "stage_limits"), ("models", "model_limits")):
        if limits[option]:
            found[field] = {name: _value(amount) for name, amount in limits[option]}
    if limits["thresholds"]:
        found["thresholds"] = tuple(sorted(set(limits["thresholds"])))
    if limits["block"] is not None:
        found["block_at_limit"] = limits["block"]
    return found


def _value(amount: Nanos | str) -> Nanos | None:
    return None if isinstance(amount, str) else amount


def _new_profile(app: App) -> Path:
    from ....profile.finding import place_for_new

    return place_for_new(app.workspace.environ, Path.cwd(), app.workspace.storage.root)
