"""The gate: reserving and settling one call, against its floor, and with several processes at once.

The floor is what no durable hold can do without: one durable SQLite transaction (WAL,
``synchronous=FULL``) with an insert and a delete. The whole way of a call is reserve, append to the
ledger, index, settle.

    python scripts/bench/gate.py [--rounds 7] [--calls 100] [--processes 8]
"""

from __future__ import annotations

import argparse
import multiprocessing
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scripts.bench.harness import Measured, Row, interleaved, show
from shared.costs.budgets.gate import Gate, Request
from shared.costs.budgets.hold import Hold
from shared.costs.ledger.ids import new_id
from shared.costs.ledger.line import encode
from shared.costs.ledger.writer import append
from shared.costs.model import Charge, Entry, PricedBy, Usage
from shared.costs.money import Nanos
from shared.costs.profile import Profile
from shared.costs.profile.reading import parse_profile
from shared.costs.rollup import JobRef
from shared.costs.storage import LEDGER_NAME, CostStorage
from shared.costs.store.holds import LocalHolds
from shared.costs.store.presence import presence_in
from shared.costs.store.store import Store

PROFILE = b"""
budget: {monthly_limit_usd: 1000000, daily_limit_usd: 100000, job_limit_usd: 10000, block_at_limit: true}
organization: {monthly_limit_usd: 2000000, block_at_limit: true}
"""
COST = Nanos(4_500_000)
LIMITS = "4 blocking limits"


class Caller:
    """A process that reserves, as the tracker does."""

    def __init__(self, folder: Path, job: str) -> None:
        self.storage = CostStorage(folder / "costs")
        self.storage.prepare()
        self.index = Store.of(self.storage)
        self.gate = Gate(
            LocalHolds(self.index, presence_in(self.storage.writers_dir), lambda: datetime.now(UTC)),
            clock=lambda: datetime.now(UTC),
            names=lambda s, m: f"{s}/{m}",
        )
        self.job = JobRef(job, folder / job / LEDGER_NAME)
        self.job.ledger.parent.mkdir(exist_ok=True)
        self.index.note(self.job.ledger)
        self.profile: Profile = parse_profile(PROFILE, Path("profile.yaml"))
        self.hold: Hold | None = None

    def reserve(self) -> None:
        """Hold the cost of one call."""
        request = Request(user_id="u", service="openai", model="gpt-4o", estimate=COST, job=self.job)
        self.hold = self.gate.reserve(request, self.profile)

    def settle(self) -> None:
        """End the hold."""
        assert self.hold is not None
        self.hold.recorded(COST)
        self.hold.close()

    def record(self) -> None:
        """Append the call's entry and index it."""
        assert self.hold is not None
        entry = Entry(
            id=new_id(),
            timestamp=datetime.now(UTC),
            job_id=self.job.job_id,
            user_id="u",
            service="openai",
            model="gpt-4o",
            usage=Usage(tokens_input=1000, tokens_output=200),
            charge=Charge({"input": COST}, PricedBy("catalogue", "1", "openai/gpt-4o")),
            reservation=self.hold.id,
            period_at=self.hold.period_at,
        )
        line = encode(entry)
        self.index.note_appended(self.job.ledger, entry, append(self.job.ledger, line, 5.0), line)

    def whole(self) -> None:
        """Make one call, from the reservation to its end."""
        self.reserve()
        self.record()
        self.settle()


def floor(folder: Path) -> Callable[[], object]:
    """A durable transaction with an insert and a delete."""
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


def _storm(folder: Path, number: int, calls: int, barrier: Any, results: Any) -> None:
    caller = Caller(folder, f"job-{number}")
    caller.whole()
    barrier.wait()
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        caller.reserve()
        times.append(time.perf_counter() - start)
        caller.record()
        caller.settle()
    results.put(times)


def together(folder: Path, processes: int, calls: int) -> tuple[float, Measured]:
    """Return calls per second of all processes together, and how long reserving took."""
    barrier = multiprocessing.Barrier(processes + 1)
    results: Any = multiprocessing.Queue()
    workers = [
        multiprocessing.Process(target=_storm, args=(folder, number, calls, barrier, results))
        for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    barrier.wait()
    start = time.perf_counter()
    times = [t for _ in workers for t in results.get()]
    took = time.perf_counter() - start
    for worker in workers:
        worker.join()
    p99 = statistics.quantiles(times, n=100)[98]
    return processes * calls / took, Measured(statistics.median(times), p99)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=100, help="calls of each subject in a round")
    parser.add_argument("--processes", type=int, default=8)
    options = parser.parse_args()
    # Beside the project, not in /tmp: a tmpfs would make every sync free.
    with tempfile.TemporaryDirectory(dir=Path(__file__).resolve().parents[2]) as name:
        folder = Path(name)
        caller = Caller(folder, "bench-job")

        def reserve_and_settle() -> None:
            caller.reserve()
            caller.settle()

        subjects = {"floor": floor(folder), "both": reserve_and_settle, "whole": caller.whole}
        found = interleaved(subjects, options.rounds, options.calls)
        rate, waited = together(folder, options.processes, options.calls)
    base = found["floor"].median
    show(
        f"The gate: {LIMITS}",
        [
            Row("durable SQLite transaction, insert and delete", f"{found['floor'].micros:.0f} us", "1.00"),
            _against("reserve and settle", found["both"], base),
            _against("reserve, append, index, settle", found["whole"], base),
            Row(f"{options.processes} processes, whole calls", f"{rate:.0f} a second"),
            Row(
                "  of it reserving, median and p99", f"{waited.micros:.0f} us, {waited.p99 * 1e3:.1f} ms", ""
            ),
        ],
    )


def _against(what: str, measured: Measured, base: float) -> Row:
    return Row(what, f"{measured.micros:.0f} us", f"{measured.median / base:.2f} x floor")


if __name__ == "__main__":
    main()
