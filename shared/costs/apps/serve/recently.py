"""What was made lately, by what it was made of.

>>> kept = Recently[str](2)
>>> for name in ("a", "b", "a", "c"):
...     kept.put((name,), name.upper())
>>> kept.get(("a",)), kept.get(("b",))
('A', None)
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")


class Recently(Generic[T]):
    """Keeps the last few things that were put or got. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[object, ...], T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[object, ...]) -> T | None:
        """Return what was made of this; ``None`` where it is not kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: tuple[object, ...], value: T) -> None:
        """Keep what was made."""
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
