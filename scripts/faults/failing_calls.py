"""Makes one of the system calls of a block fail: Python's own, and those that SQLite makes in C."""

from __future__ import annotations

import errno
import fcntl
import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from unittest import mock

from scripts.faults import sqlite_calls

ERRNOS = (
    errno.ENOSPC,
    errno.EIO,
    errno.EDQUOT,
    errno.EACCES,
    errno.EROFS,
    errno.ENOMEM,
    errno.EMFILE,
    errno.ESTALE,
    errno.EINTR,
)
FAULT_KINDS: tuple[tuple[int | None, bool], ...] = (
    *((number, for_good) for number in ERRNOS for for_good in (False, True)),
    (None, False),
)
"""Which errno (``None``: a write takes a part of its bytes), and whether all later calls fail too."""

CALLS: tuple[tuple[ModuleType, str], ...] = (
    *((os, name) for name in ("open", "write", "pwrite", "pread", "fstat", "lstat", "stat", "listdir")),
    *((os, name) for name in ("fdatasync", "fsync", "ftruncate", "replace", "unlink", "mkdir", "chmod")),
    *((os, name) for name in ("utime", "close")),
    (fcntl, "flock"),
)


@dataclass(frozen=True)
class Fault:
    """Which call fails (counted from 0), how, and whether all later ones do too."""

    at: int
    number: int | None
    for_good: bool


class Injector:
    """Counts the system calls of a block and makes one fail; none, where ``fault`` is ``None``."""

    def __init__(self, fault: Fault | None) -> None:
        self._fault = fault
        self.calls = 0

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Stand in for the system calls meanwhile."""
        with ExitStack() as stack:
            # C makes the system call where one of our files is written to.
            files = [each for each in io.FileIO.__subclasses__() if each.__module__.startswith("shared.")]
            for owner, name in [*CALLS, *((each, "write") for each in files)]:
                real = getattr(owner, name)
                stack.enter_context(mock.patch.object(owner, name, self._in_place_of(name, real)))
            stack.enter_context(sqlite_calls.replaced(self._of_sqlite))
            yield

    def _hit(self) -> Fault | None:
        """Count a call; return the fault if it is to fail."""
        number, self.calls = self.calls, self.calls + 1
        fault = self._fault
        if fault is None or number < fault.at or (number > fault.at and not fault.for_good):
            return None
        return fault

    def _in_place_of(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            fault = self._hit()
            if fault is None:
                return real(*arguments, **keywords)
            if fault.number is None:
                first, *rest = arguments
                return real(first, rest[0][:9]) if name == "write" else real(*arguments, **keywords)
            if name == "close":
                real(*arguments)  # the descriptor is gone even where close fails, as POSIX has it
            raise OSError(fault.number, os.strerror(fault.number))

        return call

    def _of_sqlite(self, name: str, real: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        fault = self._hit()
        if fault is None or (fault.number == errno.EINTR and self.calls - 1 > fault.at):
            return real(*arguments)  # SQLite tries again as often as a call is interrupted
        if fault.number is not None:
            return sqlite_calls.failed(name, fault.number)
        if name == "pwrite64":
            fd, data, size, offset = arguments
            return real(fd, data, min(size, 9), offset)
        return real(*arguments)
