"""The tracker as stage scripts call it, on real files."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from shared.cost_tracker import BudgetExceeded, CostTracker, calculate_cost, normalize_model_name
from shared.costs import workspace
from shared.costs.errors import StorageUnavailable
from shared.costs.ledger.line import encode
from shared.costs.ledger.writer import append
from shared.costs.platform import lock, open_file
from shared.costs.store import store
from shared.costs.tracking import session
from shared.costs.tracking.call import CallDetails, ResponseDetails, UsageCounts
from shared.user_profile import UserProfile
from tests.costs.store.store_support import a_call


def ledger_lines(job_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (job_dir / "cost_ledger.jsonl").read_text().splitlines()]


@pytest.fixture
def job_dir(tmp_path: Path) -> Path:
    return tmp_path / "jobs" / "job-1"


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "profile.yaml"
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(path))
    return path


def test_a_call_is_priced_and_written_to_its_jobs_ledger(tracker: CostTracker, job_dir: Path) -> None:
    cost = tracker.log_usage(
        "openai", "gpt-4o", tokens_input=1500, tokens_output=300, stage="13_ai_summarization"
    )
    assert cost == 0.00675
    [line] = ledger_lines(job_dir)
    assert line["job_id"] == "job-1"
    assert line["user_id"] == "1"
    assert line["stage"] == "13_ai_summarization"
    assert line["cost_usd"] == 0.00675
    assert line["cost_parts"] == {"input": 0.00375, "output": 0.003}
    assert line["timestamp"].endswith("Z")


def test_a_clock_that_the_tests_of_a_stage_stop_is_the_one_of_its_calls(
    tmp_path: Path, job_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``freezegun`` does: it puts a class of its own in the place of ``datetime`` in each module."""

    class Stopped(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Stopped:
            return cls(2026, 3, 5, 10, tzinfo=tz)

    monkeypatch.setattr(workspace, "datetime", Stopped)
    with CostTracker(job_dir, "1", tmp_path / "storage") as made:
        made.log_usage("openai", "gpt-4o", 10, 5)
    [line] = ledger_lines(job_dir)
    assert line["timestamp"] == "2026-03-05T10:00:00.000000Z"


def test_an_unpriced_call_counts_as_such_and_is_warned_about_once(
    tracker: CostTracker, job_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert tracker.log_usage("openai", "gpt-9", 10, 5) == 0.0
    assert tracker.log_usage("openai", "gpt-9", 10, 5) == 0.0
    assert [line["cost_usd"] for line in ledger_lines(job_dir)] == [None, None]
    assert tracker.get_monthly_summary()["unpriced_calls"] == 2
    warned = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warned) == 1
    assert "gpt-9" in warned[0]
    assert "prices.yaml" in warned[0]


@pytest.mark.parametrize(
    ("name", "counts", "stated", "costs"),
    [
        ("acme own-model", {"tokens_input": 10}, 0.25, (0.25, None)),
        ("openai gpt-4o", {"tokens_input": 1000, "tokens_output": 200}, 9, (9, 0.0045)),
        ("openai gpt-4o", {"tokens_input": 1000, "tokens_audio_input": 10}, 0.01, (0.01, 0.0025)),
        ("deepgram nova-3", {"audio_seconds": 60}, 0.0031, (0.0031, 0.0043)),
        ("openrouter openai/gpt-4o", {"tokens_input": 1000}, 0.002, (0.002, 0.0025)),
        ("openai gpt-4o", {"tokens_input": 1000}, None, (0.0025, None)),
        ("openai gpt-4o", {"tokens_input": 1000}, 0, (0.0025, None)),
        ("ollama qwen3", {"tokens_input": 1000}, 0, (0, 0)),
    ],
    ids=["no price", "a price", "a partial price", "media", "a service that states it", "none", "0", "free"],
)
def test_what_the_provider_states_is_the_cost_and_our_arithmetic_stays_beside_it(
    name: str,
    counts: dict[str, Any],
    stated: float | None,
    costs: tuple[float, float | None],
    tracker: CostTracker,
    job_dir: Path,
) -> None:
    service, model = name.split()
    assert tracker.log_usage(service, model, actual_cost_usd=stated, **counts) == costs[0]
    [line] = ledger_lines(job_dir)
    assert (line["cost_usd"], line.get("catalogue_cost_usd")) == costs
    assert line["priced_by"].startswith("stated@bill" if costs[0] == stated else "catalogue@")
    assert "cost_state" not in line


def test_none_says_nothing(tracker: CostTracker, job_dir: Path) -> None:
    unsaid: dict[str, Any] = dict.fromkeys(CallDetails.__annotations__.keys() - UsageCounts.__annotations__)
    assert tracker.log_usage("openai", "gpt-4o", 1000, 200, **unsaid) == 0.0045
    answer = {"id": "gen-7", "object": "chat.completion", "model": "openai/gpt-4o", "provider": "Acme"}
    usage = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500, "cost": 0.5}
    unsaid = dict.fromkeys(ResponseDetails.__annotations__)
    assert tracker.log_response({**answer, "choices": [], "usage": usage}, **unsaid) == 0.5
    assert [line["request_id"] for line in ledger_lines(job_dir)] == [None, "gen-7"]


