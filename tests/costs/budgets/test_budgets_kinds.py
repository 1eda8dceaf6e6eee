"""Limits on whatever a call is of, in dollars, calls and tokens, on windows and months of one's own."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from budgets_bench import Bench, profile
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.costs.budgets.limits import Limit, LimitIndex, Spending, crossing, limits_for
from shared.costs.budgets.port import HoldSpend, HoldStatus
from shared.costs.budgets.scopes import ANY, WHATEVER, CallScope
from shared.costs.budgets.spending import read_spendings
from shared.costs.budgets.wording import message
from shared.costs.errors import BudgetExceeded
from shared.costs.model import Usage
from shared.costs.money import from_usd
from shared.costs.periods import month, previous_month, year, zone
from shared.costs.profile.types import Budget, Profile, RollingLimit, UserSettings
from shared.costs.rollup import JobRef, Query

NOW = datetime(2026, 11, 22, 12, 0, 0, 500_000, tzinfo=UTC)
JOB = JobRef("job-1", Path("/out/job-1/cost_ledger.jsonl"))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def blocking(text: str) -> str:
    return f"budget: {{monthly_limit_usd: null, block_at_limit: true, {text}}}\n"


# --- each kind holds back what passes it, and nothing else

MINE: dict[str, Any] = {
    "stage": "asr",
    "project": "subtitles",
    "tags": ("customer:acme",),
    "workflow": "nightly",
    "operation": "summary",
}

ON_DOLLARS: dict[str, tuple[str, dict[str, Any]]] = {
    "limit of user u for workflow nightly": ("workflow_limits_usd: {nightly: 5}", {"workflow": "x"}),
    "limit of user u for operation summary": ("operation_limits_usd: {summary: 5}", {"operation": "x"}),
    "limit of user u for service openai": ("service_limits_usd: {openai: 5}", {"service": "x"}),
    "limit of user u for tag customer:acme": ("tag_limits_usd: {'customer:acme': 5}", {"tags": ()}),
    "limit of user u for project subtitles": ("project_limits_usd: {subtitles: 5}", {"project": None}),
    "yearly limit of user u": ("yearly_limit_usd: 5", {"user_id": "v"}),
    "rolling 5h limit of user u": ("rolling: {hours: 5, limit_usd: 5}", {"user_id": "v"}),
    "rolling 2h limit of user u": (
        "rolling: [{hours: 9, limit_usd: 50}, {hours: 2, limit_usd: 5}]",
        {"user_id": "v"},
    ),
}


@pytest.mark.parametrize("scope", ON_DOLLARS)
def test_a_limit_on_dollars_denies_and_is_named(bench: Bench, scope: str) -> None:
    text, other = ON_DOLLARS[scope]
    bench.now = NOW
    bench.spend("2", **MINE)
    bench.reserve("2", blocking(text), **MINE)
    with pytest.raises(BudgetExceeded, match=r"2\.0000 is spent and .2\.0000 held") as denied:
        bench.reserve("1.01", blocking(text), **MINE)
    assert denied.value.denial.scope == scope
    bench.reserve("5", blocking(text), **{**MINE, **other})  # is none of its
    bench.reserve("1", blocking(text), **MINE)


@pytest.mark.parametrize(
    "limit",
    [
        "service_limits_usd: {google: 5}",
        "model_limits_usd: {google/gemini-2.5-pro: 5}",
        "model_limits_usd: {gemini-2.5-pro: 5}",
    ],
)
@pytest.mark.parametrize("service", ["vertex", "google"])
def test_limits_on_google_count_what_vertex_serves_and_limits_on_vertex_that_alone(
    bench: Bench, limit: str, service: str
) -> None:
    made: dict[str, Any] = {"service": service, "model": "gemini-2.5-pro"}
    bench.now = NOW
    bench.spend("3", **made)
    with pytest.raises(BudgetExceeded, match=r"3\.0000 is spent"):
        bench.reserve("2.01", blocking(limit), **made)
    bench.reserve("2", blocking(limit), **made)
    its_own = (
        limit.replace("google", "vertex").replace("gemini:", "vertex:").replace("{gemini", "{vertex/gemini")
    )
    if service == "google":
        bench.reserve("9", blocking(its_own), **made)
    else:
        with pytest.raises(BudgetExceeded, match=r"3\.0000 is spent"):
            bench.reserve("2.01", blocking(its_own), **made)


ON_COUNTS = {
    "daily call limit of user u": ("daily_calls: 3", {"calls": 1}, "1 call", "3 calls"),
    "monthly call limit of user u": ("monthly_calls: 3", {"calls": 1}, "1 call", "3 calls"),
    "daily token limit of user u": ("daily_tokens: 300", {"tokens": 100}, "100 tokens", "300 tokens"),
    "monthly token limit of user u": ("monthly_tokens: 300", {"tokens": 100}, "100 tokens", "300 tokens"),
}


@pytest.mark.parametrize("scope", ON_COUNTS)
def test_a_limit_on_counts_denies_in_its_unit(bench: Bench, scope: str) -> None:
    text, values, one, limit = ON_COUNTS[scope]
    bench.spend("2", usage=Usage(tokens_input=60, tokens_output=40))
    hold = bench.reserve("1", blocking(text), **values)
    bench.reserve("1", blocking(text), **values)
    with pytest.raises(BudgetExceeded, match=f"up to {one} for openai/gpt-4o .*: of {limit}, ") as denied:
        bench.reserve("0", blocking(text), **values)
    assert denied.value.denial.scope == scope
    hold.void()
    bench.reserve("1", blocking(text), **values)


def test_a_hold_carries_calls_and_tokens_until_they_are_logged(bench: Bench) -> None:
    text = blocking("daily_calls: 4, daily_tokens: 1000")
    hold = bench.reserve("2", text, calls=3, tokens=900, one_call=False)
    bench.spend("1", hold, usage=Usage(tokens_input=300))
    [held] = bench.gate.holds()
    assert (held.left("cost"), held.left("calls"), held.left("tokens")) == (from_usd(1), 2, 900)
    with pytest.raises(BudgetExceeded, match="tokens"):  # 300 are spent and 900 held
        bench.reserve("0", text, tokens=1)
    assert not HoldStatus(held.reservation, HoldSpend(3, from_usd(1))).left("tokens")


def test_a_block_that_does_not_say_how_much_it_takes_is_refused(bench: Bench) -> None:
    with pytest.raises(BudgetExceeded, match=r"how many calls .* is not known.*reserve_calls"):
        bench.reserve("1", blocking("daily_calls: 4"), calls=None)
    with pytest.raises(BudgetExceeded, match=r"how many tokens .* is not known.*max_tokens_output"):
        bench.reserve("1", blocking("daily_tokens: 4"), tokens=None)
    bench.reserve("1", blocking("yearly_limit_usd: 4"), calls=None, tokens=None)


def test_a_call_without_a_price_may_be_made_under_limits_on_counts(bench: Bench) -> None:
    bench.reserve(None, blocking("daily_calls: 4"), unknown="no price", unpriced=True)
    with pytest.raises(BudgetExceeded, match="no price, and the yearly limit"):
        bench.reserve(
            None, blocking("daily_calls: 4, yearly_limit_usd: 3"), unknown="no price", unpriced=True
        )


def test_local_calls_are_no_calls_and_free_ones_are(bench: Bench) -> None:
    text = blocking("daily_calls: 1")
    bench.spend("0", service="local", model="sphinx")
    assert bench.reserve("0", text, free=True, local=True, service="local", model="sphinx").id is None
    assert bench.reserve("0", text, free=True, service="openrouter", model="x:free").id is not None
    with pytest.raises(BudgetExceeded, match="1 call"):
        bench.reserve("0", text, free=True, service="openrouter", model="x:free")
    assert bench.reserve("0", blocking("yearly_limit_usd: 1"), free=True, service="openrouter").id is None


def test_the_tightest_of_those_that_deny_is_named_and_dollars_come_first(bench: Bench) -> None:
    text = blocking(
        "daily_calls: 9, daily_tokens: 50, yearly_limit_usd: 5, rolling: {hours: 1, limit_usd: 4}"
    )
    with pytest.raises(BudgetExceeded) as denied:
        bench.reserve("6", text, tokens=100)
    assert denied.value.denial.scope == "rolling 1h limit of user u"
    with pytest.raises(BudgetExceeded) as denied:
        bench.reserve("1", text, tokens=100)
    assert (denied.value.denial.scope, denied.value.denial.measure) == (
        "daily token limit of user u",
        "tokens",
    )


WARNING, CRITICAL = "⚠️  WARNING", "🚨 CRITICAL"


@pytest.mark.parametrize(
    ("text", "spent", "said"),
    [
        (
            "daily_calls: 100",
            50,
            f"{WARNING}: Daily call budget threshold reached! 50 / 100 calls (50.0%) | Remaining: 50 calls",
        ),
        (
            "monthly_tokens: 2000",
            2000,
            f"{CRITICAL}: Monthly token budget limit reached! 2,000 / 2,000 tokens (100.0%)",
        ),
        (
            "yearly_limit_usd: 4",
            3_900_000_000,
            f"{WARNING}: Yearly budget threshold reached! $3.90 / $4.00 (97.5%) | Remaining: $0.10",
        ),
        (
            "rolling: {hours: 5, limit_usd: 4}",
            4_000_000_000,
            f"{CRITICAL}: Rolling 5h budget limit reached! $4.00 / $4.00 (100.0%)",
        ),
    ],
)
def test_early_thresholds_are_on_every_kind(text: str, spent: int, said: str) -> None:
    read = profile(f"budget: {{monthly_limit_usd: null, alert_threshold_percent: [50, 80, 95], {text}}}")
    [limit] = limits_for(read, "u", NOW)
    assert limit.thresholds == (50.0, 80.0, 95.0)
    crossed = crossing(Spending(limit, spent))
    assert crossed is not None
    assert message(crossed) == said


# --- looking up is the same as looking at all

NAMES = st.sampled_from(["a", "b", "openai", "gemini"])
MAPS = st.dictionaries(NAMES, st.just(from_usd(1)), max_size=3)


@given(
    st.builds(
        Budget,
        monthly_limit=st.none() | st.just(from_usd(1)),
        stage_limits=MAPS,
        project_limits=MAPS,
        tag_limits=MAPS,
        workflow_limits=MAPS,
        operation_limits=MAPS,
        service_limits=MAPS,
        model_limits=st.dictionaries(
            st.sampled_from(["a", "openai/a", "openai/a-1", "gemini/b", "google/b"]), st.just(from_usd(1))
        ),
        daily_calls=st.none() | st.just(3),
        rolling=st.just((RollingLimit(3_600, from_usd(1)),)),
        thresholds=st.just((80.0,)),
    ),
    st.builds(
        CallScope,
        st.just("u"),
        st.just(NOW),
        st.just(JOB.ledger),
        st.none() | NAMES | st.just(WHATEVER),
        st.sampled_from(["openai", "gemini", "local", ANY]),
        st.sampled_from(["a", "a-1", "b", ANY]),
        st.none() | NAMES | st.just(WHATEVER),
        st.lists(NAMES | st.just(WHATEVER), unique=True).map(tuple),
        st.none() | NAMES,
        st.none() | NAMES,
    ),
)
def test_the_limits_on_a_call_are_found_without_looking_at_all(budget: Budget, call: CallScope) -> None:
    def names(service: str, model: str) -> str:
        return f"{service.replace('gemini', 'google')}/{model.removesuffix('-1')}"

    read = Profile(users={"u": UserSettings("u", zone("UTC"), budget)}, organization=budget)
    slow = [limit for limit in limits_for(read, "u", NOW, JOB) if limit.covers(call, names)]
    quick = LimitIndex(read, names).of_call(call, NOW, JOB)
    assert sorted(quick, key=_place) == sorted(slow, key=_place)


def _place(limit: Limit) -> str:
    return limit.scope.key


# --- windows


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32))
def test_a_window_has_in_it_what_a_recount_finds(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    chance = random.Random(seed)
    bench = Bench(tmp_path_factory.mktemp("window"))
    entries: list[tuple[datetime, str, str, int]] = []
    began = NOW.replace(minute=0, second=0, microsecond=0) - timedelta(hours=6)
    for _ in range(40):
        # On seconds, on edges of buckets, and anywhere.
        at = began + timedelta(seconds=900 * chance.randrange(25) + chance.choice([0, 1, 450, 899]))
        bench.now = at + timedelta(microseconds=chance.choice([0, 0, 1, 999_999]))
        user, tag, cents = chance.choice("uv"), chance.choice("xy"), chance.randrange(100)
        bench.spend(f"0.{cents:02}", user_id=user, tags=(tag,), job=bench.job(f"job-{chance.randrange(3)}"))
        entries.append((bench.now, user, tag, cents * 10_000_000))
        if chance.random() < 0.2:
            bench.index.catch_up_all()
    for _ in range(12):
        bench.now = began + timedelta(
            seconds=chance.randrange(6 * 3600), microseconds=chance.randrange(10**6)
        )
        hours = chance.choice([1, 0.25, 0.5, 2, 5])
        read = profile(f"budget: {{monthly_limit_usd: null, rolling: {{hours: {hours}, limit_usd: 1}}}}")
        [limit] = limits_for(read, "u", bench.now)
        start = bench.now.replace(microsecond=0) - timedelta(hours=hours)
        [found] = read_spendings([limit], bench.index, lambda s, m: f"{s}/{m}")
        assert found.spent == sum(cost for at, user, _, cost in entries if user == "u" and at >= start)
        tagged = Query(start=start, user_id="v", tag="x", measure="calls")
        counted = sum(1 for at, user, tag, _ in entries if (user, tag) == ("v", "x") and at >= start)
        assert bench.index.spends([tagged]) == [counted]
    bench.close()


@settings(max_examples=2, deadline=None)
@given(st.integers(0, 2**32))
def test_the_gate_lets_through_what_a_recount_of_the_window_has_room_for(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    chance, bench = random.Random(seed), Bench(tmp_path_factory.mktemp("window"))
    text, hour = blocking("rolling: {hours: 1, limit_usd: 3}"), timedelta(hours=1)
    bench.now = NOW
    spent: list[tuple[datetime, int]] = []
    let_through = 0
    for _ in range(40):
        second = bench.now.replace(microsecond=0) + timedelta(seconds=chance.choice([0, 599, 600, 600, 601]))
        bench.now = second + timedelta(microseconds=chance.choice([0, 1, 999_999]))
        cents = chance.choice([10, 50, 90, 150])
        start = bench.now.replace(microsecond=0) - hour
        fits = sum(amount for at, amount in spent if at >= start) + cents <= 300
        try:
            hold = bench.reserve(f"{cents / 100:.2f}", text)
        except BudgetExceeded:
            assert not fits
            continue
        assert fits
        with hold:
            bench.spend(f"{cents / 100:.2f}", hold)
        spent.append((bench.now, cents))
        let_through += 1
    assert 0 < let_through < 40
    bench.close()


def test_a_window_counts_a_whole_bucket_of_a_ledger_that_is_gone(bench: Bench) -> None:
    now = NOW + timedelta(minutes=8)
    read = profile("budget: {monthly_limit_usd: null, rolling: {hours: 5, limit_usd: 1}}")
    limits = limits_for(read, "u", now)

    def spent() -> int:
        return read_spendings(limits, bench.index, lambda service, model: f"{service}/{model}")[0].spent

    bench.now = now - timedelta(hours=5, seconds=60)
    bench.spend("3")
    bench.now = now - timedelta(hours=4)
    bench.spend("1", job=bench.job("job-2"))
    assert spent() == from_usd(1)
    bench.job().ledger.unlink()
    assert spent() == from_usd(4)


def test_what_leaves_a_window_makes_room_in_that_second(bench: Bench) -> None:
    text = blocking("rolling: {hours: 1, limit_usd: 2}")
    bench.now = NOW
    bench.spend("2")
    bench.now = NOW + timedelta(hours=1, seconds=-1)
    with pytest.raises(BudgetExceeded, match="rolling 1h limit"):
        bench.reserve("1", text)
    bench.now = NOW + timedelta(hours=1, seconds=1)
    bench.reserve("1", text)


# --- months that begin on another day

DAYS = (1, 2, 5, 10, 14, 15, 20, 27, 28, 29, 30, 31)
ZONES = (
    "UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns", "America/Havana",
    "America/Asuncion", "Pacific/Apia", "Pacific/Chatham", "Australia/Lord_Howe",
)  # fmt: skip


@pytest.mark.no_cover
@pytest.mark.parametrize("zone_name", ZONES)
@pytest.mark.parametrize("day", DAYS)
def test_each_instant_lies_in_exactly_one_month(zone_name: str, day: int) -> None:
    tz, chance = zone(zone_name), random.Random(day)
    months = [month(datetime(2023, 1, 20, tzinfo=UTC), tz, day)]
    for _ in range(24):
        months.append(month(months[-1].end, tz, day))
    assert all(one.end == other.start and previous_month(other) == one for one, other in pairwise(months))
    assert len({each.name for each in months}) == 25
    last_days = [(each.first_day + timedelta(days=1)).day for each in months if each.first_day.day != day]
    assert all(following == 1 for following in last_days)  # a month that is too short begins on its last day
    for _ in range(100):
        at = months[0].start + timedelta(seconds=chance.randrange(720 * 86_400))
        assert [each for each in months if at in each] == [month(at, tz, day)]


def test_every_monthly_limit_begins_on_the_billing_day() -> None:
    read = profile("billing_day: 31\nbudget: {daily_limit_usd: 1, monthly_calls: 3, tag_limits_usd: {a: 1}}")
    found = {x.scope.kind: x.period for x in limits_for(read, "u", datetime(2026, 3, 1, tzinfo=UTC))}
    starts = {kind: period.start.date().isoformat() for kind, period in found.items() if period}
    assert starts == {
        "day": "2026-03-01",
        "month": "2026-02-28",
        "tag": "2026-02-28",
        "month_calls": "2026-02-28",
    }
    assert year(NOW, zone("UTC")).length_in_days == 365
