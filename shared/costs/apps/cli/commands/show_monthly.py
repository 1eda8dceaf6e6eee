"""``cost-dashboard show-monthly``."""

from __future__ import annotations

from ....reports.show_monthly import month_facts, month_report
from ..app import App, dashboard_command
from ..options import month_option, user_option, watch_option


@dashboard_command(
    "Look",
    "show-monthly",
    "show-monthly --month 2026-10 --user rpatel",
    "show-monthly --format md --output october.md",
)
@user_option
@month_option
@watch_option
def command(app: App, user: str | None, month_name: str | None, every_s: float | None) -> None:
    """What a month cost, by service, model, stage and user.

    Without --user: everyone.
    """
    app.watch(lambda: month_report(month_facts(app.reader, user, month_name)), every_s)
