"""The facts of ``show-budget``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

from ...analysis.forecast import Forecast
from ...analysis.pace import Pace, outlook
from ...analysis.sums import total
from ...budgets.limits import Crossing, Spending, foresee
from ...money import ZERO, Nanos
from ...rollup import Query, Totals
from ...tracking.foresight import foreseen
from ...views.budget import BudgetFacts
from ...workspace import Workspace
from ..options import Span
from .common import health, limits_in, monthly, others, spendings
from .projected import projected

FEW_CALLS: Final = 5_000
"""Up to so many calls of a month are read to find those without a reservation; more take too long."""


def budget_facts(workspace: Workspace, user_id: str, month_name: str | None) -> BudgetFacts:
    """Return where a user's month stands."""
    settings = workspace.profile.for_user(user_id)
    period = Span(month_name).period(workspace.clock(), settings.timezone)
    workspace.index.catch_up_all()
    query = Query(start=period.start, end=period.end, user_id=user_id)
    totals = total(workspace.index.groups((), query))
    found, better = projected(workspace, user_id, period)
    limits = spendings(workspace, limits_in(workspace, user_id, period))
    own = monthly(limits, user_id)
    reserved, holds = _held(workspace, limits, own)
    return BudgetFacts(
        user_id=user_id,
        period=period,
        totals=totals,
        pace=found,
        spendings=limits,
        month=own,
        outlook=outlook(found, own.limit.amount, _reached(better, own)) if own else None,
        by_weekday=better is not None and better.by_weekday,
        foreseen=tuple(_foreseen(workspace, limits, own, found)),
        reserved=reserved,
        holds=holds,
        unreserved_calls=_unreserved(workspace, query, totals) if _blocks(own) else 0,
        others=() if totals.calls else others(workspace, query),
        profile=workspace.loaded_profile().described,
        health=health(workspace),
    )


def _foreseen(
    workspace: Workspace, limits: tuple[Spending, ...], own: Spending | None, found: Pace
) -> Iterator[Crossing]:
    """Return the alerts of the user's month, by the projection that is shown, and of everyone's."""
    if own and found.days_left and found.low is not None and (mine := foresee(own, found.projected)):
        yield mine
    yield from foreseen(workspace, [each for each in limits if each.limit.scope.owner is None])


def _reached(better: Forecast | None, own: Spending) -> date | None:
    return better.reaches(own.limit.amount) if better else None


def _blocks(spending: Spending | None) -> bool:
    return spending is not None and spending.limit.blocking


def _held(workspace: Workspace, limits: tuple[Spending, ...], month: Spending | None) -> tuple[Nanos, int]:
    """Return what is reserved against the month, and by how many holds. Only blocking limits have holds."""
    if month is None or not any(map(_blocks, limits)):
        return ZERO, 0
    from ...budgets.deciding import counts_against  # 5 ms that few profiles need
    from ...budgets.gate import Gate

    names = workspace.catalogue_name
    gate = Gate(workspace.index, workspace.storage.holders_dir, clock=workspace.clock, names=names)
    mine = [held for held in gate.holds() if counts_against(held.reservation, month.limit, names)]
    return Nanos(sum(held.amount for held in mine)), len(mine)


def _unreserved(workspace: Workspace, query: Query, totals: Totals) -> int:
    """Return how many paid calls of a month had no reservation; 0 where too many would have to be read."""
    if totals.calls > FEW_CALLS:
        return 0
    entries = workspace.index.entries(query)
    return sum(1 for e in entries if e.kind == "usage" and e.cost > 0 and e.reservation is None)
