"""Stops a process (SIGSTOP) while it holds a ledger's lock: ``log_usage`` goes on, and loses nothing.

python scripts/faults/stopped_holder.py [--calls 3]
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import tempfile
import time
from pathlib import Path

from common import conclude, entries_in, forked

from shared.cost_tracker import CostTracker
from shared.costs import platform

LIMIT_S = 2.5


def hold(ledger: Path, ready: int) -> None:
    """Take the lock, say so, and keep it."""
    fd = platform.open_secure(ledger, append=True)
    platform.lock(fd, 10)
    os.write(ready, b"1")
    signal.pause()


def main() -> int:
    """Log while the holder is stopped, then let it die."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--calls", type=int, default=3)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as name:
        job = Path(name) / "job"
        tracker = CostTracker(job, cost_storage_path=Path(name) / "home")
        tracker.log_usage("openai", "gpt-4o", 1000, 200)
        listen, ready = os.pipe()
        holder = forked(lambda: hold(job / "cost_ledger.jsonl", ready))
        os.read(listen, 1)
        os.kill(holder, signal.SIGSTOP)
        times = []
        for _ in range(options.calls):
            began = time.monotonic()
            tracker.log_usage("openai", "gpt-4o", 1000, 200)
            times.append(time.monotonic() - began)
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)
        tracker.close()
        found, bad = entries_in([job / "cost_ledger.jsonl"])
    lost = options.calls + 1 - len(found)
    good = lost == bad == 0 and max(times) <= LIMIT_S
    return conclude(
        "stopped holder", good, calls=options.calls, slowest_s=f"{max(times):.2f}", lost=lost, bad_lines=bad
    )


if __name__ == "__main__":
    raise SystemExit(main())
