"""The views end to end: real calls, real ledgers, the words and numbers people get."""

from __future__ import annotations

import json
import shlex
import stat
from pathlib import Path

import pytest

from shared.cost_tracker import CostTracker
from tests.costs.cli.cli_support import OCTOBER, Dashboard, program

GPT_4O = 0.00675  # 1,500 in and 300 out
WHISPER = 0.06  # ten minutes
TOTAL = 4 * GPT_4O + 3 * WHISPER


def test_show_monthly_json_is_the_summary(jobs: Path, dashboard: Dashboard) -> None:
    found = dashboard("show-monthly", "--month", "2026-10", "--json").json()
    assert found["month"] == "2026-10"
    assert found["user_id"] is None
    assert found["total_cost"] == pytest.approx(TOTAL, abs=1e-12)
    assert found["total_calls"] == 11
    assert found["unique_jobs"] == 3
    assert found["avg_cost_per_job"] == pytest.approx(TOTAL / 3, abs=1e-9)
    assert found["by_model"]["openai/gpt-4o"] == pytest.approx(4 * GPT_4O)
    assert found["by_service"]["local"] == 0
    assert found["by_stage"]["06_whisperx_asr"] == pytest.approx(3 * WHISPER)
    assert found["by_operation"]["summary"] == pytest.approx(3 * GPT_4O)
    assert found["unpriced_calls"] == 1
    assert found["by_user"]["2"] == pytest.approx(GPT_4O + WHISPER)


def test_show_budget_json_is_the_contract(jobs: Path, dashboard: Dashboard) -> None:
    found = dashboard("show-budget", "--user", "rpatel", "--month", "2026-10", "--json").json()
    spent = 3 * GPT_4O + 2 * WHISPER
    assert list(found)[:12] == [
        "user_id",
        "month",
        "limit_usd",
        "spent_usd",
        "reserved_usd",
        "remaining_usd",
        "percent_used",
        "daily_average_usd",
        "projected_usd",
        "status",
        "alerts",
        "unpriced_calls",
    ]
    assert found["spent_usd"] == pytest.approx(spent)
    assert found["remaining_usd"] == pytest.approx(50 - spent)
    assert found["projected_usd"] == pytest.approx(spent)  # the month is over
    assert (found["status"], found["alerts"], found["unpriced_calls"]) == ("ok", [], 1)


def test_show_job_json_is_the_contract(jobs: Path, dashboard: Dashboard) -> None:
    found = dashboard("show-job", "job-20261006-rpatel-0001", "--json").json()
    assert found["job_id"] == "job-20261006-rpatel-0001"
    assert found["total_cost"] == pytest.approx(2 * GPT_4O + WHISPER)
    assert found["by_stage"] == {
        "06_whisperx_asr": pytest.approx(WHISPER),
        "13_ai_summarization": pytest.approx(2 * GPT_4O),
    }
    assert found["by_model"]["openai/whisper-1"] == pytest.approx(WHISPER)
    assert (found["calls"], found["unpriced_calls"]) == (5, 1)
    assert found["stages"]["13_ai_summarization"]["attempts"] == 2


def test_a_job_of_two_users_and_months_is_the_part_that_each_paid_then(
    jobs: Path, dashboard: Dashboard
) -> None:
    for user, at in (
        ("ana", "2026-10-31T10:00Z"),
        ("ana", "2026-11-01T10:00Z"),
        ("kim", "2026-11-02T10:00Z"),
    ):
        with CostTracker(jobs / "job-long", user) as tracker:
            tracker.log_usage("openai", "gpt-4o", 1_500, 300, timestamp=at)
    found = dashboard("show-job", "job-long", "--json").json()
    assert found["total_cost"] == pytest.approx(3 * GPT_4O)
    assert (found["month"]["user_id"], found["month"]["month"]) == ("ana", "2026-11")
    assert found["month"]["part_usd"] == found["month"]["spent_usd"] == GPT_4O


def test_show_job_by_id_and_by_directory_is_the_same(jobs: Path, dashboard: Dashboard) -> None:
    name = "job-20261006-rpatel-0001"
    by_id = dashboard("show-job", name)
    assert by_id.code == 0
    assert dashboard("show-job", f"{jobs}/{name}/").out == by_id.out
    (jobs / "latest").symlink_to(name)
    assert dashboard("show-job", f"{jobs}/latest").out == by_id.out


def test_an_unknown_job_names_the_nearest(jobs: Path, dashboard: Dashboard) -> None:
    ran = dashboard("show-job", "job-20261006-rpatl-0001")
    assert ran.code == 3
    assert "nearest: job-20261006-rpatel-0001" in ran.err
    assert dashboard("show-job", "zzz").code == 3


