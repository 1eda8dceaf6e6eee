"""Questions to the store: every sum is the one that a plain fold of the ledgers gives."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from copy import deepcopy
from datetime import datetime, timedelta
from itertools import chain, combinations, count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.costs.model import Entry
from shared.costs.rollup import Dimension, JobOrder, JobPage, JobRef, JobSums, Query, bucket_of
from shared.costs.store import catchup, tables
from shared.costs.store.catchup import CatchUp
from shared.costs.store.database import Database
from shared.costs.store.journal import Look, look_at
from shared.costs.store.store import Store
from tests.costs.store.store_support import (
    BEGIN,
    USERS,
    VALUES,
    WIDE,
    History,
    Placed,
    a_call,
    adjusted_entry,
    an_entry,
    assert_is_fold,
    means,
    month,
    plain_groups,
    reversed_entry,
    total,
)

HOURS = st.integers(-60 * 96, 60 * 96)
EDGES = [
    datetime(2026, 11, day, tzinfo=ZoneInfo(zone))
    for zone in ("UTC", "Asia/Kathmandu", "Asia/Kolkata", "Australia/Eucla", "America/Havana", "Pacific/Apia")
    for day in (1, 2, 14)
]


def a_history(root: Path, seed: int, jobs: int = 3, calls: int = 12) -> History:
    """Return ledgers with calls, reversals, adjustments and repetitions, which nobody has looked at."""
    chance, history = random.Random(seed), History(root)
    for number in range(jobs):
        ledger = history.job(f"job-{number}")
        for _ in range(calls):
            call = an_entry(chance, job_id=ledger.parent.name)
            history.append(ledger, call)
            if chance.random() < 0.1:
                history.append(ledger, reversed_entry(call))
            if chance.random() < 0.1:
                history.append(ledger, adjusted_entry(call, chance.choice([-700, 900])))
            if chance.random() < 0.1:
                history.append(history.job(f"job-{chance.randrange(number + 1)}"), call)
    return history


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> History:
    """A history that a store has read, whose tests change nothing."""
    history = a_history(tmp_path_factory.mktemp("sums"), 1, jobs=4, calls=80)
    history.open().add(history.ledgers)
    return history


@pytest.fixture
def store(known: History) -> Store:
    return known.opened[0]


def assert_same_groups(
    store: Store, entries: Sequence[Placed], by: Sequence[Dimension], query: Query
) -> None:
    expected = plain_groups(entries, by, query)
    found = store.groups(by, query)
    assert [g.totals.cost for g in found] == sorted((t.cost for t in expected.values()), reverse=True)
    for group in found:
        same = expected.pop(group.key)
        if not set(by) <= {"user_id", "job_id", "ledger"}:
            same.jobs = 0
        assert group.totals == same, group.key
    assert not expected


def test_everything_is_the_plain_fold(store: Store, known: History) -> None:
    assert_is_fold(store, known)


@pytest.mark.no_cover
@pytest.mark.parametrize("by", [(), *((name,) for name in VALUES), *combinations(sorted(VALUES), 2)], ids=str)
def test_sums_by_dimensions(store: Store, known: History, by: tuple[Dimension, ...]) -> None:
    span = Query(start=BEGIN + timedelta(days=3, hours=5), end=BEGIN + timedelta(days=20, minutes=45))
    for query in (Query(), span):
        assert_same_groups(store, known.there(), by, query)


FILTERS = {
    "stage": "06_asr",
    "service": "openai",
    "model": "gpt-4o",
    "operation": "summarization",
    "workflow": "transcribe",
    "project": "alpha",
    "tag": "a",
    "user_id": "Zoë",
    "job_id": "job-2",
}


@pytest.mark.no_cover
@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("by", [(), ("user_id",), ("stage", "model"), ("job_id",), ("bucket",)], ids=str)
def test_filters(store: Store, known: History, name: str, bounded: bool, by: tuple[Dimension, ...]) -> None:
    times = {"start": BEGIN + timedelta(hours=7), "end": BEGIN + timedelta(days=15)} if bounded else {}
    query = Query(**{name: FILTERS[name], **times})  # type: ignore[arg-type]
    entries = known.there()
    assert_same_groups(store, entries, by, query)
    assert store.spends([query]) == [total(entries, query).cost]
    same = [(ledger, entry) for ledger, entry in entries if means(query, ledger, entry)]
    assert {job.ledger for job in store.jobs(query)} == {ledger for ledger, _ in same}
    assert sorted(e.id for e in store.entries(query)) == sorted(e.id for _, e in same)


PARTS = [
    [(BEGIN + n * timedelta(days=1), BEGIN + (n + 1) * timedelta(days=1)) for n in range(100)],
    [(BEGIN + n * timedelta(hours=5), BEGIN + (n + 2) * timedelta(hours=5)) for n in range(-3, 12)],
    [(edge, edge + timedelta(days=30)) for edge in EDGES],
    [],
]


@pytest.mark.no_cover
@pytest.mark.parametrize("parts", PARTS, ids=("days", "overlapping", "zones", "none"))
@pytest.mark.parametrize("by", [(), ("service", "model"), ("user_id",), ("job_id", "stage")], ids=str)
@pytest.mark.parametrize("only", [{}, {"stage": "06_asr"}, {"job_id": "job-2"}], ids=str)
def test_parts_are_the_groups_of_each(
    store: Store,
    parts: Sequence[tuple[datetime, datetime]],
    by: tuple[Dimension, ...],
    only: dict[str, str],
) -> None:
    query = Query(**only)  # type: ignore[arg-type]
    expected = [store.groups(by, query._replace(start=start, end=end)) for start, end in parts]
    for group in chain.from_iterable(expected):
        group.totals.jobs = 0
    assert store.groups_by_part(by, query, parts) == expected


ORDERS: dict[JobOrder, Callable[[JobSums], object]] = {
    "newest": lambda each: -each.last,
    "cost": lambda each: -each.totals.cost,
    "calls": lambda each: -each.totals.calls,
    "name": lambda each: each.job.job_id,
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    "query",
    [
        Query(),
        Query(user_id=USERS[0]),
        Query(tag="a", start=BEGIN + timedelta(days=2)),
        Query(start=BEGIN + timedelta(days=3, hours=5), end=BEGIN + timedelta(days=5, minutes=45)),
    ],
    ids=str,
)
def test_a_page_of_jobs(store: Store, known: History, order: JobOrder, query: Query) -> None:
    mine: dict[Path, list[Placed]] = {}
    for ledger, entry in known.there():
        if means(query, ledger, entry):
            mine.setdefault(ledger, []).append((ledger, entry))
    expected = []
    for ledger, placed in mine.items():
        buckets = [bucket_of(entry.counted_at) for _, entry in placed]
        users = tuple(sorted({entry.user_id for _, entry in placed}))
        sums = total(placed)
        sums.jobs = 0
        expected.append(JobSums(JobRef(ledger.parent.name, ledger), sums, min(buckets), max(buckets), users))
    expected.sort(key=lambda each: (ORDERS[order](each), each.job.job_id))
    whole = len(expected)
    assert store.job_page(query, order) == JobPage(tuple(expected), whole)
    assert store.job_page(query, order, 1, 2) == JobPage(tuple(expected[1:3]), whole)
    assert store.job_page(query, order, whole + 5) == JobPage((), whole)


def test_jobs_are_found_by_a_part_of_their_name(store: Store) -> None:
    assert [each.job.job_id for each in store.job_page(Query(), named="OB-3").jobs] == ["job-3"]
    assert store.job_page(Query(), named="%") == JobPage((), 0)


def test_a_deleted_ledger_is_still_a_job(history: History) -> None:
    store, ledger = history.open(), history.job("job-1")
    history.log(store, ledger, a_call(700))
    ledger.unlink()
    [job] = store.job_page(Query()).jobs
    assert (job.job.job_id, job.totals.cost) == ("job-1", 700)


def test_one_ledger(store: Store, known: History) -> None:
    for ledger in known.ledgers:
        for by in ((), ("user_id",), ("stage", "bucket")):
            assert_same_groups(store, known.there(), by, Query(ledger=ledger))


@pytest.mark.no_cover
@settings(max_examples=60)
@given(
    first=st.sampled_from(EDGES) | HOURS.map(lambda n: BEGIN + n * timedelta(minutes=15)),
    length=st.sampled_from([1, 3, 95, 96, 97, 96 * 30, 96 * 31]) | st.integers(1, 4_000),
    user=st.sampled_from([None, *USERS, "nobody"]),
)
def test_any_stretch_of_time_is_exact(known: History, first: datetime, length: int, user: str | None) -> None:
    store, entries = known.opened[0], known.there()
    end = first + length * timedelta(minutes=15)
    query = Query(start=first, end=end, user_id=user)
    expected = total(entries, query)
    assert_same_groups(store, entries, (), query)
    assert_same_groups(store, entries, ("user_id",), query)
    assert store.spend(first, end, user_id=user) == expected.cost
    by_bucket = store.spend_by_bucket(first, end, user_id=user)
    assert sum(by_bucket.values()) == expected.cost
    assert 0 not in by_bucket.values()
    assert len(store.jobs(query)) == expected.jobs


def test_a_part_of_a_tag_is_not_a_tag(store: Store) -> None:
    assert store.groups((), Query(tag="A")) == []


def test_jobs_of_an_empty_query_are_all_that_are_known(store: Store, known: History) -> None:
    assert store.jobs(Query()) == [JobRef(f"job-{n}", known.job(f"job-{n}")) for n in range(4)]
    assert store.jobs(Query(job_id="job-3")) == [JobRef("job-3", known.job("job-3"))]
    assert store.jobs(Query(job_id="job")) == []
    assert store.jobs(Query(ledger=Path("/nowhere"))) == []


def test_an_entry_is_found_by_its_id(store: Store, known: History) -> None:
    for ledger, entry in known.there()[::17]:
        location = store.find(entry.id)
        assert location is not None
        assert location.ledger == ledger
        assert entry.id.encode() in ledger.read_bytes()[location.offset :].split(b"\n")[0]
    assert store.find("0" * 28) is None


def test_sums_that_cancel_out_are_left_out(history: History) -> None:
    store, ledger = history.open(), history.job("job-1")
    call = an_entry(random.Random(2), charge=None, unpriced_units={})
    history.log(store, ledger, call)
    history.log(store, ledger, reversed_entry(call))
    assert store.groups(("stage",), Query()) == []
    assert [entry.kind for entry in store.entries(Query())] == ["usage", "reversal"]


def test_a_ledger_that_lives_very_long(history: History) -> None:
    store, ledger = history.open(), history.job("job")
    for days in (0, 40_000, 4_000, -90_000):
        history.log(
            store, ledger, an_entry(random.Random(days), timestamp=BEGIN - timedelta(days=days), job_id="job")
        )
    assert_same_groups(store, history.there(), ("bucket",), Query())
    assert_same_groups(
        store, history.there(), (), Query(end=datetime(1960, 1, 1, 0, 15, tzinfo=BEGIN.tzinfo))
    )
    store.rebuild()
    assert_same_groups(store, history.there(), ("bucket",), Query())
    assert_same_groups(
        store, history.there(), (), Query(end=datetime(1960, 1, 1, 0, 15, tzinfo=BEGIN.tzinfo))
    )


@pytest.mark.no_cover
@settings(max_examples=12)
@given(seed=st.integers(0, 10**9))
def test_random_histories(seed: int) -> None:
    """Read as they stand, rebuilt, and rebuilt one ledger after the other."""
    with TemporaryDirectory() as folder:
        history = a_history(Path(folder).resolve(), seed, calls=8)
        store = history.open()
        store.add(history.ledgers)
        assert_is_fold(store, history)
        store.rebuild()
        assert_is_fold(store, history)
        for ledger in history.ledgers:
            store.rebuild_ledger(ledger)
        assert_is_fold(store, history)
        history.close()


def test_answers_do_not_change_when_more_is_counted(history: History) -> None:
    """Whoever was given sums can keep them."""
    from shared.costs.patience import at_most

    store, ledger = history.open(), history.job("job")
    history.log(store, ledger, an_entry(random.Random(1)))
    with at_most(5.0):
        before = store.groups(("model",), WIDE)
        copy = deepcopy(before)
        for seed in range(5):
            history.log(store, ledger, an_entry(random.Random(seed)))
        store.groups(("model",), WIDE)
    assert before == copy


def test_entries_are_what_the_ledger_says(store: Store, known: History) -> None:
    by_id = {entry.id: entry for _, entry in known.there()}
    found: list[Entry] = list(store.entries(Query()))
    assert {entry.id: entry for entry in found} == by_id
    assert len(found) == len(by_id)


def test_questions_of_one_look_belong_together_and_the_next_one_looks_again(history: History) -> None:
    store, ledger = history.open(), history.job("job")
    history.log(history.open(), ledger, a_call(5))
    with store.one_look():
        assert month(store) == 5
        history.append(ledger, a_call(7))
        assert month(store) == 5
        assert month(history.open()) == 12  # another process takes it in, which changes the sums
        assert month(store) == 12
        history.append(ledger, a_call(1))
        with store.one_look():
            assert month(store) == 12
        assert month(store) == 13
    assert month(store) == 13


def test_bringing_all_up_is_the_look_that_questions_after_it_share(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reports that read entries bring the sums up first: a page looked at ten thousand ledgers twice."""
    store, ledger = history.open(), history.job("job")
    history.log(history.open(), ledger, a_call(5))
    looks = list[bool]()
    bring_up = CatchUp.bring_up

    def counted(*arguments: Any, **named: Any) -> int:
        looks.append(True)
        return bring_up(*arguments, **named)

    monkeypatch.setattr(CatchUp, "bring_up", counted)
    with store.one_look():
        assert store.catch_up_all()
        assert month(store) == 5
        assert len(looks) == 1
        history.append(ledger, a_call(7))
        assert month(history.open()) == 12
        assert store.catch_up_all()
        assert month(store) == 12
    assert len(looks) == 3
    assert store.catch_up_all()
    assert len(looks) == 4


