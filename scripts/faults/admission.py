"""Simulates batches under a budget, and compares the jobs that were started with those an oracle would start.

Each batch has a month and a limit of its own. Its jobs have three stages whose cost per minute of audio is
drawn anew for every job; what they will cost is estimated by the jobs of earlier batches. Several run at a
time, in turns; every call is held and logged as stages do it. The oracle knows what each job will cost, and
takes them in the same order. Up to twelve batches, a year, share a storage and a process of their own, which
is forked when all is imported; two such processes run at a time.

    no job that was started ends unfinished for lack of budget
    started >= 90 % of what the oracle starts, over all batches
    what is spent never exceeds a limit

    python scripts/faults/admission.py [--batches 200] [--seed 1] [--processes 2]
"""

from __future__ import annotations

import json
import logging
import os
import random
import sys
import tempfile
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from scripts.faults.command_line import command_line
from scripts.faults.common import conclude, fast_folder, forked
from shared.cost_tracker import BudgetExceeded, CostTracker
from shared.costs.tracking.admitting import Admission
from shared.costs.workspace import LoadedCatalogue, Workspace

STAGES: Final = ("06_asr", "10_translation", "13_summary")
TOKENS_A_MINUTE: Final = {"06_asr": 4_000, "10_translation": 9_000, "13_summary": 2_000}
SPREAD: Final = 0.4
"""How far the cost of a minute lies from the mean, at most; by half of it, the stages of a job together."""

USD_A_TOKEN: Final = 2.5e-6
PARALLEL: Final = 3
EARLIER: Final = 30
"""How many jobs were run before the first batch."""

LEAST: Final = 0.9
A_YEAR: Final = 12
"""How many batches share a storage: each has a month of its own."""


Prices = tuple[object, LoadedCatalogue] | None
"""The prices as a workspace keeps them."""


@dataclass
class SimulatedJob:
    """A job: its minutes, and the tokens of each stage, which nobody knows before."""

    name: str
    minutes: float
    tokens: dict[str, int]
    left: list[str] = field(default_factory=lambda: list(STAGES))
    admission: Admission | None = None

    @property
    def usd(self) -> float:
        """What it will cost in all."""
        return sum(self.tokens.values()) * USD_A_TOKEN


def drawn(chance: random.Random, name: str) -> SimulatedJob:
    """Return a random job."""
    minutes = chance.uniform(2, 30)
    common = chance.uniform(-SPREAD / 2, SPREAD / 2)
    tokens = {
        stage: round(minutes * mean * (1 + common + chance.uniform(-SPREAD / 2, SPREAD / 2)))
        for stage, mean in TOKENS_A_MINUTE.items()
    }
    return SimulatedJob(name, minutes, tokens)


