"""``tracker.choose``: the first model that the budget still allows, and the guard on how fast money goes."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.cost_tracker import BudgetExceeded, CostTracker

MODELS = ["openai/gpt-4o", "local/sumy", "gpt-4o-mini"]
CALL: dict[str, Any] = {"tokens_input": 1000, "max_tokens_output": 400}


@pytest.fixture
def job_dir(tmp_path: Path) -> Path:
    return tmp_path / "jobs" / "job-1"


def allow(folder: Path, monkeypatch: pytest.MonkeyPatch, budget: str) -> None:
    path = folder / "profile.yaml"
    path.write_text(f"budget: {{{budget}}}\n")
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(path))


def lines(job_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (job_dir / "cost_ledger.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("budget", "chosen", "wanted"),
    [
        ("monthly_limit_usd: 0.01, block_at_limit: true", "openai/gpt-4o", None),
        ("monthly_limit_usd: 0.005, block_at_limit: true", "openai/gpt-4o-mini", "openai/gpt-4o"),
        ("monthly_limit_usd: 0, block_at_limit: true", "local/sumy", "openai/gpt-4o"),
        ("monthly_limit_usd: 0", "openai/gpt-4o", None),  # denies nothing
        ("monthly_calls: 0, block_at_limit: true", "local/sumy", "openai/gpt-4o"),
        ("model_limits_usd: {openai/gpt-4o: 0}, block_at_limit: true", "openai/gpt-4o-mini", "openai/gpt-4o"),
    ],
)
def test_the_first_that_is_allowed_is_chosen_and_the_local_one_is_last(
    tmp_path: Path,
    job_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    budget: str,
    chosen: str,
    wanted: str | None,
) -> None:
    allow(tmp_path, monkeypatch, budget)
    with CostTracker(job_dir) as tracker, tracker.choose(MODELS, **CALL) as choice:
        tracker.log_usage(choice.service, choice.model, 1000, 200, reservation=choice.hold)
    assert f"{choice.service}/{choice.model}" == chosen
    assert choice.degraded_from == wanted
    [line] = lines(job_dir)
    assert (f"{line['service']}/{line['model']}", line["metadata"].get("degraded_from")) == (chosen, wanted)


def test_what_was_wanted_before_is_kept(tmp_path: Path, job_dir: Path) -> None:
    async def work() -> None:
        with CostTracker(job_dir) as tracker:
            async with tracker.choose(["local/sumy"], instead_of="openai/gpt-4o", **CALL) as choice:
                tracker.log_usage("local", "sumy", reservation=choice.hold, metadata={"backend": "sumy"})

    asyncio.run(work())
    assert lines(job_dir)[0]["metadata"] == {"degraded_from": "openai/gpt-4o", "backend": "sumy"}


def test_where_all_are_denied_the_last_refusal_is_raised(
    tmp_path: Path, job_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(tmp_path, monkeypatch, "monthly_limit_usd: 0, block_at_limit: true")
    with CostTracker(job_dir) as tracker:
        with pytest.raises(BudgetExceeded, match="gpt-4o-mini"):
            with tracker.choose(["openai/gpt-4o", "openai/gpt-4o-mini"], **CALL):
                pytest.fail("the call was made")
        with pytest.raises(ValueError, match="at least one model"):
            tracker.choose([])
        assert tracker._session.workspace.gate.holds() == []

        async def work() -> None:
            async with tracker.choose(["openai/gpt-4o"], **CALL):
                pytest.fail("the call was made")

        with pytest.raises(BudgetExceeded, match="gpt-4o"):
            asyncio.run(work())


def test_money_that_goes_too_fast_is_warned_of_and_then_denied(
    tmp_path: Path, job_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    allow(tmp_path, monkeypatch, "guard: {usd_per_minute: 0.02}")  # denies by itself
    now = [datetime(2026, 11, 22, 12, tzinfo=UTC)]
    with CostTracker(job_dir) as tracker, caplog.at_level(logging.WARNING):
        monkeypatch.setattr(tracker._session.workspace, "clock", lambda: now[0])
        tracker.log_usage("openai", "gpt-4o", 1000, 1400)
        assert "Guard 1min budget threshold reached! $0.0165 / $0.0200 (82.5%)" in caplog.text
        with pytest.raises(BudgetExceeded, match="guard 1min limit of user 1"):
            with tracker.reserve("openai", "gpt-4o", **CALL):
                pytest.fail("the call was made")
        now[0] += timedelta(seconds=61)
        with tracker.reserve("openai", "gpt-4o", **CALL) as hold:
            hold.void()
