"""Reading what was spent within limits: one function for the tracker, the gate and the views."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from ..money import Nanos
from ..rollup import Dimension, Group, Query
from .limits import Limit, ModelName, Spending, is_model


class SpendReader(Protocol):
    """What is asked of the index. ``shared.costs.index.index.Index`` is one."""

    def spend(self, start: datetime, end: datetime, *, user_id: str | None = None) -> Nanos:
        """Return what was spent in ``[start, end)``, by one user or by all."""
        ...

    def groups(self, by: Sequence[Dimension], query: Query) -> list[Group]:
        """Return the sums of the entries that match ``query``, by the dimensions asked for."""
        ...


def read_spendings(limits: Iterable[Limit], reader: SpendReader, names: ModelName) -> list[Spending]:
    """Return each limit with what was spent within it, in the order given.

    ``names`` gives the catalogue's name of a service and model, for limits on models.
    """
    asked = _Asked(reader, names)
    return [Spending(limit, asked.spent(limit)) for limit in limits]


class _Asked:
    """Asks each query once, however many limits share it."""

    def __init__(self, reader: SpendReader, names: ModelName) -> None:
        self._reader = reader
        self._names = names
        self._sums: dict[Query, Nanos] = {}
        self._by_model: dict[Query, list[Group]] = {}

    def spent(self, limit: Limit) -> Nanos:
        if limit.scope.kind == "model":
            return self._of_model(limit)
        query = limit.query
        if query not in self._sums:
            self._sums[query] = self._sum(query)
        return self._sums[query]

    def _sum(self, query: Query) -> Nanos:
        if query.ledger is None and query.start is not None and query.end is not None:
            return self._reader.spend(query.start, query.end, user_id=query.user_id)
        return _cost(self._reader.groups(("ledger",), query))

    def _of_model(self, limit: Limit) -> Nanos:
        query, model = limit.query, limit.scope.name or ""
        if query not in self._by_model:
            self._by_model[query] = self._reader.groups(("service", "model"), query)
        return _cost(g for g in self._by_model[query] if is_model(model, *_names_of(g), self._names))


def _names_of(group: Group) -> tuple[str, str]:
    service, model = group.key
    return str(service), str(model)


def _cost(groups: Iterable[Group]) -> Nanos:
    return Nanos(sum(group.totals.cost for group in groups))
