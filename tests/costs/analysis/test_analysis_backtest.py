"""A budget tried on a history: held against the gate's own rules, and against a plain recount."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.costs.analysis.backtest import BackTest, LimitTrial, TrialCall, UserTrial, back_test, trial_call
from shared.costs.analysis.calls import net_calls
from shared.costs.budgets.limits import Limit, Spending, limits_for, tightness
from shared.costs.budgets.scopes import CallScope
from shared.costs.money import Nanos
from shared.costs.profile import Budget, Profile, UserSettings
from shared.costs.profile.types import NO_BUDGET, Guard, RollingLimit
from shared.costs.rollup import JobRef
from tests.support.history import entry

USD = 1_000_000_000
START = datetime(2026, 11, 2, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")
JOBS = [JobRef(name, Path(f"/out/{name}/cost_ledger.jsonl")) for name in ("job-1", "job-2")]


def usd(amount: float) -> Nanos:
    return Nanos(round(amount * USD))


def named(service: str, model: str) -> str:
    return f"{service}/{model}"


def call(hours: float, cost: float | None = 1, user: str = "u", **given: Any) -> TrialCall:
    job = given.pop("job", None)
    own = {name: given.pop(name) for name in ("tokens", "calls", "local") if name in given}
    scope = CallScope(user, ledger=job.ledger if job else None, **{"service": "a", "model": "m", **given})
    return TrialCall(
        START + timedelta(hours=hours), scope, None if cost is None else usd(cost), job=job, **own
    )


def tried(calls: Sequence[TrialCall], organization: Budget = NO_BUDGET, **limits: Any) -> BackTest:
    budget = NO_BUDGET._replace(**{"block_at_limit": True, **limits})
    profile = Profile(timezone=UTC_ZONE, budget=budget, organization=organization)
    return back_test(calls, profile, named, START)


def hours(at: datetime | None) -> float | None:
    return None if at is None else (at - START) / timedelta(hours=1)


def denials(limit: LimitTrial) -> list[tuple[str, float | None, int]]:
    return [(each.name, hours(each.denied_from), each.denied_calls) for each in limit.periods]


# --- each kind of limit


KINDS: dict[str, tuple[dict[str, Any], list[TrialCall], list[tuple[str, float | None, int]]]] = {
    "a day begins anew": (
        {"daily_limit": usd(2)},
        [call(1), call(2), call(3), call(25)],
        [("2026-11-02", 3, 1)],
    ),
    "a call that fits later is let through": (
        {"daily_limit": usd(2)},
        [call(1, 1.5), call(2, 1), call(3, 0.5)],
        [("2026-11-02", 2, 1)],
    ),
    "a week": ({"weekly_limit": usd(1)}, [call(1), call(150), call(170)], [("2026-W45", 150, 1)]),
    "a year": ({"yearly_limit": usd(1)}, [call(1), call(900)], [("2026", 900, 1)]),
    "a window": (
        {"rolling": (RollingLimit(5 * 3600, usd(2)),)},
        [call(0), call(4), call(5), call(5.001), call(9.5)],
        [(f"5h {int((START + timedelta(hours=5)).timestamp()) // 18_000}", 5, 1)],
    ),
    "a guard blocks by itself": (
        {"guard": Guard(usd(1)), "block_at_limit": False},
        [call(1), call(1.001)],
        [(f"1min {int((START + timedelta(hours=1.001)).timestamp()) // 60}", 1.001, 1)],
    ),
    "a job": (
        {"job_limit": usd(1)},
        [call(1, job=JOBS[0]), call(2, job=JOBS[1]), call(3, job=JOBS[0]), call(4)],
        [(str(JOBS[0].ledger), 3, 1)],
    ),
    "a stage of a job": (
        {"stage_limits": {"asr": usd(1)}},
        [
            call(1, job=JOBS[0], stage="asr"),
            call(2, job=JOBS[0], stage="mt"),
            call(3, job=JOBS[0], stage="asr"),
        ],
        [(str(JOBS[0].ledger), 3, 1)],
    ),
    "a model": (
        {"model_limits": {"a/m": usd(1)}},
        [call(1), call(2, model="other"), call(3)],
        [("2026-11", 3, 1)],
    ),
    "calls": (
        {"daily_calls": 1},
        [call(1, 0), call(2, 0, local=True), call(3, 0)],
        [("2026-11-02", 3, 1)],
    ),
    "tokens": (
        {"monthly_tokens": 10},
        [call(1, 0, tokens=8), call(2, 0, tokens=4), call(3, 0, tokens=2)],
        [("2026-11", 2, 1)],
    ),
    "nothing may be spent": ({"monthly_limit": usd(0)}, [call(1, 0), call(2)], [("2026-11", 2, 1)]),
}


@pytest.mark.parametrize("case", KINDS)
def test_each_kind_denies_what_does_not_fit(case: str) -> None:
    limits, calls, expected = KINDS[case]
    [limit] = tried(calls, **limits).limits
    assert [each for each in denials(limit) if each[2]] == expected


def test_thresholds_have_their_first_instant_in_each_period() -> None:
    calls = [call(1, 4), call(2, 1), call(3, 4), call(4, 1), call(25, 10)]
    [limit] = tried(calls, daily_limit=usd(10), thresholds=(50.0, 80.0), block_at_limit=False).limits
    reached = [{percent: hours(at) for percent, at in each.reached.items()} for each in limit.periods]
    assert reached == [{50: 2, 80: 3, 100: 4}, {50: 25, 80: 25, 100: 25}]
    assert (len(limit.warned), len(limit.denying), limit.peak_percent) == (2, 0, 100)


def test_what_was_spent_before_counts_and_is_not_denied() -> None:
    before = [call(-40, 3), call(-1, 3)]
    found = tried([*before, call(1, 1), call(2, 3)], yearly_limit=usd(8))
    [limit] = found.limits
    assert denials(limit) == [("2026", 2, 1)]
    assert limit.periods[0].reached == {80: START + timedelta(hours=1)}
    assert (found.users["u"].calls, found.users["u"].denied_calls) == (2, 1)


def test_the_tightest_of_all_denies_and_no_call_counts_twice() -> None:
    everyone = NO_BUDGET._replace(monthly_limit=usd(4), block_at_limit=True)
    calls = [call(1, 2), call(2, 2, user="v"), call(3, 2), call(4, 1, user="v")]
    found = tried(calls, everyone, monthly_limit=usd(3))
    assert [(limit.scope.owner, limit.denied_calls) for limit in found.limits] == [
        (None, 2),
        ("u", 0),
        ("v", 0),
    ]
    assert found.tightest is not None
    assert found.tightest.scope.owner is None
    assert {name: user.denied_cost for name, user in found.users.items()} == {"u": usd(2), "v": usd(1)}


def test_a_limit_that_does_not_block_denies_nothing() -> None:
    [limit] = tried([call(1, 9)], monthly_limit=usd(1), block_at_limit=False).limits
    assert (limit.denied_calls, limit.peak, list(limit.periods[0].reached)) == (0, usd(9), [80, 100])


@pytest.mark.parametrize(
    ("policy", "denied"),
    [
        ({}, 1),
        ({"on_unpriced": "warn"}, 0),
        ({"reserve_cap": usd(0.5)}, 0),
        ({"reserve_cap": usd(2)}, 1),
        ({"block_at_limit": False}, 0),
    ],
)
def test_a_model_without_a_price_is_judged_as_the_profile_says(policy: dict[str, Any], denied: int) -> None:
    found = tried([call(1, None)], monthly_limit=usd(1), **policy)
    assert [limit.denied_unpriced for limit in found.limits if limit.denied_calls] == [1] * denied
    assert (found.users["u"].denied_calls, found.users["u"].unpriced) == (denied, 1)


def test_local_calls_touch_no_budget() -> None:
    assert tried([call(1, 0, local=True)], monthly_limit=usd(1)) == BackTest((), {"u": UserTrial(calls=1)})
    [limit] = tried([call(1, 3, local=True)], monthly_limit=usd(1)).limits  # a machine with a price
    assert (limit.denied_calls, limit.peak) == (0, usd(3))


def test_nothing_tried_and_nothing_reached_have_no_tightest_limit() -> None:
    assert tried([], monthly_limit=usd(1)).tightest is None
    assert tried([call(1, 0.1)], monthly_limit=usd(1)).tightest is None


def test_a_call_is_tried_at_what_it_cost_in_the_end() -> None:
    made = entry("2", tags=("night",), project="p")
    mended = replace(entry("-1.5"), id="c", kind="adjustment", corrects="e1", usage=type(made.usage)())
    lost = replace(entry("-1"), id="r", kind="reversal", corrects="nobody")
    calls = [trial_call(net, JOBS[0], is_local=lambda *_: False) for net in net_calls([made, mended, lost])]
    assert [(each.cost, each.calls, each.tokens) for each in calls] == [
        (usd(0.5), 1, 1_200),
        (-usd(1), -1, -1_200),
    ]
    assert calls[0].scope.tags == ("night",)
    assert calls[0].scope.ledger == JOBS[0].ledger
    found = back_test(
        calls, Profile(budget=NO_BUDGET._replace(monthly_calls=0, block_at_limit=True)), named, START
    )
    assert found.users == {}  # both are from before the trial


@pytest.mark.parametrize(("units", "cost"), [({}, None), ({"requests": 1}, 0)])
def test_a_usage_that_nobody_stated_is_no_missing_price(units: dict[str, int], cost: int | None) -> None:
    [net] = net_calls([replace(entry(None), unpriced_units=units)])
    assert trial_call(net, None, is_local=lambda *_: False).cost == cost


# --- against a plain recount

MOMENTS = st.integers(-3 * 24 * 60, 40 * 24 * 60).map(lambda minutes: minutes / 60)
CALLS = st.lists(
    st.builds(
        call,
        st.one_of(MOMENTS, st.sampled_from([0, 1, 2, 5, 7])),
        st.sampled_from([0, 0.25, 1, 2, None]),
        st.sampled_from(["u", "v"]),
        tokens=st.integers(0, 4),
        model=st.sampled_from(["m", "n"]),
        stage=st.sampled_from([None, "asr"]),
        tags=st.sampled_from([(), ("x",), ("x", "y")]),
        job=st.sampled_from([None, *JOBS]),
        local=st.sampled_from([False, False, False, True]),
    ),
    max_size=14,
).map(lambda calls: sorted(calls, key=lambda each: each.at))
AMOUNTS = st.sampled_from([None, 0, usd(1), usd(2.5), usd(6)])
COUNTS = st.sampled_from([None, 0, 2, 5])


def _budget(limits: dict[str, Any]) -> Budget:
    return NO_BUDGET._replace(**limits)


BUDGETS = st.fixed_dictionaries(
    {
        "monthly_limit": AMOUNTS,
        "daily_limit": AMOUNTS,
        "weekly_limit": AMOUNTS,
        "yearly_limit": AMOUNTS,
        "job_limit": AMOUNTS,
        "stage_limits": st.sampled_from([{}, {"asr": usd(1)}]),
        "model_limits": st.sampled_from([{}, {"a/m": usd(2)}]),
        "tag_limits": st.sampled_from([{}, {"x": usd(1), "y": usd(2)}]),
        "rolling": st.sampled_from(
            [(), (RollingLimit(7_200, usd(1)),), (RollingLimit(60, usd(1)), RollingLimit(18_000, usd(3)))]
        ),
        "daily_calls": COUNTS,
        "monthly_tokens": COUNTS,
        "thresholds": st.sampled_from([(80.0,), (50.0, 80.0, 95.0)]),
        "block_at_limit": st.booleans(),
        "on_unpriced": st.sampled_from(["block", "warn"]),
        "guard": st.sampled_from([Guard(), Guard(usd(1))]),
        "reserve_cap": st.sampled_from([None, None, usd(0.5)]),
    }
).map(_budget)
PROFILES = st.builds(
    lambda mine, theirs, everyone, billing_day: Profile(
        timezone=ZoneInfo("America/New_York"),
        budget=mine,
        organization=everyone,
        users={"v": UserSettings("v", ZoneInfo("Asia/Kolkata"), theirs)},
        billing_day=billing_day,
    ),
    BUDGETS,
    BUDGETS,
    BUDGETS,
    st.sampled_from([1, 15, 31]),
)


def recount(calls: Sequence[TrialCall], profile: Profile) -> dict[str, Any]:
    """Try each call by adding up all that was let through before it, limit by limit."""
    kept: list[TrialCall] = []
    denied: dict[tuple[str, str], list[TrialCall]] = {}
    reached: dict[tuple[str, str, float], datetime] = {}

    def spent(limit: Limit) -> int:
        return sum(c.measured(limit.measure) for c in kept if limit.covers(c.scope._replace(at=c.at), named))

    for each in (c for c in calls if c.cost or not c.local):
        limits = limits_for(profile, each.scope.user_id or "", each.at, each.job)
        mine = [limit for limit in limits if limit.covers(each.scope._replace(at=each.at), named)]
        blocking = [limit for limit in mine if limit.blocking]
        need = _to_hold(each, profile, blocking)
        refusing = [
            limit
            for limit in blocking
            if (limit.measure == "cost" and (need is None or need > max(limit.amount - spent(limit), 0)))
            or (
                limit.measure != "cost" and each.measured(limit.measure) > max(limit.amount - spent(limit), 0)
            )
        ]
        if each.at >= START and refusing and not each.local:
            decider = min(refusing, key=lambda limit: tightness(Spending(limit, spent(limit))))
            denied.setdefault((decider.scope.key, decider.span), []).append(each)
            continue
        kept.append(each)
        for limit in mine if each.at >= START else ():
            now = spent(limit)
            for threshold in {*limit.thresholds, 100.0}:
                if now > 0 and now * 100 >= limit.amount * threshold:
                    reached.setdefault((limit.scope.key, limit.span, threshold), each.at)
    return {"denied": {key: len(them) for key, them in denied.items()}, "reached": reached}


def _to_hold(each: TrialCall, profile: Profile, blocking: Sequence[Limit]) -> int | None:
    if each.cost is not None:
        return each.cost
    mine, everyone = profile.for_user(each.scope.user_id or "").budget, profile.organization
    budgets = [everyone if limit.scope.owner is None else mine for limit in blocking]
    cap = everyone.reserve_cap if mine.reserve_cap is None else mine.reserve_cap
    return 0 if cap is None and all(budget.on_unpriced == "warn" for budget in budgets) else cap


def _key(limit: LimitTrial, job: JobRef | None) -> str:
    return limit.scope._replace(name=job.job_id).key if job and limit.scope.kind == "job" else limit.scope.key


@pytest.mark.no_cover
@settings(max_examples=60)
@given(CALLS, PROFILES)
def test_one_pass_finds_what_a_recount_finds(calls: list[TrialCall], profile: Profile) -> None:
    found = back_test(calls, profile, named, START)
    periods = [(_key(limit, each.job), each) for limit in found.limits for each in limit.periods]
    assert {
        "denied": {(key, each.name): each.denied_calls for key, each in periods if each.denied_calls},
        "reached": {
            (key, each.name, threshold): at for key, each in periods for threshold, at in each.reached.items()
        },
    } == recount(calls, profile)
    users = found.users.values()
    assert sum(user.denied_calls for user in users) == sum(limit.denied_calls for limit in found.limits)
    assert sum(user.denied_cost for user in users) == sum(limit.denied_cost for limit in found.limits)
    assert sum(user.calls for user in users) == sum(c.at >= START for c in calls)
