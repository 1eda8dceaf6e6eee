"""Progress of long work, on stderr: a bar or a running count on a terminal, nothing in a pipe."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ...reports.reader import ProgressCallback


@contextmanager
def progress_bar(label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Yield what is called with how much of ``total`` is done; without a total a count is shown.

    The line is wiped at the end.

    >>> with progress_bar("Exporting", 10) as done:
    ...     done(10)
    """
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    from tqdm import tqdm  # 45 ms that only a terminal pays for

    columns, lines = shutil.get_terminal_size()  # 80 by 24 where a terminal does not say
    with tqdm(desc=label, total=total, file=sys.stderr, leave=False, ncols=columns, nrows=lines) as bar:

        def show(done: int) -> None:
            bar.update(done - bar.n)

        yield show


@contextmanager
def share_bar(label: str) -> Iterator[ProgressCallback]:
    """Yield what is called with how much is done, and of how much.

    >>> with share_bar("Rebuilding") as advance:
    ...     advance(5, 10)
    """
    with progress_bar(label, 1_000) as bar:
        yield lambda done, total: bar(done * 1_000 // max(total, 1))
