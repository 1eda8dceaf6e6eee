"""Interrupts recording at any moment with an exception from a signal handler, as alarms and soft limits do.

A timer goes off at a random phase of ``log_usage``, a stage, a reservation or a read, and its handler
raises: an ``Exception``, a ``BaseException``, or ``KeyboardInterrupt``. In half of the runs a second
thread records on the same tracker meanwhile. In the end no thread may be stuck, no transaction open, no
descriptor left, no call that was acknowledged lost, and none there twice; the month is the sum of the
ledgers, and nothing live is held.

    python scripts/faults/signals.py [--interrupts 20000] [--rounds 20] [--seconds 0] [--seed 1]
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from scripts.faults.blackbox import (
    LEDGER,
    MODEL,
    Place,
    Raised,
    in_child,
    live_holds,
    month,
    paid,
    places,
    plain,
    storage_files,
    warm_up,
)
from scripts.faults.command_line import command_line
from scripts.faults.common import conclude, fast_folder
from shared.cost_tracker import BudgetExceeded, BudgetGateUnavailable, CostTracker

PROFILE = "budget: {monthly_limit_usd: 100000, block_at_limit: true}\n"
STUCK_S = 10.0
ENDS_S = 5.0
LONGEST_PHASE_S = 0.004

T = TypeVar("T")


class Interrupted(Exception):
    """Raised by the handler, as by a soft limit."""


class HardInterrupted(BaseException):
    """Raised by the handler, as what no ``except Exception`` stops."""


KINDS: tuple[type[BaseException], ...] = (Interrupted, HardInterrupted, KeyboardInterrupt)


@dataclass
class Run:
    """What one process saw. ``acknowledged`` are the numbers of calls that returned."""

    interrupts: int = 0
    acknowledged: set[int] = field(default_factory=set)
    begun: int = 0
    stuck: int = 0
    raised: list[str] = field(default_factory=list)
    open_transactions: int = 0
    descriptors: list[str] = field(default_factory=list)


class Storm:
    """One process: calls, and interrupts among them."""

    def __init__(self, place: Place, profile: Path, rng: random.Random, run: Run) -> None:
        self.place, self.profile, self.rng, self.run = place, profile, rng, run
        self.tracker = self.a_tracker()
        self.armed = False
        self.kind: type[BaseException] = Interrupted
        self.beats = 0
        self.stop = False

    def a_tracker(self) -> CostTracker:
        """Return a tracker of one of a few jobs."""
        return self.place.tracker(f"job-{self.rng.randrange(4)}", self.profile)

    def handler(self, *_: object) -> None:
        """Raise, once, where something is being tried."""
        if self.armed:
            self.armed = False
            raise self.kind("interrupted")

    # --- what is interrupted

    def log(self, number: int) -> None:
        """Record a call."""
        self.tracker.log_usage(*MODEL, 1000, 10, metadata={"n": number})
        self.run.acknowledged.add(number)

    def stage(self, number: int) -> None:
        """Record a call in a stage."""
        with self.tracker.stage("13_summary") as stage:
            stage.log_usage(*MODEL, 1000, 10, metadata={"n": number})
            self.run.acknowledged.add(number)

    def reserve(self, number: int) -> None:
        """Reserve, record, settle."""
        with (
            contextlib.suppress(BudgetGateUnavailable, BudgetExceeded),
            self.tracker.reserve(*MODEL, tokens_input=1000, max_tokens_output=20) as hold,
        ):
            self.tracker.log_usage(*MODEL, 1000, 10, metadata={"n": number}, reservation=hold)
            self.run.acknowledged.add(number)

    def read(self, _: int) -> None:
        """Ask for sums and budgets."""
        self.tracker.get_monthly_cost()
        self.tracker.is_over_budget()
        self.tracker.can_make_api_call(0.01)

    def begin(self, number: int) -> None:
        """Record the first call of a new tracker, and close it."""
        with self.a_tracker() as tracker:
            tracker.log_usage(*MODEL, 1000, 10, metadata={"n": number})
            self.run.acknowledged.add(number)

    # --- running

    def interrupt(self, work: Callable[[int], None], number: int) -> None:
        """Do something that is interrupted, or ends before."""
        self.kind = self.rng.choice(KINDS)
        phase = max(1e-6, self.rng.random() ** 2 * LONGEST_PHASE_S)
        try:
            self.armed = True
            signal.setitimer(signal.ITIMER_REAL, phase)
            work(number)
            self.armed = False
        except (Interrupted, HardInterrupted, KeyboardInterrupt):
            self.run.interrupts += 1
        except Exception as fault:
            self.run.raised.append(f"{work.__name__}: {fault!r}")
        finally:
            self.armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    def beside(self) -> None:
        """Record calls in a second thread, which no interrupt reaches."""
        number = -1
        while not self.stop:
            try:
                self.tracker.log_usage(*MODEL, 1000, 10, metadata={"n": number})
                self.run.acknowledged.add(number)
            except Exception as fault:
                self.run.raised.append(f"second thread: {fault!r}")
            number -= 1
            self.beats += 1
            time.sleep(0.002)

    def go(self, interrupts: int, threaded: bool) -> None:
        """Go on until this many interrupts were raised, or somebody is stuck."""
        signal.signal(signal.SIGALRM, self.handler)
        thread = threading.Thread(target=self.beside, daemon=True)
        works = [self.log, self.log, self.stage, self.reserve, self.read, self.begin]
        self.log(0)
        if threaded:
            thread.start()
        beats, since, number = -1, time.monotonic(), 0
        while self.run.interrupts < interrupts:
            number += 1
            self.interrupt(self.rng.choice(works), number)
            if number % 200 == 0:
                self.tracker = self.a_tracker()
            if self.beats != beats:
                beats, since = self.beats, time.monotonic()
            elif threaded and time.monotonic() - since > STUCK_S:
                self.run.stuck += 1
                break
        self.run.begun = number
        self.stop = True
        if threaded:
            thread.join(STUCK_S)
            self.run.stuck += thread.is_alive()
        self.tracker.log_usage(*MODEL, 1000, 10, metadata={"n": 10**9})
        self.run.acknowledged.add(10**9)


def descriptors() -> Counter[str]:
    """Return what the descriptors of this process lead to, where that can be asked."""
    found = Counter[str]()
    with contextlib.suppress(FileNotFoundError):
        for fd in os.listdir("/proc/self/fd"):
            with contextlib.suppress(FileNotFoundError):
                found[os.readlink(f"/proc/self/fd/{fd}")] += 1
    return found


def settled(look: Callable[[], T]) -> T:
    """Return what is left once the threads of this process came to their ends, which is soon nothing."""
    until = time.monotonic() + ENDS_S
    while (found := look()) and time.monotonic() < until:
        time.sleep(0.01)
    return found


def left(before: Counter[str]) -> list[str]:
    """Return the descriptors that came since. A process keeps a few ledgers open, by design."""
    gc.collect()
    return settled(
        lambda: [name for name in (descriptors() - before).elements() if not name.endswith(LEDGER)]
    )


def in_transaction(thing: object) -> bool:
    """Tell whether something is a connection within a transaction."""
    if isinstance(thing, sqlite3.Connection):
        with contextlib.suppress(sqlite3.ProgrammingError):  # a closed one, or another thread's
            return thing.in_transaction
    return False


def storm(place: Place, profile: Path, seed: int, interrupts: int, threaded: bool) -> Run:
    """Interrupt one process's calls; return what it saw."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
    run = Run()
    with place.tracker("job-0", profile) as first:
        with first.reserve(*MODEL, tokens_input=1000, max_tokens_output=20) as hold:
            first.log_usage(*MODEL, 1000, 10, metadata={"n": 10**9 + 1}, reservation=hold)
        first.get_monthly_cost()
    gc.collect()
    before = descriptors()
    one = Storm(place, profile, random.Random(seed), run)
    one.go(interrupts, threaded)
    # Of the process itself: what another connection of it would find.
    run.open_transactions = settled(lambda: sum(map(in_transaction, gc.get_objects())))
    one.tracker.close()
    del one
    run.descriptors = settled(lambda: left(before))
    return run


