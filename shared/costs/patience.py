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
from weakref import ref

BRIEF_S: Final = 0.02
"""How long each wait may take, in seconds, after the time of the whole call is used up."""

STALE_S: Final = 30.0
"""How long after its end a block counts as left by an exception of a signal handler, in seconds."""

_thread_state = threading.local()


class at_most:  # noqa: N801  # used like a function: with at_most(2.0): ...
    """Bound all waits of this thread within a block to ``seconds`` together.

    In nested blocks the earlier end counts.
    """

    __slots__ = ("__weakref__", "_outer", "_seconds", "end")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._outer: ref[at_most] | None = getattr(_thread_state, "block", None)

    def __enter__(self) -> None:
        end, outer = time.monotonic() + self._seconds, _end()
        self.end = end if outer is None else min(outer, end)
        # Only the ``with`` statement keeps it: an exception of a signal handler that comes in ``__exit__``
        # leaves no bound behind.
        _thread_state.block = ref(self)

    def __exit__(self, *_: object) -> None:
        _thread_state.block = self._outer


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
    """Return when the waits of this thread end."""
    kept: ref[at_most] | None = getattr(_thread_state, "block", None)
    block = None if kept is None else kept()
    return None if block is None or block.end < time.monotonic() - STALE_S else block.end
