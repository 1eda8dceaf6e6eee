"""The views of the analyses as text at 60, 80 and 120 columns and as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from shared.costs.analysis.caching import Cacheable
from shared.costs.analysis.explain import explain
from shared.costs.analysis.forecast import days_between, forecast
from shared.costs.analysis.optimise import Proposal, Savings
from shared.costs.analysis.options import ModelChange, Slot
from shared.costs.analysis.outcomes import Waste, Worth
from shared.costs.analysis.pace import pace
from shared.costs.analysis.sums import by_day, divide_period, is_whole, total
from shared.costs.analysis.whatif import Swap, SwapEffect, WhatIf
from shared.costs.apps.cli.commands.set_budget import settings_report
from shared.costs.budgets.limits import Spending, limits_for
from shared.costs.formats.values import show
from shared.costs.model import Charge
from shared.costs.money import Nanos, format_usd, from_usd
from shared.costs.periods import parse_month
from shared.costs.profile import Budget, Profile
from shared.costs.reports.anomalies import Anomaly, AnomalyFacts, Cause, Observation, anomaly_report
from shared.costs.reports.check import Check, CheckFacts
from shared.costs.reports.check import check_report as check_view
from shared.costs.reports.common import Health
from shared.costs.reports.explain import ExplainFacts, explain_report
from shared.costs.reports.forecast import ForecastFacts, LimitForecast, forecast_report
from shared.costs.reports.report import HistoryRow
from shared.costs.reports.show_optimization import OptimizationFacts, optimization_report
from shared.costs.reports.trend import TrendFacts, trend_report
from shared.costs.reports.whatif import WhatIfFacts, whatif_report
from shared.costs.rollup import Totals
from tests.support.golden import check_report
from tests.support.history import PRICED, busy_month, entry, fold, spend
from tests.support.statement import sums_by_part

NOVEMBER = parse_month("2026-11", ZoneInfo("UTC"))
NOW = datetime(2026, 11, 22, 15, tzinfo=UTC)
BUSY = busy_month()
DAMAGED = Health(problems=("/data/out/job-7/cost_ledger.jsonl, byte 1024: its checksum does not match",) * 2)


def option(stage: str | None, model: str, change: ModelChange, before: str, after: str) -> Proposal:
    return Proposal(Slot(stage, "openai", model), change, 30, from_usd(before), from_usd(after))


MINI = option("13_ai_summarization", "gpt-4o", ModelChange("model", "openai", "gpt-4o-mini"), "12.30", "0.74")
BATCH = option(
    "13_ai_summarization", "gpt-4o", ModelChange("batch", "openai", "gpt-4o", "batch"), "12.30", "6.15"
)
BOTH = option(
    "13_ai_summarization",
    "gpt-4o",
    ModelChange("model and batch", "openai", "gpt-4o-mini", "batch"),
    "12.30",
    "0.37",
)
RETRIED = from_usd("2.09"), from_usd("0.31")
LOCAL = option(None, "whisper-1", ModelChange("local", "faster-whisper", "large-v3"), "8.68", "0")
LOCAL.audio_microseconds = 1_446 * 60_000_000
TEXTS = option("13_ai_summarization", "gpt-4o", ModelChange("local", "sumy", "extractive"), "12.30", "0")
TEXTS.tokens = 4_100_000
OTHERS = (
    option(
        "13_ai_summarization", "gpt-5", ModelChange("standard", "openai", "gpt-5", "standard"), "3.00", "1.50"
    ),
    option("10_translation", "gpt-5", ModelChange("split", "openai", "gpt-5"), "2.00", "1.40"),
)
WORTH = Worth(
    MINI.slot, Counter(accepted=26, rejected=3, later=1), from_usd("12.30"), 30, from_usd("12.30"), 24.6
)
FURTHER = (
    [Cacheable(MINI.slot, 24, from_usd("9.10"), from_usd("1.75"))],
    [
        Waste(MINI.slot, "done again", 4, from_usd("2.09")),
        Waste(MINI.slot, "not used", 3, from_usd("0.0091")),
    ],
    [WORTH],
)


@pytest.mark.parametrize(
    ("case", "savings"),
    [
        (
            "busy",
            Savings(
                from_usd("26.76"),
                136,
                1,
                (TEXTS, BOTH, MINI, LOCAL, BATCH, *OTHERS),
                (TEXTS, LOCAL, *OTHERS),
                (BOTH, *OTHERS),
                *RETRIED,
            ),
        ),
        ("local", Savings(from_usd("8.68"), 30, 0, (LOCAL,), (LOCAL,), ())),
        ("nothing", Savings(from_usd("8.68"), 30, 0, (), (), ())),
        ("empty", Savings(Nanos(0), 0, 0, (), (), ())),
    ],
)
def test_optimization(case: str, savings: Savings) -> None:
    user = None if case == "busy" else "rpatel"
    facts = OptimizationFacts(user, NOVEMBER, savings, Health(), *(FURTHER if case == "busy" else ()))
    check_report(f"show-optimization-{case}", optimization_report(facts))


@pytest.mark.parametrize("spent", ["-234.62", "5"])
def test_no_percentage_is_of_what_credits_took_below_the_saving(spent: str) -> None:
    savings = Savings(from_usd(spent), 30, 0, (LOCAL, MINI), (LOCAL,), (MINI,))
    waste = Waste(Slot("asr", "openai", "gpt-4o"), "not used", 2, from_usd("1"))
    facts = OptimizationFacts(None, NOVEMBER, savings, Health(), (), (waste,), (), "all")
    report = optimization_report(facts)
    assert [figure.note for figure in report.figures[1:]] == [
        "in 1 change",
        "on your own machine: --show local",
    ]
    assert (report.data["saving_percent"] == 0) == (spent != "5")
    [wasted] = [table.rows for table in report.tables if table.title == "Failed or repeated work"]
    assert wasted[0][-1] == (20.0 if spent == "5" else None)


def test_what_calls_without_a_price_cost_is_not_nothing() -> None:
    for unpriced, shown in ((3, None), (2, Nanos(0))):  # one of local work beside two
        savings = Savings(Nanos(0), 3, unpriced, (), (), ())
        report = optimization_report(OptimizationFacts(None, NOVEMBER, savings, Health()))
        assert [figure.value for figure in report.figures] == [shown]


def test_calls_without_a_price_on_one_side_are_no_same_reasons() -> None:
    found = explain([], [entry(None)])
    [note] = explain_report(ExplainFacts("2026-10", "2026-11", found)).notes
    assert note.text.startswith("1 call has no known price")


def test_credits_on_both_sides_are_told_where_no_call_is() -> None:
    price = Charge({"stated": Nanos(-3_500_000_000)}, PRICED)
    found = explain([], [entry(None, kind="adjustment", charge=price)])
    report = explain_report(ExplainFacts("2026-10", "2026-11", found))
    assert [row[0] for row in report.tables[0].rows] == ["credits"]
    assert report.notes == ()


def test_a_step_saves_what_the_table_says_and_tells_what_retries_would_add() -> None:
    again = replace(BOTH, before_retried=from_usd("2.09"), after_retried=from_usd("0.31"))
    savings = Savings(from_usd("26.76"), 136, 0, (again, *OTHERS), (again, *OTHERS), (again, *OTHERS))
    report = optimization_report(OptimizationFacts(None, NOVEMBER, savings, Health(), show="all"))
    [changes] = [table for table in report.tables if table.title == "Best changes"]
    steps = [note.text.partition(". Saves ")[2] for note in report.notes if ". Saves " in note.text]
    assert [step.partition(" of ")[0] for step in steps] == [
        format_usd(Nanos(int(row[-1] or 0))) for row in changes.rows
    ]
    assert steps[0] == "$10.15 of $12.30, by 30 calls; $1.78 more if retries recur."
    assert steps[1] == "$1.50 of $3.00, by 30 calls."


@pytest.mark.parametrize(
    ("case", "first"),
    [
        ("busy", date(2026, 9, 20)),
        ("early", date(2026, 11, 18)),
        ("first-day", date(2026, 11, 22)),
        ("empty", None),
    ],
)
def test_forecast(case: str, first: date | None) -> None:
    last = NOW.date()
    span = [first + timedelta(days=n) for n in range((last - first).days + 1)] if first else []
    costs = {day: from_usd("0.20" if day.weekday() > 4 else "1.70") for day in span}
    history = days_between(first or last, last, costs)
    month = [costs.get(day, Nanos(0)) for day in NOVEMBER.dates()]
    spent = Nanos(sum(month))
    limits = limits_for(Profile(budget=Budget(monthly_limit=from_usd("30"))), "rpatel", NOW)
    found = forecast(history, NOVEMBER, NOW)
    facts = ForecastFacts(
        user_id="rpatel" if first else None,
        period=NOVEMBER,
        forecast=found,
        pace=pace(month, NOVEMBER, NOW),
        totals=Totals(calls=9, cost=spent) if first else Totals(),
        limits=[LimitForecast(Spending(limit, spent), found) for limit in limits] if first else (),
    )
    check_report(f"forecast-{case}", forecast_report(facts))


@pytest.mark.parametrize("case", ["busy", "empty"])
def test_trend(case: str) -> None:
    entries = BUSY if case == "busy" else []
    weeks = divide_period(NOVEMBER, "weekly")
    sums = sums_by_part(fold(entries, ("bucket",)), weeks)
    lines = {
        user: [
            t.cost for t in sums_by_part(fold([e for e in entries if e.user_id == user], ("bucket",)), weeks)
        ]
        for user in ("rpatel", "2")
    }
    facts = TrendFacts(
        step="weekly",
        period=NOVEMBER,
        stretches=[
            HistoryRow(week.name, totals, is_whole(week, "weekly", NOW))
            for week, totals in zip(weeks, sums, strict=True)
        ],
        totals=total(fold(entries, ())),
        by="user",
        lines=lines,
        filters={"stage": "13_ai_summarization"} if entries else {},
    )
    check_report(f"trend-{case}", trend_report(facts))


def test_stretches_below_zero_have_no_share_of_them_and_no_change_to_the_next() -> None:
    days = divide_period(NOVEMBER, "daily")[:4]
    costs = [Totals(calls=1, cost=Nanos(cost)) for cost in (-6, -6, 4, 0)]
    stretches = [HistoryRow(day.name, totals) for day, totals in zip(days, costs, strict=True)]
    [table] = trend_report(TrendFacts("daily", NOVEMBER, stretches, Totals(calls=4, cost=Nanos(-8)))).tables
    at = [column.key for column in table.columns].index
    assert [row[at("share")] for row in table.rows] == [None, None, None, 0.0]
    assert [row[at("change")] for row in table.rows] == ["", "", "", -100.0]
    assert all("-0.0%" not in str(show(value, "share")) for row in table.rows for value in row[at("share") :])


@pytest.mark.parametrize(
    ("totals", "figures"),
    [
        (Totals(calls=2, unpriced_calls=2), {"Spent": None}),
        (Totals(cost=Nanos(-8)), {"Spent": -8, "A day": -8}),
        (Totals(calls=1, cost=Nanos(8)), {"Spent": 8, "A day": 8, "Most expensive": 8}),
    ],
)
def test_a_trend_of_what_has_no_price_or_is_below_zero_tells_no_most(
    totals: Totals, figures: dict[str, int | None]
) -> None:
    day = divide_period(NOVEMBER, "daily")[0]
    report = trend_report(TrendFacts("daily", NOVEMBER, [HistoryRow(day.name, totals)], totals))
    assert {figure.label: figure.value for figure in report.figures} == figures


@pytest.mark.parametrize("count", [0, 2, 25])
def test_anomalies(count: int) -> None:
    names = [f"job-202611{n:02d}-rpatel-0001" for n in range(1, count + 1)]
    group = "06_whisperx_asr, openai/whisper-1"
    costs = from_usd("0.06"), from_usd("3.10")
    samples = [Observation(group, "a minute of audio", name, *costs) for name in names]
    found = [Anomaly(sample, from_usd("0.006"), 12.5, from_usd("2.79")) for sample in samples]
    causes = [(), (Cause("13_ai_summarization, openai/gpt-4", from_usd("2.05")),)] if count == 2 else []
    facts = AnomalyFacts(NOVEMBER, found, 210, total(fold(BUSY, ())), {"user": "rpatel"}, DAMAGED, causes)
    check_report(f"anomalies-{count}", anomaly_report(facts))


ALIKE = "cost-dashboard explain 2026-11-01..2026-11-07 2026-11-08..2026-11-14"


def test_explain() -> None:
    before = [e for e in BUSY if e.timestamp.day < 8]
    after = [replace(e, attempt=2) if n % 9 == 0 else e for n, e in enumerate(BUSY) if e.timestamp.day >= 8]
    found = explain(before, after)
    check_report(
        "explain-busy",
        explain_report(ExplainFacts("1 to 7 November 2026", "8 to 22 November 2026", found, alike=ALIKE)),
    )
    same = explain(before, before)
    check_report("explain-same", explain_report(ExplainFacts("job-1", "job-2", same, DAMAGED)))
    check_report("explain-empty", explain_report(ExplainFacts("2026-09", "2026-10", explain([], []))))


def test_whatif() -> None:
    swap = Swap(("openai", "gpt-4"), ("openai", "gpt-4o"), "batch")
    unknown = Swap(("openai", "gpt-9"), ("openai", "gpt-4o"))
    outcomes = (
        SwapEffect("13_ai_summarization", swap, 24, 0, 5, from_usd("21.69"), from_usd("1.01")),
        SwapEffect("10_translation", unknown, 3, 3),
    )
    found = WhatIf(from_usd("43.21"), from_usd("22.53"), outcomes)
    facts = WhatIfFacts(NOVEMBER, found, [Swap(("x", "y"), ("a", "b"))], {"user": "rpatel"}, DAMAGED)
    check_report("whatif-busy", whatif_report(facts))
    kept = SwapEffect("13_ai_summarization", Swap(swap.model, swap.model, "batch"), kept=2)
    nothing = whatif_report(WhatIfFacts(NOVEMBER, WhatIf(Nanos(5), Nanos(5), (kept,))))
    assert nothing.tables == ()
    assert nothing.notes[0].text.startswith("2 calls keep their tier")
    check_report("whatif-empty", whatif_report(WhatIfFacts(NOVEMBER, WhatIf(Nanos(0), Nanos(0), ()))))


CHECKS = (
    Check("month", from_usd("30.80"), from_usd("36"), "warning", "85.6% used"),
    Check("month, forecast", from_usd("42"), from_usd("36"), "over", "on course to exceed it"),
    Check("newest job", from_usd("0.0121"), None, "unknown", "only 2 earlier jobs to compare with"),
    Check("most expensive job", None, from_usd("1"), "ok", "no jobs"),
)


@pytest.mark.parametrize(
    ("case", "checks"), [("over", CHECKS), ("fine", CHECKS[3:]), ("unknown", CHECKS[2:]), ("none", ())]
)
def test_check(case: str, checks: tuple[Check, ...]) -> None:
    facts = CheckFacts("rpatel", NOVEMBER, checks, total(fold(BUSY, ())), strict=case == "over")
    check_report(f"check-{case}", check_view(facts))
    assert facts.exit_code == {"over": 1, "fine": 0, "unknown": 3, "none": 0}[case]


def test_settings() -> None:
    budget = Budget(
        daily_limit=from_usd(5),
        stage_limits={"asr": from_usd("0.5")},
        model_limits={"openai/gpt-4": from_usd(10)},
        block_at_limit=True,
        thresholds=(50.0, 80.0),
    )
    path = Path("/home/rpatel/config/profile.yaml")
    profile = Profile(path=path, budget=budget)
    check_report("set-budget-user", settings_report(profile, path, "rpatel"))
    check_report("set-budget-everyone", settings_report(profile, path, None))
    check_report("set-budget-organization", settings_report(profile, path, None, organization=True))


def test_spend_by_day_feeds_the_pace() -> None:
    assert pace(by_day(spend([entry("1")]), NOVEMBER), NOVEMBER, NOW).spent == from_usd(1)
