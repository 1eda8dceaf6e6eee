"""Brings waiting lines into their ledgers, beside the calls of a process and fair to every ledger.

Each ledger gets its turn: what waits for one that cannot be written keeps nothing else out and costs a
call one try, however many lines it is. The lines of a ledger are appended together, with one sync.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from ..patience import allowed
from ..storage import CostStorage
from . import spool
from .spool import Waiting
from .writer import append

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

    def _read(self, names: Iterable[str]) -> Iterator[Waiting]:
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
