"""Checks at the end of a stage: months that are on course to pass a limit, and the limits of plans."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from .. import periods
from ..analysis.forecast import days_before, days_of_buckets, forecast, history_of
from ..analysis.plans import SUMMED_BY, PlanMonth, plan_months, plan_months_of_sums
from ..budgets.limits import Crossing, Limit, Scope, Spending, foresee
from ..budgets.spending import spend_by_bucket
from ..money import Nanos
from ..patience import remaining
from ..periods import Period
from ..profile.plans import Plan
from ..rollup import Query

if TYPE_CHECKING:
    from ..budgets.scopes import ModelName
    from ..profile.types import Profile
    from ..store.store import Store


def foreseen(index: Store, spendings: Iterable[Spending], now: datetime, names: ModelName) -> list[Crossing]:
    """Return the alerts of limits on months and years that will be passed at the present rate.

    Nothing is forecast before there are two weeks of days, enough to tell weekdays apart: an alert is sent
    once, and a busy first morning must not use it up.
    """
    forecasts = (
        _foresee(index, spending, now, names) for spending in spendings if _may_be_passed(spending, now)
    )
    return [crossing for crossing in forecasts if crossing is not None]


def _foresee(index: Store, spending: Spending, now: datetime, names: ModelName) -> Crossing | None:
    limit, period = spending.limit, spending.limit.period
    if period is None:
        return None
    if limit.is_whole and not limit.flat:
        days = history_of(index, limit.scope.owner, period, now)
    else:
        span = days_before(period, now)
        days = days_of_buckets(span, spend_by_bucket(limit, index.groups, names, span.start, span.end))
    expected = forecast(days, period, now)
    return foresee(spending, expected.projected) if expected.by_weekday else None


def _may_be_passed(spending: Spending, now: datetime) -> bool:
    """Tell whether a forecast is worth its time: not if less than half of an even share is spent."""
    period = spending.limit.period
    if period is None or period.kind not in ("month", "year") or spending.remaining <= 0:
        return False
    gone = int((now - period.start).total_seconds())
    whole = int((period.end - period.start).total_seconds())
    return 2 * spending.spent * whole >= spending.limit.amount * gone


Names = Callable[[str, str], str]

Look = Literal["near", "sums", "calls"]
"""How plans are checked: those near a limit, or all of them, from sums or from their calls."""


def plan_spendings(
    profile: Profile,
    index: Store,
    user_id: str | None,
    now: datetime,
    names: Names,
    look: Look = "near",
) -> Iterator[Spending]:
    """Yield the spending of the plans with a limit in the month of ``now``: a user's, or with ``None`` all.

    With ``near``, only of those that may have reached a threshold. What a plan includes for free is counted
    from its calls; from sums alone with ``sums``, or where waiting is bounded: a month can have many calls.
    """
    limited = {
        name: plan for name, plan in profile.plans.items() if plan.limit is not None and plan.is_for(user_id)
    }
    if not limited:
        return
    period = periods.month(now, profile.timezone, profile.billing_day)
    limits = {name: _limit(name, plan, profile, period) for name, plan in limited.items()}
    months = plan_months_of_sums(
        profile.plans,
        lambda start, end: index.groups(SUMMED_BY, Query(start=start, end=end)),
        period,
        names,
    )
    own = [month for month in months if month.name in limited]
    near = {
        month.name for month in own if look != "near" or _most(month) >= limits[month.name].first_crossing
    }
    if look != "sums" and any(limited[name].unit for name in near) and remaining() is None:
        entries = index.entries(Query(start=period.start, end=period.end))
        months = plan_months(profile.plans, entries, period, names)
    yield from (Spending(limits[month.name], month.due) for month in months if month.name in near)


def _most(month: PlanMonth) -> Nanos:
    """Return what a month would come to if none of its calls were free."""
    return month._replace(beyond=Nanos(0) if month.plan.is_flat else month.listed).due


def _limit(name: str, plan: Plan, profile: Profile, period: Period) -> Limit:
    """Return a plan's limit: its only user's, else everybody's."""
    owner = plan.users[0] if len(plan.users) == 1 else None
    thresholds = (profile.for_user(owner).budget if owner else profile.budget).thresholds
    query = Query(start=period.start, end=period.end, user_id=owner)
    return Limit(Scope(owner, "plan", name), plan.limit or 0, period, query, thresholds)
