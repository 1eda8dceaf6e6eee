"""Running programs under ``cost-dashboard run``, as people do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shared.costs.ledger.reader import read
from shared.costs.model import Entry
from shared.costs.run.libraries import LIBRARIES
from shared.costs.storage import LEDGER_NAME
from tests.support.lazily import is_there

ROOT = Path(__file__).parents[3]
PROGRAM = ROOT / "tools" / "cost-dashboard.py"


def can_capture(library: str) -> bool:
    """Tell whether an instrumentation of a library, or its own, is installed."""
    found = next(each for each in LIBRARIES if each.module == library)
    reporters = [place.partition(":")[0] for place in found.instrumentors]
    own = [found.own_spans] if found.own_spans else []
    return is_there(library) and any(is_there(each) for each in [*reporters, *own])


needs_openai = pytest.mark.skipif(
    not (is_there("opentelemetry.sdk") and can_capture("openai")),
    reason="needs openai, opentelemetry-sdk and an instrumentation: pip install -e '.[dev,capture]'",
)
needs_anthropic = pytest.mark.skipif(
    not (is_there("opentelemetry.sdk") and can_capture("anthropic")),
    reason="needs anthropic and opentelemetry-sdk: pip install -e '.[dev,capture]'",
)


def measured() -> dict[str, str]:
    """What makes the processes under test count for coverage, where it is measured.

    For the few programs that together reach every line: measuring one takes as long again as running it.
    """
    coverage = sys.modules.get("coverage")
    running = coverage is not None and coverage.Coverage.current() is not None
    return {"COVERAGE_PROCESS_START": str(ROOT / "pyproject.toml")} if running else {}


def dashboard_run(*arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run ``cost-dashboard run`` with these arguments."""
    return subprocess.run(
        [sys.executable, str(PROGRAM), "run", *map(str, arguments)],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def script(folder: Path, text: str) -> Path:
    """Write a program for ``dashboard_run``."""
    path = folder / "any_script.py"
    path.write_text(text)
    return path


def entries(job: Path) -> list[Entry]:
    """The entries of a job's ledger; every line must be one."""
    found = [located.content for located in read(job / LEDGER_NAME)]
    assert all(isinstance(entry, Entry) for entry in found)
    return [entry for entry in found if isinstance(entry, Entry)]


def written(path: Path) -> Any:
    """The JSON in a file."""
    return json.loads(path.read_text(encoding="utf-8"))
