"""``top-recordings``: what a minute of audio cost, recording by recording."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from shared.costs.model import Usage
from shared.costs.reports.questions import UserMonth
from shared.costs.reports.reader import Reader
from shared.costs.reports.top_recordings import recordings_facts, recordings_report
from shared.costs.workspace import Workspace
from tests.support.golden import check_report
from tests.support.history import busy_month, entry
from tests.support.saved import save

NOW = datetime(2026, 11, 22, 15, tzinfo=UTC)


def test_a_minute_counts_with_all_stages_and_every_attempt(tmp_path: Path, cost_home: Path) -> None:
    speech = Usage(audio_seconds=120)
    calls = [
        entry("0.02", id="a1", job_id="job-a", model="whisper-1", usage=speech),
        entry("0.02", id="a2", job_id="job-a", model="whisper-1", usage=speech, attempt=2),
        entry("0.10", id="b1", job_id="job-b", model="whisper-1", usage=speech),
        entry("0.06", id="b2", job_id="job-b"),
        entry("9.00", id="c1", job_id="job-c"),
    ]
    with Workspace(cost_home, clock=lambda: NOW) as workspace:
        workspace.storage.prepare()
        save(calls, tmp_path / "out", workspace)
        facts = recordings_facts(Reader(workspace), UserMonth())
    assert [(one.job_id, one.per_minute) for one in facts.recordings] == [
        ("job-b", 80_000_000),
        ("job-a", 10_000_000),
    ]


def test_what_it_shows(tmp_path: Path, cost_home: Path) -> None:
    with Workspace(cost_home, clock=lambda: NOW) as workspace:
        workspace.storage.prepare()
        save(busy_month(), tmp_path / "out", workspace)
        facts = recordings_facts(Reader(workspace), UserMonth())
    check_report("top-recordings", recordings_report(facts))
