"""Reading what was spent within limits: one function for the tracker, the gate and the views."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..money import Nanos
from ..rollup import Dimension, Group, Query
from .limits import Limit, ModelName, Spending, is_model
from .port import SpendReader


def read_spendings(limits: Iterable[Limit], reader: SpendReader, names: ModelName) -> list[Spending]:
    """Return each limit with what was spent within it, in the order given.

    ``names`` gives the catalogue's name of a service and model, for limits on models.
    """
    return Questions(limits).answered(reader, names)


class Questions:
    """What has to be asked to know how some limits stand: each question once, all periods together."""

    def __init__(self, limits: Iterable[Limit]) -> None:
        self.limits = tuple(limits)
        numbers: dict[Query, int] = {}
        self._periods = [
            numbers.setdefault(limit.query, len(numbers)) if _is_timed(limit) else None
            for limit in self.limits
        ]
        self.periods = tuple(numbers)
        """The periods, of one user or of all, whose spends are asked for."""

    def answered(
        self, reader: SpendReader, names: ModelName, spends: Sequence[Nanos] | None = None
    ) -> list[Spending]:
        """Return each limit with what was spent within it; ``spends`` answers :attr:`periods` already."""
        if spends is None:
            spends = reader.spends(self.periods) if self.periods else ()
        others = _Others(reader, names)
        return [
            Spending(limit, others.spent(limit) if number is None else spends[number])
            for limit, number in zip(self.limits, self._periods, strict=True)
        ]


class _Others:
    """Asks for what jobs, stages and models spent; each question once."""

    def __init__(self, reader: SpendReader, names: ModelName) -> None:
        self._reader = reader
        self._names = names
        self._groups: dict[tuple[bool, Query], list[Group]] = {}

    def spent(self, limit: Limit) -> Nanos:
        query, model = limit.query, limit.scope.name or ""
        if limit.scope.kind != "model":
            return _cost(self._asked(("ledger",), query))
        groups = self._asked(("service", "model"), query)
        return _cost(g for g in groups if is_model(model, *_names_of(g), self._names))

    def _asked(self, by: Sequence[Dimension], query: Query) -> list[Group]:
        key = len(by) == 1, query
        if key not in self._groups:
            self._groups[key] = self._reader.groups(by, query)
        return self._groups[key]


def _is_timed(limit: Limit) -> bool:
    """Tell whether a limit bounds all that was spent in a period."""
    return limit.period is not None and limit.scope.kind != "model"


def _names_of(group: Group) -> tuple[str, str]:
    service, model = group.key
    return str(service), str(model)


def _cost(groups: Iterable[Group]) -> Nanos:
    return Nanos(sum(group.totals.cost for group in groups))
