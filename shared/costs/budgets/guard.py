"""The same request again and again: a loop that nobody stops costs a whole budget.

>>> log_of = Repetitions(clock=lambda: 0.0)
>>> for _ in range(2):
...     log_of.add("ana", "5f2a", 2, "openai/gpt-4o")
>>> log_of.add("ana", "5f2a", 2, "openai/gpt-4o")
Traceback (most recent call last):
...
shared.costs.errors.BudgetExceeded: the same request to openai/gpt-4o was sent 2 times within 10 minutes, ...
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from ..errors import BudgetExceeded, Denial

log = logging.getLogger("shared.cost_tracker")

WITHIN_S: Final = 600.0
"""For how long a request is remembered, in seconds."""

MOST_KEPT: Final = 4096
"""How many different requests are remembered; the oldest are forgotten first."""


class Repetitions:
    """Counts the requests of one process. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sent: OrderedDict[tuple[str | None, str], deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, owner: str | None, fingerprint: str, most: int, what: str) -> None:
        """Count a request that is about to be sent. Warn once at half of what is allowed.

        Raises:
            BudgetExceeded: it was sent ``most`` times already.
        """
        with self._lock:
            sent = self._times(owner, fingerprint)
            if len(sent) >= most:
                raise _repeated(owner, most, what)
            sent.append(self._clock())
            number = len(sent)
        if number == max(2, most // 2 + 1) and number <= most:
            log.warning(
                "the same request to %s was sent %d times within 10 minutes; from %d on it is denied",
                what,
                number,
                most + 1,
            )

    def _times(self, owner: str | None, fingerprint: str) -> deque[float]:
        """Return when a request was sent lately."""
        sent = self._sent.setdefault((owner, fingerprint), deque())
        self._sent.move_to_end((owner, fingerprint))
        while len(self._sent) > MOST_KEPT:
            self._sent.popitem(last=False)
        while sent and sent[0] <= self._clock() - WITHIN_S:
            sent.popleft()
        return sent


def _repeated(owner: str | None, most: int, what: str) -> BudgetExceeded:
    scope = f"guard of {'the organization' if owner is None else f'user {owner}'} against repetition"
    return BudgetExceeded(
        f"the same request to {what} was sent {most} times within 10 minutes, and the {scope} allows no "
        f"more; change the request, or raise guard.same_request in the profile",
        Denial(scope, most, most, 0, 1, "calls"),
    )
