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
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
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
                return (
                    real(arguments[0], arguments[1][:9]) if name == "write" else real(*arguments, **keywords)
                )
            if name == "close":
                real(*arguments)  # the descriptor is gone even where close fails, as POSIX has it
            raise OSError(fault.number, os.strerror(fault.number))

        return call


@dataclass
class Stand:
    """Where a scenario runs, what it must leave behind, and what is still open when it is over."""

    home: Path
    rng: random.Random
    expected: set[str] = field(default_factory=set)
    calls: int = 0
    """How many calls were logged whose ids the tracker chose."""
    kept: list[CostTracker | Recorder] = field(default_factory=list)

    @property
    def ledger(self) -> Path:
        """The ledger of the one job."""
        return self.home / "job" / "cost_ledger.jsonl"

    def tracker(self) -> CostTracker:
        """Return a tracker under a blocking budget."""
        profile = self.home.parent / f"{self.home.name}.yaml"
        made = CostTracker(self.home / "job", cost_storage_path=self.home, profile_path=profile)
        self.kept.append(made)
        return made


Scenario = Callable[[Stand], None]


def append_one(stand: Stand) -> None:
    """Record one line."""
    one, recorder = entry(stand.rng), Recorder(CostStorage(stand.home))
    stand.kept.append(recorder)
    stand.expected.add(one.id)
    recorder.record(stand.ledger, encode(one), one.id)


def drain_one(stand: Stand) -> None:
    """Record a line while another one waits in the spool."""
    waiting = entry(stand.rng)
    with contextlib.suppress(OSError):
        spool.put(CostStorage(stand.home), stand.ledger, encode(waiting), waiting.id)
        stand.expected.add(waiting.id)
    append_one(stand)


def log_one(stand: Stand) -> None:
    """Log a call through the tracker."""
    stand.tracker().log_usage("openai", "gpt-4o", 1000, 200)
    stand.calls += 1


def reserve_one(stand: Stand) -> None:
    """Reserve, log, settle; a refusal by the gate is no loss."""
    tracker = stand.tracker()
    try:
        with tracker.reserve("openai", "gpt-4o", tokens_input=1000, max_tokens_output=200) as hold:
            tracker.log_usage("openai", "gpt-4o", 1000, 200, reservation=hold)
            stand.calls += 1
    except (BudgetGateUnavailable, BudgetExceeded):
        return


SCENARIOS: tuple[Scenario, ...] = (append_one, drain_one, log_one, reserve_one)


@dataclass
class Totals:
    """What a run came to."""

    cases: int = 0
    lost: int = 0
    raised: Counter[str] = field(default_factory=Counter)


def one_case(scenario: Scenario, fault: Fault, seed: int, totals: Totals) -> bool:
    """Run a scenario with a fault; return whether the fault was reached."""
    injector = Injector(fault)
    with tempfile.TemporaryDirectory() as name:
        stand = Stand(Path(name) / "home", random.Random(seed))
        (Path(name) / "home.yaml").write_text("budget: {monthly_limit_usd: 50, block_at_limit: true}\n")
        with contextlib.redirect_stderr(io.StringIO()), injector.installed():
            try:
                scenario(stand)
            except Exception as raised:  # whatever reaches the stage is what this program looks for
                totals.raised[f"{scenario.__name__}: {type(raised).__name__}: {raised}"] += 1
        for kept in stand.kept:
            kept.close()  # as at exit, with the disk well again
        Recorder(CostStorage(stand.home)).close()
        found = entries_in([stand.ledger])[0] if stand.ledger.exists() else {}
        totals.lost += max(0, len(stand.expected) + stand.calls - len(found)) + len(
            stand.expected - found.keys()
        )
    totals.cases += 1
    return injector.calls > fault.at


def main() -> int:
    """Run cases until there are enough, every scenario and fault in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cases", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    totals = Totals()
    kinds = [(number, for_good) for number in ERRNOS for for_good in (False, True)] + [(None, False)]
    while totals.cases < options.cases:
        for (number, for_good), scenario in itertools.product(kinds, SCENARIOS):
            at = 0
            while one_case(scenario, Fault(at, number, for_good), options.seed, totals):
                at += 1
                if totals.cases >= options.cases:
                    break
    for text, times in totals.raised.most_common(5):
        print(f"raised {times} times: {text}")
    raised = totals.raised.total()
    good = totals.lost == raised == 0
    return conclude("system calls", good, cases=totals.cases, lost=totals.lost, raised_into_the_stage=raised)


if __name__ == "__main__":
    raise SystemExit(main())
