"""Jobs beside each other: what each cost, per minute of audio, and against the ones before it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ..money import Nanos
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
