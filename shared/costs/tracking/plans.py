"""How plans stand that have a limit of their own: they are warned of as every other limit is."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Final

from .. import periods
from ..analysis.plans import PlanMonth, plan_months
from ..budgets.limits import Limit, Scope, Spending
from ..model import Entry
from ..money import Nanos
from ..patience import remaining
from ..periods import Period
from ..profile.plans import Plan
from ..rollup import Query

if TYPE_CHECKING:
    from ..profile.types import Profile
    from ..store.store import Store

Names = Callable[[str, str], str]

IN_PASSING_S: Final = 0.25
"""How long calls may be read on the way of a call or at the end of a stage, in seconds; views read all."""

log = logging.getLogger("shared.cost_tracker")


class _TooMany(Exception):
    """There are more calls than can be read in passing."""


def plan_spendings(
    profile: Profile, index: Store, user_id: str, now: datetime, names: Names
) -> Iterator[Spending]:
    """Give how the limits of a user's plans stand this month, of those that may have reached a threshold.

    What is free in the order of calls is read from the ledgers, which takes long: only where the list price
    of a plan's calls would reach a threshold. In passing, a month of too many calls is not told of.
    """
    mine = {
        name: plan for name, plan in profile.plans.items() if plan.limit is not None and plan.is_for(user_id)
    }
    if not mine:
        return
    period = periods.month(now, profile.timezone, profile.billing_day)
    limits = {name: _limit(name, plan, profile, period) for name, plan in mine.items()}
    listed = _listed(mine, index, period, names)
    near = [
        name
        for name, plan in mine.items()
        if PlanMonth(name, plan, listed=listed[name], beyond=_most(plan, listed[name])).due
        >= limits[name].first_crossing
    ]
    if not near:
        return
    entries = _in_passing(index.entries(Query(start=period.start, end=period.end)))
    try:
        months = list(plan_months(profile.plans, entries, period, names))
    except _TooMany:
        log.info(
            "plan %s: too many calls to tell its limit in passing; show-budget tells it", ", ".join(near)
        )
        return
    for month in months:
        if month.name in near:
            yield Spending(limits[month.name], month.due)


def _in_passing(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Give the entries; where the look is bounded, only for so long.

    Raises:
        _TooMany: the time is over, and there are more.

    """
    left = remaining()
    end = None if left is None else time.monotonic() + min(left, IN_PASSING_S)
    for number, entry in enumerate(entries):
        if end is not None and number % 64 == 0 and time.monotonic() >= end:
            raise _TooMany
        yield entry


def _limit(name: str, plan: Plan, profile: Profile, period: Period) -> Limit:
    """Return a plan's limit: its only user's, else everybody's."""
    owner = plan.users[0] if len(plan.users) == 1 else None
    thresholds = (profile.for_user(owner).budget if owner else profile.budget).thresholds
    query = Query(start=period.start, end=period.end, user_id=owner)
    return Limit(Scope(owner, "plan", name), plan.limit or 0, period, query, thresholds)


def _most(plan: Plan, listed: Nanos) -> Nanos:
    return Nanos(0) if plan.is_flat else listed


def _listed(plans: dict[str, Plan], index: Store, period: Period, names: Names) -> dict[str, Nanos]:
    """Return what the calls that each plan may cover cost at list price this month."""
    found = dict.fromkeys(plans, Nanos(0))
    query = Query(start=period.start, end=period.end)
    for group in index.groups(("user_id", "service", "model"), query):
        user, service, model = (str(value or "") for value in group.key)
        for name, plan in plans.items():
            if plan.covers(user, service, model, names):
                found[name] = Nanos(found[name] + group.totals.cost)
    return found
