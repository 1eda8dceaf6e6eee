"""Stages and reservations through the tracker, under blocking and other budgets."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from shared.cost_tracker import BudgetExceeded, BudgetGateUnavailable, CostTracker
from shared.costs.errors import StorageUnavailable
from shared.costs.workspace import Workspace


@pytest.fixture
def job_dir(tmp_path: Path) -> Path:
    return tmp_path / "jobs" / "job-1"


@pytest.fixture
def blocking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A profile that blocks at one cent a month."""
    path = tmp_path / "profile.yaml"
    path.write_text("budget: {monthly_limit_usd: 0.01, block_at_limit: true}\n")
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(path))
    return path


def lines(job_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (job_dir / "cost_ledger.jsonl").read_text().splitlines()]


def holds(home: Path) -> list[str | None]:
    with Workspace(home) as workspace:
        return [held.reservation.orphaned for held in workspace.gate.holds()]


def test_a_reserved_call_is_settled_by_its_entry(blocking: Path, job_dir: Path, cost_home: Path) -> None:
    with CostTracker(job_dir) as tracker, tracker.stage("13"):
        with tracker.reserve("openai", "gpt-4o", tokens_input=1000, max_tokens_output=400) as hold:
            assert tracker.log_usage("openai", "gpt-4o", 1000, 200, reservation=hold) == 0.0045
        assert holds(cost_home) == []
    [line] = lines(job_dir)
    assert line["reservation"] == hold.id
    assert line["stage"] == "13"


def test_what_does_not_fit_is_denied_before_it_is_sent(blocking: Path, job_dir: Path) -> None:
    with CostTracker(job_dir, "rpatel") as tracker:
        with pytest.raises(BudgetExceeded, match="monthly limit of user rpatel") as denied:
            with tracker.reserve("openai", "gpt-4o", tokens_input=1000, max_tokens_output=4000):
                pytest.fail("the call was made")
        assert denied.value.denial.requested == 42_500_000
        assert not (job_dir / "cost_ledger.jsonl").exists()
        with tracker.reserve("local", "pocketsphinx", audio_seconds=60) as hold:
            tracker.log_usage("local", "pocketsphinx", audio_seconds=60, reservation=hold)


def test_going_over_a_limit_is_recorded(
    blocking: Path, job_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with CostTracker(job_dir) as tracker:
        wanted: dict[str, Any] = {"tokens_input": 1000, "max_tokens_output": 4000}
        with tracker.reserve("openai", "gpt-4o", **wanted, override="deadline, asked Ana") as hold:
            tracker.log_usage("openai", "gpt-4o", 1000, 200, reservation=hold)
        monkeypatch.setenv("COST_TRACKER_SKIP_BUDGET_CHECK", "1")
        with tracker.reserve("openai", "gpt-4o", **wanted) as hold:
            tracker.log_usage("openai", "gpt-4o", 1000, 200, reservation=hold)
    assert [line["metadata"]["budget_override"] for line in lines(job_dir)] == [
        "deadline, asked Ana",
        "COST_TRACKER_SKIP_BUDGET_CHECK",
    ]
    assert "budget check overridden by deadline, asked Ana" in caplog.text


def test_without_a_blocking_limit_nothing_is_denied(tracker: CostTracker, job_dir: Path) -> None:
    with tracker.reserve("openai", "gpt-4o", tokens_input=10**9, max_tokens_output=10**9) as hold:
        tracker.log_usage("openai", "gpt-4o", 1000, 200, reservation=hold)
    with tracker.reserve("openai", "gpt-9", tokens_input=1) as hold:
        tracker.log_usage("openai", "gpt-9", 1, reservation=hold)
    assert len(lines(job_dir)) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"model": "gpt-4o", "tokens_input": 1}, "no max_tokens_output is given"),
        ({"model": "gpt-9", "tokens_input": 1, "max_tokens_output": 1}, "gpt-9"),
    ],
)
def test_what_has_no_upper_bound_is_denied(
    blocking: Path, job_dir: Path, arguments: dict[str, Any], said: str
) -> None:
    with CostTracker(job_dir) as tracker, pytest.raises(BudgetExceeded, match=said):
        tracker.reserve("openai", **arguments).__enter__()


