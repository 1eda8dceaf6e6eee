"""Progress of work whose length is not known: a running count on stderr, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def counting(what: str) -> Iterator[Callable[[int], None]]:
    """Give what shows ``what`` and a count; the line is wiped at the end."""
    if not sys.stderr.isatty():
        yield lambda _done: None
        return

    def show(done: int) -> None:
        sys.stderr.write(f"\r{what}: {done:,}")
        sys.stderr.flush()

    try:
        yield show
    finally:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
