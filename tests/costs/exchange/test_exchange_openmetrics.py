"""Metrics for Prometheus: right, readable by both its parsers, and what the dashboard asks for."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as classic_families

from shared.cost_tracker import CostTracker
from shared.costs.apps.cli.commands.metrics import DASHBOARD
from shared.costs.apps.cli.program import run
from shared.costs.exchange.openmetrics import FAMILIES, openmetrics
from shared.costs.reports.reader import Reader
from shared.costs.shipped import DATA
from shared.costs.workspace import Workspace
from tests.costs.cli.cli_support import ROOT

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
ODD = 'acme "\\two\\" {x}, ü'
WORKFLOW = DATA / "integrations" / "github-costs.yml"
LABELS = {family.name: set(family.labels) for family in FAMILIES}

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "storage"
    (tmp_path / "profile.yaml").write_text(
        "budget: {monthly_limit_usd: 40, daily_limit_usd: 0}\norganization: {monthly_limit_usd: 100}\n"
    )
    for user, at, model, tokens in (
        ("ana", NOW, "gpt-4o", 400_000),
        ("ana", NOW - timedelta(days=3), "gpt-4o", 800_000),
        ("kim", NOW - timedelta(days=1), ODD, 10),
        ("old", NOW - timedelta(days=60), "gpt-4o", 400_000),
    ):
        with CostTracker(tmp_path / "out" / "job-7", user_id=user, cost_storage_path=home) as tracker:
            tracker.log_usage("openai", model, tokens, stage="13_ai", timestamp=at)
    return home


def text_of(home: Path) -> str:
    with Workspace(home, home.parent / "profile.yaml", environ={}, clock=lambda: NOW) as workspace:
        return openmetrics(Reader(workspace))


def read(text: str, parse: Any) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse(text)
        for sample in family.samples
    }


def sample(metric: str, /, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return metric, tuple(sorted(labels.items()))


def spend(period: str, user: str, model: str = "gpt-4o") -> dict[str, str]:
    return {
        "period": period,
        "user": user,
        "stage": "13_ai",
        "gen_ai_provider_name": "openai",
        "gen_ai_request_model": model,
    }


def test_both_parsers_read_the_same_and_it_is_right(home: Path) -> None:
    text = text_of(home)
    found = read(text, openmetrics_families)
    assert found == read(text, classic_families)
    expected = {
        sample("cost_ledger_spend_usd", **spend("day", "ana")): 1.0,
        sample("cost_ledger_spend_usd", **spend("month", "ana")): 3.0,
        sample("cost_ledger_calls", **spend("month", "ana")): 2,
        sample("cost_ledger_tokens", **spend("month", "ana"), gen_ai_token_type="input"): 1_200_000,
        sample("cost_ledger_tokens", **spend("month", "ana"), gen_ai_token_type="output"): 0,
        sample("cost_ledger_unpriced_calls", **spend("month", "kim", ODD)): 1,
        sample("cost_ledger_budget_limit_usd", user="ana", scope="month", name=""): 40,
        sample("cost_ledger_budget_spent_usd", user="ana", scope="month", name=""): 3,
        sample("cost_ledger_budget_reserved_usd", user="ana", scope="month", name=""): 0,
        sample("cost_ledger_budget_used_ratio", user="ana", scope="month", name=""): 0.075,
        sample("cost_ledger_budget_used_ratio", user="ana", scope="day", name=""): float("inf"),
        sample("cost_ledger_budget_used_ratio", user="kim", scope="day", name=""): 0,
        sample("cost_ledger_budget_spent_usd", user="", scope="month", name=""): 3,
        sample("cost_ledger_problems"): 0,
        sample("cost_ledger_waiting_entries"): 0,
        sample("cost_ledger_last_entry_timestamp_seconds"): NOW.timestamp(),
    }
    assert {key: found.get(key) for key in expected} == expected
    assert not any(("user", "old") in labels for _, labels in found)
    assert "job-7" not in text
    assert str(home.parent) not in text


def test_all_are_gauges_with_the_labels_that_are_promised(home: Path) -> None:
    parse: Any = openmetrics_families
    families = {family.name: family for family in parse(text_of(home))}
    assert set(families) == set(LABELS)
    for name, family in families.items():
        assert family.type == "gauge"
        assert all(set(each.labels) == LABELS[name] for each in family.samples)


def test_an_empty_storage_has_metrics_too(tmp_path: Path) -> None:
    (tmp_path / "profile.yaml").write_text("budget: {monthly_limit_usd: 40}\n")
    found = read(text_of(tmp_path / "storage"), openmetrics_families)
    assert found[sample("cost_ledger_budget_spent_usd", user="1", scope="month", name="")] == 0
    assert not any(name == "cost_ledger_last_entry_timestamp_seconds" for name, _ in found)


def test_a_file_is_whole_and_replaced(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COST_TRACKER_HOME", str(home))
    file = home.parent / "costs.prom"
    for _ in range(2):
        assert run(["metrics", "--output", str(file)]) == 0
        assert file.read_text().endswith("# EOF\n")
    assert [each.name for each in home.parent.iterdir() if "costs" in each.name] == ["costs.prom"]


# --- what is made of them


def _queries(panel: dict[str, Any]) -> list[str]:
    return [target["expr"] for target in panel["targets"]]


DASH = json.loads(DASHBOARD.read_text(encoding="utf-8"))
QUERIES = [(panel["title"], query) for panel in DASH["panels"] for query in _queries(panel)]


@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_the_dashboard_asks_for_metrics_and_labels_that_are_there(title: str, query: str) -> None:
    used = re.findall(r"(cost_ledger_\w+)(?:\{([^}]*)\})?", query)
    assert used
    by = {label for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(", ")}
    for name, matchers in used:
        assert set(re.findall(r"(\w+)\s*=", matchers)) | by <= LABELS[name]


def test_the_dashboard_leaves_out_no_metric_and_no_panel_overlaps() -> None:
    assert {name for _, query in QUERIES for name in re.findall(r"cost_ledger_\w+", query)} == set(LABELS)
    for variable in DASH["templating"]["list"][1:]:
        name, label = re.findall(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])[0]
        assert label in LABELS[name]
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in DASH["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24
    assert len({panel["id"] for panel in DASH["panels"]}) == len(DASH["panels"])


STEPS = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]["costs"]["steps"]


def test_the_workflow_uses_no_action_but_githubs_own() -> None:
    used = [step["uses"] for step in STEPS if "uses" in step]
    assert used
    assert all(name.startswith("actions/") for name in used)


@pytest.mark.parametrize("step", [step for step in STEPS if "run" in step], ids=lambda step: step["name"])
def test_the_steps_of_the_workflow_are_shell_without_what_others_write(step: dict[str, Any]) -> None:
    subprocess.run(["bash", "-n"], input=step["run"], text=True, check=True)
    assert "${{" not in step["run"]


@pytest.mark.parametrize(("limit", "code", "word"), [(40, "0", "within bounds"), (1, "1", "over")])
def test_the_check_of_the_workflow_leaves_a_comment_and_its_code(
    limit: int, code: str, word: str, tmp_path: Path
) -> None:
    profile = tmp_path / "profile.yaml"
    profile.write_text(f"budget: {{monthly_limit_usd: {limit}}}\n")
    with CostTracker(tmp_path / "job", cost_storage_path=tmp_path / "costs") as tracker:
        tracker.log_usage("openai", "gpt-4o", 800_000)
    [step] = [step for step in STEPS if step.get("id") == "check"]
    command = tmp_path / "bin" / "cost-dashboard"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT}/tools/cost-dashboard.py "$@"\n')
    command.chmod(0o755)
    env = {
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "COST_TRACKER_HOME": str(tmp_path / "costs"),
        "COST_TRACKER_PROFILE": str(profile),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
    }
    # As GitHub runs a step: docs.github.com/actions/reference/workflow-syntax-for-github-actions, 2026-11-29
    subprocess.run(["bash", "-e", "-c", step["run"]], env=env, cwd=tmp_path, check=True)
    comment = (tmp_path / "costs.md").read_text()
    assert comment.startswith("<!-- cost-ledger -->\n# Check of user 1")
    assert word in comment
    assert "| Check" in comment
    assert (tmp_path / "summary").read_text() == comment
    assert (tmp_path / "output").read_text() == f"code={code}\n"
