"""Random profiles and histories: what limits count, and what the gate lets through, by a plain recount.

The recount knows nothing of queries, buckets, periods or instants of change: it takes each call, turns its
instant into a local date, and reads the profile as the YAML that it is.
"""

from __future__ import annotations

import calendar
import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.costs.budgets.gate import GateRequest
from shared.costs.budgets.limits import Limit, Scope, limits_for
from shared.costs.budgets.spending import read_spendings
from shared.costs.errors import BudgetExceeded
from shared.costs.model import Charge, Entry, PricedBy, Usage
from shared.costs.money import Nanos
from shared.costs.rollup import JobRef
from shared.costs.storage import LEDGER_NAME
from shared.costs.workspace import Workspace
from tests.support.saved import save

ZONES = (
    "UTC", "Europe/Berlin", "Asia/Kolkata", "America/Havana", "Pacific/Apia", "Australia/Lord_Howe",
    "America/St_Johns", "Africa/Casablanca", "Pacific/Chatham",
)  # fmt: skip
USERS, JOBS = ("1", "ana", "böb"), ("job-1", "jäb")
MODELS = (
    ("openai", "gpt-4o"), ("openai", "gpt-4o-2024-08-06"), ("google", "gemini-1.5-pro"),
    ("gemini", "gemini-1.5-pro"), ("anthropic", "claude-3-haiku-20240307"), ("local", "pocketsphinx"),
)  # fmt: skip
LABELS: dict[str, tuple[Any, ...]] = {
    "stage": ("asr", "mt", None),
    "project": ("p1", "acme-web", None),
    "tags": ((), ("night",), ("customer:beta", "night"), ("customer:acme",)),
    "workflow": ("w1", None),
    "operation": ("chat", None),
}
NAMES = {
    "stage": ("asr", "mt"),
    "model": ("openai/gpt-4o", "gemini-1.5-pro"),
    "tag": ("night", "customer:acme"),
    "project": ("p1", "acme-web"),
    "workflow": ("w1",),
    "operation": ("chat",),
    "service": ("openai", "gemini"),
}
EDGES = (
    (2026, 11, 1, 0, 0), (2026, 3, 29, 1, 30), (2026, 10, 25, 2, 30), (2026, 3, 1, 0, 0),
    (2026, 12, 31, 23, 59), (2027, 1, 1, 0, 0), (2028, 2, 29, 12, 0), (2026, 6, 30, 23, 45),
)  # fmt: skip
PRICED = PricedBy("catalogue", "2026-11-22", "test/test")
KNOWN = {"gemini": "google"}


def budget(chance: Random) -> dict[str, Any]:
    """Return a budget as a profile has it, with any of its limits."""

    def amount() -> float:
        return chance.choice([0, 0.1, 0.5, 1, 3.3333, 10])

    found: dict[str, Any] = {"block_at_limit": chance.random() < 0.7}
    for period in ("daily", "weekly", "monthly", "yearly", "job"):
        if chance.random() < 0.4:
            found[f"{period}_limit_usd"] = chance.choice([amount(), amount(), None])
    for kind, names in NAMES.items():
        if chance.random() < 0.4:
            found[f"{kind}_limits_usd"] = {name: amount() for name in names}
    for count in ("daily_calls", "monthly_calls", "daily_tokens", "monthly_tokens"):
        if chance.random() < 0.3:
            found[count] = chance.choice([0, 3, 20, 5_000])
    if chance.random() < 0.5:
        hours = chance.sample([0.25, 1, 5, 24, 24 * 45], 2)
        found["rolling"] = [{"hours": each, "limit_usd": amount()} for each in hours]
    return found


def random_profile(chance: Random) -> dict[str, Any]:
    """Return a profile, as the YAML or JSON that it is."""
    users = {
        user: {"timezone": chance.choice(ZONES), "budget": budget(chance)}
        for user in USERS
        if chance.random() < 0.5
    }
    rules = [
        {"tag": "customer:acme", "project": "acme-*"},
        {"tag": "customer:rest", "stage": "asr"},
        {"tag": "night", "user": "an?"},
    ]
    plan: dict[str, Any] = {"usd_per_month": 20, "covers": ["anthropic/*", "google/*"]}
    if chance.random() < 0.5:
        plan["users"] = ["ana"]
    if chance.random() < 0.5:
        plan["since"] = f"2026-{chance.choice(['09', '11'])}-{chance.choice(['01', '29'])}"
    return {
        "timezone": chance.choice(ZONES),
        "billing_day": chance.choice([1, 15, 29, 30, 31]),
        "budget": budget(chance),
        "organization": budget(chance),
        "users": users,
        "tag_rules": rules[: chance.randrange(4)],
        "plans": {"flat": plan} if chance.random() < 0.5 else {},
    }


