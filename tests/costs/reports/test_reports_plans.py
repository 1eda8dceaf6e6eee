"""``plans``: what is paid by the month beside the list price, and how free units are drawn down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.analysis.plans import PlanMonth, plan_months, plan_months_of_sums
from shared.costs.model import Charge, Entry, PricedBy, Usage
from shared.costs.money import Nanos
from shared.costs.periods import parse_month
from shared.costs.profile.plans import Plan, VolumeDiscount
from shared.costs.reports import overview
from shared.costs.reports.check import CheckQuestion, check_facts
from shared.costs.reports.common import Health
from shared.costs.reports.overview import OverviewQuestion, overview_facts, overview_report
from shared.costs.reports.plans import plans_facts, plans_report
from shared.costs.reports.questions import UserMonth
from shared.costs.reports.reader import Reader
from shared.costs.reports.show_budget import budget_facts, budget_report
from shared.costs.reports.show_monthly import month_facts, month_report
from shared.costs.rollup import Group, Query, Totals
from shared.costs.store.store import Store
from shared.costs.workspace import Workspace
from tests.support.golden import check_report
from tests.support.history import START, busy_month, entry
from tests.support.saved import save

NOW = datetime(2026, 11, 22, 15, tzinfo=UTC)
NOVEMBER = parse_month("2026-11", ZoneInfo("UTC"))
PROFILE = """
budget: {monthly_limit_usd: 12}
plans:
  claude-pro: {usd_per_month: 20, covers: [anthropic/*], since: 2026-11-05}
  speech: {covers: [openai/whisper-1], free: {audio_seconds: 30000}, monthly_limit_usd: 3}
  volume: {covers: [google/*], volume_discounts: [{above_usd: 1, percent: 10}, {above_usd: 2, percent: 25}]}
  ended: {usd_per_month: 5, covers: [cohere/*], until: 2026-10-31}
"""


@pytest.fixture
def reader(tmp_path: Path, cost_home: Path) -> Iterator[Reader]:
    (tmp_path / "profile.yaml").write_text(PROFILE)
    with Workspace(cost_home, tmp_path / "profile.yaml", clock=lambda: NOW) as workspace:
        workspace.storage.prepare()
        save(busy_month(), tmp_path / "out", workspace)
        yield Reader(workspace)


def test_what_it_shows(reader: Reader) -> None:
    check_report("plans", plans_report(plans_facts(reader, None)))


def test_without_a_plan_it_says_how_to_add_one(cost_home: Path) -> None:
    with Workspace(cost_home, clock=lambda: NOW) as workspace:
        facts = plans_facts(Reader(workspace), "2026-10")
    check_report("plans-none", plans_report(facts._replace(profile="config/profile.yaml")))


def test_the_budget_leaves_out_what_is_covered_and_shows_it(reader: Reader) -> None:
    user = UserMonth("rpatel")
    calls = [call for call in busy_month() if call.user_id == "rpatel"]
    free = sum(c.cost for c in calls if c.service == "anthropic" and c.timestamp.day >= 5)
    budget = budget_report(
        budget_facts(reader, user)._replace(profile="config/profile.yaml", health=Health())
    )
    assert budget.gauges[0].part == sum(call.cost for call in calls) - free
    check_report("show-budget-covered", budget)
    month = month_report(month_facts(reader, user))
    figures = {figure.key: figure.value for figure in month.figures}
    assert (figures["cost"], figures["covered"]) == (sum(call.cost for call in calls), free)
    assert month.data["covered_by"] == "claude-pro"


def test_what_is_free_or_discounted_stands_beside_the_list_price(reader: Reader) -> None:
    months = {month.name: month for month in plans_facts(reader, None).months}
    off = Nanos(months["speech"].off + months["volume"].off)
    assert off > 0
    found = month_report(month_facts(reader, UserMonth(None)))
    assert {figure.key: figure.value for figure in found.figures}["drawn"] == off
    assert found.data["drawn_by"] == "speech and volume"
    own = month_report(month_facts(reader, UserMonth("rpatel")))  # what several share is nobody's alone
    assert "drawn" not in {figure.key for figure in own.figures}


def of_month(plan: Plan, calls: Iterable[Entry]) -> PlanMonth:
    [found] = plan_months({"p": plan}, calls, NOVEMBER, lambda service, model: f"{service}/{model}")
    return found


FREE = Plan(("deepl/*",), Nanos(5), unit="characters", free=1_000)


def translated(number: int, characters: int, cost: str, **more: object) -> Entry:
    at = START + timedelta(minutes=number)
    usage = Usage(characters=characters)
    return entry(cost, id=f"t{number}", service="deepl", model="v2", usage=usage, timestamp=at, **more)


def test_free_units_go_to_the_first_calls_and_back_where_one_is_undone() -> None:
    calls = [translated(3, 600, "0.60"), translated(1, 600, "0.30"), translated(2, 600, "0.90")]
    month = of_month(FREE, calls)
    assert (month.free_used, month.beyond) == (1_000, 900_000_000 // 3 + 600_000_000)
    undone = translated(4, 600, "-0.30", kind="reversal", corrects="t1")
    month = of_month(FREE, [translated(1, 600, "0.30"), undone])
    assert (month.calls, month.free_used, month.beyond, month.due) == (0, 0, 0, 5)


def test_a_call_that_was_taken_back_costs_nothing_though_nothing_was_free_when_it_was_made() -> None:
    calls = [translated(1, 1_000, "0.30"), translated(2, 1_000, "0.90")]
    undone = replace(translated(2, 1_000, "-0.90", kind="reversal", corrects="t2"), id="u")
    month = of_month(FREE, [*calls, undone])
    assert (month.calls, month.free_used, month.beyond) == (1, 1_000, 0)


OF_RPATEL = "plans: {own: {usd_per_month: 20, covers: [openai/*], users: [rpatel], monthly_limit_usd: 10}}\n"


def gauges(path: Path, cost_home: Path, text: str, asked: OverviewQuestion) -> tuple[list[str], str]:
    """Return the limits that an overview draws under a profile, and what it notes."""
    path.write_text(text)
    with Workspace(cost_home, path, clock=lambda: NOW) as workspace:
        shown = overview_report(overview_facts(Reader(workspace), asked))
    return [gauge.label for gauge in shown.gauges], " ".join(str(note.text) for note in shown.notes)


@pytest.mark.parametrize("period", ["2026-11", "2026-11-20"])
def test_an_overview_draws_the_limits_of_plans_beside_all_others(
    reader: Reader, tmp_path: Path, cost_home: Path, period: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, everyone = tmp_path / "profile.yaml", OverviewQuestion(period)
    labels, notes = gauges(path, cost_home, PROFILE, everyone)
    assert "organization plan speech: limit reached" in labels
    assert "drawn down" not in notes
    labels, _ = gauges(path, cost_home, OF_RPATEL, everyone)
    assert "rpatel, plan own: limit reached" in labels
    for user, is_shown in (("rpatel", True), ("2", False)):
        labels, _ = gauges(path, cost_home, OF_RPATEL, OverviewQuestion(period, {"user": user}))
        assert ("plan own: limit reached" in labels) is is_shown
    labels, _ = gauges(path, cost_home, PROFILE, OverviewQuestion(period, {"stage": "06_asr"}))
    assert labels == []
    monkeypatch.setattr(overview, "FEW_CALLS", 10)
    labels, notes = gauges(path, cost_home, PROFILE, everyone)
    assert "organization plan speech: limit reached" in labels
    assert "Limit of speech: what is free is drawn down by sums of a quarter-hour" in notes


def test_check_reads_calls_once_for_plans_however_many_users_there_are(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions: list[Query] = []
    entries = Store.entries

    def counted(store: Store, query: Query) -> Iterator[Entry]:
        questions.append(query)
        return entries(store, query)

    monkeypatch.setattr(Store, "entries", counted)
    facts = check_facts(reader, CheckQuestion())
    assert len(facts.others) == 2
    assert [check.verdict for check in facts.checks if check.name == "plan speech"] == ["over"]
    assert len(questions) == 1


def test_check_names_limits_as_profiles_do_and_those_of_plans_of_other_users(
    reader: Reader, tmp_path: Path, cost_home: Path
) -> None:
    counts = "budget: {daily_calls: 900, monthly_tokens: 900000000}\norganization: {daily_tokens: 90000000}\n"
    (tmp_path / "profile.yaml").write_text(counts + OF_RPATEL)
    with Workspace(cost_home, tmp_path / "profile.yaml", clock=lambda: NOW) as workspace:
        facts = check_facts(Reader(workspace), CheckQuestion())
        everyone = check_facts(Reader(workspace), CheckQuestion(everyone=True))
    names = [check.name for check in facts.checks]
    assert {"daily calls", "monthly tokens", "organization daily tokens"} < set(names)
    assert "plan own" not in names
    assert facts.others["rpatel"] == "over"
    assert facts.others["2"] == "ok"
    assert [check.verdict for check in everyone.checks if check.name == "plan own"] == ["over"]


@given(
    st.lists(
        st.tuples(st.sampled_from(["ana", "kim"]), st.integers(1, 900), st.integers(0, 90)), max_size=12
    ),
    st.integers(1, 4_000),
    st.sampled_from(["characters", "calls", "audio_seconds", "tokens"]),
)
def test_sums_tell_the_same_as_the_calls(calls: list[tuple[str, int, int]], free: int, unit: str) -> None:
    plans = {
        "own": FREE._replace(users=("ana",), unit=unit, free=free),
        "all": FREE._replace(since=date(2026, 11, 2), discounts=(VolumeDiscount(Nanos(0), 500_000),)),
    }
    made, groups, names = list[Entry](), list[tuple[datetime, Group]](), "{}/{}".format
    for number, (user, units, cents) in enumerate(calls):
        at = datetime(2026, 11, 1, 20, tzinfo=UTC) + timedelta(minutes=15 * number)
        usage = Usage(tokens_input=units, characters=units, audio_seconds=units)
        call = entry(
            f"{cents / 100:.2f}", id=f"c{number}", service="deepl", usage=usage, timestamp=at, user_id=user
        )
        sums = Totals()
        sums.add(call)
        made.append(call)
        groups.append((at, Group((user, call.service, call.model), sums)))

    def summed(start: datetime, end: datetime) -> list[Group]:
        return [group for at, group in groups if start <= at < end]

    assert plan_months_of_sums(plans, summed, NOVEMBER, names) == plan_months(plans, made, NOVEMBER, names)


@given(st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 10**9)), max_size=8), st.integers(1, 4_000))
def test_what_is_drawn_down_is_what_was_used_up_to_what_is_free(
    calls: list[tuple[int, int]], free: int
) -> None:
    made = [translated(number, units, f"{cost / 10**9:.9f}") for number, (units, cost) in enumerate(calls)]
    month = of_month(FREE._replace(free=free), made)
    assert month.free_used == min(free, sum(units for units, _ in calls))
    assert 0 <= month.beyond <= month.listed
    if free >= sum(units for units, _ in calls):
        assert month.beyond == sum(cost for units, cost in calls if not units)


@pytest.mark.parametrize("unit", ["calls", "tokens", "audio_seconds"])
def test_other_units_are_drawn_down(unit: str) -> None:
    usage = Usage(tokens_input=1, audio_seconds=1)
    calls = [entry("0.10", id=f"e{n}", service="deepl", usage=usage) for n in range(4)]
    month = of_month(FREE._replace(unit=unit, free=3), calls)
    assert (month.free_used, month.beyond) == (3, 100_000_000)


CHARGED = {"input": 2, "cached": 3, "output": 4, "reasoning": 5, "web_searches": 60, "containers": 700}


@pytest.mark.parametrize(
    ("unit", "count", "charged", "beyond"),
    [
        ("tokens", 10, CHARGED, 760),
        ("tokens_input", 6, CHARGED, 769),
        ("tokens_output", 4, CHARGED, 765),
        ("web_searches", 2, CHARGED, 714),
        ("calls", 1, CHARGED, 0),
        ("characters", 9, CHARGED, 0),  # it is billed by other units alone: the plan's unit stands for all
        ("tokens", 10, {"stated": 774}, 0),
        ("tokens", 10, {**CHARGED, "stated": -4}, 760),
    ],
)
@pytest.mark.parametrize("free", [1, 2])
def test_free_units_pay_for_themselves_not_for_what_else_a_call_used(
    unit: str, count: int, charged: dict[str, int], beyond: int, free: int
) -> None:
    """Free are the units of one of two calls, or of both."""
    usage = Usage(tokens_input=6, tokens_output=4, web_searches=2, containers=1, characters=9)
    charge = Charge({part: Nanos(nanos) for part, nanos in charged.items()}, PricedBy("catalogue", "1", "x"))
    call = replace(entry("0", service="deepl", usage=usage), charge=charge)
    month = of_month(FREE._replace(unit=unit, free=free * count), [call, replace(call, id="b")])
    paid = free * beyond + (2 - free) * sum(charged.values())
    assert (month.free_used, month.beyond, month.due) == (free * count, paid, paid + 5)


def test_a_call_is_of_the_first_plan_that_covers_it_while_it_holds() -> None:
    first = Plan(("deepl/*",), Nanos(1), users=("ana",))
    plans = {"own": first, "all": Plan(("*",), discounts=(VolumeDiscount(Nanos(0), 500_000),))}
    calls = [translated(1, 1, "0.30", user_id="ana"), translated(2, 1, "0.40", user_id="kim")]
    own, everyone = plan_months(plans, calls, NOVEMBER, lambda service, model: f"{service}/{model}")
    assert (own.listed, own.due) == (300_000_000, 1)
    assert (everyone.listed, everyone.due) == (400_000_000, 200_000_000)


@pytest.mark.parametrize(
    ("limit", "result"), [("100", "ok"), ("6.5", "warning"), ("3", "over")], ids=["ok", "warned", "over"]
)
def test_check_looks_at_the_limit_of_a_plan(limit: str, result: str, reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    path.write_text(PROFILE.replace("monthly_limit_usd: 3}", f"monthly_limit_usd: {limit}}}"))
    with Workspace(reader.storage.root, path, clock=lambda: NOW) as workspace:
        checks = check_facts(Reader(workspace), CheckQuestion("rpatel")).checks
    [mine] = [each for each in checks if each.name == "plan speech"]
    assert mine.verdict == result
