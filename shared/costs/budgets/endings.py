"""How reservations end: at once where that is possible, else in the background, never not at all.

A reservation that its process cannot end, because others are in the way or because its block was
dropped or interrupted, would stay live for an hour. So each ending is noted first, tried, and handed to
a short-lived thread where it fails; the next use of the gate tries it too. Every ending may be applied
twice.
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
"""How long the end of a reservation waits for its turn, in seconds."""

_PAUSES_S: Final = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""How long the background waits between its tries; then only the next use of the gate tries again."""

_DONE: Final = {
    "settle": "settled",
    "void": "given back",
    "submit": "kept as submitted",
    "orphan": "kept as an orphan",
}


MOMENT_S: Final = 0.05
"""How long a dropped hold waits for its block's end, which may be dropped with it, in seconds."""


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
        """Return how it ends; ``None`` where it has ended."""
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
        self._woken: SimpleQueue[None] = SimpleQueue()  # may be put into from a finaliser

    def note(self, ending: Ending) -> None:
        """Remember that a reservation is to end. It ends at the next use of the gate at the latest."""
        self._mine()[ending.reservation] = ending

    def end(self, ending: Ending) -> None:
        """End a reservation now, or soon where that is not possible. Never raises for the storage."""
        self.note(ending)
        if ending.how == "orphan":
            log.warning("reservation %s counts until it is released: %s", ending.reservation, ending.why)
        try:
            self._apply(ending, END_S)
        except (StorageUnavailable, OSError) as failure:
            log.info("a reservation could not be %s yet: %s", _DONE[ending.how], failure)
            self._start()
        except BaseException:
            self._start()
            raise

    def end_soon(self, ending: Ending) -> None:
        """End a reservation in the background. For finalisers, which may run at any moment."""
        self.note(ending)
        self._start()

    def dropped(self, hold: AbandonedHold) -> None:
        """End a hold in the background that nobody has any more, a moment later. For finalisers."""
        self._dropped.append(hold)
        self._start()

    def close(self) -> None:
        """Leave nothing open from now on: holds that are dropped later end all the same."""
        self._is_closed = True

    def flush(self) -> None:
        """Try what waits. What fails goes on waiting."""
        for ending in self._mine().copy().values():
            with suppress(StorageUnavailable, OSError):
                self._apply(ending, END_S)

    def _mine(self) -> dict[str, Ending]:
        if self._owner != os.getpid():  # what the parent of a fork has to end is the parent's
            self._owner, self._waiting, self._working = os.getpid(), {}, False
            self._dropped.clear()
        return self._waiting

    def _apply(self, ending: Ending, wait_s: float) -> None:
        one, holds = ending.reservation, self._holds
        try:
            if ending.how == "settle":
                holds.settle(one, wait_s)
            elif ending.how == "void":
                holds.void(one, wait_s)
            elif ending.how == "submit":
                holds.submit(one, wait_s)
            else:
                holds.orphan(one, ending.why, ending.amount, ending.recorded, wait_s)
        finally:
            if self._is_closed:
                holds.close()
        self._waiting.pop(one, None)

    def _start(self) -> None:
        """Wake the thread or start it, without any lock: a finaliser may interrupt whoever has one."""
        self._woken.put(None)
        if not self._working:
            with suppress(RuntimeError):  # the interpreter ends, and with it the process: the port notices
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
                with suppress(Empty):  # what was noted until now is looked at now
                    while True:
                        self._woken.get_nowait()
                self._collect()
                self.flush()
                pause = next(pauses, None)
                # Before the last look at what waits: who notes something after it starts another thread.
                self._working = False
                if not (self._waiting or self._dropped) or pause is None:
                    return
                self._working = True
                with suppress(Empty):
                    self._woken.get(timeout=pause)
                    pauses = iter(_PAUSES_S)
        finally:
            self._working = False
