"""What the dashboard says of the end of a month, and what the shell is offered, on six even weeks."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from shared.costs.apps.cli.options import Completion, complete_job, complete_name, complete_side
from shared.costs.workspace import Workspace
from tests.costs.cli.cli_support import Dashboard
from tests.support.history import entry
from tests.support.saved import save

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LIMITS = """\
budget:
  monthly_limit_usd: 28
  weekly_limit_usd: 8
  daily_limit_usd: 5
  model_limits_usd: {openai/gpt-4o: 29}
organization: {monthly_limit_usd: 31}
"""


@pytest.fixture(autouse=True)
def even(tmp_path: Path, cost_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dollar a day for six weeks, up to the noon of 22 November: $22 of this month."""
    (tmp_path / "profile.yaml").write_text(LIMITS)
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(tmp_path / "profile.yaml"))
    monkeypatch.setattr("shared.costs.apps.cli.app.Workspace", partial(Workspace, clock=lambda: NOW))
    with Workspace(cost_home) as workspace:
        workspace.storage.prepare()
        days = [NOW - timedelta(days=ago, hours=3) for ago in range(42)]
        calls = [
            entry("1", id=f"d{n}", timestamp=at, job_id=f"job-{n:02d}", user_id="rpatel", tags=("nightly",))
            for n, at in enumerate(days)
        ]
        save(calls, tmp_path / "out", workspace)


def of(found: Any, scope: str) -> Any:
    return next(each for each in found["limits"] if each["scope"] == scope)


def test_each_limit_has_a_forecast_of_its_own(dashboard: Dashboard) -> None:
    found = dashboard("forecast", "--user", "rpatel", "--json").json()
    month = of(found, "monthly limit of user rpatel")
    assert (month["reached_on"], month["days_until_reached"]) == ("2026-11-28", 6)
    model = of(found, "limit of user rpatel for model openai/gpt-4o")
    assert (model["reached_on"], model["days_until_reached"]) == ("2026-11-29", 7)
    everyone = of(found, "monthly limit of the organization")
    assert (everyone["reached_on"], everyone["projected_usd"]) == (None, pytest.approx(30.5))
    week = of(found, "weekly limit of user rpatel")
    assert (week["spent_usd"], week["projected_usd"]) == (7, pytest.approx(7.5))
    assert len(found["limits"]) == 4  # a day is over before days tell anything


def test_days_to_a_limit_are_counted_in_the_limits_own_zone(tmp_path: Path, dashboard: Dashboard) -> None:
    own = "users: {rpatel: {timezone: Pacific/Auckland}}\n"  # where 23 November has begun
    (tmp_path / "profile.yaml").write_text(LIMITS.replace("31", "22.2") + own)
    everyone = of(
        dashboard("forecast", "--user", "rpatel", "--json").json(), "monthly limit of the organization"
    )
    assert (everyone["reached_on"], everyone["days_until_reached"]) == ("2026-11-22", 0)
    assert "today, 22 Nov" in dashboard("forecast", "--user", "rpatel").out


def test_the_budget_warns_of_what_is_coming(dashboard: Dashboard) -> None:
    found = dashboard("show-budget", "--user", "rpatel", "--json").json()
    own, of_model = found["alerts"][-2:]
    assert "Budget on course for $30.50 by month end! Limit: $28.00 | Over by: $2.50" in own
    assert "Model budget of openai/gpt-4o on course for $30.50 by month end!" in of_model
    assert found["days_until_exhausted"] == 6


@pytest.mark.no_cover
@pytest.mark.parametrize("days", [1, 2, 4, 13, 20])
def test_every_command_leads_to_the_same_end_of_the_month(
    days: int, tmp_path: Path, cost_home: Path, dashboard: Dashboard
) -> None:
    with Workspace(cost_home) as workspace:
        calls = [
            entry("2.5", id=f"k{ago}", timestamp=at, job_id=f"kim-{ago}", user_id="kim")
            for ago, at in enumerate(NOW - timedelta(days=ago) for ago in range(days))
        ]
        save(calls, tmp_path / "out", workspace)
    budget = dashboard("show-budget", "--user", "kim", "--json").json()
    foreseen = dashboard("forecast", "--user", "kim", "--json").json()
    checks = dashboard("check", "--user", "kim", "--forecast", "--json").json()["checks"]
    (checked,) = (each["value_usd"] for each in checks if each["check"] == "month, forecast")
    ends = {budget["projected_usd"], foreseen["projected_usd"], checked}
    assert ends == {of(foreseen, "monthly limit of user kim")["projected_usd"]}
    assert budget["projected_low_usd"] == foreseen["projected_low_usd"]
    assert budget["projected_by_weekday"] == (days > 14)
    assert min(ends) > budget["spent_usd"]


def test_check_asks_after_the_course_of_every_limit(dashboard: Dashboard) -> None:
    ran = dashboard("check", "--user", "rpatel", "--forecast", "--json")
    verdicts = {check["check"]: check["result"] for check in ran.json()["checks"]}
    assert ran.code == 1
    assert verdicts["month, forecast"] == verdicts["model openai/gpt-4o, forecast"] == "over"
    assert verdicts["organization month, forecast"] == verdicts["week, forecast"] == "ok"


@pytest.mark.parametrize(
    ("before", "after", "alike"),
    [
        ("2026-10", "2026-11", "2026-10-01..2026-10-22 2026-11-01..2026-11-22"),
        ("2026-W46", "2026-11-22", None),
        ("2026-11-21", "2026-11-22", None),
        ("2026-11", "2026-12", None),
        ("2026-09", "2026-10", None),
    ],
)
def test_explain_offers_as_many_days(
    before: str, after: str, alike: str | None, dashboard: Dashboard
) -> None:
    out = " ".join(dashboard("explain", before, after).out.split())
    assert ("To compare the same number of days" in out) == (alike is not None)
    assert (alike or "") in out


@pytest.mark.parametrize(
    ("complete", "typed", "offered"),
    [
        (complete_job, "job-3", [f"job-3{n}" for n in range(10)]),
        (complete_side, "2026", ["2026-10", "2026-11"]),
        (complete_side, "job-41", ["job-41"]),
        (complete_name("user_id"), "", ["rpatel"]),
        (complete_name("tags"), "n", ["nightly"]),
        (complete_name("workflow"), "", []),
    ],
)
def test_the_shell_is_offered_what_was_logged(complete: Completion, typed: str, offered: list[str]) -> None:
    assert complete(None, None, typed) == offered
    assert logging.root.manager.disable == logging.NOTSET
