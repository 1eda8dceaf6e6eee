"""Limits that several hosts share: never above, nothing twice, and what cannot be known is said."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from shared.costs.errors import BudgetExceeded, BudgetGateUnavailable
from shared.costs.fleet import leases as book
from shared.costs.fleet import schema
from shared.costs.fleet.database import SharedUnavailable, Transaction
from shared.costs.fleet.fleet import Agent, close_all
from shared.costs.fleet.holds import DENIED_S
from shared.costs.fleet.leases import LeaseRequest, Term, limit_of
from shared.costs.fleet.trading import HostCopied
from shared.costs.rollup import Query
from shared.costs.workspace import LOOK_S
from tests.support.fleet_hosts import CALL, COST, Host, hosts

pytestmark = pytest.mark.usefixtures("database_url")

ALWAYS = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)

ONE_LIMIT = """
shared: {url: env:COST_TRACKER_SHARED, lease_s: LEASE}
budget: {monthly_limit_usd: 1.00, block_at_limit: true}
"""


def sql(host: Host, statement: str, *values: object) -> list[tuple[Any, ...]]:
    def ask(db: Transaction) -> list[tuple[Any, ...]]:
        cursor = db.execute(statement, values)
        return cursor.fetchall() if cursor.description else []

    return host.fleet.database.run(ask, 10)


def end_term(host: Host) -> None:
    """Let the lease of a host run out, here and at the database."""

    def ended(db: object) -> None:
        term = book.term(db)  # type: ignore[arg-type]  # SQLite's
        assert isinstance(term, Term)
        book.put_term(db, term._replace(ends_at=time.time() - 1))  # type: ignore[arg-type]  # as above

    host.fleet.holds.in_turn(lambda turn: ended(turn.db), 5)
    sql(host, "UPDATE hosts SET lease_until = now() - interval '1 s'")


def test_two_users_on_two_hosts_are_held_by_their_own_limit_and_by_the_organizations(tmp_path: Path) -> None:
    with hosts(tmp_path, "one", "two") as (one, two):
        assert one.spend(50, "ana") == 20  # her own $1.00
        with pytest.raises(BudgetExceeded, match="monthly limit of user ana"):
            two.call("ana")  # it is hers on every host
        made = two.spend(50, "bob")
        assert 8 <= made <= 10  # what is left of the organisation's $1.50, less what the first host keeps
        one.fleet.renew(lower=True)
        time.sleep(DENIED_S)
        assert two.spend(50, "bob") == 10 - made
        time.sleep(DENIED_S)
        with pytest.raises(BudgetExceeded) as refused:
            two.call("bob")
        assert "monthly limit of the organization" in str(refused.value)
        assert "other hosts have spent $1.0000" in str(refused.value)
        assert refused.value.denial.spent + refused.value.denial.reserved >= 1_500_000_000 - COST


def test_many_hosts_at_once_use_a_limit_up_and_never_go_over_it(tmp_path: Path) -> None:
    names = ("one", "two", "three", "four")
    with hosts(tmp_path, *names, profile=ONE_LIMIT) as made:
        for _ in range(2):  # what one gave back at its first refusal, another may use
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda host: host.spend(50), made))
        for host in made:
            host.fleet.publish()
        [(calls, cost)] = sql(made[0], "SELECT count(*), sum(cost) FROM entries")
        assert cost <= 1_000_000_000
        assert cost >= 950_000_000
        here = [host.workspace.index.spend(*ALWAYS, user_id="ana") for host in made]
        assert sum(here) == cost == calls * COST


def test_a_host_that_is_gone_counts_and_goes_on_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Agent, "logged", lambda *_: None)  # nothing is renewed by itself
    with hosts(tmp_path, "one", "two", profile=ONE_LIMIT) as (one, two):
        one.call()
        one.fleet.publish()
        end_term(one)
        made = two.spend(50)
        [(granted,)] = sql(one, "SELECT granted FROM leases l JOIN hosts h ON h.id = l.host WHERE h.id = 1")
        assert made * COST <= 1_000_000_000 - granted
        with pytest.raises(BudgetExceeded, match="counts for hosts that do not report"):
            two.call()
        one.call()  # its lease was kept for it


def test_calls_that_nobody_reserved_count_as_soon_as_they_are_published(tmp_path: Path) -> None:
    with hosts(tmp_path, "one", "two", profile=ONE_LIMIT) as (one, two):
        one.log(17)
        one.fleet.publish()
        assert two.spend(50) == 3


@pytest.mark.parametrize(("until", "made"), [("2999-12-31", 20), ("2020-12-31", 0)])
def test_what_a_flat_rate_covers_is_no_part_of_it(tmp_path: Path, until: str, made: int) -> None:
    plan = f"plans: {{max: {{usd_per_month: 9, covers: [openai/gpt-4o-mini], until: {until}}}}}\n"
    with hosts(tmp_path, "one", "two", profile=ONE_LIMIT + plan) as (one, two):
        one.tracker().log_usage("openai", "gpt-4o-mini", 20_000_000)  # $3
        one.fleet.publish()
        assert two.spend(50) == made


TAG_LIMIT = """
shared: {url: env:COST_TRACKER_SHARED, lease_s: LEASE}
budget: {monthly_limit_usd: 90, tag_limits_usd: {"customer:acme": 1}, block_at_limit: true}
tag_rules: [{tag: "customer:acme", RULE}]
"""


@pytest.mark.parametrize("rule", ["job: job-*", "service: openai, model: gpt-4o", "user: ana"])
@pytest.mark.parametrize("plan", ["", "plans: {max: {usd_per_month: 9, covers: [openai/gpt-4o-mini]}}\n"])
def test_a_limit_on_a_tag_that_rules_give_is_of_all_hosts(tmp_path: Path, rule: str, plan: str) -> None:
    with hosts(tmp_path, "one", "two", profile=TAG_LIMIT.replace("RULE", rule) + plan) as (one, two):
        if plan:
            one.tracker().log_usage("openai", "gpt-4o-mini", 20_000_000)  # $3 that the plan covers
        assert one.spend(8) == 8
        one.fleet.publish()
        assert 0 < two.spend(50) <= 12
        with pytest.raises(BudgetExceeded, match="tag customer:acme"):
            two.call()
        two.fleet.publish()
        [(cost,)] = sql(
            one, "SELECT sum(e.cost) FROM entries e JOIN dims d ON d.id = e.dim WHERE model = 'gpt-4o'"
        )
        assert cost <= 1_000_000_000


def test_hosts_that_count_calls_otherwise_are_named(tmp_path: Path) -> None:
    rules = TAG_LIMIT.replace("RULE", "stage: asr")
    with hosts(tmp_path, "one", "two", profile=rules) as (one, two):
        for host in (one, two):
            host.fleet.renew()
        assert one.fleet.standing().differing == ()
        two.profile.write_text(
            rules.replace("LEASE", "60").replace("stage: asr", "stage: mt") + "billing_day: 3\n"
        )
        time.sleep(LOOK_S + 0.1)
        two.fleet.renew()
        [other] = one.fleet.standing().differing
        assert other.differs == ("billing_day", "tag_rules")
        [mine] = two.fleet.standing().differing
        assert mine.uid != other.uid


def test_a_host_goes_on_beside_a_newer_one_while_the_tables_are_for_both(tmp_path: Path) -> None:
    with hosts(tmp_path, "one", "two", profile=ONE_LIMIT) as (one, two):
        one.call()
        sql(one, "ALTER TABLE hosts ADD COLUMN newer text")
        sql(one, "INSERT INTO versions VALUES (99, ?)", schema.VERSION)
        assert two.spend(2) == 2  # a first lease
        assert two.fleet.publish().waiting == 0
        sql(one, "INSERT INTO versions VALUES (100, 100)")
        made = one.workspace.index.spend(*ALWAYS, user_id="ana")
        with pytest.raises(BudgetGateUnavailable, match="tables of version 100, this program of"):
            one.spend(20)  # the lease in hand is good
        assert one.workspace.index.spend(*ALWAYS, user_id="ana") > made
        for action in (one.fleet.publish, one.fleet.standing, lambda: one.fleet.sums.spend(*ALWAYS)):
            with pytest.raises(SharedUnavailable, match="upgrade it"):
                action()
        sql(one, "DELETE FROM versions WHERE version = 100")
        one.fleet.publish()
        assert two.fleet.publish().waiting == 0
        spent = one.workspace.index.spend(*ALWAYS) + two.workspace.index.spend(*ALWAYS)
        assert one.fleet.sums.spend(*ALWAYS) == spent


def test_what_is_held_under_a_tag_that_rules_give_is_not_given_back(tmp_path: Path) -> None:
    with hosts(tmp_path, "one", "two", profile=TAG_LIMIT.replace("RULE", "stage: asr")) as (one, two):
        tracker = one.tracker()
        with tracker.reserve(*CALL[:2], tokens_input=40_000, max_tokens_output=40_000, stage="asr"):  # $0.50
            tracker.log_usage(*CALL, stage="asr")
            one.fleet.publish()
            one.fleet.renew(lower=True)
            [member, *_] = one.fleet.standing().members
            assert member.open == 500_000_000
            two.tracker().log_usage(*CALL, stage="asr")
            with (
                pytest.raises(BudgetExceeded, match="tag customer:acme"),
                two.tracker().reserve(*CALL[:2], tokens_input=40_000, max_tokens_output=40_000, stage="asr"),
            ):
                pass


@pytest.mark.parametrize("is_reachable", [True, False])
def test_a_host_that_lost_ledgers_and_sums_asks_what_it_had_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_reachable: bool
) -> None:
    with hosts(tmp_path, "one", "two", profile=ONE_LIMIT) as (one, two):
        assert two.spend(2) == 2
        assert one.spend(9) == 9
        one.fleet.publish()
        one.close()
        close_all()
        shutil.rmtree(one.folder / "job-ana")
        for file in one.storage.iterdir():
            if not file.name.startswith("state.db"):
                shutil.rmtree(file) if file.is_dir() else file.unlink()
        if not is_reachable:
            monkeypatch.setenv("COST_TRACKER_SHARED", "postgresql://nobody@127.0.0.1:1/none")
        again = Host(one.folder, ONE_LIMIT)
        if is_reachable:
            made = again.spend(50)  # of $1.00, $0.45 and $0.10 are spent, and the other host has a slice
            assert 0 < made <= 9
            again.fleet.publish()
            assert again.spend(5) + two.spend(50) <= 9 - made
            [(cost,)] = sql(two, "SELECT sum(cost) FROM entries")
            assert 900_000_000 <= cost <= 1_000_000_000
        else:
            with pytest.raises(BudgetGateUnavailable):
                again.call()
        again.close()


def test_what_was_lost_is_told_from_what_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Agent, "logged", lambda *_: None)  # nothing is published by itself
    with hosts(tmp_path, "one", "two", profile=ONE_LIMIT.replace("budget:", "organization:")) as (one, two):
        assert one.spend(12, "ana") == 12
        one.fleet.publish()
        assert one.spend(50, "bob") == 8
        one.close()
        close_all()
        assert sql(two, "SELECT count(*) FROM entries") == [(12,)]
        shutil.rmtree(one.folder / "job-ana")
        for file in one.storage.iterdir():
            if not file.name.startswith("state.db"):
                shutil.rmtree(file) if file.is_dir() else file.unlink()
        again = Host(one.folder, one.profile.read_text())
        again.workspace.index.add_under(one.folder)
        assert again.spend(1, "bob") == 0
        again.fleet.publish()
        assert again.spend(1, "bob") + two.spend(1) == 0
        again.close()


def test_what_was_published_since_a_decision_is_not_lost(tmp_path: Path) -> None:
    with hosts(tmp_path, "one", profile=ONE_LIMIT) as (one,):
        one.call()
        [lease] = one.fleet.member.leases()
        old = LeaseRequest(limit_of(lease), 0, lease.granted + 1, seen=lease.seen)  # before that call
        one.fleet.publish()
        one.fleet.member.grow([old])
        [lease] = one.fleet.member.leases()
        assert lease.lost == 0


def test_what_another_process_saw_since_a_decision_stays_seen(tmp_path: Path) -> None:
    with hosts(tmp_path, "one", profile=ONE_LIMIT) as (one,):
        one.call()
        [lease] = one.fleet.member.leases()
        old = LeaseRequest(limit_of(lease), 0, lease.granted + 1, seen=lease.seen)
        one.fleet.holds.in_turn(lambda turn: book.record_spent(turn.db, lease, COST), 5)
        one.fleet.member.grow([old])
        [lease] = one.fleet.member.leases()
        assert lease.seen == COST


def test_a_call_that_is_taken_back_makes_room(tmp_path: Path) -> None:
    with hosts(tmp_path, "one", "two", profile=ONE_LIMIT) as (one, two):
        two.call()
        one.call()
        big = one.tracker()
        with big.reserve("openai", "gpt-4o", tokens_input=80_000, max_tokens_output=40_000) as hold:
            big.log_usage("openai", "gpt-4o", 80_000, 40_000, reservation=hold)  # $0.60
        entry = max(one.workspace.index.entries(Query()), key=lambda each: each.cost)
        big.reverse(entry.id, "a test")
        one.fleet.publish()
        assert 15 <= one.spend(50) <= 18


def test_what_was_spent_before_a_host_joined_counts(tmp_path: Path) -> None:
    local = ONE_LIMIT.replace("shared:", "x-shared:")
    before = Host(tmp_path / "one", local)
    assert before.spend(8) == 8
    before.close()
    with hosts(tmp_path, "one", "two", profile=ONE_LIMIT) as (one, two):
        assert one.spend(50) == 12
        one.fleet.publish()
        assert two.spend(2) == 0


def test_a_lease_in_hand_is_good_without_the_database_until_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hosts(tmp_path, "one", profile=ONE_LIMIT) as (one,):
        one.call()
        monkeypatch.setattr(one.fleet.database, "_down", (time.monotonic() + 3600, "it is cut off"))
        assert one.spend(1) == 1
        with pytest.raises(BudgetGateUnavailable, match="it is cut off"):
            one.spend(20)  # the lease is used up, and no more can be had
        one.profile.write_text(
            one.profile.read_text().replace("budget: {", "budget: {on_gate_error: allow, ")
        )
        time.sleep(0.6)  # a look at the profile is believed for half a second
        one.call()


def test_a_lease_that_has_ended_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Agent, "logged", lambda *_: None)  # as above
    with hosts(tmp_path, "one", profile=ONE_LIMIT) as (one,):
        one.call()
        end_term(one)
        monkeypatch.setattr(one.fleet.database, "_down", (time.monotonic() + 3600, "it is cut off"))
        with pytest.raises(BudgetGateUnavailable, match="it is cut off"):
            one.call()


def test_a_clock_that_is_set_back_makes_no_lease_longer() -> None:
    now, up = time.time(), book.up_s()
    term = Term("f", "h", ends_at=now + 60, began_up=up, ends_up=up + 60)
    assert term.holds()
    assert not term._replace(ends_at=now - 1).holds()
    assert not term._replace(ends_up=up).holds()  # an hour later by the clock that nobody sets
    assert not term._replace(began_up=up + 100, ends_up=up + 160).holds()  # the machine was started anew


def test_a_limit_that_is_lowered_holds_at_once(tmp_path: Path) -> None:
    with hosts(tmp_path, "one", "two", profile=ONE_LIMIT) as (one, two):
        assert one.spend(5) == 5
        two.call()
        for host in (one, two):
            host.profile.write_text(host.profile.read_text().replace("1.00", "0.35"))
        time.sleep(0.6)
        one.workspace.loaded_profile()
        assert one.spend(20) <= 1
        assert two.spend(20) <= 1
        for host in (one, two):
            host.fleet.publish()
        [(cost,)] = sql(one, "SELECT sum(cost) FROM entries")
        assert cost <= 350_000_000


def test_a_storage_that_was_copied_is_told_from_its_original(tmp_path: Path) -> None:
    with hosts(tmp_path, "one", profile=ONE_LIMIT) as (one,):
        one.call()
        shutil.copytree(one.folder, tmp_path / "copy")
        copy = Host(tmp_path / "copy", ONE_LIMIT)
        one.fleet.renew()
        with pytest.raises(HostCopied, match="cost-dashboard shared rejoin"):
            copy.fleet.renew()
        with pytest.raises(BudgetGateUnavailable, match="was this one copied"):
            copy.spend(20)
        copy.fleet.member.rejoin()
        copy.call()
        assert sql(one, "SELECT count(*) FROM hosts") == [(2,)]
        copy.close()


def test_after_a_restart_nothing_is_granted_until_all_hosts_have_reported(tmp_path: Path) -> None:
    with hosts(tmp_path, "one", "two", profile=ONE_LIMIT) as (one, two):
        one.call()
        two.call()
        sql(one, "UPDATE fleet SET server = 'another start'")
        sql(one, "UPDATE leases SET granted = 0")  # the older state knows nothing of them
        with pytest.raises(BudgetGateUnavailable, match=r"nothing is granted until .* or for \d+ s at most"):
            one.spend(20)
        two.fleet.renew()
        sql(one, "UPDATE fleet SET since = since - interval '61 s'")  # nobody joined since, as it seems
        time.sleep(DENIED_S)
        rest = one.spend(20)
        [(granted,)] = sql(one, "SELECT granted FROM leases l JOIN hosts h ON h.id = l.host WHERE h.id = 2")
        assert granted >= COST  # it said what it has
        assert (rest + 1) * COST <= 1_000_000_000 - granted


def test_a_host_that_is_gone_is_waited_for_no_longer_than_its_lease(tmp_path: Path) -> None:
    with hosts(tmp_path, "one", "two", profile=ONE_LIMIT) as (one, two):
        two.call()
        sql(two, "UPDATE fleet SET server = 'another start'")
        with pytest.raises(BudgetGateUnavailable):
            one.call()
            two.call()
            one.spend(20)
        sql(two, "UPDATE fleet SET since = since - interval '61 s'")
        time.sleep(DENIED_S)  # what was refused a moment ago is not asked for at once
        with pytest.raises(BudgetGateUnavailable, match=r"or for \d+ s at most"):
            one.spend(20)
        sql(two, "UPDATE fleet SET since = since - interval '61 s'")
        time.sleep(DENIED_S)
        assert one.spend(1) == 1


def test_a_database_that_went_back_in_time_is_noticed_by_who_knows_more(
    tmp_path: Path, database_url: str
) -> None:
    with hosts(tmp_path, "one", "two", profile=ONE_LIMIT) as (one, two):
        one.call()
        two.call()
        for host in (one, two):
            host.fleet.agent.finish()  # it would ask for the database while there is none
        one.fleet.publish()
        [name] = [database_url.rsplit("/", 1)[1]]
        one.fleet.database.close()
        one.fleet._outbox.close()
        two.fleet.database.close()
        with psycopg.connect(database_url.replace(name, "postgres"), autocommit=True) as admin:
            _drop_connections(admin, name)
            admin.execute(f'CREATE DATABASE "{name}-backup" TEMPLATE "{name}"'.encode())
        lost = one.spend(5)
        one.fleet.publish()
        one.fleet.database.close()
        one.fleet._outbox.close()
        with psycopg.connect(database_url.replace(name, "postgres"), autocommit=True) as admin:
            _drop_connections(admin, name)
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
            admin.execute(f'ALTER DATABASE "{name}-backup" RENAME TO "{name}"'.encode())
        one.fleet.renew()
        assert sql(one, "SELECT went_back <> '' FROM fleet") == [(True,)]
        sql(one, "UPDATE hosts SET rests = false WHERE id = 2")  # as if it had been at work
        sql(one, "UPDATE fleet SET since = since - interval '1 day'")
        with pytest.raises(BudgetGateUnavailable, match=r"went back to an older state: .* or is released"):
            one.spend(20)
        two.fleet.renew()
        more, other = one.spend(20), two.spend(20)
        assert (1 + lost + more + 1 + other) * COST <= 1_000_000_000
        one.fleet.publish()
        two.fleet.publish()
        [(calls,)] = sql(one, "SELECT count(*) FROM entries")
        assert calls >= 1 + lost  # what was lost there was brought again


def test_a_second_restart_lets_nobody_be_forgotten_who_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Agent, "logged", lambda *_: None)  # nothing is renewed by itself
    with hosts(tmp_path, "one", "two", profile=ONE_LIMIT) as (one, two):
        one.call()
        two.call()
        sql(one, "UPDATE fleet SET epoch = 1, went_back = 'one'")
        sql(one, "UPDATE hosts SET epoch = 2 - id, rests = false")  # the first one has reported
        sql(one, "UPDATE fleet SET server = 'another start'")
        one.fleet.renew()
        sql(one, "UPDATE fleet SET since = since - interval '1 day'")
        with pytest.raises(BudgetGateUnavailable, match=r"went back to an older state: .* or is released"):
            one.spend(20)
        two.fleet.renew()
        sql(one, "UPDATE fleet SET server = 'a third start'")
        two.fleet.renew()
        assert sql(one, "SELECT went_back FROM fleet") == [("",)]


def test_a_host_that_joined_after_the_state_that_came_back_is_remembered_by_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Agent, "logged", lambda *_: None)  # nothing is renewed by itself
    with hosts(tmp_path, "one", "two", "three", profile=ONE_LIMIT) as (one, two, three):
        one.call()
        [state] = sql(one, "SELECT version, token FROM hosts")
        two.fleet.renew(rests=True)
        spent = three.spend(12)
        one.fleet.renew()
        sql(
            one, "DELETE FROM leases WHERE host = 3"
        )  # to where the third one had not joined, the second not traded
        sql(one, "DELETE FROM hosts WHERE id = 3")
        sql(one, "UPDATE hosts SET version = 0, rests = true, token = '' WHERE id = 2")
        sql(one, "UPDATE hosts SET version = ?, token = ? WHERE id = 1", *state)
        sql(one, "UPDATE fleet SET server = 'another start'")
        one.fleet.renew()
        for waited_for in (two, three):
            sql(one, "UPDATE fleet SET since = since - interval '1 day'")
            time.sleep(DENIED_S)
            with pytest.raises(
                BudgetGateUnavailable, match=r"went back to an older state: .* or is released"
            ):
                one.spend(20)
            waited_for.fleet.renew()
        time.sleep(DENIED_S)  # what was refused a moment ago is not asked for at once
        assert (1 + spent + one.spend(20)) * COST <= 1_000_000_000


def test_one_that_nobody_remembers_has_a_lease_s_time_after_every_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Agent, "logged", lambda *_: None)
    with hosts(tmp_path, "one", profile=ONE_LIMIT) as (one,):
        one.call()
        sql(one, "UPDATE fleet SET server = 'another start'")
        with pytest.raises(BudgetGateUnavailable, match=r"hosts that joined since reported, or for \d+ s"):
            one.spend(20)
        sql(one, "UPDATE fleet SET since = since - interval '61 s'")
        time.sleep(DENIED_S)
        assert one.spend(1) == 1


def _drop_connections(admin: psycopg.Connection[tuple[object, ...]], name: str) -> None:
    admin.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (name,))


def test_what_a_host_had_when_its_disk_was_lost_counts_on(tmp_path: Path) -> None:
    with hosts(tmp_path, "one", profile=ONE_LIMIT) as (one,):
        assert one.spend(10) == 10
        one.fleet.renew()
        instead = Host(tmp_path / "instead", ONE_LIMIT)  # nothing of it is left
        assert 8 <= instead.spend(20) <= 10
        instead.close()


def test_an_exchange_without_an_answer_is_told_from_a_copy_however_often_it_is_tried(tmp_path: Path) -> None:
    with hosts(tmp_path, "one", profile=ONE_LIMIT) as (one,):
        one.call()
        database, run = one.fleet.database, one.fleet.database.run

        def answer_lost(action: Any, wait_s: float) -> Any:
            run(action, wait_s)
            raise SharedUnavailable("the answer was lost")

        def cut_off(action: Any, wait_s: float) -> Any:
            raise SharedUnavailable("it is cut off")

        for broken in (answer_lost, *[cut_off] * 60, answer_lost):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(database, "run", broken)
                with pytest.raises(SharedUnavailable):
                    one.fleet.renew()
        one.fleet.renew(lower=True)
        [(granted,)] = sql(one, "SELECT granted FROM leases")
        [lease] = one.fleet.member.leases()
        assert lease.granted == granted == COST


def test_an_exchange_that_was_given_up_is_not_carried_out_after_a_later_one(tmp_path: Path) -> None:
    with hosts(tmp_path, "one", profile=ONE_LIMIT) as (one,):
        one.call()
        late: list[Any] = []

        def given_up(action: Any, wait_s: float) -> Any:
            late.append(action)
            raise SharedUnavailable("given up")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(one.fleet.database, "run", given_up)
            with pytest.raises(SharedUnavailable):
                one.fleet.renew(lower=True)
        assert one.spend(3) == 3
        with pytest.raises(HostCopied):
            one.fleet.database.run(late[0], 10)
        [(granted,)] = sql(one, "SELECT granted FROM leases")
        [lease] = one.fleet.member.leases()
        assert lease.granted == granted >= 4 * COST
