"""How long one call may wait for others in all, whatever each of its waits may take by itself.

A call that is recorded may meet several things that another process holds: the ledger's lock, the
state, the index. Each is waited for with patience of its own; together they must not hold up a stage.

>>> with at_most(0.5):
...     allowed(2.0) <= 0.5, allowed(0.1)
(True, 0.1)
>>> allowed(2.0)
2.0
"""

from __future__ import annotations

import threading
import time
from typing import Final

BRIEF_S: Final = 0.02
"""How long each wait may take, in seconds, when the time of the whole call is used up."""

STALE_S: Final = 30.0
"""How long after its end a block is one that an exception of a signal handler left, in seconds."""

_here = threading.local()


class at_most:  # noqa: N801  # used like a function: with at_most(2.0): ...
    """Bound all waits of this thread within a block to ``seconds`` together.

    Within another such block the earlier end counts.
    """

    __slots__ = ("_outer", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._outer = None if getattr(_here, "end", None) is None else _end()

    def __enter__(self) -> None:
        end = time.monotonic() + self._seconds
        _here.end = end if self._outer is None else min(self._outer, end)

    def __exit__(self, *_: object) -> None:
        _here.end = self._outer


def allowed(wait_s: float) -> float:
    """Return how much of ``wait_s`` a wait may take that begins now; ``BRIEF_S`` is always granted."""
    end = _end()
    if end is None:
        return wait_s
    return min(wait_s, max(end - time.monotonic(), BRIEF_S))


def remaining() -> float | None:
    """Return how many seconds the call of this thread has left; ``None`` where nothing bounds it."""
    end = _end()
    return None if end is None else max(end - time.monotonic(), BRIEF_S)


def _end() -> float | None:
    """Return when the waits of this thread end."""
    end: float | None = getattr(_here, "end", None)
    return None if end is None or end < time.monotonic() - STALE_S else end
