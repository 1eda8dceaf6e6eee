"""P8 and P10: building the whole index from its ledgers, and how large both are.

The peer is DuckDB: it reads the same files and sums them by month, user, stage, service and model, once
guessing the columns and once told which. It checks no seals, looks for no repeated ids and keeps
nothing. The floor is reading the bytes. All of it with a warm page cache.

    python3 scripts/bench/p8_p10_rebuild.py [--entries 1000000] [--jobs 10000] [--rounds 3]
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from scripts.bench.harness import Row, show
from scripts.bench.histories import History, make
from scripts.faults.command_line import command_line
from shared.costs.rollup import Query
from shared.costs.store.store import Store

COLUMNS = (
    "{id: 'VARCHAR', timestamp: 'TIMESTAMP', user_id: 'VARCHAR', stage: 'VARCHAR', service: 'VARCHAR', "
    "model: 'VARCHAR', tokens_input: 'BIGINT', tokens_output: 'BIGINT', cost_usd: 'DOUBLE'}"
)


def read_all(history: History) -> None:
    """Read every byte."""
    for folder, _, files in os.walk(history.root / "jobs"):
        for name in files:
            Path(folder, name).read_bytes()


def scan(history: History, columns: str = "") -> None:
    """Sum with DuckDB."""
    files = f"{history.root}/jobs/*/*/cost_ledger.jsonl"
    duckdb.sql(
        f"""SELECT date_trunc('month', timestamp::TIMESTAMP), user_id, stage, service, model,
        count(*), sum(tokens_input), sum(tokens_output), sum(cost_usd)
        FROM read_json('{files}', format = 'newline_delimited'{columns}) GROUP BY ALL"""
    ).fetchall()  # type: ignore[union-attr]  # a SELECT has a relation


def rebuild(history: History) -> None:
    """Build the index, and check what it says."""
    with Store.of(history.storage) as index:
        index.rebuild()
        [group] = index.groups((), Query())
    if (group.totals.calls, group.totals.cost) != (history.entries, history.cost):
        raise SystemExit(f"the index has {group.totals}, the history is {history}")


@dataclass(frozen=True)
class Took:
    """Seconds on the clock, and of all processors together: the latter says more on a busy machine."""

    clock: float
    cpu: float


def timed(subjects: dict[str, Callable[[], None]], rounds: int) -> dict[str, Took]:
    """Return the medians of each, taken in turns."""
    found: dict[str, list[Took]] = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, subject in subjects.items():
            begin, before = time.perf_counter(), sum(os.times()[:4])
            subject()
            found[name].append(Took(time.perf_counter() - begin, sum(os.times()[:4]) - before))
    return {
        name: Took(statistics.median(t.clock for t in took), statistics.median(t.cpu for t in took))
        for name, took in found.items()
    }


def main() -> None:
    """Measure and print the tables."""
    parser = command_line(__doc__, entries=1_000_000, jobs=10_000, rounds=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        history = make(Path(folder), given.entries, given.jobs)
        read_all(history)
        subjects: dict[str, Callable[[], None]] = {
            "read every byte": lambda: read_all(history),
            "DuckDB, guessing the columns": lambda: scan(history),
            "DuckDB, told the columns": lambda: scan(history, f", columns = {COLUMNS}"),
            "rebuild": lambda: rebuild(history),
        }
        found = timed(subjects, given.rounds)
        size = sum(path.stat().st_size for path in history.storage.root.glob("sums.db*"))
    peer = min((found[name] for name in subjects if name.startswith("DuckDB")), key=lambda took: took.clock)
    table = []
    for name, took in found.items():
        ratio = took.clock / peer.clock
        ratios = f"{ratio:.2f} x, {took.cpu / peer.cpu:.2f} x of CPU"
        goal = ("1.5 x", ratio <= 1.5) if name == "rebuild" else ("", None)
        table.append(Row(name, f"{took.clock:.2f} s, {took.cpu:.2f} s of CPU", ratios, *goal))
    show(f"P8: {given.entries:,} entries in {given.jobs:,} jobs, {history.bytes / 1e6:.0f} MB", table)
    line, share = history.bytes / history.entries, size / history.bytes
    show(
        "P10: size",
        [
            Row("an entry of the history", f"{line:.0f} bytes", "", "450 bytes", line <= 450),
            Row("the sums", f"{size / 1e6:.1f} MB", f"{share:.1%} of its ledgers", "15 %", share <= 0.15),
            Row("the sums, for each entry", f"{size / history.entries:.1f} bytes"),
        ],
    )


if __name__ == "__main__":
    main()
