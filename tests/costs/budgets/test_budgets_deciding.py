"""The arithmetic of the gate, and what a hold does with its keeper."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.budgets.deciding import Policy, Standing, counts_against, standings, tightest
from shared.costs.budgets.hold import Hold, Terms
from shared.costs.budgets.limits import Limit, Scope, Spending, limits_for
from shared.costs.budgets.reservations import Held, Logged, Reservation
from shared.costs.money import Nanos, from_usd
from shared.costs.profile import Profile
from shared.costs.profile.reading import parse_profile
from shared.costs.rollup import JobRef, Query

NOW = datetime(2026, 11, 22, tzinfo=UTC)
JOB = JobRef("job-1", Path("/out/job-1/cost_ledger.jsonl"))

ALL_LIMITS = """
budget:
  block_at_limit: true
  daily_limit_usd: 1
  weekly_limit_usd: 1
  monthly_limit_usd: 1
  job_limit_usd: 1
  stage_limits_usd: {asr: 1}
  model_limits_usd: {openai/gpt-4o: 1}
organization: {monthly_limit_usd: 1}
"""


def as_named(service: str, model: str) -> str:
    return f"{service}/{model}"


def read(text: str) -> Profile:
    return parse_profile(text.encode(), Path("profile.yaml"))


def reservation(**values: object) -> Reservation:
    base: dict[str, object] = {
        "id": "r",
        "period_at": NOW,
        "expires_at": NOW,
        "user_id": "u",
        "job_id": "job-1",
        "ledger": JOB.ledger,
        "stage": "asr",
        "service": "openai",
        "model": "gpt-4o",
        "estimate": from_usd(1),
        "one_call": True,
        "holder": "h",
    }
    return Reservation(**{**base, **values})  # type: ignore[arg-type]  # each test gives values of the right type


@pytest.mark.parametrize(
    ("values", "untouched"),
    [
        ({}, set()),
        ({"user_id": "v"}, {"day", "week", "month", "model"}),
        ({"stage": None}, {"stage"}),
        ({"model": "gpt-4"}, {"model"}),
        ({"service": "any", "model": "any"}, set()),
        ({"ledger": None}, {"job", "stage"}),
        ({"ledger": Path("/out/other/cost_ledger.jsonl")}, {"job", "stage"}),
        ({"period_at": datetime(2026, 11, 21, tzinfo=UTC)}, {"day"}),
        ({"period_at": datetime(2026, 11, 1, tzinfo=UTC)}, {"day", "week"}),
        (
            {"period_at": datetime(2026, 10, 31, tzinfo=UTC)},
            {"day", "week", "month", "model", "organization"},
        ),
    ],
)
def test_which_limits_a_hold_counts_against(values: dict[str, object], untouched: set[str]) -> None:
    limits = limits_for(read(ALL_LIMITS), "u", NOW, JOB)
    held = reservation(**values)
    not_counted = {
        limit.scope.kind if limit.scope.owner else "organization"
        for limit in limits
        if not counts_against(held, limit, as_named)
    }
    assert not_counted == untouched


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 3), st.booleans())
def test_what_is_logged_is_never_held_as_well(estimate: int, cost: int, calls: int, one_call: bool) -> None:
    held = Held(reservation(estimate=Nanos(estimate), one_call=one_call), Logged(calls, Nanos(cost)))
    assert held.amount + cost == max(estimate, cost)
    assert held.is_complete == (calls > 0 and (one_call or cost >= estimate))


def standing(
    amount: int, spent: int, held: int, *, blocking: bool = True, owner: str | None = "u"
) -> Standing:
    limit = Limit(Scope(owner, "month"), Nanos(amount), None, Query(), blocking=blocking)
    return Standing(Spending(limit, Nanos(spent)), Nanos(held))


AMOUNTS = st.integers(0, 10**12)


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS, AMOUNTS, st.booleans()), max_size=6), AMOUNTS)
def test_the_tightest_limit_decides_for_all(figures: list[tuple[int, int, int, bool]], estimate: int) -> None:
    all_limits = [standing(a, s, h, blocking=b) for a, s, h, b in figures]
    decides = tightest(all_limits)
    fits = decides is None or estimate <= decides.room
    assert fits == all(s + h + estimate <= a for a, s, h, b in figures if b)


def test_orphans_are_told_apart() -> None:
    [limit] = limits_for(read("budget: {monthly_limit_usd: 9}"), "u", NOW)
    holds = [Held(reservation()), Held(reservation(orphaned="it expired", estimate=from_usd(2)))]
    [found] = standings([Spending(limit, from_usd(1))], holds, as_named)
    assert (found.held, found.orphaned, found.room) == (from_usd(3), from_usd(2), from_usd(5))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Policy(False, True, True, None)),
        ("budget: {on_gate_error: block, reserve_cap_usd: 1}", Policy(False, True, True, from_usd(1))),
        ("budget: {block_at_limit: true}", Policy(True, False, False, None)),
        (
            "budget: {block_at_limit: true, on_gate_error: allow, on_unpriced: warn}",
            Policy(True, True, True, None),
        ),
        (
            "budget: {block_at_limit: true, on_gate_error: allow, on_unpriced: warn}\n"
            "organization: {block_at_limit: true, monthly_limit_usd: 5, reserve_cap_usd: 2}",
            Policy(True, False, False, from_usd(2)),
        ),
        ("budget: {block_at_limit: true, monthly_limit_usd: null}", Policy(False, True, True, None)),
        ("organization: {block_at_limit: true}", Policy(False, True, True, None)),
    ],
)
def test_the_strictest_of_the_blocking_budgets_holds(text: str, expected: Policy) -> None:
    profile = read(text)
    assert Policy.of(profile, "u", limits_for(profile, "u", NOW, JOB)) == expected


# --- the hold


class Keeper:
    """Notes what a hold asks for."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    def settle(self, reservation: str) -> None:
        self.asked.append(("settle", reservation))

    def void(self, reservation: str) -> None:
        self.asked.append(("void", reservation))

    def abandon(self, reservation: str, why: str, amount: Nanos) -> None:
        self.asked.append(("abandon", reservation, amount))


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("recorded"), st.integers(0, 10), st.booleans()),
        st.tuples(st.sampled_from(["void", "close", "fail"])),
    ),
    max_size=6,
)


