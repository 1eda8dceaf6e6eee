"""The table at the end of a batch: jobs by stages, with costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tabulate import tabulate

from .job import Job


def cost_table(jobs: Sequence[Job], stages: Sequence[str], costs: Mapping[str, Mapping[str, float]]) -> str:
    """Return the table; ``costs`` is USD by job id and stage, over all attempts.

    A stage that is not completed is named as what it is, beside what it has cost so far.
    """
    rows = [
        [job.id, *(_cell(job, stage, costs[job.id]) for stage in stages), _usd(sum(costs[job.id].values()))]
        for job in jobs
    ]
    sums = [_usd(sum(costs[job.id].get(stage, 0.0) for job in jobs)) for stage in stages]
    total = _usd(sum(sum(by_stage.values()) for by_stage in costs.values()))
    right = ["left", *["right"] * (len(stages) + 1)]
    return tabulate(
        [*rows, ["all", *sums, total]],
        ["job", *stages, "total"],
        "simple",
        colalign=right,
        disable_numparse=True,
    )


def _cell(job: Job, stage: str, costs: Mapping[str, float]) -> str:
    state = job.state(stage)
    status = state.status if state else "not run"
    if status == "completed":
        return _usd(costs.get(stage, 0.0))
    return f"{status} {_usd(costs[stage])}" if costs.get(stage) else status


def _usd(amount: float) -> str:
    return f"${amount:,.4f}"
