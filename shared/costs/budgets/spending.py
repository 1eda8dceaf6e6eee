"""Reads what was spent within limits, in the same way for the tracker, the gate and the reports."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from operator import lt
from typing import Final, NamedTuple

from ..money import Nanos
from ..profile.plans import FlatRate
from ..rollup import Dimension, Group, Query, bucket_of
from .limits import Limit, Spending
from .port import SpendReader
from .scopes import CallScope, ModelName, covers, scope_of

Groups = Callable[[Sequence[Dimension], Query], Sequence[Group]]
"""``SpendReader.groups``, or a function that caches it."""


_EVER: Final = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


_WITH_USER: Final[tuple[Dimension, ...]] = ("user_id", "service", "model")


def read_spendings(limits: Iterable[Limit], reader: SpendReader, names: ModelName) -> list[Spending]:
    """Return each limit with what was spent within it, in the order given.

    ``names`` returns the catalogue's name of a service and model, for limits on models.
    """
    return Questions(limits).answered(reader, names)


LOOK_S: Final = 1.0
"""How long split sums of a limit are used, in seconds, with the growth of its query's sum as a bound."""


class _SplitSums(NamedTuple):
    """What was spent within a limit, and by all calls that its query selects, when sums were last split.

    ``until`` is the instant of ``time.monotonic`` at which it becomes too old.
    """

    spent: int
    of_all: int
    until: float


class Questions:
    """The queries that tell what is spent within some limits, each once."""

    def __init__(self, limits: Iterable[Limit]) -> None:
        self.limits = tuple(limits)
        numbers: dict[Query, int] = {}
        self._numbers = [
            None if limit.by else numbers.setdefault(limit.query, len(numbers)) for limit in self.limits
        ]
        self._of_all = {
            at: numbers.setdefault(limit.query, len(numbers))
            for at, limit in enumerate(self.limits)
            if limit.by
        }
        self._split_sums: dict[int, _SplitSums] = {}
        self.queries = tuple(numbers)
        """The queries that select what the limits bound, or more: the sums of limits on models, which have
        many names, and on tags by rule are split."""
        first: dict[Query, int] = {}
        for limit in self.limits:
            if not limit.by:
                first[limit.query] = min(first.get(limit.query, limit.first_crossing), limit.first_crossing)
        self._first = tuple(first.values())
        periods = [limit.period for limit in self.limits if limit.period]
        self._since = max((period.start for period in periods), default=_EVER[0])
        self._until = min((period.end for period in periods), default=_EVER[1])

    def hold_at(self, now: datetime) -> bool:
        """Tell whether the periods of all limits have begun and none is over."""
        return self._since <= now < self._until

    def are_quiet(self, spends: Sequence[int]) -> bool:
        """Tell whether no limit has reached a threshold; ``spends`` are the answers to :attr:`queries`.

        They still include what flat rates cover: without it, they are lower. A limit whose sums are split has
        not reached one if all calls together have not spent enough since the last split.
        """
        if not all(map(lt, spends, self._first)):
            return False
        of_all = self._of_all
        return not of_all or all(self._has_grown_little(at, spends[number]) for at, number in of_all.items())

    def _has_grown_little(self, at: int, of_all: int) -> bool:
        sums, limit = self._split_sums.get(at), self.limits[at]
        if sums is None or time.monotonic() >= sums.until or of_all < sums.of_all:
            return False
        most = sums.spent + of_all - sums.of_all
        return Spending(limit, sums.spent).threshold == Spending(limit, most).threshold

    def answered(
        self, reader: SpendReader, names: ModelName, spends: Sequence[int] | None = None
    ) -> list[Spending]:
        """Return each limit with what was spent within it; ``spends`` may give the answers."""
        if spends is None:
            spends = reader.spends(self.queries) if self.queries else ()
        groups, until = cache(reader.groups), time.monotonic() + LOOK_S
        spendings = [
            Spending(
                limit,
                (_covered(limit, groups, names) if number is None else spends[number])
                - spared(limit, reader, names),
            )
            for limit, number in zip(self.limits, self._numbers, strict=True)
        ]
        for position, number in self._of_all.items():
            self._split_sums[position] = _SplitSums(spendings[position].spent, spends[number], until)
        return spendings


def spared(limit: Limit, reader: SpendReader, names: ModelName) -> int:
    """Return what flat rates cover of the calls within a limit, at list price."""
    if not limit.flat:
        return 0
    if limit.rules:
        return _spared_by_rules(limit, reader, names)

    def counts(user: str, service: str, model: str) -> bool:
        call = CallScope(user, service=service, model=model)
        return not limit.by or covers(limit.scope.kind, limit.scope.name, call, names)

    return flat_cost(limit.flat, limit.query, reader, names, counts)


