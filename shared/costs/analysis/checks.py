"""Checks for scripts: is a limit reached, will it be, did a job cost too much or more than before?

A job is compared with the median of those before it, which, unlike the mean, a single outlier does not
move. Source: https://www.itl.nist.gov/div898/handbook/eda/section3/eda351.htm (measures of location)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

from ..errors import BAD_NEWS, FAILED, FINE
from ..model import Entry
from ..money import Nanos, divide, percent, percent_words
from ..rollup import Dimension, Group, JobRef, Measure, Totals, bucket_of
from .forecast import Forecast
from .job import per_audio_minute
from .pace import Pace
from .sums import median

DIMENSIONS: Final[tuple[Dimension, ...]] = ("job_id", "ledger", "bucket")
"""The key of the groups that :func:`jobs_of` takes, in this order."""


class JobCost(NamedTuple):
    """One job's sums in the queried period; ``last`` is its last 15-minute bucket."""

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
    jobs: dict[tuple[str, str], JobCost] = {}
    for group in groups:
        job_id, ledger, bucket = str(group.key[0]), str(group.key[1]), int(group.key[2] or 0)
        job = jobs.setdefault((job_id, ledger), JobCost(job_id, Path(ledger), Totals(), bucket))
        job.totals.merge(group.totals)
        jobs[job_id, ledger] = job._replace(last=max(job.last, bucket))
    return sorted(jobs.values(), key=lambda job: (job.last, job.job_id))


def job_cost(job: JobRef, entries: Iterable[Entry]) -> JobCost:
    """Return the sums of all entries of one job.

    >>> job_cost(JobRef("job-1", Path("cost_ledger.jsonl")), []).totals.calls
    0
    """
    totals, last = Totals(), 0
    for entry in entries:
        totals.add(entry)
        last = max(last, bucket_of(entry.counted_at))
    return JobCost(job.job_id, job.ledger, totals, last)


Verdict = Literal["ok", "warning", "over", "unknown"]
"""``warning`` is a threshold below the limit; ``unknown`` where the data cannot tell."""

FEWEST_JOBS: Final = 3
"""With fewer earlier jobs there is no comparison."""


class Check(NamedTuple):
    """One check and its verdict; ``note`` gives the reason.

    Amounts are in nano-dollars, or calls or tokens as ``measure`` says.
    """

    name: str
    value: int | None
    allowed: int | None
    verdict: Verdict
    note: str = ""
    measure: Measure = "cost"


def limit_check(name: str, spent: int, limit: int, level: str, measure: Measure = "cost") -> Check:
    """Return whether a limit holds; ``level`` is its state: ok, warning or critical."""
    verdict: Verdict = "over" if level == "critical" else "warning" if level == "warning" else "ok"
    return Check(name, spent, limit, verdict, f"{percent_words(percent(spent, limit))} used", measure)


def forecast_check(name: str, projection: Pace | Forecast, limit: int) -> Check:
    """Return whether the projection stays within the limit; a warning where only the range's end is above it.

    With too few days for a range, a projection above the limit is ``unknown``.
    """
    if projection.low is None and projection.projected > limit:
        return Check(name, projection.projected, limit, "unknown", "too few days to tell")
    if projection.projected > limit:
        return Check(name, projection.projected, limit, "over", "on course to pass it")
    if projection.high is not None and projection.high > limit:
        return Check(name, projection.projected, limit, "warning", "its range ends above")
    return Check(name, projection.projected, limit, "ok", "on course to hold it")


def job_check(jobs: Sequence[JobCost], most: Nanos) -> Check:
    """Return whether every job stays within ``most``; the note names the most expensive one."""
    name = "dearest job"
    if not jobs:
        return Check(name, None, most, "ok", "no jobs")
    costliest = max(jobs, key=lambda job: job.totals.cost)
    over = sum(job.totals.cost > most for job in jobs)
    note = costliest.job_id if over < 2 else f"{costliest.job_id} and {over - 1} more"
    return Check(name, costliest.totals.cost, most, "over" if over else "ok", note)


def minute_check(jobs: Sequence[JobCost], most: Nanos) -> Check:
    """Return whether a minute of audio stays within ``most`` in every job; the note names the worst one."""
    name = "dearest minute of audio"
    priced = [(job.per_minute, job) for job in jobs if job.per_minute is not None]
    if not priced:
        return Check(name, None, most, "ok", "no audio")
    highest, job = max(priced, key=lambda pair: pair[0])
    return Check(name, highest, most, "over" if highest > most else "ok", job.job_id)


def regression_check(jobs: Sequence[JobCost], last: int, more_percent: float) -> Check:
    """Return whether the newest job cost at most ``more_percent`` more than the median of those before.

    ``jobs`` are in the order in which they ended. Where all of them have audio, their cost per minute of it
    is compared, so that a longer recording is not a regression. The median is used because a single outlier
    does not move it. With fewer than three earlier jobs the verdict is ``unknown``.
    """
    compared = jobs[-last - 1 :]
    before, newest = compared[:-1], compared[-1] if compared else None
    if newest is None:
        return Check("newest job", None, None, "unknown", "no job yet")
    if len(before) < FEWEST_JOBS:
        too_few = f"{len(before)} jobs before it are too few"
        return Check("newest job", newest.totals.cost, None, "unknown", too_few)
    per_minute = [job.per_minute for job in (*before, newest)]
    with_audio = all(amount is not None for amount in per_minute)
    costs = (
        [amount or 0 for amount in per_minute]
        if with_audio
        else [job.totals.cost for job in (*before, newest)]
    )
    usual = median(costs[:-1])
    allowed = Nanos(divide(usual * round(100 * (100 + more_percent)), 10_000))
    name = "newest job, a minute" if with_audio else "newest job"
    return Check(name, Nanos(costs[-1]), allowed, "over" if costs[-1] > allowed else "ok", newest.job_id)


def exit_code(checks: Sequence[Check], *, strict: bool) -> int:
    """Return 0 within bounds, 1 when something is over (``strict``: or warned), 3 when a verdict is unknown.

    >>> exit_code([Check("x", None, None, "warning")], strict=False)
    0
    """
    verdicts = {check.verdict for check in checks}
    if "over" in verdicts or (strict and "warning" in verdicts):
        return BAD_NEWS
    return FAILED if "unknown" in verdicts else FINE
