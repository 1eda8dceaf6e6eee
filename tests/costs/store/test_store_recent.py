"""What was appended beside the sums gives the same answers as after it was taken in."""

from __future__ import annotations

import os
import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.costs.ledger.line import encode
from shared.costs.ledger.lines import AppendedLine
from shared.costs.model import Entry
from shared.costs.patience import at_most
from shared.costs.rollup import Dimension, Group, Query
from shared.costs.store import recent
from shared.costs.store import store as module
from shared.costs.store.store import Store
from tests.costs.store.store_support import (
    BEGIN,
    WIDE,
    History,
    a_call,
    adjusted_entry,
    an_entry,
    assert_is_fold,
    month,
    plain_groups,
    plain_logged,
    reversed_entry,
    spent,
    total,
)

QUERIES = [
    WIDE,
    Query(start=BEGIN, end=WIDE.end, user_id="1"),
    Query(stage="06_asr"),
    Query(tag="a", user_id="Zoë"),
    Query(model="gpt-4o", service="openai", operation="summarization"),
    Query(job_id="first"),
    Query(workflow="transcribe", project="alpha"),
]
BY: list[tuple[Dimension, ...]] = [(), ("user_id",), ("stage", "model"), ("job_id",), ("bucket",), ("tags",)]


@pytest.fixture(autouse=True)
def never_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines stay beside the sums until a view is asked for."""
    monkeypatch.setattr(module, "TAKE_IN_S", 1_000.0)


def begun(history: History, *ledgers: Path) -> Store:
    """Return a store whose sums are there, and that keeps what comes beside them."""
    store = history.open()
    for ledger in ledgers:
        assert store.note(ledger)
    month(store)
    store._take_in_at = float("inf")
    return store


def without_jobs(groups: list[Group]) -> list[Group]:
    for group in groups:
        group.totals.jobs = 0
    return groups


def assert_same_beside(store: Store, history: History) -> None:
    """Assert that answers on the way of a call are those of a plain fold."""
    entries = history.there()
    queries = [*QUERIES, *(Query(ledger=ledger) for ledger in history.ledgers)]
    assert store.spends(queries) == [total(entries, query).cost for query in queries]
    with at_most(60.0):
        for by in BY:
            for query in queries[:3]:
                found = {group.key: group.totals for group in without_jobs(store.groups(by, query))}
                expected = plain_groups(entries, by, query)
                for totals in expected.values():
                    totals.jobs = 0
                assert found == expected
    logged = store.logged(["hold-1", "hold-2", "hold-3"])
    for hold in ("hold-1", "hold-2"):
        assert logged.get(hold, (0, 0, 0)) == plain_logged(entries, hold)
    for ledger, entry in entries[-3:]:
        location = store.find(entry.id)
        assert location is not None
        assert location.ledger == ledger


def test_lines_stay_beside_the_sums_until_a_view_comes(history: History) -> None:
    ledger = history.job("first")
    store, other = begun(history, ledger), history.open()
    version = other.version
    for seed in range(20):
        history.log(store, ledger, an_entry(random.Random(seed)))
    assert_same_beside(store, history)
    assert len(store._recent.lines) == 20
    assert_is_fold(other, history)
    assert other.version != version
    assert_same_beside(store, history)
    assert len(store._recent.lines) == 0


def test_another_process_sees_a_call_at_once(history: History) -> None:
    ledger = history.job("first")
    mine, other = begun(history, ledger), begun(history, ledger)
    assert (spent(mine), spent(other)) == (0, 0)
    history.log(mine, ledger, a_call(10))
    assert (spent(mine), spent(other)) == (10, 10)
    history.log(other, history.job("second"), a_call(100))
    assert (spent(mine), spent(other)) == (110, 110)


def test_a_call_believes_its_last_look_where_others_wrote_before_its_line(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight processes on one ledger: each finds the others' lines before nearly each of its own."""
    monkeypatch.setattr(module, "LOOK_S", 1_000.0)
    ledger = history.job("first")
    mine = begun(history, ledger)
    for number in range(3):
        history.log(mine, ledger, a_call(1), [WIDE])
        history.append(ledger, a_call(100))  # another process's
        assert history.log(mine, ledger, a_call(10), [WIDE]) == [history.owed - 100], number
        assert_same_beside(mine, history)  # whoever asks looks
    assert_is_fold(mine, history)
    assert spent(mine) == history.owed


