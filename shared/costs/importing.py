"""Imports during a call that an exception from a signal handler cannot interrupt.

A handler runs in the main thread. One that raises while that thread is within Python's import system can
leave the import lock taken: from then on each import in any other thread waits forever, with
all locks that this thread holds.

>>> import sys
>>> import_safely("colorsys"); "colorsys" in sys.modules
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

_IMPORTED: Final = set[str]()


def import_safely(module: str) -> None:
    """Import a module in another thread, if the main thread is about to import it for the first time.

    A failure or a timeout is ignored: the import statement that follows imports it, or raises. While the
    interpreter shuts down, no other thread runs, and there is no wait.
    """
    if (
        module in _IMPORTED
        or sys.is_finalizing()
        or threading.current_thread() is not threading.main_thread()
    ):
        return
    done = threading.Lock()
    done.acquire()
    with suppress(RuntimeError):  # no more threads can be started, or the interpreter shuts down
        _thread.start_new_thread(_import, (module, done))
        done.acquire(timeout=allowed(WAIT_S))
    _IMPORTED.add(module)


def _import(module: str, done: threading.Lock) -> None:
    with suppress(*FAILURES):
        __import__(module)
    done.release()
