"""Takes out one safeguard at a time, in a copy of the project, and shows which test notices.

python scripts/faults/mutation_check.py [--only heal]
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from scripts.faults.command_line import command_line
from scripts.faults.common import ROOT, conclude


@dataclass(frozen=True)
class Mutant:
    """A safeguard taken out: ``old`` becomes ``new`` in ``file``, and one of ``tests`` must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


LEDGER = ("tests/costs/ledger", "tests/costs/test_platform.py")
RUNNING = ("tests/integration/test_money_out_of_sight.py", "tests/integration/test_ways_of_running.py")
MUTANTS = (
    Mutant(
        "heal", "ledger/writer.py", 'if end == 0 or os.pread(fd, 1, end - 1) == b"\\n":', "if True:", LEDGER
    ),
    Mutant("CRC", "ledger/line.py", "    return raw[-SEAL_LENGTH:] ==", "    return True or raw ==", LEDGER),
    Mutant("roll-back", "ledger/writer.py", "os.ftruncate(fd, start)", "pass", LEDGER),
    Mutant("own bytes", "ledger/writer.py", "os.pread(fd, written, start) == data[:written]", "True", LEDGER),
    Mutant(
        "lock",
        "platform.py",
        "        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "        pass",
        LEDGER,
    ),
    Mutant("inode check", "ledger/writer.py", "if not _is_named(ledger, status):", "if False:", LEDGER),
    Mutant(
        "sync",
        "ledger/writer.py",
        "                platform.sync(opened.file.fileno())\n",
        "",
        LEDGER,
    ),
    Mutant(
        "orphan rule",
        "store/holds.py",
        "WHERE NOT orphaned OR period_at >= ? OR ledger = ?",
        "WHERE NOT orphaned AND (period_at >= ? OR ledger = ?)",
        ("tests/costs/budgets",),
    ),
    Mutant(
        "the note before the write",
        "tracking/recording.py",
        "known = index.note(ledger)",
        "known = True",
        RUNNING,
    ),
    Mutant(
        "sums of a gone ledger",
        "store/gone.py",
        "        self._append(db, *(_record(db, row) for row in rows if row.gone != WAITING))",
        "        pass",
        RUNNING,
    ),
    Mutant(
        "completeness",
        "store/catchup.py",
        "if end is not None and time.monotonic() > end:",
        "if True:",
        RUNNING,
    ),
)


def failure(tests: tuple[str, ...], copy: Path) -> str | None:
    """Run tests in the copy; return the first one that fails, ``None`` when all pass."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(copy)}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return failed[1] if failed else f"exit code {done.returncode}"


def noticed(mutant: Mutant, copy: Path) -> str | None:
    """Return the test that noticed, or ``None`` when the mutant survives."""
    path = copy / "shared" / "costs" / mutant.file
    original = path.read_text(encoding="utf-8")
    if original.count(mutant.old) != 1:
        raise SystemExit(f"{mutant.name}: {mutant.file} does not have the line {mutant.old!r} once")
    path.write_text(original.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        return failure(mutant.tests, copy)
    finally:
        path.write_text(original, encoding="utf-8")


def main() -> int:
    """Try every mutant."""
    parser = command_line(__doc__)
    parser.add_argument("--only", choices=[mutant.name for mutant in MUTANTS])
    options = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if options.only in (None, mutant.name)]
    survivors = 0
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "project"
        ignore = shutil.ignore_patterns(".*", "__pycache__", "out")
        shutil.copytree(ROOT, copy, ignore=ignore)
        for tests in dict.fromkeys(mutant.tests for mutant in chosen):
            if failed := failure(tests, copy):
                raise SystemExit(
                    f"{failed} fails with all safeguards in place: what it notices means nothing"
                )
        for mutant in chosen:
            test = noticed(mutant, copy)
            survivors += test is None
            print(f"without {mutant.name}: {test or 'NOBODY NOTICED'}", flush=True)
    return conclude("mutation check", survivors == 0, mutants=len(chosen), survivors=survivors)


if __name__ == "__main__":
    raise SystemExit(main())
