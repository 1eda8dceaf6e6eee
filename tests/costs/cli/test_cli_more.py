"""Budgets, analyses and upkeep end to end, on ledgers that the tracker wrote."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from shared.cost_tracker import CostTracker
from shared.costs.apps.serve.questions import names_of, question_of
from shared.costs.errors import WrongUsage
from shared.costs.ledger.spool import put
from shared.costs.reports.whatif import SPEC as WHATIF
from shared.costs.storage import CostStorage
from shared.costs.workspace import Workspace
from tests.costs.cli.cli_support import LEAVES_A_HOLD, PROGRAM, Dashboard, program
from tests.support.elapsed import PATIENCE_S

GPT_4O = 0.00675
WHISPER = 0.06
JOB = "job-20261006-rpatel-0001"


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A profile of this test's own, which every command finds."""
    path = tmp_path / "own" / "profile.yaml"
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(path))
    return path


def spend(jobs: Path, name: str = "job-now", user: str = "rpatel", minutes: int = 10) -> None:
    with CostTracker(jobs / name, user) as tracker:
        tracker.log_usage("openai", "whisper-1", audio_seconds=60 * minutes, stage="06_whisperx_asr")


# --- set-budget and check


def test_set_budget_writes_what_show_budget_reads(profile: Path, dashboard: Dashboard) -> None:
    first = dashboard("set-budget", "--monthly", "40", "--daily", "$5", "--alert-at", "50", "--block")
    assert (first.code, first.err) == (0, "")
    assert profile.read_text().startswith("#")  # the commented example
    own = ["--monthly", "7.5", "--model", "openai/gpt-4=1", "--timezone", "Asia/Kolkata"]
    dashboard("set-budget", "--user", "rpatel", *own)
    found = dashboard("show-budget", "--user", "rpatel", "--json").json()
    assert (found["limit_usd"], found["timezone"]) == (7.5, "Asia/Kolkata")
    assert {limit["scope"] for limit in found["limits"]} >= {
        "daily limit of user rpatel",
        "limit of user rpatel for model openai/gpt-4",
    }
    assert dashboard("show-budget", "--user", "2", "--json").json()["limit_usd"] == 40
    dashboard("set-budget", "--monthly", "none")
    assert dashboard("show-budget", "--user", "2", "--json").json()["limit_usd"] is None
    organization = dashboard("set-budget", "--organization", "--weekly", "9", "--json").json()
    assert organization["limits"][0]["per"] == "week"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--monthly", "lots"], "'lots' is not an amount in USD"),
        (["--monthly", "-1"], "negative"),
        (["--model", "gpt-4"], "is not NAME=USD"),
        (["--model", "gpt-4=x"], "'x' is not an amount"),
        ([], "nothing to change"),
        (["--user", "a", "--organization", "--daily", "1"], "exclude each other"),
    ],
)
def test_set_budget_refuses_what_makes_no_sense(
    arguments: list[str], message: str, profile: Path, dashboard: Dashboard
) -> None:
    ran = dashboard("set-budget", *arguments)
    assert ran.code == 2
    assert message in ran.err
    assert not profile.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "--user", ""],
        ["show-budget", "--profile", ""],
        ["show-job", ""],
        ["log", "--model", "gpt-4o", "--user", ""],
        ["log", "--model", "gpt-4o", "--job-dir", ""],
        ["batch", "submit", "requests.jsonl", "--job-dir", ""],
        ["rebuild-index", ""],
        ["rebuild-index", "--root", "out", "--root", ""],
        ["serve", "--allow-host", ""],
        ["whatif", "--budget", ""],
    ],
)
def test_nothing_is_refused_where_a_value_belongs(arguments: list[str], dashboard: Dashboard) -> None:
    # A variable that is not set: "$USER_ID". It would be about somebody else.
    ran = dashboard(*arguments)
    assert ran.code == 2
    assert "it is empty; give a value, or leave it out" in ran.err


def test_set_budget_refuses_an_unknown_zone(profile: Path, dashboard: Dashboard) -> None:
    ran = dashboard("set-budget", "--timezone", "Mars/Olympus")
    assert ran.code == 3
    assert "Mars/Olympus" in ran.err


