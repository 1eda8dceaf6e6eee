"""Running the dashboard as people do, on ledgers that the tracker wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest import mock

from shared.cost_tracker import CostTracker
from shared.costs.apps.cli.program import run
from shared.costs.storage import LEDGER_NAME
from shared.costs.workspace import Workspace

ROOT = Path(__file__).parents[3]
LEAVES_A_HOLD = (
    "import os, sys; from shared.cost_tracker import CostTracker; "
    "hold = CostTracker(sys.argv[1], 'rpatel').reserve("
    "'openai', 'gpt-4o', tokens_input=1000, max_tokens_output=1000); hold.__enter__(); os._exit(0)"
)
"""A process that ends with its hold still live: nothing of it runs that could void the hold."""

PROGRAM = ROOT / "tools" / "cost-dashboard.py"
OCTOBER = datetime(2026, 10, 5, 9, 30, tzinfo=UTC)


class Ran(NamedTuple):
    """How a run ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


class Dashboard:
    """Runs commands in this process, against the storage of the test."""

    def __init__(self, capsys: Any) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> Ran:
        self._capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = self._capsys.readouterr()
        return Ran(code, out, err)


def program(*arguments: str, cwd: Path | None = None, **environ: str) -> Ran:
    """Run ``tools/cost-dashboard.py`` as a process of its own."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *arguments],
        capture_output=True,
        cwd=cwd,
        env={**os.environ, **environ},
        check=False,
    )
    return Ran(
        done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    )


def write_october(folder: Path) -> None:
    """Write and register the ledgers of a few jobs of October 2026: a retry, an unknown model, local work."""
    ledgers = {folder / job / LEDGER_NAME: lines for job, lines in _october().items()}
    for ledger, lines in ledgers.items():
        ledger.parent.mkdir(parents=True)
        ledger.write_bytes(lines)
        ledger.chmod(0o600)
    with Workspace() as workspace:
        workspace.index.add(ledgers)


@cache
def _october() -> dict[str, bytes]:
    """Return the lines of each job, as the tracker logged them: once for all tests of this process."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        profile = folder / "no-limits-said.yaml"
        profile.write_text("budget: {}\n")
        own = {"COST_TRACKER_HOME": str(folder / "home"), "COST_TRACKER_PROFILE": str(profile)}
        with mock.patch.dict(os.environ, own):
            _log_october(folder)
        return {path.parent.name: path.read_bytes() for path in sorted(folder.glob(f"job-*/{LEDGER_NAME}"))}


def _log_october(folder: Path) -> None:
    for number, user in ((1, "rpatel"), (2, "rpatel"), (3, "2")):
        at = OCTOBER.replace(day=5 + number)
        with CostTracker(folder / f"job-2026100{5 + number}-{user}-0001", user) as tracker:
            tracker.log_usage(
                "local", "pocketsphinx", stage="06_whisperx_asr", audio_seconds=90.5, timestamp=at
            )
            tracker.log_usage("openai", "whisper-1", stage="06_whisperx_asr", audio_seconds=600, timestamp=at)
            tracker.log_usage(
                "openai", "gpt-4o", 1_500, 300, "13_ai_summarization", operation="summary", timestamp=at
            )
    with CostTracker(folder / "job-20261006-rpatel-0001", "rpatel") as tracker:
        at = OCTOBER.replace(day=9)
        tracker.log_usage("openai", "gpt-4o", 1_500, 300, "13_ai_summarization", attempt=2, timestamp=at)
        tracker.log_usage("acme", "unheard-of-1", 10, 10, "13_ai_summarization", timestamp=at)
