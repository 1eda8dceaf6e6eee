"""What is published: each entry once, with the very sums that its host has."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.cost_tracker import CostTracker
from shared.costs.fleet.fleet import Agent
from shared.costs.fleet.publishing import published, waiting_bytes
from shared.costs.platform import SecureFile
from shared.costs.rollup import Dimension, Query
from shared.costs.storage import LEDGER_NAME
from shared.costs.store.journal import opened
from tests.support.fleet_hosts import Host, hosts

pytestmark = pytest.mark.usefixtures("database_url")

ALONE = "shared: {url: env:COST_TRACKER_SHARED}\n"
SPAN = Query(start=datetime(2026, 1, 1, 7, 15, tzinfo=UTC), end=datetime(2100, 1, 1, 3, 30, tzinfo=UTC))


def varied(host: Host, job: str = "job-x") -> CostTracker:
    """Calls that differ in all that sums tell apart."""
    tracker = CostTracker(host.folder / job, "ana", host.storage, profile_path=host.profile)
    tracker.log_usage("openai", "gpt-4o", 100, 20, stage="asr", tags=["customer:acme", "night"], project="p1")
    tracker.log_usage("openai", "gpt-4o", 300, 40, stage="asr", attempt=2, operation="chat")
    tracker.log_usage("openai", "whisper-1", audio_seconds=90.5, workflow="subtitle", service_tier="batch")
    tracker.log_usage("nobody", "no-such-model", 5, 5, stage="x\u0378")
    tracker.log_usage("openai", "gpt-image-1", images=3)
    tracker.log_usage("local", "sphinx", 7, 7, timestamp=datetime(2026, 11, 1, 23, 59, tzinfo=UTC))
    return tracker


def entries(host: Host) -> int:
    """How many entries are published."""
    [(count,)] = host.fleet.database.run(lambda db: db.execute("SELECT count(*) FROM entries").fetchall(), 10)
    return int(count)


def waiting(host: Host) -> int:
    """How many bytes of ledgers are not published."""
    ledgers = host.workspace.index.ledgers()
    known = host.fleet.database.run(lambda db: published(db, 1, ledgers), 10)
    return sum(waiting_bytes(known, ledgers).values())


DIMENSIONS: list[tuple[Dimension, ...]] = [
    (),
    ("user_id",),
    ("service", "model"),
    ("stage",),
    ("tags", "project"),
    ("operation", "workflow", "service_tier"),
    ("job_id",),
    ("bucket",),
]


def test_what_is_published_has_the_sums_of_its_host(tmp_path: Path) -> None:
    with hosts(tmp_path, "one", profile=ALONE) as (one,):
        varied(one).close()
        assert one.fleet.publish().waiting == 0
        assert entries(one) == 6
        here, there = one.workspace.index, one.fleet.sums
        for by in DIMENSIONS:
            for query in (SPAN, Query(), SPAN._replace(user_id="ana"), SPAN._replace(tag="night")):
                assert there.groups(by, query) == here.groups(by, query), (by, query)
        for measure in ("cost", "calls", "tokens"):
            asked = [SPAN._replace(measure=measure), SPAN._replace(measure=measure, model="gpt-4o")]
            assert there.spends(asked) == here.spends(asked)
        assert SPAN.start is not None
        assert SPAN.end is not None
        assert there.spend_by_bucket(SPAN.start, SPAN.end) == here.spend_by_bucket(SPAN.start, SPAN.end)
        parts = [(SPAN.start, SPAN.end), (SPAN.end, SPAN.end.replace(year=2101))]
        assert there.groups_by_part(("stage",), Query(), parts) == here.groups_by_part(
            ("stage",), Query(), parts
        )


def test_an_entry_counts_once_whoever_brings_it_and_however_often(tmp_path: Path) -> None:
    with hosts(tmp_path, "one", "two", profile=ALONE) as (one, two):
        varied(one).close()
        shutil.copytree(one.folder / "job-x", two.folder / "job-x")
        two.workspace.index.add_under(two.folder)
        for host in (one, two, one, two):
            assert host.fleet.publish().waiting == 0
            assert entries(one) == 6
        assert one.fleet.sums.groups((), Query())[0].totals.calls == 6
        varied(one).close()
        one.fleet.publish()
        assert entries(one) == 12


@pytest.mark.parametrize("more", [1, 0])  # 0: the new ledger is as long as the old one, to the byte
def test_a_ledger_that_was_replaced_keeps_what_was_published_of_it(
    more: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Agent, "logged", lambda *_: None)  # nothing is published but by this test
    with hosts(tmp_path, "one", profile=ALONE) as (one,):
        ledger = one.folder / "job-x" / LEDGER_NAME
        varied(one).close()
        one.fleet.publish()
        length = ledger.stat().st_size
        shutil.rmtree(ledger.parent)
        tracker = varied(one)
        for _ in range(more):
            tracker.log_usage("local", "sphinx", 1)
        tracker.close()
        assert (ledger.stat().st_size == length) == (more == 0)
        assert waiting(one) == ledger.stat().st_size
        one.fleet.publish()
        assert entries(one) == 12 + more
        assert one.fleet.sums.groups((), Query())[0].totals.calls == 12 + more
        assert waiting(one) == 0


def test_a_line_that_is_damaged_or_torn_is_not_published(tmp_path: Path) -> None:
    with hosts(tmp_path, "one", profile=ALONE) as (one,):
        varied(one).close()
        ledger = one.folder / "job-x" / "cost_ledger.jsonl"
        whole = ledger.read_bytes()
        with ledger.open("ab") as file:
            file.write(b'{"v": 1, "damaged": true}\n{"torn')
        assert one.fleet.publish().waiting == len('{"torn')
        assert entries(one) == 6
        ledger.write_bytes(whole + b'{"v": 1, "damaged": true}\n')
        assert one.fleet.publish().waiting == 0


def test_more_than_one_batch_is_published_in_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hosts(tmp_path, "one", profile=ALONE) as (one,):
        for number in range(3):
            varied(one, f"job-{number}").close()
        monkeypatch.setattr("shared.costs.fleet.publishing.publish.__defaults__", (4,))
        one.fleet.publish()
        assert entries(one) == 18
        assert one.fleet.sums.groups((), Query())[0].totals.calls == 18


def test_the_background_publishes_and_ends_with_its_process(tmp_path: Path) -> None:
    with hosts(tmp_path, "one", profile=ALONE) as (one,):
        varied(one).close()
        one.fleet.agent.finish()
        assert one.fleet.sums.groups((), Query())[0].totals.calls == 6
        [(rests,)] = one.fleet.database.run(lambda db: db.execute("SELECT rests FROM hosts").fetchall(), 10)
        assert rests


def test_damaged_lines_are_of_a_batch_and_hide_nothing_behind_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Agent, "logged", lambda *_: None)
    monkeypatch.setattr("shared.costs.fleet.publishing.publish.__defaults__", (3,))
    with hosts(tmp_path, "one", profile=ALONE) as (one,):
        varied(one).close()
        first, *others = (one.folder / "job-x" / LEDGER_NAME).read_bytes().splitlines(keepends=True)
        new = one.folder / "job-y" / LEDGER_NAME
        new.parent.mkdir()
        new.write_bytes(b"".join([first, b"nonsense\n", *others]))
        new.chmod(0o600)
        shutil.rmtree(one.folder / "job-x")
        one.workspace.index.add([new])
        assert one.fleet.publish() == (6, {})


def test_what_is_published_whole_is_not_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Agent, "logged", lambda *_: None)
    with hosts(tmp_path, "one", profile=ALONE) as (one,):
        trackers = [varied(one, f"job-{number}") for number in range(3)]
        one.fleet.publish()
        looked = list[bytes]()

        def seen(place: Path | bytes) -> SecureFile:
            looked.append(os.fsencode(place))
            return opened(place)

        monkeypatch.setattr("shared.costs.fleet.publishing.opened", seen)
        assert one.fleet.publish() == (0, {})
        assert looked == []
        trackers[1].log_usage("openai", "gpt-4o", 1, 1)
        assert one.fleet.publish().entries == 1
        assert set(looked) == {os.fsencode(one.folder / "job-1" / LEDGER_NAME)}
