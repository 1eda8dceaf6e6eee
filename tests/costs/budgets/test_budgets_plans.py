"""Calls under a flat rate cost nothing in budgets, to the second, and keep their list price in ledgers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import pytest

from shared.cost_tracker import BudgetExceeded, CostTracker
from shared.costs.budgets.limits import limits_for
from shared.costs.budgets.scopes import CallScope
from shared.costs.budgets.spending import read_spendings, spend_by_bucket
from shared.costs.model import Entry, Usage
from shared.costs.money import from_usd
from shared.costs.profile import Budget, Profile
from shared.costs.profile.plans import FlatRate, Plan
from shared.costs.profile.reading import parse_profile
from shared.costs.rollup import JobRef
from shared.costs.storage import LEDGER_NAME
from shared.costs.workspace import Workspace
from tests.support.history import entry
from tests.support.saved import save

NOW = datetime(2026, 11, 22, 15, 7, 31, tzinfo=UTC)
ZONE = "Asia/Kathmandu"
PROFILE = f"""
timezone: {ZONE}
organization: {{monthly_limit_usd: 500}}
budget:
  monthly_limit_usd: 100
  daily_limit_usd: 10
  weekly_limit_usd: 50
  yearly_limit_usd: 900
  job_limit_usd: 9
  rolling: [{{hours: 5, limit_usd: 3}}, {{hours: 120, limit_usd: 30}}]
  stage_limits_usd: {{asr: 4}}
  model_limits_usd: {{openai/gpt-4o: 7, claude-sonnet-4-5: 7}}
  service_limits_usd: {{openai: 8, anthropic: 8}}
  tag_limits_usd: {{night: 5, "customer:acme": 4, "customer:rest": 3}}
  guard: {{usd_per_minute: 2}}
  monthly_calls: 1000
