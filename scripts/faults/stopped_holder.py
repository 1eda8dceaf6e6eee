"""Stops a process (SIGSTOP) while it holds what recording needs: ``log_usage`` goes on, and loses nothing.

Held are, one at a time and all together: the ledger's lock, the state, the index, the lock of the
index's seal. Each time by calls of a tracker that was at work before, and by the first of a new one,
with a request id and without.

    python scripts/faults/stopped_holder.py [--calls 5] [--only everything]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import signal
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.faults.common import conclude, entries_in, forked
from shared.cost_tracker import CostTracker
from shared.costs import platform
from shared.costs.ledger import spool
from shared.costs.ledger.recorder import Recorder
from shared.costs.storage import CostStorage

LIMIT_S = 2.5
HELD: dict[str, tuple[str, ...]] = {
    "ledger": ("job/cost_ledger.jsonl",),
    "state": ("home/state.db",),
    "index": ("home/index.db",),
    "seal": ("home/index.db-seal",),
    "everything": ("job/cost_ledger.jsonl", "home/state.db", "home/index.db", "home/index.db-seal"),
}


def hold(files: list[Path], ready: int) -> None:
    """Take each file's lock, say so, and keep them."""
    held: list[object] = []
    for file in files:
        if file.suffix == ".db":
            connection = sqlite3.connect(file, isolation_level=None)
            connection.execute("BEGIN EXCLUSIVE")
            held.append(connection)
        else:
            platform.lock(platform.open_secure(file, write=True), 10)
    os.write(ready, b"1")
    signal.pause()


@contextmanager
def stopped(files: list[Path]) -> Iterator[None]:
    """Have another process hold ``files``, stopped; kill it in the end."""
    listen, ready = os.pipe()
    holder = forked(lambda: hold(files, ready))
    os.close(ready)
    os.read(listen, 1)
    os.close(listen)
    os.kill(holder, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)


def times_under(files: tuple[str, ...], calls: int, folder: Path) -> tuple[list[float], int, int]:
    """Log while ``files`` are held; return how long each call took, entries lost, and bad lines."""

    def tracker() -> CostTracker:
        return CostTracker(folder / "job", cost_storage_path=folder / "home")

    with tracker() as before:
        before.log_usage("openai", "gpt-4o", 1000, 200)
    at_work, new = tracker(), tracker()
    at_work.log_usage("openai", "gpt-4o", 1000, 200)
    times = []
    with stopped([folder / file for file in files]):
        for one in (at_work, new):
            for call in range(calls):
                request = f"{id(one)}-{call}" if call % 2 else None
                began = time.monotonic()
                one.log_usage("openai", "gpt-4o", 1000, 200, request_id=request)
                times.append(time.monotonic() - began)
    at_work.close()
    new.close()
    storage = CostStorage(folder / "home")
    while spool.waiting_paths(storage):
        Recorder(storage).close()
    found, bad = entries_in([folder / "job" / "cost_ledger.jsonl"])
    return times, 2 + len(times) - len(found), bad


def main() -> int:
    """Log under every kind of hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--calls", type=int, default=5)
    parser.add_argument("--only", choices=HELD)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    times, lost, bad = list[float](), 0, 0
    for name in [options.only] if options.only else HELD:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
            took, missing, damaged = times_under(HELD[name], options.calls, Path(folder))
        times, lost, bad = times + took, lost + missing, bad + damaged
    good = lost == bad == 0 and max(times) <= LIMIT_S
    return conclude(
        "stopped holder", good, calls=len(times), slowest_s=f"{max(times):.2f}", lost=lost, bad_lines=bad
    )


if __name__ == "__main__":
    raise SystemExit(main())
