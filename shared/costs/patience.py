"""Bounds all waits of one call together, in addition to the timeout of each.

Recording a call may have to wait for several things that another process has locked: the ledger, the
state, the index. Each wait has a timeout of its own; together they must not delay a stage.

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
"""How long each wait may take, in seconds, after the time of the whole call is used up."""

STALE_S: Final = 30.0
"""How long after its end a block counts as left by an exception of a signal handler, in seconds."""

_thread_state = threading.local()


class at_most:  # noqa: N801  # used like a function: with at_most(2.0): ...
    """Bound all waits of this thread within a block to ``seconds`` together.

    In nested blocks the earlier end counts.
    """

    __slots__ = ("_outer", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._outer = None if getattr(_thread_state, "end", None) is None else _end()

    def __enter__(self) -> None:
        end = time.monotonic() + self._seconds
        _thread_state.end = end if self._outer is None else min(self._outer, end)

    def __exit__(self, *_: object) -> None:
        _thread_state.end = self._outer


def allowed(wait_s: float) -> float:
    """Return how much of ``wait_s`` a wait that begins now may take, but at least ``BRIEF_S``."""
    end = _end()
    if end is None:
        return wait_s
    return min(wait_s, max(end - time.monotonic(), BRIEF_S))


def remaining() -> float | None:
    """Return how many seconds this thread's call may still wait; ``None`` if it is not bounded."""
    end = _end()
    return None if end is None else max(end - time.monotonic(), BRIEF_S)


def _end() -> float | None:
    """Return the time of ``time.monotonic`` at which this thread's waits must end, or ``None``."""
    end: float | None = getattr(_thread_state, "end", None)
    return None if end is None or end < time.monotonic() - STALE_S else end
