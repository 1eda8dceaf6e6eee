"""``doctor`` looks and changes nothing; what it finds is told where the budgets are too."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.cost_tracker import CostTracker
from shared.costs.budgets.gate import GateRequest
from shared.costs.ledger.line import encode
from shared.costs.ledger.spool import put
from shared.costs.money import Nanos
from shared.costs.reports.doctor import doctor_facts
from shared.costs.reports.reader import Reader
from shared.costs.storage import CostStorage
from shared.costs.workspace import Workspace
from tests.costs.cli.cli_support import LEAVES_A_HOLD, Dashboard
from tests.costs.store.store_support import a_call

JOB = "job-20261006-rpatel-0001"


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A profile of this test's own, which every command finds."""
    path = tmp_path / "own" / "profile.yaml"
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(path))
    return path


def test_doctor_makes_no_cost_storage(cost_home: Path, profile: Path, dashboard: Dashboard) -> None:
    shutil.rmtree(cost_home)
    profile.parent.mkdir()
    profile.write_text("budget: {monthly: 5}\n")
    found = {f["what"]: f for f in dashboard("doctor", "--json").json()["findings"]}
    assert found["cost storage"]["found"] == f"{cost_home} is not there yet"
    assert found["profile"]["state"] == "wrong"
    assert not cost_home.exists()


def test_doctor_changes_nothing(jobs: Path, cost_home: Path, dashboard: Dashboard) -> None:
    """What is torn, waits or was left behind is told, and stays as it is."""
    ledger = jobs / JOB / "cost_ledger.jsonl"
    with ledger.open("ab") as file:
        file.write(b"torn")
    put(CostStorage(cost_home), ledger, b'{"v":1}\n', "0001")
    subprocess.run([sys.executable, "-c", LEAVES_A_HOLD, jobs / "job-left"], check=True)

    def seen() -> object:
        with sqlite3.connect(cost_home / "state.db") as db:
            tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            state = [db.execute(f"SELECT * FROM {table}").fetchall() for table in sorted(tables)]
        db.close()
        kept = [ledger, *sorted((cost_home / "spool").iterdir())]
        return state, [(path, path.read_bytes(), path.stat().st_mtime_ns) for path in kept]

    dashboard("doctor")  # lays the tables it reads
    before = seen()
    assert dashboard("doctor").code == 1
    assert seen() == before


def test_doctor_finds_a_wrong_clock_and_old_prices(cost_home: Path, jobs: Path, dashboard: Dashboard) -> None:
    ahead, back = datetime(2036, 3, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
    with Workspace(clock=lambda: ahead) as workspace:
        held = GateRequest(user_id="1", service="openai", model="gpt-4o", estimate=Nanos(1))
        workspace.gate.reserve(held, workspace.profile).void()
    CostTracker(jobs / JOB).log_usage("openai", "gpt-4o", 1000, 200, timestamp=ahead)
    with Workspace(clock=lambda: back) as workspace:
        found = [
            (f.what, f.state, f.found) for f in doctor_facts(Reader(workspace)).findings if f.state != "ok"
        ]
    assert ("clock", "wrong", "reservations count at 2036-03-01 00:00 UTC, which is yet to come") in found
    assert ("clock", "note", "1 call lies more than a day in the future") in found
    assert any(what == "stale prices" and "days ago" in text for what, _, text in found)
    assert dashboard("reservations", "reset-clock").err == "reservations count at the present again\n"
    assert dashboard("reservations", "reset-clock").err == "reservations count at the present\n"
    assert dashboard("reservations", "reset-clock", "0a").code == 2


def test_who_mended_what_reserves_has_the_names_forgotten_that_calls_had(
    jobs: Path, dashboard: Dashboard, tmp_path: Path
) -> None:
    limit = "budget: {block_at_limit: true, model_limits_usd: {openai/gpt-4: 4}}\n"
    (tmp_path / "limits.yaml").write_text(limit)
    tracker = CostTracker(jobs / JOB, profile_path=tmp_path / "limits.yaml")
    with tracker.reserve("openai", "gpt-4o-mini", tokens_input=1000, max_tokens_output=200) as hold:
        tracker.log_usage("openai", "gpt-4", 1000, 200, reservation=hold)
    told = "forgotten that calls were recorded with and not reserved for\n"
    assert dashboard("reservations", "forget").err == f"1 name {told}"
    assert dashboard("reservations", "forget").err == f"0 names {told}"
    assert dashboard("reservations", "forget", "0a").code == 2


def test_doctor_tells_of_open_and_of_moved_ledgers(jobs: Path, dashboard: Dashboard) -> None:
    dashboard("show-budget")
    (jobs / JOB / "cost_ledger.jsonl").chmod(0o644)
    gone = next(path for path in jobs.iterdir() if path.name != JOB)
    gone.rename(jobs.parent / "archived")
    found = {f["what"]: f for f in dashboard("doctor", "--json").json()["findings"]}
    assert found["permissions"]["remedy"] == f"chmod go-rwx {jobs / JOB / 'cost_ledger.jsonl'}"
    assert found["ledgers"]["state"] == "note"
    assert found["ledgers"]["found"].startswith(f"{gone}/cost_ledger.jsonl was deleted or moved away; its $")


@pytest.mark.parametrize("left", [0, 2])
def test_a_job_that_was_cleared_or_cut_shows_what_was_counted_of_it(
    jobs: Path, dashboard: Dashboard, left: int
) -> None:
    before = dashboard("show-job", JOB, "--json").json()
    assert dashboard("explain", JOB, JOB).code == 0
    ledger = jobs / JOB / "cost_ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.unlink()
    if left:
        ledger.touch(0o600)
        ledger.write_bytes(b"".join(lines[:left]))
    after = dashboard("show-job", JOB, "--json").json()
    same = ("total_cost", "calls", "by_stage", "by_model", "unpriced_calls", "users")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert "this is what was counted of them" in dashboard("show-job", JOB).out
    assert dashboard("check", "--job", JOB, "--max-per-job", "0.0001").code == 1
    said = " ".join(dashboard("explain", JOB, JOB).out.split())
    assert "its sums are kept, its entries cannot be shown" in said


def test_what_waits_outside_its_ledger_is_told_with_every_budget(
    profile: Path, jobs: Path, cost_home: Path, dashboard: Dashboard
) -> None:
    dashboard("set-budget", "--monthly", "100")
    assert dashboard("check").code == 0
    spent = dashboard("show-budget", "--json").json()["spent_usd"]
    line = encode(a_call(10**9, id="0001", timestamp=datetime.now(UTC), job_id=JOB))
    put(CostStorage(cost_home), jobs / JOB / "cost_ledger.jsonl", line, "0001")
    said = "cost tracking degraded: 1 entry waits outside its ledger and counts already"
    assert said in " ".join(dashboard("show-budget").out.split())
    assert dashboard("show-budget", "--json").json()["spent_usd"] == spent + 1
    assert dashboard("check").code == 0
    unread = put(CostStorage(cost_home), jobs / JOB / "cost_ledger.jsonl", b'{"v":1}\n', "0002")
    assert f"{unread} waits in the spool and cannot be read" in " ".join(dashboard("show-budget").out.split())
    assert dashboard("show-budget", "--json").json()["incomplete"] == 1
    assert dashboard("check").code == 3
    assert dashboard("verify", "--json").json()["unread"] == [
        {"ledger": str(unread), "why": "waits in the spool and cannot be read"}
    ]
