from __future__ import annotations

import json
import subprocess
import zlib
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.ledger.counted import id_for_request, new_id
from shared.costs.ledger.line import FORMAT, SEAL_LENGTH, decode, encode, is_sealed, seal
from shared.costs.ledger.lines import MAX_LINE, DamagedLine
from shared.costs.model import Charge, Entry, PricedBy, Usage
from shared.costs.money import MAX_ENTRY_NANOS, Nanos
from tests.costs.ledger.ledger_support import AT, PRICED_BY, entry
from tests.support.golden import check

CORRECTION = {"corrects": "0c" * 14, "why": "logged for the wrong job"}
EXAMPLES: dict[str, Entry] = {
    "usual": entry(id="0199a1b2c3d4" + "0" * 16),
    "local": entry(
        id="1" * 28,
        service="local",
        model="pocketsphinx",
        usage=Usage(audio_seconds=46.4),
        charge=Charge({"audio_seconds": Nanos(0)}, PricedBy("catalogue", "f7623856", "local/pocketsphinx")),
        request_id=None,
        operation=None,
        metadata={},
    ),
    "unpriced": entry(id="2" * 28, model="gpt-9", charge=None),
    "everything": entry(
        id="3" * 28,
        period_at=AT - timedelta(days=40),
        attempt=3,
        usage=Usage(
            tokens_input=1000,
            tokens_output=900,
            tokens_cached=400,
            tokens_cache_write=300,
            tokens_cache_write_1h=100,
            tokens_reasoning=500,
            tokens_audio_input=40,
            tokens_audio_output=30,
            tokens_audio_cached=20,
            tokens_image_input=10,
            tokens_image_output=5,
            audio_seconds=1.000001,
            characters=7,
            images=2,
            pages=3,
            requests=4,
            web_searches=1,
            preview_searches=1,
            maps_searches=2,
            file_searches=3,
            search_units=4,
            containers=5,
            channels=2,
            video_seconds=8.5,
            gpu_seconds=0.25,
            session_seconds=3600,
            cache_token_hours=9,
            tokens_image_cached=6,
            pixels=3_000_000,
            billable_units=2.5,
        ),
        charge=Charge({"input": Nanos(1)}, PricedBy("genai-prices", "0.2.3", "openai/gpt-4o-2024", True)),
        actual_cost=Nanos(2),
        catalogue_cost=Nanos(3 * 10**9),
        unpriced_units={"file_searches": 3, "gpu_seconds": 0.25},
        estimated=True,
        service_tier="batch",
        region="us",
        reservation="4" * 28,
        description="Zusammenfassung \u2028 naïve \U0001f4b0",
        workflow="nightly",
        project="north",
        tags=("a", "b"),
        metadata={"nested": {"list": [1, 2.5, None, True]}},
    ),
    "adjustment": entry(
        id="5" * 28,
        kind="adjustment",
        usage=Usage(),
        charge=Charge({"input": Nanos(-1)}, PRICED_BY),
        resolves_unpriced=True,
        **CORRECTION,
    ),
    "completion": entry(
        id="7" * 28,
        kind="adjustment",
        usage=Usage(),
        charge=Charge({"file_searches": Nanos(7_500_000)}, PRICED_BY),
        resolves_partial=True,
        **CORRECTION,
    ),
    "unknown usage": entry(id="8" * 28, charge=None, usage=Usage(), unpriced_units={"requests": 1}),
    "reversal": entry(
        id="6" * 28, kind="reversal", charge=Charge({"input": Nanos(-3_750_000)}, PRICED_BY), **CORRECTION
    ),
}


def test_the_format_stays_what_it_is() -> None:
    """These lines lie in people's ledgers: what they say must be read for ever."""
    check("ledger/format-1.jsonl", b"".join(encode(one) for one in EXAMPLES.values()).decode("ascii"))


EARLIER = (Path(__file__).parents[2] / "golden/ledger/format-1-earlier.jsonl").read_bytes().splitlines(True)


@pytest.mark.parametrize("name", ["usual", "local", "unpriced", "adjustment", "reversal"])
def test_lines_of_before_say_what_they_said(name: str) -> None:
    """Whole dollars stood without a decimal; units, states and bills were not there."""
    [line] = [line for line in EARLIER if f'"id":"{EXAMPLES[name].id}"'.encode() in line]
    assert decode(line) == EXAMPLES[name]


def test_every_line_of_before_is_read() -> None:
    read = [decode(line) for line in EARLIER]
    assert [one.cost_state for one in read] == ["whole", "whole", "unknown", "whole", "whole", "whole"]
    assert not any(one.partial_delta or one.unpriced_units or one.catalogue_cost for one in read)


def test_amounts_are_no_integers_to_any_reader() -> None:
    free = Charge({"input": Nanos(0), "output": Nanos(12 * 10**9)}, PRICED_BY)
    line = encode(entry(charge=free, actual_cost=Nanos(0), catalogue_cost=Nanos(10**9)))
    assert b'"cost_usd":12.0,"cost_parts":{"input":0.0,"output":12.0},"actual_cost_usd":0.0' in line
    assert b'"catalogue_cost_usd":1.0' in line


