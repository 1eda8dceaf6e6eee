r"""Records lines whatever happens: in their ledger, else in the spool, else in memory until the end.

What waits is brought into its ledger beside the calls of a process, and fair to every ledger: each gets its
turn, and what waits for one that cannot be written keeps nothing else out and costs a call one try, however
many lines it is. The lines of a ledger are appended together, with one sync.

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
"""For how long after such a wait in vain the next records of that ledger wait only briefly."""

BRIEF_TIMEOUT_S: Final = 0.05
"""How long they wait: what they spool is not lost, and its place in the ledger does not matter."""

DRAIN_S: Final = 0.03
"""How long one run may take, in seconds."""

LOOK_S: Final = 1.0
"""How long a look at an empty spool is believed: others may leave lines there, which can wait."""

REST: Final = 20
"""When every ledger had its turn and nothing got anywhere, the pause is this many times as long as that."""

RELIST_S: Final = 0.1
"""How long a list of lines of earlier versions is worked off before the spool is listed again, in seconds."""

TOGETHER: Final = 64
"""How many lines are appended to a ledger at once, at most."""

LEFT_S: Final = 3600.0
"""From which age on a file that was never finished is taken away, in seconds."""

Announce = Callable[[Path], object]
Arrived = Callable[[Path, Sequence[bytes], int], object]
"""Called with a ledger, lines that waited and were appended to it, and the offset of the first."""


def nobody(*_: object) -> None:
    """Hear of something that concerns nobody."""


class RecordResult(NamedTuple):
    """What became of a line. ``place`` is ``None`` while it waits; ``explained`` says where and why."""

    place: AppendedLine | None
    explained: str = ""


class _BufferedLine(NamedTuple):
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
        self._memory: dict[str, _BufferedLine] = {}
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

    def record(self, ledger: Path, line: bytes, entry_id: str) -> RecordResult:
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
        return RecordResult(place)

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

    def _written(self, one: _BufferedLine, entry_id: str) -> bool:
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


# --- what waits in the spool


class Drain:
    """What one process knows of a spool. Threads may run it at once: a line that two bring counts once."""

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
        """Look at the next opportunity: something was put into the spool."""
        self._due_at = 0.0

    def is_due(self, ledger: Path) -> bool:
        """Tell whether it is time to look, also as lines wait for a ledger that was written to just now."""
        if self._stuck and spool.group_of(ledger) in self._stuck:
            self._due_at = 0.0
        return time.monotonic() >= self._due_at

    def run(self, announce: Announce, arrived: Arrived = nobody) -> None:
        """Append what waits, as far as that goes quickly.

        ``announce`` is called with each ledger before, ``arrived`` with what was appended.

        Raises:
            OSError: the spool cannot be listed now; what waits there goes on waiting.

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
        """List the spool anew; return the names of lines by their ledger."""
        names = spool.listed(self._storage)
        groups = spool.grouped(names)
        self._unnamed = [name for name in groups.pop("", []) if name not in self._damaged]
        self._stuck &= groups.keys()
        self._take_away(name for name in names if name.endswith(spool.UNFINISHED))
        return groups

    def _name(self, groups: dict[str, list[str]], deadline: float) -> bool:
        """Give lines of earlier versions names that say their ledger, and add them to the groups."""
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
        """Return the groups in the order of their turn; first those that were not stuck when last tried."""
        order = sorted(groups)
        stuck = [each for each in order if each in self._stuck]
        return [
            *(each for each in order if each not in self._stuck),
            *(each for each in stuck if each > self._last),
            *(each for each in stuck if each <= self._last),
        ]

    def _drain(self, names: Iterable[str], deadline: float, announce: Announce, arrived: Arrived) -> bool:
        """Bring the lines of one group into their ledger until that fails; return whether any got there."""
        progress = False
        lines, number = self._read(sorted(names)), 1  # one alone shows whether the ledger can be written
        while together := list(islice(lines, number)):
            number = TOGETHER
            ledger = together[0].ledger
            if any(line.ledger != ledger for line in together):  # two ledgers of one checksum
                together = [line for line in together if line.ledger == ledger]
            try:
                announce(ledger)
                place = append(ledger, b"".join(line.line for line in together), 0.0)
            except OSError:
                self._stuck.add(spool.group_of(ledger))
                break  # this ledger cannot be written yet; others may
            arrived(ledger, [line.line for line in together], place.offset)
            for line in together:
                with suppress(FileNotFoundError):  # another process brought it too: it is counted once
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

    def _take_away(self, names: Iterable[str]) -> None:
        """Delete what a process began to write and was stopped at, long ago."""
        for name in names:
            path = self._storage.spool_dir / name
            with suppress(FileNotFoundError):
                if time.time() - path.lstat().st_mtime > LEFT_S:
                    path.unlink()


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
