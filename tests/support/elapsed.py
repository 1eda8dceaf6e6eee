"""How long something took by itself: a machine that has other things to do makes no promise untrue."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

PATIENCE_S: Final = 300.0
"""How long to wait, in seconds, for what must come: what takes one has taken 60 on a busy machine."""


def own_time() -> float:
    """Return seconds that go by for this thread, but not while it waits for a processor that others have.

    The difference of two of them, read in one thread, is what was waited for locks and answers and what was
    worked. Where the system does not say for how long a thread was kept waiting, it is the time by the clock.
    """
    return time.monotonic() - held_up_s("thread-self")


def slowest_of(threads: int, work: Callable[[int], object]) -> float:
    """Do something in many threads at once, each with its number; return the longest :func:`own_time` of one.

    They also wait for each other, and all for the one that has no processor: hold it against the time of the
    same threads with less to wait for.
    """
    gate, took = threading.Event(), list[float]()

    def timed(number: int) -> None:
        gate.wait()
        began = own_time()
        work(number)
        took.append(own_time() - began)

    workers = [threading.Thread(target=timed, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    gate.set()
    for worker in workers:
        worker.join()
    assert len(took) == threads
    return max(took)


def held_up_s(task: str) -> float:
    """Return how long a task of ``/proc`` has waited for a processor, in seconds; 0 where nothing says it."""
    try:
        return int(Path(f"/proc/{task}/schedstat").read_bytes().split()[1]) / 1e9
    except (FileNotFoundError, ProcessLookupError):  # not Linux, or it has ended
        return 0.0
