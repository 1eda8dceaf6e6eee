r"""Records lines whatever happens: in their ledger, else in the spool, else in memory until the end.

Waiting lines are moved into their ledgers while a process records its calls, and fairly: each ledger gets its
turn, and one that cannot be written holds up no other and costs a call one try, however many lines wait for
it. The lines of a ledger are appended together, with one sync.

>>> import tempfile
>>> folder = tempfile.TemporaryDirectory()
>>> recorder = Recorder(CostStorage(Path(folder.name)))
>>> recorder.record(Path(folder.name) / "job" / "cost_ledger.jsonl", b"a line\n", "0c").place
AppendedLine(offset=0, length=7)
>>> folder.cleanup()
"""

from __future__ import annotations

import atexit
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from ..errors import reraise_foreign
from ..patience import allowed
from ..storage import CostStorage
from . import spool, writer
from .lines import AppendedLine
from .spool import SpooledLine
from .writer import LockTimeout, append

LOCK_TIMEOUT_S: Final = 2.0
"""How long one record waits for other writers of its ledger."""

LOCKED_S: Final = 5.0
"""For how many seconds after that timed out the next records of that ledger wait only briefly."""

BRIEF_TIMEOUT_S: Final = 0.05
"""How long they wait, in seconds: a spooled line is not lost, and its place in the ledger does not matter."""

DRAIN_S: Final = 0.03
"""How long one run of the drain may take, in seconds."""

LOOK_S: Final = 1.0
"""For how many seconds an empty spool is not listed again: lines that others leave there can wait."""

REST: Final = 20
"""If no line was moved in a round of all ledgers, the pause is this many times as long as the round."""

RELIST_S: Final = 0.1
"""For how many seconds a list of lines of earlier versions is processed before the spool is listed again."""

TOGETHER: Final = 64
"""The most lines that are appended to a ledger at once."""

UNFINISHED_S: Final = 3600.0
"""The age from which an unfinished file is deleted, in seconds."""

Announce = Callable[[Path], object]
Arrived = Callable[[Path, Sequence[bytes], int], object]
"""Called with a ledger, lines that waited and were appended to it, and the offset of the first."""


def ignore(*_: object) -> None:
    """Do nothing: the default of callbacks."""


class RecordResult(NamedTuple):
    """What became of a line. While it waits, ``place`` is ``None`` and ``explained`` says where and why."""

    place: AppendedLine | None
    explained: str = ""


class _BufferedLine(NamedTuple):
    """A line in memory, and the ledger it is for."""

    ledger: Path
    line: bytes


