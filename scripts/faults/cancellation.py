"""Cancels asynchronous reservations at every moment: a second later nothing is held for calls never sent.

Each one is cancelled once at a random moment, in one of these ways: a timeout around it;
``task.cancel()``, once or twice; a loop that ends while it is under way; a task group one of whose tasks
fails; ``asyncio.run`` for each call. In the body a call is recorded, or the task is cancelled before it
can be. A reservation whose block was never entered, or whose call was recorded, must not be held a second
after; one that was cancelled within its block without an entry may have been sent, and is held as an
orphan, not live.

    python scripts/faults/cancellation.py [--rounds 2000] [--seconds 0] [--seed 1]
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from scripts.faults.blackbox import (
    MODEL,
    Place,
    cost_of,
    in_child,
    live_holds,
    month,
    paid,
    places,
    plain,
    warm_up,
)
from scripts.faults.command_line import command_line
from scripts.faults.common import conclude, fast_folder
from shared.cost_tracker import BudgetExceeded, BudgetGateUnavailable, CostTracker

PROFILE = "budget: {monthly_limit_usd: 100000, block_at_limit: true}\n"
TOKENS, MOST = 1_000, 100
HELD = cost_of(TOKENS, MOST)
LONGEST_S = 0.008


@dataclass
class Run:
    """How many reservations were made, entered, logged under, and refused; and what else was raised."""

    made: int = 0
    entered: int = 0
    logged: int = 0
    refused: int = 0
    raised: list[str] = field(default_factory=list)


class Storm:
    """One process and its loops."""

    def __init__(self, tracker: CostTracker, rng: random.Random) -> None:
        self.tracker, self.rng, self.run = tracker, rng, Run()

    async def call(self) -> None:
        """Reserve, wait as for an answer, and record."""
        self.run.made += 1
        try:
            async with self.tracker.reserve(*MODEL, tokens_input=TOKENS, max_tokens_output=MOST) as hold:
                self.run.entered += 1
                await asyncio.sleep(self.rng.choice([0, 0, 0.001, 0.003]))
                before = self.run.logged
                self.tracker.log_usage(*MODEL, TOKENS, 10, reservation=hold)
                self.run.logged = before + 1
                await asyncio.sleep(self.rng.choice([0, 0.001]))
        except (BudgetExceeded, BudgetGateUnavailable):
            self.run.refused += 1

    def moment(self) -> float:
        """Return when to cancel, in seconds."""
        return self.rng.random() ** 2 * LONGEST_S

    async def timeout(self) -> None:
        """Wait for it only so long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.call(), self.moment())

    async def cancelled(self) -> None:
        """Cancel its task, at times twice."""
        task = asyncio.create_task(self.call())
        await asyncio.sleep(self.moment())
        task.cancel()
        if self.rng.random() < 0.5:
            await asyncio.sleep(0)
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def loop_ends(self) -> None:
        """Have the loop end while it is under way."""
        self.kept = asyncio.create_task(self.call())
        await asyncio.sleep(self.moment())

    async def group(self) -> None:
        """Have another task of its group fail."""

        async def fail() -> None:
            await asyncio.sleep(self.moment())
            raise ZeroDivisionError

        with contextlib.suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(self.call())
                group.create_task(fail())

    def loop_stopped(self) -> None:
        """Close a loop in which it was never finished, as programs that keep a loop of their own do."""
        loop = asyncio.new_event_loop()
        task = loop.create_task(self.call())
        loop.run_until_complete(asyncio.sleep(self.moment()))
        task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.run_until_complete(asyncio.sleep(0))
        if not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                loop.run_until_complete(task)
        loop.close()

    def go(self, times: int) -> Run:
        """Cancel this many."""
        ways = [self.timeout, self.cancelled, self.loop_ends, self.group]
        for _ in range(times):
            try:
                if self.rng.random() < 0.1:
                    self.loop_stopped()
                else:
                    asyncio.run(self.rng.choice(ways)())
            except BaseException as fault:
                self.run.raised.append(repr(fault))
        return self.run


def storm(place: Place, profile: Path, times: int, seed: int) -> tuple[Run, int, int]:
    """Cancel reservations; return what happened, and what is held a second after while the process lives."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    tracker = place.tracker("job", profile)
    tracker.log_usage(*MODEL, TOKENS, 10)
    run = Storm(tracker, random.Random(seed)).go(times)
    time.sleep(1.0)
    live, held = live_holds(place.home, profile)
    return run, held, live


def main() -> int:
    """Cancel them in a few processes."""
    parser = command_line(__doc__, seconds=0.0, seed=1)
    parser.add_argument("--rounds", type=int, default=2_000, help="how many reservations to cancel")
    options = parser.parse_args()
    warm_up()
    began, faults, examples, total = time.monotonic(), Counter[str](), list[str](), Run()
    fresh = places("cancellation-", fast_folder())
    live_left, number = 0, 0
    while total.made < options.rounds:
        if options.seconds and time.monotonic() - began > options.seconds:
            break
        place = next(fresh)
        profile = place.folder / "profile.yaml"
        profile.write_text(PROFILE)
        times = min(250, options.rounds - total.made)
        seed = options.seed * 1_000_003 + number
        run, held, live = in_child(
            lambda place=place, profile=profile, seed=seed, times=times: storm(  # type: ignore[misc]
                place, profile, times, seed
            ),
            600.0,
        )
        number += 1
        live_left += live
        # Entered and without an entry: possibly sent. One call more than is known may have been recorded.
        orphans = round(held / HELD)
        lines = plain(*place.ledgers())
        if orphans != run.entered - (len(lines) - 1):
            faults["held for calls never sent, or not held"] += 1
            examples.append(f"{orphans} held, {run.entered} entered, {len(lines) - 1} logged of {run.made}")
        if not run.logged <= len(lines) - 1 <= run.entered:
            faults["lost or doubled"] += 1
            examples.append(f"{len(lines) - 1} in the ledger, {run.logged} acknowledged")
        if (said := month(place.home, profile)).cost != paid(lines):
            faults["month wrong"] += 1
            examples.append(f"{said} for {paid(lines)}")
        if run.raised:
            faults["raised"] += len(run.raised)
            examples.append(run.raised[0])
        total.made += run.made
        total.entered += run.entered
        total.logged += run.logged
        total.refused += run.refused
        if not run.made:
            break
    fresh.close()
    for example in examples[:8]:
        print(example)
    return conclude(
        "cancellation",
        not faults and not live_left,
        cancelled=total.made,
        entered=total.entered,
        logged=total.logged,
        refused=total.refused,
        live_holds=live_left,
        faults=dict(faults) or 0,
    )


if __name__ == "__main__":
    raise SystemExit(main())
