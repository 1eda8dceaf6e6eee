"""The facts of ``anomalies``."""

from __future__ import annotations

from dataclasses import replace

from ...analysis.anomalies import day_samples, find_anomalies, job_samples
from ...analysis.sums import by_day, total
from ...rollup import Query
from ...views.anomalies import AnomalyFacts
from ...workspace import Workspace
from .common import health, zone_of
from .period import Asked


def anomaly_facts(workspace: Workspace, asked: Asked) -> AnomalyFacts:
    """Return what stands out among jobs, stages and days."""
    period = asked.span.period(workspace.clock(), zone_of(workspace, asked.query.user_id))
    query = replace(asked.query, start=period.start, end=period.end)
    workspace.index.catch_up_all()
    groups = workspace.index.groups(("job_id", "stage", "service", "model", "service_tier"), query)
    samples = job_samples(groups)
    if asked.query in (Query(), Query(user_id=asked.query.user_id)):  # days are sums of everything
        spend = workspace.index.spend_by_bucket(period.start, period.end, user_id=asked.query.user_id)
        days = zip(period.dates(), by_day(spend, period), strict=True)
        samples += day_samples({day.isoformat(): cost for day, cost in days})
    return AnomalyFacts(
        period, find_anomalies(samples), len(samples), total(groups), asked.filters, health(workspace)
    )
