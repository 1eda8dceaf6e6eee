"""P13: reserve, log and settle a call, beside ``log_usage`` alone, by one process and by eight at once.

All through the tracker, as stages do it, under blocking limits on a month, a day and a job. One process:
the median of a whole reserved call against that of ``log_usage``, taking turns. Several processes, each in
a job of its own in one storage, for some seconds: how many calls each one got, and the longest wait for a
reservation. The floor of both is one durable SQLite transaction with an insert and a delete.

    python scripts/bench/p13_gate.py [--rounds 7] [--calls 100] [--processes 8] [--seconds 5]
"""

from __future__ import annotations

import multiprocessing
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import NamedTuple

from scripts.bench.harness import Measured, Row, interleaved, show
from scripts.faults.command_line import command_line
from shared.cost_tracker import CostTracker

LIMITS = "monthly_limit_usd: 1000000, daily_limit_usd: 100000, job_limit_usd: 10000, block_at_limit: true"
MODEL = ("openai", "gpt-4o")
TIMES_LOG_USAGE, SHARE, WORST_MS = 2.2, 0.5, 100.0
"""What is to be reached: at most that many times ``log_usage``, at least that share, at most that wait."""


class Caller:
    """A stage that reserves each call."""

    def __init__(self, folder: Path, job: str) -> None:
        profile = folder / "profile.yaml"
        if not profile.exists():
            profile.write_text(f"budget: {{{LIMITS}}}\n")
        self.tracker = CostTracker(folder / job, "rpatel", folder / "storage", profile_path=profile)
        self.waits: list[float] = []

    def log(self) -> None:
        """Log one call."""
        self.tracker.log_usage(*MODEL, 1500, 300, stage="13_ai_summarization")

    def whole(self) -> None:
        """Reserve, log and settle one call."""
        asked = time.perf_counter()
        with self.tracker.reserve(*MODEL, tokens_input=1500, max_tokens_output=300) as hold:
            self.waits.append(time.perf_counter() - asked)
            self.tracker.log_usage(*MODEL, 1500, 300, stage="13_ai_summarization", reservation=hold)


def floor(folder: Path) -> Callable[[], object]:
    """Insert and delete in one durable transaction."""
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE holds (id TEXT PRIMARY KEY, line TEXT) WITHOUT ROWID")

    def hold() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO holds VALUES ('1', ?)", ("x" * 150,))
        connection.execute("DELETE FROM holds")
        connection.execute("COMMIT")

    return hold


class Share(NamedTuple):
    """What one of several processes got: its calls, and its waits for reservations in seconds."""

    calls: int
    waits: list[float]


def together(folder: Path, processes: int, seconds: float) -> list[Share]:
    """Let processes make whole calls at once for a while."""
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(processes), context.SimpleQueue()

    def work(number: int, barrier: Barrier) -> None:
        caller = Caller(folder, f"job-{number}")
        caller.whole()
        caller.waits.clear()
        barrier.wait()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            caller.whole()
        answers.put(Share(len(caller.waits), caller.waits))

    workers = [context.Process(target=work, args=(number, barrier)) for number in range(processes)]
    for worker in workers:
        worker.start()
    shares = [answers.get() for _ in workers]
    for worker in workers:
        worker.join()
    return shares


def main() -> None:
    """Measure and print."""
    parser = command_line(__doc__, rounds=7, processes=8)
    parser.add_argument("--calls", type=int, default=100, help="calls of each subject in a round")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long the processes call")
    options = parser.parse_args()
    # Beside the project, not in /tmp: a tmpfs would make every sync free.
    with tempfile.TemporaryDirectory(dir=Path(__file__).resolve().parents[2]) as name:
        folder = Path(name)
        caller = Caller(folder, "bench-job")
        subjects = {"floor": floor(folder), "log": caller.log, "whole": caller.whole}
        found = interleaved(subjects, options.rounds, options.calls)
        shares = together(folder, options.processes, options.seconds)
        caller.tracker.close()
    show("P13: a reserved call", [*_alone(found), *_of_all(shares, options.seconds)])


def _alone(found: dict[str, Measured]) -> list[Row]:
    ratio = found["whole"].median / found["log"].median
    target = f"at most {TIMES_LOG_USAGE}x"
    return [
        Row("durable SQLite transaction, insert and delete", f"{found['floor'].micros:.0f} us"),
        Row("log_usage", f"{found['log'].micros:.0f} us"),
        Row(
            "reserve, log, settle",
            f"{found['whole'].micros:.0f} us",
            f"{ratio:.2f}x",
            target,
            ratio <= TIMES_LOG_USAGE,
        ),
    ]


def _of_all(shares: list[Share], seconds: float) -> list[Row]:
    calls = sorted(share.calls for share in shares)
    waits = sorted(wait for share in shares for wait in share.waits)
    even, worst_ms = sum(calls) / len(calls), waits[-1] * 1e3
    share = calls[0] / even
    p99_ms = statistics.quantiles(waits, n=100)[98] * 1e3
    return [
        Row(f"{len(shares)} processes, whole calls", f"{sum(calls) / seconds:.0f} a second"),
        Row(
            "  the one that got least",
            f"{calls[0]} of {even:.0f}",
            f"{share:.2f}",
            f"at least {SHARE}",
            share >= SHARE,
        ),
        Row(
            "  wait for a reservation, p99 and worst",
            f"{p99_ms:.1f} ms, {worst_ms:.0f} ms",
            "",
            f"at most {WORST_MS:.0f} ms",
            worst_ms <= WORST_MS,
        ),
    ]


if __name__ == "__main__":
    main()
