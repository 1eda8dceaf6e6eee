"""Replays power cuts: what was acknowledged is there, whatever the disk had not yet been made to keep.

A process is recorded (``strace``) while it logs calls into known and new jobs, with request ids and
without, in stages and under holds; spools and drains; reserves, settles and voids; sets a budget; and
looks at a month from which a job's folder was removed. After each of its system calls the power may go:
the states of the disk that may be left (see ``disk_replay``) are laid out one after another, and each is
opened by new processes. In every one:

- each call that was acknowledged is in a ledger or comes out of the spool, once, and is in the month, to
the nano-dollar; - each hold that was granted and not ended counts, less the entries under it; - the
profile is the one before or the one after, and the one after when that was acknowledged; - what a look had
shown stays shown; and nothing raises.

With ``--without-sync '*'`` (or a pattern of paths) those files' syncs are taken out of the recording: then
faults must be found, and the program ends with 1.

    python scripts/faults/power_cut.py [--states 1600] [--seconds 0] [--seed 1] [--without-sync PATTERN]
        [--keep FOLDER]

Needs ``strace`` and leave to trace one's own processes.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from scripts.faults.blackbox import (
    LEDGER,
    MODEL,
    NANOS,
    Place,
    Raised,
    cost_of,
    dashboard,
    in_child,
    month,
    paid,
    plain,
    warm_up,
)
from scripts.faults.command_line import command_line
from scripts.faults.common import ROOT, conclude, fast_folder
from scripts.faults.disk_replay import CALLS, Call, Disk, State, parse
from shared.user_profile import UserProfile

PROFILE = "budget: {monthly_limit_usd: 100, block_at_limit: true}\n"
KNOWN, NEW, GONE = "job-known", "job-new", "job-gone"
OPEN: list[Any] = []
"""Blocks that are not left before the power goes."""

INTO_GONE = (3, 7)
"""Which calls go into the job that is removed."""

# --- what is recorded


class Marks:
    """Tells the recording what was begun and what was acknowledged."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def __call__(self, what: str, **details: object) -> None:
        """Write a mark, which the recording has among the system calls."""
        os.write(self._fd, json.dumps({"what": what, **details}).encode() + b"\n")


def record(base: Path) -> None:
    """Do what is recorded, below ``base/run``."""
    warm_up()
    place, mark = Place(base / "run"), Marks(base / "marks")
    profile = place.folder / "profile.yaml"
    for job in (KNOWN, GONE):
        place.job(job).mkdir(parents=True)
    place.home.mkdir()
    profile.write_text(PROFILE)
    mark("begin")
    numbers = iter(range(1, 1000))

    def log(tracker: Any, **details: Any) -> None:
        number = next(numbers)
        mark("calling", n=number)
        tracker.log_usage(*MODEL, 1000 + number, 10, metadata={"n": number}, **details)
        mark("logged", n=number)

    known, new, gone = (place.tracker(job, profile) for job in (KNOWN, NEW, GONE))
    for tracker in (known, new, gone, known, known, new, gone):
        log(tracker)
    log(known, request_id="r-1")
    log(known, request_id="r-2")
    with known.stage("13_summary"):
        log(known)
        log(known)
    set_limit(profile, 50, mark)
    holds(known, log, mark)
    spool_and_drain(place, known, log)
    with closing(place.tracker("job-late", profile)) as late:
        log(late)
        log(late)
    known.get_monthly_cost()
    mark("removing", job=GONE)
    shutil.rmtree(place.job(GONE))
    mark("looked", month=round(known.get_monthly_cost() * NANOS))
    log(new)
    set_limit(profile, 60, mark)
    known.close()
    with closing(place.tracker(GONE, profile)) as again:
        log(again)
    mark("looked", month=round(again.get_monthly_cost() * NANOS))
    mark("end")


