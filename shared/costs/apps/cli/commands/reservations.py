"""``cost-dashboard reservations``."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import click

from ....budgets.gate import Gate
from ....errors import WrongUsage
from ....reports.reservations import reservations_report
from ..app import App, dashboard_command


@dashboard_command(
    "Keep in order", "reservations", "reservations release", "reservations release 0193f6c2 --also-live"
)
@click.argument("action", type=click.Choice(["list", "release", "reset-clock"]), default="list")
@click.argument("ids", nargs=-1)
@click.option("--also-live", is_flag=True, help="Also release holds whose process is still at work.")
def command(app: App, action: str, ids: tuple[str, ...], also_live: bool) -> None:
    """What the budget gate holds for calls on their way, and releasing what was never sent.

    `list` shows live holds and orphans: those whose process died or that expired. `release` stops
    counting orphans, all or those with the given IDS. Release only what you know was not billed.
    `reset-clock` lets reservations count at the present again after the clock stood in the future.
    """
    workspace = app.workspace
    gate = Gate(
        workspace.index,
        workspace.storage.holders_dir,
        clock=workspace.clock,
        names=workspace.catalogue_name,
    )
    zone = ZoneInfo("UTC") if workspace.loaded_profile().fault else workspace.profile.timezone
    if action == "release":
        released = gate.release(ids or None, also_live=also_live)
        app.show(reservations_report(released, zone, released=True))
        if missing := set(ids) - {held.reservation.id for held in released}:
            names = ", ".join(sorted(missing))
            raise WrongUsage(f"no orphan is called {names}; see cost-dashboard reservations")
        return
    if ids or also_live:
        raise WrongUsage(f"{action} takes no ids; did you mean: cost-dashboard reservations release")
    if action == "reset-clock":
        again = " again" if gate.forget_future() else ""
        app.say(f"reservations count at the present{again}")
    else:
        app.show(reservations_report(gate.holds(), zone))
