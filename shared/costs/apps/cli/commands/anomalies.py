"""``cost-dashboard anomalies``."""

from __future__ import annotations

from ....reports.anomalies import anomaly_facts, anomaly_report
from ....reports.span import Span
from ..app import App, dashboard_command
from ..options import span_options
from ..reporting import asked, filter_options


@dashboard_command(
    "Look", "anomalies", "anomalies --days 90 --stage 06_whisperx_asr", "anomalies --user rpatel --json"
)
@span_options
@filter_options
def command(app: App, span: Span, filters: dict[str, str]) -> None:
    """Jobs, stages and days that cost unlike their kind, and how much beyond the usual.

    Compared per minute of audio, per 1,000 tokens, per job and per day. Without dates: the last 30 days.
    """
    span = Span(days=30) if span == Span() else span
    app.show(anomaly_report(anomaly_facts(app.reader, asked("Anomalies", span, filters))))
