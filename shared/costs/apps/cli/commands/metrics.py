"""``cost-dashboard metrics``."""

from __future__ import annotations

from ....exchange.openmetrics import openmetrics
from ....reports.spec import Option
from ....shipped import DATA
from ..app import App, dashboard_command
from ..options import asked_with

DASHBOARD = DATA / "integrations" / "grafana-dashboard.json"


@dashboard_command(
    "Record and share",
    "metrics",
    "metrics --output /var/lib/node_exporter/textfile/costs.prom",
    "metrics --grafana --output costs-dashboard.json",
    without=("as_json", "format_name"),
)
@asked_with(Option("--grafana", "A dashboard for Grafana over these metrics, to import there.", flag=True))
def command(app: App, grafana: bool) -> None:
    """What was spent and how limits stand, as OpenMetrics text, for Prometheus.

    Written to a file from cron, it is read by the node exporter's textfile collector; `serve` answers the
    same at /metrics. Gauges by user, stage, provider and model for today and this month, and one for each
    limit; no job ids. A file is whole or not there.
    """
    app.pour([DASHBOARD.read_text(encoding="utf-8") if grafana else openmetrics(app.reader)])