def test_a_part_of_an_id_is_not_an_id(jobs: Path, dashboard: Dashboard) -> None:
    ran = dashboard("show-job", "20261006")
    assert ran.code == 3
    assert "job-20261006-rpatel-0001" in ran.err


def test_two_jobs_of_one_name_are_listed(jobs: Path, tmp_path: Path, dashboard: Dashboard) -> None:
    with CostTracker(tmp_path / "elsewhere" / "job-20261006-rpatel-0001", "2") as tracker:
        tracker.log_usage("openai", "gpt-4o", 1_500, 300)
    ran = dashboard("show-job", "job-20261006-rpatel-0001")
    assert ran.code == 2
    assert str(jobs / "job-20261006-rpatel-0001") in ran.err
    assert str(tmp_path / "elsewhere" / "job-20261006-rpatel-0001") in ran.err


def test_a_ledger_of_another_storage_can_be_read(jobs: Path, tmp_path: Path, dashboard: Dashboard) -> None:
    job = jobs / "job-20261006-rpatel-0001"
    other = tmp_path / "other"
    ran = dashboard("show-job", f"{job}/", "--cost-storage", other, "--json")
    assert ran.json()["total_cost"] == pytest.approx(2 * GPT_4O + WHISPER)
    assert (
        dashboard("show-monthly", "--cost-storage", other, "--month", "2026-10", "--json").json()[
            "total_calls"
        ]
        == 0
    )


def test_a_damaged_line_is_said_everywhere(jobs: Path, dashboard: Dashboard) -> None:
    ledger = jobs / "job-20261006-rpatel-0001" / "cost_ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    lines[0] = lines[0].replace(b"pocketsphinx", b"pocketsphixx")
    ledger.write_bytes(b"".join(lines))
    for command in (
        ["show-monthly", "--month", "2026-10"],
        ["show-budget", "--user", "rpatel"],
        ["report", "--month", "2026-10"],
        ["show-job", "job-20261006-rpatel-0001"],
    ):
        ran = dashboard(*command)
        assert ran.code == 0
        assert "Incomplete: 1 ledger line is not counted" in ran.out
        assert dashboard(*command, "--json").json()["incomplete"] == 1


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("filters", "calls"),
    [
        (["--model", "gpt-4o"], 4),
        (["--model", "openai/gpt-4o"], 4),
        (["--service", "openai"], 7),
        (["--stage", "06_whisperx_asr"], 6),
        (["--category", "summary"], 3),
        (["--user", "2"], 3),
        (["--user-id", "2"], 3),
        (["--job", "job-20261006-rpatel-0001"], 5),
        (["--workflow", "subtitle"], 0),
        (["--service", "openai", "--user", "2"], 2),
    ],
)
def test_report_filters(filters: list[str], calls: int, jobs: Path, dashboard: Dashboard) -> None:
    assert dashboard("report", "--month", "2026-10", *filters, "--json").json()["total_calls"] == calls


@pytest.mark.parametrize(
    ("dates", "calls"),
    [
        (["--since", "2026-10-06", "--until", "2026-10-06"], 3),
        (["--start-date", "2026-10-07", "--end-date", "2026-10-08"], 6),
        (["--since", "2026-10-09", "--until", "2026-10-31"], 2),
        (["--until", "2026-10-31"], 11),
        (["--days", "1"], 0),
    ],
)
def test_report_dates(dates: list[str], calls: int, jobs: Path, dashboard: Dashboard) -> None:
    assert dashboard("report", *dates, "--json").json()["total_calls"] == calls


def test_presets(jobs: Path, dashboard: Dashboard) -> None:
    with CostTracker(jobs / "job-now", "rpatel") as tracker:
        tracker.log_usage("openai", "gpt-4o", 1_500, 300, operation="summary")
    status = dashboard("status", "--user", "rpatel", "--json").json()
    assert (status["total_calls"], status["limits"][0]["scope"]) == (1, "monthly limit of user rpatel")
    summary = dashboard("summary", "--json").json()
    assert len(summary["periods"]) == 7
    assert summary["periods"][-1]["calls"] == 1
    assert len(dashboard("summary", "--days", "90", "--json").json()["periods"]) in (13, 14)
    assert len(dashboard("stats", "--period", "monthly", "--json").json()["periods"]) == 12
    for command in ("status", "summary", "stats"):
        assert dashboard(command).code == 0


@pytest.mark.parametrize("command", ["show-budget", "status", "summary"])
def test_a_user_without_calls_is_told_who_has_some(command: str, jobs: Path, dashboard: Dashboard) -> None:
    with CostTracker(jobs / "job-now", "rpatel") as tracker:
        tracker.log_usage("openai", "gpt-4o", 1_500, 300)
    hint = "Calls of other users: rpatel; see them with --user."
    assert hint in dashboard(command, "--user", "nobody").out
    assert hint not in dashboard(command, "--user", "rpatel").out


