"""``whatif --budget FILE``: what the limits of a profile would have done to the calls of the last months."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Final, NamedTuple

from ..analysis.backtest import (
    BackTest,
    LimitTrial,
    PeriodTrial,
    TrialCall,
    UserTrial,
    back_test,
    trial_call,
)
from ..analysis.calls import net_calls
from ..budgets.limits import Scope, limits_for
from ..budgets.scopes import CallScope
from ..money import Nanos, to_usd
from ..periods import Period
from ..pricing.catalogue import Catalogue
from ..profile import Budget, Profile, load_profile
from ..rollup import Measure, Query, bucket_of
from .common import UNITS, Health, cell_of, in_unit, incomplete, named, noted, plural, usd_or_none
from .document import Column, Figure, Note, Ref, Report, Row, Table, derive
from .queries import health
from .questions import TimeSpan
from .reader import Reader, in_turn

MONTHS: Final = 3
"""How many months are tried where nobody says how many; the present one is the last."""

IsLocal = Callable[[str, str], bool]

SHOWN: Final = 10
"""How many limits, events and users are shown; the JSON has all."""


class BackTestQuestion(NamedTuple):
    """Which profile is tried, and with the calls of which period."""

    file: Path
    span: TimeSpan = TimeSpan(last=("monthly", MONTHS))


class BackTestFacts(NamedTuple):
    """What the report shows."""

    file: Path
    profile: Profile
    period: Period
    found: BackTest
    health: Health = Health()


def back_test_facts(reader: Reader, question: BackTestQuestion) -> BackTestFacts:
    """Return what the limits in a file would have done.

    Raises:
        ProfileError: the file cannot be read or does not follow the contract.
        WrongUsage: the options name no period.
    """
    profile = load_profile(question.file)
    period = question.span.period(reader.now, profile.timezone, profile.billing_day)
    catalogue = Catalogue.load(reader.storage, reader.prices_path, profile.aliases)
    reader.index.catch_up_all()
    query = Query(start=_since(reader, profile, period), end=period.end)
    calls = _calls(reader, cache(catalogue.is_local), query)
    trial = back_test(calls, profile, cache(catalogue.name), period.start)
    return BackTestFacts(question.file, profile, period, trial, health(reader, query))


def _since(reader: Reader, profile: Profile, period: Period) -> datetime:
    """Return from when on calls count in a period of a limit that holds when the trial begins."""
    users = [str(group.key[0]) for group in reader.index.groups(("user_id",), Query(end=period.end))]
    limits = (limit for user in users for limit in limits_for(profile, user, period.start))
    first = min((limit.period.start for limit in limits if limit.period), default=period.start)
    return datetime.fromtimestamp(bucket_of(first), UTC)


def _calls(reader: Reader, is_local: IsLocal, query: Query) -> list[TrialCall]:
    """Return the calls of all jobs that were at work in a query's time, in the order of their time.

    A job's earlier calls are among them: its own limits bound its whole life.
    """
    size = sum(group.totals.calls for group in reader.index.groups((), query))
    with reader.progress("Trying the limits") as advance:
        [calls] = in_turn([(_by_job(reader, is_local, query), size)], advance)
        return sorted(calls, key=attrgetter("at"))


def _by_job(reader: Reader, is_local: IsLocal, query: Query) -> Iterator[TrialCall]:
    unassigned = reader.storage.unassigned_ledger.resolve()
    scopes: dict[CallScope, CallScope] = {}  # thousands of calls of a job share one
    for ref, entries in reader.index.entries_by_job(query, whole=True):
        job = None if ref.ledger == unassigned else ref
        for net in net_calls(entries):
            call = trial_call(net, job, is_local=is_local)
            yield call._replace(scope=scopes.setdefault(call.scope, call.scope))


def back_test_report(facts: BackTestFacts) -> Report:
    """Return when each limit would have warned and denied, the tightest first, and whom it would have hit."""
    users = facts.found.users.values()
    denied, cost = sum(user.denied_calls for user in users), sum(user.cost for user in users)
    denied_cost = sum(user.denied_cost for user in users)
    tightest = facts.found.tightest
    figures = (
        Figure("cost", "Spent", cost, note=plural(sum(user.calls for user in users), "call", "calls")),
        Figure(
            "denied",
            "Denied",
            denied_cost,
            note=plural(denied, "call", "calls"),
            tone="warning" if denied else "good",
        ),
        Figure("tightest", "Tightest", " of ".join(_named(tightest.scope)) if tightest else "none", "text"),
    )
    return Report(
        title=f"What if the limits were those of {facts.file.name}",
        subtitle=named(facts.period),
        figures=figures,
        tables=tuple(_tables(facts)),
        notes=tuple(_notes(facts)),
        data={
            "profile": str(facts.file),
            **derive(facts.period, "start", "end"),
            "calls": sum(user.calls for user in users),
            "cost_usd": to_usd(Nanos(cost)),
            "unpriced_calls": sum(user.unpriced for user in users),
            "partial_calls": sum(user.partial for user in users),
            "denied_calls": denied,
            "denied_usd": to_usd(Nanos(denied_cost)),
            "tightest": " of ".join(_named(tightest.scope)) if tightest else None,
            **derive(facts.health, "incomplete"),
            "users": [_user(name, user) for name, user in facts.found.users.items()],
            "limits": [_limit(limit) for limit in facts.found.limits],
        },
    )


def _named(scope: Scope) -> tuple[str, str]:
    """Return how people call a limit, and whose it is."""
    if scope.owner is None:
        return scope._replace(owner="").label, "organization"
    return scope.label, Ref(scope.owner, "user")


_WHEN: Final = (
    Column("at", "From"),
    Column("limit", "Limit"),
    Column("owner", "Of"),
    Column("period", "In", rank=1),
    Column("event", "What"),
)


def _tables(facts: BackTestFacts) -> Iterator[Table]:
    limits, users = facts.found.limits, facts.found.users
    yield Table.of(
        "Limits",
        limits[:SHOWN],
        (Column("limit", "Limit"), lambda limit: _named(limit.scope)[0]),
        (Column("owner", "Of"), lambda limit: _named(limit.scope)[1]),
        (Column("amount", "Amount", "money"), lambda limit: cell_of(limit.amount, limit.scope.measure)),
        (Column("peak", "Most used", "percent", rank=2), lambda limit: limit.peak_percent),
        (Column("warned", "Warned", "count", rank=1), lambda limit: len(limit.warned)),
        (Column("denied_calls", "Denied", "count"), lambda limit: limit.denied_calls),
        (Column("denied", "Cost", "money"), _denied_cost),
        empty="No call counts against a limit of this profile.",
        key="limits",
    )
    if limits:
        events = tuple(_events(facts)[:SHOWN])
        yield Table("Warned or denied", _WHEN, events, empty="No limit was reached.", key="events")
    if len(users) > 1:
        yield Table.of(
            "Users",
            sorted(users, key=lambda name: (-users[name].denied_cost, -users[name].cost))[:SHOWN],
            (Column("user", "User"), lambda name: Ref(name, "user")),
            (Column("calls", "Calls", "count", rank=1), lambda name: users[name].calls),
            (Column("cost", "Spent", "money"), lambda name: users[name].cost),
            (Column("denied_calls", "Denied", "count"), lambda name: users[name].denied_calls),
            (Column("denied", "Cost", "money"), lambda name: _denied_cost(users[name])),
            key="users",
        )


def _events(facts: BackTestFacts) -> list[Row]:
    """Return when limits warn and deny: the tightest first, each in the order of time."""
    rows: list[Row] = []
    for limit in facts.found.limits:
        whose = limit.scope.owner
        zone = facts.profile.timezone if whose is None else facts.profile.for_user(whose).timezone
        for period in limit.periods:
            events = [(at, f"{threshold:g}% reached") for threshold, at in sorted(period.reached.items())]
            if period.denied_from is not None:
                calls = plural(period.denied_calls, "call", "calls")
                events.append((period.denied_from, f"{calls} denied"))
            rows += [
                (f"{at.astimezone(zone):%Y-%m-%d %H:%M}", *_named(limit.scope), _in(period), event)
                for at, event in sorted(events, key=itemgetter(0))
            ]
    return rows


def _in(period: PeriodTrial) -> str:
    """Return what people call the period: a period, a job, or nothing for a window, which moves."""
    if period.job is not None:
        return Ref(period.job.job_id, "job")
    return "" if period.period is None or period.period.kind == "rolling" else period.period.name


def _notes(facts: BackTestFacts) -> Iterator[Note]:
    limits, budgets = facts.found.limits, _budgets(facts)
    for number, what in (
        (len(limits), "limits"),
        (len(_events(facts)), "warnings and denials"),
        (len(facts.found.users), "users"),
    ):
        if number > SHOWN:
            yield Note(f"{number - SHOWN:,} more {what}: --json has them all.")
    unpriced = "no price: on_unpriced: warn or reserve_cap_usd would let them go."
    denied = sum(limit.denied_unpriced for limit in limits)
    yield from noted(denied, "denied call has", "denied calls have", unpriced)
    if limits and not any(limit.blocking for limit in limits):
        yield Note("No limit blocks, so none denies: block_at_limit: true in the file would.")
    if any(budget.guard.same_request for budget in budgets):
        yield Note("guard.same_request cannot be tried: ledgers do not keep requests.")
    yield from incomplete(facts.health)
    yield Note(
        "Each call counts with its actual cost. What is held for calls in progress may deny some sooner."
    )


def _denied_cost(trial: LimitTrial | PeriodTrial | UserTrial) -> Nanos | None:
    """Return what denied calls cost; ``None`` where not one of them has a price."""
    return None if trial.denied_unpriced == trial.denied_calls > 0 else trial.denied_cost


def _budgets(facts: BackTestFacts) -> list[Budget]:
    profile = facts.profile
    return [profile.organization, *(profile.for_user(user).budget for user in facts.found.users)]


def _user(name: str, user: UserTrial) -> dict[str, object]:
    names = ("calls", "unpriced_calls=unpriced", "partial_calls=partial", "cost", "denied_calls")
    return {
        "user_id": name,
        **derive(user, *names, "denied_unpriced_calls=denied_unpriced"),
        "denied_usd": usd_or_none(_denied_cost(user)),
    }


def _limit(limit: LimitTrial) -> dict[str, object]:
    measure = limit.scope.measure
    return {
        **derive(limit, "scope.owner", "scope.kind", "scope.name"),
        "unit": UNITS[measure],
        "limit": in_unit(limit.amount, measure),
        "blocking": limit.blocking,
        "peak": in_unit(limit.peak, measure),
        "peak_percent": round(limit.peak_percent, 4),
        "warned_periods": len(limit.warned),
        "denied_periods": len(limit.denying),
        **derive(limit, "denied_calls", "denied_unpriced_calls=denied_unpriced"),
        "denied": in_unit(limit.denied, measure),
        "denied_usd": usd_or_none(_denied_cost(limit)),
        "periods": [_period(period, measure) for period in limit.periods],
    }


def _period(period: PeriodTrial, measure: Measure) -> dict[str, object]:
    bounds = None if period.period is None or period.period.kind == "rolling" else period.period
    return {
        "name": period.name,
        "start": bounds.start.isoformat() if bounds else None,
        "end": bounds.end.isoformat() if bounds else None,
        **derive(period, "job.job_id"),
        "thresholds": [
            {"percent": threshold, "at": at.isoformat()} for threshold, at in sorted(period.reached.items())
        ],
        **derive(period, "denied_from", "denied_calls", "denied_unpriced_calls=denied_unpriced"),
        "denied": in_unit(period.denied, measure),
        "denied_usd": usd_or_none(_denied_cost(period)),
    }