def _spared_by_rules(limit: Limit, reader: SpendReader, names: ModelName) -> int:
    """As :func:`spared`, for a limit on a tag that rules give."""
    by, covered = (*_WITH_USER, *limit.by), 0
    for start, end in stretches(limit.flat, limit.query):
        stretch = limit.query._replace(start=start, end=end)
        rates = [rate for rate in limit.flat if rate.holds_at(start)]
        for group in reader.groups(by, stretch) if rates else ():
            call = scope_of(stretch, by, group.key)
            is_flat = any(rate.covers(call.user_id, call.service, call.model, names) for rate in rates)
            if is_flat and limit.covers(call, names):
                covered += group.totals.measured(limit.measure)
    return covered


def stretches(rates: Iterable[FlatRate], query: Query) -> Iterator[tuple[datetime, datetime]]:
    """Return the parts of a query's period within which the same rates hold."""
    start, end = query.start or _EVER[0], query.end or _EVER[1]
    edges = {at for rate in rates for at in (rate.start, rate.end) if at and start < at < end}
    return pairwise(sorted({start, end, *edges}))


Counts = Callable[[str, str, str], bool]
"""Tells whether calls of a user to a service's model count."""


def _all(_user: str, _service: str, _model: str) -> bool:
    return True


def flat_cost(
    rates: Sequence[FlatRate],
    query: Query,
    reader: SpendReader,
    names: ModelName,
    counts: Counts = _all,
) -> int:
    """Return the list price of the matching calls that flat rates cover.

    ``query`` may begin at any instant. Calls that several rates cover count once.
    """
    parts = []
    # A window moves with every second; beginning at its bucket makes the query the same for a while.
    since = None if query.start is None else datetime.fromtimestamp(bucket_of(query.start), UTC)
    for group in reader.groups(_WITH_USER, query._replace(start=since)):
        user, service, model = (str(value or "") for value in group.key)
        covering = [rate for rate in rates if rate.covers(user, service, model, names)]
        if covering and counts(user, service, model):
            user_query = query._replace(user_id=user, service=service, model=model)
            parts += [user_query._replace(start=start, end=end) for start, end in _spans(covering, query)]
    return sum(reader.spends(parts)) if parts else 0


def _spans(rates: Iterable[FlatRate], query: Query) -> list[tuple[datetime | None, datetime | None]]:
    """Return the spans within the time of a query when any of the rates holds, without overlaps."""
    first, last = query.start or _EVER[0], query.end or _EVER[1]
    edges = sorted((max(rate.start or _EVER[0], first), min(rate.end or _EVER[1], last)) for rate in rates)
    merged: list[tuple[datetime, datetime]] = []
    for start, end in edges:
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        elif start < end:
            merged.append((start, end))
    return [(None if start == _EVER[0] else start, None if end == _EVER[1] else end) for start, end in merged]


def _covered(limit: Limit, groups: Groups, names: ModelName) -> int:
    """Return what was spent within a limit whose sums must be split."""
    sums = groups(limit.by, limit.query)
    return sum(group.totals.measured(limit.measure) for group in sums if _counts(limit, group, names))


def spend_by_bucket(
    limit: Limit, groups: Groups, names: ModelName, start: datetime, end: datetime
) -> dict[int, int]:
    """Return what was spent within a limit in each 15-minute bucket of a span, whatever its own period.

    Keys are starts in seconds since 1970, as in ``rollup.bucket_of``. ``groups`` is that of a reader.
    """
    by = (*_WITH_USER, *limit.by) if limit.flat else limit.by
    spend: dict[int, int] = {}
    for group in groups((*by, "bucket"), limit.query._replace(start=start, end=end)):
        bucket = int(group.key[-1] or 0)
        if _counts(limit, group, names, by) and not is_flat(limit.flat, group, names):
            spend[bucket] = spend.get(bucket, 0) + group.totals.measured(limit.measure)
    return spend


def paid_by_bucket(
    rates: Sequence[FlatRate], groups: Groups, names: ModelName, query: Query
) -> dict[int, Nanos]:
    """Return the cost of matching calls in each 15-minute bucket, except those that flat rates cover."""
    paid: dict[int, Nanos] = {}
    for group in groups((*_WITH_USER, "bucket"), query):
        bucket = int(group.key[-1] or 0)
        if not is_flat(rates, group, names):
            paid[bucket] = Nanos(paid.get(bucket, 0) + group.totals.cost)
    return paid


def is_flat(rates: Sequence[FlatRate], group: Group, names: ModelName) -> bool:
    """Tell whether a flat rate covers the sums of a user, a service's model and one bucket."""
    if not rates:
        return False
    user, service, model, *_, bucket = group.key
    at = datetime.fromtimestamp(int(bucket or 0), UTC)
    return any(
        rate.holds_at(at) and rate.covers(str(user), str(service), str(model), names) for rate in rates
    )


def _counts(limit: Limit, group: Group, names: ModelName, by: Sequence[Dimension] = ()) -> bool:
    """Tell whether a group of sums that the limit's query selects is part of its spend."""
    if not limit.by:
        return True
    return limit.covers(scope_of(limit.query, by or limit.by, group.key), names)
