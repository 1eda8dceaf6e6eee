#!/usr/bin/env python3
"""The second command of the README: set up, then check everything there is to check.

Lint, format, types, and all tests with the branch coverage of ``shared``; among the tests are those
of the built wheel and the examples in docstrings. Every check runs, also after one has failed; types are
checked while the tests run, and what there is to say of them comes last. A few tests that fail among all are
run once more, alone, and named: what load or a neighbour brings about is told apart from a fault.

    python3 scripts/test.py
    python3 scripts/test.py tests/integration -k batch     # arguments go to pytest
    python3 scripts/test.py --engines                      # those that need Spark, in their own environment
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from environment import ROOT, SetUpFailed, program, say, set_up, set_up_engines

EXTRAS = (
    "dev",
    "dev-browser",
    "capture",
    "local",
    "notify",
    "pdf",
    "providers",
    "serve",
    "shared",
    "warehouse",
)
CHECKS = {
    "lint": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
}
TYPES = ["mypy"]
"""Takes a core for a minute when all is read anew; the tests often wait for what they started."""
PROGRAMS = ("agents", "bench", "faults")
"""Packages in ``scripts``, whose modules are named to mypy: what it finds by way of an import, where the
project is installed as editable, it takes for others' code and says nothing of.
"""
SPARK = "tests/costs/exchange/test_archive_spark.py"
"""The tests that need Spark. Others beside them need more than its environment has."""

WORKERS = ["-n", "3", "--dist", "worksteal"]
"""One more than the cores for which the time is promised: some tests wait for locks, answers or time."""
MEASURED = ["--cov", "--cov-report=", "--cov-fail-under=0"]
"""The report is a check of its own: within the tests it is worked out twice, while one core waits."""
COVERAGE = ["coverage", "report"]
FEW = 5
"""How many failed tests are run once more; more than these are no chance."""
FAILED = 1
"""pytest's exit code where tests failed; those above it are faults of the run itself."""
LAST_FAILED = Path(".pytest_cache") / "v" / "cache" / "lastfailed"
ROOM = 4 * 2**30
"""How many bytes must be free there: the files of the tests take a quarter of it."""


def main() -> int:
    """Run all checks; the exit code is 1 when one of them failed."""
    if sys.argv[1:2] == ["--engines"]:
        return engines(sys.argv[2:])
    try:
        set_up(*EXTRAS)
    except SetUpFailed as fault:
        say(str(fault))
        return 3
    asked = sys.argv[1:]
    tests = ["pytest", "-q", *WORKERS, *(asked or MEASURED)]
    every = {**CHECKS, "tests": tests, "coverage": COVERAGE}
    failed = failures({"tests": tests}) if asked else all_failures(every)
    say(f"failed: {', '.join(failed)}" if failed else "all checks passed")
    return int(bool(failed))


def all_failures(checks: dict[str, list[str]]) -> list[str]:
    """Run the checks with that of types beside them; return the names of those that failed."""
    with tempfile.TemporaryFile() as said, ThreadPoolExecutor(1) as beside:
        types = beside.submit(types_of_all, said)
        failed = failures(checks, again=True)
        code, seconds = types.result()
        say(f"types: {' '.join(TYPES)}")
        said.seek(0)
        print(said.read().decode("utf-8", "replace"), end="", flush=True)
    return failed if passed("types", code, seconds) else [*failed, "types"]


def failures(checks: dict[str, list[str]], *, again: bool = False) -> list[str]:
    """Run the checks one after the other; return the names of those that failed.

    ``again`` runs a few failed tests once more. That says nothing where a person's own arguments chose them:
    with ``-x`` the rest did not run, with ``-p no:cacheprovider`` those are named that failed another day.
    """
    failed = []
    for name, command in checks.items():
        say(f"{name}: {' '.join(command)}")
        code, seconds = run(command)
        if again and name == "tests" and code == FAILED and (few := few_failed()):
            say(f"tests: {len(few)} failed beside the others and run once more, alone: {', '.join(few)}")
            code, more = run(["pytest", "-q", *few])
            seconds += more
        if not passed(name, code, seconds):
            failed.append(name)
    return failed


def types_of_all(out: IO[bytes]) -> tuple[int, float]:
    """Check the types of the project, then of its programs; return the exit code and how long it took."""
    files = sorted(path for name in PROGRAMS for path in (ROOT / "scripts" / name).glob("*.py"))
    paths = [path.relative_to(ROOT).with_suffix("") for path in files if path.stem != "__init__"]
    names = [".".join(path.parts) for path in paths]
    done = [run(command, out) for command in (TYPES, [*TYPES, *(f"--module={name}" for name in names)])]
    return max(code for code, _ in done), sum(seconds for _, seconds in done)


def few_failed() -> list[str]:
    """Return the tests that failed last, by pytest's names of them; none where they are more than a few."""
    try:
        names = json.loads((ROOT / LAST_FAILED).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    return sorted(names) if len(names) <= FEW else []


def engines(asked: list[str]) -> int:
    """Run the tests that need engines of their own; the exit code is pytest's."""
    try:
        python = set_up_engines()
    except SetUpFailed as fault:
        say(str(fault))
        return 3
    command = [str(python), "-m", "pytest", "-q", "-m", "engines", *(asked or [SPARK])]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def run(command: list[str], out: IO[bytes] | None = None) -> tuple[int, float]:
    """Run a module of the environment; return its exit code and how many seconds it took."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(
        prefix="cost-ledger-",
        dir=memory(),
        ignore_cleanup_errors=True,  # what a program still writes there says nothing of the check
    ) as scratch:
        environ = {**os.environ, "TMPDIR": scratch}
        python = str(program("python"))
        done = subprocess.run(
            [python, "-m", *command], cwd=ROOT, env=environ, stdout=out, stderr=out, check=False
        )
    return done.returncode, time.monotonic() - began


def passed(name: str, code: int, seconds: float) -> bool:
    """Say how a check ended; return whether it passed."""
    say(f"{name}: {'failed' if code else 'passed'} in {seconds:.0f} s")
    return not code


def memory() -> Path | None:
    """Return a folder in memory where there is one with room: thousands of small files are synced there."""
    folder = Path("/dev/shm")  # only private folders are made in it
    has_room = folder.is_dir() and shutil.disk_usage(folder).free > ROOM and os.access(folder, os.W_OK)
    return folder if has_room else None


if __name__ == "__main__":
    sys.exit(main())
