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
from contextlib import suppress
from typing import Final, Literal, NamedTuple

from ..errors import StorageUnavailable
from ..forks import lock_of
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


class Ending(NamedTuple):
    """How one reservation ends. ``why`` and ``amount`` (nano-dollars) are those of an orphan."""

    reservation: str
    how: Literal["settle", "void", "submit", "orphan"]
    why: str = ""
    amount: Nanos = ZERO


class Endings:
    """Ends the reservations of one process. Safe to use from threads, finalisers and after a fork."""

    def __init__(self, holds: Holds) -> None:
        self._holds = holds
        self._waiting: dict[str, Ending] = {}
        self._owner = os.getpid()
        self._working = False
        self._lock = lock_of(self, "_lock")

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

    def flush(self) -> None:
        """Try what waits. What fails goes on waiting."""
        for ending in self._mine().copy().values():
            with suppress(StorageUnavailable, OSError):
                self._apply(ending, END_S)

    def _mine(self) -> dict[str, Ending]:
        if self._owner != os.getpid():  # what the parent of a fork has to end is the parent's
            self._owner, self._waiting, self._working = os.getpid(), {}, False
        return self._waiting

    def _apply(self, ending: Ending, wait_s: float) -> None:
        one, holds = ending.reservation, self._holds
        if ending.how == "settle":
            holds.settle(one, wait_s)
        elif ending.how == "void":
            holds.void(one, wait_s)
        elif ending.how == "submit":
            holds.submit(one, wait_s)
        else:
            holds.orphan(one, ending.why, ending.amount, wait_s)
        self._waiting.pop(one, None)

    def _start(self) -> None:
        """Start the thread, without any lock: a finaliser may interrupt whoever has one."""
        if not self._working:
            self._working = True
            try:
                _thread.start_new_thread(self._work, ())
            except RuntimeError:  # the interpreter ends, and with it the process, which the port notices
                self._working = False

    def _work(self) -> None:
        try:
            for pause in (0.0, *_PAUSES_S):
                time.sleep(pause)
                self.flush()
                if not self._waiting:
                    return
        finally:
            self._working = False
