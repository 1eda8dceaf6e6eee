"""Jobs start only where the budget can finish them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pipeline.admission import Admissions, Kept, NoRoom
from pipeline.job import Job, Media, create_job

from shared.cost_tracker import BudgetExceeded, CostTracker
from shared.costs.tracking.reserving import WITHIN_VARIABLE

STAGES = ("06_asr", "13_summary")
SECONDS = 600.0
TOKENS = 200_000
"""Of each stage; at $2.50 a million $0.50, and $1 a job."""
ENVIRONMENT = threading.Lock()
"""Held while the environment is that of one job: others are admitted in threads meanwhile."""


@pytest.fixture
def limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A history of jobs at a dollar each, and a budget that blocks at $3.60."""
    path = tmp_path / "profile.yaml"
    path.write_text("budget: {monthly_limit_usd: 3.60, block_at_limit: true}\n")
    before = datetime.now(UTC) - timedelta(days=62)
    for number in range(4):
        with CostTracker(tmp_path / f"earlier-{number}") as tracker:
            for stage in STAGES:
                heard = SECONDS if stage == STAGES[0] else 0.0
                tracker.log_usage(
                    "openai", "gpt-4o", TOKENS, stage=stage, timestamp=before, metadata={"minutes": heard}
                )
            tracker.log_usage("local", "sphinx", stage=STAGES[0], audio_seconds=SECONDS, timestamp=before)
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(path))


