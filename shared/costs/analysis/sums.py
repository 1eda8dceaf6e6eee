"""Sums of groups: adds up and splits what the index grouped by its dimensions, and summarises a month.

>>> groups = [
...     Group(("openai", "a"), Totals(calls=1, cost=Nanos(4))),
...     Group(("openai", "b"), Totals(calls=2, cost=Nanos(1))),
...     Group(("local", "b"), Totals(calls=5)),
... ]
>>> [(name, totals.calls) for name, totals in split(groups, 0).items()]
[('openai', 3), ('local', 5)]
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from ..money import ZERO, Nanos, divide, percent, to_usd
from ..periods import Period, between, day, month, week
from ..rollup import Dimension, Group, Totals

UNNAMED: Final = "unassigned"
"""The name of calls without a stage, operation, workflow ..."""

Key = tuple[str | int | None, ...]


def total(groups: Iterable[Group]) -> Totals:
    """Return the sum of all groups. ``jobs`` is not a sum and stays 0: a job may be in many groups."""
    whole = Totals()
    for group in groups:
        whole.merge(group.totals)
    whole.jobs = 0
    return whole


def split(groups: Iterable[Group], position: int) -> dict[str, Totals]:
    """Return sums by the value at ``position`` of the groups' keys, the most expensive first."""
    return split_by(groups, lambda key: str(UNNAMED if key[position] is None else key[position]))


def split_by(groups: Iterable[Group], name: Callable[[Key], str]) -> dict[str, Totals]:
    """Return sums by a name made from the groups' keys: by cost, then calls (most first), then name."""
    sums: dict[str, Totals] = {}
    for group in groups:
        sums.setdefault(name(group.key), Totals()).merge(group.totals)
    ordered = sorted(sums.items(), key=lambda item: (-item[1].cost, -item[1].calls, item[0]))
    return dict(ordered)


def by_each_tag(groups: Iterable[Group]) -> list[Group]:
    """Return groups whose first key is a list of tags, once for each single tag.

    >>> [group.key for group in by_each_tag([Group(("a,b", 0), Totals()), Group((None, 0), Totals())])]
    [('a', 0), ('b', 0), (None, 0)]
    """
    return [
        Group((tag or None, *group.key[1:]), group.totals)
        for group in groups
        for tag in str(group.key[0] or "").split(",")
    ]


def share(totals: Totals, whole: Totals) -> float | None:
    """Return a sum's cost in percent of the whole's; ``None`` where there is no share.

    That is where credits leave the whole at zero or below, and for calls without any price.

    >>> share(Totals(cost=Nanos(1)), Totals(cost=Nanos(4))), share(Totals(), Totals())
    (25.0, 0.0)
    >>> share(Totals(cost=Nanos(1)), Totals(cost=Nanos(-4))), share(Totals(cost=Nanos(1)), Totals())
    (None, None)
    >>> share(Totals(calls=2, unpriced_calls=2), Totals(cost=Nanos(4)))
    """
    if is_unpriced(totals) or (totals.cost and whole.cost <= 0):
        return None
    return percent(totals.cost, whole.cost)


def is_unpriced(totals: Totals) -> bool:
    """Return whether not one of the calls has a price, so that their cost is not known."""
    return bool(totals.calls) and totals.unpriced_calls == totals.calls and not totals.cost


def by_day(spend: Mapping[int, int], period: Period) -> tuple[Nanos, ...]:
    """Return the cost of each local day of ``period``, from the cost of its 15-minute buckets.

    ``spend`` has the buckets' starts in seconds since 1970; buckets outside the period are ignored.
    """
    starts = [int(day.start.timestamp()) for day in period.days()]
    end = period.end.timestamp()
    costs = [0] * len(starts)
    for bucket, cost in spend.items():
        if starts[0] <= bucket < end:
            costs[bisect_right(starts, bucket) - 1] += cost
    return tuple(Nanos(cost) for cost in costs)


Step = Literal["daily", "weekly", "monthly"]

_STEPS: Final[dict[Step, Callable[[datetime, ZoneInfo, int], Period]]] = {
    "daily": lambda at, tz, _: day(at, tz),
    "weekly": lambda at, tz, _: week(at, tz),
    "monthly": month,
}


def divide_period(period: Period, step: Step) -> list[Period]:
    """Return the days, weeks or months of a period, in order; the first and last are cut at its edges.

    >>> from shared.costs.periods import parse_month, zone
    >>> [part.name for part in divide_period(parse_month("2026-11", zone("UTC")), "weekly")]
    ['2026-W44', '2026-W45', '2026-W46', '2026-W47', '2026-W48', '2026-W49']
    """
    parts: list[Period] = []
    start = period.start
    while start < period.end:
        part = _STEPS[step](start, period.zone, period.billing_day)
        parts.append(
            part._replace(start=start, end=min(part.end, period.end), billing_day=period.billing_day)
        )
        start = part.end
    return parts


def is_whole(part: Period, step: Step, now: datetime) -> bool:
    """Return whether a part is a complete day, week or month that is over, and so comparable with others.

    >>> from datetime import UTC
    >>> from shared.costs.periods import parse_month, zone
    >>> weeks = divide_period(parse_month("2026-11", zone("UTC")), "weekly")
    >>> [is_whole(part, "weekly", datetime(2026, 11, 22, 12, tzinfo=UTC)) for part in weeks[:4]]
    [False, True, True, False]
    """
    natural = _STEPS[step](part.start, part.zone, part.billing_day)
    return (natural.start, natural.end) == (part.start, part.end) and part.end <= now


def last_stretches(now: datetime, zone: ZoneInfo, step: Step, count: int, billing_day: int = 1) -> Period:
    """Return the last ``count`` whole days, weeks or months as one period; the current one is the last.

    >>> from datetime import UTC
    >>> last_stretches(datetime(2026, 11, 22, tzinfo=UTC), ZoneInfo("UTC"), "monthly", 12).name
    '2025-12-01..2026-11-30'
    """
    last = first = _STEPS[step](now, zone, billing_day)
    for _ in range(count - 1):
        first = _STEPS[step](first.start - timedelta(hours=1), zone, billing_day)
    return between(first.first_day, last.end_day - timedelta(days=1), zone, billing_day)


def mean(whole: Nanos, parts: int) -> Nanos:
    """Return ``whole / parts``, rounded; zero where there are no parts.

    >>> mean(Nanos(10), 4), mean(Nanos(10), 0)
    (2, 0)
    """
    return Nanos(divide(whole, parts)) if parts else ZERO


def median(amounts: Sequence[int]) -> Nanos:
    """Return the median, which a single outlier does not move; of an even number, the mean of the middle two.

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


SUMMARY_DIMENSIONS: Final[tuple[Dimension, ...]] = ("user_id", "stage", "service", "model", "operation")
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
    """Return the summary of groups keyed by :data:`SUMMARY_DIMENSIONS`.

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
