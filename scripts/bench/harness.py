"""What the benchmarks share: interleaved rounds, medians, and a table of ratios.

Every figure is set against a floor that was measured in the same run, because machines differ and
are noisy. A benchmark prints; it never fails.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tabulate import tabulate


@dataclass(frozen=True)
class Measured:
    """Seconds per call: the median over rounds, and the 99th percentile over all calls."""

    median: float
    p99: float

    @property
    def micros(self) -> float:
        """The median in microseconds."""
        return self.median * 1e6


def interleaved(subjects: Mapping[str, Callable[[], object]], rounds: int, calls: int) -> dict[str, Measured]:
    """Time each subject ``calls`` times a round, the subjects taking turns; one round warms up."""
    medians: dict[str, list[float]] = {name: [] for name in subjects}
    every: dict[str, list[float]] = {name: [] for name in subjects}
    for number in range(rounds + 1):
        for name, subject in subjects.items():
            times = [_timed(subject) for _ in range(calls)]
            if number:
                medians[name].append(statistics.median(times))
                every[name] += times
    return {
        name: Measured(statistics.median(medians[name]), statistics.quantiles(every[name], n=100)[98])
        for name in subjects
    }


def _timed(subject: Callable[[], object]) -> float:
    start = time.perf_counter()
    subject()
    return time.perf_counter() - start


@dataclass(frozen=True)
class Row:
    """One line of a benchmark's table; ``target`` says what is to be reached, ``met`` whether it was."""

    what: str
    figure: str
    ratio: str = ""
    target: str = ""
    met: bool | None = None


def show(title: str, rows: Sequence[Row]) -> None:
    """Print a benchmark's table."""
    verdict = {True: "yes", False: "NO", None: ""}
    cells = [(row.what, row.figure, row.ratio, row.target, verdict[row.met]) for row in rows]
    print(f"\n{title}\n")
    print(tabulate(cells, headers=("", "measured", "ratio", "target", "met"), disable_numparse=True))
