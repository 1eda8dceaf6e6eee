"""Imports on the way of a call that an exception from a signal handler cannot tear.

A handler runs in the main thread. One that raises while that thread is within Python's import system can
leave the system's own lock taken: from then on each import of any other thread waits for ever, with
whatever else that thread has in hand.

>>> import sys
>>> undisturbed("colorsys"); "colorsys" in sys.modules
True
"""

from __future__ import annotations

import _thread
import sys
import threading
from contextlib import suppress
from typing import Final

from .errors import FAILURES
from .patience import allowed

WAIT_S: Final = 1.0
"""How long the main thread waits for another one to import a module before it does so itself, in seconds."""

_DONE: Final = set[str]()


def undisturbed(module: str) -> None:
    """Have another thread import a module, where the main thread is about to for the first time.

    Where that fails or takes too long nothing is said: the import that follows does it, or raises. While the
    interpreter ends no other thread gets to run, and none is waited for.
    """
    if module in _DONE or sys.is_finalizing() or threading.current_thread() is not threading.main_thread():
        return
    done = threading.Lock()
    done.acquire()
    with suppress(RuntimeError):  # no more threads can be started, or the interpreter ends
        _thread.start_new_thread(_import, (module, done))
        done.acquire(timeout=allowed(WAIT_S))
    _DONE.add(module)


def _import(module: str, done: threading.Lock) -> None:
    with suppress(*FAILURES):
        __import__(module)
    done.release()
