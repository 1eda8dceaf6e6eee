"""Tags by rules: what calls belong to that nobody named when they were made."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.costs.apps.cli.program import run
from shared.costs.profile.tag_rules import TagRule
from shared.costs.reports.questions import Question, UserMonth
from shared.costs.reports.reader import Reader
from shared.costs.reports.report import period_facts, period_report
from shared.costs.reports.show_budget import budget_facts, budget_report
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


def test_limits_hold_what_calls_were_made_with_and_say_so(reader: Reader) -> None:
    reader.profile_path.write_text(RULES + 'budget: {tag_limits_usd: {"customer:acme": 1, early: 9}}\n')  # type: ignore[union-attr]
    told = [note.text for note in budget_report(budget_facts(reader, UserMonth("1"))).notes]
    [said] = [text for text in told if "tag_rules" in text]
    assert "customer:acme" in said
    assert "early" not in said


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
