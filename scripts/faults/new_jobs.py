"""A dozen jobs that start together, five times over: every call is in the month at once, no limit is overrun.

Each round, 60 processes wait at a barrier after their imports and then make one call each into a job that
nobody knows yet. The storage is ``quiet``; ``busy``: another process holds the lock of every file of it
for up to 2.5 s, again and again; ``full``: the calls' processes may write no file beyond 3,000 bytes,
which a ledger's line fits into and a database does not; ``no room``: the storage's own small disk has no
byte left (as root on Linux); ``slow``: syncs and renames take up to 50 ms more. When the last one has
ended, ``show-monthly`` must have every call, to the nano-dollar, no call may have raised or taken more
than 2.5 s (its waits for a processor apart), and nobody may have been warned where all went well. Where
there was no room for a note of the job, a call may be missing if its process was told so, and then
``verify`` must find it.

Then 12 processes reserve under a blocking $1.00 on a new storage until they are denied, two of which kill
themselves with a hold: what was spent and what is still held is never above the limit, and at least 95 %
of it.

    python scripts/faults/new_jobs.py [--rounds 100] [--seconds 0] [--seed 1] [--only busy] [--processes 60]
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import resource
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from scripts.faults.blackbox import (
    MODEL,
    NANOS,
    Helper,
    Place,
    cost_of,
    dashboard,
    hold_everything,
    live_holds,
    month,
    paid,
    places,
    plain,
    warm_up,
)
from scripts.faults.command_line import command_line
from scripts.faults.common import conclude
from shared.cost_tracker import BudgetExceeded, BudgetGateUnavailable

SLOWEST_S = 2.5
FILE_LIMIT = 3_000
CONDITIONS = ("quiet", "busy", "full", "no room", "slow")
LIMIT = "budget: {monthly_limit_usd: 1.00, block_at_limit: true}\n"
RESERVERS, KILLED = 12, 2
ENOUGH = 0.95


class Call(NamedTuple):
    """What became of a call: its seconds (waits for a processor apart), what it raised, its warnings."""

    seconds: float
    raised: str
    warnings: tuple[str, ...]


@dataclass
class Found:
    """What the rounds came to."""

    rounds: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    least_used: float = 1.0
    told: int = 0
    """Calls that are missing, whose processes were told so."""
    examples: list[str] = field(default_factory=list)

    def fault(self, what: str, how: str) -> None:
        """Note a fault, and the first few of them in full."""
        self.faults[what] += 1
        if len(self.examples) < 12:
            self.examples.append(f"{what}: {how}")


class _Heard(logging.Handler):
    """Keeps what is logged as a warning."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def call(place: Place, number: int, condition: str, start: float, seed: int) -> Call:
    """Make one call into a new job at the moment ``start``."""
    heard = _Heard()
    logging.getLogger().addHandler(heard)
    if condition == "full":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT, FILE_LIMIT))
    if condition == "slow":
        make_slow(random.Random(seed))
    time.sleep(max(0.0, start - time.monotonic()))
    began, queued, raised = time.monotonic(), queued_s(), ""
    try:
        with contextlib.redirect_stderr(None):
            place.tracker(f"job-{number}").log_usage(*MODEL, 1000 + number, 200, metadata={"n": number})
    except Exception as fault:  # nothing may be raised into a stage
        raised = repr(fault)
    return Call(time.monotonic() - began - (queued_s() - queued), raised, tuple(heard.said))


def queued_s() -> float:
    """Return for how long this thread has waited for a processor so far, in seconds; else 0.0."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def make_slow(rng: random.Random) -> None:
    """Have each sync and rename of this process take longer."""
    for name in ("fsync", "fdatasync", "replace", "rename"):
        real: Callable[..., Any] = getattr(os, name)

        def slowly(*arguments: Any, _real: Callable[..., Any] = real, **named: Any) -> Any:
            time.sleep(rng.random() * 0.05)
            return _real(*arguments, **named)

        setattr(os, name, slowly)


def disturb(home: Path, seed: int) -> None:
    """Hold every lock of the storage again and again, until killed."""
    rng = random.Random(seed)
    while True:
        hold_everything(home, rng.uniform(0.2, 2.5))
        time.sleep(rng.uniform(0.0, 0.02))


@contextlib.contextmanager
def full_disk(home: Path) -> Iterator[Callable[[], None]]:
    """Have the storage on a disk without a free byte until what is given is called."""
    home.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k,mode=700", "tmpfs", str(home)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield lambda: _check_call(["mount", "-o", "remount,size=64m", str(home)])
    finally:
        _check_call(["umount", "-l", str(home)])


def _check_call(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


def fill(home: Path) -> None:
    """Leave no byte on the storage's disk."""
    with contextlib.suppress(OSError), open(home / "filler", "wb", buffering=0) as filler:
        while True:
            filler.write(b"x" * 512)


