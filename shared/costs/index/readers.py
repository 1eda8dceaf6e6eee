"""Folds ledgers in processes of their own, and gives the results in the order of the ledgers."""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Final

from ..errors import StorageUnavailable
from .registry import Registered
from .scan import Scanned, scan

PROCESSES: Final = 2
CHUNK_BYTES: Final = 4 << 20
SMALL_BYTES: Final = 16 << 20
"""Below this many bytes no processes are started: that would take longer than the work."""

_AHEAD: Final = 4


def chunks_of(ledgers: Sequence[Registered]) -> tuple[list[list[Registered]], int]:
    """Divide ledgers into chunks of about the same number of bytes; return them and the number of all."""
    chunks: list[list[Registered]] = []
    whole = room = 0
    for ledger in ledgers:
        try:
            size = os.stat(ledger.path).st_size
        except OSError:
            size = 0  # it is reported when it is opened
        if room <= 0:
            chunks.append([])
            room = CHUNK_BYTES
        chunks[-1].append(ledger)
        room -= size + 1000  # opening a ledger takes as long as reading some lines
        whole += size
    return chunks, whole


@contextmanager
def scanned(chunks: Sequence[Sequence[Registered]], whole: int) -> Iterator[Iterator[Scanned]]:
    """Give the folded chunks, in their order."""
    if whole < SMALL_BYTES or len(chunks) < PROCESSES:
        yield map(scan, chunks)
        return
    with ExitStack() as stack:
        workers = [stack.enter_context(_Worker(chunks[n::PROCESSES])) for n in range(PROCESSES)]
        yield (workers[number % PROCESSES].next() for number in range(len(chunks)))


class _Worker:
    """A process that folds chunks, a few of them ahead of who asks for the results."""

    def __init__(self, chunks: Sequence[Sequence[Registered]]) -> None:
        self._chunks = chunks
        self._results: queue.Queue[Scanned | Exception] = queue.Queue(_AHEAD)
        self._stopped = threading.Event()

    def __enter__(self) -> _Worker:
        # A program of its own, not a fork: SQLite connections and locks must not be inherited.
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.scanner"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._send, self._receive)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._process.kill()
        self._process.wait()
        with suppress(queue.Empty):
            while True:
                self._results.get_nowait()
        for thread in self._threads:
            thread.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with suppress(OSError):
                    pipe.close()

    def next(self) -> Scanned:
        """Return the next chunk's result.

        Raises:
            StorageUnavailable: the process died.

        """
        found = self._results.get()
        if isinstance(found, Exception):
            raise StorageUnavailable(f"a process that reads ledgers failed: {found!r}") from found
        return found

    def _send(self) -> None:
        pipe = self._process.stdin
        with suppress(OSError):  # the process died: the receiver tells
            for chunk in (*self._chunks, None):
                pickle.dump(chunk, pipe)  # type: ignore[arg-type]  # there is one: PIPE
            pipe.flush()  # type: ignore[union-attr]

    def _receive(self) -> None:
        for _ in self._chunks:
            try:
                found: Scanned | Exception = pickle.load(self._process.stdout)  # type: ignore[arg-type]  # noqa: S301  # from our own child
            except Exception as fault:  # whatever it is, whoever waits for the result is told
                found = fault
            while not self._stopped.is_set():
                try:
                    self._results.put(found, timeout=0.1)
                except queue.Full:
                    continue
                break
            if isinstance(found, Exception):
                return
