"""P12: 60 processes that start together, one call each into 60 new jobs, beside plain durable appends.

From a barrier after the imports until the last one is done. The peer makes the job's folder and appends
one line to a new file in it, which it syncs with its folder. Each subject starts on an empty storage; the
subjects take turns. After each round of ``log_usage`` the month is asked: every call must be in it at
once.

    python scripts/bench/p12_new_jobs.py [--rounds 7] [--processes 60]
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path

from scripts.bench.harness import Row, show
from scripts.faults.command_line import command_line
from shared.cost_tracker import CostTracker

ROOT = Path(__file__).resolve().parents[2]
LINE = b"x" * 446 + b"\n"


def plain_append(folder: Path, number: int) -> None:
    """Make a job's folder and append one line durably."""
    job = folder / "jobs" / f"job-{number}"
    job.mkdir(parents=True)
    fd = os.open(job / "cost_ledger.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, LINE)
    os.fdatasync(fd)
    for place in (job, job.parent):
        directory = os.open(place, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
    os.close(fd)


def log_usage(folder: Path, number: int) -> None:
    """The whole call: known, priced, appended, counted."""
    tracker = CostTracker(
        folder / "jobs" / f"job-{number}", "1", folder / "storage", profile_path=folder / "none.yaml"
    )
    tracker.log_usage("openai", "gpt-4o", 1500, 300, stage="13_ai_summarization")


SUBJECTS: dict[str, Callable[[Path, int], None]] = {"plain appends": plain_append, "log_usage": log_usage}


def one_round(subject: str, folder: Path, processes: int) -> list[float]:
    """Return the seconds from the barrier to the end of each process's call."""
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(processes), context.SimpleQueue()

    def work(number: int, start: Barrier) -> None:
        start.wait()
        began = time.monotonic()
        SUBJECTS[subject](folder, number)
        answers.put((began, time.monotonic()))

    running = [context.Process(target=work, args=(number, barrier)) for number in range(processes)]
    for process in running:
        process.start()
    times = [answers.get() for _ in running]
    for process in running:
        process.join()
    first = min(began for began, _ in times)
    return [ended - first for _, ended in times]


def calls_in_month(folder: Path) -> int:
    """Return how many calls the month has."""
    command = [sys.executable, str(ROOT / "tools" / "cost-dashboard.py"), "show-monthly", "--json"]
    environment = {
        **os.environ,
        "COST_TRACKER_HOME": str(folder / "storage"),
        "COST_TRACKER_PROFILE": str(folder / "none.yaml"),
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    calls: int = json.loads(done.stdout)["total_calls"]
    return calls


def main() -> None:
    """Measure and print."""
    parser = command_line(__doc__, rounds=7, processes=60)
    options = parser.parse_args()
    last: dict[str, list[float]] = {name: [] for name in SUBJECTS}
    median: dict[str, list[float]] = {name: [] for name in SUBJECTS}
    seen = []
    with tempfile.TemporaryDirectory(dir=ROOT) as name:
        warm = Path(name) / "warm"
        warm.mkdir()
        (warm / "none.yaml").write_text("budget: {}\n")
        log_usage(warm, 0)  # imports
        for number in range(options.rounds):
            for subject in SUBJECTS:
                folder = Path(name) / f"{number}-{subject}"
                folder.mkdir()
                (folder / "none.yaml").write_text("budget: {}\n")
                times = one_round(subject, folder, options.processes)
                last[subject].append(max(times))
                median[subject].append(statistics.median(times))
                if subject == "log_usage":
                    seen.append(calls_in_month(folder))
    floor = statistics.median(last["plain appends"])
    rows = []
    for subject in SUBJECTS:
        took, half = statistics.median(last[subject]), statistics.median(median[subject])
        ours = subject == "log_usage"
        rows += [
            Row(
                f"{subject}: all done after",
                f"{took * 1e3:.0f} ms",
                f"{took / floor:.2f}",
                "<= 3.00" if ours else "",
                took <= 3 * floor if ours else None,
            ),
            Row(f"{subject}: half done after", f"{half * 1e3:.0f} ms"),
        ]
    whole = sum(calls == options.processes for calls in seen)
    rows.append(
        Row(
            "rounds with every call in the month at once",
            f"{whole} of {len(seen)}",
            "",
            "all",
            whole == len(seen),
        )
    )
    show(f"P12: {options.processes} processes begin new jobs together", rows)


if __name__ == "__main__":
    main()
