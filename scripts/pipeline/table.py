"""The table at the end of a batch: jobs by stages, with costs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

from tabulate import SEPARATING_LINE, tabulate

from .job import Job

_BREAKS: Final = (("", ""), ("_", ""), ("_", "- "))
"""After which characters headers and cells are broken, where the ways before are too wide."""


def cost_table(
    jobs: Sequence[Job],
    stages: Sequence[str],
    costs: Mapping[str, Mapping[str, float]],
    width: float = math.inf,
) -> str:
    """Return the table; ``costs`` is USD by job id and stage, over all attempts.

    A stage that is not completed is named as what it is, beside what it has cost so far. Where the
    table is wider than ``width`` columns, names are broken, as far as they need to be.
    """
    rows = [
        [job.id, *(_cell(job, stage, costs[job.id]) for stage in stages), _usd(sum(costs[job.id].values()))]
        for job in jobs
    ]
    sums = [_usd(sum(costs[job.id].get(stage, 0.0) for job in jobs)) for stage in stages]
    total = _usd(sum(sum(by_stage.values()) for by_stage in costs.values()))
    header, body = ["job", *stages, "total"], [*rows, ["all", *sums, total]]
    for in_header, in_body in _BREAKS:
        table = _drawn(_broken(header, in_header), [_broken(row, in_body) for row in body])
        if max(map(len, table.splitlines())) <= width:
            break
    return table


def _drawn(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    sides = ["left", *["right"] * (len(header) - 1)]
    rows = [header, SEPARATING_LINE, *body]  # as headers they would be two columns wider each
    ruled = tabulate(rows, tablefmt="simple", colalign=sides, disable_numparse=True)
    return "\n".join(ruled.splitlines()[1:-1])


def _broken(cells: Sequence[str], after: str) -> list[str]:
    """Return cells with a new line after each of some characters."""
    return [re.sub(f"([{re.escape(after)}])", r"\1\n", cell) if after else cell for cell in cells]


def _cell(job: Job, stage: str, costs: Mapping[str, float]) -> str:
    state = job.state(stage)
    status = state.status if state else "not run"
    if status == "completed":
        return _usd(costs.get(stage, 0.0))
    return f"{status} {_usd(costs[stage])}" if costs.get(stage) else status


def _usd(amount: float) -> str:
    return f"${amount:,.4f}"