def round_without_room(place: Place, processes: int, seed: int, found: Found) -> bool:
    """As :func:`round_of_calls`, on a full disk; return whether it could be tried here."""
    try:
        with full_disk(place.home) as make_room:
            one_before(place, seed)
            fill(place.home)
            calls = calls_of(place, "no room", processes, seed, 1)
            make_room()
            compare(place, "no room", calls, owed(processes + 1), found)
    except subprocess.CalledProcessError as fault:
        print(f"no room: not tried, mount is not allowed here: {fault}")
        return False
    return True


def one_before(place: Place, seed: int) -> None:
    """Have a job known and the files of the storage made."""
    helper = Helper()
    helper.ask(call, place, 0, "quiet", 0.0, seed)
    helper.kill()


def round_of_calls(place: Place, condition: str, processes: int, seed: int, found: Found) -> None:
    """Let the processes start together; compare the month with their ledgers and with what they paid."""
    before = 0
    if condition == "busy":  # there must be something to hold
        one_before(place, seed)
        before = 1
    calls = calls_of(place, condition, processes, seed, before)
    compare(place, condition, calls, owed(processes + before), found)


def owed(calls: int) -> int:
    """Return what the calls of a round cost, in nano-dollars."""
    return sum(cost_of(1000 + n, 200) for n in range(calls))


def calls_of(place: Place, condition: str, processes: int, seed: int, before: int) -> list[Call]:
    """Return what became of the processes' calls, each in a process that is killed afterwards."""
    helpers = [Helper() for _ in range(processes)]
    holder = Helper() if condition == "busy" else None
    try:
        if holder is not None:
            holder.start(disturb, place.home, seed)
            time.sleep(0.05)
        start = time.monotonic() + 0.15
        for number, helper in enumerate(helpers):
            helper.start(call, place, number + before, condition, start, seed + number)
        return [helper.result() for helper in helpers]
    finally:
        for helper in helpers:  # as at the end of a process that is killed: nothing is tidied up
            helper.kill()
        if holder is not None:
            holder.kill()


def compare(place: Place, condition: str, calls: list[Call], cost: int, found: Found) -> None:
    """Note what is wrong with a round."""
    said = month(place.home)
    lines = plain(*place.ledgers())
    number = len(calls) + (condition in {"busy", "no room"})
    waiting = number - len(lines)
    missing, told = number - said.calls, sum(bool(one.warnings) for one in calls)
    figures = (
        f"{said.calls} of {number} calls, {said.cost} of {cost} nano-dollars ({len(lines)} in ledgers), "
        f"{told} were warned"
    )
    if said.refused:
        found.fault(f"{condition}: no sum", said.refused)
    elif condition in {"full", "no room"} and 0 < missing <= told:
        found.told += missing
        verify = dashboard(place.home, "verify")
        if verify.code == 0:
            found.fault(f"{condition}: verify says that all is well", f"{figures}; {verify.out[-200:]}")
    elif missing or said.cost != cost:
        found.fault(f"{condition}: calls missing in the month", figures)
    if len(lines) > number or paid(lines) > cost:
        found.fault(f"{condition}: doubled", f"{len(lines)} of {number}")
    if waiting and condition != "full":
        found.fault(f"{condition}: not in a ledger at once", f"{len(lines)} of {number}")
    compare_times(condition, calls, found)
    for one in calls:
        if one.warnings and condition in {"quiet", "slow"} and not waiting:
            found.fault(f"{condition}: warned falsely", one.warnings[0])


