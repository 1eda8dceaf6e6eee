"""Jobs beside each other: what each cost, per minute of audio, and against the ones before it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ..money import Nanos, divide
from ..rollup import Group, Totals
from .job import per_audio_minute


class JobCost(NamedTuple):
    """One job's sums in the stretch that was asked for; ``last`` is its last 15-minute bucket."""

    job_id: str
    ledger: Path
    totals: Totals
    last: int

    @property
    def per_minute(self) -> Nanos | None:
        """What a minute of audio cost; ``None`` without audio."""
        return per_audio_minute(self.totals)


def jobs_of(groups: Iterable[Group]) -> list[JobCost]:
    """Return the jobs of groups keyed by job id, ledger and bucket; the one that ended last comes last."""
    found: dict[tuple[str, str], JobCost] = {}
    for group in groups:
        job_id, ledger, bucket = str(group.key[0]), str(group.key[1]), int(group.key[2] or 0)
        job = found.setdefault((job_id, ledger), JobCost(job_id, Path(ledger), Totals(), bucket))
        job.totals.merge(group.totals)
        found[job_id, ledger] = job._replace(last=max(job.last, bucket))
    return sorted(found.values(), key=lambda job: (job.last, job.job_id))


def median(amounts: Sequence[int]) -> Nanos:
    """Return the median, which one odd job does not move; of an even number the mean of the middle two.

    >>> median([3, 100, 1]), median([1, 2, 4, 100])
    (3, 3)
    """
    if not amounts:
        raise ValueError("there is no median of nothing")
    ordered = sorted(amounts)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return Nanos(ordered[middle])
    return Nanos(divide(ordered[middle - 1] + ordered[middle], 2))
