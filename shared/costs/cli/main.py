"""Where the program starts and ends: what makes short commands quick around :mod:`.program`."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program and exit with its code."""
    # Starting makes many objects that stay, most of them by imports: looking for garbage among them
    # would take 4 ms of a view's 100.
    gc.set_threshold(100_000)
    from .program import run

    _leave(run(sys.argv[1:] if arguments is None else arguments))


def _leave(code: int) -> NoReturn:
    """Exit at once, after what was to be done at the end: taking every module apart takes 15 ms more."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # as under `>&-`
            with suppress(OSError):  # told already, where the command wrote
                stream.flush()
    os._exit(code)
