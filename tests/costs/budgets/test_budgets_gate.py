"""The gate on real ledgers, index and state: what is refused, what counts, what mends itself."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from budgets_bench import BLOCKING, NOVEMBER, Bench, profile

from shared.costs.budgets import endings as endings_module
from shared.costs.budgets import gate as gate_module
from shared.costs.budgets import strays as strays_module
from shared.costs.budgets.gate import Gate
from shared.costs.budgets.hold import UNPRICED as KEPT_UNPRICED
from shared.costs.budgets.hold import Hold
from shared.costs.budgets.port import Stray
from shared.costs.budgets.scopes import ANY, CallScope, Labels
from shared.costs.budgets.strays import StrayedCalls
from shared.costs.errors import BudgetExceeded, BudgetGateUnavailable, FilePosition, ProfileError
from shared.costs.money import Nanos, format_usd, from_usd
from shared.costs.profile import Profile
from shared.costs.store import holds as holds_module
from shared.costs.store.holds import StrayCache
from shared.costs.store.state import StateDb
from tests.support.elapsed import PATIENCE_S, own_time


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


# --- refusing


def test_what_fits_is_held_and_what_does_not_is_denied(bench: Bench) -> None:
    bench.spend("4")
    bench.reserve("5")
    with pytest.raises(BudgetExceeded) as denied:
        bench.reserve("1.5")
    denial = denied.value.denial
    assert denial.scope == "monthly limit of user u"
    assert (denial.limit, denial.spent, denial.reserved) == (from_usd(10), from_usd(4), from_usd(5))
    assert denial.requested == from_usd("1.5")
    assert str(denied.value) == (
        "up to $1.5000 for openai/gpt-4o does not fit into the monthly limit of user u: of $10.0000, "
        "$4.0000 is spent and $5.0000 held for other calls; raise the limit with cost-dashboard set-budget, "
        "or set COST_TRACKER_SKIP_BUDGET_CHECK=1 to go over it once, which is recorded"
    )
    bench.reserve("1")


def test_a_denied_call_holds_nothing(bench: Bench) -> None:
    with pytest.raises(BudgetExceeded):
        bench.reserve("10.000000001")
    assert bench.held() == []
    bench.reserve("10")


def test_without_a_blocking_limit_nothing_is_denied(bench: Bench) -> None:
    bench.spend("50")
    hold = bench.reserve("500", "budget: {monthly_limit_usd: 10}")
    assert bench.held() == [(from_usd(500), None)]
    hold.void()


LIMITS = [
    ("budget: {block_at_limit: true, daily_limit_usd: 3}", "daily limit of user u"),
    ("budget: {block_at_limit: true, weekly_limit_usd: 3}", "weekly limit of user u"),
    ("budget: {block_at_limit: true, job_limit_usd: 3}", "limit of user u for job job-1"),
    ("budget: {block_at_limit: true, stage_limits_usd: {asr: 3}}", "limit of user u for stage asr"),
    (
        "budget: {block_at_limit: true, model_limits_usd: {openai/gpt-4o: 3}}",
        "limit of user u for model openai/gpt-4o",
    ),
    ("organization: {block_at_limit: true, monthly_limit_usd: 3}", "monthly limit of the organization"),
    (
        "budget: {block_at_limit: true, project_limits_usd: {subtitles: 3}}",
        "limit of user u for project subtitles",
    ),
    (
        "organization: {block_at_limit: true, tag_limits_usd: {'customer:acme': 3}}",
        "limit of the organization for tag customer:acme",
    ),
]

OF_CALL: dict[str, Any] = {"stage": "asr", "project": "subtitles", "tags": ("customer:acme", "night")}


@pytest.mark.parametrize(("text", "scope"), LIMITS, ids=[scope for _, scope in LIMITS])
def test_every_limit_holds(bench: Bench, text: str, scope: str) -> None:
    bench.spend("1", **OF_CALL)
    bench.reserve("1", text, **OF_CALL)
    assert len(bench.held()) == 1
    with pytest.raises(BudgetExceeded) as denied:
        bench.reserve("1.1", text, **OF_CALL)
    assert denied.value.denial.scope == scope
    assert (denied.value.denial.spent, denied.value.denial.reserved) == (from_usd(1), from_usd(1))
    bench.reserve("1", text, **OF_CALL)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("budget: {block_at_limit: true, stage_limits_usd: {asr: 3}}", {"stage": "mt"}),
        ("budget: {block_at_limit: true, model_limits_usd: {openai/gpt-4o: 3}}", {"model": "gpt-4"}),
        ("budget: {block_at_limit: true, daily_limit_usd: 3}", {"user_id": "v"}),
        ("budget: {block_at_limit: true, project_limits_usd: {subtitles: 3}}", {"project": None}),
        ("budget: {block_at_limit: true, tag_limits_usd: {night: 3}}", {"tags": ("customer:acme",)}),
    ],
)
def test_a_limit_does_not_hold_for_others(bench: Bench, text: str, other: dict[str, str]) -> None:
    bench.reserve("3", text, **OF_CALL)
    bench.reserve("3", text, **{**OF_CALL, **other})


def test_a_job_s_limit_counts_all_users_and_no_other_job(bench: Bench) -> None:
    text = "budget: {block_at_limit: true, job_limit_usd: 3}"
    bench.spend("1", user_id="v")
    bench.reserve("1", text, user_id="v")
    with pytest.raises(BudgetExceeded):
        bench.reserve("1.5", text)
    bench.reserve("3", text, job=bench.job("job-2"))
    bench.reserve("3", text, job=None)


def test_the_tightest_limit_is_named(bench: Bench) -> None:
    text = "budget: {block_at_limit: true, monthly_limit_usd: 10, daily_limit_usd: 3, weekly_limit_usd: 2}"
    with pytest.raises(BudgetExceeded, match="weekly limit of user u"):
        bench.reserve("20", text)


def test_a_block_of_calls_to_any_model_counts_against_every_model(bench: Bench) -> None:
    text = (
        "budget: {block_at_limit: true, monthly_limit_usd: 10, model_limits_usd: {openai/gpt-4o: 3, x/y: 5}}"
    )
    block = {"service": "any", "model": "any", "one_call": False}
    bench.reserve("2", text, **block)
    with pytest.raises(
        BudgetExceeded, match=r"up to \$2.0000 for this block of calls .* for model openai/gpt-4o"
    ):
        bench.reserve("2", text, **block)
    with pytest.raises(BudgetExceeded, match="for model openai/gpt-4o"):
        bench.reserve("1.5", text)
    bench.reserve("5", text, model="gpt-3")


def test_the_organization_counts_everyone(bench: Bench) -> None:
    text = "organization: {block_at_limit: true, monthly_limit_usd: 10}"
    bench.spend("3", user_id="v")
    bench.reserve("3", text, user_id="w")
    with pytest.raises(BudgetExceeded, match="monthly limit of the organization"):
        bench.reserve("5", text)


# --- ending


def test_an_entry_counts_once_before_and_after_the_settle(bench: Bench) -> None:
    hold = bench.reserve("6")
    bench.spend("4", hold)
    assert bench.held() == [(from_usd(2), None)]  # 4 are spent, 2 are held: together still the estimate
    bench.reserve("4").void()
    hold.recorded(from_usd(4))
    hold.close()
    assert bench.held() == []
    bench.reserve("6")
    with pytest.raises(BudgetExceeded):
        bench.reserve("0.01")


def test_a_call_that_cost_more_is_counted_in_full_and_alerted(bench: Bench) -> None:
    with bench.reserve("1") as hold:
        bench.spend("3", hold)
        alert = hold.recorded(from_usd(3))
    assert alert == (
        f"⚠️  WARNING: calls under reservation {hold.id} cost $3.0000, $2.0000 more than the $1.0000 held "
        "for them: reserve the most that all of them can cost"
    )
    with pytest.raises(BudgetExceeded) as denied:
        bench.reserve("7.5")
    assert denied.value.denial.spent == from_usd(3)


def test_void_gives_everything_back(bench: Bench) -> None:
    with bench.reserve("10") as hold:
        hold.void()
    assert bench.held() == []
    bench.reserve("10")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_block_that_fails_leaves_an_orphan(bench: Bench, error: type[BaseException]) -> None:
    with suppress(error), bench.reserve("6"):
        raise error
    assert bench.held() == [(from_usd(6), "its block failed before all of its calls were in the ledger")]
    with pytest.raises(BudgetExceeded, match=r"\(\$6.0000 of it for calls that never reported: see cost-"):
        bench.reserve("5")


def test_a_block_that_reports_nothing_leaves_an_orphan(bench: Bench) -> None:
    with bench.reserve("6"):
        pass
    assert bench.held() == [(from_usd(6), "its block ended without a ledger entry")]


def test_a_late_entry_and_settle_close_an_orphan(bench: Bench) -> None:
    with bench.reserve("6") as hold:
        pass
    bench.spend("2", hold)
    assert bench.held() == []
    bench.reserve("8")


def test_a_spooled_entry_counts_at_what_it_cost_until_it_is_in_the_ledger(bench: Bench) -> None:
    hold = bench.reserve("1")
    hold.recorded(from_usd(4), in_ledger=False)
    hold.close()
    assert bench.held() == [(from_usd(4), "its ledger entry waits outside the ledger")]
    bench.spend("4", hold)  # the spool drains
    assert bench.held() == []
    bench.reserve("6")


def test_a_block_whose_last_entry_is_spooled_counts_at_what_it_cost(bench: Bench) -> None:
    with bench.reserve("6", one_call=False) as hold:
        bench.spend("1", hold)
        hold.recorded(from_usd(1))
        hold.recorded(from_usd(2), in_ledger=False)
    assert bench.held() == [(from_usd(2), "its ledger entry waits outside the ledger")]
    bench.spend("2", hold)  # the spool drains
    assert bench.held() == []
    bench.reserve("7")


def test_a_block_of_calls_shares_one_hold(bench: Bench) -> None:
    with bench.reserve("6", one_call=False) as hold:
        for _ in range(2):
            bench.spend("1", hold)
            assert hold.recorded(from_usd(1)) is None
        assert bench.held() == [(from_usd(4), None)]
    assert bench.held() == []
    bench.reserve("8")


def test_a_ledger_that_is_read_anew_does_not_count_twice_under_a_hold(bench: Bench) -> None:
    hold = bench.reserve("6", one_call=False)
    bench.spend("2", hold)
    assert bench.held() == [(from_usd(4), None)]
    ledger = bench.job().ledger
    restored = ledger.read_bytes() * 2  # another file of that name, with the entry in it twice
    ledger.write_bytes(b"\n" + restored)
    assert bench.held() == [(from_usd(4), None)]


def test_a_block_of_calls_that_fails_keeps_what_is_left(bench: Bench) -> None:
    with suppress(RuntimeError), bench.reserve("6", one_call=False) as hold:
        bench.spend("1", hold)
        hold.recorded(from_usd(1))
        raise RuntimeError
    assert [amount for amount, _ in bench.held()] == [from_usd(5)]


def test_ending_twice_is_harmless(bench: Bench) -> None:
    with bench.reserve("6") as hold:
        bench.spend("1", hold)
        hold.recorded(from_usd(1))
        hold.close()
        hold.recorded(from_usd(1))
        hold.void()
        hold.close()
    assert bench.held() == []


# --- crashes


def die(bench: Bench, then: Callable[[Hold], object] = lambda _: None, **values: Any) -> None:
    """Reserve $6 in another process, do ``then`` there, and let it be killed."""
    child = os.fork()
    if not child:
        try:
            then(bench.reserve("6", **values))
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL


def test_a_holder_that_died_is_an_orphan_until_it_is_released(bench: Bench) -> None:
    die(bench)
    assert bench.held() == [(from_usd(6), "its process ended")]
    with pytest.raises(BudgetExceeded):
        bench.reserve("5")
    [released] = bench.gate.release()
    assert released.amount == from_usd(6)
    bench.reserve("10")


def test_what_a_killed_process_was_not_granted_yet_takes_no_room(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its journal has it before the row is committed; until somebody looks, others may take that room."""
    with monkeypatch.context() as patched:
        patched.setattr(holds_module, "_put", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        die(bench)
    assert bench.held() == []
    bench.reserve("10")
    assert [amount for amount, _ in bench.held()] == [from_usd(10)]


def test_after_a_crash_between_entry_and_settle_what_is_left_counts(bench: Bench) -> None:
    """Nobody knows whether more calls were on their way under it."""
    die(bench, lambda hold: bench.spend("2", hold))
    assert bench.held() == [(from_usd(4), "its process ended")]
    bench.reserve("4")
    with pytest.raises(BudgetExceeded):
        bench.reserve("0.5")


def test_after_a_crash_a_hold_that_is_used_up_is_over(bench: Bench) -> None:
    die(bench, lambda hold: bench.spend("6", hold))
    assert bench.held() == []
    bench.reserve("4")


def test_what_many_dead_writers_left_is_counted_and_tidied_in_one_go(bench: Bench) -> None:
    """The index takes the marks of dead writers away inside the gate's own transaction."""

    def write_many(hold: Hold) -> None:
        hold.void()
        for number in range(40):
            bench.spend("0.2", job=bench.job(f"many-{number}"))

    die(bench, write_many)
    with pytest.raises(BudgetExceeded) as denied:
        bench.reserve("2.1")
    assert denied.value.denial.spent == from_usd(8)
    bench.reserve("2")


def test_a_crash_in_a_block_of_calls_keeps_what_is_left(bench: Bench) -> None:
    die(bench, lambda hold: bench.spend("2", hold), one_call=False)
    assert bench.held() == [(from_usd(4), "its process ended")]


def test_a_hold_expires_into_an_orphan(bench: Bench) -> None:
    hold = bench.reserve("6", expires_after=timedelta(minutes=5))
    bench.now += timedelta(minutes=4, seconds=59)
    assert bench.held() == [(from_usd(6), None)]
    bench.now += timedelta(seconds=1)
    assert bench.held() == [(from_usd(6), "it expired")]
    with pytest.raises(BudgetExceeded):
        bench.reserve("5")
    bench.spend("1", hold)  # its call reports after all, within its block
    hold.recorded(from_usd(1))
    hold.close()
    bench.reserve("9")


def test_an_orphan_stays_one_when_the_clock_is_set_back(bench: Bench) -> None:
    bench.reserve("6", expires_after=timedelta(minutes=5))
    bench.now += timedelta(hours=1)
    bench.reserve("1").void()
    bench.now -= timedelta(hours=1)
    assert bench.held() == [(from_usd(6), "it expired")]


def test_an_old_orphan_counts_within_its_month_and_its_job(bench: Bench) -> None:
    text = "budget: {monthly_limit_usd: 10, job_limit_usd: 8, block_at_limit: true}"
    bench.reserve("6", text).close()
    bench.now += timedelta(days=7)
    with pytest.raises(BudgetExceeded, match="monthly limit"):
        bench.reserve("5", text, job=bench.job("job-2"))
    bench.now += timedelta(days=7)  # December
    bench.reserve("5", text, job=bench.job("job-2"))
    with pytest.raises(BudgetExceeded, match="for job job-1"):
        bench.reserve("3", text)
    assert bench.gate.release() != []
    bench.reserve("3", text)


def test_live_reservations_are_not_released_unasked(bench: Bench) -> None:
    hold = bench.reserve("6")
    assert bench.gate.release() == bench.gate.release([str(hold.id)]) == []
    assert len(bench.gate.release([str(hold.id)], also=["live"])) == 1
    assert bench.held() == []


def test_named_orphans_are_released(bench: Bench) -> None:
    first, second = bench.reserve("1"), bench.reserve("2")
    first.close()
    second.close()
    assert [h.reservation.id for h in bench.gate.release([str(second.id), "nobody"])] == [second.id]
    assert [amount for amount, _ in bench.held()] == [from_usd(1)]


def test_another_gate_sees_what_this_one_holds(bench: Bench) -> None:
    bench.reserve("6")
    with pytest.raises(BudgetExceeded):
        bench.new_gate().reserve(bench.request("5"), profile())
    bench.presences[0].leave()  # as at the end of its process
    other = bench.new_gate()
    assert [h.reservation.orphaned for h in other.holds()] == ["its process ended"]


def test_files_of_dead_holders_are_tidied(bench: Bench) -> None:
    die(bench)
    [dead] = [path for path in bench.storage.writers_dir.iterdir() if b"H " in path.read_bytes()]
    os.utime(dead, (0, 0))
    assert bench.reserve("1").id
    assert dead.exists()  # its journal still says what counts
    assert [why for _, why in bench.held()] == ["its process ended", None]
    bench.gate.release()
    other = bench.new_gate()
    assert other.reserve(bench.request(), profile()).id
    assert not dead.exists()


def test_a_forked_child_holds_for_itself(bench: Bench) -> None:
    bench.reserve("1")
    child = os.fork()
    if not child:
        bench.reserve("2")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert bench.held() == [(from_usd(1), None), (from_usd(2), "its process ended")]


# --- time


def test_the_period_is_that_of_the_reservation(bench: Bench) -> None:
    bench.now = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
    hold = bench.reserve("6")
    bench.now = datetime(2026, 12, 1, tzinfo=UTC)
    bench.reserve("10")  # December is another month
    bench.spend("6", hold)
    assert hold.period_at == datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
    with pytest.raises(BudgetExceeded):
        bench.reserve("1")
    november = bench.index.spend(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
    assert november == from_usd(6)


def test_a_clock_set_back_does_not_reopen_a_closed_month(bench: Bench) -> None:
    bench.reserve("10")
    bench.now = datetime(2026, 10, 15, tzinfo=UTC)
    with pytest.raises(BudgetExceeded):
        bench.reserve("1")
    hold = bench.reserve("1", "budget: {block_at_limit: true, monthly_limit_usd: 20}")
    assert hold.period_at == NOVEMBER
    assert hold.terms.warnings == (
        "the clock stands at 2026-10-15 00:00 UTC, before the latest reservation at 2026-11-22 12:00 UTC: "
        "the call counts there; see cost-dashboard doctor",
    )


def test_a_clock_that_was_wrong_can_be_forgotten(bench: Bench) -> None:
    assert bench.gate.latest() == datetime(1970, 1, 1, tzinfo=UTC)
    assert not bench.gate.forget_future()
    bench.now = datetime(2027, 11, 22, tzinfo=UTC)
    bench.reserve("1").void()
    bench.now = NOVEMBER
    assert bench.gate.latest() == datetime(2027, 11, 22, tzinfo=UTC)
    assert bench.gate.forget_future()
    hold = bench.reserve("10")
    assert (hold.period_at, hold.terms.warnings, bench.gate.latest()) == (NOVEMBER, (), NOVEMBER)


# --- what cannot be known


def test_a_local_call_is_never_held_nor_blocked(bench: Bench) -> None:
    bench.spend("50")
    fault = ProfileError(FilePosition(Path("p.yaml")), "broken", "mend it")
    with bench.gate.reserve(bench.request("0", free=True), profile(), fault) as hold:
        assert hold.recorded(Nanos(0)) is None
    hold.void()
    assert (hold.id, hold.estimate, bench.held()) == (None, 0, [])


def test_a_profile_that_cannot_be_read_refuses(bench: Bench) -> None:
    fault = ProfileError(FilePosition(Path("p.yaml"), 3), "unknown key", "mend it")
    with pytest.raises(BudgetGateUnavailable, match=r"p\.yaml:3: unknown key"):
        bench.gate.reserve(bench.request(), Profile(), fault)
    hold = bench.gate.reserve(bench.request(override="an argument"), Profile(), fault)
    assert hold.override == "an argument"


UNPRICED: dict[str, Any] = {"unknown": "no price is known for openai/gpt-9", "unpriced": True}


@pytest.mark.parametrize(
    ("more", "values", "held"),
    [
        ("", {"unknown": "the output has no maximum"}, None),
        ("", UNPRICED, None),
        (", on_unpriced: warn", {"unknown": "the output has no maximum"}, None),
        (", on_unpriced: warn", UNPRICED, "0"),
        (", reserve_cap_usd: 0.5", UNPRICED, "0.5"),
        (", reserve_cap_usd: 0.5", {"unknown": "the output has no maximum"}, "0.5"),
        (", reserve_cap_usd: 20", UNPRICED, None),
    ],
)
def test_a_cost_without_a_bound(bench: Bench, more: str, values: dict[str, Any], held: str | None) -> None:
    text = f"budget: {{monthly_limit_usd: 10, block_at_limit: true{more}}}"
    if held is None:
        with pytest.raises(BudgetExceeded):
            bench.reserve(None, text, **values)
        assert bench.held() == []
        return
    hold = bench.reserve(None, text, **values)
    assert hold.estimate == from_usd(held)
    assert hold.terms.warnings == (f"{values['unknown']}; {format_usd(hold.estimate, 4)} is held for it",)


def test_a_cost_without_a_bound_is_no_matter_where_nothing_blocks(bench: Bench) -> None:
    assert bench.reserve(None, "budget: {}", **UNPRICED).estimate == 0


def test_the_refusal_of_an_unbounded_cost_says_what_to_do(bench: Bench) -> None:
    with pytest.raises(BudgetExceeded) as denied:
        bench.reserve(None, **UNPRICED)
    assert str(denied.value) == (
        "no price is known for openai/gpt-9, and the monthly limit of user u blocks; set reserve_cap_usd in "
        "the profile to hold a fixed amount for such calls, or COST_TRACKER_SKIP_BUDGET_CHECK=1 to make "
        "this one"
    )


@pytest.mark.parametrize("usd", ["20", None])
def test_an_override_goes_on_and_is_told(bench: Bench, usd: str | None) -> None:
    hold = bench.reserve(usd, override="the environment", unknown="no maximum")
    assert hold.override == "the environment"
    assert hold.terms.warnings[0].startswith("budget check overridden by the environment: ")
    assert bench.held() == [(from_usd(usd or 0), None)]


# --- at once


def test_threads_of_one_process_share_the_gate(bench: Bench) -> None:
    def call_until_denied(number: int) -> int:
        job, made = bench.job(f"job-{number}"), 0
        while True:
            try:
                hold = bench.reserve("0.3", job=job)
            except BudgetExceeded:
                return made
            bench.spend("0.3", hold, job=job)
            bench.index.catch_up(job.ledger)
            hold.recorded(from_usd("0.3"))
            hold.close()
            made += 1

    with ThreadPoolExecutor(6) as threads:
        made = sum(threads.map(call_until_denied, range(6), timeout=PATIENCE_S))
    # $9.90 of $10 are spent. A thread may have been denied while others held what they then spent.
    assert made == 33
    assert bench.held() == []


def test_processes_that_ask_at_the_same_moment_do_not_both_get_it(bench: Bench, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    children = []
    for number in range(4):
        child = os.fork()
        if not child:
            os.close(writing)
            os.read(reading, 1)  # until the parent lets all go at once
            with suppress(BudgetExceeded):
                kept = bench.new_gate().reserve(bench.request("6"), profile())
                assert kept.id
                (tmp_path / f"got-{number}").touch()
                os.read(os.pipe()[0], 1)  # holds on until it is killed
            os._exit(0)
        children.append(child)
        os.setpgid(child, children[0])  # a group of their own: this process has other children
    os.close(reading)
    os.close(writing)
    ended = [os.waitpid(-children[0], 0)[0] for _ in range(3)]
    assert len(list(tmp_path.glob("got-*"))) == 1
    [holder] = set(children) - set(ended)
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)


def test_a_stopped_holder_of_the_gate_is_not_waited_for_for_ever(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_module, "GATE_WAIT_S", 0.5)
    request = bench.request("1")
    child = os.fork()
    if not child:
        StateDb(bench.storage.state_path).write(lambda _: os.kill(os.getpid(), signal.SIGSTOP))
        os._exit(0)
    assert os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1])
    start = own_time()
    with pytest.raises(BudgetGateUnavailable):
        bench.gate.reserve(request, profile())
    hold = bench.gate.reserve(request, profile("budget: {}"))
    assert own_time() - start < 2
    assert hold.id is None
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    bench.reserve("1")