@pytest.mark.parametrize(
    ("model", "counts", "cost"),
    [
        ("gpt-4o", {"tokens_input": 1_000, "tokens_output": 200, "tokens_cached": None}, 0.0045),
        ("gpt-4o", {"tokens_input": 1_000, "tokens_output": None}, None),
        ("gpt-4o", {"tokens_input": None, "tokens_output": None}, None),
        ("gpt-4o", {"tokens_total": None}, None),
        ("whisper-1", {"audio_seconds": None}, None),
        ("whisper-1", {"audio_seconds": 60, "tokens_input": 0, "characters": None}, 0.006),
    ],
)
def test_a_count_that_nobody_stated_is_no_zero_and_no_error(
    model: str, counts: dict[str, Any], cost: float | None, tracker: CostTracker, job_dir: Path
) -> None:
    with tracker.stage("01") as stage:
        assert stage.log_usage("openai", model, **counts) == (cost or 0.0)
    assert tracker.log_usage("openai", model, **counts) == (cost or 0.0)
    assert [line["cost_usd"] for line in ledger_lines(job_dir)] == [cost, cost]


def test_what_is_asked_before_a_call_needs_its_counts(tracker: CostTracker) -> None:
    with pytest.raises(TypeError, match="tokens_input must be a number, not None"):
        tracker.reserve("openai", "gpt-4o", tokens_input=None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="tokens_input must be a number, not None"):
        tracker.estimate_cost("openai", "gpt-4o", tokens_input=None)  # type: ignore[arg-type]


def test_a_stated_cost_counts_where_nobody_says_what_was_used(tracker: CostTracker, job_dir: Path) -> None:
    assert tracker.log_usage("openai", "tts-1", actual_cost_usd=0.1) == 0.1
    assert tracker.log_usage("local", "piper", actual_cost_usd=0.0) == 0.0
    stated, free = ledger_lines(job_dir)
    assert (stated["cost_usd"], stated["priced_by"]) == (0.1, "stated@bill")
    assert free["cost_usd"] == 0.0
    assert free["priced_by"].startswith("catalogue@"), "of a local engine, which its stage's line says"


