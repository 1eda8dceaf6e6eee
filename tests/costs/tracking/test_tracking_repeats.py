"""The guard against the same request again and again, for code that reserves or logs."""

from __future__ import annotations

import logging
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.cost_tracker import BudgetExceeded, CostTracker
from shared.costs.budgets.guard import RepeatLimit, RepetitionGuard, bound_of
from shared.costs.errors import StorageUnavailable
from shared.costs.profile import load_profile
from shared.costs.run.calls import WrappedCall
from shared.costs.run.holding import Holding
from shared.costs.run.methods import Method
from shared.costs.storage import CostStorage
from shared.costs.store.state import LocalRequests
from shared.costs.store.store import Store

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


@pytest.fixture
def job_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    profile = tmp_path / "profile.yaml"
    profile.write_text("budget: {guard: {same_request: 4}}\n")
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(profile))
    return tmp_path / "jobs" / "job-1"


def send(tracker: CostTracker, digest: str = "abc", model: str = "gpt-4o") -> None:
    with tracker.reserve("openai", model, tokens_input=10, max_tokens_output=10, input_digest=digest) as hold:
        tracker.log_usage("openai", model, 10, 10, reservation=hold, input_digest=digest)


def test_one_that_is_reserved_again_and_again_is_denied(
    job_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with CostTracker(job_dir) as tracker:
        for _ in range(4):
            send(tracker)
        with pytest.raises(BudgetExceeded, match=r"gpt-4o was sent 4 times .* user 1 against repetition"):
            send(tracker)
        send(tracker, "another")
        send(tracker, model="gpt-4o-mini")
        with tracker.choose(
            ["openai/gpt-4o", "local/sumy"], tokens_input=1, max_tokens_output=1, input_digest="abc"
        ) as choice:
            assert choice.name == "local/sumy"
            tracker.log_usage("local", "sumy", reservation=choice.hold, input_digest="abc")
        with tracker.reserve(
            "openai", "gpt-4o", tokens_input=1, max_tokens_output=1, input_digest="abc", override="a test"
        ) as hold:
            hold.void()
    assert "was sent 3 times within 10 minutes; from 5 on it is denied" in caplog.text
    assert "budget check overridden by a test: the same request" in caplog.text
    with CostTracker(job_dir.parent / "job-2") as other:
        send(other)


def test_who_has_an_address_is_told_once_a_day(job_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[CostStorage] = []
    monkeypatch.setattr("shared.costs.notify.alerts.wake", woken.append)
    (job_dir.parents[1] / "profile.yaml").write_text(
        "budget: {guard: {same_request: 2}, notify: ['json://127.0.0.1:9']}\n"
    )
    with CostTracker(job_dir) as tracker:
        for digest in ("loop", "loop", "other", "loop", "loop"):
            with suppress(BudgetExceeded):
                send(tracker, digest)
        tracker.log_usage("openai", "gpt-4o", 10, 10, input_digest="loop")
        told = [each.notice for each in tracker._session.workspace.notices.waiting()]
    assert [(notice.level, notice.audience) for notice in told] == [("warning", "1"), ("critical", "1")]
    assert "gpt-4o was sent 2 times within 10 minutes" in told[0].text
    assert len(woken) == 2


def test_one_that_was_logged_counts_and_is_warned_of_but_is_recorded(
    job_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    answer = {"object": "chat.completion", "id": "c-1", "model": "gpt-4o", "usage": {}}
    caplog.set_level(logging.WARNING)
    with CostTracker(job_dir) as tracker:
        for number in range(5):
            reply = {**answer, "id": f"c-{number}", "usage": {"prompt_tokens": 9, "completion_tokens": 1}}
            tracker.log_response(reply, input_digest="abc")
            tracker.log_response(reply, input_digest="abc")  # the same call, logged twice
            tracker.log_usage("local", "sumy", input_digest="abc")
        assert tracker.get_monthly_summary()["total_calls"] == 10
        with pytest.raises(BudgetExceeded, match="sent 4 times"):
            send(tracker)
    assert [record.levelname for record in caplog.records] == ["WARNING", "CRITICAL"]
    assert "sent 5 times within 10 minutes, more than the 4 of the guard of user 1" in caplog.text


def test_processes_of_a_job_are_counted_together(job_dir: Path) -> None:
    code = """
import sys
from shared.cost_tracker import BudgetExceeded, CostTracker
with CostTracker(sys.argv[1]) as tracker:
    try:
        for _ in range(2):
            with tracker.reserve("openai", "gpt-4o", max_tokens_output=9, input_digest="abc") as hold:
                tracker.log_usage("openai", "gpt-4o", 9, 9, reservation=hold)
    except BudgetExceeded:
        print("denied")
"""
    said = [
        subprocess.run([sys.executable, "-c", code, job_dir], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    assert [each.stdout for each in said] == ["", "", "denied\n"]


def test_what_the_budget_denies_was_not_sent(job_dir: Path, tmp_path: Path) -> None:
    profile = "budget: {guard: {same_request: 2}, monthly_limit_usd: 0, block_at_limit: true}\n"
    (tmp_path / "profile.yaml").write_text(profile)
    with CostTracker(job_dir) as tracker:
        for _ in range(4):
            with pytest.raises(BudgetExceeded, match="monthly limit"):
                send(tracker)


def test_what_is_certain_not_to_be_sent_is_not_counted(job_dir: Path, tmp_path: Path) -> None:
    with CostTracker(job_dir) as tracker:
        for _ in range(9):
            with tracker.reserve("openai", "gpt-4o", max_tokens_output=1, input_digest="abc") as hold:
                hold.void()
    (tmp_path / "profile.yaml").write_text("budget: {guard: {same_request: 4, usd_per_minute: 0.01}}\n")
    call = WrappedCall(
        Method("openai.resources.chat.completions", "Completions.create"), None, (), {"model": "gpt-4o"}
    )
    with CostTracker(job_dir) as tracker:
        holding = Holding(lambda: tracker._session, None, lambda *_: 0.0)
        for _ in range(9):
            refused = OSError("rate limited")
            refused.status_code = 429  # type: ignore[attr-defined]  # as the SDKs' errors have it
            holding.before(call).failed(refused)
        tracker.log_usage("openai", "gpt-4o", 4000, 100)
        for _ in range(9):
            with pytest.raises(BudgetExceeded, match="within the last minute"):
                holding.before(call)


def test_a_storage_that_cannot_be_used_stops_no_call_that_says_what_it_sends(
    job_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with CostTracker(job_dir) as tracker:
        storage = tracker._session.workspace.storage
        storage.prepare()
        storage.state_path.symlink_to(tmp_path / "elsewhere")
        send(tracker)
    assert "repetitions of a request cannot be counted" in caplog.text


@pytest.fixture
def requests(tmp_path: Path) -> LocalRequests:
    storage = CostStorage(tmp_path / "costs")
    storage.prepare()
    return LocalRequests(Store.of(storage).state)


def test_what_was_sent_ten_minutes_ago_or_in_the_future_is_forgotten(requests: LocalRequests) -> None:
    now, bound = [NOW], RepeatLimit("ana", 2)
    repetitions = RepetitionGuard(requests, lambda: now[0], lambda *_: None)

    def is_denied() -> bool:
        try:
            repetitions.sending(bound, "x", "m")
        except BudgetExceeded:
            return True
        return False

    assert [is_denied() for _ in range(3)] == [False, False, True]
    repetitions.unsent("x")
    assert [is_denied() for _ in range(2)] == [False, True]
    for step in (timedelta(minutes=10), timedelta(days=-400)):
        now[0] += step
        assert [is_denied() for _ in range(3)] == [False, False, True]


def test_where_it_cannot_be_counted_the_call_goes_on(
    requests: LocalRequests, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> int:
        raise StorageUnavailable("the disk is gone")

    monkeypatch.setattr(requests, "send", fail)
    RepetitionGuard(requests, lambda: NOW, lambda *_: None).sending(RepeatLimit(None, 1), "x", "m")
    assert "cannot be counted: the disk is gone" in caplog.text


@pytest.mark.parametrize(
    ("profile", "bound"),
    [
        ("budget: {guard: {same_request: 9}}", RepeatLimit("ana", 9)),
        ("organization: {guard: {same_request: 9}}", RepeatLimit(None, 9)),
        (
            "budget: {guard: {same_request: 9}}\norganization: {guard: {same_request: 3}}",
            RepeatLimit(None, 3),
        ),
        ("budget: {guard: {usd_per_minute: 9}}", None),
    ],
)
def test_the_strictest_guard_counts(tmp_path: Path, profile: str, bound: RepeatLimit | None) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text(profile + "\n")
    assert bound_of(load_profile(path), "ana") == bound


def test_a_captured_call_waits_where_the_last_minute_used_the_guard_up(job_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "profile.yaml").write_text("budget: {guard: {usd_per_minute: 0.01}}\n")
    method = Method("openai.resources.chat.completions", "Completions.create")
    call = WrappedCall(method, None, (), {"model": "gpt-4o"})
    with CostTracker(job_dir) as tracker:
        holding = Holding(lambda: tracker._session, None, lambda *_: 0.0)
        holding.before(call)
        tracker.log_usage("openai", "gpt-4o", 4000, 100)
        with pytest.raises(BudgetExceeded, match=r"\$0.0110 was spent within the last minute.* \$0.0100"):
            holding.before(call)
