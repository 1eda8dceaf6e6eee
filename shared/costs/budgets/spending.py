"""Reading what was spent within limits: one function for the tracker, the gate and the views."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from operator import lt
from typing import Any, Final

from ..rollup import Dimension, Group, Query
from .limits import Limit, Spending
from .port import SpendReader
from .scopes import CallScope, ModelName

Groups = Callable[[Sequence[Dimension], Query], Sequence[Group]]
"""``SpendReader.groups``, or a function that asks it each question once."""


_EVER: Final = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def read_spendings(limits: Iterable[Limit], reader: SpendReader, names: ModelName) -> list[Spending]:
    """Return each limit with what was spent within it, in the order given.

    ``names`` gives the catalogue's name of a service and model, for limits on models.
    """
    return Questions(limits).answered(reader, names)


class Questions:
    """What has to be asked to know how some limits stand: each question once."""

    def __init__(self, limits: Iterable[Limit]) -> None:
        self.limits = tuple(limits)
        numbers: dict[Query, int] = {}
        self._numbers = [
            None if limit.by else numbers.setdefault(limit.query, len(numbers)) for limit in self.limits
        ]
        self.queries = tuple(numbers)
        """The queries that select what a limit bounds; models take more, since they have many names."""
        first: dict[Query, int] = {}
        for limit in self.limits:
            if not limit.by:
                first[limit.query] = min(first.get(limit.query, limit.first_crossing), limit.first_crossing)
        self._first = tuple(first.values())
        self._is_split = None in self._numbers
        periods = [limit.period for limit in self.limits if limit.period]
        self._since = max((period.start for period in periods), default=_EVER[0])
        self._until = min((period.end for period in periods), default=_EVER[1])

    def hold_at(self, now: datetime) -> bool:
        """Tell whether the periods of all limits have begun and none is over."""
        return self._since <= now < self._until

    def are_quiet(self, spends: Sequence[int]) -> bool:
        """Tell whether no limit has reached a threshold; ``spends`` answers :attr:`queries`."""
        return not self._is_split and all(map(lt, spends, self._first))

    def answered(
        self, reader: SpendReader, names: ModelName, spends: Sequence[int] | None = None
    ) -> list[Spending]:
        """Return each limit with what was spent within it; ``spends`` answers :attr:`queries` already."""
        if spends is None:
            spends = reader.spends(self.queries) if self.queries else ()
        groups = cache(reader.groups)
        return [
            Spending(limit, _covered(limit, groups, names) if number is None else spends[number])
            for limit, number in zip(self.limits, self._numbers, strict=True)
        ]


def _covered(limit: Limit, groups: Groups, names: ModelName) -> int:
    """Return what was spent within a limit for which sums must be split."""
    found = groups(limit.by, limit.query)
    return sum(group.totals.measured(limit.measure) for group in found if _counts(limit, group, names))


def spend_by_bucket(
    limit: Limit, groups: Groups, names: ModelName, start: datetime, end: datetime
) -> dict[int, int]:
    """Return what was spent within a limit in each 15-minute bucket of a span, whatever its own period.

    Keys are starts in seconds since 1970, as in ``rollup.bucket_of``. ``groups`` is that of a reader.
    """
    found: dict[int, int] = {}
    for group in groups((*limit.by, "bucket"), limit.query._replace(start=start, end=end)):
        if _counts(limit, group, names):
            bucket = int(group.key[-1] or 0)
            found[bucket] = found.get(bucket, 0) + group.totals.measured(limit.measure)
    return found


def _counts(limit: Limit, group: Group, names: ModelName) -> bool:
    """Tell whether a group of sums that the limit's query selects is part of its spend."""
    if not limit.by:
        return True
    query = limit.query
    values: dict[str, Any] = dict(zip(limit.by, group.key, strict=False))
    return limit.covers(CallScope(query.user_id, ledger=query.ledger, **values), names)