def test_check_answers_with_its_exit_code(profile: Path, jobs: Path, dashboard: Dashboard) -> None:
    dashboard("set-budget", "--monthly", "0.07")
    assert dashboard("check", "--user", "rpatel").code == 0
    spend(jobs)  # $0.06 of $0.07
    assert dashboard("check", "--user", "rpatel").code == 0
    assert dashboard("check", "--user", "rpatel", "--strict").code == 1
    dashboard("set-budget", "--monthly", "0.06")
    over = dashboard("check", "--user", "rpatel", "--json")
    assert over.code == 1
    assert (over.json()["exit_code"], over.json()["result"]) == (1, "over")


def test_check_cannot_tell_with_a_refused_profile(profile: Path, dashboard: Dashboard) -> None:
    profile.parent.mkdir()
    profile.write_text("budget: {monthly_limit_usd: .nan}\n")
    assert dashboard("check").code == 3


def test_check_cannot_tell_from_damaged_ledgers(jobs: Path, dashboard: Dashboard) -> None:
    ledger = jobs / JOB / "cost_ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes().replace(b"pocketsphinx", b"pocketsphixx"))
    ran = dashboard("check", "--user", "rpatel", "--json")
    assert ran.code == 3
    assert ran.json()["incomplete"] == 1


def test_check_jobs(jobs: Path, dashboard: Dashboard) -> None:
    for number in range(4):
        spend(jobs, f"job-{number}", minutes=10)
    with CostTracker(jobs / "job-9", "rpatel") as tracker:
        tracker.log_usage("openai", "whisper-1", audio_seconds=60)
        tracker.log_usage("openai", "gpt-4o", 1_500, 300)
    ask = ["check", "--user", "rpatel", "--json"]
    assert dashboard(*ask, "--max-per-job", "0.06").code == 0
    assert dashboard(*ask, "--max-per-job", "0.05").code == 1
    assert dashboard(*ask, "--max-per-minute", "0.006", "--job", "job-1").code == 0
    assert dashboard(*ask, "--max-per-minute", "0.006").code == 1
    assert dashboard(*ask, "--max-increase", "10", "--job", "job-3").code in (0, 3)
    assert dashboard(*ask, "--max-per-job", "0.01", "--job", f"{jobs}/job-9/").code == 1
    assert dashboard("check", "--user", "rpatel", "--format", "md").out.startswith("# Check of rpatel")


def test_check_looks_at_a_job_of_another_user_and_of_an_earlier_month(
    jobs: Path, dashboard: Dashboard
) -> None:
    cost = dashboard("show-job", JOB, "--json").json()["total_cost"]  # of rpatel, in October
    too_dear = dashboard("check", "--job", JOB, "--max-per-job", f"{cost / 2:.6f}", "--json")
    assert too_dear.code == 1
    assert too_dear.json()["checks"][-1]["value_usd"] == pytest.approx(cost)
    assert dashboard("check", "--job", JOB, "--max-per-job", f"{2 * cost:.6f}").code == 0


def test_check_compares_a_job_with_those_that_ended_before_it(jobs: Path, dashboard: Dashboard) -> None:
    for day, minutes in enumerate((10, 10, 10, 30, 90), 1):
        at = f"2026-0{8 + day // 4}-{day:02d}T10:00:00Z"  # two months, neither of them the present one
        with CostTracker(jobs / f"job-{day}", "ana") as tracker:
            tracker.log_usage("openai", "whisper-1", audio_seconds=60 * minutes, timestamp=at)
            tracker.log_usage("openai", "gpt-4o", 1_000 * minutes, timestamp=at)
    ask = ["check", "--user", "ana", "--max-increase", "50", "--json"]
    dearer = dashboard(*ask, "--job", "job-4")
    named = dearer.json()["checks"][-1]
    assert (dearer.code, named["result"], named["note"]) == (0, "ok", "job-4")  # by the minute, all alike
    few = dashboard(*ask, "--job", "job-3").json()
    assert few["checks"][-1]["note"] == "only 2 earlier jobs to compare with"


