"""What the fault programs share: entries of any size, oracles, and one summary line."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

from shared.costs.ledger.counted import new_id
from shared.costs.ledger.line import encode
from shared.costs.ledger.reader import read
from shared.costs.model import Charge, Entry, PricedBy, Usage
from shared.costs.money import Nanos

AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
PRICED_BY = PricedBy("catalogue", "f7623856", "openai/gpt-4o")


def entry(rng: random.Random, filler: int = 0) -> Entry:
    """Return a call with random counts; ``filler`` bytes of metadata make its line longer."""
    tokens_input, tokens_output = rng.randrange(1, 100_000), rng.randrange(1, 10_000)
    return Entry(
        id=new_id(),
        timestamp=AT,
        job_id="job-1",
        user_id="1",
        stage="13_ai_summarization",
        service="openai",
        model="gpt-4o",
        usage=Usage(tokens_input=tokens_input, tokens_output=tokens_output),
        charge=Charge(
            {"input": Nanos(tokens_input * 2_500), "output": Nanos(tokens_output * 10_000)}, PRICED_BY
        ),
        host="faults",
        pid=os.getpid(),
        metadata={"filler": "x" * filler} if filler else {},
    )


def entries_in(ledgers: Iterable[Path]) -> tuple[dict[str, Entry], int]:
    """Return the entries of ledgers by id, the first of each, and how many lines are not entries."""
    found: dict[str, Entry] = {}
    bad = 0
    for ledger in ledgers:
        for located in read(ledger):
            if isinstance(located.content, Entry):
                found.setdefault(located.content.id, located.content)
            else:
                bad += 1
    return found, bad


def fast_folder() -> Path | None:
    """Return a folder in memory where there is one: for many cases whose syncs need no disk."""
    memory = Path("/dev/shm")  # only private folders are made in it
    return memory if memory.is_dir() and os.access(memory, os.W_OK) else None


def conclude(name: str, good: bool, **figures: object) -> int:
    """Print the one line that sums a run up; return the program's exit code."""
    said = ", ".join(f"{value} {key.replace('_', ' ')}" for key, value in figures.items())
    print(f"{name}: {'held' if good else 'FAILED'}: {said}", flush=True)
    return 0 if good else 1


def forked(work: Callable[[], object]) -> int:
    """Run ``work`` in a forked child that ends without any clean-up of the parent's; return its pid.

    One that raises says why, and ends with 1.
    """
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        os._exit(0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)


__all__ = ["ROOT", "conclude", "encode", "entries_in", "entry", "fast_folder", "forked"]
