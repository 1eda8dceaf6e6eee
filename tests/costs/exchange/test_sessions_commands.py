"""`import` of agents' sessions, as people call it: found, named, watched, refused."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from test_sessions_claude_code import MODEL, line, write

from shared.cost_tracker import CostTracker
from shared.costs.apps.cli.program import run
from shared.costs.exchange.sessions import programs
from shared.costs.exchange.sessions.calls import CrossCheck, Remarks
from shared.costs.exchange.sessions.importing import ProgramImport
from shared.costs.exchange.sessions.recording import SessionTotals
from shared.costs.exchange.sessions.reporting import sessions_report
from shared.costs.money import Nanos
from shared.costs.storage import CostStorage
from tests.support.golden import check_report

Ask = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def ask(
    storage: CostStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Ask:
    """Run the command in a home of its own; return exit code, JSON or text, and what stderr says."""
    monkeypatch.setenv("COST_TRACKER_HOME", str(storage.root))
    monkeypatch.setenv("COST_TRACKER_USER", "ana")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("CLAUDE_CONFIG_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "CODEX_HOME"):
        monkeypatch.delenv(name, raising=False)

    def asked(*words: object) -> tuple[int, Any, str]:
        capsys.readouterr()
        code = run([str(word) for word in words])
        told = capsys.readouterr()
        return code, json.loads(told.out) if told.out.startswith("{") else told.out, told.err

    return asked


def test_sessions_are_found_where_they_usually_are(
    ask: Ask, tmp_path: Path, logs: Callable[[str], Path]
) -> None:
    logs("codex").rename(tmp_path / "codex")
    (tmp_path / "home" / ".codex").mkdir(parents=True)
    (tmp_path / "codex").rename(tmp_path / "home" / ".codex" / "sessions")
    write(tmp_path / "home" / ".claude" / "projects" / "p", line(1))
    code, told, _ = ask("import", "--json", "--dry-run")
    assert (code, told["added"], told["dry_run"]) == (0, 7, True)
    code, told, _ = ask("import", "--json")
    assert [(each["program"], each["added"]) for each in told["programs"]] == [
        ("codex", 6),
        ("claude-code", 1),
    ]
    code, told, _ = ask("import", "--json", "--from", "claude-code")
    assert (code, told["files"], told["read"], told["added"]) == (0, 1, 0, 0)
    _, month, _ = ask("show-monthly", "--month", "2026-11", "--json")
    assert (month["total_calls"], month["unique_jobs"]) == (7, 4)


def test_a_call_whose_cost_is_not_known_live_keeps_no_stated_cost_out(
    ask: Ask, storage: CostStorage, tmp_path: Path
) -> None:
    request_id = "chatcmpl-Example0123456789"
    with CostTracker(job_dir=tmp_path / "job", user_id="ana", cost_storage_path=storage.root) as tracker:
        tracker.log_usage("openai", "x9", 10, 40, request_id=request_id)
    at = datetime.now(UTC).isoformat()
    row = {
        "id": "r1",
        "timestamp": at,
        "service": "openai",
        "model": "x9",
        "cost": 0.42,
        "request_id": request_id,
    }
    (tmp_path / "calls.json").write_text(json.dumps({"calls": [row]}))
    told = ask("import", tmp_path / "calls.json", "--json")[1]
    assert (told["added"], told["recorded_elsewhere"]) == (1, 0)


def test_a_call_that_was_recorded_live_adds_nothing(ask: Ask, storage: CostStorage, tmp_path: Path) -> None:
    """Told by the response's id, in whatever job it was; one that was taken back counts anew."""
    ids = [f"msg_01Example{number:012d}" for number in (1, 2)]
    with CostTracker(job_dir=tmp_path / "job", user_id="ana", cost_storage_path=storage.root) as tracker:
        for request_id in ids:
            at = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
            tracker.log_usage("anthropic", MODEL, 10, 40, request_id=request_id, timestamp=at)
    write(tmp_path / "logs", line(1), line(2), line(3))
    code, told, _ = ask("import", tmp_path / "logs", "--json")
    [program] = told["programs"]
    assert (code, program["added"], program["recorded_elsewhere"]) == (0, 1, 2)
    rows = [
        {
            "id": f"r{n}",
            "timestamp": "2026-11-20T10:05:00Z",
            "model": MODEL,
            "input_tokens": 9,
            "request_id": i,
        }
        for n, i in enumerate([*ids, "msg_01Example000000000009", "short"])
    ]
    (tmp_path / "calls.json").write_text(json.dumps({"calls": rows}))
    told = ask("import", tmp_path / "calls.json", "--json")[1]
    assert (told["added"], told["recorded_elsewhere"]) == (2, 2)
    told = ask("import", tmp_path / "calls.json", "--json")[1]
    assert (told["added"], told["known"], told["recorded_elsewhere"]) == (0, 2, 2)
    _, month, _ = ask("show-monthly", "--month", "2026-11", "--json")
    assert month["total_calls"] == 5