# --- analyses


def test_forecast_of_a_first_day(jobs: Path, dashboard: Dashboard) -> None:
    spend(jobs)
    found = dashboard("forecast", "--user", "rpatel", "--json").json()
    assert found["spent_usd"] == WHISPER
    assert found["projected_usd"] >= WHISPER
    assert found["limits"][0]["scope"] == "monthly limit of user rpatel"
    everyone = dashboard("forecast")
    assert everyone.code == 0
    assert everyone.out.startswith("Forecast, everyone")


@pytest.mark.parametrize("step", ["daily", "weekly", "monthly"])
def test_trend(step: str, jobs: Path, dashboard: Dashboard) -> None:
    october = ["--period", step, "--since", "2026-10-01", "--until", "2026-10-31", "--json"]
    found = dashboard("trend", *october).json()
    assert sum(period["cost_usd"] for period in found["periods"]) == pytest.approx(found["total_cost"])
    assert len(found["periods"]) == {"daily": 31, "weekly": 5, "monthly": 1}[step]
    lines = dashboard("trend", "--period", step, "--by", "model", "--json", "--since", "2026-10-01").json()[
        "lines"
    ]
    assert list(lines)[:2] == ["openai/whisper-1", "openai/gpt-4o"]
    assert dashboard("trend", "--period", step, "--by", "stage").code == 0


def test_days_to_come_are_no_days_of_nothing(
    tmp_path: Path, dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    wednesday = datetime(2026, 11, 25, 12, tzinfo=UTC)
    monkeypatch.setattr("shared.costs.apps.cli.app.Workspace", partial(Workspace, clock=lambda: wednesday))
    with CostTracker(tmp_path / "job", "rpatel") as tracker:
        tracker.log_usage("openai", "gpt-4o", 1_000, 200, timestamp="2026-11-24T10:00:00Z")
    week = dashboard("report", "--period", "weekly", "--json").json()["periods"]
    assert [day["period"] for day in week] == ["2026-11-23", "2026-11-24", "2026-11-25"]
    with CostTracker(tmp_path / "job", "rpatel") as tracker:  # by a clock that is ahead
        tracker.log_usage("openai", "gpt-4o", 1_000, 200, timestamp="2026-11-27T10:00:00Z")
    week = dashboard("report", "--period", "weekly", "--json").json()["periods"]
    assert [day["period"] for day in week][2:] == ["2026-11-25", "2026-11-26", "2026-11-27"]


def test_anomalies_find_the_job_that_went_wrong(jobs: Path, dashboard: Dashboard) -> None:
    for number in range(9):
        spend(jobs, f"job-{number}")
    spend(jobs, "job-odd", minutes=500)
    ran = dashboard("anomalies", "--json")
    assert [a["where"] for a in ran.json()["anomalies"]] == ["job-odd"]
    assert dashboard("anomalies", "--user", "nobody").code == 0


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("before", "after", "difference"),
    [
        ("2026-10-06", "2026-10-09", GPT_4O - GPT_4O - WHISPER),
        ("2026-10-06..2026-10-07", "2026-10-08", -GPT_4O - WHISPER),
        ("2026-09", "2026-10", 4 * GPT_4O + 3 * WHISPER),
        ("2026-W40", "2026-W41", 4 * GPT_4O + 3 * WHISPER),
        ("job-20261007-rpatel-0001", JOB, GPT_4O),
    ],
)
def test_explain(before: str, after: str, difference: float, jobs: Path, dashboard: Dashboard) -> None:
    found = dashboard("explain", before, after, "--json").json()
    assert found["difference_usd"] == pytest.approx(difference)
    assert sum(found["by_reason"].values()) == pytest.approx(difference)
    assert dashboard("explain", before, after).code == 0


def test_explain_names_what_is_wrong_in_its_own_jobs(jobs: Path, dashboard: Dashboard) -> None:
    ledger = jobs / JOB / "cost_ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes().replace(b"pocketsphinx", b"pocketsphixx"))
    for other, incomplete in (("job-20261007-rpatel-0001", 1), (JOB, 2)):
        assert dashboard("explain", other, JOB, "--json").json()["incomplete"] == incomplete
    sound = ("job-20261007-rpatel-0001", "job-20261008-2-0001")
    assert dashboard("explain", *sound, "--json").json()["incomplete"] == 0
    assert dashboard("explain", "2026-10-07", "2026-10-08", "--json").json()["incomplete"] == 1


