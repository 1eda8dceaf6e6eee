"""A plan's own limit: its thresholds are told as those of every other limit."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.cost_tracker import CostTracker
from shared.costs.apps.statusline.standing import standing
from shared.costs.budgets.scopes import CallScope
from shared.costs.exchange.openmetrics import openmetrics
from shared.costs.money import ZERO
from shared.costs.patience import at_most
from shared.costs.reports.questions import UserMonth
from shared.costs.reports.reader import Reader
from shared.costs.reports.show_budget import budget_facts, budget_report
from shared.costs.store.store import Store
from shared.costs.tracking.context import job_context
from shared.costs.tracking.watch import BudgetWatch
from shared.costs.workspace import Workspace

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
FREE = "free: {covers: [deepl/*], free: {characters: 1000}, monthly_limit_usd: %s}"


@pytest.fixture
def job_dir(tmp_path: Path) -> Path:
    """Two calls of 1,000 characters and a dollar each: what the first one sends is free."""
    with CostTracker(tmp_path / "job-1", "rpatel", tmp_path / "storage") as tracker:
        for number in range(2):
            at = NOW.replace(day=number + 1)
            tracker.log_usage("deepl", "x", characters=1000, actual_cost_usd=1.0, timestamp=at)
    return tmp_path / "job-1"


def watch(job_dir: Path, plans: str, user: str = "rpatel", more: str = "") -> BudgetWatch:
    profile = job_dir.parent / "profile.yaml"
    profile.write_text(f"plans: {{{plans}}}\n{more}\n")
    workspace = Workspace(job_dir.parent / "storage", profile, environ={}, clock=lambda: NOW)
    return BudgetWatch(workspace, job_context(job_dir, user, workspace.storage, {}))


@pytest.mark.parametrize(
    ("plans", "said"),
    [
        (FREE % 1.25, "WARNING: Organization plan budget of free threshold reached! $1.00 / $1.25 (80.0%)"),
        (FREE % 1, "CRITICAL: Organization plan budget of free limit reached! $1.00 / $1.00 (100.0%)"),
        (FREE % 1.5, None),  # at list price it would have been passed
        (
            "flat: {covers: [deepl/*], usd_per_month: 9, users: [rpatel], monthly_limit_usd: 10}",
            "WARNING: Plan budget of flat threshold reached! $9.00 / $10.00 (90.0%)",
        ),
        ("flat: {covers: [deepl/*], usd_per_month: 9, users: [kim], monthly_limit_usd: 8}", None),
    ],
)
def test_thresholds_are_told_once(job_dir: Path, plans: str, said: str | None) -> None:
    for number, expected in enumerate((said, None)):
        looking = watch(job_dir, plans)
        told = [alert.text for alert in looking.new_alerts(None, ended=number == 0)]
        assert [said in text for text in told] == ([True] if expected else [])  # type: ignore[operator]
        assert looking.is_over() == (said is not None and "CRITICAL" in said)
        assert len(looking.alerts()) == (said is not None)
        assert looking.fits(ZERO, CallScope("rpatel"))[0]


def test_early_thresholds_are_those_of_the_budget(job_dir: Path) -> None:
    early = watch(job_dir, FREE % 2, more="budget: {alert_threshold_percent: [50]}")
    assert "(50.0%)" in early.alerts()[0]
    assert not watch(job_dir, FREE % 2).alerts()


def test_on_the_way_of_a_call_no_ledger_is_read_however_many_calls_there_are(
    job_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "entries", lambda *_: pytest.fail("the calls of a month were read"))
    with at_most(10):
        assert watch(job_dir, FREE % 1).is_over()
        assert not watch(job_dir, FREE % 1.5).alerts()


def test_every_face_says_that_a_plan_is_over_its_limit(job_dir: Path) -> None:
    watch(job_dir, FREE % 0.8)
    with Workspace(
        job_dir.parent / "storage", job_dir.parent / "profile.yaml", environ={}, clock=lambda: NOW
    ) as workspace:
        reader = Reader(workspace)
        said = budget_report(budget_facts(reader, UserMonth("rpatel")))
        assert (said.gauges[0].label, said.gauges[0].part) == ("organization plan free", 1_000_000_000)
        assert said.data["status"] == "critical"
        assert "plan budget of free limit reached! $1.0000 / $0.8000" in str(said.data["alerts"])
        assert standing(workspace, "rpatel").level == "critical"
        ratio = 'cost_ledger_budget_used_ratio{user="",scope="plan",name="free"} 1.25'
        assert ratio in openmetrics(reader)


def test_the_end_of_a_process_tells_what_its_last_calls_crossed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    profile = tmp_path / "profile.yaml"
    profile.write_text(f"plans: {{{FREE % 1.5}}}\n")
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(profile))
    with CostTracker(tmp_path / "job-1", "rpatel", tmp_path / "storage") as tracker:
        for _ in range(3):
            tracker.log_usage("deepl", "x", characters=1000, actual_cost_usd=1.0)
        assert "plan" not in caplog.text  # sums of plans are looked at once a minute
    assert caplog.text.count("plan budget of free limit reached! $2.00 / $1.50") == 1
