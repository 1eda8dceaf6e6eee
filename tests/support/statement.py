"""The facts of a month's report and of a job's receipt, made from a small history without a ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from shared.costs.analysis.explain import explain
from shared.costs.analysis.forecast import days_between, forecast
from shared.costs.analysis.job import receipt
from shared.costs.analysis.optimise import Proposal, Savings
from shared.costs.analysis.options import ModelChange, Slot
from shared.costs.analysis.pace import pace
from shared.costs.analysis.sums import SUMMARY_DIMENSIONS, by_day, summarise, total
from shared.costs.budgets.limits import Spending, limits_for
from shared.costs.model import Entry
from shared.costs.money import Nanos, from_usd
from shared.costs.periods import Period, parse_month
from shared.costs.profile import Budget, Profile
from shared.costs.reports.anomalies import AnomalyFacts, find_anomalies, job_samples
from shared.costs.reports.common import Health
from shared.costs.reports.document import Ref
from shared.costs.reports.explain import ExplainFacts
from shared.costs.reports.forecast import ForecastFacts, LimitForecast
from shared.costs.reports.show_job import JobFacts, MonthShare, ReceiptFacts
from shared.costs.reports.show_monthly import MonthFacts
from shared.costs.reports.show_optimization import OptimizationFacts
from shared.costs.reports.statement import JobSum, StatementFacts
from shared.costs.rollup import Group, Totals
from tests.support.history import fold, spend

NOVEMBER = parse_month("2026-11", ZoneInfo("UTC"))
DAY_22 = datetime(2026, 11, 22, 15, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 3, 15, tzinfo=UTC)
LEDGER = "/data/out/job-7/cost_ledger.jsonl"
DAMAGED = Health(problems=(Ref(f"{LEDGER}, byte 1024: its checksum does not match", "path", LEDGER),))
SAVED = Proposal(
    Slot("13_ai_summarization", "openai", "gpt-4o"),
    ModelChange("model", "openai", "gpt-4o-mini"),
    30,
    from_usd("12.30"),
    from_usd("0.74"),
)


def sums_by_part(groups: Iterable[Group], parts: Sequence[Period]) -> list[Totals]:
    """Return sums by part of a period, from groups whose last key is ``bucket``."""
    sums = [Totals() for _ in parts]
    for group in groups:
        at = datetime.fromtimestamp(int(group.key[-1] or 0), UTC)
        for part, totals in zip(parts, sums, strict=True):
            if at in part:
                totals.merge(group.totals)
    return sums


def statement_facts(entries: list[Entry], now: datetime = DAY_22, limit: str = "40") -> StatementFacts:
    """Return the facts of November; the month before is its first days again, at half the price."""
    month = _month(entries, now, limit)
    earlier = [_halved(e) for e in entries[: len(entries) // 2]]
    groups = fold(entries, ("service", "model", "bucket"))
    models = {(g.key[0], g.key[1]) for g in groups}
    return StatementFacts(
        month=month,
        days=sums_by_part(groups, NOVEMBER.days()[: month.pace.days_begun]),
        by_model={
            f"{service}/{model}": [
                t.cost for t in sums_by_part([g for g in groups if g.key[1] == model], NOVEMBER.days())
            ]
            for service, model in sorted(models, key=str)
        },
        before=by_day(spend(earlier), NOVEMBER),
        jobs=_jobs(entries),
        anomalies=_anomalies(entries),
        savings=OptimizationFacts(
            None,
            NOVEMBER,
            Savings(month.summary.totals.cost, len(entries), 1, (SAVED,), (SAVED,), (SAVED,)),
            Health(),
        ),
        forecast=_forecast(month, now) if now in NOVEMBER else None,
        explained=ExplainFacts("1 to 22 October 2026", "November 2026", explain(earlier, entries))
        if entries
        else None,
    )


def receipt_facts(entries: list[Entry]) -> ReceiptFacts:
    """Return the facts of the receipt of one job."""
    found = receipt("job-1", entries)
    job = JobFacts(
        receipt=found,
        ledger=Path("/data/out/job-1/cost_ledger.jsonl"),
        zone=ZoneInfo("Asia/Kolkata"),
        month=MonthShare("rpatel", "2026-11", found.totals.cost, from_usd("40.25"), from_usd("50")),
    )
    return ReceiptFacts(job, entries)


def _halved(entry: Entry) -> Entry:
    charge = entry.charge
    if charge is None:
        return entry
    return replace(entry, charge=charge._replace(parts={k: Nanos(v // 2) for k, v in charge.parts.items()}))


def _month(entries: list[Entry], now: datetime, limit: str) -> MonthFacts:
    days = by_day(spend(entries), NOVEMBER)
    spent = Nanos(sum(days))
    (month_limit,) = (
        x
        for x in limits_for(Profile(budget=Budget(monthly_limit=from_usd(limit))), "rpatel", DAY_22)
        if x.scope.kind == "month"
    )
    return MonthFacts(
        period=NOVEMBER,
        summary=summarise(
            "2026-11", None, fold(entries, SUMMARY_DIMENSIONS), len({e.job_id for e in entries})
        ),
        days=days,
        pace=pace(days, NOVEMBER, now),
        before=from_usd("21.50"),
        limit=Spending(month_limit, spent),
        health=DAMAGED,
    )


def _jobs(entries: list[Entry]) -> list[JobSum]:
    groups = sorted(fold(entries, ("job_id", "user_id")), key=lambda g: (-g.totals.cost, g.key))
    return [JobSum(str(g.key[0]), str(g.key[1]), "13_ai_summarization", g.totals) for g in groups[:10]]


def _anomalies(entries: list[Entry]) -> AnomalyFacts:
    samples = job_samples(fold(entries, ("job_id", "stage", "service", "model", "service_tier")))
    return AnomalyFacts(NOVEMBER, find_anomalies(samples), len(samples), total(fold(entries, ())))


def _forecast(month: MonthFacts, now: datetime) -> ForecastFacts:
    first = date(2026, 10, 1)
    costs = dict(zip(NOVEMBER.dates(), month.days, strict=True))
    costs |= {first + timedelta(days=n): from_usd("1.10") for n in range(31)}
    found = forecast(days_between(first, now.date(), costs), NOVEMBER, now)
    limits = (LimitForecast(month.limit, found),) if month.limit else ()
    return ForecastFacts(None, NOVEMBER, found, month.pace, month.summary.totals, limits)
