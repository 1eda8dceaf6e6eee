"""What happens to job folders and to the storage in a year, at random: the month stays what was paid.

Each step logs calls, or clears, renames, restores, archives, copies, cuts or replaces a job, has a mirror
laid over all of them as ``rsync --delete`` does, loses or damages a file of the storage or has it be of a
later version, rebuilds, reverses a call, or kills a process; meanwhile other processes write. After every
step the month must be what was paid, to the nano-dollar, by an oracle in memory: what was counted once
counts until a reversal says otherwise; a renamed one counts once, a copy counts once. Where a file of the
storage was damaged, the product may refuse to say, but not say too little: then the file is taken away, or
``rebuild-index`` is run, and it must know again.

At the end of each history a ledger *and* one file of the storage are lost between two looks, which may
cost money from sight: then the month must be right, or be refused, or say that it is incomplete.

    python scripts/faults/lifecycle.py [--steps 5000] [--seconds 0] [--seed 1] [--only clear,log]
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.faults.blackbox import (
    HURTS,
    LEDGER,
    MODEL,
    NANOS,
    Helper,
    Place,
    Raised,
    choose_file,
    cost_of,
    dashboard,
    lose,
    make_newer,
    month,
    places,
    plain,
    warm_up,
)
from scripts.faults.command_line import command_line
from scripts.faults.common import conclude, fast_folder
from shared.cost_tracker import CostTracker
from shared.costs.errors import CostError

WRITERS = 3
MOST_JOBS = 12
STEPS_OF_A_HISTORY = 200

_trackers: dict[str, CostTracker] = {}
"""The trackers of one writing process, by job; in the process that starts them there are none."""


def write(place: Place, job: str, numbers: list[int], fresh: bool) -> None:
    """Log calls, in a tracker that is kept or in a new one that is dropped."""
    tracker = None if fresh else _trackers.get(job)
    if tracker is None:
        tracker = place.tracker(job)
        if not fresh:
            _trackers[job] = tracker
    for number in numbers:
        tracker.log_usage(*MODEL, *tokens_of(number), metadata={"n": number})


def tokens_of(number: int) -> tuple[int, int]:
    """Return the tokens of the call with this number: each has its own amount."""
    return 1_000 + number, number % 97


def reverse(place: Place, job: str, entry: str) -> bool:
    """Take a call back; return whether its ledger is one that is known."""
    with place.tracker(job) as tracker:
        try:
            tracker.reverse(entry, "a step of the lifecycle")
        except CostError as fault:
            if type(fault).__name__ != "UnknownEntry":
                raise
            return False
    return True


def close_trackers() -> None:
    """Close the trackers that are kept."""
    for tracker in _trackers.values():
        tracker.close()
    _trackers.clear()


def monthly_cost(place: Place, job: str) -> int:
    """Return the month by a tracker that is kept, in nano-dollars."""
    tracker = _trackers.setdefault(job, place.tracker(job))
    return round(tracker.get_monthly_cost() * NANOS)


@dataclass
class Found:
    """What all histories came to."""

    steps: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    looks: int = 0
    refused: int = 0
    incomplete: int = 0
    calls: int = 0


class Wrong(Exception):
    """The month is not what was paid, or something raised."""


class History:
    """One storage, some jobs, and what was paid for them."""

    side_files = False
    """Whether what SQLite keeps beside a database may be lost alone."""

    def __init__(self, place: Place, rng: random.Random, found: Found) -> None:
        self.place, self.rng, self.found = place, rng, found
        self.writers = [Helper() for _ in range(WRITERS)]
        self.owed = 0
        self.calls = 0
        self.next = 0
        self.reversed: set[str] = set()
        self.newer: tuple[Path, bytes] | None = None
        self.done: list[str] = []
        self.backups = place.folder / "backups"
        self.backups.mkdir(parents=True)
        place.job("x").parent.mkdir(parents=True)

    # --- what the steps need

    def jobs(self) -> list[str]:
        """The folders of jobs that there are."""
        return sorted(path.name for path in self.place.job("x").parent.iterdir())

    def with_ledger(self) -> list[str]:
        """Those that have a ledger."""
        return [job for job in self.jobs() if (self.place.job(job) / LEDGER).exists()]

    def a_job(self) -> str:
        """A job to write to, known or new."""
        known = self.jobs()
        if known and (len(known) >= MOST_JOBS or self.rng.random() < 0.75):
            return self.rng.choice(known)
        return self.new_name()

    def new_name(self) -> str:
        """A name; now and then one that a job had before."""
        return f"job-{self.rng.randrange(30)}"

    def start_writing(self, writer: Helper, job: str) -> list[int]:
        """Have a writer log some calls; what they cost is owed from now on."""
        numbers = list(range(self.next, self.next + self.rng.choice([1, 1, 2, 5])))
        self.next += len(numbers)
        writer.start(write, self.place, job, numbers, self.rng.random() < 0.3)
        self.owed += sum(cost_of(*tokens_of(number)) for number in numbers)
        self.calls += len(numbers)
        return numbers

    # --- steps

    def log(self, job: str) -> None:
        """Log calls."""
        writer = self.rng.choice(self.writers)
        self.start_writing(writer, job)
        writer.result()

    def clear(self, job: str) -> None:
        """Remove all that is in a job's folder, or the folder with it."""
        shutil.rmtree(self.place.job(job))
        if self.rng.random() < 0.5:
            self.place.job(job).mkdir()

    def rename(self, job: str) -> None:
        """Give a job's folder another name, at times that of one that is gone."""
        to = self.place.job(self.new_name())
        if not to.exists():
            self.place.job(job).rename(to)

    def archive(self, job: str) -> None:
        """Move a job's folder away."""
        self.place.job(job).rename(self.backups / f"archived-{len(self.done)}-{job}")

    def back_up(self, job: str) -> None:
        """Copy a job's folder away."""
        shutil.copytree(self.place.job(job), self.backups / f"copied-{len(self.done)}-{job}")

    def restore(self, job: str) -> None:
        """Put a folder that was copied or moved away back, over what is there or not."""
        saved = sorted(self.backups.iterdir())
        if not saved:
            return
        chosen = self.rng.choice(saved)
        to = self.place.job(self.rng.choice([job, chosen.name.split("-", 2)[2]]))
        if to.exists() and self.rng.random() < 0.5:
            for name in os.listdir(chosen):
                self.overwrite(to / name, (chosen / name).read_bytes())
        else:
            shutil.rmtree(to, ignore_errors=True)
            shutil.copytree(chosen, to)

    def copy(self, job: str) -> None:
        """Copy a job's folder under another name, and log into the copy."""
        to = self.new_name()
        if not self.place.job(to).exists():
            shutil.copytree(self.place.job(job), self.place.job(to))
            if self.rng.random() < 0.7:
                self.log(to)

    def cut(self, job: str) -> None:
        """Cut a ledger in place, after a line or within one."""
        ledger = self.place.job(job) / LEDGER
        data = ledger.read_bytes()
        keep = self.rng.randrange(len(data) + 1)
        if self.rng.random() < 0.5:
            keep = data.rfind(b"\n", 0, keep) + 1
        os.truncate(ledger, keep)

    def replace(self, job: str) -> None:
        """Put another job's ledger in place of this one's."""
        other = self.place.job(self.rng.choice(self.with_ledger())) / LEDGER
        self.overwrite(self.place.job(job) / LEDGER, other.read_bytes())

    def overwrite(self, path: Path, data: bytes) -> None:
        """Rewrite a file: by a new file and a rename, or in place."""
        if self.rng.random() < 0.5 and path.exists():
            path.write_bytes(data)
            return
        fresh = path.with_name("fresh")
        fresh.write_bytes(data)
        fresh.chmod(0o600)
        fresh.replace(path)

    def mirror(self, _: str) -> None:
        """Lay a mirror of all jobs over them, as ``rsync --delete`` does; or take one."""
        jobs, mirror = self.place.job("x").parent, self.place.folder / "mirror"
        if not mirror.exists() or self.rng.random() < 0.5:
            shutil.rmtree(mirror, ignore_errors=True)
            shutil.copytree(jobs, mirror, ignore=shutil.ignore_patterns(f"{BESIDE}*"))
            return
        for job in self.jobs():
            if not (mirror / job).exists() and not job.startswith(BESIDE):
                shutil.rmtree(jobs / job)
        for copy in sorted(mirror.iterdir()):
            (jobs / copy.name).mkdir(exist_ok=True)
            ledger, saved = jobs / copy.name / LEDGER, copy / LEDGER
            if not saved.exists():
                ledger.unlink(missing_ok=True)
            elif not ledger.exists() or ledger.read_bytes() != saved.read_bytes():
                fresh = ledger.with_name(f".{LEDGER}.x7Yz2a")
                shutil.copy2(saved, fresh)
                fresh.replace(ledger)

    def lose_file(self, _: str) -> None:
        """Lose a file of the storage."""
        if path := choose_file(self.place.home, self.rng, self.side_files):
            self.done[-1] += f" {path.relative_to(self.place.home)}"
            lose(path, self.rng)

    def damage_file(self, _: str) -> None:
        """Damage a file of the storage while nobody has it open."""
        self.kill_all(_)
        if path := choose_file(self.place.home, self.rng, self.side_files):
            hurt = self.rng.choice(HURTS)
            self.done[-1] += f" {hurt.__name__} {path.relative_to(self.place.home)}"
            hurt(path, self.rng)
            self.look_at_damage(path)

    def later_version(self, _: str) -> None:
        """Have a later version write a file of the storage, look, and go back to what was there."""
        self.kill_all(_)
        path = choose_file(self.place.home, self.rng, self.side_files)
        if path is None or path.read_bytes()[:15] != b"SQLite format 3":
            return
        before = {each: each.read_bytes() for each in path.parent.glob(f"{path.name}*")}
        make_newer(path, self.rng)
        self.done[-1] += f" {path.relative_to(self.place.home)}"
        self.look(refusal_allowed=True)
        self.log(self.a_job())
        self.look(refusal_allowed=True)
        self.kill_all(_)
        for each in path.parent.glob(f"{path.name}*"):
            each.unlink()
        for each, data in before.items():
            each.write_bytes(data)
            each.chmod(0o600)

    def rebuild(self, _: str) -> None:
        """Rebuild what is derived."""
        answer = dashboard(self.place.home, "rebuild-index")
        if answer.code:
            raise Wrong(f"rebuild-index ended with {answer.code}: {(answer.out + answer.err)[-300:]}")

    def take_back(self, job: str) -> None:
        """Reverse a call whose ledger is there."""
        entries = plain(self.place.job(job) / LEDGER)
        calls = [line for line in entries.values() if line.kind == "usage" and line.id not in self.reversed]
        if not calls:
            return
        chosen = self.rng.choice(calls)
        if self.rng.choice(self.writers).ask(reverse, self.place, job, chosen.id):
            self.reversed.add(chosen.id)
            self.owed -= chosen.cost

    def kill(self, _: str) -> None:
        """Kill a writer and start another."""
        number = self.rng.randrange(len(self.writers))
        self.writers[number].kill()
        self.writers[number] = Helper()

    def kill_all(self, _: str) -> None:
        """Have all writers end: by a kill, or after closing their trackers."""
        for number, writer in enumerate(self.writers):
            if self.rng.random() < 0.5:
                writer.ask(close_trackers)
            writer.kill()
            self.writers[number] = Helper()

    # --- looking

    def look(self, refusal_allowed: bool = False) -> bool:
        """Compare the month with what is owed; return whether it was said at all."""
        self.found.looks += 1
        if self.rng.random() < 0.5:
            said = month(self.place.home)
            if said.refused:
                if refusal_allowed:
                    self.found.refused += 1
                    return False
                raise Wrong(f"show-monthly {said.refused}")
            cost, how = said.cost, f"show-monthly says {said.calls} calls of {self.calls}"
        else:
            try:
                cost = self.rng.choice(self.writers).ask(monthly_cost, self.place, self.a_job())
            except Raised as raised:
                if refusal_allowed and "StorageUnavailable" in str(raised):
                    self.found.refused += 1
                    return False
                raise
            how = "get_monthly_cost"
        if cost != self.owed:
            again = month(self.place.home)
            raise Wrong(
                f"{(cost - self.owed) / NANOS:+.9f} of {self.owed / NANOS:.9f} USD: {how}; "
                f"show-monthly afterwards {(again.cost - self.owed) / NANOS:+.9f} {again.refused}; "
                f"in the spool: {sorted(os.listdir(self.place.home / 'spool'))}"
            )
        return True

    def look_at_damage(self, path: Path) -> None:
        """Look at a damaged storage; where it refuses, do as a user would."""
        if self.look(refusal_allowed=True):
            return
        self.log(self.a_job())  # which must not raise
        if dashboard(self.place.home, "rebuild-index").code == 0 and self.look(refusal_allowed=True):
            return
        path.unlink(missing_ok=True)

    def beyond_the_promise(self) -> None:
        """Lose a ledger and a file of the storage between two looks: right, refused, or incomplete."""
        self.kill_all("")
        self.look()
        jobs = self.with_ledger()
        path = choose_file(self.place.home, self.rng, self.side_files)
        if not jobs or path is None:
            return
        self.done.append(f"both lost: {path.relative_to(self.place.home)}")
        shutil.rmtree(self.place.job(self.rng.choice(jobs)))
        for each in path.parent.glob(f"{path.name}*"):
            each.unlink()
        answer = dashboard(self.place.home, "show-monthly", "--json")
        if answer.code:
            self.found.refused += 1
            return
        facts = answer.facts
        if int(facts["total_cost"] * NANOS) != self.owed:
            self.found.incomplete += 1
            if not facts.get("incomplete") and "incomplete" not in answer.err + answer.out.replace(
                '"incomplete"', ""
            ):
                raise Wrong("a ledger and a file of the storage are lost, and the month does not say so")

    # --- running

    def run(self, steps: int, kinds: list[str]) -> None:
        """Take some steps, look after each."""
        for _ in range(steps):
            kind = self.rng.choice(kinds)
            self.found.steps[kind] += 1
            step: Callable[[str], None] = getattr(self, kind)
            jobs = self.with_ledger()
            if not jobs or kind == "log":
                self.done.append("log")
                self.log(self.a_job())
            else:
                job = self.rng.choice(jobs)
                self.done.append(f"{kind} {job}")
                self.meanwhile(step, job)
            self.look()
        if "lose_file" in kinds:
            self.beyond_the_promise()

    def meanwhile(self, step: Callable[[str], None], job: str) -> None:
        """Take a step while others write to other jobs."""
        busy: list[Helper] = []
        if step.__name__ in QUIETLY:
            step(job)
            return
        others = [each for each in self.jobs() if each != job] or ["job-40"]
        if step.__name__ in ALL_JOBS:
            others = [f"{BESIDE}{self.next}"]
        before = self.writers
        for _ in range(self.rng.randrange(WRITERS)):
            busy.append(before[len(busy)])
            self.start_writing(busy[-1], self.rng.choice(others))
        self.writers = before[len(busy) :]
        try:
            step(job)
        finally:
            self.writers = before
            for writer in busy:
                writer.result()

    def end(self) -> None:
        """End the writers."""
        self.found.calls += self.calls
        for writer in self.writers:
            writer.kill()


