"""Outliers: jobs, stages and days whose cost is unusual for their group.

A value is compared with the others of its group by the modified z-score, 0.6745 * (x - median) / MAD,
where MAD is the median distance from the median: unlike mean and standard deviation, neither is moved
by the outliers themselves. Scores above 3.5 are outliers. Where more than half of the values
are equal the MAD is zero, and 1.2533 times the mean distance takes its place. x is the logarithm of
the cost: costs vary by factors, so that half the usual cost is as unusual as twice the usual cost.
Source: B. Iglewicz and D. Hoaglin, How to Detect and Handle Outliers (ASQC, 1993), as in
https://www.itl.nist.gov/div898/handbook/eda/section3/eda35h.htm

A value that differs by less than a quarter, or by less than a cent, is ignored, however similar the
others are: nobody would look into it. Low costs are outliers only below half the usual, and those of whole
jobs and days never are: small jobs and quiet days are normal.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from ..money import Nanos, divide
from ..rollup import Group, Totals
from .sums import UNNAMED, median

THRESHOLD: Final = 3.5
WHOLES: Final = frozenset({"a job", "a day"})
FEWEST: Final = 8
"""A group of fewer values has no usual value."""

LEAST_SHARE: Final = 0.25
LEAST_AMOUNT: Final = Nanos(10_000_000)

_TO_SIGMA: Final = 0.6745
_MEAN_TO_SIGMA: Final = 1.2533


class Observation(NamedTuple):
    """One value of a group: the cost of one ``unit``, such as a minute of audio.

    It is compared with the other values of ``group``. ``where`` is the job or the day; ``value`` is the cost
    of one unit and ``cost`` the whole amount behind it, both in nano-dollars and above zero.
    """

    group: str
    unit: str
    where: str
    value: Nanos
    cost: Nanos


class Anomaly(NamedTuple):
    """An outlier: the sample, the usual value of its group, and how far it is from that.

    ``excess`` is what it cost above the usual, in nano-dollars; negative where it cost less.
    """

    sample: Observation
    usual: Nanos
    score: float
    excess: Nanos

    @property
    def times(self) -> float:
        """The value as a multiple of the usual one."""
        return self.sample.value / self.usual


def find_anomalies(samples: Iterable[Observation]) -> list[Anomaly]:
    """Return the outliers among samples, the largest excess first.

    >>> usual = [Observation("asr", "job", f"job-{n}", Nanos(10**8 + n), Nanos(10**8)) for n in range(9)]
    >>> odd = Observation("asr", "job", "job-9", Nanos(5 * 10**8), Nanos(5 * 10**8))
    >>> [(anomaly.sample.where, round(anomaly.times, 1)) for anomaly in find_anomalies([*usual, odd])]
    [('job-9', 5.0)]
    """
    groups: dict[tuple[str, str], list[Observation]] = {}
    for sample in samples:
        groups.setdefault((sample.group, sample.unit), []).append(sample)
    anomalies = [anomaly for group in groups.values() for anomaly in _in_group(group)]
    return sorted(anomalies, key=lambda anomaly: (-abs(anomaly.excess), anomaly.sample))


def _in_group(group: Sequence[Observation]) -> Iterable[Anomaly]:
    if len(group) < FEWEST:
        return
    usual = median([sample.value for sample in group])
    logs = [math.log(sample.value) for sample in group]
    centre = statistics.median(logs)
    distances = [abs(log - centre) for log in logs]
    spread = statistics.median(distances) / _TO_SIGMA or _MEAN_TO_SIGMA * statistics.fmean(distances)
    for sample, log in zip(group, logs, strict=True):
        score = (log - centre) / spread if spread else 0.0
        excess = Nanos(divide(sample.cost * (sample.value - usual), sample.value))
        if abs(score) > THRESHOLD and abs(excess) >= LEAST_AMOUNT and _is_notable(sample, usual):
            yield Anomaly(sample, usual, score, excess)


def _is_notable(sample: Observation, usual: Nanos) -> bool:
    if sample.value > usual:
        return sample.value >= (1 + LEAST_SHARE) * usual
    return sample.unit not in WHOLES and 2 * sample.value < usual


def job_samples(groups: Iterable[Group]) -> list[Observation]:
    """Return samples of groups keyed by job id, stage, service, model and tier, one for each job in each.

    The unit is a minute of audio where there is any, else 1,000 tokens, else a call. Groups that were free
    or have no price yet give no sample. Each job's whole cost is a sample too.
    """
    samples = []
    jobs: dict[str, Totals] = {}
    for group in groups:
        job_id, stage, service, model, _ = (str(UNNAMED if part is None else part) for part in group.key)
        tier = f", {group.key[4]}" if group.key[4] else ""
        jobs.setdefault(job_id, Totals()).merge(group.totals)
        unit_price = per_unit(group.totals)
        if unit_price is not None:
            unit, value = unit_price
            samples.append(
                Observation(f"{stage}, {service}/{model}{tier}", unit, job_id, value, group.totals.cost)
            )
    whole_jobs = [
        Observation("all stages", "a job", name, totals.cost, totals.cost)
        for name, totals in jobs.items()
        if totals.cost > 0
    ]
    return [*samples, *whole_jobs]


def per_unit(totals: Totals) -> tuple[str, Nanos] | None:
    """Return a unit and its cost; ``None`` where nothing was paid, or less than a nano-dollar a unit."""
    unit_price = _unit(totals)
    return unit_price if unit_price and unit_price[1] > 0 else None


def _unit(totals: Totals) -> tuple[str, Nanos] | None:
    if totals.cost <= 0:
        return None
    if totals.audio_microseconds:
        return "a minute of audio", Nanos(divide(totals.cost * 60_000_000, totals.audio_microseconds))
    if totals.tokens_total:
        return "1,000 tokens", Nanos(divide(totals.cost * 1_000, totals.tokens_total))
    return ("a call", Nanos(divide(totals.cost, totals.calls))) if totals.calls > 0 else None


def day_samples(costs: Mapping[str, Nanos]) -> list[Observation]:
    """Return days with any cost as samples, by their names."""
    return [Observation("all jobs", "a day", name, cost, cost) for name, cost in costs.items() if cost > 0]
