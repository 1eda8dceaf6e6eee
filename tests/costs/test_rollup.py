"""Sums of entries do not depend on how the entries are split up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.model import Charge, Entry, PricedBy, Usage
from shared.costs.money import Nanos
from shared.costs.rollup import BUCKET_SECONDS, TOTALS_FIELDS, Query, Totals, bucket_of, output_part

AT = datetime(2026, 11, 22, tzinfo=UTC)


def charge(parts: dict[str, int]) -> Charge:
    return Charge({name: Nanos(n) for name, n in parts.items()}, PricedBy("catalogue", "1", "m"))


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    tokens = draw(st.integers(0, 10**6))
    parts = st.dictionaries(
        st.sampled_from(["input", "output", "reasoning", "images"]), st.integers(-(10**12), 10**12)
    )
    return Entry(
        id="x",
        kind=draw(st.sampled_from(["usage", "adjustment", "reversal"])),
        timestamp=AT,
        job_id="j",
        user_id="u",
        service="s",
        model="m",
        attempt=draw(st.integers(1, 3)),
        estimated=draw(st.booleans()),
        resolves_unpriced=draw(st.booleans()),
        usage=Usage(tokens_input=tokens, tokens_cached=tokens // 2, tokens_output=7, audio_seconds=0.25),
        charge=draw(st.none() | parts.map(charge)),
    )


def total(many: list[Entry]) -> Totals:
    sums = Totals()
    for one in many:
        sums.add(one)
    return sums


@pytest.mark.no_cover
@given(st.lists(entries(), max_size=5), st.lists(entries(), max_size=5))
def test_sums_of_parts_are_the_sum_of_the_whole(first: list[Entry], second: list[Entry]) -> None:
    merged = total(first)
    merged.merge(total(second))
    assert merged == total([*second, *first])


@pytest.mark.no_cover
@given(st.lists(entries(), max_size=6))
def test_input_and_output_make_the_cost(many: list[Entry]) -> None:
    sums = total(many)
    assert sums.cost_input + sums.cost_output == sums.cost == sum(e.cost for e in many)
    assert sums.tokens_total == sums.tokens_input + sums.tokens_output
    assert sums.calls == sum(e.sign for e in many)


def test_a_reversal_undoes_its_entry() -> None:
    call = Entry(
        id="1",
        timestamp=AT,
        job_id="j",
        user_id="u",
        service="s",
        model="m",
        attempt=2,
        usage=Usage(tokens_input=5),
        charge=charge({"input": 7}),
    )
    undone = Entry(
        id="2",
        kind="reversal",
        timestamp=AT,
        job_id="j",
        user_id="u",
        service="s",
        model="m",
        attempt=2,
        usage=call.usage,
        charge=charge({"input": -7}),
    )
    assert total([call, undone]) == Totals()
    assert total([call]).retried_cost == 7


def test_every_field_is_merged() -> None:
    one = Totals(**dict.fromkeys(TOTALS_FIELDS, 1))  # type: ignore[arg-type]  # all fields are integers
    one.merge(one)
    assert {getattr(one, name) for name in TOTALS_FIELDS} == {2}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({}, 0),
        ({"input": 5, "cached": 1}, 0),
        ({"output": 2, "reasoning": 3, "audio_output": 4, "input": 9}, 9),
    ],
)
def test_what_pays_for_output(parts: dict[str, int], expected: int) -> None:
    assert output_part(charge(parts)) == expected


def test_nothing_pays_for_the_output_of_an_unpriced_call() -> None:
    assert output_part(None) == 0


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001  # hypothesis wants naive bounds
def test_a_bucket_holds_its_instant(naive: datetime) -> None:
    at = naive.replace(tzinfo=UTC)
    start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=bucket_of(at))
    assert start <= at < start + timedelta(seconds=BUCKET_SECONDS)
    assert bucket_of(at) % BUCKET_SECONDS == 0


@pytest.mark.parametrize("year", [1, 1969, 2026, 2600, 9999])
def test_the_last_microsecond_of_a_bucket_is_in_it(year: int) -> None:
    begin = datetime(year, 6, 1, 0, 0, tzinfo=UTC)
    last = begin + timedelta(minutes=15) - timedelta.resolution
    assert bucket_of(begin) == bucket_of(last) == bucket_of(last + timedelta.resolution) - BUCKET_SECONDS


CALL = Entry(
    id="a",
    timestamp=AT,
    job_id="j",
    user_id="u",
    service="lab",
    model="m-1",
    stage="s",
    operation="o",
    workflow="w",
    project="p",
    tags=("t",),
    service_tier="batch",
)
MATCHING: dict[str, Any] = {
    "start": AT,
    "end": AT + timedelta(seconds=BUCKET_SECONDS),
    "user_id": "u",
    "stage": "s",
    "service": "lab",
    "model": "m-1",
    "operation": "o",
    "workflow": "w",
    "project": "p",
    "tag": "t",
    "service_tier": "batch",
}


@pytest.mark.parametrize("name", sorted({*Query._fields} - {"job_id", "ledger", "measure"}))
def test_an_entry_is_matched_by_each_thing_that_a_query_can_ask_for(name: str) -> None:
    assert Query(**MATCHING).matcher()(CALL)
    other: Any = {"start": AT + timedelta(1), "end": AT}.get(name, "another")
    assert not Query(**{**MATCHING, name: other}).matcher()(CALL)


@pytest.mark.parametrize(
    ("query", "is_meant"),
    [
        (Query(service="lab", model="lab/m-1"), True),
        (Query(model="lab/m-1"), False),
        (Query(service="other", model="other/m-1"), False),
        (Query(service_tier="standard"), False),
    ],
)
def test_a_model_may_be_named_with_the_service_beside_it(query: Query, is_meant: bool) -> None:
    assert query.matcher()(CALL) is is_meant
