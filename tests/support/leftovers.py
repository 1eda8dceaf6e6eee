"""What a test leaves running: a process that still makes files when its folder is removed fails others."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.elapsed import held_up_s

_TASKS = Path("/proc/self/task")
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
_OF_PYTHON = b"multiprocessing.resource_tracker"
"""Begun with the first process of multiprocessing, for all that follow; it ends with this process."""


_ENDS_WITHIN_S = 10.0
"""What is about to end may take this long by itself, without the time for which others had the processor."""


def adopt_orphans() -> None:
    """Make what a child has started a child of this process when that one ends (on Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children() -> set[int]:
    """Return the processes that this one has as children, ended ones that nobody waited for too."""
    found = set[int]()
    with suppress(FileNotFoundError):  # not Linux
        for task in os.listdir(_TASKS):
            with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
                found.update(map(int, (_TASKS / task / "children").read_bytes().split()))
    return found


class Leftovers:
    """Processes that are still there after a test, but not before it."""

    def __init__(self) -> None:
        self._kept = children()

    @contextmanager
    def staying(self) -> Iterator[None]:
        """Let run on what is started here: a fixture of several tests needs it."""
        before = children()
        try:
            yield
        finally:
            self._kept |= children() - before

    def end(self) -> list[str]:
        """Wait for what is about to end, kill what does not end, and name it."""
        if not children() - self._kept:
            return []
        self._wait()
        left = self._running()
        named = [_described(process) for process in left]
        for process in left:
            os.kill(process, signal.SIGKILL)
        self._wait()
        return named

    def _wait(self) -> None:
        """Give what is left its time, until nothing is."""
        began, before = time.monotonic(), dict[int, float]()
        while left := self._running():
            waits = {process: held_up_s(str(process)) for process in left}
            held_up = max(waits[process] - before.setdefault(process, waits[process]) for process in left)
            if time.monotonic() - began - held_up > _ENDS_WITHIN_S:
                return
            time.sleep(0.005)

    def _running(self) -> list[int]:
        """Return what runs; what has ended is waited for, since nobody else will."""
        found = children() - self._kept
        return [process for process in found if not _ended(process) and _OF_PYTHON not in _command(process)]


def _ended(process: int) -> bool:
    try:
        return os.waitpid(process, os.WNOHANG)[0] == process
    except ChildProcessError:
        return True


def _described(process: int) -> str:
    return f"{process} ({_command(process).replace(bytes(1), b' ').decode(errors='replace').strip()[:300]})"


def _command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
