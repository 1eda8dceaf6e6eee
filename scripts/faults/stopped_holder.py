"""Stops a process (SIGSTOP) while it holds what recording needs: ``log_usage`` goes on, and loses nothing.

Held are, one at a time and all together: the ledger's lock, and the lock of each file of the storage,
whatever they are called (a database's by a transaction). Each time by calls of a tracker that was at work
before, and by the first of a new one, with a request id and without.

    python scripts/faults/stopped_holder.py [--calls 5] [--only everything|ledger|FILE]
"""

from __future__ import annotations

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

from scripts.faults.blackbox import storage_files
from scripts.faults.command_line import command_line
from scripts.faults.common import conclude, entries_in, forked
from shared.cost_tracker import CostTracker
from shared.costs import platform
from shared.costs.ledger import spool
from shared.costs.ledger.recorder import Recorder
from shared.costs.storage import CostStorage

LIMIT_S = 2.5
EVERYTHING, THE_LEDGER = "everything", "ledger"


def held_files(folder: Path, only: str | None = None) -> dict[str, list[Path]]:
    """Return what to hold: by its name one file each, and all of them. There must have been a call before."""
    home, ledger = folder / "home", folder / "job" / "cost_ledger.jsonl"
    files = [
        path
        for path in storage_files(home)
        # The marks of processes are locked by those that live, and by nobody else.
        if not path.name.endswith(("-wal", "-shm", ".json"))
        and path.parent.name not in {"writers", "holders"}
    ]
    found = {THE_LEDGER: [ledger], **{path.name: [path] for path in files}, EVERYTHING: [ledger, *files]}
    return {only: found[only]} if only else found


def hold(files: list[Path], ready: int) -> None:
    """Take each file's lock, say so, and keep them."""
    held: list[object] = []
    for file in files:
        if file.read_bytes()[:15] == b"SQLite format 3":
            connection = sqlite3.connect(file, isolation_level=None)
            connection.execute("BEGIN EXCLUSIVE")
            held.append(connection)
        else:
            opened = platform.open_file(file, write=True)
            platform.lock(opened, 10)
            held.append(opened)
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


def one_call(folder: Path) -> None:
    """Have the files made."""
    with CostTracker(folder / "job", cost_storage_path=folder / "home") as before:
        before.log_usage("openai", "gpt-4o", 1000, 200)


def times_under(name: str, calls: int, folder: Path) -> tuple[list[float], int, int]:
    """Log while files are held; return how long each call took, entries lost, and bad lines."""

    def tracker() -> CostTracker:
        return CostTracker(folder / "job", cost_storage_path=folder / "home")

    one_call(folder)
    at_work, new = tracker(), tracker()
    at_work.log_usage("openai", "gpt-4o", 1000, 200)
    times = []
    with stopped(held_files(folder, name)[name]):
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
    parser = command_line(__doc__, calls=5)
    parser.add_argument("--only")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    times, lost, bad = list[float](), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        one_call(Path(folder))
        names = list(held_files(Path(folder), options.only))
    for name in names:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
            took, missing, damaged = times_under(name, options.calls, Path(folder))
        times, lost, bad = times + took, lost + missing, bad + damaged
    good = lost == bad == 0 and max(times) <= LIMIT_S
    return conclude(
        "stopped holder",
        good,
        kinds=len(names),
        calls=len(times),
        slowest_s=f"{max(times):.2f}",
        lost=lost,
        bad_lines=bad,
    )


if __name__ == "__main__":
    raise SystemExit(main())