def test_a_month_that_is_over_is_held_against_everyone_s_limit_of_that_month(
    profile: Path, jobs: Path, dashboard: Dashboard
) -> None:
    """In Kolkata October begins when it is still September in UTC, where everyone's months are."""
    dashboard("set-budget", "--organization", "--monthly", "9")
    dashboard("set-budget", "--user", "rpatel", "--timezone", "Asia/Kolkata")
    limits = dashboard("show-budget", "--user", "rpatel", "--month", "2026-10", "--json").json()["limits"]
    everyone = next(each for each in limits if each["scope"] == "monthly limit of the organization")
    assert (everyone["period"], everyone["spent_usd"]) == ("2026-10", pytest.approx(4 * GPT_4O + 3 * WHISPER))


@pytest.mark.parametrize("name", ["2026-13", "2026-W60", "2026-02-30", "2026-10-09..2026-10-01"])
def test_explain_refuses_what_is_no_period(name: str, dashboard: Dashboard) -> None:
    ran = dashboard("explain", name, "2026-10")
    assert ran.code == 2
    assert name in ran.err


def test_whatif(jobs: Path, dashboard: Dashboard) -> None:
    ask = ["whatif", "--month", "2026-10", "--json"]
    found = dashboard(*ask, "--swap", "openai/gpt-4o=openai/gpt-4o-mini").json()
    mini = (1_500 * 0.15 + 300 * 0.60) / 1e6
    assert found["difference_usd"] == pytest.approx(4 * (mini - GPT_4O))
    batch = dashboard(*ask, "--swap", "openai/gpt-4o=openai/gpt-4o", "--tier", "batch").json()
    assert batch["difference_usd"] == pytest.approx(-2 * GPT_4O)
    assert dashboard("whatif", "--swap", "gpt-4o=gpt-4").code == 2
    nothing = dashboard("whatif", "--swap", "x/y=openai/gpt-4o", "--month", "2026-10")
    assert "No call to x/y" in nothing.out


def test_whatif_tries_a_budget(jobs: Path, profile: Path, tmp_path: Path, dashboard: Dashboard) -> None:
    file = tmp_path / "stricter.yaml"
    file.write_text("budget: {monthly_limit_usd: 0.07, block_at_limit: true}\n")
    ask = ["whatif", "--budget", str(file), "--json"]
    ran = dashboard(*ask, "--month", "2026-10")
    found = ran.json()
    assert (ran.code, found["denied_calls"], found["denied_usd"]) == (
        0,
        4,
        pytest.approx(WHISPER + 2 * GPT_4O),
    )
    assert [limit["owner"] for limit in found["limits"] if limit["denied_calls"]] == ["rpatel"]
    wider = dashboard(*ask, "--months", "1200").json()
    assert wider["calls"] >= found["calls"]
    assert dashboard(*ask, "--month", "2020-01").json()["limits"] == []
    text = dashboard("whatif", "--budget", file, "--month", "2020-01").out
    assert "No call counts against a limit" in text
    profile.parent.mkdir()
    profile.write_text("nonsense: 1\n")  # the profile in force does not matter, unless prices lie beside it
    assert dashboard(*ask, "--month", "2026-10").json()["denied_calls"] == 4


