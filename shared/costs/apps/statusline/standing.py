"""How a user's day and month stand, in as few questions as it takes."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from ... import periods
from ...budgets.limits import Level, Limit, Spending, limits_for
from ...money import Nanos
from ...patience import at_most
from ...profile.currency import Conversion, conversion_on
from ...profile.types import Profile
from ...rollup import Query
from ...storage import LEDGER_NAME
from ...workspace import LoadedProfile, Workspace

WAIT_S: Final = 0.3
"""How long the line waits for others that use the sums; then it says what it has."""

RUNNING: Final = timedelta(minutes=15)
"""A job runs if its last call is at most about this old: sums are kept by quarters of an hour."""

JOB_VARIABLE: Final = "COST_TRACKER_JOB_DIR"

_LOUDNESS: Final[tuple[Level, ...]] = ("ok", "warning", "critical")


class RunningJob(NamedTuple):
    """A running job and what it cost so far, calls without a whole price not in it; several have no cost."""

    name: str
    cost: Nanos | None
    unpriced: int = 0


class AgentSession(NamedTuple):
    """An agent's session: the model's name as it is shown, and the agent's estimate of the cost."""

    model: str = ""
    cost: Nanos | None = None


class UserSpending(NamedTuple):
    """What a user spent today and this month, and the limits on it, in nano-dollars.

    ``level`` is that of the limit that is worst off: of a day, a week or a month, the user's or everyone's.
    ``unpriced_today`` and ``unpriced`` are calls of day and month that have no price, or one for a part
    alone: it cost more than the sums say. ``doubt`` says why those may be incomplete, ``refused`` why the
    profile is, so that no limit is known.
    ``conversion`` writes amounts in the profile's currency, where it has one and a rate of today.
    """

    user: str
    day: Nanos
    month: Nanos
    day_limit: Nanos | None = None
    month_limit: Nanos | None = None
    level: Level = "ok"
    job: RunningJob | None = None
    doubt: str = ""
    refused: str = ""
    conversion: Conversion | None = None
    unpriced_today: int = 0
    unpriced: int = 0


def standing(workspace: Workspace, user: str) -> UserSpending:
    """Return how a user stands now. Waits at most ``WAIT_S`` for others.

    Raises:
        CostError: nothing can be told of what was spent.
    """
    now, loaded = workspace.clock(), workspace.loaded_profile()
    limits = [] if loaded.fault else _limits(loaded.profile, user, now)
    zone = loaded.profile.for_user(user).timezone
    spans = [
        Query(start=each.start, end=each.end, user_id=user)
        for each in (periods.day(now, zone), periods.month(now, zone, loaded.profile.billing_day))
    ]
    ledger = _own_ledger(workspace)
    own_job = [Query(ledger=ledger)] if ledger else []
    costs = [*spans, *(limit.query for limit in limits), *own_job]
    asked = [*costs, *map(_unpriced, [*spans, *own_job])]
    spends, job, doubt = [0] * len(asked), None, ""
    if os.path.lexists(workspace.storage.root):
        workspace.storage.require()
        with at_most(WAIT_S):
            spends = workspace.index.spends(asked)
            job = (
                RunningJob(ledger.parent.name, Nanos(spends[len(costs) - 1]), spends[-1])
                if ledger
                else _running(workspace, now)
            )
            if any(limit.flat for limit in limits):
                _spare(workspace, limits, spends, len(spans))
        doubt = workspace.index.degraded or ""
    own = UserSpending(
        user,
        Nanos(spends[0]),
        Nanos(spends[1]),
        job=job,
        doubt=doubt,
        refused=str(loaded.fault or ""),
        conversion=conversion_on(loaded.profile.currency, now.date()),
        unpriced_today=spends[len(costs)],
        unpriced=spends[len(costs) + 1],
    )
    spendings = [Spending(*each) for each in zip(limits, spends[len(spans) :], strict=False)]
    return _with_limits(own, [*spendings, *_of_plans(workspace, loaded, user)])


def _of_plans(workspace: Workspace, loaded: LoadedProfile, user: str) -> list[Spending]:
    """Return how plans stand that are near to a limit of their own."""
    plans = loaded.profile.plans.values()
    is_there = os.path.lexists(workspace.storage.root)
    if loaded.fault or not is_there or all(plan.limit is None for plan in plans):
        return []
    from ...tracking.foresight import plan_spendings  # only with such a plan; the prompt waits for it

    names, now = workspace.catalogue_name, workspace.clock()
    with at_most(WAIT_S):
        return list(plan_spendings(loaded.profile, workspace.index, user, now, names))


def _spare(workspace: Workspace, limits: list[Limit], spends: list[int], first: int) -> None:
    """Take off what flat rates cover of the spends of limits, which begin at ``first``."""
    from ...budgets.spending import spared  # only with a plan; the prompt waits for it

    for number, limit in enumerate(limits, first):
        spends[number] -= spared(limit, workspace.index, workspace.catalogue_name)


def _limits(profile: Profile, user: str, now: datetime) -> list[Limit]:
    """Return the limits on all that is spent in a period; those on models and tags take a longer look."""
    return [limit for limit in limits_for(profile, user, now) if limit.is_whole]


def _with_limits(stood: UserSpending, spendings: list[Spending]) -> UserSpending:
    levels: list[Level] = ["ok", *(spending.level for spending in spendings)]
    for limit, spent in spendings:
        if limit.scope.owner is not None and limit.scope.kind == "day":
            stood = stood._replace(day_limit=Nanos(limit.amount), day=Nanos(spent))
        if limit.scope.owner is not None and limit.scope.kind == "month":
            stood = stood._replace(month_limit=Nanos(limit.amount), month=Nanos(spent))
    return stood._replace(level=max(levels, key=_LOUDNESS.index))


def _own_ledger(workspace: Workspace) -> Path | None:
    """Return the ledger of the job that the environment names."""
    folder = workspace.environ.get(JOB_VARIABLE)
    return Path(os.path.realpath(folder)) / LEDGER_NAME if folder else None


def _unpriced(query: Query) -> Query:
    """Return what asks how many of the calls have no price, or one for a part alone."""
    return query._replace(measure="unpriced")


def _running(workspace: Workspace, now: datetime) -> RunningJob | None:
    recent = workspace.index.groups(("ledger",), Query(start=now - RUNNING))
    if len(recent) > 1:
        return RunningJob(f"{len(recent)} jobs", None)
    for group in recent:
        ledger = Path(str(group.key[0]))
        query = Query(ledger=ledger)
        cost, unpriced = workspace.index.spends([query, _unpriced(query)])
        return RunningJob(ledger.parent.name, Nanos(cost), unpriced)
    return None
