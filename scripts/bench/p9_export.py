"""P9: `export csv` and `export parquet` beside the same with DuckDB, and the memory both take.

    python3 scripts/bench/p9_export.py --entries 1000000 --jobs 10000

The floor reads the ledgers with DuckDB's `read_json`, columns and types stated, and writes the same
columns. It checks no checksum, finds no entry that stands twice and stops at a damaged line; the
exports do all that. Each run is a process of its own; the index is warm.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from scripts.bench.harness import Row, show
from scripts.bench.histories import History, make
from scripts.faults.command_line import command_line
from shared.costs.ledger.columns import COLUMNS
from shared.costs.store.store import Store
from shared.costs.units import USAGE_FIELDS

TARGET = 1.5
PROGRAM = Path(__file__).resolve().parents[2] / "tools" / "cost-dashboard.py"

# Fields of a ledger line that the export has as they are; the rest of its columns come from priced_by.
_TYPES = {"text": "VARCHAR", "json": "JSON", "instant": "TIMESTAMP", "count": "BIGINT", "seconds": "DOUBLE"}
_MORE = {"usd": "DECIMAL(18,9)", "flag": "BOOLEAN"}

FLOOR = """
import duckdb, sys
duckdb.execute("SET enable_progress_bar = false")
root, target, columns, options = sys.argv[1:]
duckdb.execute(f\"\"\"COPY (FROM read_json('{root}/jobs/*/*/cost_ledger.jsonl', columns = {columns},
    format = 'newline_delimited')) TO '{target}' ({options})\"\"\")
"""


@dataclass(frozen=True)
class Ran:
    """Seconds, seconds of processor time and peak memory in MB of one process."""

    seconds: float
    processor: float
    megabytes: float


def columns() -> str:
    """Return the columns of the floor, as DuckDB's `read_json` takes them."""
    derived = {"price_source", "price_version", "price_unverified"}
    found = {column.name: (_TYPES | _MORE)[column.kind] for column in COLUMNS if column.name not in derived}
    found["priced_by"] = "VARCHAR"
    assert set(USAGE_FIELDS) <= set(found)
    return str(found)


def run(command: list[str], home: Path) -> Ran:
    """Run one process and measure it."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        command, env={**os.environ, "COST_TRACKER_HOME": str(home)}, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} failed: {said.decode()}")
    return Ran(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def compare(history: History, kind: str, options: str, rounds: int) -> list[Row]:
    """Measure one format beside DuckDB, taking turns."""
    target = history.root / f"out.{kind}"
    home = history.storage.root
    floor = [sys.executable, "-c", FLOOR, str(history.root), str(target), columns(), options]
    ours = [sys.executable, str(PROGRAM), "export", kind, str(target)]
    floors, exports = [], []
    for _ in range(rounds):
        floors.append(run(floor, home))
        exports.append(run(ours, home))
    base, export = (median(ran.seconds for ran in each) for each in (floors, exports))
    return [
        Row(f"DuckDB: {kind}", _told(floors), "1.00"),
        Row(
            f"export {kind}",
            _told(exports),
            f"{export / base:.2f}",
            f"<= {TARGET:g}",
            export <= TARGET * base,
        ),
    ]


def _told(runs: list[Ran]) -> str:
    """Return the median times of some runs, and the most memory that one of them took."""
    seconds, processor = (median(getattr(ran, name) for ran in runs) for name in ("seconds", "processor"))
    return f"{seconds:.1f} s ({processor:.1f} s of processor), {max(ran.megabytes for ran in runs):.0f} MB"


def main() -> None:
    """Make a history, warm its index, and print the table."""
    parser = command_line(__doc__, entries=1_000_000, jobs=10_000, rounds=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        history = make(Path(folder), given.entries, given.jobs)
        with Store.of(history.storage) as index:
            index.catch_up_all()
        rows = [
            *compare(history, "csv", "FORMAT csv, HEADER", given.rounds),
            *compare(history, "parquet", "FORMAT parquet, COMPRESSION zstd", given.rounds),
        ]
        show(f"P9: {history.entries:,} entries in {history.jobs:,} jobs, {history.bytes / 1e6:.0f} MB", rows)


if __name__ == "__main__":
    main()