def set_limit(profile: Path, usd: int, mark: Marks) -> None:
    """Set the budget as ``set-budget`` does."""
    mark("setting", limit=usd)
    loaded = UserProfile.load(None, profile)
    loaded.set_limits(monthly_limit=usd)
    loaded.save()
    mark("set", limit=usd)


def holds(tracker: Any, log: Any, mark: Marks) -> None:
    """Reserve and settle, void, leave open, and cover several calls by one hold."""
    for number, how in enumerate(("settle", "void", "several", "empty", "settle", "open")):
        estimate = cost_of(10_000 + number, 100)
        block = tracker.reserve(*MODEL, tokens_input=10_000 + number, max_tokens_output=100)
        hold = block.__enter__()
        OPEN.append(block)
        mark("granted", hold=number, estimate=estimate)
        if how == "void":
            mark("voiding", hold=number)
            hold.void()
        for _ in range({"settle": 1, "several": 2}.get(how, 0)):
            mark("under", hold=number)
            log(tracker, reservation=hold)
        if how != "open":
            mark("ending", hold=number)
            block.__exit__(None, None, None)
            if how != "empty":  # it goes on counting: the provider may have served it
                mark("ended", hold=number)


def spool_and_drain(place: Place, tracker: Any, log: Any) -> None:
    """Log while somebody else holds the ledger, and after."""
    with (place.job(KNOWN) / LEDGER).open("rb") as ledger:
        fcntl.flock(ledger, fcntl.LOCK_EX)
        log(tracker)
        log(tracker)
    log(tracker)
    log(tracker)


def recorded(base: Path) -> list[Call]:
    """Record a process, unless that was done there; return its system calls."""
    trace = base / "trace"
    if trace.exists():
        return list(parse(trace.read_text()))
    command = ["strace", "-f", "-qq", "-xx", "-s", "4000000", "-e", f"trace={CALLS}", "-o", str(trace)]
    program = [sys.executable, "-m", "scripts.faults.power_cut", "--record", str(base)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*command, *program], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"nothing was recorded: {done.stderr[-2000:]}")
    return list(parse(trace.read_text()))


# --- what was promised at a moment


@dataclass
class Promises:
    """What had been begun and acknowledged before the power went."""

    calling: set[int] = field(default_factory=set)
    logged: set[int] = field(default_factory=set)
    gone: set[int] = field(default_factory=set)
    """Calls whose ledger was being removed."""
    estimates: dict[int, int] = field(default_factory=dict)
    entries: dict[int, set[int]] = field(default_factory=dict)
    leaving: set[int] = field(default_factory=set)
    """Holds that were being voided or ended."""
    ended: set[int] = field(default_factory=set)
    limits: set[int] = field(default_factory=lambda: {100})
    looked: int = 0
    last_hold: int = -1

    def take(self, mark: dict[str, Any]) -> None:
        """Note a mark."""
        getattr(self, f"_{mark['what']}", _nothing)(mark)

    def _calling(self, mark: dict[str, Any]) -> None:
        self.calling.add(mark["n"])
        if self.last_hold >= 0:
            self.entries.setdefault(self.last_hold, set()).add(mark["n"])

    def _logged(self, mark: dict[str, Any]) -> None:
        self.logged.add(mark["n"])
        self.last_hold = -1

    def _granted(self, mark: dict[str, Any]) -> None:
        self.estimates[mark["hold"]] = mark["estimate"]

    def _under(self, mark: dict[str, Any]) -> None:
        self.last_hold = mark["hold"]

    def _ending(self, mark: dict[str, Any]) -> None:
        self.leaving.add(mark["hold"])

    _voiding = _ending

    def _ended(self, mark: dict[str, Any]) -> None:
        self.ended.add(mark["hold"])

    def _setting(self, mark: dict[str, Any]) -> None:
        self.limits.add(mark["limit"])

    def _set(self, mark: dict[str, Any]) -> None:
        self.limits = {mark["limit"]}

    def _removing(self, _: dict[str, Any]) -> None:
        self.gone = set(INTO_GONE)

    def _looked(self, mark: dict[str, Any]) -> None:
        self.looked = max(self.looked, mark["month"])


