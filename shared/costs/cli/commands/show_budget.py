"""``cost-dashboard show-budget``."""

from __future__ import annotations

from ...views.budget import budget_report
from ..app import App, dashboard_command
from ..facts.budget import budget_facts
from ..options import month_option, user_option


@dashboard_command("Look", "show-budget", "show-budget --user rpatel --month 2026-10", "show-budget --json")
@user_option
@month_option
def command(app: App, user: str | None, month_name: str | None) -> None:
    """Where the budget stands, where it is going, and what to change.

    Without --user: the default user (COST_TRACKER_USER, else 1).
    """
    app.show(budget_report(budget_facts(app.workspace, user or app.default_user, month_name)))