def test_audio_needs_no_maximum_of_output(blocking: Path, job_dir: Path) -> None:
    with CostTracker(job_dir) as tracker, tracker.reserve("openai", "whisper-1", audio_seconds=60) as hold:
        assert hold.estimate == 6_000_000
        tracker.log_usage("openai", "whisper-1", audio_seconds=60, reservation=hold)


def test_a_block_that_ends_without_an_entry_goes_on_counting(
    blocking: Path, job_dir: Path, cost_home: Path
) -> None:
    with CostTracker(job_dir) as tracker:
        with tracker.reserve("openai", "gpt-4o", tokens_input=1000, max_tokens_output=400):
            pass
        with pytest.raises(BudgetExceeded, match="never reported"):
            tracker.reserve("openai", "gpt-4o", tokens_input=1000, max_tokens_output=400).__enter__()
        assert tracker.can_make_api_call(0.005)[0] is False
    assert len(holds(cost_home)) == 1


def test_money_comes_back_when_nothing_was_sent(blocking: Path, job_dir: Path, cost_home: Path) -> None:
    with CostTracker(job_dir) as tracker:
        with tracker.reserve("openai", "gpt-4o", tokens_input=1000, max_tokens_output=400) as hold:
            hold.void()
    assert holds(cost_home) == []


def test_a_profile_that_cannot_be_read_closes_the_gate(blocking: Path, job_dir: Path) -> None:
    blocking.write_text("budget: {monthly_limit_usd: much}\n")
    with CostTracker(job_dir) as tracker, pytest.raises(BudgetGateUnavailable, match="much"):
        tracker.reserve("openai", "gpt-4o", tokens_input=1, max_tokens_output=1).__enter__()


def test_a_call_above_its_reservation_is_recorded_in_full_and_told(
    blocking: Path, job_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with CostTracker(job_dir) as tracker:
        with tracker.reserve("openai", "gpt-4o", tokens_input=10, max_tokens_output=10) as hold:
            tracker.log_usage("openai", "gpt-4o", 1000, 200, reservation=hold)
    assert "more than the" in caplog.text
    assert lines(job_dir)[0]["cost_usd"] == 0.0045


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"tokens_input": -1}, ValueError),
        ({"max_tokens_output": -1}, ValueError),
        ({"expires_after_s": 0}, ValueError),
        ({"expires_after_s": 1e9}, ValueError),
        ({"override": "a\nb"}, ValueError),
        ({"nonsense": 1}, TypeError),
    ],
)
def test_wrong_arguments_of_a_reservation(
    tracker: CostTracker, arguments: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        tracker.reserve("openai", "gpt-4o", **arguments)


def test_a_reservation_by_its_id_alone(tracker: CostTracker, job_dir: Path) -> None:
    tracker.log_usage("openai", "gpt-4o", 1000, 200, reservation="0c" * 14)
    assert lines(job_dir)[0]["reservation"] == "0c" * 14


def test_a_stage_may_reserve_for_all_its_calls(blocking: Path, job_dir: Path, cost_home: Path) -> None:
    with CostTracker(job_dir) as tracker:
        with tracker.stage("13", reserve=0.0095) as stage:
            tracker.log_usage("openai", "gpt-4o", 1000, 200)
            stage.log_usage("openai", "gpt-4o", 1000, 200)
        assert holds(cost_home) == []
        with pytest.raises(BudgetExceeded), tracker.stage("13", reserve="0.002"):
            pytest.fail("the stage was run")
    assert len({line["reservation"] for line in lines(job_dir)}) == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"reserve": -1}, ValueError),
        ({"attempt": 0}, ValueError),
        ({"attempt": "2"}, TypeError),
        ({"loger": None}, TypeError),
        ({"name": ""}, ValueError),
    ],
)
def test_wrong_arguments_of_a_stage(
    tracker: CostTracker, arguments: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        tracker.stage(**{"name": "13", **arguments})


def test_async_reservations_do_not_hold_up_the_loop(blocking: Path, job_dir: Path, cost_home: Path) -> None:
    async def call(tracker: CostTracker) -> float:
        async with tracker.reserve("openai", "gpt-4o", tokens_input=100, max_tokens_output=40) as hold:
            return await tracker.alog_usage("openai", "gpt-4o", 100, 20, reservation=hold)

    async def all_calls() -> list[float]:
        with CostTracker(job_dir) as tracker:
            return await asyncio.gather(*(call(tracker) for _ in range(8)))

    assert asyncio.run(all_calls()) == [0.00045] * 8
    assert holds(cost_home) == []


def test_a_task_cancelled_while_it_reserves_holds_nothing(
    blocking: Path, job_dir: Path, cost_home: Path
) -> None:
    async def cancelled(tracker: CostTracker) -> None:
        reserving = tracker.reserve("openai", "gpt-4o", tokens_input=100, max_tokens_output=40)
        task = asyncio.create_task(reserving.__aenter__())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others)

    with CostTracker(job_dir) as tracker:
        asyncio.run(cancelled(tracker))
    assert holds(cost_home) == []


