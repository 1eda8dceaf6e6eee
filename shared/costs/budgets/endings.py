"""Ends reservations: at once if possible, else in the background, but always.

A reservation that its process cannot end, because other processes hold the lock or because its block was
dropped or interrupted, would stay live for an hour. So each ending is noted first, then tried, and handed to
a short-lived thread if it fails; the next use of the gate tries it too. Every ending can be applied twice.
"""

from __future__ import annotations

import _thread
import logging
import os
import time
from collections import deque
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final, Literal, NamedTuple, Protocol

from ..errors import StorageUnavailable
from ..money import ZERO, Nanos
from .port import Holds

log = logging.getLogger("shared.cost_tracker")

END_S: Final = 1.0
"""How long ending a reservation waits for its turn, in seconds."""

_PAUSES_S: Final = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""The pauses between tries in the background; after the last, only the next use of the gate tries again."""

_OUTCOMES: Final = {
    "settle": "settled",
    "void": "given back",
    "submit": "kept as submitted",
    "orphan": "kept as an orphan",
}


MOMENT_S: Final = 0.05
"""How long a dropped hold waits for the end of its block, which may be dropped with it, in seconds."""


class Ending(NamedTuple):
    """How one reservation ends.

    ``why``, ``amount`` (nano-dollars) and ``recorded`` are those of an orphan: see ``Holds.orphan``.
    """

    reservation: str
    how: Literal["settle", "void", "submit", "orphan"]
    why: str = ""
    amount: Nanos = ZERO
    recorded: int = 0


class AbandonedHold(Protocol):
    """A hold that nobody has any more."""

    def forgotten(self) -> Ending | None:
        """Return how it ends; ``None`` if it has ended."""
        ...


class Endings:
    """Ends the reservations of one process. Safe to use from threads, finalisers and after a fork."""

    def __init__(self, holds: Holds) -> None:
        self._holds = holds
        self._waiting: dict[str, Ending] = {}
        self._dropped: deque[AbandonedHold] = deque()
        self._owner = os.getpid()
        self._working = False
        self._is_closed = False
        self._wake_ups: SimpleQueue[None] = SimpleQueue()  # may be put into from a finaliser

    def note(self, ending: Ending) -> None:
        """Remember that a reservation must end. It ends at the next use of the gate at the latest."""
        self._own_endings()[ending.reservation] = ending

    def end(self, ending: Ending) -> None:
        """End a reservation now, or soon if that is not possible. Storage failures do not raise."""
        self.note(ending)
        if ending.how == "orphan":
            log.warning("reservation %s counts until it is released: %s", ending.reservation, ending.why)
        try:
            self._apply(ending, END_S)
        except (StorageUnavailable, OSError) as failure:
            log.info("a reservation could not be %s yet: %s", _OUTCOMES[ending.how], failure)
            self._start()
        except BaseException:
            self._start()
            raise

    def end_soon(self, ending: Ending) -> None:
        """End a reservation in the background. For finalisers, which may run at any moment."""
        self.note(ending)
        self._start()

    def dropped(self, hold: AbandonedHold) -> None:
        """End a hold that nobody has any more in the background, a moment later. For finalisers."""
        self._dropped.append(hold)
        self._start()

    def close(self) -> None:
        """Keep nothing open from now on; holds that are dropped later still end."""
        self._is_closed = True

    def flush(self) -> None:
        """Try the endings that wait. Those that fail go on waiting."""
        for ending in self._own_endings().copy().values():
            with suppress(StorageUnavailable, OSError):
                self._apply(ending, END_S)

    def _own_endings(self) -> dict[str, Ending]:
        if self._owner != os.getpid():  # in a forked child, the parent ends its own reservations
            self._owner, self._waiting, self._working = os.getpid(), {}, False
            self._dropped.clear()
        return self._waiting

    def _apply(self, ending: Ending, wait_s: float) -> None:
        reservation, holds = ending.reservation, self._holds
        try:
            if ending.how == "settle":
                holds.settle(reservation, wait_s)
            elif ending.how == "void":
                holds.void(reservation, wait_s)
            elif ending.how == "submit":
                holds.submit(reservation, wait_s)
            else:
                holds.orphan(reservation, ending.why, ending.amount, ending.recorded, wait_s)
        finally:
            if self._is_closed:
                holds.close()
        self._waiting.pop(reservation, None)

    def _start(self) -> None:
        """Wake the thread or start it, without a lock: a finaliser may interrupt a thread that holds it."""
        self._wake_ups.put(None)
        if not self._working:
            with suppress(RuntimeError):  # at interpreter shutdown; the port notices that the process ended
                _thread.start_new_thread(self._work, ())

    def _collect(self) -> None:
        if self._dropped:
            time.sleep(MOMENT_S)
        while self._dropped:
            ending = self._dropped.popleft().forgotten()
            if ending is not None:
                self.note(ending)

    def _work(self) -> None:
        try:
            pauses = iter(_PAUSES_S)
            while True:
                self._working = True
                with suppress(Empty):  # this round handles all that was noted so far
                    while True:
                        self._wake_ups.get_nowait()
                self._collect()
                self.flush()
                pause = next(pauses, None)
                # Set before the last check of what waits: whoever notes one after it starts a thread.
                self._working = False
                if not (self._waiting or self._dropped) or pause is None:
                    return
                self._working = True
                with suppress(Empty):
                    self._wake_ups.get(timeout=pause)
                    pauses = iter(_PAUSES_S)
        finally:
            self._working = False
