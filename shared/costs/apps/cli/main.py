"""Where the program starts and ends: what makes short commands quick around :mod:`.program`."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from ...errors import INTERRUPTED


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program and exit with its code."""
    _fill_closed_streams()
    # Starting makes many objects that stay, most of them by imports: looking for garbage among them
    # would take 4 ms of a view's 100.
    gc.set_threshold(100_000)
    called, words = (sys.argv[0], sys.argv[1:]) if arguments is None else ("", arguments)
    try:
        code = _run(words, called)
    except KeyboardInterrupt:  # while it was starting
        with suppress(OSError):  # the code tells it too
            print("interrupted", file=sys.stderr)  # noqa: T201  # the message of a command-line program
        code = INTERRUPTED
    _leave(code)


def _run(words: Sequence[str], called: str) -> int:
    if words[:1] == ["statusline"] and not {"-h", "--help"} & {*words}:
        from ..statusline import program as statusline  # a prompt waits: click alone takes 20 ms

        return statusline.main(words[1:])
    from .program import run

    return run(words, called)


def _fill_closed_streams() -> None:
    """Put nothing in the place of standard streams that are closed (``>&-``): it is written to all the same.

    And the file opened next would get their number, a ledger perhaps, and what is printed by others.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if not number else "w"))  # noqa: SIM115  # to the end


def _leave(code: int) -> NoReturn:
    """Exit at once, after what was to be done at the end: taking every module apart takes 15 ms more."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # told already, where the command wrote
            stream.flush()
    os._exit(code)