def _nothing(_: dict[str, Any]) -> None:
    """Note a mark that promises nothing."""


def cost_of_call(number: int) -> int:
    """Return what the call with this number cost, in nano-dollars."""
    return cost_of(1000 + number, 10)


class Wrong(Exception):
    """A promise was not kept."""


def check(place: Place, promised: Promises) -> None:
    """Open what is left with new processes and compare.

    Raises:
        Wrong: a promise was not kept.

    """
    profile = place.folder / "profile.yaml"
    first = month(place.home, profile)
    if first.refused:
        raise Wrong(f"the first look is refused: {first.refused}")
    try:
        in_child(lambda: log_after(place, profile))
    except Raised as raised:
        raise Wrong(f"recording raised: {str(raised)[-400:]}") from None
    lines = plain(*place.ledgers())
    numbers = Counter(line.metadata.get("n") for line in lines.values())
    missing = promised.logged - promised.gone - numbers.keys()
    if missing:
        raise Wrong(f"acknowledged and in no ledger: {sorted(missing)}")
    if twice := [number for number, times in numbers.items() if times > 1]:
        raise Wrong(f"twice: {twice}")
    check_month(place, profile, promised, lines)
    check_holds(place, profile, promised, set(numbers))
    limit = dashboard(place.home, "show-budget", "--json", profile=profile).facts.get("limit_usd")
    if limit not in promised.limits:
        raise Wrong(f"the limit is {limit}, of {promised.limits}")


def log_after(place: Place, profile: Path) -> None:
    """Log a call after the power came back, which drains what waits."""
    for job in ("job-after", KNOWN):
        with place.tracker(job, profile) as tracker:
            tracker.log_usage(*MODEL, 1, 0, metadata={"n": f"after {job}"})


def check_month(place: Place, profile: Path, promised: Promises, lines: dict[str, Any]) -> None:
    """Compare the month with the ledgers and with what had been shown."""
    said, there = month(place.home, profile), paid(lines)
    if said.refused:
        raise Wrong(f"the month is refused: {said.refused}")
    numbers = {line.metadata.get("n") for line in lines.values()}
    # Of the job that was removed its calls count, as far as they had been counted and that was on the disk.
    gone = sorted(promised.gone - numbers)
    sums = {there} if not gone else {there + extra for extra in _subset_sums([cost_of_call(n) for n in gone])}
    if said.cost not in sums:
        raise Wrong(f"the month is {said.cost} for {there} in the ledgers, and {gone} gone")
    if said.cost < promised.looked:
        raise Wrong(f"the month was {promised.looked} when it was looked at, and is {said.cost}")


def _subset_sums(amounts: list[int]) -> set[int]:
    sums = {0}
    for amount in amounts:
        sums |= {each + amount for each in sums}
    return sums


def check_holds(place: Place, profile: Path, promised: Promises, numbers: set[Any]) -> None:
    """Compare what is held with what was granted, less the entries under it."""
    answer = dashboard(place.home, "reservations", "list", "--json", profile=profile)
    if answer.code:
        raise Wrong(f"reservations ended with {answer.code}: {answer.err[-300:]}")
    held = Counter[int]()
    for one in answer.facts["reservations"]:
        held[int(Decimal(one["estimate_usd"]) * NANOS)] += int(Decimal(one["held_usd"]) * NANOS)
    for hold, estimate in promised.estimates.items():
        under = promised.entries.get(hold, set()) & numbers
        least = estimate - sum(cost_of_call(n) for n in under)
        got = held.pop(estimate, 0)
        # What ended may be held on where the disk has not kept its end: the safe side, until it is released.
        if got not in {0, least} if hold in promised.leaving else got != least:
            raise Wrong(f"hold {hold} of {estimate}: {got} held, should be {least}")
        if hold in promised.leaving and hold not in promised.ended and not under and got == 0 and hold != 1:
            raise Wrong(f"hold {hold} ended without an entry, and does not count")


