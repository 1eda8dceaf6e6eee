"""Questions to the index: every sum is the one that a full fold gives."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from scripts.faults.index_histories import BEGIN, History, an_entry, assert_is_fold, total
from shared.costs.index.index import Index
from shared.costs.model import Entry
from shared.costs.rollup import Dimension, JobRef, Query, Totals


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    return History(tmp_path_factory.mktemp("sums")).filled(random.Random(1), jobs=4, calls=60)


@pytest.fixture
def index(history: History) -> Iterator[Index]:
    with history.open() as opened:
        yield opened


def test_everything_is_the_full_fold(index: Index, history: History) -> None:
    assert_is_fold(index, history)


@pytest.mark.parametrize("seed", range(8))
def test_any_stretch_of_time_is_exact(index: Index, history: History, seed: int) -> None:
    chance = random.Random(seed)
    entries = history.entries()
    for _ in range(25):
        start = BEGIN + timedelta(minutes=15 * chance.randrange(-50, 2_900))
        end = start + timedelta(minutes=15 * chance.choice([1, 3, 96, chance.randrange(1, 3_000)]))
        query = Query(start=start, end=end, user_id=chance.choice([None, "1", "rpatel", "nobody"]))
        expected = total(entries, query)
        found = index.groups((), query)
        assert (found[0].totals if found else Totals()) == expected
        assert index.spend(start, end, user_id=query.user_id) == expected.cost
        assert sum(index.spend_by_bucket(start, end, user_id=query.user_id).values()) == expected.cost
        assert len(index.jobs(query)) == expected.jobs


DIMENSIONS: list[tuple[Dimension, Callable[[Path, Entry], object]]] = [
    ("user_id", lambda ledger, e: e.user_id),
    ("job_id", lambda ledger, e: e.job_id),
    ("ledger", lambda ledger, e: str(ledger)),
    ("stage", lambda ledger, e: e.stage),
    ("service", lambda ledger, e: e.service),
    ("model", lambda ledger, e: e.model),
    ("operation", lambda ledger, e: e.operation),
    ("workflow", lambda ledger, e: e.workflow),
    ("project", lambda ledger, e: e.project),
    ("tags", lambda ledger, e: ",".join(sorted(e.tags)) or None),
    ("service_tier", lambda ledger, e: e.service_tier),
    ("bucket", lambda ledger, e: int(e.counted_at.timestamp()) // 900 * 900),
]


@pytest.mark.parametrize(("dimension", "value"), DIMENSIONS, ids=lambda x: x if isinstance(x, str) else "")
def test_sums_by_each_dimension(
    index: Index, history: History, dimension: Dimension, value: Callable[[Path, Entry], object]
) -> None:
    start, end = BEGIN + timedelta(days=3, hours=5), BEGIN + timedelta(days=20, minutes=45)
    expected: dict[object, Totals] = {}
    for ledger, entry in history.entries():
        if start <= entry.counted_at < end:
            expected.setdefault(value(ledger, entry), Totals()).add(entry)
    found = index.groups((dimension,), Query(start=start, end=end))
    assert [g.totals.cost for g in found] == sorted((t.cost for t in expected.values()), reverse=True)
    for group in found:
        group.totals.jobs = 0
        assert group.totals == expected.pop(group.key[0])
    assert not expected


def test_several_dimensions_at_once(index: Index, history: History) -> None:
    found = index.groups(("stage", "model", "user_id"), Query())
    for group in found:
        same = [(p, e) for p, e in history.entries() if (e.stage, e.model, e.user_id) == group.key]
        expected = total(same)
        expected.jobs = 0
        assert group.totals == expected


FILTERS: dict[str, tuple[str, Callable[[Entry], bool]]] = {
    "stage": ("06_asr", lambda e: e.stage == "06_asr"),
    "service": ("openai", lambda e: True),
    "model": ("gpt-4o", lambda e: e.model == "gpt-4o"),
    "operation": ("summarization", lambda e: e.operation == "summarization"),
    "workflow": ("transcribe", lambda e: e.workflow == "transcribe"),
    "project": ("alpha", lambda e: e.project == "alpha"),
    "tag": ("a", lambda e: "a" in e.tags),
    "user_id": ("Zoë", lambda e: e.user_id == "Zoë"),
    "job_id": ("job-2", lambda e: e.job_id == "job-2"),
}


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("bounded", [False, True])
def test_filters(index: Index, history: History, name: str, bounded: bool) -> None:
    value, means = FILTERS[name]
    times = {"start": BEGIN + timedelta(hours=7), "end": BEGIN + timedelta(days=15)} if bounded else {}
    query = Query(**{name: value, **times})  # type: ignore[arg-type]
    same = [
        (ledger, entry)
        for ledger, entry in history.entries()
        if means(entry) and (not bounded or times["start"] <= entry.counted_at < times["end"])
    ]
    [group] = index.groups((), query)
    assert group.totals == total(same)
    assert {job.ledger for job in index.jobs(query)} == {ledger for ledger, _ in same}
    assert _ids(index.entries(query)) == _ids(entry for _, entry in same)


def _ids(entries: Iterable[Entry]) -> list[str]:
    return sorted(entry.id for entry in entries)


def test_a_part_of_a_tag_is_no_tag(index: Index) -> None:
    assert index.groups((), Query(tag="a,b")) != []  # as it is kept; views offer single tags
    assert index.groups((), Query(tag="A")) == []


def test_jobs_of_an_empty_query_are_all_that_are_known(index: Index, history: History) -> None:
    assert index.jobs(Query()) == [JobRef(f"job-{n}", history.job(f"job-{n}")) for n in range(4)]
    assert index.jobs(Query(job_id="job-3")) == [JobRef("job-3", history.job("job-3"))]
    assert index.jobs(Query(job_id="job")) == []
    assert index.jobs(Query(ledger=Path("/nowhere"))) == []


def test_an_entry_is_found_by_its_id(index: Index, history: History) -> None:
    for ledger, entry in history.entries()[::17]:
        location = index.find(entry.id)
        assert location is not None
        assert location.ledger == ledger
        assert entry.id.encode() in ledger.read_bytes()[location.offset :].split(b"\n")[0]
    assert index.find("0" * 28) is None


def test_sums_that_cancel_out_are_left_out(tmp_path: Path) -> None:
    history = History(tmp_path)
    ledger, call = history.job("job-1"), an_entry(random.Random(2), charge=None)
    undone = replace(
        call, id="undone", kind="reversal", corrects=call.id, why="never sent", resolves_unpriced=True
    )
    with history.open() as index:
        history.log(index, ledger, call)
        history.log(index, ledger, undone)
        assert index.groups(("stage",), Query()) == []
        assert [entry.kind for entry in index.entries(Query())] == ["usage", "reversal"]


def test_what_was_logged_under_reservations(tmp_path: Path) -> None:
    history = History(tmp_path)
    ledger, chance = history.job("job-1"), random.Random(2)
    calls = [an_entry(chance, reservation="hold-1") for _ in range(3)]
    with history.open() as index:
        for call in calls:
            history.log(index, ledger, call)
        expected = {"hold-1": (3, sum(call.cost for call in calls))}
        assert index.logged(["hold-1", "hold-2"]) == expected
        index.rebuild()
        assert index.logged(["hold-1", "hold-2"]) == expected
