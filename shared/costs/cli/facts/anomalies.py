"""The facts of ``anomalies``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from ...analysis.anomalies import Anomaly, day_samples, find_anomalies, job_samples
from ...analysis.sums import UNNAMED, by_day, split, split_by, total
from ...periods import between
from ...rollup import Group, Query, Totals
from ...views.anomalies import MOST_CAUSES, SHOWN, AnomalyFacts, Cause
from ...workspace import Workspace
from .common import health, zone_of
from .period import Asked


def anomaly_facts(workspace: Workspace, asked: Asked) -> AnomalyFacts:
    """Return what stands out among jobs, stages and days."""
    period = asked.span.period(workspace.clock(), zone_of(workspace, asked.query.user_id))
    query = asked.query._replace(start=period.start, end=period.end)
    workspace.index.catch_up_all()
    groups = workspace.index.groups(("job_id", "stage", "service", "model", "service_tier"), query)
    samples = job_samples(groups)
    if asked.query in (Query(), Query(user_id=asked.query.user_id)):  # days are sums of everything
        spend = workspace.index.spend_by_bucket(period.start, period.end, user_id=asked.query.user_id)
        days = zip(period.dates(), by_day(spend, period), strict=True)
        samples += day_samples({day.isoformat(): cost for day, cost in days})
    found = find_anomalies(samples)
    return AnomalyFacts(
        period=period,
        anomalies=found,
        samples=len(samples),
        totals=total(groups),
        filters=asked.filters,
        health=health(workspace),
        causes=[_causes(workspace, anomaly, groups, query) for anomaly in found[:SHOWN]],
    )


def _causes(
    workspace: Workspace, anomaly: Anomaly, groups: Sequence[Group], query: Query
) -> tuple[Cause, ...]:
    """Return the dearest parts of a whole that stands out: a day's jobs, a job's stages and models."""
    where, unit = anomaly.sample.where, anomaly.sample.unit
    if unit == "a day":
        named = date.fromisoformat(where)
        day = between(named, named, zone_of(workspace, query.user_id))
        jobs = workspace.index.groups(("job_id",), query._replace(start=day.start, end=day.end))
        return _dearest(split(jobs, 0))
    if unit == "a job":
        parts = [group for group in groups if (group.key[0] or UNNAMED) == where]
        return _dearest(split_by(parts, lambda key: f"{key[1] or UNNAMED}, {key[2]}/{key[3]}"))
    return ()


def _dearest(sums: Mapping[str, Totals]) -> tuple[Cause, ...]:
    return tuple(Cause(name, totals.cost) for name, totals in list(sums.items())[:MOST_CAUSES])
