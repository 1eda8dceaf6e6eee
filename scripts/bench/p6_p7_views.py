"""P6 and P7: ``show-budget`` and ``show-monthly`` over a large history, and over one ten times as large.

Whole processes are measured, from start to exit, with the index warm; the floor is Python doing
nothing. Memory is the largest that a process had.

    python3 scripts/bench/p6_p7_views.py [--entries 1000000] [--jobs 10000] [--times 10] [--rounds 7]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

from harness import Row, show
from histories import END, USERS, History, make

from shared.costs.index.index import Index

TOOL = Path(__file__).resolve().parents[2] / "tools" / "cost-dashboard.py"
MONTH = f"{END:%Y-%m}"
VIEWS = {
    "show-budget": ["show-budget", "--month", MONTH, "--user", USERS[0]],
    "show-monthly": ["show-monthly", "--month", MONTH],
}


def prepared(root: Path, entries: int, jobs: int) -> History:
    """Write a history and build its index."""
    history = make(root, entries, jobs)
    with Index.open(history.storage) as index:
        index.rebuild(
            lambda done, whole: print(f"\r{root.name}: {100 * done // whole} %", end="", file=sys.stderr)
        )
    print(file=sys.stderr)
    return history


def run(arguments: list[str], home: Path | None = None) -> tuple[float, int]:
    """Run a program; return its seconds and the kilobytes of memory it had at most."""
    environ = {**os.environ, "COST_TRACKER_HOME": str(home)} if home else dict(os.environ)
    begin = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], env=environ, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{arguments} ended with {process.returncode}")
    return seconds, used.ru_maxrss


def measured(histories: dict[str, History], rounds: int) -> dict[tuple[str, str], tuple[float, int]]:
    """Run everything in turns; return the median seconds and the most memory by view and history."""
    subjects: dict[tuple[str, str], tuple[list[str], Path | None]] = {
        ("python -c pass", ""): (["-c", "pass"], None)
    }
    for view, arguments in VIEWS.items():
        for name, history in histories.items():
            subjects[view, name] = ([str(TOOL), *arguments], history.storage.root)
    found: dict[tuple[str, str], list[tuple[float, int]]] = {key: [] for key in subjects}
    for number in range(rounds + 1):
        for key, (arguments, home) in subjects.items():
            result = run(arguments, home)
            if number:
                found[key].append(result)
    return {
        key: (statistics.median(seconds for seconds, _ in results), max(memory for _, memory in results))
        for key, results in found.items()
    }


def rows(found: dict[tuple[str, str], tuple[float, int]], small: str, large: str) -> list[Row]:
    """Return the table."""
    floor = found["python -c pass", ""][0]
    table = [Row("python -c pass", _ms(floor))]
    for view in VIEWS:
        (first, memory), (second, most) = found[view, small], found[view, large]
        table.append(
            Row(f"{view}, {small}", f"{_ms(first)}, {memory / 1000:.0f} MB", "", "120 ms", first <= 0.120)
        )
        table.append(
            Row(
                f"{view}, {large}",
                f"{_ms(second)}, {most / 1000:.0f} MB",
                f"{second / first:.2f} x",
                "1.5 x, 100 MB",
                second <= 1.5 * first and most < 100_000,
            )
        )
    return table


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as folder:
        sizes = [(given.entries, given.jobs), (given.entries * given.times, given.jobs * given.times)]
        small, large = (f"{entries:,} entries in {jobs:,} jobs" for entries, jobs in sizes)
        histories = {
            name: prepared(Path(folder) / name.replace(" ", "-"), entries, jobs)
            for name, (entries, jobs) in zip((small, large), sizes, strict=True)
        }
        show("P6, P7: views of a month, whole process", rows(measured(histories, given.rounds), small, large))


if __name__ == "__main__":
    main()