@pytest.mark.parametrize("lines", [31, 32, 40])
def test_many_lines_are_taken_in(history: History, lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECENT_LINES", 32)
    ledger = history.job("first")
    store = begun(history, ledger)
    for number in range(lines):
        assert history.log(store, ledger, a_call(number), [WIDE]) == [history.owed]
    assert spent(store) == history.owed
    assert len(store._recent.lines) < 32


def test_many_new_ledgers_count_at_once(history: History) -> None:
    store = begun(history)
    for number in range(70):
        history.log(store, history.job(f"job-{number}"), a_call(number))
        assert spent(store) == history.owed


def test_old_lines_are_taken_in(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TAKE_IN_S", 0.0)
    ledger = history.job("first")
    store = begun(history, ledger)
    store._take_in_at = 0.0
    history.log(store, ledger, a_call(10))
    assert len(store._recent.lines) == 1 or spent(store) == 10
    history.log(store, ledger, a_call(10))
    ledger.unlink()
    assert spent(store) == month(store) == 20


def test_much_that_is_new_is_taken_in_at_once(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "MAX_BYTES", 2_000)
    ledger = history.job("first")
    store = begun(history, ledger)
    for number in range(20):
        history.append(ledger, a_call(number))
    assert spent(store) == history.owed
    assert store._recent.tails[os.fsencode(ledger)].lines == {}


def test_a_torn_end_waits(history: History) -> None:
    ledger, call = history.job("first"), a_call(10)
    store = begun(history, ledger)
    line = encode(call)
    history.append_bytes(ledger, line[:100])
    assert spent(store) == 0
    history.append_bytes(ledger, line[100:])
    assert spent(store) == 10
    history.append_bytes(ledger, b"damaged\n")
    history.append(ledger, a_call(5))
    assert spent(store) == 15
    assert month(store) == 15
    assert [problem.why for problem in store.problems()] == ["cut off: it has no checksum at its end"]


@pytest.mark.parametrize("change", ["cut", "deleted", "other file", "unreadable", "folder"])
def test_a_ledger_changes_beside_lines_of_another(history: History, change: str) -> None:
    """What has to be taken in is taken in, and nothing counts twice."""
    first, second = history.job("first"), history.job("second")
    store = begun(history, first, second)
    for number in range(3):
        history.log(store, first, a_call(10 + number))
        history.log(store, second, a_call(1_000 + number))
    month(store)
    history.log(store, first, a_call(7, reservation="hold-9"))
    assert spent(store) == history.owed
    if change == "cut":
        os.truncate(second, 0)
    elif change == "deleted":
        second.unlink()
    elif change == "other file":
        fresh = second.with_name("fresh")
        fresh.write_bytes(encode(a_call(0)))
        fresh.chmod(0o600)
        fresh.replace(second)
    elif change == "unreadable":
        second.with_name("second name").hardlink_to(second)
        history.append(second, a_call(0))
    else:
        second.unlink()
        second.mkdir()
    assert store.spends([Query(user_id="1"), WIDE]) == [history.owed, history.owed]
    assert store.logged(["hold-9"]) == {"hold-9": (1, 7, 0)}
    history.log(store, first, a_call(8, reservation="hold-9"))
    assert store.logged(["hold-9"]) == {"hold-9": (2, 15, 0)}
    assert spent(store) == month(store) == history.owed


def test_a_ledger_that_cannot_be_read_does_not_slow_every_call(history: History) -> None:
    """The sums say so once; the way of a call does not bring them up again and again."""
    first, second = history.job("first"), history.job("second")
    store = begun(history, first, second)
    history.append(second, a_call(5))
    second.with_name("second name").hardlink_to(second)
    spent(store)
    version = store._version
    for number in range(5):
        history.log(store, first, a_call(number))
        spent(store)
    assert store._version == version
    second.with_name("second name").unlink()
    assert month(store) == history.owed


def test_an_entry_that_may_be_known_is_read_from_its_ledger(history: History) -> None:
    """Of one request that two processes log, one line counts."""
    first, second = history.job("first"), history.job("second")
    mine, other = begun(history, first, second), begun(history, first, second)
    call = a_call(10, id="request-7", request_id="7")
    history.log(mine, first, call)
    history.log(other, second, call)
    assert spent(mine) == spent(other) == month(mine) == spent(other) == 10


def test_corrections_count(history: History) -> None:
    ledger, call = history.job("first"), a_call(1_000)
    store = begun(history, ledger)
    for entry in (call, adjusted_entry(call, 500), reversed_entry(call)):
        history.log(store, ledger, entry)
        assert_same_beside(store, history)
    assert spent(store) == month(store) == 500


def test_a_line_is_taken_out_before_it_is_counted(history: History) -> None:
    """It was appended, and its ledger put back, before its process came to count it: it was paid."""
    ledger = history.job("first")
    store = begun(history, ledger)
    history.log(store, ledger, a_call(1))
    before, late = ledger.read_bytes(), a_call(10)
    place = history.append(ledger, late, counts=False)
    ledger.write_bytes(before)
    store.appended(ledger, late, place, encode(late))
    assert month(store) == 11
    assert spent(store) == 11


def _move(
    history: History,
    move: str,
    number: int,
    store: Store,
    ledger: Path,
    late: list[tuple[Path, Entry, AppendedLine]],
) -> None:
    if move == "log":
        history.log(store, ledger, an_entry(random.Random(number)))
    elif move == "append":
        entry = an_entry(random.Random(number))
        late.append((ledger, entry, history.append(ledger, entry)))
    elif move == "late" and late:
        path, entry, place = late.pop(number % len(late))
        store.appended(path, entry, place, encode(entry))
    elif move in ("ask", "view"):
        assert (spent if move == "ask" else month)(store) == history.owed
    elif move == "correct" and history.counted:
        _, call = list(history.counted.values())[number % len(history.counted)]
        if call.kind == "usage" and f"undo-{call.id}" not in history.counted:
            history.log(store, ledger, reversed_entry(call))
    elif move == "damage":
        history.append_bytes(ledger, b"x" * number + b"\n")


@pytest.mark.no_cover
@settings(max_examples=30)
@given(
    moves=st.lists(
        st.tuples(
            st.sampled_from(["log", "log", "append", "late", "ask", "view", "correct", "damage"]),
            st.integers(0, 40),
            st.integers(0, 1),
        ),
        max_size=40,
    )
)
def test_any_order_gives_a_plain_fold(moves: list[tuple[str, int, int]]) -> None:
    """Two ledgers, two processes; lines counted at once, late, never, or by whoever looks."""
    with TemporaryDirectory() as folder:
        history = History(Path(folder).resolve())
        ledgers = [history.job("first"), history.job("second")]
        stores = [begun(history, *ledgers), begun(history, *ledgers)]
        late: list[tuple[Path, Entry, AppendedLine]] = []
        for move, number, which in moves:
            _move(history, move, number, stores[number % 2], ledgers[which], late)
        for store in stores:
            assert_same_beside(store, history)
        for store in stores:
            assert_is_fold(store, history)
        history.close()
