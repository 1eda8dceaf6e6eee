"""``cost-dashboard status``."""

from __future__ import annotations

from ....reports.report import period_facts, period_report
from ....reports.span import Span
from ..app import App, dashboard_command
from ..options import user_option, watch_option
from ..reporting import asked


@dashboard_command("Look", "status", "status --user rpatel --json")
@user_option
@watch_option
def command(app: App, user: str | None, every_s: float | None) -> None:
    """The present month at a glance: limits, spend, models, categories.

    Without --user: the default user (COST_TRACKER_USER, else 1).
    """
    filters = {"user": user or app.default_user}
    question = asked("Status", Span(), filters, show_limits=True)
    app.watch(lambda: period_report(period_facts(app.reader, question)), every_s)