# --- states


def moments(calls: list[Call], disk: Disk, marks: Path) -> Iterator[Promises]:
    """Feed the disk; give what was promised after each call that changed it."""
    promised, marks_fd, begun = Promises(), -1, False
    for call in calls:
        if call.name == "openat" and call.arguments[1] == os.fsencode(marks):
            marks_fd = call.result
        elif call.name == "write" and call.arguments[0] == marks_fd:
            text = call.arguments[1]
            assert isinstance(text, bytes)
            mark = json.loads(text)
            if mark["what"] == "begin":
                disk.settle()
                begun = True
            promised.take(mark)
            continue
        if disk.feed(call) and begun:
            yield promised


def lay_out(root: Path, state: State) -> None:
    """Make a state of the disk real, in place of what is there."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(mode=0o700)
    for path, content in state.items():
        real = root / path.removeprefix("/")
        if content is None:
            real.mkdir(mode=0o700)
        else:
            with open(os.open(real, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)


def digest(state: State, promised: Promises) -> bytes:
    """Return what tells one state from another."""
    seen = hashlib.blake2b(repr(vars(promised)).encode())
    for path in sorted(state):
        seen.update(path.encode() + b"\0" + (state[path] or b"-") + b"\0")
    return seen.digest()


@dataclass
class Result:
    """What the states came to."""

    states: int = 0
    moments: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)


def try_states(
    calls: list[Call], base: Path, options: argparse.Namespace, strict: bool, result: Result
) -> None:
    """Check states until there are enough, spread over all moments."""
    rng, began = random.Random(options.seed), time.monotonic()
    counting = Disk(str(base / "run"), strict=strict)
    number_of_moments = sum(1 for _ in moments(calls, counting, base / "marks"))
    wanted = options.states // 2
    by_chance = max(1, round(wanted / max(1, number_of_moments)) * 2)
    each = wanted / max(1, number_of_moments)
    disk = Disk(str(base / "run"), strict=strict, without_sync=options.without_sync)
    place, seen, owed = Place(base / "run"), set[bytes](), 0.0
    for promised in moments(calls, disk, base / "marks"):
        result.moments += 1
        owed += each
        if owed < 1:
            continue
        found = {digest(state, promised): state for state in disk.states(rng, by_chance)}
        fresh = [(key, state) for key, state in found.items() if key not in seen]
        rng.shuffle(fresh)
        for key, state in fresh:
            if owed < 1 or (options.seconds and time.monotonic() - began > options.seconds / 2):
                break
            seen.add(key)
            owed -= 1
            result.states += 1
            lay_out(base / "run", state)
            try:
                check(place, promised)
            except Wrong as wrong:
                what = re.sub(r"-?\d+", "N", str(wrong).partition(":")[0])
                result.faults[what] += 1
                if len(result.examples) < 12:
                    result.examples.append(
                        f"{'strict' if strict else 'journalled'}, moment {result.moments}: {str(wrong)[:400]}"
                    )


def main() -> int:
    """Record, and try the states under both rules for names."""
    parser = command_line(__doc__, states=1_600, seconds=0.0, seed=1)
    parser.add_argument("--without-sync", default="", help="a pattern of paths whose syncs are taken out")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the recording there, or use it")
    parser.add_argument("--record", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.record:
        record(options.record)
        return 0
    warm_up()
    base = options.keep or Path(tempfile.mkdtemp(prefix="power-cut-", dir=fast_folder()))
    result = Result()
    try:
        calls = recorded(base)
        for strict in (False, True):
            try_states(calls, base, options, strict, result)
    finally:
        if not options.keep:
            shutil.rmtree(base)
    for example in result.examples:
        print(example)
    return conclude(
        "power cut",
        not result.faults,
        states=result.states,
        moments=result.moments,
        faults=dict(result.faults) or 0,
    )


if __name__ == "__main__":
    raise SystemExit(main())
