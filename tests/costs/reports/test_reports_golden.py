"""Each report as text and as JSON, for the histories that people meet."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from shared.costs.analysis.avoided import Saving
from shared.costs.analysis.job import receipt
from shared.costs.analysis.pace import outlook, pace
from shared.costs.analysis.sums import (
    SUMMARY_DIMENSIONS,
    by_day,
    divide_period,
    split,
    split_by,
    summarise,
    total,
)
from shared.costs.apps.cli.commands.log import logged_report
from shared.costs.budgets.limits import Spending, foresee, limits_for, tightest_first
from shared.costs.model import Entry
from shared.costs.money import Nanos, from_usd
from shared.costs.periods import parse_month
from shared.costs.profile import Budget, Profile
from shared.costs.reports.common import Breakdown, Health, doubts, totals_data
from shared.costs.reports.document import Ref
from shared.costs.reports.report import HistoryRow, PeriodFacts, period_report
from shared.costs.reports.show_budget import BudgetFacts, budget_report
from shared.costs.reports.show_job import JobFacts, MonthShare, job_report
from shared.costs.reports.show_monthly import MonthFacts, count_figures, month_report
from shared.costs.rollup import JobRef, Totals
from tests.support.golden import check_report
from tests.support.history import busy_month, entry, fold, spend
from tests.support.statement import sums_by_part

UTC_ZONE = ZoneInfo("UTC")
NOVEMBER = parse_month("2026-11", UTC_ZONE)
NOW = datetime(2026, 11, 22, 15, tzinfo=UTC)
ONE = [entry("0.0045")]
UNPRICED = [entry(None, model="gpt-9")]
LEDGER = "/data/out/job-7/cost_ledger.jsonl"
DAMAGED = Health(problems=(Ref(f"{LEDGER}, byte 1024: its checksum does not match", "path", LEDGER),))

HISTORIES = {"empty": [], "one": ONE, "unpriced": UNPRICED, "busy": busy_month()}


def spending(entries: list[Entry], budget: Budget, user: str) -> tuple[Spending, ...]:
    spent = Nanos(sum(e.cost for e in entries))
    limits = limits_for(Profile(budget=budget), user, NOW)
    return tuple(tightest_first(Spending(limit, spent) for limit in limits if limit.scope.kind != "model"))


def budget_facts(entries: list[Entry], budget: Budget, health: Health | None = None) -> BudgetFacts:
    found = pace(by_day(spend(entries), NOVEMBER), NOVEMBER, NOW)
    spendings = spending(entries, budget, "rpatel")
    month = next((s for s in spendings if s.limit.scope.kind == "month"), None)
    return BudgetFacts(
        user_id="rpatel",
        period=NOVEMBER,
        totals=total(fold(entries, ())),
        pace=found,
        spendings=spendings,
        month=month,
        outlook=outlook(found, month.limit.amount) if month else None,
        foreseen=tuple(filter(None, [foresee(month, found.projected)])) if month else (),
        profile="/home/rpatel/config/profile.yaml",
        health=health or Health(),
    )


def test_the_last_day_of_a_month_is_projected_and_a_month_that_is_over_is_not() -> None:
    facts = budget_facts(HISTORIES["busy"], Budget())
    days = by_day(spend(HISTORIES["busy"]), NOVEMBER)
    for at, shown in ((NOVEMBER.end - timedelta(hours=1), True), (NOVEMBER.end, False)):
        report = budget_report(facts._replace(pace=pace(days, NOVEMBER, at)))
        assert ("projected" in {figure.key for figure in report.figures}) is shown


@pytest.mark.parametrize("case", HISTORIES)
def test_budget(case: str) -> None:
    check_report(f"show-budget-{case}", budget_report(budget_facts(HISTORIES[case], Budget())))


@pytest.mark.parametrize(("case", "limit"), [("over", "20"), ("near", "32"), ("tight", "40")])
def test_budget_that_runs_out(case: str, limit: str) -> None:
    budget = Budget(monthly_limit=from_usd(limit), weekly_limit=from_usd("200"), block_at_limit=True)
    facts = budget_facts(busy_month(), budget, DAMAGED)
    assert facts.month is not None
    held = {facts.month.limit.scope: from_usd("1.25")}
    facts = facts._replace(reserved=from_usd("1.25"), holds=2, held=held, unreserved_calls=5)
    check_report(f"show-budget-{case}", budget_report(facts))


def test_budget_without_a_limit() -> None:
    check_report(
        "show-budget-unlimited", budget_report(budget_facts(busy_month(), Budget(monthly_limit=None)))
    )


def month_facts(entries: list[Entry], user: str | None, **more: object) -> MonthFacts:
    days = by_day(spend(entries), NOVEMBER)
    jobs = len({e.job_id for e in entries})
    return MonthFacts(
        period=NOVEMBER,
        summary=summarise("2026-11", user, fold(entries, SUMMARY_DIMENSIONS), jobs),
        days=days,
        pace=pace(days, NOVEMBER, NOW),
        **more,  # type: ignore[arg-type]  # fields of the facts
    )


@pytest.mark.parametrize("case", HISTORIES)
def test_month(case: str) -> None:
    check_report(f"show-monthly-{case}", month_report(month_facts(HISTORIES[case], None)))


def test_month_of_one_user_with_a_limit_and_damage() -> None:
    entries = [e for e in busy_month() if e.user_id == "rpatel"]
    limit = spending(entries, Budget(), "rpatel")[0]
    facts = month_facts(entries, "rpatel", limit=limit, before=from_usd("21.50"), health=DAMAGED)
    check_report("show-monthly-user", month_report(facts))


def job_facts(entries: list[Entry]) -> JobFacts:
    found = receipt("job-1", entries)
    share = MonthShare("rpatel", "2026-11", found.totals.cost, from_usd("40.25"), from_usd("50"))
    return JobFacts(
        receipt=found,
        ledger=Path("/data/out/job-1/cost_ledger.jsonl"),
        zone=ZoneInfo("Asia/Kolkata"),
        month=share if entries else None,
    )


JOB = [
    entry("0.31", id="a", stage="06_whisperx_asr", model="whisper-1"),
    entry("0.0045", id="b", attempt=2, timestamp=NOW),
    entry("0", id="c", stage="10_translation", service="local", model="apertium", timestamp=NOW),
    entry(None, id="d", model="gpt-9", estimated=True, timestamp=NOW),
    entry("-0.001", id="e", kind="adjustment", corrects="b", why="a better price", timestamp=NOW),
]


@pytest.mark.parametrize(
    ("case", "entries"), [("empty", []), ("one", ONE), ("unpriced", UNPRICED), ("busy", JOB)]
)
def test_job(case: str, entries: list[Entry]) -> None:
    check_report(f"show-job-{case}", job_report(job_facts(entries)))


SAVED = [
    Saving("local/pocketsphinx", "openai/whisper-1", from_usd("0.36")),
    Saving("local/indictrans2-local", "indictrans2/api", from_usd("0.0021"), unverified=True),
    Saving("local/apertium", "openai/gpt-4o-mini", None),
]


def test_what_local_work_avoided() -> None:
    check_report("show-job-avoided", job_report(replace(job_facts(JOB), avoided=SAVED)))
    check_report("show-monthly-avoided", month_report(month_facts(ONE, None, avoided=SAVED[:1])))
    unknown = replace(job_facts(JOB), avoided=SAVED[2:])
    assert not [figure for figure in job_report(unknown).figures if figure.key == "avoided"]


def test_job_with_limits_and_damage() -> None:
    profile = Profile(
        budget=Budget(job_limit=from_usd("0.30"), stage_limits={"06_whisperx_asr": from_usd("0.35")})
    )
    facts = job_facts(JOB)
    limits = [
        x for x in limits_for(profile, "1", NOW, JobRef("job-1", facts.ledger)) if x.scope.kind != "month"
    ]
    spendings = tuple(tightest_first(Spending(limit, from_usd("0.3135")) for limit in limits))
    check_report("show-job-limits", job_report(replace(facts, spendings=spendings, health=DAMAGED)))


@pytest.mark.parametrize("case", HISTORIES)
def test_report(case: str) -> None:
    entries = HISTORIES[case]
    weeks = divide_period(NOVEMBER, "weekly")
    sums = sums_by_part(fold(entries, ("bucket",)), weeks)
    whole = total(fold(entries, ()))
    whole.jobs = len({e.job_id for e in entries})
    by_model = split_by(fold(entries, ("service", "model")), lambda key: f"{key[0]}/{key[1]}")
    facts = PeriodFacts(
        title="Report",
        period=NOVEMBER,
        totals=whole,
        filters={"stage": "13_ai_summarization"} if case == "busy" else {},
        breakdowns=[
            Breakdown("by_model", "Model", by_model),
            Breakdown("by_category", "Category", split(fold(entries, ("operation",)), 0)),
        ],
        stretches=[HistoryRow(week.name, totals) for week, totals in zip(weeks, sums, strict=True)],
        spendings=spending(entries, Budget(), "rpatel"),
    )
    check_report(f"report-{case}", period_report(facts))


@pytest.mark.parametrize(
    ("case", "found", "new"), [("priced", ONE, True), ("unpriced", UNPRICED, True), ("again", ONE, False)]
)
def test_logged(case: str, found: list[Entry], new: bool) -> None:
    alerts = (
        ["⚠️  WARNING: Budget threshold reached! $40.25 / $50.00 (80.5%) | Remaining: $9.75"] if new else []
    )
    check_report(f"log-{case}", logged_report(found[0], new=new, alerts=alerts))


def test_estimates_of_which_more_are_taken_back_than_there_are_raise_no_doubt() -> None:
    assert doubts(Totals(calls=-1, estimated_calls=-1, cost=from_usd("-0.5")), Health()) == ()


def test_what_is_priced_in_part_is_said_beside_the_sum() -> None:
    totals = Totals(calls=3, cost=from_usd("0.5"), partial_calls=2)
    [note] = doubts(totals, Health())
    assert note.text.startswith("2 calls have a price for only a part of it and cost more than this")
    assert totals_data(totals)["partial_calls"] == 2
    [calls] = count_figures(totals)
    assert (calls.note, calls.tone) == ("2 priced in part", "warning")
