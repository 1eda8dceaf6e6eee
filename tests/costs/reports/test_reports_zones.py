"""The month of a page, of users in whose time zones the next one has begun or this one has not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.costs.reports.overview import OverviewQuestion, overview_facts
from shared.costs.reports.reader import Reader
from shared.costs.workspace import Workspace
from tests.support.history import entry
from tests.support.saved import save

PROFILE = """
budget: {monthly_limit_usd: 50, daily_limit_usd: 5}
organization: {monthly_limit_usd: 70, daily_limit_usd: 9}
users:
  east: {timezone: Pacific/Kiritimati}
  west: {timezone: Pacific/Honolulu}
"""


@pytest.mark.parametrize(
    ("now", "month"),
    [
        (datetime(2026, 11, 30, 17, tzinfo=UTC), "2026-11"),
        (datetime(2026, 12, 1, 3, tzinfo=UTC), "2026-12"),
    ],
    ids=["the last evening", "the first morning"],
)
def test_a_page_of_a_month_draws_every_users_limit_on_that_month(
    now: datetime, month: str, tmp_path: Path, cost_home: Path
) -> None:
    (tmp_path / "profile.yaml").write_text(PROFILE)
    with Workspace(cost_home, tmp_path / "profile.yaml", clock=lambda: now) as workspace:
        workspace.storage.prepare()
        calls = [
            entry("1", id=user, timestamp=now, job_id=f"job-{user}", user_id=user)
            for user in ("1", "east", "west")
        ]
        save(calls, tmp_path / "out", workspace)
        drawn = overview_facts(Reader(workspace), OverviewQuestion(month)).spendings
    named = {
        (each.limit.scope.owner, each.limit.period.name) for each in drawn if each.limit.period is not None
    }
    today = now.date().isoformat()
    assert named == {("1", month), ("east", month), ("west", month), (None, month), (None, today)}