STATES: list[tuple[dict[str, Any], str, int]] = [
    ({}, "whole", 0),
    ({"unpriced_units": {"file_searches": 40}}, "partial", 1),
    ({"charge": None}, "unknown", 0),
    ({"charge": None, "unpriced_units": {"requests": 1}}, "unknown", 0),
    ({**CORRECTION, "kind": "adjustment", "resolves_partial": True}, "whole", -1),
    (
        {"kind": "adjustment", "resolves_unpriced": True, "unpriced_units": {"pages": 1}, **CORRECTION},
        "partial",
        1,
    ),
    ({"kind": "reversal", "resolves_partial": True, **CORRECTION}, "whole", -1),
]


@pytest.mark.parametrize(("changes", "state", "delta"), STATES)
def test_a_line_says_what_is_known_of_its_cost(changes: dict[str, Any], state: str, delta: int) -> None:
    one = decode(encode(entry(**changes)))
    assert (one.cost_state, one.partial_delta) == (state, delta)


@pytest.mark.parametrize("count", [True, -1, "2", None, [1]])
def test_units_without_a_count_are_damage(count: object) -> None:
    body = json.loads(encode(entry(unpriced_units={"pages": 1})))
    del body["crc"]
    body["unpriced_units"] = {"pages": count}
    with pytest.raises(DamagedLine, match="unpriced_units has no count of pages"):
        decode(seal(json.dumps(body).removesuffix("}").encode()))


@pytest.mark.parametrize("count", [10**30, 1e300, float("inf")])
def test_units_beyond_all_counts_can_be_read_again(count: float) -> None:
    assert decode(encode(entry(unpriced_units={"pages": count}))).unpriced_units == {"pages": 10**12}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_entry_is_read_as_it_was_written(name: str) -> None:
    line = encode(EXAMPLES[name])
    assert line.isascii()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line) == EXAMPLES[name]
    assert json.loads(line)["crc"] == f"{zlib.crc32(line[:-19]):08x}"


def test_a_typical_entry_is_small() -> None:
    plain = entry(request_id=None, operation=None, metadata={})
    assert len(encode(plain)) <= 450


texts = st.text(min_size=1, max_size=20)
amounts = st.integers(-MAX_ENTRY_NANOS, MAX_ENTRY_NANOS).map(Nanos)


