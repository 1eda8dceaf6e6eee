"""``cost-dashboard forecast``."""

from __future__ import annotations

from ....reports.forecast import forecast_facts, forecast_report
from ..app import App, dashboard_command
from ..options import user_option, watch_option


@dashboard_command("Look", "forecast", "forecast --user rpatel --json")
@user_option
@watch_option
def command(app: App, user: str | None, every_s: float | None) -> None:
    """Where this month will end, by weekday, and when each limit is reached.

    Without --user: everyone, against the organization's limit.
    """
    app.watch(lambda: forecast_report(forecast_facts(app.reader, user)), every_s)
