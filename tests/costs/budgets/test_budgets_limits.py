"""Which limits hold, how they stand and what is said."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.budgets.limits import (
    Crossing,
    Limit,
    Scope,
    Spending,
    crossing,
    crossings,
    limits_for,
    tightest_first,
)
from shared.costs.budgets.scopes import KINDS, WHATEVER, CallScope, covers, places_beside
from shared.costs.budgets.spending import Questions
from shared.costs.budgets.wording import message, percent_text
from shared.costs.money import Nanos, from_usd
from shared.costs.profile import Profile
from shared.costs.profile.reading import parse_profile
from shared.costs.rollup import JobRef, Query
from shared.costs.workspace import Workspace

NOW = datetime(2026, 11, 30, 20, 0, tzinfo=UTC)  # in Kolkata already 1 December, a Tuesday
JOB = JobRef("job-1", Path("/out/job-1/cost_ledger.jsonl"))


def read(text: str) -> Profile:
    return parse_profile(text.encode(), Path("profile.yaml"))


def as_is(service: str, model: str) -> str:
    return f"{service}/{model}"


MONTH = Scope("u", "month")


def limit(amount: str = "50", scope: Scope = MONTH, thresholds: tuple[float, ...] = (80.0,)) -> Limit:
    return Limit(scope, from_usd(amount), None, Query(), thresholds)


def said(spent: str, of: Limit) -> str | None:
    found = crossing(Spending(of, from_usd(spent)))
    return None if found is None else message(found)


# --- the texts


@pytest.mark.parametrize(
    ("spent", "text"),
    [
        ("0", None),
        ("39.99", None),
        ("40", "⚠️  WARNING: Budget threshold reached! $40.00 / $50.00 (80.0%) | Remaining: $10.00"),
        ("40.25", "⚠️  WARNING: Budget threshold reached! $40.25 / $50.00 (80.5%) | Remaining: $9.75"),
        ("49.9999", "⚠️  WARNING: Budget threshold reached! $50.00 / $50.00 (99.9%) | Remaining: $0.00"),
        ("50", "🚨 CRITICAL: Budget limit reached! $50.00 / $50.00 (100.0%)"),
        ("1234.5", "🚨 CRITICAL: Budget limit reached! $1,234.50 / $50.00 (2469.0%)"),
    ],
)
def test_the_user_s_month(spent: str, text: str | None) -> None:
    assert said(spent, limit()) == text


@pytest.mark.parametrize(
    ("scope", "title"),
    [
        (Scope("u", "day"), "Daily budget"),
        (Scope("u", "week"), "Weekly budget"),
        (Scope("u", "month"), "Budget"),
        (Scope("u", "job", "job-1"), "Job budget of job-1"),
        (Scope("u", "stage", "asr"), "Stage budget of asr"),
        (Scope("u", "model", "openai/gpt-4"), "Model budget of openai/gpt-4"),
        (Scope(None, "month"), "Organization budget"),
        (Scope(None, "day"), "Organization daily budget"),
        (Scope(None, "model", "openai/gpt-4"), "Organization model budget of openai/gpt-4"),
    ],
)
def test_other_scopes_name_themselves(scope: Scope, title: str) -> None:
    assert said("4.5", limit("5", scope)) == (
        f"⚠️  WARNING: {title} threshold reached! $4.50 / $5.00 (90.0%) | Remaining: $0.50"
    )
    assert said("5", limit("5", scope)) == f"🚨 CRITICAL: {title} limit reached! $5.00 / $5.00 (100.0%)"


def test_small_limits_show_four_decimals() -> None:
    assert said("0.0045", limit("0.005")) == (
        "⚠️  WARNING: Budget threshold reached! $0.0045 / $0.0050 (90.0%) | Remaining: $0.0005"
    )
    assert [places_beside(from_usd(a)) for a in ("0", "0.5", "1")] == [2, 4, 2]


def test_a_limit_of_nothing_is_reached_by_the_first_cent() -> None:
    assert said("0", limit("0")) is None
    assert said("0.01", limit("0")) == "🚨 CRITICAL: Budget limit reached! $0.01 / $0.00 (100.0%)"
    assert percent_text(Nanos(0), Nanos(0)) == "0.0%"


@pytest.mark.parametrize(
    ("spent", "threshold", "level"),
    [
        ("4.9", None, "ok"),
        ("5", 50, "warning"),
        ("8.1", 80, "warning"),
        ("9.5", 95, "warning"),
        ("10", 100, "critical"),
    ],
)
def test_the_highest_threshold_counts(spent: str, threshold: float | None, level: str) -> None:
    spending = Spending(limit("10", thresholds=(50.0, 80.0, 95.0)), from_usd(spent))
    assert (spending.threshold, spending.level) == (threshold, level)


def test_a_hundred_is_alerted_without_being_named() -> None:
    found = crossing(Spending(limit("10", thresholds=(50.0,)), from_usd(10)))
    assert found is not None
    assert (found.threshold, found.critical) == (100.0, True)


@given(st.integers(0, 10**18), st.integers(0, 10**18), st.floats(0.1, 100))
def test_a_crossing_agrees_with_its_figures(spent: int, amount: int, threshold: float) -> None:
    spending = Spending(Limit(Scope("u", "month"), Nanos(amount), None, Query(), (threshold,)), Nanos(spent))
    found = crossing(spending)
    assert (found is not None and found.critical) == (spent > 0 and spent >= amount)
    assert (percent_text(Nanos(spent), Nanos(amount)) == "100.0%") <= (spent >= amount)
    if found is None and spent:
        assert spending.remaining > 0


@given(
    st.integers(0, 10**18),
    st.integers(-3, 3),
    st.lists(st.floats(0.1, 100), min_size=1, max_size=3),
)
def test_the_first_crossing_is_the_least_spend_that_crosses(
    amount: int, more: int, thresholds: list[float]
) -> None:
    limit = Limit(Scope("u", "month"), Nanos(amount), None, Query(), tuple(sorted(thresholds)))
    spent = Nanos(max(0, limit.first_crossing + more))
    assert (Spending(limit, spent).threshold is not None) == (spent >= limit.first_crossing)
    assert Questions([limit]).are_quiet([spent]) == (spent < limit.first_crossing)


def test_questions_hold_as_long_as_all_their_periods() -> None:
    asked = Questions(limits_for(read(EVERYTHING.replace(WINDOWS, "")), "rpatel", NOW, JOB))
    assert asked.hold_at(NOW)
    # In Kolkata the day and the month began at 18:30 UTC; in Berlin the organisation's month ends at 23:00.
    edges = [(18, 29, False), (18, 30, True), (22, 59, True), (23, 0, False)]
    assert [asked.hold_at(NOW.replace(hour=h, minute=m)) for h, m, _ in edges] == [e[2] for e in edges]
    assert Questions([]).hold_at(NOW)
    assert not asked.are_quiet([Nanos(0)] * len(asked.queries))  # models are to be asked for


# --- which limits hold

WINDOWS = "  rolling: {hours: 5, limit_usd: 14}\n  guard: {usd_per_minute: 19}\n"

EVERYTHING = """
timezone: Europe/Berlin
budget:
  daily_limit_usd: 1
  weekly_limit_usd: 2
  monthly_limit_usd: 3
  job_limit_usd: 4
  stage_limits_usd: {asr: 5}
  model_limits_usd: {openai/gpt-4: 6}
  project_limits_usd: {subtitles: 8}
  tag_limits_usd: {"customer:acme": 9}
  workflow_limits_usd: {nightly: 10}
  operation_limits_usd: {summary: 11}
  service_limits_usd: {openai: 12}
  yearly_limit_usd: 13
  rolling: {hours: 5, limit_usd: 14}
  guard: {usd_per_minute: 19}
  daily_calls: 15
  monthly_calls: 16
  daily_tokens: 17
  monthly_tokens: 18
