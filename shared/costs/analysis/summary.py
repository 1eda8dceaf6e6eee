"""The summary of a month: what was spent, on what, by whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from ..money import Nanos, to_usd
from ..rollup import Dimension, Group, Totals
from .sums import mean, split, split_by, total

DIMENSIONS: Final[tuple[Dimension, ...]] = ("user_id", "stage", "service", "model", "operation")
"""The key of the groups that :func:`summarise` takes, in this order."""


class Summary(NamedTuple):
    """The sums of one period.

    ``user_id`` is ``None`` for everyone; ``by_model`` has keys ``service/model``.
    """

    period: str
    user_id: str | None
    totals: Totals
    by_service: Mapping[str, Totals]
    by_model: Mapping[str, Totals]
    by_stage: Mapping[str, Totals]
    by_operation: Mapping[str, Totals]
    by_user: Mapping[str, Totals]

    @property
    def average_per_job(self) -> Nanos:
        """The cost of a job, on average: the whole cost by the jobs that had calls; zero without jobs."""
        return mean(self.totals.cost, self.totals.jobs)

    def as_dict(self) -> dict[str, object]:
        """Return the summary under its fixed names, amounts in USD."""
        return {
            "month": self.period,
            "user_id": self.user_id,
            "total_cost": to_usd(self.totals.cost),
            "total_tokens": self.totals.tokens_total,
            "total_calls": self.totals.calls,
            "unique_jobs": self.totals.jobs,
            "avg_cost_per_job": to_usd(self.average_per_job),
            "by_service": costs(self.by_service),
            "by_model": costs(self.by_model),
            "by_stage": costs(self.by_stage),
            "by_operation": costs(self.by_operation),
            "unpriced_calls": self.totals.unpriced_calls,
            "partial_calls": self.totals.partial_calls,
        }


def summarise(period: str, user_id: str | None, groups: Iterable[Group], jobs: int) -> Summary:
    """Return the summary of groups keyed by :data:`DIMENSIONS`.

    ``jobs`` is the number of different jobs in them, which cannot be computed from the groups.

    >>> group = Group(("1", "asr", "openai", "whisper-1", None), Totals(calls=2, cost=Nanos(12_000_000)))
    >>> summary = summarise("2026-11", None, [group], jobs=2).as_dict()
    >>> summary["by_model"], summary["avg_cost_per_job"]
    ({'openai/whisper-1': 0.012}, 0.006)
    """
    groups = list(groups)
    whole = total(groups)
    whole.jobs = jobs
    return Summary(
        period=period,
        user_id=user_id,
        totals=whole,
        by_service=split(groups, 2),
        by_model=split_by(groups, lambda key: f"{key[2]}/{key[3]}"),
        by_stage=split(groups, 1),
        by_operation=split(groups, 4),
        by_user=split(groups, 0),
    )


def costs(sums: Mapping[str, Totals]) -> dict[str, float]:
    """Return the cost in USD by name."""
    return {name: to_usd(totals.cost) for name, totals in sums.items()}