def spend(job: Path, stage: str, environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a stage's call, within what is kept for its job."""
    with ENVIRONMENT:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        with CostTracker(job) as tracker:
            reserving = tracker.reserve("openai", "gpt-4o", tokens_input=TOKENS, max_tokens_output=0)
            with reserving as hold:
                tracker.log_usage("openai", "gpt-4o", TOKENS, stage=stage, reservation=hold)
        monkeypatch.delenv(WITHIN_VARIABLE, raising=False)


def test_jobs_of_years_ago_tell_only_where_there_are_no_others(tmp_path: Path) -> None:
    old, new = datetime(2024, 6, 1, tzinfo=UTC), datetime.now(UTC) - timedelta(days=62)
    for name, at, tokens, dollars in (("old", old, 1_800_000, 9.0), ("new", new, 400_000, 1.0)):
        with CostTracker(tmp_path / name) as tracker:
            tracker.log_usage("openai", "gpt-4o", tokens, stage="06_asr", timestamp=at, audio_seconds=SECONDS)
            found = tracker.estimate_job(("06_asr",), audio_seconds=SECONDS)
            assert found is not None
            assert (found.median, found.jobs) == (dollars, 1)


def test_an_estimate_is_what_earlier_jobs_took(limit: None, tmp_path: Path) -> None:
    with CostTracker(tmp_path / "job") as tracker:
        found = tracker.estimate_job(STAGES, audio_seconds=SECONDS * 2)
        assert found is not None
        assert (found.median, found.ninety, found.most, found.jobs) == (2.0, 2.0, 2.5, 4)
        one = tracker.estimate_job(STAGES[:1], tokens_input=TOKENS)
        assert one is not None
        assert one.median == 0.5
        assert tracker.estimate_job(["99_other"], audio_seconds=60) is None


def test_a_job_spends_within_what_is_kept_for_it(
    limit: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with CostTracker(tmp_path / "job") as tracker, CostTracker(tmp_path / "other") as other:
        room = tracker.admit(3.4)
        with pytest.raises(BudgetExceeded, match=r"3\.4000 held"):
            other.admit(0.5)
        spend(tmp_path / "job", STAGES[0], room.environ, monkeypatch)
        room.lower(2.4)
        other.admit(0.5).close()
        room.lower(3.4)  # it only becomes less
        assert other.can_make_api_call(0.7)[0]
        assert not other.can_make_api_call(0.8)[0]
        room.close()
        assert other.can_make_api_call(3.0)[0]


def test_what_is_kept_is_less_by_what_is_held_and_spent_within_it(
    limit: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with CostTracker(tmp_path / "job") as tracker, CostTracker(tmp_path / "other") as other:
        room = tracker.admit(3.0)
        for name, value in room.environ.items():
            monkeypatch.setenv(name, value)
        with CostTracker(tmp_path / "job") as stage:
            monkeypatch.delenv(WITHIN_VARIABLE)

            def others_have_the_rest() -> bool:
                return other.can_make_api_call(0.6)[0] and not other.can_make_api_call(0.61)[0]

            assert others_have_the_rest()
            monkeypatch.setenv(WITHIN_VARIABLE, room.environ[WITHIN_VARIABLE])
            with stage.reserve("openai", "gpt-4o", tokens_input=TOKENS, max_tokens_output=0) as hold:
                assert others_have_the_rest()  # while it is held,
                stage.log_usage("openai", "gpt-4o", TOKENS // 2, stage=STAGES[0], reservation=hold)
                assert others_have_the_rest()  # once a part is spent,
            assert others_have_the_rest()  # and once the rest was given back
        room.lower(1.0)
        assert other.can_make_api_call(2.35)[0]
        assert not other.can_make_api_call(2.36)[0]
        room.close()


def test_what_is_kept_ends_with_its_process(limit: None, tmp_path: Path) -> None:
    program = (
        "import os; from shared.cost_tracker import CostTracker\n"
        f"CostTracker({str(tmp_path / 'job')!r}).admit(3.4); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    with CostTracker(tmp_path / "job") as tracker:
        tracker.admit(3.4).close()


class TrackedBudget:
    """The budget of one job, as the batch runner asks for it."""

    def __init__(self, job: Job) -> None:
        self.tracker = CostTracker(job.path)

    def most(self, stages: Sequence[str]) -> float | None:
        found = self.tracker.estimate_job(stages, audio_seconds=SECONDS)
        return found.most if found else None

    def keep(self, stages: Sequence[str]) -> Kept:
        try:
            with ENVIRONMENT:
                return self.tracker.admit(self.most(stages) or 0.0)
        except BudgetExceeded as denied:
            raise NoRoom(str(denied)) from denied

    def close(self) -> None:
        self.tracker.close()


def test_of_eight_jobs_three_have_room_and_three_run(
    limit: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = []
    for number in range(8):
        (tmp_path / f"job-{number}").mkdir()
        jobs.append(create_job(tmp_path / f"job-{number}", Media("x.wav", 1, str(number)), "1"))
    ran: list[str] = []

    async def run(job: Job, admissions: Admissions, turn: asyncio.Semaphore) -> None:
        async with turn:
            room = await admissions.admitted(job, STAGES)
            if room is None:
                return
            for stage in STAGES:
                spend(job.path, stage, room.environ, monkeypatch)
                await admissions.done(room, stage)
            await admissions.ended(room)
            ran.append(job.id)

    async def all_of_them() -> dict[str, str]:
        admissions, turn = Admissions(TrackedBudget), asyncio.Semaphore(3)
        async with asyncio.TaskGroup() as tasks:
            for job in jobs:
                tasks.create_task(run(job, admissions, turn))
        return admissions.refused

    refused = asyncio.run(all_of_them())
    assert len(ran) == 3
    assert sorted([*ran, *refused]) == [job.id for job in jobs]
    assert all("does not fit into the monthly limit of user 1" in why for why in refused.values())
    with CostTracker(tmp_path / "look") as tracker:
        assert tracker.get_monthly_cost() == 3.0
        assert tracker._session.workspace.gate.holds() == []


def test_room_counts_with_its_stages_against_limits_on_those(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text(
        "budget: {monthly_limit_usd: 9, block_at_limit: true, tag_limits_usd: {heard: 1.5},"
        " stage_limits_usd: {13_summary: 0.7}}\n"
        "tag_rules: [{tag: heard, stage: 06_asr}]\n"
    )
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(path))
    parts = dict.fromkeys(STAGES, 0.6)
    trackers = [CostTracker(tmp_path / f"job-{number}") for number in range(3)]
    first, second, third = trackers
    rooms = [first.admit(1.2, parts), second.admit(1.2, parts)]
    with pytest.raises(BudgetExceeded, match=r"up to \$0\.6000 .* for tag heard: .* \$1\.2000 held"):
        third.admit(1.2, parts)
    model = ("openai", "gpt-4o")
    asked: dict[str, Any] = {"tokens_input": TOKENS, "max_tokens_output": 0}
    with pytest.raises(BudgetExceeded, match="for tag heard"):
        third.reserve(*model, **asked, stage=STAGES[0]).__enter__()
    with third.reserve(*model, **asked, stage=STAGES[1]) as hold:
        hold.void()
    monkeypatch.setenv(WITHIN_VARIABLE, rooms[0].environ[WITHIN_VARIABLE])
    with CostTracker(tmp_path / "job-0") as stage, stage.reserve(*model, **asked, stage=STAGES[0]) as hold:
        stage.log_usage(*model, TOKENS, stage=STAGES[0], reservation=hold)
    monkeypatch.delenv(WITHIN_VARIABLE)
    rooms[0].lower(0)
    third.admit(0.4, {STAGES[0]: 0.4}).close()
    with pytest.raises(BudgetExceeded, match="for stage 13_summary"):
        third.admit(0.8, {STAGES[1]: 0.8})
    for room in rooms:
        room.close()
    for tracker in trackers:
        tracker.close()