def test_a_look_reads_no_more_ledgers_than_it_looks_at(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time went by before the first of 2,000 was looked at, so that each view looked at one."""
    store = history.open()
    for number in range(3):
        history.log(history.open(), history.job(f"job-{number}"), a_call(5))
    assert month(store) == 15
    looked = list[bytes]()

    def noted(path: bytes) -> Look:
        looked.append(path)
        return look_at(path)

    monkeypatch.setattr(catchup, "look_at", noted)
    with closing(sqlite3.connect(history.storage.sums_path)) as db:
        looks = catchup._looks(db, "gone IS NULL")
        assert looked == []
        _, path, is_to_be_read = next(looks)
        assert (looked, is_to_be_read) == ([path], False)
        os.truncate(history.job("job-1"), 0)
        history.job("job-2").unlink()
        assert [each[2] for each in looks] == [True, True]


def test_sums_that_are_lost_within_one_look_are_not_taken_for_nothing(history: History) -> None:
    store, ledger = history.open(), history.job("job")
    history.log(history.open(), ledger, a_call(5))
    with store.one_look():
        assert month(store) == 5
        history.storage.sums_path.write_bytes(b"no database" * 1000)
        assert month(store) == 5
        history.storage.sums_path.unlink()
        assert month(store) == 5
        history.storage.sums_path.unlink(missing_ok=True)
        Database(history.storage.sums_path, tables.SCHEMA, tables.FORMAT).close()
        assert month(store) == 5


def _steps_of_a_look(settled: int) -> int:
    """Count the instructions with which SQLite finds the ledgers that may change."""
    with closing(sqlite3.connect(":memory:")) as db:
        for statement in tables.SCHEMA:
            db.execute(statement)
        rows = ((number, f"/out/{number}".encode(), number > 2) for number in range(1, settled + 3))
        insert = "INSERT INTO ledgers VALUES (?, ?, 'job', 0, NULL, 0, ?, 0, 0, 0, 0, 0, 0, 0)"
        db.executemany(insert, rows)
        db.execute("INSERT INTO writers VALUES (3, 'a')")
        steps = count()
        db.set_progress_handler(lambda: next(steps) < 0, 1)
        found = db.execute(f"SELECT id FROM ledgers WHERE gone IS NULL AND {tables.MAY_CHANGE}").fetchall()
        assert sorted(found) == [(1,), (2,), (3,)]
        return next(steps)


def test_no_question_looks_at_each_of_the_ledgers_that_are_settled() -> None:
    assert _steps_of_a_look(1000) == _steps_of_a_look(10)
