"""The background of a process: nobody waits for it, and what it cannot do now it does later."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import pytest

from shared.cost_tracker import CostTracker
from shared.costs.fleet.database import SharedUnavailable
from shared.costs.fleet.fleet import FINISH_S, Agent
from tests.support.elapsed import PATIENCE_S, own_time
from tests.support.fleet_hosts import Host, hosts

ALONE = "shared: {url: env:COST_TRACKER_SHARED}\n"


def entries(host: Host) -> int:
    [(count,)] = host.fleet.database.run(lambda db: db.execute("SELECT count(*) FROM entries").fetchall(), 10)
    return int(count)


def wait_for(what: object, seconds: float = PATIENCE_S) -> None:
    assert callable(what)
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.05)
    assert what()


def test_a_call_never_waits_for_a_database_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("COST_TRACKER_SHARED", "postgresql://costs@10.255.255.1:9/costs")  # answers nobody
    (tmp_path / "profile.yaml").write_text(ALONE)
    with CostTracker(tmp_path / "job", "ana", profile_path=tmp_path / "profile.yaml") as tracker:
        tracker.log_usage("local", "sphinx", 1)  # what is imported once is imported now
        began = own_time()
        for _ in range(5):
            tracker.log_usage("local", "sphinx", 1)
        assert own_time() - began < 2.5
        assert tracker.get_usage_stats()
    fleet = tracker._session.workspace.fleet
    assert fleet is not None
    began = own_time()
    fleet.agent.finish()
    assert own_time() - began < FINISH_S + 2


def test_what_could_not_be_published_is_published_later_and_both_are_said(
    tmp_path: Path, database_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.costs.fleet.fleet._PAUSES_S", (0.05,))
    caplog.set_level(logging.INFO)
    with hosts(tmp_path, "one", profile=ALONE) as (one,):
        publish = type(one.fleet).publish
        with monkeypatch.context() as patch:

            def cut_off(*_: object) -> None:
                raise SharedUnavailable("it is cut off")

            patch.setattr(type(one.fleet), "publish", cut_off)
            one.log()
            wait_for(lambda: "totals of all hosts are late, nothing is lost: it is cut off" in caplog.text)
        assert type(one.fleet).publish is publish
        wait_for(lambda: entries(one) == 1)
        wait_for(lambda: "the shared budget is up to date again" in caplog.text)


def test_leases_are_renewed_in_the_background_and_given_back_at_rest(
    tmp_path: Path, database_url: str
) -> None:
    profile = "shared: {url: env:COST_TRACKER_SHARED, lease_s: LEASE}\nbudget: {block_at_limit: true}\n"
    with hosts(tmp_path, "one", profile=profile, lease_s=2) as (one,):
        one.call()
        [before] = one.fleet.member.leases()
        assert before.granted > 50_000_000

        def rests() -> bool:
            rows = one.fleet.database.run(lambda db: db.execute("SELECT rests FROM hosts").fetchall(), 10)
            return rows == [(True,)]

        wait_for(rests)
        [after] = one.fleet.member.leases()
        assert after.granted == 50_000_000


def test_a_child_that_was_forked_has_a_background_of_its_own(tmp_path: Path, database_url: str) -> None:
    with hosts(tmp_path, "one", profile=ALONE) as (one,):
        one.log()
        child = os.fork()
        if not child:  # pragma: no cover - another process
            one.log(2)
            one.fleet.agent.finish()
            os._exit(0)
        os.waitpid(child, 0)
        wait_for(lambda: entries(one) == 3)


def test_an_interpreter_that_ends_starts_nothing(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hosts(tmp_path, "one", profile=ALONE) as (one,):

        def refuse(*_: object, **__: object) -> None:
            raise RuntimeError("can't start new thread")

        agent = Agent(one.fleet)
        monkeypatch.setattr("threading.Thread.start", refuse)
        agent.logged(tmp_path / "ledger")
        agent.finish()
        with pytest.raises(SharedUnavailable, match="can't start new thread"):
            one.fleet._outbox.run(lambda db: db, 1)