STEPS = {
    "log": 6, "clear": 2, "rename": 2, "archive": 2, "back_up": 2, "restore": 3, "copy": 2, "cut": 2,
    "replace": 2, "mirror": 2, "lose_file": 2, "damage_file": 1, "later_version": 1, "rebuild": 1,
    "take_back": 1, "kill": 1, "kill_all": 1,
}  # fmt: skip
"""Each step, and how often it comes beside the others."""

ON_THE_STORAGE = {"lose_file", "damage_file", "later_version"}
"""Steps that take away or change files of the storage."""

QUIETLY = {"kill", "kill_all", "damage_file", "later_version", "rename", "copy", "restore", "replace"}
"""Steps that change other jobs than the one that is named, or processes."""

ALL_JOBS = {"mirror"}
"""Those that change all jobs but the ones that are begun meanwhile."""

BESIDE = "beside-"


def one_history(number: int, seed: int, steps: int, kinds: list[str], place: Place, found: Found) -> None:
    """Run one history and note what was wrong."""
    history = History(place, random.Random(seed * 1_000_003 + number), found)
    try:
        history.run(steps, kinds)
    except (Wrong, Raised) as wrong:
        last = history.done[-1].split()[0] if history.done else ""
        found.faults[last] += 1
        if len(found.examples) < 8:
            tail = str(wrong).strip()[-700:]
            found.examples.append(
                f"history {number}, step {len(history.done)}: {' | '.join(history.done[-6:])}: {tail}"
            )
    finally:
        history.end()


