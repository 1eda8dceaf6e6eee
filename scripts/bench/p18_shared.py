"""P18: what budgets that several hosts share cost: leases, publishing, and a month of all hosts.

Against a PostgreSQL of its own. Subjects take turns. A call under a lease is set against the same call under
a local limit, and against one that asks the database at each reserve and settle, as gates without leases do.

    python scripts/bench/p18_shared.py [--rounds 5] [--calls 40] [--entries 1000000]
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from scripts.bench.harness import Measured, Row, interleaved, show
from scripts.faults.command_line import command_line
from scripts.faults.common import entry
from shared.cost_tracker import CostTracker
from shared.costs.fleet.database import SharedDatabase, Transaction
from shared.costs.fleet.fleet import Fleet, close_all
from shared.costs.ledger.line import encode
from shared.costs.rollup import Query
from shared.costs.workspace import Workspace
from tests.support.postgres import running

MODEL: Final = ("openai", "gpt-4o")
LIMIT: Final = "budget: {monthly_limit_usd: 1000000, block_at_limit: true}\n"
SHARED: Final = "shared: {url: env:COST_TRACKER_SHARED}\n"
LEASE_TARGET, PUBLISH_TARGET_S, MONTH_TARGET_S = 1.2, 1.0, 0.15
A_LEDGER: Final = 10_000
A_JOB: Final = timedelta(hours=6)
MONTH: Final = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)


class Caller:
    """A stage that reserves and logs each call, in a storage of its own."""

    def __init__(self, folder: Path, name: str, profile: str) -> None:
        home = folder / name
        home.mkdir()
        (home / "profile.yaml").write_text(profile)
        self.tracker = CostTracker(home / "job", "ana", home / "storage", profile_path=home / "profile.yaml")

    def call(self) -> None:
        """Reserve, log and settle one call."""
        with self.tracker.reserve(*MODEL, tokens_input=1500, max_tokens_output=300) as hold:
            self.tracker.log_usage(*MODEL, 1500, 300, reservation=hold)


class RoundTrips:
    """What a gate without leases does: the database is asked at each reserve and told at each settle."""

    def __init__(self, caller: Caller, database: SharedDatabase) -> None:
        self._caller, self._database = caller, database
        database.run(_lay, 10)

    def call(self) -> None:
        """Reserve there, call and log here, settle there."""
        self._database.run(_reserve, 10)
        self._caller.call()
        self._database.run(_settle, 10)


def _lay(db: Transaction) -> None:
    db.execute("CREATE TABLE bench (spent bigint NOT NULL, held bigint NOT NULL)")
    db.execute("INSERT INTO bench VALUES (0, 0)")


def _reserve(db: Transaction) -> None:
    db.execute("SELECT 1 FROM bench FOR UPDATE")
    db.execute("UPDATE bench SET held = held + 10 WHERE spent + held + 10 < 1000000000")


def _settle(db: Transaction) -> None:
    db.execute("UPDATE bench SET held = held - 10, spent = spent + 7")


def calls(folder: Path, rounds: int, count: int) -> list[Row]:
    """Compare whole calls: under a local limit, under a lease, and with two round trips."""
    local, leased = Caller(folder, "local", LIMIT), Caller(folder, "leased", SHARED + LIMIT)
    fleet = _fleet(leased.tracker)
    fleet.init()
    trips = RoundTrips(Caller(folder, "trips", LIMIT), SharedDatabase(fleet.database.address))
    leased.call()  # which gets the lease
    found = interleaved({"local": local.call, "leased": leased.call, "trips": trips.call}, rounds, count)
    base = found["local"]
    return [
        _row("reserve, log and settle under a local limit", base, base),
        _row("the same with a lease in hand", found["leased"], base, LEASE_TARGET),
        _row("the same with a round trip for each reserve and settle", found["trips"], base),
    ]


def _row(what: str, found: Measured, base: Measured, target: float | None = None) -> Row:
    ratio = found.median / base.median
    wanted = f"<= {target:g}x" if target else ""
    return Row(what, f"{found.micros:.0f} us", f"{ratio:.2f}x", wanted, ratio <= target if target else None)


def published(folder: Path, entries: int) -> list[Row]:
    """Publish many entries, and ask for their month."""
    rng = random.Random(1)
    home = folder / "outbox"
    home.mkdir()
    (home / "profile.yaml").write_text(SHARED)
    with Workspace(home / "storage", home / "profile.yaml") as here:
        here.storage.prepare()
        fleet, times = here.fleet, []
        assert fleet is not None
        for number in range(-(-entries // A_LEDGER)):
            job = home / f"job-{number}"
            job.mkdir()
            ledger = job / "cost_ledger.jsonl"
            ledger.write_bytes(b"".join(calls_of_a_job(rng, number)))
            ledger.chmod(0o600)
            began = time.perf_counter()
            fleet.publish([ledger])
            times.append(time.perf_counter() - began)
        took = sorted(times)[len(times) // 2]
        month = Query(start=MONTH[0], end=MONTH[1])
        sums, asked = fleet.sums, []
        for _ in range(5):
            began = time.perf_counter()
            groups = sums.groups(("user_id", "service", "model", "stage", "operation"), month)
            asked.append(time.perf_counter() - began)
        assert sum(group.totals.calls for group in groups) >= len(times) * A_LEDGER
    fastest = sorted(asked)[len(asked) // 2]
    return [
        Row(
            f"publish {A_LEDGER:,} entries",
            f"{took:.2f} s",
            "",
            f"<= {PUBLISH_TARGET_S} s",
            took <= PUBLISH_TARGET_S,
        ),
        Row(
            f"a month by five dimensions, over {len(times) * A_LEDGER:,} entries of all hosts",
            f"{fastest * 1e3:.0f} ms",
            "",
            f"<= {MONTH_TARGET_S * 1e3:.0f} ms",
            fastest <= MONTH_TARGET_S,
        ),
    ]


def calls_of_a_job(rng: random.Random, number: int) -> Iterator[bytes]:
    """Give the lines of a job: one of 20 users, eight stages, six hours somewhere in a month."""
    began, user = MONTH[0] + rng.random() * (MONTH[1] - MONTH[0] - A_JOB), f"user-{number % 20}"
    for _ in range(A_LEDGER):
        at, stage = began + rng.random() * A_JOB, f"{rng.randrange(8):02}_stage"
        yield encode(replace(entry(rng), user_id=user, stage=stage, timestamp=at))


def _fleet(tracker: CostTracker) -> Fleet:
    fleet = tracker._session.workspace.fleet
    assert fleet is not None
    return fleet


def main() -> None:
    """Measure and print."""
    parser = command_line(__doc__, rounds=5, calls=40, entries=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running() as server:
        os.environ["COST_TRACKER_SHARED"] = server.url()
        rows = calls(Path(folder), options.rounds, options.calls)
        rows += published(Path(folder), options.entries)
        close_all()
    show("P18 budgets of several hosts", rows)


if __name__ == "__main__":
    main()
