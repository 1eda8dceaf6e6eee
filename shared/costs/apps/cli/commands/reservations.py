"""``cost-dashboard reservations``."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from ....budgets.port import HoldState, HoldStatus
from ....errors import WrongUsage
from ....reports.common import plural
from ....reports.reservations import reservations_report
from ....reports.spec import Option
from ..app import App, dashboard_command
from ..options import asked_with


@dashboard_command(
    "Keep in order", "reservations", "reservations release", "reservations release 0193f6c2 --also-live"
)
@asked_with(
    Option("", called="action", choices=("list", "release", "reset-clock", "forget"), default="list"),
    Option("", called="ids", many=True),
    Option("--also-live", "Also release holds whose process is still running.", flag=True),
    Option("--also-submitted", "Also release holds that wait for their provider's results.", flag=True),
)
def command(app: App, action: str, ids: tuple[str, ...], also_live: bool, also_submitted: bool) -> None:
    """Show what the budget gate holds for calls in progress, and release what was never sent.

    `list` shows live holds, submitted ones, which wait for their provider's results, and orphans:
    those whose process died, that expired, or whose block ended without an entry. `release` stops
    counting orphans, all or those with the given IDS. Release only what you know was not billed.
    `reset-clock` lets reservations count at the present again after the clock stood in the future.
    `forget` is for when what reserves was mended: calls that were recorded with another model, tag or other
    name than they were reserved for had others like them checked against the limits on it for 31 days.
    """
    workspace = app.workspace
    gate = workspace.gate
    also: list[HoldState] = ["live"] if also_live else []
    also += ["submitted"] if also_submitted else []
    zone = ZoneInfo("UTC") if workspace.loaded_profile().fault else workspace.profile.timezone
    if action == "release":
        released = gate.release(ids or None, also=also)
        app.show(reservations_report(released, zone, released=True))
        if missing := set(ids) - {held.reservation.id for held in released}:
            raise WrongUsage(_not_released(missing, gate.holds()))
        return
    if ids or also:
        raise WrongUsage(f"{action} takes no ids; did you mean: cost-dashboard reservations release")
    if action == "reset-clock":
        again = " again" if gate.forget_future() else ""
        app.say(f"reservations count at the present{again}")
    elif action == "forget":
        forgotten = plural(gate.forget_strayed(), "name", "names")
        app.say(f"{forgotten} forgotten that calls were recorded with and not reserved for")
    else:
        app.show(reservations_report(gate.holds(), zone))


def _not_released(ids: set[str], holds: list[HoldStatus]) -> str:
    """Say why reservations were not released, and what would do it."""
    states = {held.reservation.id: held.reservation.state for held in holds}
    other = sorted(ids & states.keys())
    if not other:
        names = ", ".join(sorted(ids))
        return f"no reservation is called {names}; see cost-dashboard reservations"
    options = " ".join(sorted({f"--also-{states[one]}" for one in other}))
    stated = ", ".join(f"{one} is {states[one]}" for one in other)
    return (
        f"{stated}; if it will not be billed: cost-dashboard reservations release {' '.join(other)} {options}"
    )