def main() -> int:
    """Run the histories."""
    parser = command_line(__doc__, steps=5_000, seconds=0.0, seed=1)
    parser.add_argument("--first", type=int, default=0, help="the number of the first history")
    parser.add_argument("--only", help="names of steps, with commas")
    parser.add_argument("--side-files", action="store_true", help="lose the -wal and -shm files alone too")
    options = parser.parse_args()
    History.side_files = options.side_files
    warm_up()
    names: dict[str, Any] = {name: STEPS[name] for name in (options.only or ",".join(STEPS)).split(",")}
    kinds = [name for name, weight in names.items() for _ in range(weight)]
    found, began, number = Found(), time.monotonic(), options.first
    fresh = places("lifecycle-", fast_folder())
    while found.steps.total() < options.steps:
        if options.seconds and time.monotonic() - began > options.seconds:
            break
        steps = min(STEPS_OF_A_HISTORY, options.steps - found.steps.total())
        one_history(number, options.seed, steps, kinds, next(fresh), found)
        number += 1
    with suppress(GeneratorExit):
        fresh.close()
    for example in found.examples:
        print(example)
    return conclude(
        "lifecycle",
        not found.faults,
        steps=found.steps.total(),
        histories=number - options.first,
        calls=found.calls,
        looks=found.looks,
        refused=found.refused,
        said_incomplete=found.incomplete,
        faults=dict(found.faults) or 0,
    )


if __name__ == "__main__":
    raise SystemExit(main())