organization: {monthly_limit_usd: 7, block_at_limit: true, alert_threshold_percent: 90}
users: {rpatel: {timezone: Asia/Kolkata}}
"""


def test_every_limit_holds_in_its_zone_and_carries_its_query() -> None:
    found = {str(x.scope): x for x in limits_for(read(EVERYTHING), "rpatel", NOW, JOB)}
    assert {name: x.span for name, x in found.items()} == {
        "daily limit of user rpatel": "2026-12-01",
        "weekly limit of user rpatel": "2026-W49",
        "monthly limit of user rpatel": "2026-12",
        "limit of user rpatel for model openai/gpt-4": "2026-12",
        "limit of user rpatel for project subtitles": "2026-12",
        "limit of user rpatel for tag customer:acme": "2026-12",
        "limit of user rpatel for workflow nightly": "2026-12",
        "limit of user rpatel for operation summary": "2026-12",
        "limit of user rpatel for service openai": "2026-12",
        "yearly limit of user rpatel": "2026",
        "rolling 5h limit of user rpatel": f"5h {int(NOW.timestamp()) // 18_000}",
        "guard 1min limit of user rpatel": f"1min {int(NOW.timestamp()) // 60}",
        "daily call limit of user rpatel": "2026-12-01",
        "monthly call limit of user rpatel": "2026-12",
        "daily token limit of user rpatel": "2026-12-01",
        "monthly token limit of user rpatel": "2026-12",
        "limit of user rpatel for job job-1": str(JOB.ledger),
        "limit of user rpatel for stage asr": str(JOB.ledger),
        "monthly limit of the organization": "2026-11",
    }
    december = datetime(2026, 11, 30, 18, 30, tzinfo=UTC)
    monthly = found["monthly limit of user rpatel"]
    assert (monthly.query.start, monthly.query.user_id) == (december, "rpatel")
    organization = found["monthly limit of the organization"]
    assert organization.query == Query(
        start=datetime(2026, 10, 31, 23, tzinfo=UTC), end=datetime(2026, 11, 30, 23, tzinfo=UTC)
    )
    assert (organization.blocking, organization.thresholds) == (True, (90.0,))
    assert found["limit of user rpatel for stage asr"].query == Query(ledger=JOB.ledger, stage="asr")


def test_without_a_job_no_limit_on_jobs_or_stages_holds() -> None:
    kinds = {x.scope.kind for x in limits_for(read(EVERYTHING), "rpatel", NOW)}
    assert kinds == KINDS.keys() - {"job", "stage"}


def test_null_is_no_limit() -> None:
    assert limits_for(read("budget: {monthly_limit_usd: null}"), "u", NOW, JOB) == []


def test_scopes_have_keys_of_their_own() -> None:
    limits = limits_for(read(EVERYTHING), "rpatel", NOW, JOB)
    assert len({x.scope.key for x in limits}) == len(limits) == len(KINDS) + 1
    assert Scope("a", "model", "x/month").key != Scope("a/model:x", "month").key
    assert Scope("organization", "month").key != Scope(None, "month").key


COUNTS = {"day_calls", "month_calls", "day_tokens", "month_tokens"}
ALWAYS = {"guard", "rolling", "day", "week", "month", "year", "job", *COUNTS}


@pytest.mark.parametrize(
    ("values", "more"),
    [
        ({"stage": "asr", "service": "openai", "model": "gpt-4"}, {"stage", "model", "service"}),
        ({"stage": "mt", "service": "openai", "model": "gpt-4o"}, {"service"}),
        ({"service": "x", "workflow": "nightly", "operation": "summary"}, {"workflow", "operation"}),
        ({"service": "anthropic", "model": "gpt-4"}, set()),
        ({}, {"model", "service"}),  # whatever model
        ({"service": "s", "model": "x", "project": "subtitles"}, {"project"}),
        ({"service": "s", "model": "x", "project": "other", "tags": ("customer:acme", "x")}, {"tag"}),
        ({"service": "s", "model": "x", "tags": ("customer:acme-2",)}, set()),
        (
            {"stage": WHATEVER, "project": WHATEVER, "tags": (WHATEVER,), "workflow": WHATEVER},
            {"stage", "model", "project", "tag", "workflow", "service"},
        ),
    ],
)
def test_a_call_counts_against_what_it_touches(values: dict[str, Any], more: set[str]) -> None:
    limits = limits_for(read(EVERYTHING), "rpatel", NOW, JOB)
    call = CallScope("rpatel", NOW, JOB.ledger, **values)
    assert {x.scope.kind for x in limits if x.covers(call, as_is)} == ALWAYS | more


@pytest.mark.parametrize(
    ("values", "left"),
    [
        ({"user_id": "v"}, {"month", "job", "stage"}),  # the organisation's month
        (
            {"ledger": Path("/out/other/cost_ledger.jsonl")},
            {"model", "service", *ALWAYS} - {"job"},
        ),
        ({"at": datetime(2026, 11, 1, tzinfo=UTC)}, {"month", "year", "job", "stage"}),
    ],
)
def test_a_limit_is_of_its_user_its_job_and_its_period(values: dict[str, Any], left: set[str]) -> None:
    limits = limits_for(read(EVERYTHING), "rpatel", NOW, JOB)
    call = CallScope("rpatel", NOW, JOB.ledger, "asr", "openai", "gpt-4")._replace(**values)
    assert {x.scope.kind for x in limits if x.covers(call, as_is)} == left


def test_what_is_said_of_projects_and_tags() -> None:
    assert said("9", limit("10", Scope("u", "tag", "customer:acme"))) == (
        "⚠️  WARNING: Tag budget of customer:acme threshold reached! $9.00 / $10.00 (90.0%) | Remaining: $1.00"
    )
    assert said("10", limit("10", Scope(None, "project", "subtitles"))) == (
        "🚨 CRITICAL: Organization project budget of subtitles limit reached! $10.00 / $10.00 (100.0%)"
    )


def by_catalogue(service: str, model: str) -> str:
    known = {"gpt-4-0613": "openai/gpt-4", "gpt-4": "openai/gpt-4", "my-deploy": "azure/gpt-4"}
    if not service:
        service, _, model = model.rpartition("/")
    return known.get(model, f"{service or 'unknown'}/{model}")


@pytest.mark.parametrize(
    ("limited", "service", "model", "same"),
    [
        ("openai/gpt-4", "openai", "gpt-4", True),
        ("openai/gpt-4", "openai", "gpt-4-0613", True),
        ("openai/gpt-4", "chatgpt", "gpt-4", True),
        ("openai/gpt-4-0613", "openai", "gpt-4", True),
        ("openai/gpt-4", "openai", "gpt-4o", False),
        ("openai/gpt-4", "azure", "my-deploy", False),
        ("azure/my-deploy", "azure", "my-deploy", True),
        ("gpt-4", "openai", "gpt-4-0613", True),
        ("gpt-4", "azure", "my-deploy", True),
        ("gpt-4", "openai", "gpt-4o", False),
    ],
)
def test_a_model_is_known_by_every_name(limited: str, service: str, model: str, same: bool) -> None:
    assert covers("model", limited, CallScope(service=service, model=model), by_catalogue) is same


@pytest.mark.parametrize(
    ("limited", "service", "model", "same"),
    [
        ("gpt4o", "openai", "gpt-4o", True),
        ("GPT-4o", "openai", "gpt-4o", True),
        ("gpt4o", "openai", "gpt-4o-mini", False),
        ("models/gemini-2.5-flash", "gemini", "gemini-2.5-flash", True),
        ("claude/sonnet", "anthropic", "sonnet", True),
        ("claude-sonnet-4-5-20250929", "anthropic", "claude-sonnet-4-5", True),
        ("our-own", "acme", "our-own", True),
        ("acme/our/own", "acme", "our/own", True),
        ("acme/our/own", "acme", "our/other", False),
        ("azure/gpt-4o", "azure", "gpt-4o-2024-08-06", True),
        ("azure_openai/gpt4o", "azure", "gpt-4o", True),
        ("azure/gpt-4o", "openai", "gpt-4o", False),
        ("vertex_ai/gemini-2.5-pro", "vertex", "gemini-2.5-pro", True),
        ("vertex_ai/gemini-2.5-pro", "google", "gemini-2.5-pro", False),
        ("openai/gpt-4o", "azure", "gpt-4o", True),  # at OpenAI's price
        ("gpt-4o", "azure", "gpt-4o", True),
        ("deepseek-ai/DeepSeek-R1", "together", "deepseek-ai/DeepSeek-R1", True),
        ("deepseek-ai/DeepSeek-R1", "deepseek", "deepseek-reasoner", False),
        ("Models/Gemini-2.5-Flash", "gemini", "gemini-2.5-flash", True),
    ],
)
def test_an_alias_in_a_limit_finds_its_model_as_it_does_in_a_call(
    cost_home: Path, limited: str, service: str, model: str, same: bool
) -> None:
    names = Workspace(cost_home, environ={}).catalogue_name
    assert covers("model", limited, CallScope(service=service, model=model), names) is same


# --- the tightest first


def test_the_tightest_is_the_one_that_leaves_least() -> None:
    day, month = limit("5", Scope("u", "day")), limit("50", Scope("u", "month"))
    everyone = limit("50", Scope(None, "month"))
    spendings = [Spending(everyone, from_usd(45)), Spending(month, from_usd(45)), Spending(day, from_usd(4))]
    assert [s.limit for s in tightest_first(spendings)] == [day, month, everyone]
    assert [(c.limit, c.threshold) for c in crossings(spendings)] == [
        (day, 80.0),
        (month, 80.0),
        (everyone, 80.0),
    ]
    assert crossings([Spending(day, from_usd(1))]) == []


def test_a_crossing_is_plain_data() -> None:
    assert crossing(Spending(limit("10"), from_usd(9))) == Crossing(limit("10"), from_usd(9), 80.0)
