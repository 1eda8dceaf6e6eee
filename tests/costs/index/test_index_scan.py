"""The fast fold of whole ledgers gives what the careful one gives, line by line."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.faults.index_histories import BEGIN, PRICED, History, an_entry, assert_is_fold
from shared.costs import platform
from shared.costs.errors import StorageUnavailable
from shared.costs.index import readers
from shared.costs.index.fold import Fold
from shared.costs.index.keys import key_of
from shared.costs.index.registry import Registered
from shared.costs.index.scan import scan
from shared.costs.index.tables import SUM_COLUMNS
from shared.costs.index.usual import charge_of, usual_call
from shared.costs.ledger.line import SEAL_LENGTH, DamagedLine, decode, encode, seal
from shared.costs.model import Charge, Entry, Usage
from shared.costs.money import MAX_ENTRY_NANOS, Nanos
from shared.costs.rollup import Query


def _assert_same(ledger: Path, lines: list[bytes]) -> None:
    ledger.write_bytes(b"".join(lines))
    ledger.chmod(0o600)
    found = scan([Registered(7, ledger, "job")])
    fold, seen, reasons, offset = Fold(), [], [], 0
    for line in lines:
        try:
            entry = decode(line)
        except DamagedLine as fault:
            reasons.append(str(fault))
        else:
            fold.add(entry)
            seen.append((*key_of(entry.id), 7, offset))
        offset += len(line)
    width = 3 + len(SUM_COLUMNS)
    rows = [found.sums[at : at + width] for at in range(0, len(found.sums), width)]
    assert {(row[0], found.dims[row[2]]): tuple(row[3:]) for row in rows} == fold.sums
    assert found.seen.rows() == sorted(seen)
    assert {name: sums for name, _, *sums in found.reserved} == {
        name: list(sums) for name, sums in fold.reserved.items()
    }
    assert [problem.why for problem in found.problems] == reasons
    assert found.ledgers[0].offset == ledger.stat().st_size


def test_random_entries(tmp_path: Path) -> None:
    chance = random.Random(3)
    lines = [encode(an_entry(chance)) for _ in range(300)]
    _assert_same(tmp_path / "ledger", lines)


def _sealed(line: bytes, change: Callable[[dict[str, object]], None]) -> bytes:
    """Change a line's object and seal it again: a line that no writer of ours wrote."""
    found = json.loads(line)
    found.pop("crc")
    change(found)
    return seal(json.dumps(found, separators=(",", ":")).encode()[:-1])


def _set(**values: object) -> Callable[[dict[str, object]], None]:
    return lambda found: found.update(values)


def _drop(name: str) -> Callable[[dict[str, object]], None]:
    return lambda found: found.__delitem__(name)