class Scalar:
    """A number as numpy and torch have them: neither an ``int`` nor a ``float``."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return float(self.value)

    def __repr__(self) -> str:
        return f"np.float32({self.value})"

    def __str__(self) -> str:
        return str(self.value)


class Whole(Scalar):
    """One of their whole numbers."""

    def __index__(self) -> int:
        return int(self.value)


@pytest.mark.parametrize("number", [Whole, Decimal, Fraction, int, float])
def test_numbers_of_other_kinds_are_taken_as_they_are(
    number: Any, tracker: CostTracker, job_dir: Path
) -> None:
    with tracker.reserve(
        "openai", "gpt-4o", tokens_input=number(1_000), max_tokens_output=number(200)
    ) as hold:
        cost = tracker.log_usage("openai", "gpt-4o", number(1_000), number(200), reservation=hold)
    assert cost == 0.0045
    assert tracker.log_usage("openai", "whisper-1", audio_seconds=number(60)) == 0.006
    assert tracker.log_usage("acme", "own-model", 1, actual_cost_usd=number(2)) == 2
    assert [line["tokens_input"] for line in ledger_lines(job_dir)] == [1_000, 0, 1]


@pytest.mark.parametrize("half", [Scalar(0.1), Decimal("0.1"), 0.1, "0.1"])
def test_a_cost_is_the_decimal_that_is_written(half: Any, tracker: CostTracker) -> None:
    assert tracker.log_usage("acme", "own-model", 1, actual_cost_usd=half) == 0.1


def test_the_same_request_counts_once_and_another_run_of_it_again(
    tracker: CostTracker, job_dir: Path
) -> None:
    first = tracker.log_usage("openai", "gpt-4o", 1000, 200, request_id="req-1")
    again = tracker.log_usage("openai", "gpt-4o", 1, 1, request_id="req-1")
    assert first == again == 0.0045
    assert len(ledger_lines(job_dir)) == 1
    tracker.log_usage("openai", "gpt-4o", 1000, 200, request_id="req-2")
    tracker.log_usage("openai", "gpt-4o", 1000, 200)
    tracker.log_usage("openai", "gpt-4o", 1000, 200, request_id="")
    tracker.log_usage("openai", "gpt-4o", 1000, 200, request_id="")
    assert tracker.get_job_cost() == pytest.approx(5 * 0.0045)
    assert tracker.get_usage_stats()["total_calls"] == 5


def test_the_same_request_is_known_to_another_process_too(job_dir: Path) -> None:
    with CostTracker(job_dir) as first, CostTracker(job_dir) as second:
        first.log_usage("openai", "gpt-4o", 1000, 200, request_id="req-1")
        second.log_usage("openai", "gpt-4o", 1000, 200, request_id="req-1")
    assert len(ledger_lines(job_dir)) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        {"tokens_input": -1},
        {"tokens_input": True},
        {"audio_seconds": float("inf")},
        {"service": ""},
        {"model": "a\nb"},
        {"tokens_input": 10**12, "model": "gpt-4"},
    ],
)
def test_arguments_without_sense_write_nothing(
    tracker: CostTracker, job_dir: Path, arguments: dict[str, Any]
) -> None:
    with pytest.raises((TypeError, ValueError)):
        tracker.log_usage(**{"service": "openai", "model": "gpt-4o", **arguments})
    assert not (job_dir / "cost_ledger.jsonl").exists()
    assert tracker.get_usage_stats()["total_calls"] == 0


def test_a_job_without_a_directory_goes_to_the_unassigned_ledger(cost_home: Path) -> None:
    with CostTracker() as tracker:
        tracker.log_usage("openai", "gpt-4o", 1000, 200)
        assert tracker.get_job_cost() == 0.0045
    assert (cost_home / "unassigned" / "cost_ledger.jsonl").exists()


def test_environment_names_job_stage_and_user(job_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COST_TRACKER_JOB_DIR", str(job_dir))
    monkeypatch.setenv("COST_TRACKER_STAGE", "asr")
    monkeypatch.setenv("COST_TRACKER_USER", "rpatel")
    with CostTracker() as tracker:
        tracker.log_usage("openai", "gpt-4o", 1, 1)
        tracker.log_usage("openai", "gpt-4o", 1, 1, stage="mine")
    assert [(line["stage"], line["user_id"]) for line in ledger_lines(job_dir)] == [
        ("asr", "rpatel"),
        ("mine", "rpatel"),
    ]


def test_a_link_to_a_job_is_that_job(tmp_path: Path, job_dir: Path) -> None:
    job_dir.mkdir(parents=True)
    (tmp_path / "latest").symlink_to(job_dir)
    with CostTracker(tmp_path / "latest") as tracker:
        tracker.log_usage("openai", "gpt-4o", 1, 1)
    assert ledger_lines(job_dir)[0]["job_id"] == "job-1"


def test_the_root_is_no_job() -> None:
    with pytest.raises(ValueError, match="cannot be a job directory"):
        CostTracker("/")


def test_sums_of_jobs_stages_and_months(tracker: CostTracker, tmp_path: Path) -> None:
    tracker.log_usage("openai", "gpt-4o", 1000, 200, stage="13", operation="summary")
    tracker.log_usage("local", "pocketsphinx", stage="06", audio_seconds=60)
    tracker.log_usage("openai", "gpt-4o", 1000, 200)
    with CostTracker(tmp_path / "jobs" / "job-2", "other") as other:
        other.log_usage("openai", "gpt-4o", 1000, 200)
    assert tracker.get_stage_costs() == {"13": 0.0045, "06": 0.0, "unassigned": 0.0045}
    assert tracker.get_job_cost() == 0.009
    assert tracker.get_job_cost("job-2") == 0.0045
    assert tracker.get_monthly_cost() == 0.009
    assert tracker.get_monthly_cost("other") == 0.0045
    assert tracker.get_monthly_summary() == {
        "month": f"{datetime.now(UTC):%Y-%m}",
        "user_id": "1",
        "total_cost": 0.009,
        "total_tokens": 2400,
        "total_calls": 3,
        "unique_jobs": 1,
        "avg_cost_per_job": 0.009,
        "by_service": {"openai": 0.009, "local": 0.0},
        "by_model": {"openai/gpt-4o": 0.009, "local/pocketsphinx": 0.0},
        "by_stage": {"unassigned": 0.0045, "13": 0.0045, "06": 0.0},
        "by_operation": {"unassigned": 0.0045, "summary": 0.0045} | {"unassigned": 0.0045},
        "unpriced_calls": 0,
        "partial_calls": 0,
    }


def test_a_job_that_is_not_there_says_so(tracker: CostTracker) -> None:
    with pytest.raises(LookupError, match="no job is called 'job-9'"):
        tracker.get_job_cost("job-9")


def test_a_call_of_last_month_counts_there(tracker: CostTracker) -> None:
    tracker.log_usage("openai", "gpt-4o", 1000, 200, timestamp="2025-03-01T00:00:00Z")
    assert tracker.get_monthly_cost() == 0.0
    assert tracker.get_job_cost() == 0.0045


def test_what_this_process_spent(tracker: CostTracker) -> None:
    assert tracker.get_average_cost_per_job() == 0.0
    tracker.record_api_call("gpt-4o", 1000, 200, "summary")
    tracker.record_api_call("whatever-9", 1000, 200, "summary")
    stats = tracker.get_usage_stats()
    assert (stats["total_calls"], stats["total_tokens"], stats["unpriced_calls"]) == (2, 2400, 1)
    assert set(stats["by_model"]) == {"openai/gpt-4o", "unknown/whatever-9"}  # type: ignore[call-overload]
    assert tracker.get_average_cost_per_job() == 0.0045
    tracker.reset_usage_stats()
    assert tracker.get_usage_stats()["total_calls"] == 0
    assert tracker.get_job_cost() == 0.0045


def test_what_this_process_spent_by_request_operation_and_model(tracker: CostTracker) -> None:
    tracker.record_api_call("gpt-4o", 1000, 200, "summary")
    tracker.log_usage("openai", "gpt-4o", 3000, 600, operation="chat")
    small = {"total_calls": 1, "total_cost": 0.0045, "tokens_input": 1000, "tokens_output": 200}
    small |= {"total_tokens": 1200, "unpriced_calls": 0, "partial_calls": 0}
    small |= {"average_cost_per_call": 0.0045, "average_tokens_per_call": 1200.0}
    large = {name: round(3 * figure, 4) for name, figure in small.items()} | {"total_calls": 1}
    both = {name: 4 * figure for name, figure in small.items()} | {"total_calls": 2}
    both |= {"average_cost_per_call": 0.009, "average_tokens_per_call": 2400.0}
    assert tracker.get_usage_stats() == {
        **both,
        "unique_jobs": 1,
        "by_operation": {"chat": large, "summary": small},
        "by_model": {"openai/gpt-4o": both},
    }


def test_estimates_cost_nothing(tracker: CostTracker, job_dir: Path) -> None:
    assert tracker.estimate_cost("openai", "gpt-4o", 1000) == 0.004
    assert tracker.estimate_cost("openai", "gpt-4o", tokens_input=1000, tokens_output=200) == 0.0045
    assert tracker.estimate_cost("openai", "whisper-1", audio_seconds=60) == 0.006
    assert tracker.estimate_cost("openai", "gpt-9", 1000) == 0.0
    assert not job_dir.exists()


def test_functions_besides_the_class() -> None:
    assert calculate_cost("gpt-4o", 1000, 200) == (0.0025, 0.002, 0.0045)
    assert calculate_cost("gpt-9", 1000, 200) == (0.0, 0.0, 0.0)
    assert normalize_model_name("openai/gpt-4o") == normalize_model_name("gpt4o")


def test_alerts_tell_the_state_and_the_log_tells_news(
    profile: Path, job_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    profile.write_text("budget: {monthly_limit_usd: 0.01}\n")
    with CostTracker(job_dir) as tracker:
        for _ in range(3):
            tracker.log_usage("openai", "gpt-4o", 1000, 200)
        alerts = tracker.check_budget_alerts()
        assert alerts == ["🚨 CRITICAL: Budget limit reached! $0.0135 / $0.0100 (135.0%)"]
        assert tracker.check_budget_alerts() == alerts
        assert tracker.is_over_budget()
        assert not tracker.is_over_budget("somebody")
    told = [r.getMessage() for r in caplog.records if "Budget" in r.getMessage()]
    assert told == [
        "⚠️  WARNING: Budget threshold reached! $0.0090 / $0.0100 (90.0%) | Remaining: $0.0010",
        "🚨 CRITICAL: Budget limit reached! $0.0135 / $0.0100 (135.0%)",
    ]


def test_a_look_before_the_call(profile: Path, job_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "LOOK_S", 0.0)
    profile.write_text("budget: {monthly_limit_usd: 0.01}\n")
    with CostTracker(job_dir) as tracker:
        assert tracker.can_make_api_call(100) == (True, [])
        profile.write_text("budget: {monthly_limit_usd: 0.01, block_at_limit: true}\n")
        assert tracker.can_make_api_call(0.01) == (True, [])
        allowed, said = tracker.can_make_api_call(0.02)
        assert not allowed
        assert "up to $0.0200 for this call does not fit into the monthly limit of user 1" in said[0]
        with pytest.raises(ValueError, match="estimated_cost must be at least 0, not -1"):
            tracker.can_make_api_call(-1)  # which would fit under any limit
        profile.write_text("budget: {monthly_limit: 0.01}\n")
        allowed, said = tracker.can_make_api_call(0.001)
        assert not allowed
        assert "monthly_limit" in said[0]


def test_a_look_before_the_call_is_at_limits_on_what_is_asked_for(profile: Path, job_dir: Path) -> None:
    """A customer whose limit is used up keeps no call for another one back, and none of nobody's."""
    profile.write_text(
        "budget: {block_at_limit: true, daily_limit_usd: 5, project_limits_usd: {p: 0.01}, "
        "tag_limits_usd: {'customer:acme': 0.01}, stage_limits_usd: {asr: 0.01}}\n"
    )
    with CostTracker(job_dir) as tracker:
        tracker.log_usage("openai", "gpt-4o", 4_000, 4_000, "asr", project="p", tags=["customer:acme"])
        assert tracker.can_make_api_call(4.9)[0]
        assert not tracker.can_make_api_call(5)[0]
        for name, options in (("asr", {}), ("mt", {"project": "p"}), ("mt", {"tags": ["customer:acme"]})):
            with tracker.stage(name, **options):
                assert not tracker.can_make_api_call(0.001)[0]
        with tracker.stage("mt", project="q", tags=["customer:beta"]):
            assert tracker.can_make_api_call(0.001)[0]
    model = "budget: {block_at_limit: true, model_limits_usd: {openai/gpt-4o: 0.01}}\n"
    profile.write_text(model)
    with CostTracker(job_dir) as tracker:
        assert not tracker.can_make_api_call(0.001)[0]  # which model it is to nobody said


