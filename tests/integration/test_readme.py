"""The README: its commands run, its examples work, its pictures are what is printed now."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import click
import pytest

from shared.cost_tracker import CostTracker
from shared.costs.apps.cli.program import cli

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUARANTEES = (ROOT / "shared" / "costs" / "ledger" / "GUARANTEES.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^```bash\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMANDS = _BLOCK.findall(README)
PYTHON = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def script(name: str) -> ModuleType:
    """Load a script of the project as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the project whose virtual environment is set up already: the one of this run."""
    copy = tmp_path / "checkout"
    for folder in ("shared", "scripts", "tools", "config"):
        shutil.copytree(ROOT / folder, copy / folder)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, copy / name)
    lend_environment(copy)
    return copy


def lend_environment(copy: Path) -> None:
    programs = copy / ".venv" / "bin"
    programs.mkdir(parents=True)
    wrappers = {"python": "", "cost-dashboard": f" {copy / 'tools' / 'cost-dashboard.py'}"}
    for name, arguments in wrappers.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable}{arguments} "$@"\n')
        (programs / name).chmod(0o755)
    ask = (
        "import json, environment as e; print(json.dumps({'project': e._fingerprint(), 'extras': ['local']}))"
    )
    stamp = subprocess.run(
        [sys.executable, "-c", ask], cwd=copy / "scripts", capture_output=True, text=True, check=True
    ).stdout
    (copy / ".venv" / "installed.json").write_text(stamp)


def environ(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COST_TRACKER_")}
    return {**kept, "COST_TRACKER_HOME": str(home)}


def run(commands: str, checkout: Path, home: Path) -> str:
    """Run a block as a newcomer would paste it into a shell."""
    commands = commands.replace("python3 ", f"{sys.executable} ")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=checkout,
        env=environ(home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_every_command_of_the_readme_runs(checkout: Path, cost_home: Path) -> None:
    pytest.importorskip("pocketsphinx")
    said = run("\n".join(COMMANDS), checkout, cost_home)
    assert "job-0001" in said
    assert "Budget of user 1" in said
    assert "/transcript.txt" in said
    assert "openai/whisper-1 would have cost $0.0" in said
    ledgers = sorted((checkout / "out").glob("*/job-*/cost_ledger.jsonl"))
    assert len(ledgers) == 3
    spoken = "".join(ledger.with_name("transcript.txt").read_text() for ledger in ledgers)
    assert "the new version of the product" in spoken
    before = [ledger.read_bytes() for ledger in ledgers]
    run(COMMANDS[0], checkout, cost_home)
    assert [
        ledger.read_bytes() for ledger in sorted((checkout / "out").glob("*/job-*/cost_ledger.jsonl"))
    ] == before
    stages = [json.loads(line)["stage"] for line in before[0].decode().splitlines()]
    assert {"06_whisperx_asr", "13_ai_summarization"} <= set(stages)


def test_every_command_of_the_guarantees_runs(checkout: Path, cost_home: Path) -> None:
    said = run("\n".join(_BLOCK.findall(GUARANTEES)), checkout, cost_home)
    assert said.count(": held: ") == 2
    assert "Every byte is accounted for" in said


def test_every_fault_program_is_among_the_guarantees() -> None:
    """Those that end with a summary; the others are parts of them."""
    programs = (ROOT / "scripts" / "faults").glob("*.py")
    ours = {path.name for path in programs if "def main" in path.read_text(encoding="utf-8")}
    assert {name for name in ours if f"`{name}" not in GUARANTEES} == set()


def test_every_example_of_the_readme_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for example in PYTHON:
        exec(compile(example, "README.md", "exec"), {"__name__": "__main__", "__path__": []})
    line = re.search(r"^💰 Stage cost.*$", README, re.MULTILINE)
    assert line is not None
    assert line[0] in capsys.readouterr().err
    with CostTracker(tmp_path / "out" / "job-0001", "rpatel") as tracker:
        assert tracker.get_job_cost() == 0.0135


@pytest.mark.no_cover
def test_the_pictures_are_what_is_printed_now() -> None:
    assert script("make_pictures").drawn(README) == README, "run scripts/make_pictures.py"


@pytest.mark.parametrize("command", cli.list_commands(click.Context(cli)))
def test_every_command_is_named(command: str) -> None:
    assert re.search(rf"(?<![\w-]){command}(?![\w-])", README), f"say in the README what {command} is for"