def random_call(chance: Random, number: int, now: datetime) -> list[Entry]:
    """Return a call near an edge of some period, and maybe what takes it back."""
    back = timedelta(
        days=chance.choice([0, 0, 1, 2, 7, 28, 30, 31, 60, 300]),
        seconds=chance.choice([0, 1, 899, 900, 3_600, 18_000, 18_001, chance.randrange(86_400)]),
        microseconds=chance.choice([0, 1, 999_999]),
    )
    service, model = chance.choice(MODELS)
    cost = 0 if service == "local" else chance.choice([1, 333, 5_000_000, 123_456_789, 10**9])
    values: dict[str, Any] = {
        "job_id": chance.choice(JOBS),
        "user_id": chance.choice(USERS),
        "service": service,
        "model": model,
        **{name: chance.choice(each) for name, each in LABELS.items()},
    }
    charge = Charge({"input": Nanos(cost)} if cost else {}, PRICED)
    usage = Usage(tokens_input=chance.choice([0, 10, 1_000]), tokens_output=7)
    call = Entry(id=f"e{number}", timestamp=now - back, usage=usage, charge=charge, **values)
    if chance.random() > 0.1:
        return [call]
    taken = Charge({part: Nanos(-each) for part, each in charge.parts.items()}, PRICED)
    undone: dict[str, Any] = {
        "kind": "reversal",
        "corrects": call.id,
        "why": "x",
        "period_at": call.timestamp,
    }
    return [call, Entry(id=f"r{number}", timestamp=now, usage=usage, charge=taken, **undone, **values)]


# --- the recount


def month_of(day: date, first: int) -> tuple[int, int]:
    """Return the month that a date lies in, where months begin on a day."""
    if day.day >= min(first, calendar.monthrange(day.year, day.month)[1]):
        return day.year, day.month
    return (day.year, day.month - 1) if day.month > 1 else (day.year - 1, 12)


def tags_of(call: Entry, profile: dict[str, Any]) -> list[str]:
    """Return the tags of a call, with those by rule."""
    tags, values = list(call.tags), {"project": call.project, "stage": call.stage, "user": call.user_id}
    for rule in profile["tag_rules"]:
        is_new = rule["tag"].split(":")[0] not in {tag.split(":")[0] for tag in tags}
        if is_new and all(fnmatchcase(values[key] or "", rule[key]) for key in rule if key != "tag"):
            tags.append(rule["tag"])
    return tags


def is_within(call: Entry, scope: Scope, profile: dict[str, Any], now: datetime) -> bool:
    """Tell whether a call lies in the present period of a limit."""
    own = profile["users"].get(scope.owner, {}).get("timezone") if scope.owner else None
    zone, at = ZoneInfo(own or profile["timezone"]), call.period_at or call.timestamp
    day, today, name = at.astimezone(zone).date(), now.astimezone(zone).date(), scope.name or ""
    kind = scope.kind.split("_")[0]
    if kind == "rolling":
        hours = float(name.removesuffix("h")) if name.endswith("h") else float(name.removesuffix("min")) / 60
        return at >= now.replace(microsecond=0) - timedelta(hours=hours)
    if kind == "week":
        return day.isocalendar()[:2] == today.isocalendar()[:2]
    if kind in ("day", "year"):
        return day == today if kind == "day" else day.year == today.year
    return month_of(day, profile["billing_day"]) == month_of(today, profile["billing_day"])


def is_meant(call: Entry, scope: Scope, profile: dict[str, Any]) -> bool:
    """Tell whether a limit with a name is on a call."""
    service, model = KNOWN.get(call.service, call.service), call.model.removesuffix("-2024-08-06")
    return {
        "model": scope.name in (model, f"{service}/{model}"),
        "service": KNOWN.get(str(scope.name), scope.name) == service,
        "tag": scope.name in tags_of(call, profile),
    }.get(scope.kind, getattr(call, scope.kind, scope.name) == scope.name)