def test_a_look_at_the_profile_is_believed_for_a_moment(
    profile: Path, job_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace, "LOOK_S", math.inf)
    profile.write_text("budget: {monthly_limit_usd: 0.01, block_at_limit: true}\n")
    with CostTracker(job_dir) as tracker:
        assert not tracker.can_make_api_call(0.02)[0]
        profile.write_text("budget: {monthly_limit_usd: 10, block_at_limit: true}\n")
        assert not tracker.can_make_api_call(0.02)[0]
    with CostTracker(job_dir) as later:
        assert later.can_make_api_call(0.02)[0]


def test_what_this_process_saves_is_in_force_at_once(
    profile: Path, job_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace, "LOOK_S", math.inf)
    profile.write_text("budget: {monthly_limit_usd: 10, block_at_limit: true}\n")
    with CostTracker(job_dir) as tracker:
        assert tracker.can_make_api_call(0.02)[0]
        mine = UserProfile.load(1)
        mine.set_limits(monthly_limit=0.01)
        mine.save()
        assert not tracker.can_make_api_call(0.02)[0]


def test_sums_too_large_for_the_store_do_not_stop_recording(
    job_dir: Path, cost_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.costs.store.store.RECENT_LINES", 32)
    with CostTracker(job_dir) as tracker:
        tracker.log_usage("openai", "gpt-4o", 1000, 200)
        with sqlite3.connect(cost_home / "sums.db", isolation_level=None) as other:
            for table in ("cells", "days", "spend"):
                other.execute(f"UPDATE {table} SET cost = ?", (2**63 - 1,))
        other.close()
        for number in range(64):
            tracker.log_usage("openai", "gpt-4o", 1000, 200, request_id=f"call-{number}")
        with tracker.stage("06_asr"):
            tracker.log_usage("openai", "gpt-4o", 1000, 200)
    assert len((job_dir / "cost_ledger.jsonl").read_bytes().splitlines()) == 2 + 64
    with CostTracker(job_dir) as later, pytest.raises(StorageUnavailable, match="the sums are too large"):
        later.get_monthly_summary()


def test_a_refused_profile_does_not_stop_recording(
    profile: Path, job_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    profile.write_text("budget: {monthly_limit_usd: .nan}\n")
    with CostTracker(job_dir) as tracker:
        assert tracker.log_usage("openai", "gpt-4o", 1000, 200) == 0.0045
    assert ".nan" in caplog.text
    assert "profile.yaml:1" in caplog.text


def test_refused_prices_do_not_stop_recording(
    profile: Path, job_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    profile.write_text("{}\n")
    profile.with_name("prices.yaml").write_text("nonsense: true\n")
    with CostTracker(job_dir) as tracker:
        assert tracker.log_usage("openai", "gpt-4o", 1000, 200) == 0.0045
        assert tracker.log_usage("openai", "gpt-4o", 1000, 200) == 0.0045
    refusals = [r for r in caplog.records if "own prices are not used" in r.getMessage()]
    assert len(refusals) == 1
    assert "unknown key 'nonsense'" in refusals[0].getMessage()


def test_threads_share_a_tracker(tracker: CostTracker, job_dir: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        costs = list(pool.map(lambda _: tracker.log_usage("openai", "gpt-4o", 1000, 200), range(64)))
    assert costs == [0.0045] * 64
    assert len(ledger_lines(job_dir)) == 64
    assert tracker.get_job_cost() == pytest.approx(64 * 0.0045, abs=1e-12)


def test_tasks_share_a_tracker_without_holding_up_the_loop(tracker: CostTracker) -> None:
    async def work() -> list[float]:
        async with tracker.stage("async"):
            return await asyncio.gather(
                *(tracker.alog_usage("openai", "gpt-4o", 1000, tokens_output=200) for _ in range(20))
            )

    assert asyncio.run(work()) == [0.0045] * 20
    assert list(tracker.get_stage_costs()) == ["async"]


def test_storage_that_cannot_be_used_stops_no_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = tmp_path / "a-file"
    blocked.write_text("in the way")
    monkeypatch.setenv("COST_TRACKER_HOME", str(blocked / "home"))
    with CostTracker(tmp_path / "jobs" / "job-1") as tracker:
        with tracker.stage("13"):
            assert tracker.log_usage("openai", "gpt-4o", 1000, 200) == 0.0045
        assert tracker.get_job_cost() == 0.0045
    assert len(ledger_lines(tmp_path / "jobs" / "job-1")) == 1
    assert "Stage cost: $0.0045" in capsys.readouterr().err


def test_a_ledger_that_the_storage_cannot_note_is_warned_of_once_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a-file").write_text("in the way")
    monkeypatch.setenv("COST_TRACKER_HOME", str(tmp_path / "a-file"))
    with caplog.at_level(logging.WARNING), CostTracker(job := tmp_path / "jobs" / "job-1") as tracker:
        for _ in range(3):
            tracker.log_usage("openai", "gpt-4o", 1000, 200)
    [told] = [message for message in caplog.messages if "in no sum" in message]
    assert told.startswith(str(job))
    assert told.endswith("see cost-dashboard doctor")


def test_an_entry_that_cannot_be_appended_waits_and_is_told(
    tmp_path: Path, job_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job_dir.mkdir(parents=True)
    (job_dir / "cost_ledger.jsonl").symlink_to(tmp_path / "elsewhere")
    with CostTracker(job_dir) as tracker, tracker.stage("13"):
        assert tracker.log_usage("openai", "gpt-4o", 1000, 200) == 0.0045
    said = (
        "Cost tracking degraded: 1 entry had to wait, 1 still outside the ledger; run cost-dashboard doctor"
    )
    assert said in capsys.readouterr().err
    assert not (tmp_path / "elsewhere").exists()
    (job_dir / "cost_ledger.jsonl").unlink()
    with CostTracker(job_dir) as tracker:
        tracker.log_usage("openai", "gpt-4o", 1000, 200)
    assert len(ledger_lines(job_dir)) == 2


def test_a_reversal_undoes_a_call_and_says_why(tracker: CostTracker, job_dir: Path) -> None:
    tracker.log_usage("openai", "gpt-4o", 1000, 200, stage="13", request_id="r")
    [line] = ledger_lines(job_dir)
    tracker.reverse(line["id"], "logged for the wrong job")
    tracker.reverse(line["id"], "logged for the wrong job")
    assert tracker.get_job_cost() == 0.0
    assert tracker.get_monthly_summary()["total_calls"] == 0
    _, reversal = ledger_lines(job_dir)
    assert (reversal["kind"], reversal["corrects"]) == ("reversal", line["id"])
    assert reversal["cost_usd"] == -0.0045
    assert reversal["why"] == "logged for the wrong job"
    with pytest.raises(LookupError):
        tracker.reverse("no-such-id", "typo")


def test_threads_of_ones_own_count_to_the_only_open_stage(tracker: CostTracker) -> None:
    with tracker.stage("13") as stage:
        worker = threading.Thread(target=tracker.log_usage, args=("openai", "gpt-4o", 1000, 200))
        worker.start()
        worker.join()
    assert stage.sums.calls == 1
    assert tracker.get_stage_costs() == {"13": 0.0045}


def test_budgets_that_others_keep_busy_once_are_no_warning(
    profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The next call tells what was missed; where that cannot look either, the user is told."""
    profile.write_text("budget: {monthly_limit_usd: 0.001}\n")
    monkeypatch.setattr(store, "_HOT_WAIT_S", 0.01)
    with CostTracker(tmp_path / "jobs" / "job-1", cost_storage_path=tmp_path / "costs") as tracker:
        (tmp_path / "costs").mkdir(mode=0o700)
        with open_file(tmp_path / "costs" / "sums.db-seal", write=True, create=True) as seal:
            assert lock(seal.fileno(), 0)
            tracker.log_usage("openai", "gpt-4o", tokens_input=1500, tokens_output=300)
            assert "cannot be checked" not in caplog.text
            tracker.log_usage("openai", "gpt-4o", tokens_input=1500, tokens_output=300)
            assert caplog.text.count("the budgets cannot be checked") == 1
        caplog.clear()
        tracker.log_usage("openai", "gpt-4o", tokens_input=1500, tokens_output=300)
        assert "cannot be checked" not in caplog.text
        assert "$0.0202 / $0.0010" in caplog.text


def test_a_call_for_a_project_that_was_not_reserved_for_is_told(
    tracker: CostTracker, profile: Path, caplog: pytest.LogCaptureFixture
) -> None:
    limits = "project_limits_usd: {b: 0.0001}, tag_limits_usd: {x: 1}"
    profile.write_text(f"budget: {{block_at_limit: true, {limits}}}\n")
    with tracker.reserve("openai", "gpt-4o", tokens_input=2000, max_tokens_output=300, project="a") as hold:
        tracker.log_usage("openai", "gpt-4o", 10, 5, reservation=hold, project="a")
        assert "not named" not in caplog.text
        for _ in range(2):
            tracker.log_usage("openai", "gpt-4o", 10, 5, reservation=hold, project="b", tags=["x"])
    assert caplog.text.count("tag x, project b: was not named to reserve") == 1
    with pytest.raises(BudgetExceeded, match="project b"):
        tracker.reserve("openai", "gpt-4o", tokens_input=2000, max_tokens_output=300, project="a").__enter__()


def test_a_call_priced_in_part_is_said_in_the_line_and_in_the_figures(
    tracker: CostTracker, caplog: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger("stage")
    with caplog.at_level(logging.INFO), tracker.stage("13_summary", logger=log) as stage:
        stage.log_usage("openai", "gpt-4o", 1000, 200, gpu_seconds=3)
        stage.log_usage("openai", "gpt-4o", 1000, 200)
    assert "💰 Stage cost: $0.0090 (1 of 2 calls priced in part) | job $0.0090" in caplog.text
    assert tracker.get_usage_stats()["partial_calls"] == 1


@pytest.mark.parametrize("end", [CostTracker.close, lambda _: session._log_last_alerts()])
def test_what_others_spent_during_the_last_calls_is_told_in_the_end(
    tracker: CostTracker,
    profile: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[CostTracker], None],
) -> None:
    profile.write_text("budget: {monthly_limit_usd: 0.03}\n")
    monkeypatch.setattr(store, "LOOK_S", 60.0)
    for _ in range(2):
        tracker.log_usage("openai", "gpt-4o", 1000, 200)
    ledger = profile.with_name("job-2") / "cost_ledger.jsonl"
    other = store.Store(tracker._session.workspace.storage)
    assert other.note(ledger)
    append(ledger, encode(a_call(13_500_000, timestamp=datetime.now(UTC))), 1.0)
    tracker.log_usage("openai", "gpt-4o", 1000, 200)
    assert "threshold" not in caplog.text
    end(tracker)
    assert "Budget threshold reached! $0.0270 / $0.0300 (90.0%)" in caplog.text
    end(tracker)
    assert caplog.text.count("threshold") == 1
    other.close()


def test_a_model_that_costs_more_than_the_one_reserved_is_held_for_from_then_on(
    tracker: CostTracker, profile: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls of gpt-4, reserved as gpt-4o-mini: $0.06 each, of which $0.0003 were held."""
    profile.write_text("budget: {block_at_limit: true, model_limits_usd: {openai/gpt-4: 0.10}}\n")
    reserve = partial(tracker.reserve, "openai", "gpt-4o-mini", tokens_input=1000, max_tokens_output=500)
    with reserve() as hold:
        for _ in range(2):
            tracker.log_usage("openai", "gpt-4", 500, 250, reservation=hold)
    assert caplog.text.count("model openai/gpt-4: was not named to reserve") == 1
    with pytest.raises(BudgetExceeded, match=r"up to \$0.0600 for openai/gpt-4o-mini \(others like it"):
        reserve().__enter__()
    with tracker.reserve("openai", "gpt-4o-mini", tokens_input=600, max_tokens_output=100) as hold:
        assert hold.estimate == 24_000_000
        hold.void()


def test_a_dated_name_of_the_model_reserved_is_no_other_model(
    tracker: CostTracker, profile: Path, caplog: pytest.LogCaptureFixture
) -> None:
    profile.write_text("budget: {block_at_limit: true, model_limits_usd: {openai/gpt-4o: 0.10}}\n")
    with tracker.reserve("openai", "gpt-4o", tokens_input=1000, max_tokens_output=50) as hold:
        tracker.log_usage("openai", "gpt-4o-2024-08-06", 1000, 50, reservation=hold)
    assert "not named" not in caplog.text