@pytest.mark.parametrize(
    ("user", "model", "hint"), [("rpatel", "none-such", ""), ("2", "unheard-of-1", "users: rpatel; see")]
)
def test_only_users_with_calls_such_as_asked_for_are_named(
    user: str, model: str, hint: str, jobs: Path, dashboard: Dashboard
) -> None:
    out = dashboard("report", "--month", "2026-10", "--user", user, "--model", model).out
    assert hint in out
    assert ("Calls of other users" in out) == bool(hint)


def test_an_empty_history_is_no_failure(dashboard: Dashboard) -> None:
    for command in (
        "show-budget",
        "show-monthly",
        "status",
        "summary",
        "stats",
        "report",
        "show-optimization",
    ):
        ran = dashboard(command)
        assert (ran.code, ran.err) == (0, "")
        assert ran.out
        assert dashboard(command, "--json").json() is not None


def test_show_budget_names_other_users(jobs: Path, dashboard: Dashboard) -> None:
    ran = dashboard("show-budget", "--user", "nobody", "--month", "2026-10")
    assert "Calls of other users: rpatel, 2" in ran.out


def test_the_default_user_comes_from_the_environment(
    jobs: Path, dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COST_TRACKER_USER", "rpatel")
    assert dashboard("show-budget", "--month", "2026-10", "--json").json()["user_id"] == "rpatel"


def test_optimization_finds_three_kinds(jobs: Path, dashboard: Dashboard) -> None:
    found = dashboard("show-optimization", "--month", "2026-10", "--json").json()
    assert {"model", "batch", "local"} <= {option["kind"] for option in found["options"]}
    assert found["unpriced_calls"] == 1
    best = {(option["stage"], option["from"]) for option in found["best"]}
    assert len(best) == len(found["best"])
    assert found["saving_usd"] == pytest.approx(sum(option["saving_usd"] for option in found["best"]))
    assert found["saving_usd"] <= found["spent_usd"]


def test_the_check_of_one_users_saving_reprices_that_users_calls(jobs: Path, dashboard: Dashboard) -> None:
    ask = ["show-optimization", "--month", "2026-10", "--json"]
    with CostTracker(jobs / "job-other", "ana") as other:
        other.log_usage("openai", "gpt-4o", 9_000, stage="s", timestamp="2026-10-09T10:00:00Z")
    with CostTracker(jobs / "job-mine", "kim") as mine:
        mine.log_usage("openai", "gpt-4o", 1_000, 500, stage="s", timestamp="2026-10-09T10:00:00Z")
    options = dashboard(*ask, "--user", "kim").json()["options"]
    assert options
    for option in options:
        _, *command = shlex.split(option["check"])
        assert dashboard(*command, "--json").json()["difference_usd"] == -option["saving_usd"]


def test_log_by_hand(dashboard: Dashboard, tmp_path: Path) -> None:
    ran = dashboard(
        *("log", "--model", "gpt-4o", "--input-tokens", "1500", "--output-tokens", "300"),
        *("--category", "summary", "--description", "by hand", "--job-dir", tmp_path / "job-9", "--json"),
    )
    assert (ran.code, ran.json()["cost_usd"], ran.json()["service"]) == (0, GPT_4O, "openai")
    assert dashboard("show-job", "job-9", "--json").json()["total_cost"] == GPT_4O


def test_log_twice_with_a_request_id_counts_once(dashboard: Dashboard, tmp_path: Path) -> None:
    call = [
        "log",
        "--model",
        "gpt-4o",
        "--input-tokens",
        "1500",
        "--request-id",
        "r1",
        "--job-dir",
        str(tmp_path / "j"),
    ]
    assert dashboard(*call, "--json").json()["new"] is True
    again = dashboard(*call)
    assert "Already recorded: nothing was added" in again.out
    assert dashboard("show-job", "j", "--json").json()["calls"] == 1


def test_log_of_an_unknown_model_says_unpriced(dashboard: Dashboard, tmp_path: Path) -> None:
    ran = dashboard(
        "log", "--service", "acme", "--model", "x", "--input-tokens", "5", "--job-dir", tmp_path / "j"
    )
    assert ran.code == 0
    assert "unpriced" in ran.out


def test_log_without_a_job_goes_to_the_unassigned_ledger(dashboard: Dashboard) -> None:
    assert (
        dashboard("log", "--model", "gpt-4o", "--input-tokens", "1500", "--json").json()["job_id"]
        == "unassigned"
    )


def test_init_writes_what_can_be_read_and_leaves_what_is_there(tmp_path: Path, dashboard: Dashboard) -> None:
    config = tmp_path / "config"
    ran = dashboard("init", config)
    assert ran.code == 0
    assert sorted(path.name for path in config.iterdir()) == ["prices.yaml", "profile.yaml"]
    assert stat.S_IMODE((config / "profile.yaml").stat().st_mode) == 0o600
    assert dashboard("show-budget", "--profile", config / "profile.yaml").code == 0
    (config / "profile.yaml").write_text("budget: {monthly_limit_usd: 7}\n")
    again = dashboard("init", config, "--json").json()
    assert {file["written"] for file in again["files"]} == {False}
    assert "7" in (config / "profile.yaml").read_text()


@pytest.mark.parametrize(
    ("name", "text"),
    [("profile.yaml", "budget: [\n"), ("profile.yaml", "budgett: {}\n"), ("prices.yaml", "modells: {}\n")],
)
def test_init_says_why_a_file_that_is_there_cannot_be_used(
    name: str, text: str, tmp_path: Path, dashboard: Dashboard
) -> None:
    (tmp_path / name).write_text(text)
    ran = dashboard("init", tmp_path)
    assert (ran.code, f"{name}:" in "".join(ran.out.split()), "Next:" in ran.out) == (0, True, False)
    [fault] = dashboard("init", tmp_path, "--json").json()["faults"]
    assert name in fault
    assert (tmp_path / name).read_text() == text


@pytest.mark.parametrize("name", ["csv", "json", "jsonl"])
def test_export_entries(name: str, jobs: Path, tmp_path: Path, dashboard: Dashboard) -> None:
    target = tmp_path / f"entries.{name}"
    ran = dashboard("export", name, target)
    assert (ran.code, ran.out) == (0, "")
    assert "wrote 11 entries" in ran.err
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    if name == "json":
        found = json.loads(target.read_text())
        assert len(found["entries"]) == 11
        assert found["summary"]["cost_usd"] == pytest.approx(TOTAL)
        assert found["budgets"]


def test_export_to_stdout_with_filters(jobs: Path, dashboard: Dashboard) -> None:
    ran = program("export", "csv", "-", "--user", "2", "--since", "2026-10-01", "--until", "2026-10-31")
    assert len(ran.out.splitlines()) == 4
    assert ran.err == "wrote 3 entries\n"


@pytest.mark.parametrize("name", ["json", "csv", "md", "text"])
def test_export_report(name: str, jobs: Path, tmp_path: Path, dashboard: Dashboard) -> None:
    target = tmp_path / "report"
    ran = dashboard("export-report", "--format", name, "--month", "2026-10", "--output", target)
    assert ran.code == 0
    assert "gpt-4o" in target.read_text()
    receipt = dashboard("export-report", "--format", name, "--job", "job-20261006-rpatel-0001")
    assert "whisper-1" in receipt.out


def test_export_report_follows_the_files_ending(jobs: Path, tmp_path: Path, dashboard: Dashboard) -> None:
    target = tmp_path / "october.md"
    assert dashboard("export-report", "--month", "2026-10", "-o", target).code == 0
    assert target.read_text().startswith("# October 2026")


def test_export_report_of_entries(jobs: Path, tmp_path: Path, dashboard: Dashboard) -> None:
    target = tmp_path / "focus.csv"
    assert dashboard("export-report", "--format", "focus", "-o", target).code == 0
    assert "BilledCost" in target.read_text()
    entries = tmp_path / "entries.csv"
    assert dashboard("export-report", "--entries", "--format", "csv", "--user", "2", "-o", entries).code == 0
    assert len(entries.read_text().splitlines()) == 4


def test_a_link_is_not_written_through(jobs: Path, tmp_path: Path, dashboard: Dashboard) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    link = tmp_path / "report.md"
    link.symlink_to(victim)
    commands: list[list[str | Path]] = [["show-monthly", "-o", link], ["export", "csv", link]]
    commands.append(["export-report", "-o", link])
    for command in commands:
        assert dashboard(*command).code == 3
    assert victim.read_text() == "kept"


def test_no_colour_in_a_pipe_and_ascii_where_nothing_else_fits(jobs: Path) -> None:
    ran = program("show-monthly", "--month", "2026-10", PYTHONIOENCODING="ascii", COLUMNS="60")
    assert ran.code == 0
    assert ran.out.isascii()
    assert "\x1b" not in ran.out
    assert "####" in ran.out
    coloured = program("show-monthly", "--month", "2026-10", FORCE_COLOR="1")
    assert "\x1b[1m" in coloured.out


def test_budget_of_the_present_month_counts_todays_calls(jobs: Path, dashboard: Dashboard) -> None:
    with CostTracker(jobs / "job-now", "rpatel") as tracker:
        tracker.log_usage("openai", "gpt-4o", 1_500, 300)
    found = dashboard("show-budget", "--user", "rpatel", "--json").json()
    assert found["spent_usd"] == GPT_4O
    assert found["month"] > f"{OCTOBER:%Y-%m}"
