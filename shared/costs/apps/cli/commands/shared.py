"""``cost-dashboard shared``."""

from __future__ import annotations

import click

from ....errors import WrongUsage
from ..app import App, dashboard_command


@dashboard_command("Budgets", "shared init", "shared check", prepares=False)
@click.argument("action", type=click.Choice(["init", "check"]))
def command(app: App, action: str) -> None:
    """Budgets that several hosts share, through a PostgreSQL database.

    The profile says where its address is: `shared: {url: env:COST_TRACKER_SHARED}`, or file:PATH for a
    file of mode 0600. `init` makes the tables or brings them to this version; `check` says whether the
    database can be used from here. Whoever may connect to it may read what is in it.
    """
    fleet = app.workspace.fleet
    if fleet is None:
        raise WrongUsage(
            f"no shared database is named: write shared: {{url: env:COST_TRACKER_SHARED}} into the profile "
            f"({app.workspace.loaded_profile().described})"
        )
    if action == "init":
        before = fleet.init()
        done = "is ready" if before == 0 else "has the tables of this version"
        app.say(f"the shared database ({fleet.source}) {done}")
    else:
        seen = fleet.check()
        app.say(
            f"the shared database ({fleet.source}) can be used: PostgreSQL {seen.server}, "
            f"{seen.encryption}; its clock is {seen.clock_s:+.1f} s from this one's"
        )
