"""Anomalies that were planted, against those that are found."""

from __future__ import annotations

import math
from random import Random
from typing import NamedTuple

from shared.costs.money import Nanos
from shared.costs.reports.anomalies import WHOLES, find_anomalies, job_samples
from shared.costs.rollup import Group, Totals

JOBS, PLANTED = 200, 5


class Plant(NamedTuple):
    """What goes wrong in some jobs: a unit's price, or the whole job's size, is so many times the usual.

    ``spread`` is how much what is usual differs from job to job (the sigma of a log-normal).
    """

    name: str
    times: float
    spread: float
    whole_job: bool = False

    @property
    def distance(self) -> float:
        """How many sigmas it lies out. At the threshold of 3.5, half of what is planted there is found."""
        return math.log(self.times) / self.spread


PLANTS = (
    Plant("unit price", 2, 0.1),
    Plant("unit price", 3, 0.1),
    Plant("unit price", 3, 0.25),
    Plant("unit price", 5, 0.25),
    Plant("whole job", 10, 0.5, whole_job=True),
    Plant("whole job", 30, 0.5, whole_job=True),
)


class Score(NamedTuple):
    """How many were planted, how many were found, and how many of those were planted."""

    planted: int
    found: int
    hits: int

    @property
    def precision(self) -> float:
        """Which part of what was found had been planted."""
        return self.hits / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """Which part of what had been planted was found."""
        return self.hits / self.planted


def measure(plant: Plant, seed: int, histories: int) -> Score:
    """Plant anomalies in histories of 200 jobs, five in each, and look for them."""
    chance = Random(seed)
    planted = found = hits = 0
    for _ in range(histories):
        odd = {f"job-{n}" for n in chance.sample(range(JOBS), PLANTED)}
        groups = [group for n in range(JOBS) for group in _job(f"job-{n}", odd, plant, chance)]
        anomalies = find_anomalies(job_samples(groups))
        kind = [a for a in anomalies if (a.sample.unit in WHOLES) == plant.whole_job]
        where = [a.sample.where for a in kind if plant.whole_job or "asr" in a.sample.group]
        elsewhere = len(kind) - len(where)
        planted += len(odd)
        found += len(where) + elsewhere
        hits += len(odd & set(where))
    return Score(planted, found, hits)


def _job(name: str, odd: set[str], plant: Plant, chance: Random) -> list[Group]:
    """Return a job of two stages: speech by the minute, summaries by the token."""
    is_odd = name in odd
    size = chance.lognormvariate(0, 0.5) * (plant.times if is_odd and plant.whole_job else 1)
    price = plant.times if is_odd and not plant.whole_job else 1
    spread = 0.1 if plant.whole_job else plant.spread
    seconds, tokens = 1_800 * size, 20_000 * size
    asr = round(seconds * 1e5 * price * chance.lognormvariate(0, spread))
    summary = round(tokens * 5_000 * chance.lognormvariate(0, spread))
    return [
        Group(
            (name, "06_asr", "openai", "whisper-1", None),
            Totals(calls=1, cost=Nanos(asr), audio_microseconds=round(seconds * 1e6)),
        ),
        Group(
            (name, "13_summary", "openai", "gpt-4o", None),
            Totals(calls=4, cost=Nanos(summary), tokens_input=round(tokens)),
        ),
    ]
