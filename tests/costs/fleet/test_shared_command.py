"""``cost-dashboard shared``, as people run it."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from shared.costs.apps.cli.program import run
from shared.costs.workspace import Workspace
from tests.support.fleet_hosts import hosts


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "profile.yaml"
    path.write_text("shared: {url: env:COST_TRACKER_SHARED}\n")
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(path))
    return path


def test_a_database_is_made_ready_and_checked(
    database_url: str, profile: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["shared", "check"]) == 3
    assert "cost-dashboard shared init" in capfd.readouterr().err
    assert run(["shared", "init"]) == 0
    assert "the shared database (env:COST_TRACKER_SHARED) is ready" in capfd.readouterr().err
    assert run(["shared", "init"]) == 0
    assert "has the tables of this version" in capfd.readouterr().err
    assert run(["shared", "check"]) == 0
    said = capfd.readouterr().err
    assert "can be used: PostgreSQL" in said
    assert database_url not in said


def test_without_an_address_it_says_what_to_do(
    tmp_path: Path, profile: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COST_TRACKER_SHARED", raising=False)
    assert run(["shared", "check"]) == 3
    assert "export COST_TRACKER_SHARED=postgresql://" in capfd.readouterr().err
    profile.write_text("budget: {}\n")
    assert run(["shared", "check"]) == 2
    assert "write shared: {url: env:COST_TRACKER_SHARED}" in capfd.readouterr().err
    profile.write_text("shared: {url: postgresql://ana:s3cret@db/costs}\n")
    assert run(["shared", "check"]) == 3
    said = capfd.readouterr().err
    assert "does not belong here; write env:NAME" in said
    assert "s3cret" not in said


def shown(arguments: list[str], capfd: pytest.CaptureFixture[str], code: int = 0) -> str:
    assert run(arguments) == code
    captured = capfd.readouterr()
    return captured.out + captured.err


NOW = datetime.now(UTC)

LIMITED = """
shared: {url: env:COST_TRACKER_SHARED}
budget: {monthly_limit_usd: 1.00, block_at_limit: true}
"""


def test_every_view_of_sums_can_be_asked_of_all_hosts(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with hosts(tmp_path, "one", "two", profile=LIMITED) as (one, two):
        one.call()
        two.call()
        two.log(user="bob")
        for host in (one, two):
            host.fleet.publish()
        at = ["--profile", str(one.profile), "--cost-storage", str(one.storage), "--json"]
        mine = json.loads(shown(["show-monthly", *at], capfd))
        everyone = json.loads(shown(["show-monthly", "--shared", *at], capfd))
        assert (mine["total_cost"], everyone["total_cost"]) == (0.05, 0.15)
        assert everyone["unique_jobs"] == 3
        budget = json.loads(shown(["show-budget", "--shared", "--user", "ana", *at], capfd))
        assert budget["spent_usd"] == 0.1
        assert budget["reserved_usd"] > 0  # what both hosts may spend of her limit
        assert budget["late_hosts"] == []
        report = json.loads(shown(["report", "--shared", "--by", "user", *at], capfd))
        assert report["totals"]["calls"] == 3
        assert json.loads(shown(["check", "--shared", "--everyone", *at], capfd))["result"] == "within bounds"
        assert "looked at on its own host" in shown(["check", "--shared", "--job", "job-ana", *at], capfd, 2)
        assert "all hosts" in shown(["show-monthly", "--shared", *at[:-1]], capfd)


VIEWS = (
    ["show-monthly"],
    ["report", "--by", "model"],
    ["report", "--by", "tag"],
    ["report", "--by", "job"],
    ["trend", "--by", "stage"],
    ["stats"],
    ["summary"],
    ["forecast"],
    ["anomalies"],
)


def test_a_view_of_all_hosts_is_that_of_their_calls_on_one(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shared.costs.apps.cli.app.Workspace", partial(Workspace, clock=lambda: NOW))
    rules = LIMITED + "tag_rules: [{tag: 'customer:acme', stage: asr}]\n"
    with hosts(tmp_path, "one", "two", "all", profile=rules) as (one, two, every):
        every.profile.write_text(every.profile.read_text().replace("shared:", "x-shared:"))
        rng = random.Random(1)
        for day in range(45):
            for _ in range(rng.randrange(4)):
                usual: dict[str, Any] = {
                    "timestamp": NOW - timedelta(days=day, hours=rng.randrange(20)),
                    "stage": rng.choice(["asr", "mt"]),
                    "tags": rng.choice([[], ["night"]]),
                }
                tokens, (host, user) = rng.randrange(9_000), rng.choice([(one, "ana"), (two, "bob")])
                for place in (host, every):
                    place.tracker(user).log_usage("openai", "gpt-4o", tokens, 20, **usual)
        for host in (one, two):
            host.fleet.publish()
        for view in VIEWS:
            at = [
                ["--profile", str(host.profile), "--cost-storage", str(host.storage)] for host in (one, every)
            ]
            theirs = json.loads(shown([*view, "--json", "--shared", *at[0]], capfd))
            mine = json.loads(shown([*view, "--json", *at[1]], capfd))
            assert theirs.pop("late_hosts") == []
            assert theirs == mine, view


def test_limits_of_plans_are_of_the_calls_of_all_hosts(
    tmp_path: Path, database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    plan = "{covers: [openai/*], free: {tokens: 3000}, monthly_limit_usd: 0.10}"
    with hosts(tmp_path, "one", "two", profile=f"{LIMITED}plans: {{volume: {plan}}}\n") as (one, two):
        for host in (one, two):
            host.call()
            host.fleet.publish()
        at = ["--profile", str(one.profile), "--cost-storage", str(one.storage), "--json"]
        check = json.loads(shown(["check", "--shared", "--user", "ana", *at], capfd))
        [found] = [each for each in check["checks"] if each["check"] == "plan volume"]
        both = found["value_usd"]
        alone = json.loads(shown(["check", "--user", "ana", *at], capfd))
        [own] = [each for each in alone["checks"] if each["check"] == "plan volume"]
        assert both > own["value_usd"]
        budget = json.loads(shown(["show-budget", "--shared", "--user", "ana", *at], capfd))
        [limit] = [each for each in budget["limits"] if "plan" in each["scope"]]
        assert limit["spent_usd"] == both
        said = shown(["check", "--shared", "--user", "ana", *at[:-1]], capfd)
        assert "Limit of volume: what is free is drawn down by sums" in said


def test_hosts_their_leases_and_those_that_are_late_are_shown(
    tmp_path: Path, database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with hosts(tmp_path, "one", "two", profile=LIMITED) as (one, two):
        one.call()
        two.call()
        for host in (one, two):
            host.fleet.publish()
        two.fleet.agent.finish()
        at = ["--profile", str(one.profile), "--cost-storage", str(one.storage)]
        standing = json.loads(shown(["shared", "--json", *at], capfd))
        assert [each["state"] for each in standing["hosts"]] == ["live", "at rest"]
        assert standing["leased_usd"] > 0
        assert "2 hosts in env:COST_TRACKER_SHARED" in shown(["doctor", *at], capfd)
        uid = standing["hosts"][0]["uid"]
        assert "may use its lease for" in shown(["shared", "release", uid, *at], capfd, 2)
        one.fleet.database.run(
            lambda db: db.execute("UPDATE hosts SET lease_until = now() - interval '90 s'"), 9
        )
        said = shown(["shared", *at], capfd)
        assert "late" in said
        assert re.search(f"cost-dashboard shared .*release {uid[:8]}", " ".join(said.split()))
        assert "has not reported since" in shown(["show-monthly", "--shared", *at], capfd)
        assert "0 hosts are called nobody" in shown(["shared", "release", "nobody", *at], capfd, 2)
        assert "counts no more than it published" in shown(["shared", "release", uid[:8], *at], capfd)
        assert json.loads(shown(["shared", "--json", *at], capfd))["leased_usd"] == 0
        assert "published 0 entries" in shown(["shared", "publish", *at], capfd)
        assert "name of its own" in shown(["shared", "rejoin", *at], capfd)
        assert "takes a HOST" in shown(["shared", "status", "x", *at], capfd, 2)


def test_hosts_with_other_profiles_are_shown(
    tmp_path: Path, database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with hosts(tmp_path, "one", "two", profile=LIMITED) as (one, two):
        two.profile.write_text(LIMITED + "aliases: {our-gpt: gpt-4o}\n")
        for host in (one, two):
            host.fleet.renew()
        at = ["--profile", str(one.profile), "--cost-storage", str(one.storage)]
        assert sorted(
            host["differs"] for host in json.loads(shown(["shared", "--json", *at], capfd))["hosts"]
        ) == [
            [],
            ["aliases"],
        ]
        for view in ("shared", "doctor"):
            said = " ".join(shown([view, *at], capfd, 0 if view == "shared" else 1).split())
            assert "had aliases other than here when it was seen last" in said
            assert "ive all hosts the same profile" in said


def test_a_view_of_all_hosts_without_a_database_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "--shared needs a database" in shown(["show-monthly", "--shared"], capfd, 2)


def test_a_ledger_is_packed_away_once_all_hosts_count_it(
    tmp_path: Path, profile: Path, database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    job = tmp_path / "job-1"
    log = f"""
