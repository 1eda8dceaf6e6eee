"""Tries to get two writers into one ledger at once: threads, forks, and a cleaner that renames ledgers.

Whoever writes to a ledger, under its lock, makes a file named after its inode, which only one can make; a
second holder at the same time would find it there. A cleaner moves the ledger away every 2 ms.

    python scripts/faults/lock_hygiene.py [--holds 40000] [--seed 1]
"""

from __future__ import annotations

import itertools
import os
import tempfile
import threading
import time
from pathlib import Path

from scripts.faults.command_line import command_line
from scripts.faults.common import conclude, forked
from shared.costs import platform
from shared.costs.ledger import writer

PROCESSES = 4
THREADS = 2
CLEANING_S = 0.002


def hold(ledger: Path, times: int) -> None:
    """Write to the ledger ``times`` times."""
    for _ in range(times):
        writer.append(ledger, b"x\n", 30)


def mark_holds(folder: Path) -> None:
    """Have each holder of the lock make its file before it writes; a double hold leaves a file that tells."""
    numbers, write = itertools.count(), writer._write

    def marked(fd: int, data: bytes, start: int) -> None:
        number = next(numbers)
        mark = folder / f"held-{os.fstat(fd).st_ino}"
        try:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            (folder / f"double-{os.getpid()}-{threading.get_ident()}-{number}").touch()
        else:
            if number % 50 == 0:
                os.waitpid(forked(lambda: None), 0)  # a child that ends must not free its parent's lock
            mark.unlink()
        write(fd, data, start)

    writer._write = marked
    vars(platform)["sync"] = lambda _: None  # what reaches the disk is not the question here


def work(ledger: Path, folder: Path, times: int) -> None:
    """Hold the lock from several threads of one process."""
    mark_holds(folder)
    threads = [threading.Thread(target=hold, args=(ledger, times)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def clean(ledger: Path, folder: Path, stop: threading.Event) -> None:
    """Move the ledger away again and again, as an archiver would."""
    number = 0
    while not stop.wait(CLEANING_S):
        number += 1
        if ledger.exists():
            ledger.rename(folder / f"archived-{number % 50}")


def main() -> int:
    """Run the holders."""
    parser = command_line(__doc__, holds=40_000)
    parser.add_argument("--seed", type=int, default=1, help="kept for symmetry: the order is the kernel's")
    options = parser.parse_args()
    times = options.holds // (PROCESSES * THREADS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ledger = folder / "job" / "cost_ledger.jsonl"
        began = time.monotonic()
        children = [forked(lambda: work(ledger, folder, times)) for _ in range(PROCESSES)]
        stop = threading.Event()
        cleaner = threading.Thread(target=clean, args=(ledger, folder, stop))
        cleaner.start()
        failed = sum(os.waitpid(child, 0)[1] != 0 for child in children)
        stop.set()
        cleaner.join()
        double = len(list(folder.glob("double-*")))
    return conclude(
        "lock hygiene",
        double == failed == 0,
        holds=times * PROCESSES * THREADS,
        double_holds=double,
        failed_processes=failed,
        seconds=round(time.monotonic() - began),
    )


if __name__ == "__main__":
    raise SystemExit(main())