CHANGES = {
    "newer": _set(v=2),
    "no version": _drop("v"),
    "no time": _drop("timestamp"),
    "time without a zone": _set(timestamp="2026-11-22T09:30:00.000000"),
    "time in another form": _set(timestamp="2026-11-22T09:30Z"),
    "no such time": _set(timestamp="2026-13-22T09:30:00.000000Z"),
    "time in a week": _set(timestamp="2026-W47-7T09:30:00.123456Z"),
    "time of another length": _set(timestamp="2026-11-22T09:30:00.1234567Z"),
    "time with an offset": _set(timestamp="2026-11-22T09:30:00+01:00xZ"),
    "the last quarter of an hour there is": _set(timestamp="9999-12-31T23:59:59.999999Z"),
    "the last moment of a quarter of an hour far away": _set(timestamp="2600-06-01T00:14:59.999999Z"),
    "the first moment there is": _set(timestamp="0001-01-01T00:00:00.000000Z"),
    "a time with a blank": _set(timestamp="2026-11-22 09:30:00.000000Z"),
    "period": _set(period_at="2026-10-01T00:00:00.000000Z"),
    "a negative count": _set(tokens_input=-1),
    "a boolean count": _set(tokens_input=True),
    "a text count": _set(tokens_input="7"),
    "a count with a fraction": _set(tokens_input=7.5),
    "too much cached": _set(tokens_cached=10**9),
    "too much reasoning": _set(tokens_reasoning=10**9),
    "audio": _set(audio_seconds=12.3456789),
    "long audio": _set(audio_seconds=2**40),
    "images": _set(images=3),
    "cache write": _set(tokens_cache_write=1, tokens_input=5, tokens_cached=0),
    "parts that do not sum": _set(cost_parts={"input": 1}),
    "no parts": _set(cost_parts={}, cost_usd=0),
    "a cost out of range": _set(cost_usd=2_000_000, cost_parts={"input": 2_000_000}),
    "a negative cost": _set(cost_usd=-0.5, cost_parts={"input": -0.5}),
    "a negative part": _set(cost_usd=0.5, cost_parts={"input": 1, "output": -0.5}),
    "a part out of range": _set(cost_usd=1e6, cost_parts={"input": 2e6, "output": -1e6}),
    "a cost that is infinite in nano-dollars": _set(cost_usd=1e300, cost_parts={"input": 1e300}),
    "a cost as text": _set(cost_usd="1"),
    "unpriced": _set(cost_usd=None),
    "priced by nothing": _set(priced_by=None),
    "priced by an unknown": _set(priced_by={"source": 1}),
    "an actual cost": _set(actual_cost_usd=0.25),
    "a bad actual cost": _set(actual_cost_usd="x"),
    "tags": _set(tags=["b", "a"]),
    "bad tags": _set(tags="b"),
    "a reservation": _set(reservation="hold"),
    "another kind": _set(kind="reversal"),
    "an unknown kind": _set(kind="gift"),
    "a user that is a number": _set(user_id=1),
    "no user": _drop("user_id"),
    "metadata that are none": _set(metadata=[]),
    "attempt": _set(attempt=3),
    "a bad attempt": _set(attempt=-1),
    "estimated": _set(estimated=True),
    "estimated somehow": _set(estimated="yes"),
    "an empty id": _set(id=""),
    "an id with a prefix": _set(id="0x" + "a" * 26),
    "an id from elsewhere": _set(id="call-7"),
    "longer than a line may be": _set(metadata={"a": "x" * 9_000}),
    "a number too long to read": _set(metadata={"a": 10**4_000}),
    "half a surrogate pair": _set(user_id="\ud800"),
    "not ASCII": _set(user_id="é"),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("charged", [True, False])
def test_lines_that_no_writer_of_ours_wrote(tmp_path: Path, name: str, charged: bool) -> None:
    line = _usual_line(charged=charged)
    _assert_same(tmp_path / "ledger", [line, _sealed(line, CHANGES[name]), _usual_line()])


def _usual_line(*, charged: bool = True) -> bytes:
    """Return a line of those that take the fast way, so that it is the change that decides."""
    charge = Charge({"input": Nanos(25), "output": Nanos(40)}, PRICED) if charged else None
    usage = Usage(tokens_input=5, tokens_output=4)
    line = encode(an_entry(random.Random(1), model="gpt-4o", usage=usage, charge=charge, tags=()))
    assert (call := usual_call(line)) is not None
    assert charge_of(call) is not None
    return line


# What follows a usual line's members: of members of one name, the last one holds.
REPEATED = {
    "a time without a zone": '"timestamp":"2026-11-22T09:30:00"',
    "a time in another zone": '"timestamp":"2026-11-22T09:30:00+01:00"',
    "a small z": '"timestamp":"2026-11-22T09:30:00.000000z"',
    "a name in escapes": r'"\u0074imestamp":"2026-11-22T09:30:00"',
    "an empty id": '"id":""',
    "a cost that no float can be": '"cost_usd":1e400',
    "a long number": f'"metadata":{{"a":{"1" * 5_000}}}',
    "lists in lists": f'"metadata":{{"a":{"[" * 1_500}{"]" * 1_500}}}',
    "lists as deep as can be": f'"metadata":{{"a":{"[" * 950}{"]" * 950}}}',
}


@pytest.mark.parametrize("name", REPEATED)
def test_members_that_are_repeated(tmp_path: Path, name: str) -> None:
    line = _usual_line()
    changed = seal(b"%b,%b" % (line[:-SEAL_LENGTH], REPEATED[name].encode()))
    _assert_same(tmp_path / "ledger", [line, changed, line])


def test_a_line_that_hides_its_time(tmp_path: Path) -> None:
    """Where a time usually stands is one that belongs to the metadata; the id is empty."""
    line = _usual_line()
    rest = line[line.index(b',"timestamp"') : line.index(b',"metadata"')]
    hidden = b'{"metadata":{"a":"%b","timestamp":"2026-11-22T09:30:00.000000Z"}' % (b"x" * 38)
    changed = seal(b'%b,"v":1,"kind":"usage","id":""%b' % (hidden, rest))
    _assert_same(tmp_path / "ledger", [changed, line])


def test_an_id_that_only_looks_like_one_of_ours_has_a_key_of_its_own() -> None:
    digits = "ab" * 13
    same = [f"00{digits}", f"0x{digits}", f"00{digits.upper()}", f" 0{digits}", f"+0{digits}"]
    assert len({key_of(each) for each in same}) == len(same)


def test_bytes_that_are_no_line(tmp_path: Path) -> None:
    line = encode(an_entry(random.Random(1)))
    raw_utf8 = seal(line[:-19].replace(b'"user_id":"', 'é"user_id":"'.encode()))
    texts = [
        b"\n",
        b"x\n",
        line[:100] + b"\n",
        line[:-20] + b"9" + line[-19:],
        b"y" * 20_000 + b"\n",
        raw_utf8,
        line,
    ]
    _assert_same(tmp_path / "ledger", texts)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.builds(
            Entry,
            id=st.sampled_from(["a" * 28, "f" * 27 + "0", "other"]),
            timestamp=st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # zone by `timezones`
            job_id=st.just("job"),
            user_id=st.text(max_size=4),
            service=st.text(min_size=1, max_size=4),
            model=st.text(min_size=1, max_size=4),
            usage=st.builds(
                Usage,
                tokens_input=st.integers(0, 10**12),
                tokens_output=st.integers(0, 10**12),
                audio_seconds=st.floats(0, 10**6),
                images=st.integers(0, 2),
            ),
            charge=st.none()
            | st.builds(
                Charge,
                st.dictionaries(
                    st.sampled_from(["input", "output", "reasoning", "images"]),
                    st.integers(0, MAX_ENTRY_NANOS // 4).map(Nanos),
                ),
                st.just(PRICED),
            ),
            stage=st.none() | st.text(max_size=3),
            attempt=st.integers(1, 3),
            estimated=st.booleans(),
            period_at=st.none() | st.just(BEGIN),
        ),
        max_size=8,
    )
)
def test_any_entries(tmp_path: Path, entries: list[Entry]) -> None:
    _assert_same(tmp_path / "ledger", [encode(entry) for entry in entries])