@given(ACTIONS, st.booleans())
def test_a_hold_ends_exactly_once(actions: list[tuple[object, ...]], one_call: bool) -> None:
    keeper = Keeper()
    hold = Hold(keeper, Terms(id="r", period_at=NOW, estimate=Nanos(5), one_call=one_call))
    for action in [*actions, ("close",)]:
        if action[0] == "recorded":
            hold.recorded(Nanos(int(str(action[1]))), in_ledger=bool(action[2]))
        elif action[0] == "void":
            hold.void()
        else:
            hold.close(failed=action[0] == "fail")
    assert len(keeper.asked) == 1
    assert keeper.asked[0][1] == "r"


@given(ACTIONS)
def test_where_nothing_is_held_nothing_is_asked(actions: list[tuple[object, ...]]) -> None:
    keeper = Keeper()
    hold = Hold(keeper, Terms(id=None))
    for action in actions:
        if action[0] == "recorded":
            assert hold.recorded(Nanos(5), in_ledger=bool(action[2])) is None
        elif action[0] == "void":
            hold.void()
        else:
            hold.close(failed=action[0] == "fail")
    assert keeper.asked == []


def test_a_waiting_entry_is_kept_at_what_it_cost() -> None:
    keeper = Keeper()
    with Hold(keeper, Terms(id="r", estimate=Nanos(5), one_call=False)) as hold:
        hold.recorded(Nanos(3), in_ledger=False)
        hold.recorded(Nanos(4))
    assert keeper.asked == [("abandon", "r", 7)]


def test_every_call_above_the_estimate_is_alerted() -> None:
    hold = Hold(Keeper(), Terms(id="r", estimate=from_usd(1), one_call=False))
    assert hold.recorded(from_usd(1)) is None
    assert "$1.5000, more than the $1.0000 held" in str(hold.recorded(from_usd("0.5")))
