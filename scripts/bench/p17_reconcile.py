"""P17: `reconcile` of a bill of single calls beside DuckDB's join of the same, and the memory both take.

    python3 scripts/bench/p17_reconcile.py --calls 1000000

The bill is LiteLLM's spend log as CSV, a row a call. The floor reads it and the ledgers with DuckDB, types
stated, joins them by the response's id and sums what agrees and what does not. It checks no checksum, knows
no corrections and gives no reasons; `reconcile` does. Each run is a process of its own; the sums are warm.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import NamedTuple

from scripts.bench.harness import Row, show
from scripts.faults.command_line import command_line
from shared.costs.ledger.line import encode
from shared.costs.model import Charge, Entry, PricedBy, Usage
from shared.costs.money import Nanos
from shared.costs.storage import LEDGER_NAME, CostStorage
from shared.costs.store.store import Store

TARGET = 5.0
PROGRAM = Path(__file__).resolve().parents[2] / "tools" / "cost-dashboard.py"
START = datetime(2026, 11, 1, tzinfo=UTC)
COLUMNS = {
    "request_id": "VARCHAR",
    "service": "VARCHAR",
    "model": "VARCHAR",
    "timestamp": "VARCHAR",
    "tokens_input": "BIGINT",
    "tokens_output": "BIGINT",
    "cost_usd": "DECIMAL(18,9)",
}

FLOOR = """
import duckdb, sys
root, bill, columns = sys.argv[1:]
print(duckdb.execute(f\"\"\"
    WITH ours AS (FROM read_json('{root}/jobs/*/cost_ledger.jsonl', columns = {columns},
                                 format = 'newline_delimited')),
         theirs AS (FROM read_csv('{bill}'))
    SELECT count(*), sum(CASE WHEN ours.request_id IS NULL THEN 1 ELSE 0 END),
           sum(CASE WHEN theirs.request_id IS NULL THEN 1 ELSE 0 END),
           sum(CASE WHEN abs(theirs.spend - ours.cost_usd) > 2e-9 THEN 1 ELSE 0 END),
           sum(theirs.spend), sum(ours.cost_usd)
    FROM theirs FULL JOIN ours ON theirs.request_id = ours.request_id
\"\"\").fetchall())
"""


class Ran(NamedTuple):
    """Seconds and peak memory in MB of one process, and what it printed."""

    seconds: float
    megabytes: float
    said: str


def make(folder: Path, calls: int, jobs: int) -> Path:
    """Write ledgers and a bill that agree but for every thousandth call; return the bill."""
    storage = CostStorage(folder / "storage")
    priced = PricedBy("catalogue", "1", "openai/gpt-4o")
    bill, ledgers = folder / "spend.csv", []
    with bill.open("w", newline="") as file:
        writer = csv.writer(file)
        names = [
            "request_id",
            "call_type",
            "api_key",
            "spend",
            "total_tokens",
            "prompt_tokens",
            "completion_tokens",
        ]
        writer.writerow(
            [*names, "startTime", "endTime", "model", "custom_llm_provider", "metadata", "cache_hit"]
        )
        for job in range(jobs):
            ledger = storage.root / "jobs" / f"job-{job:05d}" / LEDGER_NAME
            ledger.parent.mkdir(parents=True)
            ledgers.append(ledger)
            with ledger.open("wb") as lines:
                for number in range(job, calls, jobs):
                    tokens, at = 1_000 + number % 977, START + timedelta(seconds=number * 2.5)
                    cost = tokens * 2_500 + 200 * 10_000
                    request_id = f"chatcmpl-{number:024d}"
                    usage = Usage(tokens_input=tokens, tokens_output=200)
                    charge = Charge({"input": Nanos(tokens * 2_500), "output": Nanos(2_000_000)}, priced)
                    entry = Entry(
                        id=f"{number:028x}",
                        timestamp=at,
                        job_id=ledger.parent.name,
                        user_id="1",
                        service="openai",
                        model="gpt-4o",
                        usage=usage,
                        charge=charge,
                        stage="13_ai_summarization",
                        request_id=request_id,
                        operation="summary",
                    )
                    if number % 1_000 != 1:
                        lines.write(encode(entry))
                    stated = cost * (2 if number % 1_000 == 2 else 1) / 1_000_000_000
                    times = (f"{at:%Y-%m-%d %H:%M:%S.%f}", f"{at:%Y-%m-%d %H:%M:%S.%f}")
                    writer.writerow(
                        [
                            request_id,
                            "acompletion",
                            "88dc",
                            stated,
                            tokens + 200,
                            tokens,
                            200,
                            *times,
                            "gpt-4o",
                            "openai",
                            "{}",
                            "False",
                        ]
                    )
    storage.prepare()
    with Store.of(storage) as index:
        index.add(ledgers)
        index.catch_up_all()
    return bill


def ran(command: list[str], environ: dict[str, str]) -> Ran:
    """Run a process to its end."""
    start = time.perf_counter()
    process = subprocess.Popen(command, env=os.environ | environ, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = process.stdout.read()
    _, _, used = os.wait4(process.pid, 0)
    return Ran(time.perf_counter() - start, used.ru_maxrss / 1024, said)


def main() -> None:
    """Make the histories, run all three in turns, and print the table."""
    parser = command_line(__doc__, calls=1_000_000, jobs=1_000, rounds=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bill = make(folder, asked.calls, asked.jobs)
        small = folder / "tenth"
        small.mkdir()
        tenth = make(small, asked.calls // 10, asked.jobs)
        floor, ours, fewer = [], [], []
        for _ in range(asked.rounds):
            environ = {"COST_TRACKER_HOME": str(folder / "storage")}
            floor.append(
                ran([sys.executable, "-c", FLOOR, str(folder / "storage"), str(bill), str(COLUMNS)], environ)
            )
            ours.append(ran([sys.executable, str(PROGRAM), "reconcile", str(bill), "--json"], environ))
            elsewhere = {"COST_TRACKER_HOME": str(small / "storage")}
            fewer.append(ran([sys.executable, str(PROGRAM), "reconcile", str(tenth), "--json"], elsewhere))
    _show(asked.calls, floor, ours, fewer)


def _show(calls: int, floor: list[Ran], ours: list[Ran], fewer: list[Ran]) -> None:
    base, took = median(run.seconds for run in floor), median(run.seconds for run in ours)
    large, little = max(run.megabytes for run in ours), max(run.megabytes for run in fewer)
    rows = [
        Row("DuckDB's join", f"{base:.1f} s, {max(run.megabytes for run in floor):.0f} MB"),
        Row(
            "reconcile",
            f"{took:.1f} s, {large:.0f} MB",
            f"{took / base:.2f}",
            f"{TARGET:g}",
            took / base <= TARGET,
        ),
        Row("memory of a tenth of the calls", f"{little:.0f} MB", f"{large / little:.2f}", "flat"),
    ]
    show(f"P17: a bill of {calls:,} calls", rows)
    print(f"\nDuckDB: {floor[-1].said.strip()}")


if __name__ == "__main__":
    main()
