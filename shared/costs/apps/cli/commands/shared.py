"""``cost-dashboard shared``."""

from __future__ import annotations

from ....errors import WrongUsage
from ....fleet.fleet import Fleet
from ....reports.hosts import hosts_report
from ....reports.spec import Option
from ..app import App, dashboard_command
from ..options import asked_with

ACTIONS = ("status", "init", "check", "publish", "release", "rejoin")


@dashboard_command("Budgets", "shared init", "shared", "shared release 0193f6c2")
@asked_with(Option("", called="action", choices=ACTIONS, default="status"), Option("", called="host"))
def command(app: App, action: str, host: str | None) -> None:
    """Budgets that several hosts share, through a PostgreSQL database.

    The profile says where its address is: `shared: {url: env:COST_TRACKER_SHARED}`, or file:PATH for a
    file of mode 0600. `init` makes the tables or brings them to this version; `check` says whether the
    database can be used from here; `status` shows the hosts, their leases and what they have not published.
    `publish` publishes now what the background did not. `release` lets a HOST that is gone count no more
    than it published; `rejoin` gives a cost storage that was copied or restored a name of its own.
    """
    profile, fleet = app.workspace.profile, app.workspace.fleet
    if fleet is None:
        raise WrongUsage(
            f"no shared database is named: write shared: {{url: env:COST_TRACKER_SHARED}} into the profile "
            f"({profile.source})"
        )
    if (host is not None) != (action == "release"):
        raise WrongUsage("shared release takes a HOST, nothing else does; see cost-dashboard shared status")
    if action == "status":
        app.show(hosts_report(fleet.standing(), app.reader.now, fleet.source))
    else:
        app.say(_done(fleet, action, host or ""))


def _done(fleet: Fleet, action: str, host: str) -> str:
    """Do something and return what was done, in words."""
    database = f"the shared database ({fleet.source})"
    if action == "init":
        return f"{database} {'has the tables of this version' if fleet.init() else 'is ready'}"
    if action == "check":
        seen = fleet.check()
        return (
            f"{database} can be used: PostgreSQL {seen.server}, {seen.encryption}; its clock is "
            f"{seen.clock_s:+.1f} s from this one's"
        )
    if action == "publish":
        done = fleet.publish()
        left = f"; {done.waiting:,} bytes cannot be read or are still being written" if done.waiting else ""
        return f"published {done.entries:,} entries{left}"
    if action == "release":
        return f"{fleet.release(host)} counts no more than it published"
    fleet.member.rejoin()
    return "this cost storage takes part under a name of its own from its next call on"
