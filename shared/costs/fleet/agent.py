"""What a process does in the background for its fleet: publishes what was logged, and keeps leases alive.

One daemon thread, begun with the first call that is logged. Nobody waits for it but the end of the process,
for :data:`FINISH_S` at most: what is not published then is published by the next process, or by
``cost-dashboard shared publish``, for it stands in the ledgers.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import CostError
from ..forks import lock_of
from ..ledger.recorder import at_exit

if TYPE_CHECKING:
    from .fleet import Fleet

log = logging.getLogger("shared.cost_tracker")

GATHER_S: Final = 0.25
"""How long calls are gathered before they are published together."""

FINISH_S: Final = 2.0
"""How long the end of a process waits for the last ones, in seconds."""

_PAUSES_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
"""How long after a failure it is tried again."""

_RENEWALS: Final = 3
"""How often in its time a lease is renewed."""


class Agent:
    """The background of one process. Safe to use from threads and after a fork."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._lock = lock_of(self, "_lock")
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._owner = os.getpid()
        self._ledgers = dict[Path, None]()
        self._woken = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._failures = 0
        self._swept = False
        self._renewed_at = time.monotonic()
        self._used_at = time.monotonic()

    def logged(self, ledger: Path) -> None:
        """Note that a ledger has something new. Never waits and never raises."""
        if self._owner != os.getpid():
            self._begin_anew()
        self._used_at = time.monotonic()
        if ledger not in self._ledgers:
            self._ledgers[ledger] = None
        if self._thread is None:
            self._start()
        if not self._woken.is_set():
            self._woken.set()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._stopping:
                thread = threading.Thread(target=self._work, name="cost-ledger-fleet", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the interpreter ends: the next process publishes
                    return
                self._thread = thread
                at_exit(self.finish)

    def finish(self) -> None:
        """Publish what waits and give back what is left of the leases, within :data:`FINISH_S`."""
        thread = self._thread
        if thread is None or self._owner != os.getpid() or thread is threading.current_thread():
            return
        self._stopping = True
        self._woken.set()
        thread.join(FINISH_S)

    # --- in the thread

    def _work(self) -> None:
        while not self._stopping:
            self._woken.wait(self._pause())
            if not self._stopping and self._woken.is_set():
                threading.Event().wait(GATHER_S)
            self._woken.clear()
            self._tried(self._turn)
        self._tried(self._last_turn)

    def _pause(self) -> float:
        """Return after how many seconds something is to be done, at the latest."""
        if self._failures:
            return _PAUSES_S[min(self._failures, len(_PAUSES_S)) - 1]
        return max(0.05, self._renewed_at + self._fleet.settings.lease_s / _RENEWALS - time.monotonic())

    def _tried(self, action: Callable[[], None]) -> None:
        try:
            action()
            if self._failures:
                log.info("the shared budget is up to date again")
            self._failures = 0
        except (CostError, OSError) as fault:
            self._failures += 1
            if self._failures == 1:
                log.warning("totals of all hosts are late, nothing is lost: %s", fault)

    def _turn(self) -> None:
        self._publish()
        if time.monotonic() >= self._renewed_at + self._fleet.settings.lease_s / _RENEWALS:
            idle = time.monotonic() - self._used_at > self._fleet.settings.lease_s
            self._fleet.renew(lower=idle, rests=idle)
            self._renewed_at = time.monotonic()

    def _last_turn(self) -> None:
        self._publish()
        if self._fleet.is_last_process():
            self._fleet.renew(lower=True, rests=True)

    def _publish(self) -> None:
        """Publish what is new in the ledgers of this process; the first time in all of this host."""
        if not self._swept:
            self._fleet.publish()
            self._swept = True
        ledgers, self._ledgers = list(self._ledgers), {}
        try:
            self._fleet.publish(ledgers)
        except BaseException:
            self._ledgers = dict.fromkeys([*ledgers, *self._ledgers])
            raise