from shared.cost_tracker import CostTracker
with CostTracker({str(job)!r}) as tracker:
    tracker.log_usage("openai", "gpt-4o", 1000, 200, timestamp="2025-03-01T00:00:00Z")
"""
    subprocess.run([sys.executable, "-c", log], check=True)
    ledger, archive = (
        job / "cost_ledger.jsonl",
        ["archive", "--to", str(tmp_path / "archive"), "--pack", "--json"],
    )
    assert "it is not known whether the shared budget counts it" in shown(archive, capfd)
    assert ledger.exists()
    shown(["shared", "init"], capfd)
    shown(archive, capfd)
    assert not ledger.exists()
    month = ["show-monthly", "--month", "2025-03", "--json"]
    assert json.loads(shown([*month, "--shared"], capfd))["total_cost"] == 0.0045
    assert json.loads(shown(month, capfd))["total_cost"] == 0.0045
    assert "published 0 entries" in shown(["shared", "publish"], capfd)
    with psycopg.connect(database_url) as db:  # back to a state of before
        db.execute("TRUNCATE cost_ledger.entries, cost_ledger.days, cost_ledger.cells, cost_ledger.spend")
        db.execute("DELETE FROM cost_ledger.ledgers")
    assert json.loads(shown([*month, "--shared"], capfd))["total_cost"] == 0
    again = [sys.executable, "-c", log.replace("03-01", "04-01")]
    ended = subprocess.run(again, check=True, capture_output=True)  # a new one lies there
    assert b"Traceback" not in ended.stderr
    with psycopg.connect(database_url) as db:  # its own process publishes both, where that has the time
        [(before,)] = db.execute("SELECT count(*) FROM cost_ledger.entries").fetchall()
    assert f"published {2 - before} entries" in shown(["shared", "publish"], capfd)
    assert "published 0 entries" in shown(["shared", "publish"], capfd)
    for each in ("2025-03", "2025-04"):
        every = shown(["show-monthly", "--month", each, "--shared", "--json"], capfd)
        assert json.loads(every)["total_cost"] == 0.0045