def test_whatif_says_what_a_budget_cannot_be_tried_on(
    jobs: Path, tmp_path: Path, dashboard: Dashboard
) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text("budget:\n  guard: {same_request: 3}\n  daily_limit_usd: 0.01\n")
    out = dashboard("whatif", "--budget", file, "--month", "2026-10").out
    assert "No limit blocks" in out
    assert "guard.same_request cannot be tried" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "give --swap FROM=TO to try a model, or --budget FILE"),
        (["--budget", "FILE", "--swap", "a/b=c/d"], 2, "one of them"),
        (["--budget", "FILE", "--months", "2", "--days", "3"], 2, "give --months or another period"),
        (["--budget", "FILE", "--stage", "asr", "--tier", "batch"], 2, "leave out --stage, --tier"),
        (["--budget", "nowhere.yaml"], 3, "nowhere.yaml: the file cannot be read"),
        (["--budget", "FILE"], 3, "odd.yaml:2: budget.monthly_limit_usd: lots is not"),
    ],
)
def test_whatif_refuses_what_it_cannot_try(
    arguments: list[str], code: int, message: str, tmp_path: Path, dashboard: Dashboard
) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text("budget:\n  monthly_limit_usd: lots\n")
    ran = dashboard("whatif", *(str(file) if each == "FILE" else each for each in arguments))
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err


def test_no_page_reads_a_file_that_an_address_names() -> None:
    assert "months" in names_of(WHATIF)
    assert "budget" not in names_of(WHATIF)
    with pytest.raises(WrongUsage, match="'budget' is not a value"):
        question_of(WHATIF, [("budget", "/etc/passwd")])
    assert question_of(WHATIF, [("swap", "a/b=c/d"), ("months", "2")]).calls.span.last == ("monthly", 2)


# --- upkeep


def test_rebuild_index_gives_the_same_sums(jobs: Path, dashboard: Dashboard) -> None:
    before = dashboard("show-monthly", "--month", "2026-10", "--json").json()
    ran = dashboard("rebuild-index", "--json")
    assert (ran.code, ran.json()["entries"], ran.json()["ledgers"]) == (0, 11, 3)
    assert dashboard("show-monthly", "--month", "2026-10", "--json").json() == before


def test_one_ledger_is_rebuilt_alone(jobs: Path, tmp_path: Path, dashboard: Dashboard) -> None:
    """Also one that the storage has never seen."""
    elsewhere: list[str | Path] = ["--cost-storage", tmp_path / "elsewhere", "--json"]
    ran = dashboard("rebuild-index", *sorted(jobs.iterdir()), *elsewhere)
    assert (ran.code, ran.json()["entries"], ran.json()["ledgers"]) == (0, 11, 3)
    month: list[str | Path] = ["show-monthly", "--month", "2026-10", "--json"]
    assert dashboard(*month, *elsewhere).json() == dashboard(*month).json()
    (tmp_path / "no ledger.csv").write_text("day,cost\n2026-11-01,5\n")
    other = dashboard("rebuild-index", tmp_path / "no ledger.csv", "--json")
    assert (other.code, other.json()["unread"][0]["why"]) == (
        1,
        "no line of it is an entry, so it does not count as a ledger",
    )
    assert dashboard("verify").code == 0
    missing = dashboard("rebuild-index", jobs / "no-job", "--json")
    assert (missing.code, missing.json()["unread"][0]["why"]) == (1, "there is no such file")
    assert dashboard("rebuild-index", jobs / JOB, "--root", jobs).code == 2


