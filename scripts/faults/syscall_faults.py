"""Makes every system call of recording fail, one at a time: once or for good, with nine errnos, or short.

Four scenarios are run again and again, each time with another call failing: an append, a drain of the
spool, a whole ``log_usage`` (with its index), and reserve-log-settle. Nothing may be raised into the
stage but the gate's own refusals, and every entry that was reported must be in its ledger in the end.
SQLite's calls are made in C and are not among these: see the programs for the index and the gate.

    python scripts/faults/syscall_faults.py [--cases 5000]
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import fcntl
import io
import itertools
import logging
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from common import conclude, encode, entries_in, entry

from shared.cost_tracker import BudgetExceeded, BudgetGateUnavailable, CostTracker
from shared.costs.ledger import spool
from shared.costs.ledger.recorder import Recorder
from shared.costs.storage import CostStorage

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
CALLS: tuple[tuple[ModuleType, str], ...] = (
    *((os, name) for name in ("open", "write", "pread", "fstat", "lstat", "fdatasync", "fsync", "ftruncate")),
    *((os, name) for name in ("replace", "unlink", "mkdir", "chmod", "listdir", "stat", "close")),
    (fcntl, "flock"),
)


@dataclass(frozen=True)
class Fault:
    """Which call fails (counted from 0), how, and whether all later ones do too."""

    at: int
    number: int | None
    for_good: bool

    @property
    def short(self) -> bool:
        """Whether a write takes a part of its bytes only, in place of failing."""
        return self.number is None


class Injector:
    """Counts the system calls of a scenario and makes one fail."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self.calls = 0

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Stand in for the system calls meanwhile."""
        real = {(module, name): getattr(module, name) for module, name in CALLS}
        for module, name in CALLS:
            setattr(module, name, self._standing_in(name, real[module, name]))
        try:
            yield
        finally:
            for (module, name), call in real.items():
                setattr(module, name, call)

    def _standing_in(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            number, self.calls = self.calls, self.calls + 1
            fault = self._fault
            if number != fault.at and not (fault.for_good and number > fault.at):
                return real(*arguments, **keywords)
            if fault.short or fault.number is None:
                return real(arguments[0], arguments[1][:9]) if name == "write" else real(*arguments, **keywords)
            if name == "close":
                real(*arguments)  # the descriptor is gone even where close fails, as POSIX has it
            raise OSError(fault.number, os.strerror(fault.number))

        return call


Scenario = Callable[[Path, random.Random], set[str]]


def append_one(home: Path, rng: random.Random) -> set[str]:
    """Record one line."""
    one, recorder = entry(rng), Recorder(CostStorage(home))
    recorder.record(home / "job" / "cost_ledger.jsonl", encode(one), one.id)
    KEPT.append(recorder)
    return {one.id}


def drain_one(home: Path, rng: random.Random) -> set[str]:
    """Record a line while another one waits in the spool."""
    waiting = entry(rng)
    with contextlib.suppress(OSError):
        spool.put(CostStorage(home), home / "job" / "cost_ledger.jsonl", encode(waiting), waiting.id)
        return append_one(home, rng) | {waiting.id}
    return append_one(home, rng)


def log_one(home: Path, rng: random.Random) -> set[str]:
    """Log a call through the tracker."""
    tracker = CostTracker(home / "job", cost_storage_path=home, profile_path=PROFILE)
    request = f"req-{rng.getrandbits(60)}"
    tracker.log_usage("openai", "gpt-4o", 1000, 200)
    KEPT.append(tracker)
    return {request} - {request}


def reserve_one(home: Path, rng: random.Random) -> set[str]:
    """Reserve, log, settle; a refusal by the gate is no loss."""
    tracker = CostTracker(home / "job", cost_storage_path=home, profile_path=PROFILE)
    KEPT.append(tracker)
    with (
        contextlib.suppress(BudgetGateUnavailable, BudgetExceeded),
        tracker.reserve("openai", "gpt-4o", tokens_input=1000, max_tokens_output=200) as hold,
    ):
        tracker.log_usage("openai", "gpt-4o", 1000, 200, reservation=hold)
    return set()


SCENARIOS: dict[str, Scenario] = {
    "append": append_one,
    "drain": drain_one,
    "log_usage": log_one,
    "reserve": reserve_one,
}
KEPT: list[Any] = []
PROFILE: Path


@dataclass
class Totals:
    """What a run came to."""

    cases: int = 0
    lost: int = 0
    raised: int = 0


def one_case(scenario: Scenario, fault: Fault, rng: random.Random, totals: Totals) -> bool:
    """Run a scenario with a fault; return whether the fault was reached."""
    injector = Injector(fault)
    KEPT.clear()
    expected: set[str] = set()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        said = io.StringIO()
        with contextlib.redirect_stderr(said), injector.installed():
            try:
                expected = scenario(home, rng)
            except Exception:  # whatever reaches the stage is what this program looks for
                totals.raised += 1
        for kept in KEPT:
            kept.close()  # as at exit, with the disk well again
        Recorder(CostStorage(home)).close()
        ledger = home / "job" / "cost_ledger.jsonl"
        found = entries_in([ledger])[0] if ledger.exists() else {}
        logged = scenario in (log_one,)
        totals.lost += len(expected - found.keys()) + (logged and len(found) != 1)
    totals.cases += 1
    return injector.calls > fault.at


def main() -> int:
    """Run cases until there are enough, every scenario and fault in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cases", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    rng = random.Random(options.seed)
    totals = Totals()
    kinds = [(number, for_good) for number in ERRNOS for for_good in (False, True)] + [(None, False)]
    with tempfile.TemporaryDirectory() as name:
        global PROFILE
        PROFILE = Path(name) / "profile.yaml"
        PROFILE.write_text("budget: {monthly_limit_usd: 50, block_at_limit: true}\n")
        while totals.cases < options.cases:
            for scenario, (number, for_good) in itertools.product(SCENARIOS.values(), kinds):
                at = 0
                while one_case(scenario, Fault(at, number, for_good), rng, totals):
                    at += 1
                    if totals.cases >= options.cases:
                        break
    good = totals.lost == totals.raised == 0
    return conclude("system calls", good, cases=totals.cases, lost=totals.lost, raised_into_the_stage=totals.raised)


if __name__ == "__main__":
    raise SystemExit(main())
