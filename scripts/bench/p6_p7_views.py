"""P6 and P7: ``show-budget``, ``show-monthly`` and ``statusline`` over a large history and a tenfold one.

Whole processes are measured, from start to exit, with the index warm and a profile of two limits; the
floor is Python doing nothing. Memory is the largest that a process had.

    python3 scripts/bench/p6_p7_views.py [--entries 1000000] [--jobs 10000] [--times 10] [--keep DIR]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scripts.bench.harness import Row, show
from scripts.bench.histories import END, USERS, History, kept
from scripts.faults.command_line import command_line
from shared.costs.store.store import Store

TOOL = Path(__file__).resolve().parents[2] / "tools" / "cost-dashboard.py"
MONTH = f"{END:%Y-%m}"
VIEWS = {
    "show-budget": ["show-budget", "--month", MONTH, "--user", USERS[0]],
    "show-monthly": ["show-monthly", "--month", MONTH],
    "statusline": ["statusline", "--user", USERS[0]],
}
TARGETS_S = {"statusline": 0.060}
"""The most a view may take at the smaller history; any other 0.120."""


def prepared(root: Path, entries: int, jobs: int) -> History:
    """Write a history and build its index."""
    history = kept(root, entries, jobs)
    if (history.storage.root / "sums.db").exists():
        return history
    with Store.of(history.storage) as index:
        index.rebuild(
            lambda done, whole: print(f"\r{root.name}: {100 * done // whole} %", end="", file=sys.stderr)
        )
    print(file=sys.stderr)
    return history


def run(arguments: list[str], home: Path | None = None) -> float:
    """Run a program and return its seconds."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=_environ(home), stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin


def memory(arguments: list[str], home: Path | None) -> float:
    """Run a Python file in a process that tells its largest memory at the end; return it in MB.

    What the system tells of a child includes its parent's memory, from between fork and exec.
    """
    done = subprocess.run(
        [sys.executable, "-c", TELLING, *arguments],
        env=_environ(home),
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stderr.split()[-1]) / 1000


TELLING = """
import atexit, runpy, sys
atexit.register(lambda: sys.stderr.write(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def _environ(home: Path | None) -> dict[str, str]:
    # Without written bytecode Python compiles every module anew: no user's machine does that.
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    if home is None:
        return own
    profile = home / "profile.yaml"
    profile.write_text("budget: {monthly_limit_usd: 1000000, daily_limit_usd: 100000}\n")
    return {**own, "COST_TRACKER_HOME": str(home), "COST_TRACKER_PROFILE": str(profile)}


def measured(histories: dict[str, History], rounds: int) -> dict[tuple[str, str], float]:
    """Run everything in turns; return the median seconds by view and history."""
    subjects: dict[tuple[str, str], tuple[list[str], Path | None]] = {PASS: (["-c", "pass"], None)}
    for view, arguments in VIEWS.items():
        for name, history in histories.items():
            subjects[view, name] = ([str(TOOL), *arguments], history.storage.root)
    found: dict[tuple[str, str], list[float]] = {key: [] for key in subjects}
    for number in range(rounds + 1):
        for key, (arguments, home) in subjects.items():
            seconds = run(arguments, home)
            if number:
                found[key].append(seconds)
    return {key: statistics.median(times) for key, times in found.items()}


PASS = ("python -c pass", "")


def rows(histories: dict[str, History], rounds: int) -> list[Row]:
    """Return the table: the smaller history first."""
    found = measured(histories, rounds)
    table = [Row(PASS[0], _ms(found[PASS]))]
    (small, _), (large, _) = histories.items()
    for view, arguments in VIEWS.items():
        used = {name: memory([str(TOOL), *arguments], each.storage.root) for name, each in histories.items()}
        first, second = found[view, small], found[view, large]
        target = TARGETS_S.get(view, 0.120)
        table += [
            Row(
                f"{view}, {small}",
                f"{_ms(first)}, {used[small]:.0f} MB",
                f"{first / found[PASS]:.1f} x Python",
                _ms(target),
                first <= target,
            ),
            Row(
                f"{view}, {large}",
                f"{_ms(second)}, {used[large]:.0f} MB",
                f"{second / first:.2f} x",
                "1.5 x, 100 MB",
                second <= 1.5 * first and used[large] < 100,
            ),
        ]
    return table


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def main() -> None:
    """Measure and print the table."""
    parser = command_line(__doc__, entries=1_000_000, jobs=10_000, times=10, rounds=7)
    parser.add_argument("--keep", type=Path, help="where the histories are kept for the next time")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.keep or Path(scratch)
        sizes = [(given.entries, given.jobs), (given.entries * given.times, given.jobs * given.times)]
        small, large = (f"{entries:,} entries in {jobs:,} jobs" for entries, jobs in sizes)
        histories = {
            name: prepared(folder / f"history-{entries}", entries, jobs)
            for name, (entries, jobs) in zip((small, large), sizes, strict=True)
        }
        show("P6, P7: views of a month, whole process", rows(histories, given.rounds))


if __name__ == "__main__":
    main()
