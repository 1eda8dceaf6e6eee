"""Every command as text and as JSON, run as people run it, on one small history."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest

from shared.costs.apps.cli.app import App
from shared.costs.apps.cli.program import cli, run
from shared.costs.model import Charge, Entry
from shared.costs.money import Nanos
from shared.costs.reports.document import Report
from shared.costs.workspace import Workspace
from tests.support.golden import FOLDER, WIDTH, check_report
from tests.support.history import busy_month
from tests.support.saved import save

NOW = datetime(2026, 11, 22, 15, tzinfo=UTC)
PROFILE = """\
budget: {monthly_limit_usd: 20, weekly_limit_usd: 12, model_limits_usd: {openai/gpt-4o: 9}}
organization: {monthly_limit_usd: 40}
"""
COMMANDS = cli.list_commands(click.Context(cli))

CASES = {
    "anomalies": "",
    "check": "--user rpatel --forecast --max-per-job 0.5 --max-per-minute 0.01 --max-increase 20",
    "compare-models": "openai/gpt-4o openai/gpt-4o-mini --input-tokens 1000",
    "estimate": "--audio-minutes 30 --user rpatel",
    "explain": "2026-W45 2026-W46",
    "forecast": "--user rpatel",
    "report": "--by stage --by workflow --by tag --by tier --period weekly",
    "reservations": "list",
    "reprice": "",
    "show-budget": "--user rpatel",
    "show-job": "job-20261121-rpatel-0001",
    "show-monthly": "",
    "show-optimization": "",
    "stats": "--period monthly",
    "status": "--user rpatel",
    "summary": "--days 10 --user rpatel",
    "trend": "--period weekly --by tag",
    "whatif": "--swap openai/gpt-4o=openai/gpt-4o-mini --stage 13_ai_summarization",
}
"""What reads the history, and with which words it is asked."""

WRITERS = {
    "init": "DIR/config",
    "notify": "status",
    "set-budget": "--monthly 30 --user rpatel",
}
"""What writes a file of its own, or tells how things stand beside the history."""

PRINT_NO_VIEW = {
    "archive": "says how many bytes its files have, with tests of its own",
    "completion": "prints a program for the shell",
    "demo": "writes the sample history, and lists what to try with it",
    "shared": "is run with a real database by tests/costs/fleet",
    "export": "writes entries; each format has golden files of its own",
    "export-report": "writes the month's statement or a job's receipt, which have golden files",
    "metrics": "prints samples for Prometheus, held against its parsers in tests of their own",
    "run": "says at the end what a program cost, on stderr",
    "serve": "answers browsers, with pages that have tests of their own",
    "statusline": "prints one line for a prompt, with tests of its own",
}


ODD = 100
"""Which call of the history cost twelve times the usual."""


def _times(factor: int, charge: Charge | None) -> Charge | None:
    assert charge is not None
    return charge._replace(parts={part: Nanos(factor * amount) for part, amount in charge.parts.items()})


def history() -> Iterator[Entry]:
    """Return the small history, with what some commands look for: outcomes, tags, workflows, batches."""
    for number, entry in enumerate(busy_month()):
        told: dict[str, object] = {"outcome": "rejected" if number % 7 == 0 else "accepted", "quality": 0.8}
        is_summary = entry.stage == "13_ai_summarization"
        yield replace(
            entry,
            charge=_times(12, entry.charge) if number == ODD else entry.charge,
            workflow="summarize" if number % 3 else "subtitle",
            tags=("nightly", "pilot") if number % 5 == 0 else ("nightly",) if number % 2 else (),
            service_tier="batch" if is_summary and number % 4 == 0 else None,
            metadata=told if is_summary else {},
        )


@pytest.fixture
def saved(tmp_path: Path, cost_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cost storage with the small history, as it is at noon of its last day."""
    (tmp_path / "profile.yaml").write_text(PROFILE)
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(tmp_path / "profile.yaml"))
    monkeypatch.setattr("shared.costs.apps.cli.app.Workspace", partial(Workspace, clock=lambda: NOW))
    with Workspace(cost_home) as workspace:
        workspace.storage.prepare()
        save(history(), tmp_path / "out", workspace)
    return tmp_path


@pytest.mark.parametrize("name", [*CASES, *WRITERS])
def test_what_a_command_prints(name: str, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Report] = []
    monkeypatch.setattr(App, "show", lambda _, report, day=None: shown.append(report))
    words = {**CASES, **WRITERS}[name].replace("DIR", str(saved))
    code = run([name, *shlex.split(words)])
    assert code == (1 if name == "check" else 0)
    [report] = shown
    check_report(f"cli-{name}", _placed(report, str(saved.resolve())))


def _placed(report: Report, folder: str) -> Report:
    """Return the report as it would be in ``/home/rpatel``: this test's folder moves line breaks."""

    def moved(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace(folder, "/home/rpatel")
        if isinstance(value, dict):
            return {moved(key): moved(each) for key, each in value.items()}
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*map(moved, value))
        return type(value)(map(moved, value)) if isinstance(value, (list, tuple)) else value

    return Report(*map(moved, report._replace(data=dict(report.data))))


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in PRINT_NO_VIEW])
def test_every_command_has_golden_files(name: str) -> None:
    """Of one case at least as text and as JSON: under its own name, or as it is run here."""
    cases = {path.stem for path in FOLDER.glob("*.json")}
    mine = [case for case in cases if re.fullmatch(rf"(cli-)?{name}(-.*)?", case)]
    whole = [case for case in mine if (FOLDER / f"{case}-{WIDTH}.txt").exists()]
    assert whole, f"add {name} to CASES here, or a golden test of its view"


def test_what_prints_no_view_is_a_command() -> None:
    assert set(PRINT_NO_VIEW) <= set(COMMANDS)
