"""``cost-dashboard show-budget``."""

from __future__ import annotations

from ....reports.show_budget import budget_facts, budget_report
from ..app import App, dashboard_command
from ..options import month_option, user_option, watch_option


@dashboard_command("Look", "show-budget", "show-budget --user rpatel --month 2026-10", "show-budget --json")
@user_option
@month_option
@watch_option
def command(app: App, user: str | None, month_name: str | None, every_s: float | None) -> None:
    """Where the budget stands, where it is going, and what to change.

    Without --user: the default user (COST_TRACKER_USER, else 1).
    """
    who = user or app.default_user
    app.watch(lambda: budget_report(budget_facts(app.reader, who, month_name)), every_s)
