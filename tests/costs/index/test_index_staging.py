"""Lines that were just appended are staged, and come into the sums without the ledger being read."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.faults.index_histories import BEGIN, PRICED, History, an_entry, assert_is_fold
from shared.costs.index import intake, spends
from shared.costs.index.index import Index
from shared.costs.index.staging import SETTLE_AT
from shared.costs.ledger.ids import new_id
from shared.costs.ledger.line import decode, encode
from shared.costs.model import Charge, Entry
from shared.costs.money import Nanos
from shared.costs.rollup import Query

WHOLE = Query(start=BEGIN - timedelta(days=90), end=BEGIN + timedelta(days=90))
CHANCE = random.Random(11)


def a_call(cost: int, **given: object) -> Entry:
    """Return a call that costs some nano-dollars, all of it for input."""
    values = {"timestamp": BEGIN, "user_id": "1", "attempt": 1, **given}
    return replace(an_entry(CHANCE), charge=Charge({"input": Nanos(cost)}, PRICED), **values)  # type: ignore[arg-type]


def spent(index: Index) -> int:
    """Return what everybody spent."""
    return index.spends([WHOLE])[0]


@pytest.fixture
def history(tmp_path: Path) -> History:
    """Return two ledgers that are known, with a call in each."""
    found = History(tmp_path)
    with found.open() as index:
        for name in ("first", "second"):
            found.log(index, found.job(name), a_call(1))
    return found


def test_a_second_process_sees_a_call_at_once(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = history.job("first")
    with history.open() as mine, history.open() as other:
        assert (spent(mine), spent(other)) == (2, 2)
        # The second one learns it from the index, not by a look at the ledger.
        monkeypatch.setattr(intake, "next_batch", None)
        history.log(mine, ledger, a_call(10))
        assert (spent(mine), spent(other)) == (12, 12)


def test_writers_come_in_another_order_than_they_appended(history: History) -> None:
    ledger = history.job("first")
    calls = [a_call(10), a_call(100), a_call(1_000)]
    with history.open() as mine, history.open() as other:
        for index in (mine, other):
            index.register(ledger, "first")
            assert spent(index) == 2  # a look at the ledgers, which is good for a while
        places = [history.append(ledger, call) for call in calls]
        for number, seen in ((2, 1_002), (0, 1_012), (1, 1_112)):
            index = (mine, other)[number % 2]
            assert index.note_appended(ledger, calls[number], *places[number])
            assert {spent(mine), spent(other)} == {seen}
        assert_is_fold(mine, history)
        assert_is_fold(other, history)


def test_many_writers_of_one_ledger_read_it_for_each_other(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines whose writers are about to stage them make a gap; what stands before it is settled."""
    ledger, behind = history.job("first"), 3
    with history.open() as index:
        index.register(ledger, "first")
        assert spent(index) == 2
        monkeypatch.setattr(intake, "next_batch", None)
        late = []
        for number in range(3 * SETTLE_AT):
            call = a_call(1)
            late.append((call, *history.append(ledger, call)))
            if len(late) > behind:
                one = late.pop(number % behind)
                assert index.note_appended(ledger, *one)
        assert spent(index) == 2 + 3 * SETTLE_AT - behind
        assert all(index.note_appended(ledger, *one) for one in late)
        assert spent(index) == 2 + 3 * SETTLE_AT