class Recorder:
    """Writes the lines of one process. No method raises for a storage failure. Thread-safe.

    ``announce`` is called with a ledger before a waiting line is appended to it, so that an index
    knows of it; ``arrived`` is called afterwards with the line.
    """

    def __init__(self, storage: CostStorage, announce: Announce = ignore, arrived: Arrived = ignore) -> None:
        self._storage = storage
        self._announce, self._arrived = announce, arrived
        self._drain = _DRAINS.setdefault(storage, Drain(storage))
        self._memory: dict[str, _BufferedLine] = {}
        self._memory_of = 0
        self._locked_until: dict[Path, float] = {}
        self._spooled: set[Path] = set()
        self._kept: writer.Kept = {}
        self.degraded = 0
        """How many lines of this process could not go straight into their ledgers."""

    @property
    def waiting(self) -> int:
        """How many lines of this process are not in their ledgers yet, as far as it knows."""
        self._spooled = {path for path in self._spooled if path.exists()}
        return len(self._memory) + len(self._spooled)

    def record(self, ledger: Path, line: bytes, entry_id: str) -> RecordResult:
        """Write ``line`` to its ledger; if that fails, keep it under the same id.

        An exception from a signal handler is raised once the line is kept.
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
        return RecordResult(place)

    def _timeout(self, ledger: Path) -> float:
        """Return how long to wait for a ledger, in seconds: briefly if its lock has just timed out."""
        is_locked = time.monotonic() < self._locked_until.get(ledger, 0.0)
        return BRIEF_TIMEOUT_S if is_locked else LOCK_TIMEOUT_S

    def close(self) -> None:
        """Try once more to write all lines in memory and some of those in the spool; close the ledgers."""
        self._write_memory(math.inf)
        self._write_waiting()
        writer.close(self._kept)

    def _keep(self, ledger: Path, line: bytes, entry_id: str, fault: BaseException) -> RecordResult:
        self.degraded += 1
        self._drain.expect()
        try:
            self._spooled.add(spool.put(self._storage, ledger, line, entry_id))
        except OSError as second:
            self._remember(_BufferedLine(ledger, line), entry_id)
            reraise_foreign(second)
            return RecordResult(None, f"kept in memory and on standard error: {fault}; {second}")
        except BaseException:
            self._remember(_BufferedLine(ledger, line), entry_id)
            raise
        return RecordResult(None, f"waiting in the spool: {fault}")

    def _remember(self, kept: _BufferedLine, entry_id: str) -> None:
        if self._memory_of != os.getpid():
            self._memory_of = os.getpid()
            self._memory.clear()  # a forked child has copies of its parent's lines, which the parent writes
            at_exit(self.close)
        self._memory[entry_id] = kept
        if sys.stderr is not None:  # a process without a terminal may have none
            with suppress(OSError, ValueError):  # or a closed one
                sys.stderr.write(f"cost tracking: not written to {kept.ledger}: {kept.line.decode('ascii')}")

    def _write_memory(self, deadline: float) -> None:
        """Write the lines in memory until the deadline; each stays there until it is written.

        Two threads may both write a line: it has one id and counts once. A lock would need repair in
        forked children.
        """
        if self._memory_of != os.getpid():
            return
        stuck = set[Path]()
        for entry_id, buffered in list(self._memory.items()):
            if time.monotonic() > deadline:
                return
            if buffered.ledger in stuck:
                continue
            if self._try_write(buffered, entry_id):
                self._memory.pop(entry_id, None)
            else:
                stuck.add(buffered.ledger)

    def _try_write(self, buffered: _BufferedLine, entry_id: str) -> bool:
        """Try the ledger without waiting for its lock, then the spool; tell whether one has the line."""
        try:
            self._announce(buffered.ledger)
            place = append(buffered.ledger, buffered.line, 0.0)
        except OSError:
            try:
                self._spooled.add(spool.put(self._storage, buffered.ledger, buffered.line, entry_id))
            except OSError:
                return False
        else:
            self._arrived(buffered.ledger, [buffered.line], place.offset)
        return True

    def _write_waiting(self) -> None:
        """Write waiting lines for a short time; the rest waits for the next record."""
        self._write_memory(time.monotonic() + allowed(DRAIN_S))
        with suppress(OSError):  # the spool cannot be listed now: its lines go on waiting
            self._drain.run(self._announce, self._arrived)


# --- the lines in the spool


class Drain:
    """Moves a spool's lines into their ledgers. Threads may run it at once: a duplicate counts once."""

    def __init__(self, storage: CostStorage) -> None:
        self._storage = storage
        self._due_at = 0.0
        self._last = ""
        self._damaged: set[str] = set()
        self._stuck: set[str] = set()
        self._round_s = 0.0
        self._unnamed: list[str] = []
        self._listed_at = 0.0

    def expect(self) -> None:
        """Run at the next opportunity: something was put into the spool."""
        self._due_at = 0.0

    def is_due(self, ledger: Path) -> bool:
        """Tell whether it is time to run; it also is if lines wait for a ledger just written to."""
        if self._stuck and spool.group_of(ledger) in self._stuck:
            self._due_at = 0.0
        return time.monotonic() >= self._due_at

    def run(self, announce: Announce, arrived: Arrived = ignore) -> None:
        """Append waiting lines to their ledgers for a short time.

        ``announce`` is called with each ledger before, ``arrived`` with what was appended.

        Raises:
            OSError: the spool cannot be listed now; its lines go on waiting.

        """
        began = time.monotonic()
        self._due_at = began + LOOK_S
        if self._unnamed and began < self._listed_at + RELIST_S:
            groups, rest_of_round = dict[str, list[str]](), True
        else:
            groups, rest_of_round = self._look(), False
            self._listed_at = began
        progress = self._name(groups, time.monotonic() + allowed(DRAIN_S) / 3)
        if not groups:
            self._stuck.clear()
            return
        deadline = time.monotonic() + allowed(DRAIN_S) / 3
        in_time = True
        for group in self._in_turn(groups):
            in_time = time.monotonic() <= deadline
            if not in_time:
                break
            if rest_of_round and group in self._stuck:
                continue  # it had its turn
            self._stuck.discard(group)
            progress |= self._drain(groups[group], deadline, announce, arrived)
            self._last = group
        now = time.monotonic()
        self._round_s += now - began
        if in_time and not self._unnamed:
            self._due_at = 0.0 if progress else now + self._round_s * REST
            self._round_s = 0.0
        else:
            self._due_at = 0.0

    def _look(self) -> dict[str, list[str]]:
        """List the spool again; return the names of lines by the group of their ledger."""
        names = spool.listed(self._storage)
        groups = spool.grouped(names)
        self._unnamed = [name for name in groups.pop("", []) if name not in self._damaged]
        self._stuck &= groups.keys()
        self._delete_unfinished(name for name in names if name.endswith(spool.UNFINISHED))
        return groups

    def _name(self, groups: dict[str, list[str]], deadline: float) -> bool:
        """Rename lines of earlier versions to begin with their ledger's group; add them to the groups."""
        progress = False
        while self._unnamed and time.monotonic() <= deadline:
            name = self._unnamed.pop()
            for line in spool.read_waiting([self._storage.spool_dir / name]):
                if line.is_damaged:
                    self._damaged.add(name)
                    continue
                group = spool.group_of(line.ledger)
                with suppress(FileNotFoundError):  # another process did
                    os.replace(line.path, line.path.with_name(f"{group}-{name}"))
                    groups.setdefault(group, []).append(f"{group}-{name}")
                    progress = True
        return progress

    def _in_turn(self, groups: Iterable[str]) -> list[str]:
        """Return the groups in the order of their turn, those stuck when last tried after the others."""
        order = sorted(groups)
        stuck = [group for group in order if group in self._stuck]
        return [
            *(group for group in order if group not in self._stuck),
            *(group for group in stuck if group > self._last),
            *(group for group in stuck if group <= self._last),
        ]

    def _drain(self, names: Iterable[str], deadline: float, announce: Announce, arrived: Arrived) -> bool:
        """Move the lines of one group into their ledger until that fails; tell whether any was moved."""
        progress = False
        lines, number = self._read(sorted(names)), 1  # one line first shows whether the ledger can be written
        while batch := list(islice(lines, number)):
            number = TOGETHER
            ledger = batch[0].ledger
            if any(line.ledger != ledger for line in batch):  # two ledgers of one checksum
                batch = [line for line in batch if line.ledger == ledger]
            try:
                announce(ledger)
                place = append(ledger, b"".join(line.line for line in batch), 0.0)
            except OSError:
                self._stuck.add(spool.group_of(ledger))
                break  # this ledger cannot be written yet; others may
            arrived(ledger, [line.line for line in batch], place.offset)
            for line in batch:
                with suppress(FileNotFoundError):  # another process moved it too: it counts once
                    line.path.unlink()
            progress = True
            if time.monotonic() > deadline:
                break
        return progress

    def _read(self, names: Iterable[str]) -> Iterator[SpooledLine]:
        paths = (self._storage.spool_dir / name for name in names if name not in self._damaged)
        for line in spool.read_waiting(paths):
            if line.is_damaged:
                self._damaged.add(line.path.name)
            else:
                yield line

    def _delete_unfinished(self, names: Iterable[str]) -> None:
        """Delete the unfinished files of processes that were stopped long ago."""
        for name in names:
            path = self._storage.spool_dir / name
            with suppress(FileNotFoundError):
                if time.time() - path.lstat().st_mtime > UNFINISHED_S:
                    path.unlink()


_DRAINS: Final[dict[CostStorage, Drain]] = {}
"""The drain of each spool, shared by all trackers of this process."""


def at_exit(action: Callable[[], None]) -> None:
    """Run an action when this process ends, even if it is a worker of a pool.

    Workers end without running ``atexit``; the finalizers of their packages are used instead, if the process
    has imported those.
    """
    atexit.register(action)
    for name in ("multiprocessing.util", "billiard.util"):
        util = sys.modules.get(name)
        if util is not None:
            util.Finalize(None, action, exitpriority=0)