def is_free(place: Place) -> list[str]:
    """Return the files of a storage that somebody has locked, though all processes have ended."""
    locked = []
    for path in storage_files(place.home):
        if path.name.endswith(("-wal", "-shm")):
            continue
        with path.open("rb") as file:
            if file.read(15) == b"SQLite format 3":
                with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as db:
                    try:
                        db.execute("BEGIN IMMEDIATE")
                    except sqlite3.OperationalError:
                        locked.append(path.name)
                continue
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                locked.append(path.name)
    return locked


def judge(place: Place, profile: Path, run: Run, faults: Counter[str], examples: list[str]) -> None:
    """Compare what the process saw with what is there."""

    def fault(what: str, times: int, how: object = "") -> None:
        if times:
            faults[what] += times
            examples.append(f"{what}: {how}")

    fault("stuck", run.stuck)
    fault("open transactions", run.open_transactions)
    fault("descriptors left", len(run.descriptors), [Path(name).name for name in run.descriptors])
    fault("raised", len(run.raised), run.raised[:3])
    fault("live holds", live_holds(place.home, profile)[0])
    said = month(place.home, profile)  # it drains what waits
    in_child(lambda: place.tracker("job-0", profile).close())
    lines = plain(*place.ledgers())
    numbers = Counter(line.metadata.get("n") for line in lines.values())
    lost = run.acknowledged - numbers.keys()
    fault("lost", len(lost), sorted(lost)[:5])
    twice = [number for number, times in numbers.items() if times > 1]
    fault("doubled", len(twice), twice[:5])
    if said.refused or said.cost != paid(lines):
        said = month(place.home, profile)
        fault("month wrong", said.cost != paid(lines) or bool(said.refused), f"{said}, ledgers {paid(lines)}")
    fault("locked files", len(is_free(place)), is_free(place))