def test_a_line_that_another_writer_has_read_is_not_read_again(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, call = history.job("first"), a_call(10)
    with history.open() as mine, history.open() as other:
        mine.register(ledger, "first")
        assert spent(mine) == 2
        appended = history.append(ledger, call)
        assert spent(other) == 12  # it looks at the ledger, which it opens for the first time
        monkeypatch.setattr(intake, "next_batch", None)
        assert mine.note_appended(ledger, call, *appended)
        assert spent(mine) == 12


@pytest.mark.parametrize("between", ["a call", "a torn piece"])
def test_a_gap_that_no_writer_fills(history: History, between: str) -> None:
    """Its writer died after the append; the next calls must not wait for it for ever."""
    ledger = history.job("first")
    with history.open() as index:
        index.register(ledger, "first")
        if between == "a call":
            history.append(ledger, a_call(10))
        else:
            history.append_bytes(ledger, b'{"v":1,"kind":"usa\n')
        for _ in range(SETTLE_AT):
            history.log(index, ledger, a_call(100))
        lost = 10 if between == "a call" else 0
        assert spent(index) == 2 + lost + 100 * SETTLE_AT
        assert_is_fold(index, history)


@pytest.mark.parametrize("name", ["first", "second"])
def test_an_id_that_also_stands_before_the_gap(history: History, name: str) -> None:
    """The staged line repeats one that the index has not seen: in its own ledger, or in an earlier one."""
    call, ledger = a_call(10), history.job("second")
    with history.open() as index:
        index.register(ledger, "second")
        history.append(history.job(name), call)
        if name == "first":
            history.append(ledger, a_call(1_000))
        history.log(index, ledger, call)
        assert_is_fold(index, history)
        assert len(history.entries()) == (4 if name == "first" else 3)


def test_what_waits_of_a_ledger_that_went_away_is_kept(history: History) -> None:
    ledger = history.job("second")
    with history.open() as index:
        history.log(index, ledger, a_call(10))
        ledger.rename(history.root / "archived")
        [group] = index.groups((), Query(user_id="1"))
        assert (group.totals.calls, group.totals.cost) == (3, 12)


def test_a_staged_ledger_is_replaced(history: History) -> None:
    ledger = history.job("first")
    with history.open() as index:
        history.log(index, ledger, a_call(10))
        ledger.unlink()
        history.log(index, ledger, a_call(500))
        assert spent(index) == 501
        assert_is_fold(index, history)


def test_a_line_that_was_taken_out_before_it_was_noted_does_not_count(history: History) -> None:
    ledger, call = history.job("first"), a_call(10)
    before = ledger.read_bytes()
    with history.open() as index:
        index.register(ledger, "first")
        assert spent(index) == 2  # a look at the ledgers, which is good for a while
        place, line = history.append(ledger, call)
        ledger.write_bytes(before)  # put back from a copy
        index.note_appended(ledger, call, place, line)
        assert spent(index) == 2
        assert_is_fold(index, history)


def test_a_staged_call_is_found_and_counts_under_its_reservation(history: History) -> None:
    ledger, call = history.job("first"), a_call(10, reservation="held-1")
    with history.open() as index:
        history.log(index, ledger, call)
        found = index.find(call.id)
        assert found is not None
        assert found.ledger == ledger
        assert index.logged(["held-1"]) == {"held-1": (1, 10)}


def test_a_rebuild_keeps_what_waits_of_a_ledger_that_is_gone(history: History) -> None:
    ledger = history.job("second")
    with history.open() as index:
        history.log(index, ledger, a_call(10))
        ledger.rename(history.root / "archived")
        index.rebuild()
        assert spent(index) == 12


@settings(max_examples=30, deadline=None)
@given(
    moves=st.lists(
        st.tuples(st.sampled_from(["append", "note", "ask"]), st.integers(0, 7), st.integers(0, 1)),
        max_size=60,
    )
)
def test_any_order_of_appends_and_notes_gives_a_full_fold(moves: list[tuple[str, int, int]]) -> None:
    """Seven ids, of which many repeat; two ledgers; two processes' indexes; notes late, never or reversed."""
    with TemporaryDirectory() as folder:
        history = History(Path(folder))
        ledgers = [history.job("first"), history.job("second")]
        calls = [a_call(10**number, id=f"call-{number}") for number in range(8)]
        unnoted = []
        with history.open() as mine, history.open() as other:
            indexes = mine, other
            for index in indexes:
                for ledger in ledgers:
                    index.register(ledger, ledger.parent.name)
            for move, number, which in moves:
                if move == "append":
                    ledger, call = ledgers[which], calls[number]
                    unnoted.append((ledger, call, *history.append(ledger, call)))
                elif move == "note" and unnoted:
                    indexes[which].note_appended(*unnoted.pop(number % len(unnoted)))
                elif move == "ask":
                    assert_is_fold(indexes[which], history)
            for index in indexes:
                assert_is_fold(index, history)


def test_a_staged_line_that_the_ledger_lost_counts_no_more(history: History) -> None:
    """It stood behind a gap when the ledger was cut back to before that."""
    ledger = history.job("first")
    end = ledger.stat().st_size
    with history.open() as index:
        assert spent(index) == 2
        history.append(ledger, a_call(10))
        history.log(index, ledger, a_call(100))
        os.truncate(ledger, end)
        index.catch_up_all()
        assert spent(index) == 2
        assert_is_fold(index, history)


@pytest.mark.parametrize("noted", [True, False])
def test_a_staged_line_is_replaced_by_another_of_its_length(history: History, noted: bool) -> None:
    """The ledger was restored from a copy made before it, and has grown again."""
    ledger, call = history.job("first"), a_call(10)
    end = ledger.stat().st_size
    with history.open() as index:
        assert spent(index) == 2
        history.log(index, ledger, call)
        os.truncate(ledger, end)
        other = replace(call, id=new_id(), charge=Charge({"input": Nanos(70)}, PRICED))
        place, line = history.append(ledger, other)
        assert place.length == len(encode(call))
        assert not noted or index.note_appended(ledger, other, place, line)
        index.catch_up_all()
        assert spent(index) == 72
        assert_is_fold(index, history)


def test_a_ledger_that_cannot_be_read_keeps_its_sums(history: History) -> None:
    """The index learns while it settles that it must read two ledgers, and one of them is refused."""
    first, second = history.job("first"), history.job("second")
    call = a_call(10)
    with history.open() as index:
        assert spent(index) == 2
        gap, line = history.append(first, a_call(1_000))
        history.log(index, first, call)  # staged, behind the gap
        history.append(second, call)
        index.catch_up(second)  # counts there, as long as the first is not read
        os.link(second, second.with_name("second name"))
        index.note_appended(first, decode(line), gap, line)
        [group] = index.groups((), Query(user_id="1"))
        assert group.totals.cost == 12
        second.with_name("second name").unlink()
        assert_is_fold(index, history)


def test_threads_ask_different_questions(history: History) -> None:
    """Another thread asks just when this one's question was made."""
    others = [Query(user_id="nobody")]

    class Interrupted(Index):
        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, value)
            if name == "_asked" and isinstance(value, tuple) and value[0] is not others:
                assert self.spends(others) == [0]

    with Interrupted(history.storage) as index:
        assert index.spends([WHOLE, WHOLE]) == [2, 2]


def test_lines_are_settled_while_somebody_asks(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole days and pieces of days are two look-ups, which must see the same."""
    piece = Query(start=BEGIN - timedelta(hours=1), end=BEGIN + timedelta(hours=1))
    look_up = spends._edge
    with history.open() as mine, history.open() as other:
        assert mine.spends([piece]) == [2]
        history.log(mine, history.job("first"), a_call(10))

        def late(*given: object) -> int:
            other.groups((), Query())  # settles
            return look_up(*given)  # type: ignore[arg-type]

        monkeypatch.setattr(spends, "_edge", late)
        assert mine.spends([piece]) == [12]
