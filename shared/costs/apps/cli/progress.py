"""Progress of long work, on stderr: a bar on a terminal, nothing in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from ...reports.progress import Told


@contextmanager
def progress_bar(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Give a function that is told how much of ``total`` is done.

    >>> with progress_bar("Exporting", 10) as done:
    ...     done(10)
    """
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    with click.progressbar(length=max(total, 1), label=label, file=sys.stderr) as bar:
        yield lambda done: bar.update(done - bar.pos)


@contextmanager
def share_bar(label: str) -> Iterator[Told]:
    """Give a function that is told how much is done, and of how much.

    >>> with share_bar("Rebuilding") as told:
    ...     told(5, 10)
    """
    with progress_bar(label, 1_000) as bar:

        def told(done: int, total: int) -> None:
            bar(done * 1_000 // max(total, 1))

        yield told