@given(
    st.builds(
        entry,
        id=texts,
        service=texts,
        model=texts,
        stage=st.none() | texts,
        tags=st.lists(texts, max_size=3).map(tuple),
        timestamp=st.datetimes(timezones=st.just(UTC)),
        charge=st.none()
        | st.builds(
            Charge,
            st.dictionaries(texts, amounts.map(lambda n: Nanos(n // 4)), max_size=3),
            st.just(PRICED_BY),
            st.just({}),
        ),
        catalogue_cost=st.none() | amounts,
        unpriced_units=st.dictionaries(texts, st.integers(0, 10**12) | st.floats(0, 1e9), max_size=3),
        region=st.none() | texts,
        metadata=st.dictionaries(texts, st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts),
        usage=st.builds(
            Usage,
            tokens_input=st.integers(0, 10**12),
            audio_seconds=st.floats(0, 1e9).map(lambda s: round(s, 6)),
        ),
    )
)
def test_any_entry_is_read_as_it_was_written(one: Entry) -> None:
    assert decode(encode(one)) == one


def test_lone_surrogates_are_no_text() -> None:
    line = encode(entry(description="a\ud800b\U0001f4b0"))
    assert decode(line).description == "a\ufffdb\U0001f4b0"


REFUSED: list[tuple[dict[str, Any], type[Exception]]] = [
    ({"id": ""}, ValueError),
    ({"timestamp": datetime(2026, 1, 1)}, ValueError),  # noqa: DTZ001
    ({"charge": Charge({"input": Nanos(MAX_ENTRY_NANOS + 1)}, PRICED_BY)}, ValueError),
    ({"metadata": {"a": float("nan")}}, ValueError),
    ({"metadata": {"a": object()}}, TypeError),
    ({"metadata": {"a": "x" * MAX_LINE}}, ValueError),
]


@pytest.mark.parametrize(("changes", "error"), REFUSED)
def test_what_cannot_be_a_line_is_refused(changes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        encode(entry(**changes))


def changed(**changes: Any) -> bytes:
    """A sealed line in which some members differ; ``...`` takes one out."""
    found = json.loads(encode(EXAMPLES["usual"]))
    found.pop("crc")
    found = {k: v for k, v in {**found, **changes}.items() if v is not ...}
    return seal(json.dumps(found).encode()[:-1])


DAMAGED: list[tuple[str, bytes, str]] = [
    ("empty", b"\n", "empty line"),
    ("cut off", encode(EXAMPLES["usual"])[:100] + b"\n", "cut off"),
    ("one bit", encode(EXAMPLES["usual"]).replace(b"gpt-4o", b"gpt-4n", 1), "checksum does not match"),
    ("too long", b"x" * (MAX_LINE + 1), "longer than"),
    ("no object", seal(b"[1"), "not JSON"),
    ("no text", changed(priced_as=5), "priced_as is not text"),
    ("infinity", changed(cost_usd=float("inf")), "not JSON"),
    ("deep", seal(b'{"a":' + b"[" * 4000), "not JSON"),
    ("no version", changed(v=...), "no format version"),
    ("version as text", changed(v="1"), "no format version"),
    ("version zero", changed(v=0), "no format version"),
    ("unknown kind", changed(kind="gift"), "unknown kind"),
    ("no id", changed(id=""), "id"),
    ("no time", changed(timestamp="yesterday"), ""),
    ("time without zone", changed(timestamp="2026-11-22T09:30:00"), ""),
    ("no cost", changed(cost_usd=...), "cost_usd"),
    ("cost as text", changed(cost_usd="0.1"), ""),
    ("parts that do not sum", changed(cost_usd=0.1), "do not sum"),
    ("negative count", changed(tokens_input=-1), "tokens_input"),
    ("count as text", changed(tokens_output="7"), "tokens_output"),
    ("metadata as list", changed(metadata=[1]), "metadata"),
    ("tags as text", changed(tags="a"), ""),
    ("user as number", changed(user_id=7), "user_id"),
    ("attempt as text", changed(attempt="2"), ""),
    ("attempt above all counts", changed(attempt=10**20), "not a count"),
    ("cost above all amounts", changed(cost_usd=1e300), "out of range"),
    ("boolean cost", changed(cost_usd=True), ""),
]


@pytest.mark.parametrize(("raw", "why"), [row[1:] for row in DAMAGED], ids=[row[0] for row in DAMAGED])
def test_a_line_that_cannot_be_trusted_says_why(raw: bytes, why: str) -> None:
    with pytest.raises(DamagedLine) as damage:
        decode(raw)
    assert why in str(damage.value)


def test_what_only_another_hand_writes_is_kept_as_far_as_it_is_text() -> None:
    """So that no export stops at it: half a surrogate pair, and a number that no float can be."""
    line = changed(model="MODEL", metadata={"KEY": "VALUE"})[:-SEAL_LENGTH]
    for name, text in ((b"MODEL", rb"x\uD800"), (b"KEY", rb"\udc00\\ud800"), (b'"VALUE"', b"1e999")):
        line = line.replace(name, text)
    one = decode(seal(line))
    assert (one.model, one.metadata) == ("x\ufffd", {"\ufffd\\ud800": "1e999"})
    assert decode(encode(one)) == one


def test_a_newer_format_counts_if_its_cost_is_valid() -> None:
    newer = changed(v=FORMAT + 1, kind="tip", cost_usd=0.5, tokens_input="many", priced_by=7, extra=[1])
    found = decode(newer)
    assert (found.kind, found.cost, found.usage) == ("adjustment", 500_000_000, Usage())
    with pytest.raises(DamagedLine):
        decode(changed(v=FORMAT + 1, cost_usd="much"))
    assert decode(changed(v=FORMAT + 1)) == EXAMPLES["usual"]


def test_every_single_bit_matters() -> None:
    line = encode(EXAMPLES["local"])
    for position in range(len(line) * 8):
        flipped = bytearray(line)
        flipped[position // 8] ^= 1 << position % 8
        raw = bytes(flipped)
        # A flipped newline makes two lines or none; neither half is sealed.
        assert not is_sealed(raw) or raw == line, position


def test_a_line_is_readable_with_jq(tmp_path: Path) -> None:
    if which("jq") is None:
        pytest.skip("jq is not installed")
    path = tmp_path / "cost_ledger.jsonl"
    path.write_bytes(b"".join(encode(one) for one in EXAMPLES.values()))
    summed = subprocess.run(
        ["jq", "-s", "map(.cost_usd) | add", str(path)], capture_output=True, text=True, check=True
    )
    assert float(summed.stdout) == pytest.approx(0.0105)


def test_ids_are_different_and_sort_by_time() -> None:
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert [one[:12] for one in ids] == sorted(one[:12] for one in ids)


@given(texts, texts, texts)
def test_an_id_for_a_request_depends_on_all_three(job: str, service: str, request: str) -> None:
    one = id_for_request(job, service, request)
    assert one == id_for_request(job, service, request)
    assert one != id_for_request(job + "x", service, request)
    assert one != id_for_request(job, service + "x", request)
    assert one != id_for_request(job, service, request + "x")


def test_an_empty_request_id_names_nothing() -> None:
    with pytest.raises(ValueError, match="empty request_id"):
        id_for_request("job", "openai", "")


def test_times_of_any_zone_are_the_same_instant() -> None:
    there = AT.astimezone(timezone(timedelta(hours=5, minutes=45)))
    assert encode(entry(id="1", timestamp=there)) == encode(entry(id="1", timestamp=AT))