def test_a_stage_around_functions(tracker: CostTracker, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log = logging.getLogger("stage")

    @tracker.stage("13", logger=log)
    def summarize(tokens: int) -> float:
        return tracker.log_usage("openai", "gpt-4o", tokens, 200)

    @tracker.stage("14", logger=log)
    async def polish(tokens: int) -> float:
        return tracker.log_usage("openai", "gpt-4o", tokens, 200)

    assert (summarize(1000), summarize(1000), asyncio.run(polish(1000))) == (0.0045,) * 3
    said = [record.getMessage() for record in caplog.records if record.name == "stage"]
    assert len(said) == 3
    assert said[0].startswith("💰 Stage cost: $0.0045 | job $0.0045 | month $0.00 of $50.00 (0.0%)")
    assert list(tracker.get_stage_costs()) == ["13", "14"]


def test_a_failing_stage_says_its_cost_too(tracker: CostTracker, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError), tracker.stage("13"):
        tracker.log_usage("openai", "gpt-9", 1000, 200)
        raise RuntimeError("the model was down")
    assert "$0.0000 (1 of 1 calls unpriced)" in capsys.readouterr().err


def test_stages_nest_and_local_work_says_so(tracker: CostTracker, capsys: pytest.CaptureFixture[str]) -> None:
    with tracker.stage("outer"):
        with tracker.stage("06", attempt=2):
            tracker.log_usage("local", "pocketsphinx", audio_seconds=3)
        tracker.log_usage("openai", "gpt-4o", 1000, 200)
    with tracker.stage("idle"):
        pass
    assert capsys.readouterr().err.splitlines() == [
        "💰 Stage cost: $0.0000 (local processing)",
        "💰 Stage cost: $0.0045 | job $0.0045 | month $0.00 of $50.00 (0.0%)",
        "💰 Stage cost: $0.0000 (no calls) | job $0.0045 | month $0.00 of $50.00 (0.0%)",
    ]


@pytest.mark.parametrize(
    ("profile", "fits"), [("budget: {}\n", True), ("budget: {block_at_limit: true}\n", False)]
)
def test_a_look_that_fails_fits_only_where_nothing_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: str, fits: bool
) -> None:
    (tmp_path / "profile.yaml").write_text(profile)
    tracker = CostTracker(
        tmp_path / "job", cost_storage_path=tmp_path / "home", profile_path=tmp_path / "profile.yaml"
    )

    def fail(*_: object) -> None:
        raise StorageUnavailable("the disk is on fire")

    monkeypatch.setattr(tracker._session.watch, "spendings", fail)
    allowed, [said] = tracker.can_make_api_call(0.01)
    assert allowed is fits
    assert "on fire" in said
    assert tracker.check_budget_alerts() == [said]
    assert tracker.is_over_budget() is False