def is_covered(call: Entry, profile: dict[str, Any]) -> bool:
    """Tell whether the flat rate pays for a call."""
    plan = profile["plans"].get("flat")
    if plan is None or call.service not in ("anthropic", "google", "gemini"):
        return False
    day = (call.period_at or call.timestamp).astimezone(ZoneInfo(profile["timezone"])).date()
    return call.user_id in plan.get("users", USERS) and day.isoformat() >= plan.get("since", "")


def counts(call: Entry, scope: Scope, job: str, profile: dict[str, Any], now: datetime) -> bool:
    """Tell whether a call is one that a limit is on."""
    if scope.kind in ("job", "stage"):
        return call.job_id == job and (scope.kind == "job" or call.stage == scope.name)
    is_named = scope.name is not None and scope.kind != "rolling"
    return (
        scope.owner in (None, call.user_id)
        and is_within(call, scope, profile, now)
        and (not is_named or is_meant(call, scope, profile))
    )


def recount(calls: Iterable[Entry], scope: Scope, job: str, profile: dict[str, Any], now: datetime) -> int:
    """Return what calls come to within a limit."""
    found = 0
    for call in calls:
        if not counts(call, scope, job, profile, now):
            continue
        sign = -1 if call.kind == "reversal" else 1
        if scope.measure == "cost":
            found += 0 if is_covered(call, profile) else call.cost
        elif call.service != "local":
            tokens = call.usage.tokens_input + call.usage.tokens_output
            found += sign * (1 if scope.measure == "calls" else tokens)
    return found


@pytest.mark.no_cover
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32))
def test_limits_count_and_the_gate_decides_as_a_plain_recount_does(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    chance, folder = Random(seed), tmp_path_factory.mktemp("recount")
    profile = random_profile(chance)
    (folder / "profile.yaml").write_text(json.dumps(profile))
    edge = datetime(*chance.choice(EDGES), tzinfo=ZoneInfo(chance.choice(ZONES))).astimezone(UTC)
    now = edge + timedelta(seconds=chance.choice([0, -1, 1, 18_000]), microseconds=chance.choice([0, 1]))
    calls = [each for number in range(50) for each in random_call(chance, number, now)]
    jobs = {name: JobRef(name, folder / "out" / name / LEDGER_NAME) for name in JOBS}
    with Workspace(folder / "home", folder / "profile.yaml", clock=lambda: now, environ={}) as workspace:
        workspace.storage.prepare()
        save(calls, folder / "out", workspace)
        for user in USERS:
            for name, job in jobs.items():
                limits = limits_for(workspace.profile, user, now, job)
                for found in read_spendings(limits, workspace.index, workspace.catalogue_name):
                    scope = found.limit.scope
                    assert found.spent == recount(calls, scope, name, profile, now), (seed, str(scope), name)
        holds = []
        for _ in range(12):
            [call, *_] = random_call(chance, 0, now)
            call = _at(call, now)
            job = jobs[call.job_id]

            def denies(limit: Limit, call: Entry = call) -> bool:
                spent, more = (
                    recount(each, limit.scope, call.job_id, profile, now) for each in (calls, [call])
                )
                return limit.blocking and more > 0 and spent + more > limit.amount

            denied = any(map(denies, limits_for(workspace.profile, call.user_id, now, job)))
            if denied:
                with pytest.raises(BudgetExceeded):
                    workspace.gate.reserve(_request(call, job), workspace.profile)
                continue
            hold = workspace.gate.reserve(_request(call, job), workspace.profile)
            if hold.id is not None:
                calls.append(call)
                holds.append(hold)
        for hold in holds:
            hold.void()


def _at(call: Entry, now: datetime) -> Entry:
    values = {name: getattr(call, name) for name in ("service", "model", "user_id", "job_id", *LABELS)}
    return Entry(id="held", timestamp=now, usage=call.usage, charge=call.charge, **values)


def _request(call: Entry, job: JobRef) -> GateRequest:
    is_local = call.service == "local"
    labels = {name: getattr(call, name) for name in LABELS}
    tokens = call.usage.tokens_input + call.usage.tokens_output
    return GateRequest(
        user_id=call.user_id,
        service=call.service,
        model=call.model,
        estimate=call.cost,
        free=is_local,
        local=is_local,
        tokens=tokens,
        job=job,
        **labels,
    )
