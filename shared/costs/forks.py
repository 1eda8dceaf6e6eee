"""Locks between threads that are free in a forked child, whichever thread of its parent held them.

A child of ``os.fork`` has one thread. A lock that another thread held at that moment would stay locked
in it forever, and its first call would never return.

>>> class Counter:
...     def __init__(self):
...         self.lock = lock_of(self, "lock")
>>> with Counter().lock:
...     pass
"""

from __future__ import annotations

import os
import threading
from weakref import WeakKeyDictionary

_owners: WeakKeyDictionary[object, set[str]] = WeakKeyDictionary()


def lock_of(owner: object, attribute: str) -> threading.RLock:
    """Return a new re-entrant lock for an attribute of ``owner``; forked children get a free one there."""
    _owners.setdefault(owner, set()).add(attribute)
    return threading.RLock()


def _replace_locks() -> None:
    for owner, attributes in list(_owners.items()):
        for attribute in attributes:
            setattr(owner, attribute, threading.RLock())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_replace_locks)
