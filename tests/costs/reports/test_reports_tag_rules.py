"""Tags by rules: what calls belong to that nobody named when they were made."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.cost_tracker import BudgetExceeded, CostTracker
from shared.costs.apps.cli.program import run
from shared.costs.profile.tag_rules import TagRule
from shared.costs.reports.questions import Question, UserMonth
from shared.costs.reports.reader import Reader
from shared.costs.reports.report import period_facts, period_report
from shared.costs.reports.show_budget import budget_facts
from shared.costs.rollup import Query
from shared.costs.workspace import Workspace
from tests.support.golden import check_report
from tests.support.history import entry
from tests.support.saved import save

NOW = datetime(2026, 11, 22, 15, tzinfo=UTC)
RULES = """
tag_rules:
  - {tag: "customer:acme", project: "acme-*"}
  - {tag: "customer:beta", job: "beta-?", stage: 13_ai_summarization}
  - {tag: "customer:rest", user: kim}
  - {tag: night, workflow: nightly}
"""
CALLS = [
    entry("1.00", id="a", job_id="beta-1", project="acme-web", tags=("early",)),
    entry("2.00", id="b", job_id="beta-1"),
    entry("4.00", id="c", job_id="beta-12"),
    entry("8.00", id="d", job_id="beta-1", user_id="kim", tags=("customer:own",), workflow="nightly"),
    entry("16.00", id="e", job_id="other", user_id="kim"),
    entry("32.00", id="f", job_id="beta-1", stage="06_asr"),
]


@pytest.fixture
def reader(tmp_path: Path, cost_home: Path) -> Iterator[Reader]:
    (tmp_path / "profile.yaml").write_text(RULES)
    with Workspace(cost_home, tmp_path / "profile.yaml", clock=lambda: NOW) as workspace:
        workspace.storage.prepare()
        save(CALLS, tmp_path / "out", workspace)
        yield Reader(workspace)


def test_a_call_has_one_customer_its_own_first(reader: Reader) -> None:
    facts = period_facts(reader, Question("Report", by=("tags",), by_customer=True))
    tags, customers = facts.breakdowns
    assert {name: totals.cost // 10**9 for name, totals in customers.sums.items()} == {
        "unassigned": 4 + 32,
        "rest": 16,
        "own": 8,
        "beta": 2,
        "acme": 1,
    }
    assert {name: totals.cost // 10**9 for name, totals in tags.sums.items()} == {
        "unassigned": 4 + 32,
        "customer:rest": 16,
        "customer:own": 8,
        "night": 8,
        "customer:beta": 2,
        "customer:acme": 1,
        "early": 1,
    }
    check_report("report-customers", period_report(facts))


@pytest.mark.parametrize(
    ("tag", "ids"),
    [
        ("customer:acme", "a"),
        ("customer:beta", "b"),
        ("customer:own", "d"),
        ("night", "d"),
        ("customer:rest", "e"),
        ("early", "a"),
        ("x", ""),
    ],
)
def test_a_filter_by_a_tag_selects_what_rules_give_it_in_every_view(
    reader: Reader, tag: str, ids: str, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = [call for call in CALLS if call.id in ids]
    cost, query = sum(call.cost for call in chosen), Query(tag=tag)
    facts = period_facts(reader, Question("Report", filters={"tag": tag}, step="daily", by=("stage",)))
    assert (facts.totals.cost, facts.totals.jobs) == (cost, len({call.job_id for call in chosen}))
    assert sum(stretch.totals.cost for stretch in facts.stretches) == cost
    assert sum(totals.cost for totals in facts.breakdowns[0].sums.values()) == cost
    assert {entry.id for entry in reader.tagged.entries(query)} == set(ids)
    assert reader.tagged.spends([query, query._replace(measure="calls")]) == [cost, len(ids)]
    page = reader.tagged.job_page(query, "cost", count=1)
    assert page.whole == len(reader.tagged.jobs(query)) == facts.totals.jobs
    assert sum(job.totals.cost for job in page.jobs) == cost
    words = ["export", "csv", "-", "--tag", tag, "--profile", str(reader.profile_path)]
    assert run([*words, "--cost-storage", str(reader.storage.root)]) == 0
    rows = csv.DictReader(capsys.readouterr().out.splitlines())
    assert {row["id"] for row in rows} == set(ids)


LIMITS = 'budget: {tag_limits_usd: {"customer:acme": 5, "customer:rest": 17, "customer:own": 9, night: 2}'


def test_limits_hold_what_rules_give_their_tag(reader: Reader) -> None:
    reader.profile_path.write_text(f"{RULES}{LIMITS}}}\n")  # type: ignore[union-attr]
    spent = {}
    for user in ("1", "kim"):
        for each in budget_facts(reader, UserMonth(user)).spendings:
            if each.limit.scope.kind == "tag":
                spent[user, each.limit.scope.name] = each.spent // 10**9
    assert {key: dollars for key, dollars in spent.items() if dollars} == {
        ("1", "customer:acme"): 1,
        ("kim", "customer:rest"): 16,
        ("kim", "customer:own"): 8,
        ("kim", "night"): 8,
    }


@pytest.mark.parametrize(
    ("user", "named", "denied_by"),
    [
        ("1", {"project": "acme-app"}, "customer:acme"),
        ("1", {"project": "acme-app", "tags": ["customer:own"]}, None),
        ("1", {"project": "beta"}, None),
        ("kim", {}, "customer:rest"),
        ("kim", {"workflow": "nightly", "tags": ["customer:acme"]}, "night"),
        ("kim", {"tags": ["customer:acme"]}, None),
    ],
)
def test_a_call_is_held_back_by_the_limit_of_a_tag_that_a_rule_gives_it(
    reader: Reader, user: str, named: dict[str, Any], denied_by: str | None
) -> None:
    path, root = reader.profile_path, reader.storage.root
    path.write_text(f"{RULES}{LIMITS}, block_at_limit: true}}\n")  # type: ignore[union-attr]
    with CostTracker(root.parent / "job-x", user, root, profile_path=path) as tracker:
        tracker._session.workspace.clock = lambda: NOW
        held = {"tokens_input": 1_800_000, "max_tokens_output": 0, **named}  # $4.50
        with (
            pytest.raises(BudgetExceeded, match=denied_by) if denied_by else nullcontext(),
            tracker.reserve("openai", "gpt-4o", **held) as hold,
        ):
            hold.void()


def test_what_is_held_for_a_tag_by_rule_counts_for_who_comes_second(reader: Reader) -> None:
    path, root = reader.profile_path, reader.storage.root
    path.write_text(f"{RULES}{LIMITS}, block_at_limit: true}}\n")  # type: ignore[union-attr]
    with CostTracker(root.parent / "job-x", "1", root, profile_path=path) as tracker:
        tracker._session.workspace.clock = lambda: NOW
        # $2.50 of the $4 that are left
        held: dict[str, Any] = {"tokens_input": 1_000_000, "max_tokens_output": 0, "project": "acme-app"}
        with tracker.reserve("openai", "gpt-4o", **held) as hold:
            with (
                pytest.raises(BudgetExceeded, match="customer:acme"),
                tracker.reserve("openai", "gpt-4o", **held),
            ):
                pass
            hold.void()


def test_a_block_of_whatever_calls_counts_against_each_tag_that_it_may_get(reader: Reader) -> None:
    rules = "tag_rules: [{tag: a, service: openai}, {tag: b, service: google}, {tag: c, job: other}]\n"
    limits = "budget: {block_at_limit: true, tag_limits_usd: {a: 5, b: 3, c: 1}}\n"
    path, root = reader.profile_path, reader.storage.root
    path.write_text(rules + limits)  # type: ignore[union-attr]
    with CostTracker(root.parent / "job-x", "ana", root, profile_path=path) as tracker:
        tracker._session.workspace.clock = lambda: NOW
        with pytest.raises(BudgetExceeded, match="tag b"), tracker.stage("s", reserve=4.0):
            pass
        with tracker.stage("s", reserve=2.0):
            pass


def test_a_threshold_of_a_tag_by_rule_is_told_at_the_call(reader: Reader, caplog: Any) -> None:
    path, root = reader.profile_path, reader.storage.root
    path.write_text(f"{RULES}{LIMITS}}}\n")  # type: ignore[union-attr]
    with CostTracker(root.parent / "job-x", "ana", root, profile_path=path) as tracker:
        tracker._session.workspace.clock = lambda: NOW
        tracker.log_usage("openai", "gpt-4o", 1_800_000, 0, project="acme-new", timestamp=NOW)
    assert "Tag budget of customer:acme threshold reached! $4.50 / $5.00" in caplog.text


def test_brackets_in_a_rule_are_brackets() -> None:
    rule = TagRule("a", (("job_id", "[2026]*"),))
    assert rule.matches({"job_id": "[2026] talk"})
    assert not rule.matches({"job_id": "2 talk"})


def test_the_command_takes_it(reader: Reader, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "report",
        "--month",
        "2026-11",
        "--by",
        "customer",
        "--json",
        "--profile",
        str(tmp_path / "profile.yaml"),
    ]
    assert run([*words, "--cost-storage", str(reader.storage.root)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["by_customer"]["beta"]["cost_usd"] == 2.0
    assert "by_model" not in found