plans:
  pro: {{usd_per_month: 20, covers: [anthropic/*], since: 2026-11-03, until: 2026-11-19, users: [ana]}}
  max: {{usd_per_month: 100, covers: [anthropic/claude-sonnet*], since: 2026-11-17, users: [ana]}}
  team: {{usd_per_month: 9, covers: [openai/gpt-4o], until: 2026-11-20}}
"""
RULES = """
tag_rules:
  - {tag: "customer:acme", job: job-1, model: "claude-*"}
  - {tag: "customer:rest", service: anthropic}
"""
MODELS = (("openai", "gpt-4o"), ("anthropic", "claude-sonnet-4-5"), ("anthropic", "claude-3-haiku"))


def history(seed: int) -> list[Entry]:
    chance, found = Random(seed), []
    for number in range(160):
        age = chance.choice([timedelta(days=chance.uniform(0, 40)), timedelta(hours=chance.uniform(0, 11))])
        service, model = chance.choice(MODELS)
        found.append(
            entry(
                f"{chance.uniform(0, 0.2):.9f}",
                id=f"e{number}",
                job_id=f"job-{chance.randrange(3)}",
                user_id=chance.choice(["ana", "kim"]),
                timestamp=NOW - age,
                service=service,
                model=model,
                stage=chance.choice(["asr", "sum"]),
                tags=chance.choice([(), ("night",)]),
                usage=Usage(tokens_input=10),
            )
        )
    return found


def covered(call: Entry) -> bool:
    """Tell whether a plan of the profile covers a call, by its text."""
    day = call.timestamp.astimezone(ZoneInfo(ZONE)).date().isoformat()
    own = call.user_id == "ana"
    return (
        (own and call.service == "anthropic" and "2026-11-03" <= day <= "2026-11-19")
        or (own and "sonnet" in call.model and day >= "2026-11-17")
        or (call.model == "gpt-4o" and day <= "2026-11-20")
    )


@pytest.fixture(params=[1, 2, 3])
def told(
    request: pytest.FixtureRequest, tmp_path: Path, cost_home: Path
) -> Iterator[tuple[Workspace, list[Entry]]]:
    calls = history(request.param)
    (tmp_path / "profile.yaml").write_text(PROFILE + RULES)
    with Workspace(cost_home, tmp_path / "profile.yaml", clock=lambda: NOW) as workspace:
        workspace.storage.prepare()
        save(calls, tmp_path / "out", workspace)
        yield workspace, calls


def test_every_limit_leaves_out_what_a_flat_rate_covers(
    told: tuple[Workspace, list[Entry]], tmp_path: Path
) -> None:
    workspace, calls = told
    names, job = workspace.catalogue_name, JobRef("job-1", tmp_path / "out" / "job-1" / LEDGER_NAME)
    limits = limits_for(workspace.profile, "ana", NOW, job)
    assert {limit.scope.kind for limit in limits} >= {
        "stage",
        "job",
        "rolling",
        "day",
        "model",
        "tag",
        "year",
    }
    for limit, spent in read_spendings(limits, workspace.index, names):
        mine = [call for call in calls if _is_of(call, limit, job, names)]
        paid = [call for call in mine if not (limit.flat and covered(call))]
        assert spent == sum(1 if limit.measure == "calls" else call.cost for call in paid), str(limit.scope)
        assert bool(limit.flat) == (limit.measure == "cost" and limit.scope.kind != "guard")
        if limit.period is not None and limit.period.kind == "month" and limit.measure == "cost":
            buckets = spend_by_bucket(
                limit, workspace.index.groups, names, limit.period.start, limit.period.end
            )
            assert sum(buckets.values()) == spent


def _is_of(call: Entry, limit: object, job: JobRef, names: object) -> bool:
    """Tell whether a limit without plans would count a call."""
    bare = limit._replace(flat=())  # type: ignore[attr-defined]  # a Limit
    start = bare.query.start
    scope = CallScope(
        call.user_id,
        ledger=job.ledger if call.job_id == "job-1" else None,
        stage=call.stage,
        service=call.service,
        model=call.model,
        tags=call.tags,
        job_id=call.job_id,
    )
    in_time = (start is None or start <= call.timestamp) and (
        bare.query.end is None or call.timestamp < bare.query.end
    )
    stage = bare.query.stage
    return in_time and bool(bare.covers(scope, names)) and stage in (None, call.stage)


def test_a_limit_on_a_tag_holds_what_rules_give_it(told: tuple[Workspace, list[Entry]]) -> None:
    workspace, calls = told
    limits = [each for each in limits_for(workspace.profile, "ana", NOW) if each.scope.kind == "tag"]
    paid = [c for c in calls if c.user_id == "ana" and not covered(c)]
    of_month = [c for c in paid if c.timestamp.astimezone(ZoneInfo(ZONE)).month == 11]
    acme = {c.id for c in of_month if c.job_id == "job-1" and c.service == "anthropic"}
    rest = {c.id for c in of_month if c.service == "anthropic"} - acme
    night = {c.id for c in of_month if "night" in c.tags}
    spent = {
        each.limit.scope.name: each.spent for each in read_spendings(limits, workspace.index, "{}/{}".format)
    }
    for tag, ids in {"customer:acme": acme, "customer:rest": rest, "night": night}.items():
        assert spent[tag] == sum(c.cost for c in of_month if c.id in ids) > 0, tag


def test_a_covered_call_is_never_denied_and_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text(
        "budget: {monthly_limit_usd: 1, block_at_limit: true}\n"
        "plans: {max: {usd_per_month: 100, covers: [anthropic/*, 'openai/*'], users: [ana]}}\n"
    )
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(path))
    with CostTracker(tmp_path / "job", "ana") as tracker:
        for _ in range(2):
            with tracker.reserve("openai", "gpt-4o", tokens_input=400_000, max_tokens_output=0) as hold:
                assert tracker.log_usage("openai", "gpt-4o", 400_000, 0, reservation=hold) == 1.0
        assert not tracker.is_over_budget()
        assert tracker.get_monthly_cost() == 2.0  # the ledger keeps the list price
        with (
            pytest.raises(BudgetExceeded),
            tracker.reserve("google", "gemini-2.5-pro", tokens_input=10**6, max_tokens_output=0),
        ):
            pass
    with CostTracker(tmp_path / "other", "kim") as other, pytest.raises(BudgetExceeded):
        other.reserve("openai", "gpt-4o", tokens_input=800_000, max_tokens_output=0).__enter__()


def test_a_plan_says_who_and_when() -> None:
    plans = parse_profile(PROFILE.encode(), Path("profile.yaml")).plans
    assert plans["pro"].is_for("ana")
    assert not plans["pro"].is_for("kim")
    assert plans["team"].is_for("kim")
    start, end = plans["pro"].span(ZoneInfo("UTC"))
    assert (start, end) == (datetime(2026, 11, 3, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC))


@pytest.mark.parametrize(
    ("model", "limited", "counts"),
    [
        ("nova-3+diarize", "deepgram/nova-3", True),
        ("nova-3+diarize+redact", "nova-3", True),
        ("nova-3+diarize", "deepgram/nova-3+diarize", True),
        ("meet", "deepgram/nova-3", True),
        ("nova-3+diarize", "deepgram/nova-3+redact", False),
        ("nova-3+diarize", "deepgram/nova-2", False),
        ("nova-3", "deepgram/nova-3+diarize", False),
    ],
)
def test_a_call_with_a_feature_is_a_call_of_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, limited: str, counts: bool
) -> None:
    path = tmp_path / "profile.yaml"
    budget = f"monthly_limit_usd: null, block_at_limit: true, model_limits_usd: {{{limited}: 1.00}}"
    aliases = "aliases: {deepgram/meet: deepgram/nova-3+diarize}\n"
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(path))
    path.write_text(f"{aliases}budget: {{{budget}}}\n")
    with CostTracker(tmp_path / "job", "ana") as tracker:
        assert tracker.log_usage("deepgram", model, audio_seconds=6 * 3_600) > 1
        assert bool(tracker.check_budget_alerts()) == counts
        denied = pytest.raises(BudgetExceeded, match="nova-3") if counts else nullcontext()
        with denied, tracker.reserve("deepgram", model, audio_seconds=60):
            pass


@pytest.mark.parametrize(
    ("service", "model", "limited", "counts"),
    [
        ("openai", "gpt-4o-2024-08-06", "openai/gpt-4o", True),  # with a price of its own
        ("openai", "gpt-4o-2024-08-06", "gpt4o", True),
        ("openai", "gpt-4.1-mini-2025-04-14", "gpt-4.1-mini", True),
        ("anthropic", "claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4-5", True),
        ("openai", "gpt-4o-2024-08-06", "openai/gpt-4o-2024-05-13", False),
        ("openai", "gpt-4o", "openai/gpt-4o-2024-08-06", False),
        ("openai", "gpt-4o-mini-2024-07-18", "openai/gpt-4o", False),
    ],
)
def test_a_version_of_a_model_is_the_model(
    service: str, model: str, limited: str, counts: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text(f"budget: {{block_at_limit: true, model_limits_usd: {{{limited}: 0.50}}}}\n")
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(path))
    with CostTracker(tmp_path / "job", "ana") as tracker:
        assert tracker.log_usage(service, model, 4_000_000) > 0.5
        assert bool(tracker.check_budget_alerts()) == counts
        denied = pytest.raises(BudgetExceeded, match="for model") if counts else nullcontext()
        with denied, tracker.reserve(service, model, tokens_input=1_000, max_tokens_output=0):
            pass


def test_a_job_s_limit_leaves_out_what_anybody_s_flat_rate_covers(tmp_path: Path) -> None:
    flat = FlatRate("flat", Plan(("openai/*",), users=("ana",)), None, None)
    profile = Profile(budget=Budget(job_limit=from_usd(5)), plans={flat.name: flat.plan})
    job = JobRef("job-1", tmp_path / "job-1")
    at = datetime(2026, 11, 22, tzinfo=UTC)
    flat_of = {limit.scope.kind: limit.flat for limit in limits_for(profile, "kim", at, job)}
    assert flat_of == {"job": (flat,), "month": ()}


@pytest.mark.parametrize(
    ("name", "pattern", "covered"),
    [
        ("deepgram/nova-3+diarize", "deepgram/nova-3", True),
        ("Deepgram/Nova-3+diarize+redact", "deepgram/nova-*3", True),
        ("deepgram/nova-3+diarize", "deepgram/*+diarize", True),
        ("deepgram/nova-3+diarize", "deepgram/nova", False),
        ("deepgram/nova-3", "deepgram/nova-3+diarize", False),
        ("cohere/command-r+", "cohere/command-r", False),  # the sign is part of its name
    ],
)
def test_a_plan_covers_a_model_with_features(name: str, pattern: str, covered: bool) -> None:
    assert Plan((pattern,)).covers_model(name) is covered


def test_a_plan_on_the_model_takes_a_call_with_a_feature_out_of_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text(
        "budget: {monthly_limit_usd: 1, block_at_limit: true}\n"
        "plans: {flat: {usd_per_month: 9, covers: [deepgram/nova-3]}}\n"
    )
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(path))
    with CostTracker(tmp_path / "job", "ana") as tracker:
        tracker.log_usage("deepgram", "nova-3+diarize", audio_seconds=6 * 3_600)
        assert not tracker.is_over_budget()
        with tracker.reserve("deepgram", "nova-3+diarize", audio_seconds=6 * 3_600):
            pass
