"""How plans stand that have a limit of their own: they are warned of as every other limit is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from .. import periods
from ..analysis.plans import SUMMED_BY, PlanMonth, plan_months, plan_months_of_sums
from ..budgets.limits import Limit, Scope, Spending
from ..money import Nanos
from ..patience import remaining
from ..periods import Period
from ..profile.plans import Plan
from ..rollup import Query

if TYPE_CHECKING:
    from ..profile.types import Profile
    from ..store.store import Store

Names = Callable[[str, str], str]


def plan_spendings(
    profile: Profile, index: Store, user_id: str, now: datetime, names: Names
) -> Iterator[Spending]:
    """Give how the limits of a user's plans stand this month, of those that may have reached a threshold.

    On the way of a call sums tell it, however many calls a month has; else the calls are read where the list
    price of a plan's calls would reach a threshold.
    """
    mine = {
        name: plan for name, plan in profile.plans.items() if plan.limit is not None and plan.is_for(user_id)
    }
    if not mine:
        return
    period = periods.month(now, profile.timezone, profile.billing_day)
    limits = {name: _limit(name, plan, profile, period) for name, plan in mine.items()}
    found = plan_months_of_sums(
        profile.plans,
        lambda start, end: index.groups(SUMMED_BY, Query(start=start, end=end)),
        period,
        names,
    )
    near = {
        each.name for each in found if each.name in mine and _most(each) >= limits[each.name].first_crossing
    }
    if near and remaining() is None:
        entries = index.entries(Query(start=period.start, end=period.end))
        found = plan_months(profile.plans, entries, period, names)
    yield from (Spending(limits[month.name], month.due) for month in found if month.name in near)


def _most(month: PlanMonth) -> Nanos:
    """Return what a month would come to if none of its calls were free."""
    return month._replace(beyond=Nanos(0) if month.plan.is_flat else month.listed).due


def _limit(name: str, plan: Plan, profile: Profile, period: Period) -> Limit:
    """Return a plan's limit: its only user's, else everybody's."""
    owner = plan.users[0] if len(plan.users) == 1 else None
    thresholds = (profile.for_user(owner).budget if owner else profile.budget).thresholds
    query = Query(start=period.start, end=period.end, user_id=owner)
    return Limit(Scope(owner, "plan", name), plan.limit or 0, period, query, thresholds)
