"""The arithmetic of the gate, and what a hold does with its keeper."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.budgets.deciding import LimitStanding, Policy, counts_against, standings, tightest
from shared.costs.budgets.endings import Ending
from shared.costs.budgets.hold import DROPPED, FAILED, NEVER_REPORTED, UNKNOWN, WAITING, Hold, Terms
from shared.costs.budgets.limits import Limit, Scope, Spending, limits_for
from shared.costs.budgets.port import HoldSpend, HoldStatus, Reservation, as_it_stands
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
    held = HoldStatus(reservation(estimate=Nanos(estimate), one_call=one_call), HoldSpend(calls, Nanos(cost)))
    assert held.amount + cost == max(estimate, cost)
    assert held.amount - held.excess == estimate - cost
    assert not held.is_over


def standing(
    amount: int, spent: int, held: int, *, blocking: bool = True, owner: str | None = "u"
) -> LimitStanding:
    limit = Limit(Scope(owner, "month"), Nanos(amount), None, Query(), blocking=blocking)
    return LimitStanding(Spending(limit, Nanos(spent)), Nanos(held))


AMOUNTS = st.integers(0, 10**12)


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS, AMOUNTS, st.booleans()), max_size=6), AMOUNTS)
def test_the_tightest_limit_decides_for_all(figures: list[tuple[int, int, int, bool]], estimate: int) -> None:
    all_limits = [standing(a, s, h, blocking=b) for a, s, h, b in figures]
    decides = tightest(all_limits)
    fits = decides is None or estimate <= decides.room
    assert fits == all(s + h + estimate <= a for a, s, h, b in figures if b)


def test_orphans_are_told_apart() -> None:
    [limit] = limits_for(read("budget: {monthly_limit_usd: 9}"), "u", NOW)
    holds = [
        HoldStatus(reservation()),
        HoldStatus(reservation(state="orphaned", orphaned="it expired", estimate=from_usd(2))),
    ]
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
        self.ended: list[Ending] = []

    def note(self, ending: Ending) -> None:
        pass

    def end(self, ending: Ending) -> None:
        self.ended.append(ending)

    end_soon = end

    def dropped(self, hold: Hold) -> None:
        ending = hold.forgotten()
        if ending is not None:
            self.ended.append(ending)


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
    del hold
    assert [ending.reservation for ending in keeper.ended] == ["r"]


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
    del hold
    assert keeper.ended == []


Recorded = tuple[int, bool, bool]
"""What one call cost, whether it is in its ledger, and whether that is known."""

ENDS: list[tuple[str, list[Recorded], dict[str, Any], bool, tuple[str, str, int]]] = [
    ("nothing was logged", [], {}, False, ("orphan", NEVER_REPORTED, 5)),
    ("it failed before", [], {}, True, ("orphan", FAILED, 5)),
    ("it waits for its provider", [], {"submits": True}, False, ("submit", "", 0)),
    ("it failed after it was submitted", [], {"submits": True}, True, ("submit", "", 0)),
    ("one call", [(3, True, True)], {}, False, ("settle", "", 0)),
    ("several calls", [(3, True, True), (1, True, True)], {}, False, ("settle", "", 0)),
    ("it failed after its call", [(3, True, True)], {}, True, ("settle", "", 0)),
    ("results came in its block", [(3, True, True)], {"submits": True}, False, ("settle", "", 0)),
    ("one entry waits", [(3, False, True), (4, True, True)], {}, False, ("orphan", WAITING, 7)),
    ("a ledger is not known", [(3, True, False)], {}, False, ("orphan", UNKNOWN, 3)),
    ("a block", [(3, True, True)], {"one_call": False}, False, ("settle", "", 0)),
    ("a block without calls", [], {"one_call": False}, False, ("orphan", NEVER_REPORTED, 5)),
    ("a block that failed", [(3, True, True)], {"one_call": False}, True, ("orphan", FAILED, 5)),
    ("a block that failed beyond", [(9, True, True)], {"one_call": False}, True, ("orphan", FAILED, 9)),
]


@pytest.mark.parametrize(
    ("calls", "terms", "failed", "expected"),
    [each[1:] for each in ENDS],
    ids=[each[0] for each in ENDS],
)
def test_how_a_hold_ends(
    calls: list[Recorded], terms: dict[str, Any], failed: bool, expected: tuple[str, str, int]
) -> None:
    keeper = Keeper()
    hold = Hold(keeper, replace(Terms(id="r", estimate=Nanos(5)), **terms))
    for cost, in_ledger, known in calls:
        hold.recorded(Nanos(cost), in_ledger=in_ledger, known=known)
    hold.close(failed=failed)
    [ending] = keeper.ended
    assert (ending.how, ending.why, ending.amount) == expected


def test_a_hold_that_nobody_used_is_given_back_when_it_is_dropped() -> None:
    keeper = Keeper()
    hold = Hold(keeper, Terms(id="r", estimate=Nanos(5)))
    del hold
    assert [ending.how for ending in keeper.ended] == ["void"]


@pytest.mark.parametrize("cost", [None, 3])
def test_a_hold_that_was_used_counts_when_it_is_dropped(cost: int | None) -> None:
    keeper = Keeper()
    hold = Hold(keeper, Terms(id="r", estimate=Nanos(5), one_call=False))
    assert hold.id == "r"  # as whoever sends a request with it asks
    if cost is not None:
        hold.recorded(Nanos(cost))
    del hold
    assert [(ending.how, ending.why, ending.amount) for ending in keeper.ended] == [("orphan", DROPPED, 5)]


def test_in_a_forked_child_a_hold_is_its_parents() -> None:
    keeper = Keeper()
    hold = Hold(keeper, Terms(id="r", estimate=Nanos(5)))
    hold._owner -= 1  # as after a fork
    hold.void()
    hold.close()
    del hold
    assert keeper.ended == []


def test_every_call_above_the_estimate_is_alerted() -> None:
    hold = Hold(Keeper(), Terms(id="r", estimate=from_usd(1), one_call=False))
    assert hold.recorded(from_usd(1)) is None
    assert "reservation r cost $1.5000, $0.5000 more than the $1.0000 held" in str(
        hold.recorded(from_usd("0.5"))
    )
    assert hold.recorded(from_usd(0)) is not None


# --- what becomes of a hold


LATER = NOW + timedelta(hours=1)
STATES: list[tuple[str, dict[str, Any], tuple[int, int], datetime, tuple[str, int] | None]] = [
    ("live", {}, (0, 0), NOW, ("live", 10)),
    ("live, with calls", {}, (2, 7), NOW, ("live", 3)),
    ("live, used up", {}, (2, 12), NOW, ("live", 0)),
    ("dead", {"holder": "dead"}, (0, 0), NOW, ("orphaned", 10)),
    ("dead, some of its calls logged", {"holder": "dead"}, (1, 7), NOW, ("orphaned", 3)),
    ("dead, used up", {"holder": "dead"}, (1, 10), NOW, None),
    ("expired", {}, (0, 0), LATER, ("orphaned", 10)),
    ("expired, with calls", {}, (1, 4), LATER, ("orphaned", 6)),
    ("may be submitted, at work", {"submits": True}, (0, 0), NOW, ("live", 10)),
    ("may be submitted, dead", {"submits": True, "holder": "dead"}, (0, 0), NOW, ("submitted", 10)),
    (
        "may be submitted, dead and expired",
        {"submits": True, "holder": "dead"},
        (0, 0),
        LATER,
        ("orphaned", 10),
    ),
    ("submitted", {"state": "submitted", "block_ended": True}, (0, 0), NOW, ("submitted", 10)),
    ("submitted, with results", {"state": "submitted", "block_ended": True}, (1, 4), NOW, None),
    ("submitted, with results, late", {"state": "submitted", "block_ended": True}, (1, 4), LATER, None),
    ("submitted, expired", {"state": "submitted", "block_ended": True}, (0, 0), LATER, ("orphaned", 10)),
    ("many submitted, one result", {"state": "submitted", "one_call": False}, (1, 4), NOW, ("submitted", 6)),
    ("many submitted, expired", {"state": "submitted", "one_call": False}, (1, 4), LATER, ("orphaned", 6)),
    ("orphan", {"state": "orphaned", "orphaned": "x"}, (0, 0), LATER, ("orphaned", 10)),
    ("orphan, reported late", {"state": "orphaned", "orphaned": "x", "block_ended": True}, (1, 4), NOW, None),
    ("orphan of a dead one", {"state": "orphaned", "orphaned": "x"}, (1, 4), NOW, ("orphaned", 6)),
]


@pytest.mark.parametrize(
    ("values", "logged", "now", "expected"), [each[1:] for each in STATES], ids=[each[0] for each in STATES]
)
def test_what_becomes_of_a_hold(
    values: dict[str, Any], logged: tuple[int, int], now: datetime, expected: tuple[str, int] | None
) -> None:
    one = reservation(**{"estimate": Nanos(10), "expires_at": LATER, "one_call": True, **values})
    found = as_it_stands(HoldStatus(one, HoldSpend(logged[0], Nanos(logged[1]))), now, {"dead"})
    assert (None if found.is_over else (found.reservation.state, found.amount)) == expected
    assert as_it_stands(found, now, {"dead"}) == found
