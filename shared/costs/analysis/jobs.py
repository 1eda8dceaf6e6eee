"""Jobs beside each other: what each cost, per minute of audio, and against the ones before it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from ..model import Entry
from ..money import Nanos
from ..rollup import Dimension, Group, JobRef, Totals, bucket_of
from .job import per_audio_minute

DIMENSIONS: Final[tuple[Dimension, ...]] = ("job_id", "ledger", "bucket")
"""What the groups given to :func:`jobs_of` are keyed by, in this order."""


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
    """Return the jobs of groups keyed by :data:`DIMENSIONS`; the one that ended last comes last."""
    found: dict[tuple[str, str], JobCost] = {}
    for group in groups:
        job_id, ledger, bucket = str(group.key[0]), str(group.key[1]), int(group.key[2] or 0)
        job = found.setdefault((job_id, ledger), JobCost(job_id, Path(ledger), Totals(), bucket))
        job.totals.merge(group.totals)
        found[job_id, ledger] = job._replace(last=max(job.last, bucket))
    return sorted(found.values(), key=lambda job: (job.last, job.job_id))


def job_cost(job: JobRef, entries: Iterable[Entry]) -> JobCost:
    """Return what all entries of one job come to.

    >>> job_cost(JobRef("job-1", Path("cost_ledger.jsonl")), []).totals.calls
    0
    """
    totals, last = Totals(), 0
    for entry in entries:
        totals.add(entry)
        last = max(last, bucket_of(entry.counted_at))
    return JobCost(job.job_id, job.ledger, totals, last)
