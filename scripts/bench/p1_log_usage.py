"""P1 and P2: one durable ``log_usage``, without history and with much of it, against its floors.

The floor is lock, append and sync of one line of the same length; the peer a durable SQLite insert
(WAL, ``synchronous=FULL``). ``log_usage`` prices the call, appends and syncs it, brings the index
up to it and checks the budget.

    python scripts/bench/p1_log_usage.py [--rounds 7] [--calls 150] [--history 0,10000,1000000] [--keep DIR]
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

from scripts.bench.harness import Row, interleaved, show
from scripts.bench.histories import kept
from scripts.faults.command_line import command_line
from shared.cost_tracker import CostTracker
from shared.costs.workspace import Workspace

LINE = b"x" * 410 + b"\n"
FLOORS, PEERS, HISTORY = 1.6, 1.0, 1.1
"""The aims: how many times the durable floor, a durable SQLite insert, and a call without history."""


def floor(folder: Path) -> Callable[[], object]:
    """Lock, append, sync: what any durable record costs."""
    fd = os.open(folder / "floor.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def append() -> None:
        fcntl.flock(fd, fcntl.LOCK_EX)
        os.write(fd, LINE)
        os.fdatasync(fd)
        fcntl.flock(fd, fcntl.LOCK_UN)

    return append


def sqlite_insert(folder: Path) -> Callable[[], object]:
    """A durable insert of the same bytes."""
    connection = sqlite3.connect(folder / "peer.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE calls (id INTEGER PRIMARY KEY, line TEXT)")
    text = LINE.decode()
    return lambda: connection.execute("INSERT INTO calls (line) VALUES (?)", (text,))


def log_usage(folder: Path, kept_in: Path, entries: int) -> Callable[[], object]:
    """The real thing, in a storage that has ``entries`` entries of history."""
    home = folder / "storage"
    if entries:
        home = kept(kept_in / f"history-{entries}", entries, max(1, entries // 100)).storage.root
        with Workspace(home) as workspace:
            workspace.index.catch_up_all()
    job = folder / f"bench-job-{entries}"
    tracker = CostTracker(job, "bench", home, profile_path=_profile(folder))
    return lambda: tracker.log_usage("openai", "gpt-4o", 1500, 300, stage="13_ai_summarization")


def _profile(folder: Path) -> Path:
    path = folder / "profile.yaml"
    path.write_text("budget: {monthly_limit_usd: 1000000, daily_limit_usd: 100000}\n")
    return path


def main() -> None:
    """Measure and print."""
    parser = command_line(__doc__, rounds=7)
    parser.add_argument("--calls", type=int, default=150, help="calls of each subject in a round")
    parser.add_argument("--history", default="0,10000,1000000", help="entries of history, by commas")
    parser.add_argument("--keep", type=Path, help="where the histories are kept for the next time")
    options = parser.parse_args()
    histories = [int(size) for size in options.history.split(",")]
    # Beside the project, not in /tmp: a tmpfs would make every sync free.
    with tempfile.TemporaryDirectory(dir=Path(__file__).resolve().parents[2]) as name:
        folder = Path(name)
        subjects = {"floor": floor(folder), "sqlite": sqlite_insert(folder)}
        subjects |= {
            f"log_usage {size}": log_usage(folder, options.keep or folder, size) for size in histories
        }
        found = interleaved(subjects, options.rounds, options.calls)
    base, peer = found["floor"].median, found["sqlite"].median
    first = found[f"log_usage {histories[0]}"].median
    rows = [
        Row("durable floor: lock, append, sync", f"{found['floor'].micros:.0f} us", "1.00"),
        Row("SQLite insert, WAL FULL", f"{found['sqlite'].micros:.0f} us", f"{peer / base:.2f}"),
    ]
    for size in histories:
        one = found[f"log_usage {size}"]
        label = f"log_usage, {size:,} entries of history"
        rows.append(
            Row(
                label,
                f"{one.micros:.0f} us",
                f"{one.median / base:.2f} x floor",
                f"{FLOORS}",
                one.median <= FLOORS * base,
            )
        )
        rows.append(Row("", "", f"{one.median / peer:.2f} x SQLite", f"{PEERS}", one.median <= PEERS * peer))
        if size != histories[0]:
            ratio = one.median / first
            rows.append(Row("", "", f"{ratio:.2f} x without history", f"{HISTORY}", ratio <= HISTORY))
    show("P1, P2: one durable log_usage", rows)


if __name__ == "__main__":
    main()
