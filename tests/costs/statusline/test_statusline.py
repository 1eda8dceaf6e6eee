"""The status line: right, in the words of its place, and never a failure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.cost_tracker import CostTracker
from shared.costs.apps.statusline.agent import session_on
from shared.costs.apps.statusline.line import NOT_KNOWN, LineStyle, line
from shared.costs.apps.statusline.program import LineArguments, asked, main
from shared.costs.apps.statusline.standing import AgentSession, RunningJob, UserSpending, standing
from shared.costs.money import Nanos, from_usd
from shared.costs.profile.currency import Conversion, CurrencyRate
from shared.costs.workspace import Workspace

TOOL = Path(__file__).parents[3] / "tools" / "cost-dashboard.py"
NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
EURO = Conversion("EUR", CurrencyRate("2026-11-01", 500_000_000))
STOOD = UserSpending("1", from_usd("3.75"), from_usd("35.69"), month_limit=from_usd("36"), level="warning")


@pytest.mark.parametrize(
    ("stood", "words"),
    [
        (STOOD, "$3.75 today · $35.69/$36 99% ▲"),
        (STOOD._replace(level="ok", month=from_usd("3.75")), "$3.75 today · $3.75/$36 10%"),
        (STOOD._replace(month=from_usd("35.9999")), "$3.75 today · $36.00/$36 99% ▲"),
        (STOOD._replace(month=from_usd("72")), "$3.75 today · $72.00/$36 200% ▲"),
        (STOOD._replace(month_limit=from_usd("36.5")), "$3.75 today · $35.69/$36.50 98% ▲"),
        (STOOD._replace(month_limit=None, level="ok"), "$3.75 today · $35.69 this month"),
        (STOOD._replace(month_limit=None), "$3.75 today · $35.69 ▲"),
        (STOOD._replace(day_limit=from_usd("5")), "$3.75/$5 today · $35.69/$36 99% ▲"),
        (
            STOOD._replace(day=Nanos(5_500_000), day_limit=Nanos(4_000_000)),
            "$0.0055/$0.0040 today · $35.69/$36 99% ▲",
        ),
        (
            STOOD._replace(job=RunningJob("job-7", from_usd("0.42"))),
            "$3.75 today · $35.69/$36 99% ▲ · job-7 $0.42",
        ),
        (
            STOOD._replace(job=RunningJob(f"talk-{'x' * 60}-part-0007", Nanos(0))),
            f"$3.75 today · $35.69/$36 99% ▲ · talk-{'x' * 15}…{'x' * 9}-part-0007 $0.00",
        ),
        (STOOD._replace(job=RunningJob("3 jobs", None)), "$3.75 today · $35.69/$36 99% ▲ · 3 jobs"),
        (STOOD._replace(conversion=EURO), "€1.88 today · €17.84/€18 99% ▲"),
        (STOOD._replace(doubt="behind"), "≥$3.75 today · ≥$35.69/$36 99% ▲"),
        (STOOD._replace(unpriced=2), "$3.75 today · ≥$35.69/$36 99% ▲ · 2 unpriced"),
        (
            STOOD._replace(unpriced_today=1, unpriced=2, job=RunningJob("a", Nanos(0), 1)),
            "≥$3.75 today · ≥$35.69/$36 99% ▲ · 2 unpriced · a ≥$0.00",
        ),
        (
            STOOD._replace(refused="bad", month_limit=None, level="ok"),
            "$3.75 today · $35.69 this month · limits not known",
        ),
    ],
)
def test_the_usual_parts(stood: UserSpending, words: str) -> None:
    assert line(stood, LineStyle()) == words


@pytest.mark.parametrize(
    ("look", "words"),
    [
        (LineStyle("tmux", colour=True), "#[fg=yellow]$3.75 today · $35.69/$36 99% ▲ · a##b $0.10#[default]"),
        (LineStyle("zsh", colour=True), "%F{yellow}$3.75 today · $35.69/$36 99%% ▲ · a#b $0.10%f"),
        (LineStyle("zsh"), "$3.75 today · $35.69/$36 99%% ▲ · a#b $0.10"),
        (LineStyle("tmux"), "$3.75 today · $35.69/$36 99% ▲ · a##b $0.10"),
        (LineStyle("claude", colour=True), "\x1b[33m$3.75 today · $35.69/$36 99% ▲ · a#b $0.10\x1b[0m"),
        (LineStyle(unicode=False), "$3.75 today | $35.69/$36 99% ! | a#b $0.10"),
        (
            LineStyle(template="{job}: {remaining} left of {limit}{nothing}"),
            "a#b: $0.31 left of $36{nothing}",
        ),
        (LineStyle(template="{session}"), NOT_KNOWN),
        (LineStyle(template="{user.__class__} {0} {"), "{user.__class__} {0} {"),
    ],
)
def test_each_place_has_its_words(look: LineStyle, words: str) -> None:
    assert line(STOOD._replace(job=RunningJob("a#b", from_usd("0.10"))), look) == words


@given(st.text(max_size=30), st.text(max_size=30))
def test_whatever_it_is_made_of_it_is_one_line_that_steers_no_terminal(name: str, template: str) -> None:
    for look in (LineStyle(), LineStyle(template=template), LineStyle("tmux"), LineStyle(unicode=False)):
        text = line(STOOD._replace(job=RunningJob(name, None)), look, AgentSession(model=name))
        assert text
        assert text.isprintable()
        assert look.unicode or text.isascii()


@pytest.mark.parametrize(
    ("told", "session"),
    [
        (
            {
                "model": {"id": "claude-opus-4-8", "display_name": "Opus 4.8"},
                "cost": {"total_cost_usd": 0.4213},
            },
            AgentSession("Opus 4.8", from_usd("0.4213")),
        ),
        ({"cost": {"total_cost_usd": 0}}, AgentSession("", Nanos(0))),
        ({}, AgentSession()),
        ([], AgentSession()),
        (None, AgentSession()),
        ({"model": "opus", "cost": 3}, AgentSession()),
        ({"model": {"display_name": 7}, "cost": {"total_cost_usd": "0.4"}}, AgentSession()),
        ({"cost": {"total_cost_usd": True}}, AgentSession()),
        ({"cost": {"total_cost_usd": float("nan")}}, AgentSession()),
        ({"cost": {"total_cost_usd": float("inf")}}, AgentSession()),
        ({"cost": {"total_cost_usd": -1}}, AgentSession()),
        ({"cost": {"total_cost_usd": 10**30}}, AgentSession()),
    ],
)
def test_an_agents_fields_are_all_optional(told: object, session: AgentSession) -> None:
    assert _told(json.dumps(told).encode()) == session


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b" " * 2_000_000])
def test_what_is_no_json_is_no_session(raw: bytes) -> None:
    assert _told(raw) == AgentSession()


def _told(raw: bytes) -> AgentSession:
    with tempfile.TemporaryFile() as file:
        file.write(raw)
        file.seek(0)
        return session_on(file.fileno())


def test_a_pipe_that_nobody_closes_is_not_waited_for() -> None:
    reads, writes = os.pipe()
    try:
        os.write(writes, b'{"cost": {"total_cost_usd": 1.5}}')
        assert session_on(reads) == AgentSession("", from_usd("1.5"))
    finally:
        os.close(reads)
        os.close(writes)


@pytest.mark.parametrize(
    ("words", "question"),
    [
        ([], LineArguments()),
        (["--for", "claude", "--user", "2"], LineArguments("claude", user="2")),
        (["--for=tmux", "--template={day}"], LineArguments("tmux", "{day}")),
        (["--cost-storage", "/c", "--profile", "/p"], LineArguments(storage="/c", profile="/p")),
    ],
)
def test_the_words_of_its_command(words: list[str], question: LineArguments) -> None:
    assert asked(words) == question


@pytest.mark.parametrize("words", [["--for", "fish"], ["--for"], ["--colour"], ["today"]])
def test_a_word_that_is_not_understood_is_said_and_the_line_printed(
    words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COST_TRACKER_HOME", str(tmp_path))
    assert main(words) == 0
    said = capsys.readouterr()
    assert said.out == "$0.00 today · $0.00/$50 0%\n"
    assert words[-1] in said.err


def logged(home: Path, *calls: tuple[str, datetime, str, str]) -> None:
    for job, at, user, cost in calls:
        with CostTracker(home.parent / "out" / job, user_id=user, cost_storage_path=home) as tracker:
            tokens = round(float(cost) * 400_000)  # at $2.50 a million
            tracker.log_usage("openai", "gpt-4o", tokens, timestamp=at)


def test_it_has_the_sums_of_day_and_month_the_limits_and_the_running_job(tmp_path: Path) -> None:
    home, profile = tmp_path / "storage", tmp_path / "profile.yaml"
    profile.write_text("budget: {monthly_limit_usd: 40, daily_limit_usd: 5}\n")
    logged(
        home,
        ("old", NOW - timedelta(days=40), "ana", "100"),
        ("early", NOW - timedelta(days=5), "ana", "30"),
        ("job-7", NOW - timedelta(days=1), "ana", "1.25"),
        ("job-7", NOW - timedelta(minutes=2), "ana", "3.75"),
        ("other", NOW - timedelta(days=2), "kim", "7"),
    )
    with Workspace(home, profile, environ={}, clock=lambda: NOW) as workspace:
        assert standing(workspace, "ana") == UserSpending(
            "ana",
            from_usd("3.75"),
            from_usd("35"),
            from_usd("5"),
            from_usd("40"),
            "warning",
            RunningJob("job-7", from_usd("5")),
        )
        assert standing(workspace, "kim").month == from_usd("7")
    named = {"COST_TRACKER_JOB_DIR": str(tmp_path / "out" / "early")}
    with Workspace(home, profile, environ=named, clock=lambda: NOW) as workspace:
        assert standing(workspace, "ana").job == RunningJob("early", from_usd("30"))


def test_calls_without_a_whole_price_are_counted_and_no_sum_is_without_them(tmp_path: Path) -> None:
    """Of calls that are all unpriced the line said that the day had cost nothing."""
    home = tmp_path / "storage"
    with CostTracker(tmp_path / "out" / "a", cost_storage_path=home) as tracker:
        tracker.log_usage("acme", "new-model", 1000, timestamp=NOW - timedelta(days=3))
        tracker.log_usage("acme", "new-model", 1000, timestamp=NOW)
        tracker.log_usage("anthropic", "claude-3-haiku", 1, audio_seconds=3, timestamp=NOW)
    with CostTracker(tmp_path / "out" / "b", user_id="2", cost_storage_path=home) as tracker:
        tracker.log_usage("acme", "new-model", 1000, timestamp=NOW - timedelta(days=3))
    with Workspace(home, environ={}, clock=lambda: NOW) as workspace:
        stood = standing(workspace, "1")
    assert (stood.unpriced_today, stood.unpriced, stood.job) == (2, 3, RunningJob("a", Nanos(250), 3))
    assert line(stood, LineStyle()) == "≥$0.00 today · ≥$0.00/$50 0% · 3 unpriced · a ≥$0.00"
    assert line(stood, LineStyle(template="{unpriced}")) == "3 unpriced"


def test_several_running_jobs_are_counted(tmp_path: Path) -> None:
    home = tmp_path / "storage"
    logged(home, ("a", NOW, "1", "1"), ("b", NOW, "1", "2"))
    with Workspace(home, environ={}, clock=lambda: NOW) as workspace:
        assert standing(workspace, "1").job == RunningJob("2 jobs", None)


def run(home: Path, *words: str, told: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "COST_TRACKER_HOME": str(home), **environ}
    return subprocess.run(
        [sys.executable, TOOL, "statusline", *words],
        input=told,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "storage"
    logged(home, ("job-7", datetime.now(UTC), "1", "0.25"))
    return home


def test_claude_code_gets_its_session_beside_the_ledgers(home: Path) -> None:
    ran = run(
        home, "--for", "claude", told='{"cost": {"total_cost_usd": 0.42}}', NO_COLOR="1", PYTHONUTF8="1"
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == "~$0.42 session · $0.25 today · $0.25/$50 0% · job-7 $0.25\n"


def _profile_refused(home: Path) -> dict[str, str]:
    (home.parent / "p.yaml").write_text("budget: {monthly: 5}\n")
    return {"COST_TRACKER_PROFILE": str(home.parent / "p.yaml")}


def _storage_is_a_file(home: Path) -> dict[str, str]:
    (home.parent / "file").write_text("")
    return {"COST_TRACKER_HOME": str(home.parent / "file")}


def _sums_are_damaged(home: Path) -> dict[str, str]:
    (home / "sums.db").write_bytes(b"no database" * 1000)
    return {}


@pytest.mark.parametrize(
    ("breaks", "words"),
    [
        (_profile_refused, "$0.25 today · $0.25 this month · job-7 $0.25 · limits not known"),
        (_storage_is_a_file, "costs not known"),
        (_sums_are_damaged, "$0.25 today · $0.25/$50 0% · job-7 $0.25"),
        (lambda _: {"PYTHONIOENCODING": "ascii"}, "$0.25 today | $0.25/$50 0% | job-7 $0.25"),
    ],
)
def test_whatever_is_wrong_there_is_a_line_and_no_failure(breaks: object, words: str, home: Path) -> None:
    environ = breaks(home)  # type: ignore[operator]  # one of the functions above
    ran = run(home, **{"PYTHONIOENCODING": "utf-8", **environ})
    assert ran.returncode == 0
    assert ran.stdout.rstrip("\n").replace("≥", "") == words
    assert "Traceback" not in ran.stderr


def test_it_starts_without_click_reports_entries_and_a_yaml_that_was_read_before(home: Path) -> None:
    """Where no call is new: else the types of entries are needed, for 10 ms more."""
    program = (
        "import sys\n"
        "from shared.costs.apps.statusline.program import LineArguments, print_line\n"
        "import os; print_line(LineArguments(), os.environ)\n"
        "heavy = {'click', 'yaml', 'jinja2', 'tabulate', 'msgspec', 'dataclasses', 'shared.costs.reports',"
        " 'shared.costs.pricing.catalogue', 'shared.costs.model'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    run(home)
    env = {**os.environ, "COST_TRACKER_HOME": str(home)}
    ran = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["$0.25 today · $0.25/$50 0% · job-7 $0.25", "[]"]


def test_a_reader_that_is_gone_is_no_failure(home: Path) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    try:
        ran = subprocess.run(
            [sys.executable, TOOL, "statusline"],
            env={**os.environ, "COST_TRACKER_HOME": str(home)},
            stdout=writes,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writes)
    assert ran.returncode == 0
    assert b"Traceback" not in ran.stderr
