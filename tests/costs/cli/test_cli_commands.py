"""Every command: registered by its file, explained, and honest about failure."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from shared.cost_tracker import CostTracker
from shared.costs import __version__
from shared.costs.apps.cli import main
from shared.costs.apps.cli.app import DashboardCommand
from shared.costs.apps.cli.program import _PACKAGES, cli, run
from shared.costs.apps.serve.questions import specs
from tests.costs.cli.cli_support import PROGRAM, Dashboard, program

HEAVY = {"tabulate", "jinja2", "genai_prices", "filelock", "pydantic", "msgspec", "tqdm", "tempfile"}
COMMANDS = cli.list_commands(click.Context(cli))
NEEDED = {
    "compare-models": ["--input-tokens", "9"],
    "estimate": ["--input-tokens", "9"],
    "explain": ["2026-10", "2026-11"],
    "show-job": ["job-1"],
    "whatif": ["--swap", "openai/gpt-4=openai/gpt-4o"],
}
"""What some reports do not answer without."""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_explained(name: str, dashboard: Dashboard) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert isinstance(command, DashboardCommand)
    shown = dashboard(name, "--help")
    assert shown.code == 0
    assert ("--json" in shown.out) == (name not in ("completion", "metrics", "serve", "statusline"))
    assert command.get_short_help_str()
    assert "RANGE" not in shown.out  # click's word for a number
    assert all(param.help for param in command.params if isinstance(param, click.Option))
    assert command.examples
    for example in command.examples:
        assert example.split()[0] == name
        assert f"cost-dashboard {example}" in shown.out


@pytest.mark.parametrize("name", specs())
def test_every_report_can_be_of_nothing(name: str, dashboard: Dashboard) -> None:
    ran = dashboard(name, *NEEDED.get(name, []))
    assert ran.out or ran.err
    assert "unexpected" not in ran.err


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_can_be_parsed(name: str) -> None:
    import shlex

    command = cli.get_command(click.Context(cli), name)
    assert command
    for example in command.examples:
        words = shlex.split(example)[1:]
        for stop in ("<", ">", ">>", "|"):
            words = words[: words.index(stop)] if stop in words else words
        command.make_context(name, words)  # raises where an option or a value does not exist


def test_help_lists_every_command_in_whole_sentences(dashboard: Dashboard) -> None:
    shown = dashboard("--help")
    assert shown.code == 0
    assert dashboard() == shown
    assert "..." not in shown.out.replace("[ARGS]...", "")
    assert all(f"  {name} " in shown.out for name in COMMANDS)


def test_version(dashboard: Dashboard) -> None:
    assert __version__ in dashboard("--version").out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["shw-budget"], 2, "Did you mean show-budget"),
        (["xyzzy"], 2, "See cost-dashboard --help"),
        (["show-budget", "--nonsense"], 2, "No such option"),
        (["show-budget", "--month", "2026-13"], 2, "not a month: '2026-13'; write it as 2026-11"),
        (["report", "--since", "yesterday"], 2, "'yesterday' is not a date; write it as 2026-11-22"),
        (["report", "--since", "2026-11-02", "--until", "2026-11-01"], 2, "before it begins"),
        (["report", "--days", "3", "--month", "2026-11"], 2, "not several of them"),
        (["show-job", "no-such-job"], 3, "no job is called no-such-job; no job has logged a call yet"),
        (["show-job", "../../etc"], 3, "holds no cost_ledger.jsonl"),
        (["show-job", "a b"], 3, "no job is called a b"),
        (["show-job", os.fsdecode(b"a\xff")], 3, "no job is called a_"),
        (["show-job", "-x"], 2, "No such option"),
        (["show-job"], 2, "Missing argument 'JOB'."),
        (["log"], 2, "Missing option '--model'."),
        (["batch"], 2, "Error: Missing argument: one of submit, collect.\n"),
        (["show-job", "--job", "job-1"], 2, "No such option '--job': write JOB alone."),
        (["estimate", "--model", "gpt-4o"], 2, "No such option '--model': write MODEL alone."),
        (["prices", "list", "--model", "gpt-4o"], 2, "write MODEL alone."),
        (["reconcile", "--file", "bill.csv"], 2, "write FILE alone."),
        (["show-budget", "--profile", "/no/such/profile.yaml"], 3, "/no/such/profile.yaml"),
        (["log", "--model", "mystery"], 2, "Name it with --service"),
        (["log", "--model", "gpt-4o", "--input-tokens", "-1"], 2, "-1 is not in the range"),
        (["export-report", "--format", "sqlite"], 2, "sqlite is not a text format"),
        (["export-report", "--job", "x", "--entries"], 2, "leave out --job or --entries"),
    ],
)
def test_failures_say_what_to_do(arguments: list[str], code: int, message: str, dashboard: Dashboard) -> None:
    ran = dashboard(*arguments)
    assert ran.code == code
    assert message in ran.err
    assert ran.out == ""
    assert "Traceback" not in ran.err


def test_a_refused_profile_names_file_line_and_remedy(tmp_path: Path, dashboard: Dashboard) -> None:
    profile = tmp_path / "profile.yaml"
    profile.write_text("budget:\n  monthly_limit: 50\n")
    ran = dashboard("show-budget", "--profile", profile)
    assert ran.code == 3
    assert f"{profile}:2" in ran.err
    assert "monthly_limit_usd" in ran.err


def test_an_unexpected_failure_has_a_traceback_only_with_debug(
    monkeypatch: pytest.MonkeyPatch, dashboard: Dashboard
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a\x1b[31m fault")

    monkeypatch.setattr("shared.costs.apps.cli.app.App.show", broken)
    ran = dashboard("show-budget")
    assert ran.code == 3
    assert ran.err == (
        "cost-dashboard: unexpected RuntimeError: a\\x1b[31m fault; run it again with --debug to see where\n"
    )
    with pytest.raises(RuntimeError, match="fault"):
        dashboard("show-budget", "--debug")


def test_a_missing_package_is_named(
    jobs: Path, monkeypatch: pytest.MonkeyPatch, dashboard: Dashboard
) -> None:
    monkeypatch.setitem(sys.modules, "tabulate", None)
    ran = dashboard("show-monthly", "--month", "2026-10", "--format", "md")
    assert ran.code == 3
    assert f"{sys.executable} -m pip install tabulate" in ran.err


def test_every_package_that_is_needed_can_be_named() -> None:
    needed = tomllib.loads((PROGRAM.parents[1] / "pyproject.toml").read_text())["project"]["dependencies"]
    named = {re.split("[<>=]", line)[0] for line in needed}
    assert named - {*_PACKAGES.values()} == {"click"}  # without which nothing starts that could say so


def test_commands_are_named_as_they_work_here(
    jobs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    another = tmp_path / "bin" / "cost-dashboard"
    another.parent.mkdir()
    another.touch(0o755)
    monkeypatch.setenv("PATH", str(another.parent), prepend=os.pathsep)
    profile = tmp_path / "my profile.yaml"
    profile.write_text("budget: {monthly_limit_usd: null}\n")
    called = "/somewhere/bin/cost-dashboard"
    options = ["--profile", str(profile), "--cost-storage", os.environ["COST_TRACKER_HOME"]]
    run(["optimize", *options], called)
    given = shlex.join([*options[2:], *options[:2]])
    assert f"Note one: {called} optimize {given} note" in " ".join(capsys.readouterr().out.split())
    run(["archive", "verify", *options, "--to", str(tmp_path)], called)
    assert f"{called} archive {given} --to makes one" in capsys.readouterr().err


def test_a_storage_that_cannot_be_made_is_said_with_the_next_step(
    tmp_path: Path, dashboard: Dashboard
) -> None:
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" / "storage"
    ran = dashboard("show-monthly", "--cost-storage", place)
    assert ran.code == 3
    assert f"the cost storage {place} cannot be created (Not a directory" in ran.err
    assert ran.err.endswith("name another folder with --cost-storage or COST_TRACKER_HOME\n")
    assert "cannot be made" in dashboard("doctor", "--cost-storage", place).out
    assert "(a link or a file));" in dashboard("show-monthly", "--cost-storage", tmp_path / "file").err


def test_a_job_is_read_from_its_directory_where_no_storage_can_be_made(
    tmp_path: Path, dashboard: Dashboard
) -> None:
    CostTracker(tmp_path / "job", user_id="1").log_usage("openai", "gpt-4o", 1_000_000, 0)
    (tmp_path / "file").write_text("")
    ran = dashboard("show-job", tmp_path / "job", "--cost-storage", tmp_path / "file" / "storage")
    assert ran.code == 0
    assert "$2.50" in ran.out


def test_an_unreadable_storage_is_an_error_not_a_traceback(tmp_path: Path, dashboard: Dashboard) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    ran = dashboard("show-budget", "--cost-storage", blocked / "home")
    assert ran.code == 3
    assert str(blocked) in ran.err


def test_the_program_runs_uninstalled_from_anywhere(tmp_path: Path) -> None:
    ran = program("show-budget", cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("Budget of user 1\n")


def test_the_program_says_which_packages_are_missing(tmp_path: Path) -> None:
    bare = subprocess.run(
        [sys.executable, "-I", "-S", str(PROGRAM), "show-budget"], capture_output=True, text=True, check=False
    )
    assert bare.returncode == 1
    assert f"{sys.executable} -m pip install {PROGRAM.parents[1]}" in bare.stderr


def test_a_reader_that_leaves_is_no_failure() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "show-budget"], stdout=write_end, stderr=subprocess.PIPE, check=False
    )
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_interrupt_is_quiet(monkeypatch: pytest.MonkeyPatch, dashboard: Dashboard) -> None:
    def interrupted(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("shared.costs.apps.cli.app.App.show", interrupted)
    ran = dashboard("show-budget")
    assert (ran.code, ran.err) == (130, "\ninterrupted\n")


def test_an_interrupt_while_starting_is_quiet_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("shared.costs.apps.cli.program.run", interrupted)
    monkeypatch.setattr(main, "_leave", sys.exit)
    with pytest.raises(SystemExit) as left:
        main.main([])
    assert (left.value.code, capsys.readouterr().err) == (130, "interrupted\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_an_interrupt_while_starting_is_told_by_the_code_where_no_message_can_be_written() -> None:
    interrupted = "import signal; from shared.costs.apps.cli import main, program;"
    interrupted += "program.run = lambda *_: signal.raise_signal(signal.SIGINT); main.main([])"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", interrupted], stderr=full, check=False)
    assert done.returncode == 130


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("log --service openai --model gpt-4o --input-tokens 9 --output-tokens 9 >&-", 0),
        ("show-budget >&- 2>&- <&-", 0),
        ("no-such-command 2>/dev/full", 2),
        ("show-job no-such-job 2>/dev/full", 3),
        ("show-budget >/dev/full", 3),
    ],
)
def test_what_cannot_be_written_does_not_change_the_meaning_of_the_exit_code(command: str, code: int) -> None:
    line = f'"{sys.executable}" "{PROGRAM}" {command}'
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "unexpected" not in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, dashboard: Dashboard) -> None:
    ran = dashboard("completion", shell)
    assert ran.code == 0
    assert "_COST_DASHBOARD_COMPLETE" in ran.out


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("show-m", ["show-monthly"]),
        ("show-job job-20261006", ["job-20261006-rpatel-0001"]),
        ("explain 2026-1", ["2026-10"]),
        ("explain 2026-10 job-20261008", ["job-20261008-2-0001"]),
        ("show-budget --user r", ["rpatel"]),
        ("report --stage 1", ["13_ai_summarization"]),
        ("report --model w", ["whisper-1"]),
        ("report --tag n", []),
        ("trend --period w", ["weekly"]),
        ("trend --user '' --period w", ["weekly"]),
    ],
)
def test_the_shell_completes_what_is_typed(typed: str, offered: list[str], jobs: Path) -> None:
    words = shlex.split(typed)
    ran = program(
        _COST_DASHBOARD_COMPLETE="bash_complete",
        COMP_WORDS=f"cost-dashboard {typed}",
        COMP_CWORD=str(len(words)),
    )
    assert [line.partition(",")[2] for line in ran.out.split()] == offered
    assert ran.err == ""


def test_completion_says_nothing_where_nothing_can_be_read(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    ran = program(
        COST_TRACKER_HOME=str(blocked / "home"),
        _COST_DASHBOARD_COMPLETE="bash_complete",
        COMP_WORDS="cost-dashboard show-job j",
        COMP_CWORD="2",
    )
    assert (ran.out.strip(), ran.err) == ("", "")


def test_start_up_imports_little() -> None:
    script = (
        "import sys; sys.argv = ['cost-dashboard', 'show-budget']\n"
        "from shared.costs.apps.cli.program import run\n"
        "run(['show-budget'])\n"
        f"print(sorted({HEAVY} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=PROGRAM.parents[1], check=True
    )
    assert done.stderr == "[]\n"


@pytest.mark.parametrize("command", ["show-budget", "status"])
def test_watch_shows_it_again(command: str, monkeypatch: pytest.MonkeyPatch, dashboard: Dashboard) -> None:
    naps = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("shared.costs.apps.cli.app.time.sleep", nap)
    ran = dashboard(command, "--watch", "5")
    assert (ran.code, naps) == (130, [5.0, 5.0, 5.0])
    first = ran.out.splitlines()[0]
    assert ran.out.count(f"{first}\n") == 3
    assert "\x1b" not in ran.out