def test_two_rebuilds_at_once_both_give_the_same_sums(jobs: Path, dashboard: Dashboard) -> None:
    before = dashboard("show-monthly", "--month", "2026-10", "--json").json()
    command = [sys.executable, str(PROGRAM), "rebuild-index", "--json"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    found = [json.loads(process.communicate()[0])["entries"] for process in running]
    assert (found, [process.returncode for process in running]) == ([11, 11], [0, 0])
    assert dashboard("show-monthly", "--month", "2026-10", "--json").json() == before


def test_a_lost_cost_storage_is_found_again(jobs: Path, cost_home: Path, dashboard: Dashboard) -> None:
    shutil.rmtree(cost_home)
    assert dashboard("show-monthly", "--month", "2026-10", "--json").json()["total_calls"] == 0
    assert dashboard("rebuild-index", "--root", jobs, "--json").json()["added"] == 3
    assert dashboard("show-monthly", "--month", "2026-10", "--json").json()["total_calls"] == 11


def test_doctor_is_well_and_unwell(jobs: Path, cost_home: Path, dashboard: Dashboard) -> None:
    well = dashboard("doctor")
    assert (well.code, well.out.splitlines()[0]) == (0, "No problems")
    ledger = jobs / JOB / "cost_ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes().replace(b"pocketsphinx", b"pocketsphixx"))
    cost_home.chmod(0o755)
    ran = dashboard("doctor", "--json")
    assert ran.code == 1
    wrong = {finding["what"] for finding in ran.json()["findings"] if finding["state"] == "wrong"}
    assert wrong == {"ledger", "permissions"}
    notes = {finding["what"] for finding in ran.json()["findings"] if finding["state"] == "note"}
    # What the damaged line cost still counts. Prices grow stale with the years.
    assert notes - {"stale prices"} == {"unpriced", "ledgers"}


def test_doctor_says_what_is_wrong_with_profile_and_prices(profile: Path, dashboard: Dashboard) -> None:
    missing = dashboard("doctor")
    assert missing.code == 1
    assert "is not there" in missing.out
    profile.parent.mkdir()
    profile.write_text("budget: {monthly: 5}\n")
    profile.with_name("prices.yaml").write_text("models: 5\n")
    wrong = {f["what"] for f in dashboard("doctor", "--json").json()["findings"] if f["state"] == "wrong"}
    assert {"profile", "prices"} <= wrong


def test_reservations_and_calls_without_one(profile: Path, jobs: Path, dashboard: Dashboard) -> None:
    dashboard("set-budget", "--monthly", "5", "--block", "--user", "rpatel")
    spend(jobs)
    tracker = CostTracker(jobs / "job-held", "rpatel")
    hold = tracker.reserve("openai", "gpt-4o", tokens_input=1_000, max_tokens_output=1_000)
    hold.__enter__()
    try:
        listed = dashboard("reservations", "--json").json()
        assert [held["model"] for held in listed["reservations"]] == ["gpt-4o"]
        found = dashboard("show-budget", "--user", "rpatel", "--json").json()
        assert found["reserved_usd"] == pytest.approx(0.0125)
        assert (found["live_reservations"], found["unreserved_calls"]) == (1, 1)
        assert dashboard("reservations", "release", "--json").json()["reservations"] == []  # it is live
        released = dashboard("reservations", "release", "--also-live", "--json").json()
        assert released["held_usd"] == pytest.approx(0.0125)
        assert dashboard("reservations", "--json").json()["held_usd"] == 0
    finally:
        tracker.close()
    assert "1 call of user rpatel this month, under a blocking limit" in dashboard("doctor", "--json").out
    assert dashboard("reservations", "release", "no-such").code == 2
    assert dashboard("reservations", "list", "--also-live").code == 2


def test_long_work_shows_progress_only_on_a_terminal(jobs: Path) -> None:
    leader, follower = pty.openpty()
    export = [sys.executable, str(PROGRAM), "export", "csv", "-"]
    done = subprocess.run(export, stdout=subprocess.PIPE, stderr=follower, check=False)
    os.close(follower)
    shown = os.read(leader, 65_536).decode()
    os.close(leader)
    assert done.returncode == 0
    assert "Exporting" in shown
    assert program("export", "csv", "-").err == "wrote 11 entries\n"


def test_watch_shows_it_anew_until_interrupted(jobs: Path) -> None:
    leader, follower = pty.openpty()
    command = [sys.executable, str(PROGRAM), "show-budget", "--user", "rpatel", "--watch", "0.1"]
    with subprocess.Popen(command, stdout=follower, stderr=follower) as watching:
        os.close(follower)
        shown = b""
        while shown.count(b"Budget of rpatel") < 2:
            shown += os.read(leader, 65_536)
        spend(jobs, minutes=100)
        while b"$0.60 of" not in shown:
            shown += os.read(leader, 65_536)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(PATIENCE_S) == 130
    os.close(leader)
    assert shown.count(b"\x1b[2J") >= 2


def test_doctor_finds_what_waits_and_what_was_left_behind(
    profile: Path, jobs: Path, cost_home: Path, dashboard: Dashboard
) -> None:
    dashboard("set-budget", "--monthly", "5", "--block")
    subprocess.run([sys.executable, "-c", LEAVES_A_HOLD, jobs / "job-left"], check=True)
    spool = cost_home / "spool"
    waiting = CostStorage(cost_home)
    put(waiting, jobs / JOB / "cost_ledger.jsonl", b'{"v":1}\n', "0001")
    (spool / "0002.spooled").write_bytes(b"no header")
    found = {
        f["what"]: f["found"] for f in dashboard("doctor", "--json").json()["findings"] if f["state"] != "ok"
    }
    assert "1 entry waits" in found["spool"] or "is damaged" in found["spool"]
    assert found["reservations"] == "1 orphan still counted"


def test_doctor_goes_on_after_a_look_that_failed(
    jobs: Path, monkeypatch: pytest.MonkeyPatch, dashboard: Dashboard
) -> None:
    def unreadable(_: object) -> None:
        raise OSError("no such device")

    monkeypatch.setattr("shared.costs.reports.doctor.waiting", unreadable)
    findings = {f["what"]: f for f in dashboard("doctor", "--json").json()["findings"]}
    assert (findings["spool"]["state"], findings["spool"]["found"]) == ("wrong", "no such device")
    assert findings["reservations"]["state"] == "ok"


def test_doctor_counts_many_damaged_lines(jobs: Path, dashboard: Dashboard) -> None:
    ledger = jobs / JOB / "cost_ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes() + b"broken\n" * 12)
    found = [f["found"] for f in dashboard("doctor", "--json").json()["findings"] if f["what"] == "ledger"]
    assert (len(found), found[-1]) == (11, "2 more lines")


def test_check_with_a_forecast(profile: Path, jobs: Path, dashboard: Dashboard) -> None:
    dashboard("set-budget", "--monthly", "100")
    spend(jobs)
    found = dashboard("check", "--user", "rpatel", "--forecast", "--json").json()
    assert [check["check"] for check in found["checks"]] == ["month", "month, forecast"]


def test_export_within_dates(jobs: Path, dashboard: Dashboard) -> None:
    assert dashboard("export", "jsonl", "-", "--month", "2026-09").err == "wrote 0 entries\n"


def test_rebuild_refuses_a_root_that_is_no_directory(tmp_path: Path, dashboard: Dashboard) -> None:
    assert dashboard("rebuild-index", "--root", tmp_path / "nowhere").code == 2


def test_a_new_profile_lies_where_it_is_found(
    tmp_path: Path, cost_home: Path, monkeypatch: pytest.MonkeyPatch, dashboard: Dashboard
) -> None:
    monkeypatch.delenv("COST_TRACKER_PROFILE")
    monkeypatch.chdir(tmp_path)
    assert dashboard("set-budget", "--monthly", "9").code == 0
    assert (cost_home / "profile.yaml").exists()
    assert dashboard("show-budget", "--json").json()["limit_usd"] == 9


@pytest.mark.parametrize(
    "words",
    [
        ["explain", "2026-10", "2026-11"],
        ["whatif", "--swap", "openai/gpt-4o=openai/gpt-4o-mini", "--month", "2026-11"],
        ["whatif", "--budget", "stricter.yaml", "--since", "2026-11-01"],
        ["show-optimization", "--month", "2026-11"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_what_reads_calls_says_that_those_of_ledgers_that_are_gone_are_not_in_it(
    words: list[str], tmp_path: Path, dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("stricter.yaml").write_text("budget: {monthly_limit_usd: 1}")
    for job, day in (("kept", "2026-11-03"), ("cleared", "2026-11-04"), ("long ago", "2026-01-04")):
        with CostTracker(tmp_path / job) as tracker:
            tracker.log_usage("openai", "gpt-4o", 4_000_000, timestamp=f"{day}T12:00:00Z")
    assert "ledger is gone" not in dashboard(*words).out
    for job in ("cleared", "long ago"):
        shutil.rmtree(tmp_path / job)
    said = " ".join(dashboard(*words).out.split())
    assert "1 ledger is gone; its calls, $10.00 in all, are left out here." in said
    assert "2 ledgers are gone; their $20.00 counts." in " ".join(dashboard("show-monthly").out.split())
