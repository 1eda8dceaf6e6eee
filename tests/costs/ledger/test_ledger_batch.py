"""The fast readers of many lines give what ``decode`` gives, line by line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.costs.ledger import batch, entries
from shared.costs.ledger.batch import counted_line, read_counted
from shared.costs.ledger.counted import NAMES, CountedEntry, counted, same_call
from shared.costs.ledger.entries import entry_of
from shared.costs.ledger.line import SEAL_LENGTH, decode, encode, seal
from shared.costs.ledger.lines import MAX_LINE, DamagedLine, line_at, split
from shared.costs.model import Charge, Entry, Usage
from shared.costs.money import MAX_ENTRY_NANOS, Nanos
from shared.costs.units import USAGE_FIELDS
from tests.costs.ledger.ledger_support import AT, entry
from tests.costs.ledger.ledger_support import PRICED_BY as PRICED


def _read(tmp_path: Path, data: bytes, start: int = 0, end: int | None = None) -> list[batch.CountedLine]:
    path = tmp_path / "ledger"
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return list(read_counted(descriptor, start, end))
    finally:
        os.close(descriptor)


def _assert_same(line: bytes) -> None:
    fast = counted_line(line)
    try:
        slow: CountedEntry | str = counted(decode(line))
    except DamagedLine as damage:
        slow = str(damage)
    assert (str(fast) if isinstance(fast, DamagedLine) else fast) == slow
    _assert_same_entry(line)
    if isinstance(fast, CountedEntry):
        assert [type(value) for value in fast] == [type(value) for value in slow]
        assert len(fast.names) == len(NAMES)
        assert len(fast.usage) == len(USAGE_FIELDS)


def _assert_same_entry(line: bytes) -> None:
    found = []
    for read in (entry_of, decode):
        try:
            found.append(repr(read(line)))
        except DamagedLine as damage:
            found.append(str(damage))
    assert found[0] == found[1]


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
    "metadata that are null": _set(metadata=None),
    "metadata": _set(
        metadata={"outcome": "ok", "score": 1.50, "many": 10**30, "huge": 1e22, "list": [1, {}]}
    ),
    "metadata with half a surrogate pair": _set(metadata={"a": "\udc00"}),
    "metadata in another script": _set(metadata={"a": "\u00fc\U0001f600"}),
    "a period that is empty": _set(period_at=""),
    "a region": _set(region="eu", unverified=True, priced_as="openai/other"),
    "no host": _set(host=None),
    "many parts": _set(cost_usd=0.6, cost_parts={"web_searches": 0.5, "input": 0.1}),
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
def test_lines_that_no_writer_of_ours_wrote(name: str, charged: bool) -> None:
    _assert_same(_sealed(_usual_line(charged=charged), CHANGES[name]))


def _usual_line(*, charged: bool = True) -> bytes:
    """Return a line of those that take the fast way, so that it is the change that decides."""
    charge = Charge({"input": Nanos(25), "output": Nanos(40)}, PRICED) if charged else None
    usage = Usage(tokens_input=5, tokens_output=4)
    line = encode(entry(usage=usage, charge=charge, tags=()))
    assert batch._usual(line) is not None
    assert entries._usual(line) is not None
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
def test_members_that_are_repeated(name: str) -> None:
    _assert_same(seal(b"%b,%b" % (_usual_line()[:-SEAL_LENGTH], REPEATED[name].encode())))


def test_usual_calls_with_further_counts_take_the_fast_way_too() -> None:
    usage = Usage(tokens_input=9, tokens_output=9, tokens_cached=2, tokens_cache_write=3, tokens_reasoning=1)
    parts = {"input": Nanos(3), "cached": Nanos(1), "cache_write": Nanos(2), "output": Nanos(4)}
    for one in (
        entry(usage=usage, charge=Charge(parts, PRICED), tags=()),
        entry(usage=Usage(audio_seconds=0.1 + 0.2), charge=None, tags=()),
    ):
        assert batch._usual(encode(one)) == counted(decode(encode(one)))


def test_a_call_as_the_tracker_writes_it_takes_the_fast_way() -> None:
    parts = {"input": Nanos(3), "web_searches": Nanos(10_000_000), "reasoning": Nanos(1)}
    usage = Usage(
        tokens_input=9, tokens_output=9, tokens_reasoning=1, web_searches=1, audio_seconds=0.1 + 0.2
    )
    one = entry(
        usage=usage,
        charge=Charge(parts, PRICED._replace(model="azure/gpt-4o", unverified=True)),
        tags=("b", "a"),
        metadata={"outcome": "accepted", "quality": 0.8},
        region="eu",
        period_at=AT + timedelta(days=40),
    )
    assert entries._usual(encode(one)) == one


def test_a_line_that_hides_its_time() -> None:
    """Where a time usually stands is one that belongs to the metadata; the id is empty."""
    line = _usual_line()
    rest = line[line.index(b',"timestamp"') : line.index(b',"metadata"')]
    hidden = b'{"metadata":{"a":"%b","timestamp":"2026-11-22T09:30:00.000000Z"}' % (b"x" * 38)
    _assert_same(seal(b'%b,"v":1,"kind":"usage","id":""%b' % (hidden, rest)))


TEXTS = st.text(max_size=4)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
ENTRIES = st.builds(
    Entry,
    id=st.sampled_from(["a" * 28, "f" * 27 + "0", "other"]),
    kind=st.sampled_from(["usage", "usage", "reversal"]),
    timestamp=st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # zone by `timezones`
    job_id=st.just("job"),
    user_id=TEXTS,
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
            st.sampled_from(["input", "output", "cached", "cache_write", "reasoning", "images"]),
            st.integers(0, MAX_ENTRY_NANOS // 6).map(Nanos),
        ),
        st.just(PRICED),
    ),
    stage=st.none() | TEXTS,
    attempt=st.integers(1, 3),
    estimated=st.booleans(),
    period_at=st.none() | st.just(AT + timedelta(days=40)),
    reservation=st.none() | TEXTS,
    tags=st.lists(st.text("ab", min_size=1, max_size=2), max_size=2).map(tuple),
    region=st.none() | TEXTS,
    metadata=st.dictionaries(TEXTS, st.none() | TEXTS | NUMBERS | st.integers(), max_size=2),
)


@pytest.mark.no_cover
@settings(max_examples=100, deadline=None)
@given(ENTRIES)
def test_any_entry(one: Entry) -> None:
    _assert_same(encode(one))


@pytest.mark.no_cover
@settings(max_examples=100, deadline=None)
@given(ENTRIES, st.integers(0, 1 << 30), st.integers(0, 255))
def test_any_damaged_entry(one: Entry, at: int, byte: int) -> None:
    line = bytearray(encode(one)[:-1])
    line[at % len(line)] = byte
    _assert_same(bytes(line) + b"\n")


@settings(max_examples=100, deadline=None)
@given(ENTRIES, st.integers(0, 1 << 30), st.integers(32, 126))
def test_any_changed_entry_that_was_sealed_again(one: Entry, at: int, byte: int) -> None:
    body = bytearray(encode(one)[:-SEAL_LENGTH])
    body[at % len(body)] = byte
    _assert_same(seal(bytes(body)))


# --- splitting -------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from([b"\n", b"a\n", b"b" * 7 + b"\r\x85\n", b"c" * 40 + b"\n"]), max_size=9),
    st.sampled_from([b"", b"torn"]),
    st.integers(1, 60),
)
def test_splitting_loses_no_byte(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], torn: bytes, piece: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "split"
    path.write_bytes(b"".join([*lines, torn]))
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("shared.costs.ledger.lines._PIECE", piece)
            found = list(split(descriptor))
    finally:
        os.close(descriptor)
    assert [raw for _, _, raw in found] == [*lines, *([torn] if torn else [])]
    at = 0
    for offset, length, raw in found:
        assert (offset, length) == (at, len(raw))
        at += length


@pytest.mark.parametrize("size", [MAX_LINE, MAX_LINE + 1, 3 << 20])
@pytest.mark.parametrize("ended", [True, False])
def test_a_line_that_is_too_long_is_damage_of_its_whole_length(
    tmp_path: Path, size: int, ended: bool
) -> None:
    data = b"x" * size + (b"\n" if ended else b"")
    rest = _usual_line() if ended else b""
    path = tmp_path / "ledger"
    path.write_bytes(data + rest)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        offset, length, raw = next(split(descriptor))
        lines = list(read_counted(descriptor))
        assert line_at(descriptor, len(data)) == (rest or b"\n")
    finally:
        os.close(descriptor)
    assert (offset, length, raw.endswith(b"\n")) == (0, len(data), ended)
    assert len(raw) <= MAX_LINE + (1 << 20) + 1
    if not ended:
        assert lines == []
        return
    assert [line[:2] for line in lines] == [(0, len(data)), (len(data), len(rest))]
    assert str(lines[0][2]) == f"longer than {MAX_LINE} bytes"
    assert isinstance(lines[1][2], CountedEntry)


def test_reading_stops_before_a_torn_line_and_at_the_end_asked_for(tmp_path: Path) -> None:
    line = _usual_line()
    assert [found[:2] for found in _read(tmp_path, line + line + line[:-1])] == [
        (0, len(line)),
        (len(line), len(line)),
    ]
    assert [found[0] for found in _read(tmp_path, line * 3, len(line), 2 * len(line))] == [len(line)]


# --- the same call ---------------------------------------------------------------------------------

A_CALL = entry(
    usage=Usage(tokens_input=5),
    charge=Charge({"input": Nanos(25)}, PRICED),
    tags=("a", "b"),
    attempt=1,
)

SAME: dict[str, dict[str, Any]] = {
    "written at another time": {"timestamp": (AT + timedelta(days=40))},
    "by another process": {"pid": 77, "host": "elsewhere"},
    "as another attempt": {"attempt": 2},
    "under another reservation": {"reservation": "hold"},
    "with its tags in another order": {"tags": ("b", "a")},
    "with other metadata": {"metadata": {"a": 1}, "description": "again"},
}
OTHER: dict[str, dict[str, Any]] = {
    "other tokens": {"usage": Usage(tokens_input=6)},
    "other characters": {"usage": Usage(tokens_input=5, characters=10)},
    "another cost": {"charge": Charge({"input": Nanos(26)}, PRICED)},
    "another part of the cost": {"charge": Charge({"output": Nanos(25)}, PRICED)},
    "no price": {"charge": None},
    "another user": {"user_id": "somebody"},
    "another job": {"job_id": "elsewhere"},
    "another tag": {"tags": ("b",)},
    "another kind": {"kind": "adjustment", "corrects": "x"},
}


@pytest.mark.parametrize("name", [*SAME, *OTHER])
def test_what_makes_two_lines_of_one_id_the_same_call(name: str) -> None:
    changed = replace(A_CALL, **{**SAME, **OTHER}[name])
    assert same_call(counted(A_CALL), counted(changed)) is (name in SAME)