# --- rebuilding with other processes -----------------------------------------------


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    monkeypatch.setattr(readers, "SMALL_BYTES", 0)
    monkeypatch.setattr(readers, "CHUNK_BYTES", 3_000)
    return History(tmp_path).filled(random.Random(5), jobs=6, calls=10)


def test_two_processes_rebuild_the_index(history: History) -> None:
    told: list[tuple[int, int]] = []
    with history.open() as index:
        found = index.rebuild(lambda done, whole: told.append((done, whole)))
        assert (found.ledgers, found.entries, found.unread) == (6, 60, ())
        whole = sum(ledger.stat().st_size for ledger in history.ledgers)
        assert told[-1] == (whole, whole)
        assert found.bytes == whole
        assert told == sorted(told)
        assert_is_fold(index, history)


def test_duplicates_are_found_across_processes(history: History) -> None:
    copy, again = history.ledgers[5], history.ledgers[3]
    copy.write_bytes(history.ledgers[0].read_bytes() + copy.read_bytes())
    again.write_bytes(again.read_bytes() * 2)
    with history.open() as index:
        index.rebuild()
        assert_is_fold(index, history)
        conflict = replace(history.entries()[0][1], usage=Usage(tokens_input=1), charge=None)
        history.append(again, conflict)
        index.rebuild()
        assert_is_fold(index, history)
        assert [problem.path for problem in index.problems()] == [again]


def test_a_reading_process_that_dies_is_told(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with history.open() as index:
        with pytest.raises(StorageUnavailable, match="failed"):
            index.rebuild()
        assert_is_fold(index, history)


def test_rebuilding_goes_on_beside_appending(history: History) -> None:
    """What is logged while the new index is built is caught up when it has taken its place."""
    with history.open() as index, history.open() as other:
        entries = iter([an_entry(random.Random(n)) for n in range(100)])

        def log_something(done: int, whole: int) -> None:
            history.log(other, history.ledgers[0], next(entries))

        index.rebuild(log_something)
        assert_is_fold(other, history)
        assert_is_fold(index, history)


def test_what_a_killed_rebuild_left_is_cleared(history: History) -> None:
    left, busy = (history.storage.root / f"index.db-new-{number}" for number in (1, 2))
    left.touch(mode=0o600)
    descriptor = platform.create_secure(busy)
    platform.lock(descriptor, 0)
    with history.open() as index:
        index.rebuild()
        assert_is_fold(index, history)
    assert [path.name for path in history.storage.root.glob("*-new-*")] == [busy.name]
    platform.close(descriptor)


def test_a_ledger_that_lives_very_long(tmp_path: Path) -> None:
    history = History(tmp_path)
    ledger = history.job("job")
    with history.open() as index:
        for days in (0, 40_000, 4_000):
            history.log(index, ledger, an_entry(random.Random(days), timestamp=BEGIN - timedelta(days=days)))
        assert index.groups((), Query(ledger=ledger))[0].totals.calls == 3
        index.rebuild_ledger(ledger)
        assert index.groups((), Query(job_id="job"))[0].totals.calls == 3
        before = index.groups(("bucket",), Query())
        index.rebuild()
        assert index.groups(("bucket",), Query()) == before