def test_a_file_and_a_folder_are_taken_for_what_they_are(ask: Ask, tmp_path: Path) -> None:
    path = write(tmp_path / "logs", line(1), line(2))
    assert ask("import", path, "--json")[1]["programs"][0]["program"] == "claude-code"
    assert ask("import", tmp_path / "logs", "--from", "claude-code", "--json")[1]["read"] == 0
    (tmp_path / "empty").mkdir()
    code, _, error = ask("import", tmp_path / "empty")
    assert (code, "has no logs of" in error) == (3, True)


def test_a_line_that_is_not_understood_is_bad_news(ask: Ask, tmp_path: Path) -> None:
    path = write(tmp_path / "logs", line(1), line(2, timestamp="never"))
    code, told, _ = ask("import", path, "--json")
    assert (code, told["added"], told["refused"]) == (1, 1, 1)
    assert "never" in told["programs"][0]["not_understood"][0]["why"]


@pytest.mark.parametrize("name", ["pipe", "folder that is not there", "device"])
def test_what_is_no_file_is_refused_at_once(name: str, ask: Ask, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "pipe":
        os.mkfifo(path)
    for words in ((), ("--from", "claude-code")):
        code, _, error = ask("import", "/dev/zero" if name == "device" else path, *words)
        assert (code in (1, 3), "regular file" in error or "No such file" in error or code == 1) == (
            True,
            True,
        )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--source", "x"), "--source says nothing"),
        (("--zero-is-free",), "--zero-is-free says nothing"),
        (("--watch", "--dry-run"), "--watch writes"),
        (("--from", "usage-csv"), "needs a FILE"),
    ],
)
def test_options_that_mean_nothing_here_are_refused(words: tuple[str, ...], said: str, ask: Ask) -> None:
    code, _, error = ask("import", *words)
    assert (code, said in error) == (2, True)


def test_another_history_cannot_be_watched(ask: Ask, tmp_path: Path) -> None:
    path = tmp_path / "calls.json"
    path.write_text('{"calls": []}')
    code, _, error = ask("import", path, "--watch")
    assert (code, "only sessions of agents can be watched" in error) == (2, True)


def test_what_is_written_while_it_watches_comes_in(storage: CostStorage, tmp_path: Path) -> None:
    path = write(tmp_path / "logs", line(1))
    words = ["import", str(path.parent), "--from", "claude-code", "--watch", "--every", "0.1"]
    command = [sys.executable, "-c", "from shared.costs.apps.cli.main import main; main()", *words]
    env = {**os.environ, "COST_TRACKER_HOME": str(storage.root), "HOME": str(tmp_path)}
    with subprocess.Popen(
        command, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as watching:
        assert watching.stderr is not None
        assert "watching; a look every 0.1 s" in watching.stderr.readline()
        write(path.parent, line(2), mode="a")
        assert re.fullmatch(r"Claude Code: 1 call, \$0\.00\d\d\n", watching.stderr.readline())
        path.parent.rename(tmp_path / "away")
        time.sleep(0.5)  # looks in between find nothing, and say nothing
        (tmp_path / "away").rename(path.parent)
        pipe = path.with_name("pipe.jsonl")
        os.mkfifo(pipe)
        assert f"Claude Code: not understood: {pipe}: " in watching.stderr.readline()
        write(path.parent, line(3), mode="a")
        assert "Claude Code: 1 call," in watching.stderr.readline()  # the pipe was told of once
        watching.send_signal(signal.SIGINT)
        assert watching.stderr.read() == "stopped watching; what came in is recorded\n"
    assert watching.returncode == 0


def test_the_report_as_it_was() -> None:
    at = datetime(2026, 11, 20, 10, tzinfo=UTC)
    claude, codex = programs()["claude-code"], programs()["codex"]
    added = SessionTotals(
        3_400, 3_280, 120, 2, 0, 1, 0, 1, Nanos(98_765_432_100), 48_000_000, 910_000, at, at
    )
    added.unpriced_models = {"anthropic/claude-next": 1}
    remarks = Remarks(lines=12_345, refused=23)
    for number in range(23):
        remarks.refusals.append(_refusal(number))
    remarks.unknown['lines of type "surprise" with a usage'] = 4
    remarks.versions["3.0.1"] = 9
    check = CrossCheck("5e55", {MODEL: Counter(input=9, output=45)}, {MODEL: Counter(input=9, output=40)})
    same = CrossCheck("5e56", {MODEL: Counter(input=9)}, {MODEL: Counter(input=9)})
    taken = [
        ProgramImport(claude, added, 40, 38, 1, remarks, [check, same]),
        ProgramImport(codex, SessionTotals(), 2, 0),
    ]
    check_report("import-sessions", sessions_report(taken, dry_run=False))
    check_report("import-sessions-none", sessions_report([], dry_run=True))
    agreed = sessions_report([ProgramImport(claude, SessionTotals(), 1, 1, checks=[same])], dry_run=False)
    assert "agree to the token" in agreed.notes[0].text


def _refusal(number: int) -> Any:
    from shared.costs.exchange.imports import NotUnderstood

    return NotUnderstood(
        f"/home/ana/.claude/projects/app/{number}.jsonl", "a line of usage is not as expected"
    )
