"""P19: archiving beside DuckDB's own COPY, the archive's size, and views over it on DuckDB and Spark.

    python3 scripts/bench/p19_archive.py --entries 1000000 --jobs 10000
    python3 scripts/bench/p19_archive.py --entries 10000000 --jobs 20000 --alone --on spark://127.0.0.1:15002

The floor reads the ledgers with DuckDB's `read_json`, columns and types stated, and writes the same columns
to one file; a second one writes them by month. It checks no checksum, finds no entry twice, and reads nothing
back; archiving does all that. With --alone it is left out: it takes longer than all else.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from scripts.bench.harness import Row, show
from scripts.bench.histories import History as Made
from scripts.bench.histories import make
from scripts.bench.p9_export import PROGRAM, Ran, columns, run
from scripts.faults.command_line import command_line
from shared.costs.archive.known import KnownArchives
from shared.costs.exchange.calendar import Calendar
from shared.costs.exchange.exports import ExportContext
from shared.costs.exchange.history import StoredHistory
from shared.costs.exchange.spark import ask_spark
from shared.costs.exchange.views import view_named
from shared.costs.exchange.warehouse import ask
from shared.costs.profile.types import Profile
from shared.costs.store.store import Store

FLOOR = """
import duckdb, sys
duckdb.execute("SET enable_progress_bar = false")
root, target, columns, options = sys.argv[1:]
duckdb.execute(f\"\"\"COPY (SELECT *, strftime(timestamp, '%Y-%m') AS month
    FROM read_json('{root}/jobs/*/*/cost_ledger.jsonl', columns = {columns}, format = 'newline_delimited'))
    TO '{target}' (FORMAT parquet, COMPRESSION zstd{options})\"\"\")
"""
MONTH = "SELECT model, count(*), sum(cost_usd) FROM entries WHERE billing_month = '2026-08' GROUP BY model"


def floor(made: Made) -> tuple[Ran, list[Row]]:
    """Measure DuckDB's own copy of the history, and the same by month."""
    home = made.storage.root
    copy = [sys.executable, "-c", FLOOR, str(made.root)]
    whole = run([*copy, str(made.root / "floor.parquet"), columns(), ""], home)
    by_month = run([*copy, str(made.root / "floor"), columns(), ", PARTITION_BY (month)"], home)
    return whole, [
        Row("DuckDB's COPY", f"{whole.seconds:.1f} s ({whole.processor:.1f} s of processor)", "1.00"),
        Row("the same by month", f"{by_month.seconds:.1f} s ({by_month.processor:.1f} s of processor)"),
    ]


def archived(made: Made, peer: Ran | None) -> list[Row]:
    """Archive the history in a process of its own."""
    home, place = made.storage.root, made.root / "archive"
    answer = str(made.root / "archived.json")
    ours = run([sys.executable, str(PROGRAM), "archive", "--to", str(place), "--output", answer], home)
    size = sum(path.stat().st_size for path in place.glob("month=*/*.parquet"))
    held = sum(part.rows for part in KnownArchives(made.storage).all()[0].manifest.parts)
    bytes_each = made.bytes / made.entries
    return [
        Row(
            f"archive of {held:,} entries",
            f"{ours.seconds:.1f} s ({ours.processor:.1f} s of processor), {ours.megabytes:.0f} MB",
            *_beside(ours, peer),
        ),
        Row(
            "size",
            f"{size / held:.1f} of {bytes_each:.0f} bytes an entry",
            f"{size / held / bytes_each:.3f}",
            "<= 0.1",
            size / held <= 0.1 * bytes_each,
        ),
    ]


def _beside(ours: Ran, peer: Ran | None) -> tuple[str, str, bool | None]:
    """Return the ratio to a peer, the target, and whether it was met."""
    if peer is None:
        return "", "<= 2", None
    processor, seconds = ours.processor / peer.processor, ours.seconds / peer.seconds
    return f"{processor:.2f} by processor, {seconds:.2f} in all", "<= 2", seconds <= 2


def asked(made: Made, engine: str | None, rounds: int) -> list[Row]:
    """Ask one month of the archive, and all months on both engines."""
    storage, calendar = made.storage, Calendar(Profile())
    with Store.of(storage) as index:
        index.catch_up_all()
        history = StoredHistory.of(index, KnownArchives(storage).all()[0])
        times = [_month(history) for _ in range(rounds)]
        rows = [Row("a month in DuckDB", f"{median(times):.3f} s", "", "<= 0.3 s", median(times) <= 0.3)]
        sql = view_named("models")
        begin = time.perf_counter()
        with ask(sql, history, ExportContext(), calendar, history) as answer:
            local = list(answer.rows)
        rows.append(
            Row(
                "models by month, DuckDB, the rest of the ledgers read",
                f"{time.perf_counter() - begin:.1f} s",
            )
        )
        if engine:
            begin = time.perf_counter()
            with ask_spark(sql, engine, history, ExportContext(), calendar) as answer:
                cluster = list(answer.rows)
            took = f"{time.perf_counter() - begin:.1f} s"
            rows.append(Row("the same on Spark", took, "", "equal to the nano-dollar", local == cluster))
    return rows


def _month(history: StoredHistory) -> float:
    """Return how long DuckDB takes for a month of the archive, in seconds."""
    import duckdb

    with duckdb.connect() as database:
        listed = ", ".join(f"'{file}'" for file in history.files())
        database.execute(f"CREATE VIEW entries AS FROM read_parquet([{listed}], hive_partitioning = false)")
        begin = time.perf_counter()
        database.execute(MONTH).fetchall()
        return time.perf_counter() - begin


def main() -> None:
    """Make a history, archive it, and print the table."""
    parser = command_line(__doc__, entries=1_000_000, jobs=10_000, rounds=3)
    parser.add_argument("--on", help="spark://HOST:PORT of a Spark Connect server")
    parser.add_argument("--alone", action="store_true", help="without DuckDB's own copy")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = make(Path(folder), given.entries, given.jobs)
        with Store.of(made.storage) as index:
            index.catch_up_all()
        peer, rows = (None, []) if given.alone else floor(made)
        rows = [*rows, *archived(made, peer), *asked(made, given.on, given.rounds)]
        show(f"P19: {made.entries:,} entries in {made.jobs:,} jobs, {made.bytes / 1e6:.0f} MB", rows)


if __name__ == "__main__":
    main()
