"""Where the time of one durable ``log_usage`` goes: the profile behind P1 and P3.

Each step of a call is timed on its way, on a real disk; what a step contains stands below it, after a
dot. The timers themselves take a microsecond or two a step.

    python scripts/bench/p1_profile.py [--calls 3000]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

import shared.cost_tracker
from scripts.bench.harness import Row, show
from scripts.bench.p1_log_usage import log_usage
from shared.costs import platform
from shared.costs.index import catchup, database, index, spends
from shared.costs.ledger import recorder, writer
from shared.costs.tracking import recording, stats, watch
from shared.costs.workspace import Workspace


class Step(NamedTuple):
    """One step: how deep within others it is, what it does, and the function that does it."""

    depth: int
    label: str
    owner: Any
    name: str


STEPS = (
    Step(0, "log_usage", shared.cost_tracker.CostTracker, "log_usage"),
    Step(1, "check the arguments", shared.cost_tracker, "make_call"),
    Step(1, "which limits hold", watch.BudgetWatch, "questions"),
    Step(1, "make the entry", recording.Recording, "_entry"),
    Step(2, "price it", recording.Recording, "_charge"),
    Step(3, "have the prices changed", Workspace, "loaded_catalogue"),
    Step(1, "write it as a line", recording, "encode"),
    Step(1, "append it", recorder.Recorder, "record"),
    Step(2, "lock, check and write", writer._Open, "write"),
    Step(2, "sync it", platform, "sync"),
    Step(1, "index it, and ask what was spent", index.Index, "note_and_ask"),
    Step(2, "begin", database._Transaction, "__enter__"),
    Step(2, "stage the line", catchup, "stage"),
    Step(2, "sum up the periods", spends, "spends"),
    Step(2, "commit", database._Transaction, "__exit__"),
    Step(2, "settle (each 24th call)", catchup.CatchUp, "_settle"),
    Step(1, "count it in the process", stats.ProcessStats, "add"),
    Step(1, "compare with the thresholds", watch.BudgetWatch, "alerts_of"),
)


def timed(function: Callable[..., Any], into: list[int]) -> Callable[..., Any]:
    """Return the function, which notes how many nanoseconds each of its calls takes."""

    @wraps(function)
    def measured(*args: Any, **named: Any) -> Any:
        begin = time.perf_counter_ns()
        try:
            return function(*args, **named)
        finally:
            into.append(time.perf_counter_ns() - begin)

    return measured


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--calls", type=int, default=3_000)
    given = parser.parse_args()
    took: dict[Step, list[int]] = defaultdict(list)
    for step in STEPS:
        setattr(step.owner, step.name, timed(getattr(step.owner, step.name), took[step]))
    # Beside the project, not in /tmp: a tmpfs would make every sync free.
    with tempfile.TemporaryDirectory(dir=Path(__file__).resolve().parents[2]) as name:
        call = log_usage(Path(name), Path(name), 0)
        for _ in range(100):
            call()
        for taken in took.values():
            taken.clear()
        for _ in range(given.calls):
            call()
    whole = statistics.median(took[STEPS[0]])
    rows = []
    for step in STEPS:
        taken = took[step]
        each = statistics.median(taken) * len(taken) / given.calls
        label = f"{'. ' * step.depth}{step.label}"
        rows.append(Row(label, f"{each / 1000:.1f} us", f"{each / whole:.0%}"))
    show(f"where the time of a call goes, medians of {given.calls:,} calls", rows)


if __name__ == "__main__":
    main()