def main() -> int:
    """Run the storm in some processes, one after another."""
    parser = command_line(__doc__, seconds=0.0, seed=1)
    parser.add_argument("--interrupts", type=int, default=20_000, help="in all; half of them beside a thread")
    parser.add_argument("--rounds", type=int, default=20, help="in how many processes")
    options = parser.parse_args()
    warm_up()
    faults, examples, began = Counter[str](), list[str](), time.monotonic()
    interrupts = acknowledged = 0
    each = options.interrupts // options.rounds
    fresh = places("signals-", fast_folder())
    for number in range(options.rounds):
        if options.seconds and time.monotonic() - began > options.seconds:
            break
        place, seed = next(fresh), options.seed * 1_000_003 + number
        profile = place.folder / "profile.yaml"
        profile.write_text(PROFILE)
        try:
            run = in_child(
                lambda place=place, profile=profile, seed=seed, number=number: storm(  # type: ignore[misc]
                    place, profile, seed, each, bool(number % 2)
                ),
                patience_s=30 + each * 0.1,
            )
        except Raised as hung:
            faults["the process hung or died"] += 1
            examples.append(f"round {number}: {str(hung)[-500:]}")
            continue
        interrupts += run.interrupts
        acknowledged += len(run.acknowledged)
        judge(place, profile, run, faults, examples)
    fresh.close()
    for example in examples[:10]:
        print(example)
    return conclude(
        "signals",
        not faults,
        interrupts=interrupts,
        acknowledged=acknowledged,
        stuck=faults["stuck"] + faults["the process hung or died"],
        open_transactions=faults["open transactions"],
        descriptors_left=faults["descriptors left"],
        lost=faults["lost"],
        doubled=faults["doubled"],
        other_faults={
            name: count
            for name, count in faults.items()
            if name not in {"stuck", "open transactions", "descriptors left", "lost", "doubled"}
        }
        or 0,
    )


if __name__ == "__main__":
    raise SystemExit(main())
