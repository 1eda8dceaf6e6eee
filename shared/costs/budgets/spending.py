"""Reading what was spent within limits: one function for the tracker, the gate and the views."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from ..money import Nanos
from ..rollup import Dimension, Group, Query
from .limits import Limit, ModelName, Spending, is_model


class SpendReader(Protocol):
    """What is asked of the index. ``shared.costs.index.index.Index`` is one."""

    def spends(self, asked: Sequence[Query]) -> list[Nanos]:
        """Return what was spent in each period, by one user or by all."""
        ...

    def groups(self, by: Sequence[Dimension], query: Query) -> list[Group]:
        """Return the sums of the entries that match ``query``, by the dimensions asked for."""
        ...


def read_spendings(limits: Iterable[Limit], reader: SpendReader, names: ModelName) -> list[Spending]:
    """Return each limit with what was spent within it, in the order given.

    ``names`` gives the catalogue's name of a service and model, for limits on models.
    """
    held = list(limits)
    asked = _Asked(reader, names, held)
    return [Spending(limit, asked.spent(limit)) for limit in held]


class _Asked:
    """Asks each query once, however many limits share it, and all periods together."""

    def __init__(self, reader: SpendReader, names: ModelName, limits: Iterable[Limit]) -> None:
        self._reader = reader
        self._names = names
        self._by_model: dict[Query, list[Group]] = {}
        timed = list({limit.query: None for limit in limits if _is_timed(limit)})
        self._sums = dict(zip(timed, reader.spends(timed), strict=True)) if timed else {}

    def spent(self, limit: Limit) -> Nanos:
        if limit.scope.kind == "model":
            return self._of_model(limit)
        query = limit.query
        if query not in self._sums:
            self._sums[query] = _cost(self._reader.groups(("ledger",), query))
        return self._sums[query]

    def _of_model(self, limit: Limit) -> Nanos:
        query, model = limit.query, limit.scope.name or ""
        if query not in self._by_model:
            self._by_model[query] = self._reader.groups(("service", "model"), query)
        return _cost(g for g in self._by_model[query] if is_model(model, *_names_of(g), self._names))


def _is_timed(limit: Limit) -> bool:
    """Tell whether a limit bounds all that was spent in a period."""
    return limit.period is not None and limit.scope.kind != "model"


def _names_of(group: Group) -> tuple[str, str]:
    service, model = group.key
    return str(service), str(model)


def _cost(groups: Iterable[Group]) -> Nanos:
    return Nanos(sum(group.totals.cost for group in groups))
