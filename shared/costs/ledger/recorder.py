r"""Records lines whatever happens: in their ledger, else in the spool, else in memory until the end.

>>> import tempfile
>>> folder = tempfile.TemporaryDirectory()
>>> recorder = Recorder(CostStorage(Path(folder.name)))
>>> recorder.record(Path(folder.name) / "job" / "cost_ledger.jsonl", b"a line\n", "0c").place
Appended(offset=0, length=7)
>>> folder.cleanup()
"""

from __future__ import annotations

import atexit
import math
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from ..errors import reraise_foreign
from ..patience import allowed
from ..storage import CostStorage
from . import spool, writer
from .drain import DRAIN_S, Announce, Arrived, Drain, nobody
from .places import Appended
from .writer import LockTimeout, append

LOCK_TIMEOUT_S: Final = 2.0
"""How long one record waits for other writers of its ledger."""

LOCKED_S: Final = 5.0
"""For how long after such a wait in vain the next records of that ledger wait only briefly."""

BRIEF_TIMEOUT_S: Final = 0.05
"""How long they wait: what they spool is not lost, and its place in the ledger does not matter."""


class Recorded(NamedTuple):
    """What became of a line. ``place`` is ``None`` while it waits; ``explained`` says where and why."""

    place: Appended | None
    explained: str = ""


class _Kept(NamedTuple):
    """A line in memory, and the ledger it is for."""

    ledger: Path
    line: bytes


class Recorder:
    """Writes the lines of one process. No method raises for a storage failure. Thread-safe.

    ``announce`` is called with a ledger before a waiting line is appended to it, so that an index
    can be told to look there; ``arrived`` afterwards with the line.
    """

    def __init__(self, storage: CostStorage, announce: Announce = nobody, arrived: Arrived = nobody) -> None:
        self._storage = storage
        self._announce, self._arrived = announce, arrived
        self._drain = _DRAINS.setdefault(storage, Drain(storage))
        self._memory: dict[str, _Kept] = {}
        self._memory_of = 0
        self._locked_until: dict[Path, float] = {}
        self._spooled: set[Path] = set()
        self._kept: writer.Kept = {}
        self.degraded = 0
        """How many lines of this process could not go straight into their ledgers."""

    @property
    def waiting(self) -> int:
        """How many lines of this process are not in their ledgers yet, as far as is known."""
        self._spooled = {path for path in self._spooled if path.exists()}
        return len(self._memory) + len(self._spooled)

    def record(self, ledger: Path, line: bytes, entry_id: str) -> Recorded:
        """Write ``line`` to its ledger; failing that, keep it under the same id.

        An exception that comes from a signal handler meanwhile goes on to the caller, once the line is
        kept.
        """
        try:
            timeout = self._timeout(ledger) if self._locked_until else LOCK_TIMEOUT_S
            place = append(ledger, line, timeout, self._kept)
        except OSError as fault:
            if isinstance(fault, LockTimeout):
                self._locked_until[ledger] = time.monotonic() + LOCKED_S
            recorded = self._keep(ledger, line, entry_id, fault)
            reraise_foreign(fault)
            return recorded
        except BaseException as fault:
            self._keep(ledger, line, entry_id, fault)
            raise
        if self._drain.is_due(ledger) or self._memory:
            self._write_waiting()
        return Recorded(place)

    def _timeout(self, ledger: Path) -> float:
        """Return how long to wait for a ledger: briefly where its lock was waited for in vain just now."""
        is_locked = time.monotonic() < self._locked_until.get(ledger, 0.0)
        return BRIEF_TIMEOUT_S if is_locked else LOCK_TIMEOUT_S

    def close(self) -> None:
        """Try once more to write all that is kept in memory, and some of what waits in the spool.

        No ledger that was written to is kept open then.
        """
        self._write_memory(math.inf)
        self._write_waiting()
        writer.close(self._kept)

    def _keep(self, ledger: Path, line: bytes, entry_id: str, fault: BaseException) -> Recorded:
        self.degraded += 1
        self._drain.expect()
        try:
            self._spooled.add(spool.put(self._storage, ledger, line, entry_id))
        except OSError as second:
            self._remember(_Kept(ledger, line), entry_id)
            reraise_foreign(second)
            return Recorded(None, f"kept in memory and on standard error: {fault}; {second}")
        except BaseException:
            self._remember(_Kept(ledger, line), entry_id)
            raise
        return Recorded(None, f"waiting in the spool: {fault}")

    def _remember(self, kept: _Kept, entry_id: str) -> None:
        if self._memory_of != os.getpid():
            self._memory_of = os.getpid()
            self._memory.clear()  # a forked child has its parent's lines too, who writes them itself
            at_exit(self.close)
        self._memory[entry_id] = kept
        if sys.stderr is not None:  # a process without a terminal may have none
            with suppress(OSError, ValueError):  # or a closed one
                sys.stderr.write(f"cost tracking: not written to {kept.ledger}: {kept.line.decode('ascii')}")

    def _write_memory(self, deadline: float) -> None:
        """Write what is kept, as far as that goes; each line stays kept until it is written.

        Two threads may both write a line: it has one id and counts once. A lock would have to be
        mended in forked children.
        """
        if self._memory_of != os.getpid():
            return
        stuck = set[Path]()
        for entry_id, one in list(self._memory.items()):
            if time.monotonic() > deadline:
                return
            if one.ledger in stuck:
                continue
            if self._written(one, entry_id):
                self._memory.pop(entry_id, None)
            else:
                stuck.add(one.ledger)

    def _written(self, one: _Kept, entry_id: str) -> bool:
        """Try the ledger, then the spool; the lock of a ledger is not waited for again."""
        try:
            self._announce(one.ledger)
            place = append(one.ledger, one.line, 0.0)
        except OSError:
            try:
                self._spooled.add(spool.put(self._storage, one.ledger, one.line, entry_id))
            except OSError:
                return False
        else:
            self._arrived(one.ledger, [one.line], place.offset)
        return True

    def _write_waiting(self) -> None:
        """Write what waits, as far as that goes quickly; the rest is left for the next record."""
        self._write_memory(time.monotonic() + allowed(DRAIN_S))
        with suppress(OSError):  # the spool cannot be listed now: what waits there goes on waiting
            self._drain.run(self._announce, self._arrived)


_DRAINS: Final[dict[CostStorage, Drain]] = {}
"""What this process knows of each spool, whichever trackers use it."""


def at_exit(action: Callable[[], None]) -> None:
    """Have something done when this process ends, also where it is a worker of a pool.

    Workers end without what is registered with ``atexit``; what their own packages do instead is used
    where a process has them already.
    """
    atexit.register(action)
    for name in ("multiprocessing.util", "billiard.util"):
        util = sys.modules.get(name)
        if util is not None:
            util.Finalize(None, action, exitpriority=0)
