"""P3: eight processes on one ledger, durably, beside bare lock, append and sync of the same lines.

Every writer times each of its records; a round gives the throughput over all writers and the 99th
percentile over all records. The subjects take turns, and the ratios are of medians over rounds.

    python scripts/bench/p3_writers.py [--rounds 5] [--records 100] [--writers 8]

``bare`` holds the lock over the sync; ``bare, early`` gives it up before, as the ledger does.
"""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from pathlib import Path

from scripts.bench.harness import Row, show
from scripts.faults.command_line import command_line
from shared.cost_tracker import CostTracker
from shared.costs.ledger.counted import new_id
from shared.costs.ledger.line import encode
from shared.costs.ledger.recorder import Recorder
from shared.costs.model import Charge, Entry, PricedBy, Usage
from shared.costs.money import Nanos
from shared.costs.storage import LEDGER_NAME, CostStorage

LINE = b"x" * 446 + b"\n"
PRICED_BY = PricedBy("catalogue", "f7623856", "openai/gpt-4o")

Record = Callable[[], object]


def bare(folder: Path) -> Record:
    """Lock, append, sync, unlock."""
    fd = os.open(folder / "bare.jsonl", os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)

    def record() -> None:
        fcntl.flock(fd, fcntl.LOCK_EX)
        os.write(fd, LINE)
        os.fdatasync(fd)
        fcntl.flock(fd, fcntl.LOCK_UN)

    return record


def bare_early(folder: Path) -> Record:
    """Lock, append, unlock, sync."""
    fd = os.open(folder / "early.jsonl", os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)

    def record() -> None:
        fcntl.flock(fd, fcntl.LOCK_EX)
        os.write(fd, LINE)
        fcntl.flock(fd, fcntl.LOCK_UN)
        os.fdatasync(fd)

    return record


def ledger(folder: Path) -> Record:
    """Encode an entry and record it in the ledger, with its spool at hand."""
    recorder, path = Recorder(CostStorage(folder / "storage")), folder / "job" / LEDGER_NAME

    def record() -> None:
        one = an_entry()
        recorder.record(path, encode(one), one.id)

    return record


def an_entry() -> Entry:
    """Return a call as stage 13 logs it."""
    return Entry(
        id=new_id(),
        timestamp=datetime.now(UTC),
        job_id="job-20261122-rpatel-0001",
        user_id="rpatel",
        stage="13_ai_summarization",
        service="openai",
        model="gpt-4o",
        usage=Usage(tokens_input=1500, tokens_output=300),
        charge=Charge({"input": Nanos(3_750_000), "output": Nanos(3_000_000)}, PRICED_BY),
        host="worker-01",
        pid=os.getpid(),
    )


def log_usage(folder: Path) -> Record:
    """The whole call: priced, recorded, indexed, its budget checked."""
    profile = folder / f"profile-{os.getpid()}.yaml"
    profile.write_text("budget: {monthly_limit_usd: 1000000}\n")
    tracker = CostTracker(folder / "whole", "rpatel", folder / "home", profile_path=profile)
    return lambda: tracker.log_usage("openai", "gpt-4o", 1500, 300, stage="13_ai_summarization")


SUBJECTS: dict[str, Callable[[Path], Record]] = {
    "bare": bare,
    "bare, early": bare_early,
    "ledger": ledger,
    "log_usage": log_usage,
}


@dataclass(frozen=True)
class Round:
    """Records a second over all writers, and the 99th percentile of one record in seconds."""

    throughput: float
    p99: float


def one_round(subject: str, writers: int, records: int) -> Round:
    """Run one subject in ``writers`` processes on fresh files."""
    context = multiprocessing.get_context("fork")
    start, answers = context.Barrier(writers + 1), context.SimpleQueue()
    with tempfile.TemporaryDirectory() as name:

        def work(barrier: Barrier) -> None:
            record = SUBJECTS[subject](Path(name))
            record()  # imports, files, registration
            barrier.wait()
            answers.put([timed(record) for _ in range(records)])

        running = [context.Process(target=work, args=(start,)) for _ in range(writers)]
        for process in running:
            process.start()
        start.wait()
        began = time.perf_counter()
        times = [taken for _ in running for taken in answers.get()]
        lasted = time.perf_counter() - began
        for process in running:
            process.join()
    return Round(writers * records / lasted, statistics.quantiles(times, n=100)[98])


def timed(record: Record) -> float:
    """Return how long one record took."""
    began = time.perf_counter()
    record()
    return time.perf_counter() - began


def rows(rounds: dict[str, list[Round]]) -> list[Row]:
    """Set each subject against ``bare``."""
    throughput = {name: statistics.median(one.throughput for one in found) for name, found in rounds.items()}
    p99 = {name: statistics.median(one.p99 for one in found) for name, found in rounds.items()}
    table = []
    for name in rounds:
        ours = not name.startswith("bare")
        faster, later = throughput[name] / throughput["bare"], p99[name] / p99["bare"]
        table += [
            Row(
                f"{name}: records/s",
                f"{throughput[name]:,.0f}",
                f"{faster:.2f}",
                ">= 0.80" if ours else "",
                faster >= 0.8 if ours else None,
            ),
            Row(
                f"{name}: p99",
                f"{p99[name] * 1e3:.1f} ms",
                f"{later:.2f}",
                "<= 2.00" if ours else "",
                later <= 2 if ours else None,
            ),
        ]
    return table


def main() -> None:
    """Measure and print."""
    parser = command_line(__doc__, rounds=5, writers=8)
    parser.add_argument("--records", type=int, default=100, help="records of each writer in a round")
    options = parser.parse_args()
    rounds: dict[str, list[Round]] = {name: [] for name in SUBJECTS}
    for _ in range(options.rounds):
        for name, found in rounds.items():
            found.append(one_round(name, options.writers, options.records))
    show(f"P3: {options.writers} processes on one ledger", rows(rounds))


if __name__ == "__main__":
    main()
