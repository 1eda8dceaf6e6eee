"""How long something took by itself: a machine that has other things to do makes no promise untrue."""

from __future__ import annotations

import time
from pathlib import Path

_SCHEDULER = Path("/proc/thread-self/schedstat")
"""Linux says there, second, for how many nanoseconds this thread waited for a processor."""


def own_time() -> float:
    """Return seconds that go by for this thread, but not while it waits for a processor that others have.

    The difference of two of them, read in one thread, is what was waited for locks and answers and what was
    worked. Where the system does not say for how long a thread was kept waiting, it is the time by the clock.
    """
    now = time.monotonic()
    return now - int(_SCHEDULER.read_text().split()[1]) / 1e9 if _SCHEDULER.exists() else now