# --- when the gate itself fails


def broken(bench: Bench) -> Gate:
    bench.close()
    bench.storage.state_path.write_bytes(b"no database" * 100)
    for suffix in ("-wal", "-shm"):
        bench.storage.state_path.with_name(f"state.db{suffix}").unlink(missing_ok=True)
    return bench.new_gate()


def test_a_gate_that_cannot_be_read_blocks(bench: Bench) -> None:
    request = bench.request()
    with pytest.raises(BudgetGateUnavailable, match=r"state\.db: not a usable database.*try again"):
        broken(bench).reserve(request, profile())


@pytest.mark.parametrize(
    ("text", "override"),
    [
        ("budget: {monthly_limit_usd: 10, block_at_limit: true, on_gate_error: allow}", None),
        ("budget: {monthly_limit_usd: 10}", None),
        (BLOCKING, "an argument"),
    ],
)
def test_where_it_is_allowed_the_call_goes_on_without_a_reservation(
    bench: Bench, text: str, override: str | None
) -> None:
    request = bench.request(override=override)
    with broken(bench).reserve(request, profile(text)) as hold:
        assert hold.recorded(from_usd(1)) is None
    assert (hold.id, hold.override) == (None, override)
    assert "without a reservation" in hold.terms.warnings[0]


@contextmanager
def another_turn(bench: Bench) -> Iterator[None]:
    """Keep others from reserving, as another process does in its own turn."""
    with closing(sqlite3.connect(bench.storage.state_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def test_waiting_for_others_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "GATE_WAIT_S", 0.3)
    bench.reserve("1")
    request, other = bench.request(), bench.new_gate()
    with (
        another_turn(bench),
        pytest.raises(BudgetGateUnavailable, match="another process holds it"),
    ):
        other.reserve(request, profile())
    other.reserve(request, profile())


def test_a_settle_that_fails_is_made_up_for(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings_module, "END_S", 0.05)
    other = bench.new_gate()
    hold = other.reserve(bench.request("6"), profile())
    bench.spend("1", hold)
    with caplog.at_level("INFO"), another_turn(bench):
        hold.recorded(from_usd(1))
        hold.close()
    assert "a reservation could not be settled yet" in caplog.text
    kept = other.reserve(bench.request("9"), profile())
    assert kept.id
    assert [h.reservation.estimate for h in other.holds()] == [from_usd(9)]


def test_an_interruption_before_the_caller_has_the_hold_gives_it_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Certain that nothing was sent, although the reservation is on the disk already."""
    assert bench.held() == []  # the tables are there
    write = bench.index.state.write

    def interrupted_after_the_commit(
        action: Callable[[sqlite3.Connection], object], wait_s: float = 1.0
    ) -> None:
        write(action, wait_s)
        raise KeyboardInterrupt

    monkeypatch.setattr(bench.index.state, "write", interrupted_after_the_commit)
    with pytest.raises(KeyboardInterrupt):
        bench.reserve("6")
    monkeypatch.undo()
    assert bench.held() == []


def test_an_index_that_cannot_be_used_only_costs_time(bench: Bench) -> None:
    bench.spend("4")
    hold = bench.reserve("5")
    bench.index.close()
    bench.storage.sums_path.unlink()
    bench.storage.sums_path.mkdir()
    with pytest.raises(BudgetExceeded) as denied:
        bench.reserve("2")
    assert (denied.value.denial.spent, denied.value.denial.reserved) == (from_usd(4), from_usd(5))
    bench.spend("5", hold)
    assert bench.held() == [(0, None)]


def unpriced(bench: Bench, hold: Hold, usd: str = "0") -> None:
    """Log a call under a hold of which nobody knows the price, or the whole of it."""
    if from_usd(usd):
        bench.spend(usd, hold, unpriced_units={"file_searches": 40})
    else:
        bench.spend(usd, hold, charge=None)
    hold.recorded(from_usd(usd), priced=False)


@pytest.mark.parametrize("one_call", [True, False])
@pytest.mark.parametrize("known", ["0", "2"])
def test_a_call_without_a_price_frees_nothing(bench: Bench, one_call: bool, known: str) -> None:
    """It may have cost all that was held, until it is priced or somebody releases it."""
    with bench.reserve("6", one_call=one_call) as hold:
        unpriced(bench, hold, known)
    left = from_usd(6) - from_usd(known)
    assert bench.held() == [(left, KEPT_UNPRICED)]
    with pytest.raises(BudgetExceeded):
        bench.reserve("5")
    assert bench.new_gate().reported(str(hold.id), Labels(), profile()) == []
    assert bench.held() == [(left, KEPT_UNPRICED)]
    bench.new_gate().release([str(hold.id)])
    assert bench.held() == []


@pytest.mark.parametrize("one_call", [True, False])
@pytest.mark.parametrize(("known", "resolves"), [("0", "resolves_unpriced"), ("2", "resolves_partial")])
def test_a_call_without_a_price_is_priced_later(
    bench: Bench, one_call: bool, known: str, resolves: str
) -> None:
    """What is left of the hold is free then: its block has ended, and all of its calls are known."""
    with bench.reserve("6", one_call=one_call, calls=4) as hold:
        unpriced(bench, hold, known)
    corrects: dict[str, Any] = {"corrects": "it", resolves: True}
    bench.spend("2", hold, kind="adjustment", why="priced", **corrects)
    assert bench.held() == []
    bench.reserve("6")


@pytest.mark.parametrize("one_call", [True, False])
def test_only_the_last_call_without_a_price_frees_the_hold(bench: Bench, one_call: bool) -> None:
    with bench.reserve("6", one_call=one_call, calls=4) as hold:
        unpriced(bench, hold)
        unpriced(bench, hold)
    bench.spend("2", hold, kind="adjustment", corrects="it", resolves_unpriced=True, why="priced")
    assert bench.held() == [(from_usd(4), KEPT_UNPRICED)]
    bench.spend("3", hold, kind="adjustment", corrects="other", resolves_unpriced=True, why="priced")
    assert bench.held() == []


@pytest.mark.parametrize("one_call", [True, False])
def test_a_hold_whose_calls_wait_is_over_when_all_of_them_have_come(bench: Bench, one_call: bool) -> None:
    with bench.reserve("6", one_call=one_call, calls=4) as hold:
        hold.recorded(from_usd(1))
        hold.recorded(from_usd(2), in_ledger=False)
        hold.recorded(from_usd(2), in_ledger=False, new=False)
    bench.spend("1", hold)
    assert bench.held() == [(from_usd(2), "its ledger entry waits outside the ledger")]
    assert bench.gate.reported(str(hold.id), Labels(), profile()) == []
    assert bench.held() != []
    bench.spend("2", hold)
    assert bench.held() == []
    assert bench.gate.reported(str(hold.id), Labels(), profile()) == []


@pytest.mark.parametrize("one_call", [True, False])
@pytest.mark.parametrize("known", ["0", "2"])
def test_taking_a_call_back_frees_what_was_kept_for_its_price(
    bench: Bench, one_call: bool, known: str
) -> None:
    with bench.reserve("6", one_call=one_call) as hold:
        unpriced(bench, hold, known)
    resolves = "resolves_partial" if from_usd(known) else "resolves_unpriced"
    corrects: dict[str, Any] = {"corrects": "it", resolves: True}
    bench.spend(f"-{known}", hold, kind="reversal", why="not sent", **corrects)
    assert bench.held() == []
    bench.reserve("10")


def test_taking_a_call_back_gives_nothing_back_to_the_hold(bench: Bench) -> None:
    """What it cost is free; what was not used of the hold stays with it until its block ends."""
    with bench.reserve("6", one_call=False) as hold:
        bench.spend("4", hold)
        hold.recorded(from_usd(4))
        bench.spend("-4", hold, kind="reversal", corrects="it", why="not billed")
        assert bench.held() == [(from_usd(2), None)]
        bench.reserve("8")


def test_a_process_dies_after_a_call_without_a_price(bench: Bench) -> None:
    die(bench, lambda hold: bench.spend("0", hold, charge=None))
    assert bench.held() == [(from_usd(6), "its process ended")]


def test_nothing_is_kept_for_a_call_without_a_price_where_nothing_was_held(bench: Bench) -> None:
    text = "budget: {monthly_limit_usd: 10, block_at_limit: true, on_unpriced: warn}\n"
    with bench.reserve(None, text, unpriced=True) as hold:
        unpriced(bench, hold)
    assert bench.held() == []


STRAY = """
budget:
  block_at_limit: true
  project_limits_usd: {a: 5, b: 4}
  tag_limits_usd: {'customer:acme': 3, night: 50}
  stage_limits_usd: {asr: 4}
  workflow_limits_usd: {nightly: 4}
  operation_limits_usd: {chat: 4}
"""


def strayed(bench: Bench, hold: Hold, text: str = STRAY, usd: str = "1", **labels: Any) -> str | None:
    """Log a call under a hold with labels of its own; return what is said of that."""
    bench.spend(usd, hold, **labels)
    hold.recorded(from_usd(usd))
    found = hold.strayed(Labels(**labels))
    return None if found is None else bench.gate.strayed(hold, found, profile(text))


def strays_of(bench: Bench) -> list[Stray]:
    """Return what any process reads of calls that strayed."""
    return list(bench.index.state.read(lambda db: StrayCache().read(db, bench.now)))


def test_labels_that_were_not_named_are_told_once_where_a_limit_is_on_them(bench: Bench) -> None:
    hold = bench.reserve("3", STRAY, project="a", tags=("night",), one_call=False)
    for labels in ({}, {"project": "a"}, {"tags": ("night",)}, {"project": "z", "tags": ("z",)}):
        assert strayed(bench, hold, usd="0.1", **labels) is None
    told = strayed(bench, hold, project="b", tags=("customer:acme",))
    assert told is not None
    assert "tag customer:acme, project b: was not named to reserve" in told
    assert strayed(bench, hold, project="b", tags=("customer:acme",)) is None
    plain = STRAY.replace("block_at_limit: true", "block_at_limit: false")
    soft = bench.reserve("1", plain)
    assert "the next ones" not in str(strayed(bench, soft, plain, project="b"))
    bench.reserve("9", STRAY)
    for each in (hold, soft):
        each.void()


@pytest.mark.parametrize(
    ("labels", "scope"),
    [
        ({"project": "b"}, "limit of user u for project b"),
        ({"tags": ("night", "customer:acme")}, "limit of user u for tag customer:acme"),
        ({"workflow": "nightly"}, "limit of user u for workflow nightly"),
        ({"operation": "chat"}, "limit of user u for operation chat"),
    ],
)
def test_the_next_reservation_like_it_is_checked_against_what_was_logged(
    bench: Bench, labels: dict[str, Any], scope: str
) -> None:
    """The call that strays is recorded whatever it costs; then the limit that it is on holds."""
    with bench.reserve("3", STRAY) as hold:
        assert strayed(bench, hold, usd="3", **labels) is not None
    with pytest.raises(BudgetExceeded, match="others like it were recorded with") as denied:
        bench.reserve("1.5", STRAY)
    assert denied.value.denial.scope == scope
    with pytest.raises(BudgetExceeded):
        bench.reserve("1.5", STRAY, job=bench.job("job-2"))
    bench.reserve("1.5", STRAY, project="a")  # which is something else
    bench.reserve("1.5", STRAY, override="asked Ana")
    higher = STRAY.replace("acme': 3", "acme': 13")
    bench.reserve("1.5", re.sub(r"(b|nightly|chat): 4", r"\1: 14", higher))


@pytest.mark.parametrize(
    ("rule", "limit"),
    [("", "stage_limits_usd: {asr: 4}"), ("tag_rules: [{tag: a, stage: asr}]", "tag_limits_usd: {a: 4}")],
)
def test_calls_of_a_stage_that_was_not_named_are_held_by_its_limits(
    bench: Bench, rule: str, limit: str
) -> None:
    text = f"budget: {{block_at_limit: true, {limit}}}\n{rule}\n"
    with bench.reserve("3", text) as hold:
        assert strayed(bench, hold, text, usd="3", stage="asr") is not None
    named = "tag a" if rule else "stage asr"
    with pytest.raises(BudgetExceeded, match=f"others like it were recorded with {named}"):
        bench.reserve("1.5", text)
    bench.reserve("1.5", text, stage="other")


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("model_limits_usd: {openai/gpt-4: 4}", "limit of user u for model openai/gpt-4"),
        ("service_limits_usd: {azure: 4}", "limit of user u for service azure"),
    ],
)
def test_calls_to_another_model_than_was_reserved_are_held_by_its_limits_from_then_on(
    bench: Bench, text: str, scope: str
) -> None:
    text = f"budget: {{block_at_limit: true, {text}}}\n"
    made = {"service": "azure" if "azure" in text else "openai", "model": "gpt-4"}
    with bench.reserve("3", text, one_call=False) as hold:
        assert scope.split(" for ")[1] in str(strayed(bench, hold, text, usd="2", **made))
        with pytest.raises(BudgetExceeded) as denied:
            bench.new_gate().reserve(bench.request("1.5", **made), profile(text))
        assert (denied.value.denial.spent, denied.value.denial.reserved) == (from_usd(2), from_usd(1))
    named = "service azure" if "azure" in text else "model openai/gpt-4"
    with pytest.raises(BudgetExceeded, match=f"recorded with {named}") as denied:
        bench.reserve("2.5", text)
    assert denied.value.denial.scope == scope
    bench.reserve("2", text)
    bench.reserve("2.5", text, model="gpt-5")  # which is something else


def test_a_hold_for_whatever_model_names_each(bench: Bench) -> None:
    text = "budget: {block_at_limit: true, model_limits_usd: {openai/gpt-4: 4}}\n"
    hold = bench.reserve("3", text, service=ANY, model=ANY)
    assert strayed(bench, hold, text, model="gpt-4", service="openai") is None


def test_a_call_that_no_flat_rate_covers_as_what_was_reserved_counts_in_the_month(bench: Bench) -> None:
    text = BLOCKING + "plans: {max: {usd_per_month: 100, covers: [anthropic/*]}}\n"
    own = {"service": "anthropic", "model": "opus"}
    with bench.reserve("3", text, **own) as hold:
        assert "model openai/gpt-4" in str(
            strayed(bench, hold, text, usd="9", service="openai", model="gpt-4")
        )
    with pytest.raises(BudgetExceeded, match="monthly limit of user u"):
        bench.reserve("1.5", text, **own)


def test_what_is_left_of_a_hold_counts_against_what_was_logged_under_it(bench: Bench) -> None:
    hold = bench.reserve("3", STRAY, one_call=False)
    strayed(bench, hold, usd="1", tags=("customer:acme",))
    with pytest.raises(BudgetExceeded) as denied:
        bench.new_gate().reserve(bench.request("1", tags=("customer:acme",)), profile(STRAY))
    assert (denied.value.denial.spent, denied.value.denial.reserved) == (from_usd(1), from_usd(2))
    hold.close()
    following = bench.reserve("2", STRAY)
    with pytest.raises(BudgetExceeded) as denied:
        bench.new_gate().reserve(bench.request("1", tags=("customer:acme",)), profile(STRAY))
    assert (denied.value.denial.spent, denied.value.denial.reserved) == (from_usd(1), from_usd(2))
    following.void()


def test_calls_whose_labels_differ_each_time_stray_to_one_limit_a_few_times(bench: Bench) -> None:
    """A tag for each run is named, and the project that has the limit is not: by whatever process."""
    text = "budget: {block_at_limit: true, project_limits_usd: {a: 2}, service_limits_usd: {azure: 2}}\n"
    for labels in ({"project": "a"}, {"service": "azure", "model": "x"}):
        made = 0
        for run in range(20):
            gate = bench.new_gate()
            own: dict[str, Any] = {
                "tags": (f"run:{run}", "night"),
                "stage": f"s{run}",
                "operation": f"o{run % 4}",
            }
            with suppress(BudgetExceeded), gate.reserve(bench.request("1", **own), profile(text)) as hold:
                bench.spend("1", hold, **own | labels)
                hold.recorded(from_usd(1))
                stray = hold.strayed(Labels(**own | labels))
                assert stray is not None
                gate.strayed(hold, stray, profile(text))
                made += 1
        assert made <= 1 + strays_module.VARIES
        with pytest.raises(
            BudgetExceeded, match=r"others like it were recorded with (project a|.*service azure)"
        ):
            bench.reserve("1", text, tags=("night", "run:x"), stage="s", operation="o")
        for other in ({"tags": ("customer:b",)}, {"project": "b"}, {"user_id": "v"}, {"workflow": "w"}):
            bench.reserve("1", text, **{"tags": ("run:1", "night"), "stage": "s1", "operation": "o1"} | other)


def test_a_call_that_strays_where_it_was_held_is_not_told_again(bench: Bench) -> None:
    with bench.reserve("1", STRAY) as hold:
        assert "project b" in str(strayed(bench, hold, project="b"))
    with bench.reserve("1", STRAY) as hold:
        assert strayed(bench, hold, project="b") is None
    assert bench.gate.forget_strayed() == 1


def made_that_stray(bench: Bench, text: str, of_run: Callable[[int], tuple[str, str]]) -> int:
    """Make calls of $1 of a user and a project, which reservations do not name, each with a tag of its own.

    Returns how many were let pass.
    """
    made = 0
    for run in range(20):
        user, project = of_run(run)
        own: dict[str, Any] = {"user_id": user, "tags": (f"run:{run}",)}
        with suppress(BudgetExceeded), bench.gate.reserve(bench.request("1", **own), profile(text)) as hold:
            bench.spend("1", hold, project=project, **own)
            hold.recorded(from_usd(1))
            stray = hold.strayed(Labels(project, own["tags"]))
            assert stray is not None
            bench.gate.strayed(hold, stray, profile(text))
            made += 1
    return made


def test_projects_of_runs_to_which_a_rule_gives_one_tag_pass_its_limit_a_few_times(bench: Bench) -> None:
    text = (
        "budget: {block_at_limit: true, tag_limits_usd: {'customer:acme': 2}}\n"
        "tag_rules: [{tag: 'customer:acme', project: 'acme-*'}]\n"
    )
    assert made_that_stray(bench, text, lambda run: ("u", f"acme-{run}")) <= 1 + strays_module.VARIES
    with pytest.raises(BudgetExceeded, match="others like it were recorded with tag customer:acme"):
        bench.reserve("1", text, tags=("run:x",))


def test_a_user_for_each_customer_passes_a_limit_of_everybody_a_few_times(bench: Bench) -> None:
    text = "organization: {block_at_limit: true, project_limits_usd: {a: 2}}\n"
    assert made_that_stray(bench, text, lambda run: (f"u{run}", "a")) <= 1 + strays_module.VARIES
    with pytest.raises(BudgetExceeded, match="others like it were recorded with project a"):
        bench.reserve("1", text, user_id="v", tags=("run:x",))
    bench.reserve("1", text, user_id="v")


def test_threads_look_at_what_strayed_while_others_learn_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    known, own = StrayedCalls(), CallScope("u", stage="asr")
    looked, faults = threading.Event(), list[BaseException]()
    for number in range(3):
        known.learn(own, Labels(project=f"p{number}"))

    def learn() -> None:
        known.learn(own, Labels(project="a"))
        looked.set()

    has = strays_module._StrayGroup.has

    def slow(alike: strays_module._StrayGroup, scope: CallScope) -> bool:
        if not threads:
            threads.append(threading.Thread(target=learn))
            threads[0].start()
            looked.wait(0.05)  # a lock may keep the other one waiting
        return has(alike, scope)

    threads = list[threading.Thread]()
    monkeypatch.setattr(strays_module._StrayGroup, "has", slow)
    try:
        known.of(own)
    except RuntimeError as fault:
        faults.append(fault)
    threads[0].join()
    assert faults == []
    assert [each.project for each in known.of(own)] == ["p0", "p1", "p2", "a"]


def test_a_tag_by_rule_is_held_for_that_tag(bench: Bench) -> None:
    text = (
        "budget: {block_at_limit: true, tag_limits_usd: {'customer:acme': 3}}\n"
        "tag_rules: [{tag: 'customer:acme', project: 'acme-*'}]\n"
    )
    with bench.reserve("1", text, stage="one") as hold:
        assert strayed(bench, hold, text, "3", project="acme-1", stage="two", tags=("run:1",)) is not None
    [(_, labels)] = strays_of(bench)
    assert labels == Labels(tags=("customer:acme",))
    with pytest.raises(BudgetExceeded, match="recorded with tag customer:acme"):
        bench.reserve("1", text, stage="one")


def test_what_a_process_knows_of_labels_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strays_module, "MOST", 2)
    monkeypatch.setattr(strays_module, "MOST_REMEMBERED", 1)
    known, own = StrayedCalls(), CallScope("u", stage="asr")
    for name in "abc":
        known.learn(own, Labels(project=name))
    for scope in (own, own._replace(stage="mt"), own):
        assert [each.project for each in known.of(scope)] == (["b", "c"] if scope == own else [])
    known.clear()
    assert known.of(own) == ()


def test_another_process_holds_for_the_model_that_calls_were_recorded_with(bench: Bench) -> None:
    """Until it is said that what reserves was mended, or a month is over."""
    text = "budget: {block_at_limit: true, monthly_limit_usd: 50, model_limits_usd: {openai/gpt-4: 4}}\n"
    made = {"service": "openai", "model": "gpt-4"}
    dear = {"cost_as": lambda _, model: from_usd(3) if model == "gpt-4" else None}
    with bench.reserve("0.1", text) as hold:
        assert "for 31 days" in str(strayed(bench, hold, text, usd="2", **made))
    for gate in (bench.new_gate(), bench.new_gate()):
        with pytest.raises(BudgetExceeded, match="recorded with model openai/gpt-4") as denied:
            gate.reserve(bench.request("0.1", **dear), profile(text))
        assert denied.value.denial.scope == "limit of user u for model openai/gpt-4"
        assert denied.value.denial.requested == from_usd(3)
    loose = text.replace("gpt-4: 4", "gpt-4: 40")
    with bench.new_gate().reserve(bench.request("0.1", **dear), profile(loose)) as hold:
        assert hold.estimate == from_usd(3)
        hold.void()
    assert bench.new_gate().forget_strayed() == 1
    with bench.new_gate().reserve(bench.request("0.1", **dear), profile(text)) as hold:
        assert hold.estimate == from_usd("0.1")
        hold.void()


def test_a_storage_that_cannot_be_written_keeps_no_call_from_straying(bench: Bench) -> None:
    hold = bench.reserve("1", STRAY)
    bench.index.state.close()
    bench.storage.state_path.unlink()
    bench.storage.state_path.mkdir()
    assert "tag customer:acme" in str(strayed(bench, hold, tags=("customer:acme",)))