def compare_times(condition: str, calls: list[Call], found: Found) -> None:
    """Note calls that raised or took too long."""
    for one in calls:
        found.slowest = max(found.slowest, one.seconds)
        if one.raised:
            found.fault(f"{condition}: raised", one.raised)
        if one.seconds > SLOWEST_S:
            found.fault(f"{condition}: slow", f"{one.seconds:.2f} s")


# --- reserving under a limit


def spend(place: Place, number: int, start: float, seed: int) -> int:
    """Reserve and call until denied some times in a row; return how often the gate was not available."""
    rng, denied, unavailable = random.Random(seed), 0, 0
    tracker = place.tracker(f"job-{number}", profile=profile_of(place))
    time.sleep(max(0.0, start - time.monotonic()))
    while denied < 4:
        try:
            with tracker.reserve(*MODEL, tokens_input=4000, max_tokens_output=1000) as hold:
                denied = 0
                if number < KILLED and rng.random() < 0.3:
                    os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(0.005)
                tracker.log_usage(*MODEL, 4000, rng.randint(300, 1000), reservation=hold)
        except BudgetExceeded:
            denied += 1
            time.sleep(0.02)
        except BudgetGateUnavailable:
            unavailable += 1
            if unavailable > 50:
                return unavailable
    return unavailable


def profile_of(place: Place) -> Path:
    """Return the profile with the limit."""
    path = place.folder / "limit.yaml"
    if not path.exists():
        path.write_text(LIMIT)
    return path


def round_of_reservations(place: Place, seed: int, found: Found) -> None:
    """Let the processes reserve until nobody gets any more."""
    profile_of(place)
    helpers = [Helper() for _ in range(RESERVERS)]
    start = time.monotonic() + 0.1
    for number, helper in enumerate(helpers):
        helper.start(spend, place, number, start, seed + number)
    refused = 0
    for number, helper in enumerate(helpers):
        try:
            refused += helper.result()
        except Exception as fault:
            if number >= KILLED:
                found.fault("reserving: raised", str(fault)[-400:])
    for helper in helpers:
        helper.kill()
    spent = paid(plain(*place.ledgers()))
    used = spent + live_holds(place.home, profile_of(place))[1]
    budget = dashboard(place.home, "show-budget", "--json", profile=profile_of(place)).facts
    told = int(Decimal(budget.get("spent_usd", -1)) * NANOS)
    if spent > NANOS or used > NANOS:
        found.fault("reserving: limit overrun", f"spent {spent}, with holds {used} nano-dollars of $1")
    if told != spent:
        found.fault("reserving: spent is not what the ledgers say", f"{told} for {spent}")
    if used < ENOUGH * NANOS:
        found.fault("reserving: too little used", f"{used / NANOS:.3f}, refused by a busy gate {refused}")
    found.least_used = min(found.least_used, used / NANOS)


def main() -> int:
    """Run the rounds."""
    parser = command_line(__doc__, seconds=0.0, seed=1, processes=60)
    parser.add_argument("--rounds", type=int, default=100, help="of each kind")
    parser.add_argument("--only", choices=[*CONDITIONS, "reserving"])
    options = parser.parse_args()
    warm_up()
    found, began = Found(), time.monotonic()
    kinds = [kind for kind in (*CONDITIONS, "reserving") if options.only in (None, kind)]
    fresh = places("new-jobs-")
    for number in range(options.rounds):
        for kind in kinds:
            if options.seconds and time.monotonic() - began > options.seconds:
                break
            seed = options.seed * 1_000_003 + number * 1_009
            if kind == "reserving":
                round_of_reservations(next(fresh), seed, found)
            elif kind == "no room":
                if os.geteuid() or not round_without_room(next(fresh), options.processes, seed, found):
                    continue
            else:
                round_of_calls(next(fresh), kind, options.processes, seed, found)
            found.rounds[kind] += 1
    fresh.close()
    for example in found.examples:
        print(example)
    return conclude(
        "new jobs",
        not found.faults,
        **{f"rounds_{kind}": count for kind, count in found.rounds.items()},
        processes=options.processes,
        slowest_s=f"{found.slowest:.2f}",
        of_the_limit_used_at_least=f"{found.least_used:.1%}",
        missing_and_told=found.told,
        faults=dict(found.faults) or 0,
    )


if __name__ == "__main__":
    raise SystemExit(main())