@dataclass
class Batch:
    """One batch in a month of its own."""

    folder: Path
    number: int
    chance: random.Random
    prices: Prices = None
    unfinished: int = 0
    started: int = 0

    def run(self) -> int:
        """Run it; return how many jobs the oracle starts."""
        jobs = [drawn(self.chance, f"job-{self.number}-{n}") for n in range(self.chance.randint(8, 16))]
        limit = self.chance.uniform(0.2, 0.9) * sum(job.usd for job in jobs)
        self.profile = self.folder / f"profile-{self.number}.yaml"
        self.profile.write_text(f"budget: {{monthly_limit_usd: {limit:.6f}, block_at_limit: true}}\n")
        waiting, running = deque(jobs), list[SimulatedJob]()
        while waiting or running:
            self._admit(waiting, running)
            if not running:
                break
            job = self.chance.choice(running)
            if not self._advance(job):
                running.remove(job)
        self.spent = self._spent()
        self.limit = limit
        return _oracle(jobs, limit)

    def tracker(self, job: str, within: Admission | None = None) -> CostTracker:
        """Return a tracker of one job, in the month of this batch."""
        made = CostTracker(self.folder / job, "ana", self.folder / "storage", profile_path=self.profile)
        now = datetime(2026 + self.number // 12, 1 + self.number % 12, 15, tzinfo=UTC)
        workspace = made._session.workspace
        workspace.clock = lambda: now
        workspace.environ = within.environ if within else {}
        # The prices are those of the package for all: reading them anew is most of a simulated call's time.
        workspace._catalogue = self.prices = self.prices or _prices_of(workspace)
        return made

    def _admit(self, waiting: deque[SimulatedJob], running: list[SimulatedJob]) -> None:
        """Start what has room. Each job that waits is looked at again whenever something was done."""
        for job in list(waiting):
            if len(running) >= PARALLEL:
                return
            tracker = self.tracker(job.name)
            estimate = tracker.estimate_job(STAGES, audio_seconds=job.minutes * 60)
            assert estimate is not None
            try:
                job.admission = tracker.admit(estimate.most)
            except BudgetExceeded:
                continue
            waiting.remove(job)
            running.append(job)
            self.started += 1

    def _advance(self, job: SimulatedJob) -> bool:
        """Run the next stage of a job; tell whether it goes on."""
        stage = job.left.pop(0)
        assert job.admission is not None
        tracker, tokens = self.tracker(job.name, job.admission), job.tokens[stage]
        details: dict[str, Any] = {"audio_seconds": job.minutes * 60} if stage == STAGES[0] else {}
        try:
            with tracker.reserve("openai", "gpt-4o", tokens_input=tokens, max_tokens_output=0) as hold:
                tracker.log_usage("openai", "gpt-4o", tokens, 0, stage, reservation=hold, **details)
        except BudgetExceeded:
            self.unfinished += 1
            job.left.clear()
        left = tracker.estimate_job(job.left, audio_seconds=job.minutes * 60)
        job.admission.lower(left.most if left else 0.0)
        if not job.left:
            job.admission.close()
        return bool(job.left)

    def _spent(self) -> float:
        return self.tracker("look").get_monthly_cost()


def _prices_of(workspace: Workspace) -> Prices:
    workspace.loaded_catalogue()
    return workspace._catalogue


def _oracle(jobs: list[SimulatedJob], limit: float) -> int:
    """Return how many jobs fit, in the order given, for somebody who knows what each costs."""
    started, left = 0, limit
    for job in jobs:
        if job.usd <= left:
            started, left = started + 1, left - job.usd
    return started


def _earlier(folder: Path, chance: random.Random) -> None:
    """Let some jobs have been run before."""
    at = datetime(2025, 12, 1, tzinfo=UTC)
    for number in range(EARLIER):
        job = drawn(chance, f"earlier-{number}")
        with CostTracker(folder / job.name, "ana", folder / "storage") as tracker:
            for stage, tokens in job.tokens.items():
                heard = job.minutes * 60 if stage == STAGES[0] else 0.0
                tracker.log_usage("openai", "gpt-4o", tokens, 0, stage, timestamp=at, audio_seconds=heard)


@dataclass
class Outcome:
    """What came of some batches: jobs, and how many limits were overrun."""

    batches: int = 0
    started: int = 0
    possible: int = 0
    unfinished: int = 0
    over: int = 0

    def add(self, other: Outcome) -> None:
        """Count others' batches too."""
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)


def year_of_batches(folder: Path, seed: str, batches: int) -> Outcome:
    """Run batches one after the other over a storage of their own."""
    chance, outcome = random.Random(seed), Outcome(batches)
    _earlier(folder, chance)
    prices: Prices = None
    for number in range(batches):
        batch = Batch(folder, number, chance, prices)
        outcome.possible += batch.run()
        prices = batch.prices
        outcome.started += batch.started
        outcome.unfinished += batch.unfinished
        outcome.over += batch.spent > batch.limit + 1e-9
    return outcome


def years(folder: Path, batches: int, seed: int, processes: int) -> Outcome:
    """Run all batches, a year in each of some processes at a time."""
    waiting = [(f"year-{first}", min(A_YEAR, batches - first)) for first in range(0, batches, A_YEAR)]
    running, outcome = dict[int, Path](), Outcome()
    while waiting or running:
        while waiting and len(running) < processes:
            name, count = waiting.pop(0)
            (mine := folder / name).mkdir()
            running[forked(lambda: _write(mine, year_of_batches(mine, f"{seed} {name}", count)))] = mine  # noqa: B023  # the child runs it at once
        ended, status = os.wait()
        mine = running.pop(ended)
        if status:
            raise RuntimeError(f"the batches of {mine.name} did not end well; their fault is above")
        outcome.add(Outcome(**json.loads((mine / "outcome.json").read_text())))
        print(f"  {outcome.batches} of {batches} batches", file=sys.stderr, flush=True)
    return outcome


def _write(folder: Path, outcome: Outcome) -> None:
    (folder / "outcome.json").write_text(json.dumps(asdict(outcome)))


def main() -> int:
    """Run the batches and print the summary; return 1 when something did not hold."""
    parser = command_line(__doc__, batches=200, seed=1, processes=2)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=fast_folder()) as name:
        came_to = years(Path(name), options.batches, options.seed, options.processes)
    started, possible = came_to.started, came_to.possible
    good = not came_to.unfinished and not came_to.over and started >= LEAST * possible
    return conclude(
        "admission",
        good,
        batches=came_to.batches,
        jobs_started=started,
        that_an_oracle_starts=possible,
        unfinished=came_to.unfinished,
        limits_overrun=came_to.over,
        percent_of_the_oracle=f"{100 * started / possible:.1f}",
        seconds=round(time.monotonic() - began),
    )


if __name__ == "__main__":
    sys.exit(main())
