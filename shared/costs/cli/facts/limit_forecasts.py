"""Where what each limit bounds will stand at the end of its month or week."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from ...analysis.forecast import Day, forecast
from ...analysis.history import days_before, days_of_buckets, history_of
from ...budgets.limits import Spending, is_model
from ...money import Nanos
from ...periods import Period
from ...rollup import Group, Query
from ...views.forecast import LimitForecast
from ...workspace import Workspace


def limit_forecasts(workspace: Workspace, spendings: Iterable[Spending]) -> list[LimitForecast]:
    """Return where what each limit bounds will stand at the end of its month or week.

    A day is over before days tell anything, and jobs have no end that is known: their limits are
    left out.
    """
    histories = _Histories(workspace)
    now = workspace.clock()
    found = []
    for spending in spendings:
        period = spending.limit.period
        if period is not None and period.kind in ("month", "week"):
            found.append(LimitForecast(spending, forecast(histories.of(spending, period), period, now)))
    return found


class _Histories:
    """The days of what limits bound; a user's models are read once for all limits on models."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._models = cache(self._of_models)

    def of(self, spending: Spending, period: Period) -> Sequence[Day]:
        scope, now = spending.limit.scope, self._workspace.clock()
        if scope.kind != "model":
            return history_of(self._workspace.index, scope.owner, period, now)
        span = days_before(period, now)
        buckets: dict[int, Nanos] = {}
        for group in self._models(spending.limit.query._replace(start=span.start, end=span.end)):
            service, model, bucket = group.key
            if is_model(scope.name or "", str(service), str(model), self._workspace.catalogue_name):
                at = int(bucket or 0)
                buckets[at] = Nanos(buckets.get(at, 0) + group.totals.cost)
        return days_of_buckets(span, buckets)

    def _of_models(self, query: Query) -> list[Group]:
        return self._workspace.index.groups(("service", "model", "bucket"), query)
