"""Months that are on course to pass their limit: told once, when a stage ends, and not too early."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.cost_tracker import CostTracker
from shared.costs.tracking.context import job_context
from shared.costs.tracking.watch import BudgetWatch
from shared.costs.workspace import Workspace

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PROFILE = "budget: {monthly_limit_usd: %s}\norganization: {monthly_limit_usd: %s}\n"


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """Five weeks in which a dollar was spent each day: $22 so far, $30 by the end of the month."""
    return spend(tmp_path, days=35)


def spend(folder: Path, days: int) -> Path:
    with CostTracker(folder / "job-1", "rpatel", folder / "storage") as tracker:
        for ago in range(days):
            tracker.log_usage("acme", "x", actual_cost_usd=1.0, timestamp=NOW - timedelta(days=ago, hours=3))
    return folder / "storage"


def said(storage: Path, monthly: float, everyone: float = 1_000, *, ended: bool = True) -> list[str]:
    """Return what a stage says that ends at ``NOW``, in a workspace of its own."""
    profile = storage.parent / "profile.yaml"
    profile.write_text(PROFILE % (monthly, everyone))
    with Workspace(storage, profile, environ={}, clock=lambda: NOW) as workspace:
        job = job_context(storage.parent / "job-1", "rpatel", workspace.storage, {})
        return [alert.text for alert in BudgetWatch(workspace, job).new_alerts(None, ended=ended)]


def test_it_is_told_once_and_by_one_process(storage: Path) -> None:
    assert said(storage, 28) == [
        "⚠️  WARNING: Budget on course for $30.50 by month end! Limit: $28.00 | Over by: $2.50"
    ]
    assert said(storage, 28) == []


def test_calls_do_not_look_weeks_back(storage: Path) -> None:
    assert said(storage, 28, ended=False) == []


def test_what_has_come_is_news_after_what_was_foreseen(storage: Path) -> None:
    assert len(said(storage, 28)) == 1
    assert said(storage, 27) == [  # of the same month: 81.5 % of the limit are used now
        "⚠️  WARNING: Budget threshold reached! $22.00 / $27.00 (81.5%) | Remaining: $5.00"
    ]


def test_everyone_s_limit_is_foreseen_too(storage: Path) -> None:
    assert said(storage, 1_000, 29) == [
        "⚠️  WARNING: Organization budget on course for $30.50 by month end! Limit: $29.00 | Over by: $1.50"
    ]


@pytest.mark.parametrize("limit", [31, 500])
def test_a_limit_that_holds_is_no_news(limit: float, storage: Path) -> None:
    assert said(storage, limit) == []


def test_a_limit_that_is_reached_is_not_foreseen(storage: Path) -> None:
    assert said(storage, 22) == ["🚨 CRITICAL: Budget limit reached! $22.00 / $22.00 (100.0%)"]


def test_a_few_days_foresee_nothing(tmp_path: Path) -> None:
    assert said(spend(tmp_path, days=10), 12.6) == []  # $10 so far, and as much to come
