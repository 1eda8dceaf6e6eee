"""Usage is checked where it is made; charges and entries add up."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.model import MAX_COUNT, Charge, Entry, PricedBy, Usage
from shared.costs.money import ZERO, Nanos
from shared.costs.units import FRACTIONAL_FIELDS, USAGE_FIELDS, Kind

AT = datetime(2026, 11, 22, tzinfo=UTC)
PRICED_BY = PricedBy("catalogue", "1", "openai/gpt-4o")


def entry(**values: object) -> Entry:
    base: dict[str, object] = {
        "id": "1",
        "timestamp": AT,
        "job_id": "j",
        "user_id": "u",
        "service": "openai",
        "model": "gpt-4o",
    }
    return Entry(**{**base, **values})  # type: ignore[arg-type]  # each test gives values of the right type


@pytest.mark.no_cover
def test_the_names_of_the_counts_are_the_fields_of_a_usage() -> None:
    assert tuple(each.name for each in fields(Usage)) == USAGE_FIELDS


@pytest.mark.parametrize("name", USAGE_FIELDS)
@pytest.mark.parametrize("value", [True, False, None, "5", [5]])
def test_a_count_must_be_a_number(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"{name} must be a number"):
        Usage(**{name: value})  # type: ignore[arg-type]  # what is tested


@pytest.mark.no_cover
@pytest.mark.parametrize("name", USAGE_FIELDS)
@pytest.mark.parametrize("value", [-1, -0.5, float("nan"), float("inf"), MAX_COUNT + 1, 1e300])
def test_a_count_must_be_in_bounds(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be between 0"):
        Usage(**{name: value})  # type: ignore[arg-type]  # a float where an int is meant is tested


@pytest.mark.parametrize("name", [n for n in USAGE_FIELDS if n not in FRACTIONAL_FIELDS])
def test_a_count_must_be_whole(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a whole number"):
        Usage(**{name: 1.5})  # type: ignore[arg-type]  # what is tested


def test_whole_floats_become_integers() -> None:
    assert Usage(tokens_input=5.0).tokens_input.__class__ is int  # type: ignore[arg-type]  # what is tested


@pytest.mark.parametrize(
    ("part", "whole"),
    [
        ("tokens_cached", "tokens_input"),
        ("tokens_cache_write", "tokens_input"),
        ("tokens_audio_input", "tokens_input"),
        ("tokens_image_input", "tokens_input"),
        ("tokens_reasoning", "tokens_output"),
        ("tokens_audio_output", "tokens_output"),
        ("tokens_image_output", "tokens_output"),
        ("tokens_cache_write_1h", "tokens_cache_write"),
    ],
)
def test_a_part_is_within_its_whole(part: str, whole: str) -> None:
    counts = {"tokens_input": 9, "tokens_output": 9, whole: 5}
    assert getattr(Usage(**{**counts, part: 5}), part) == 5
    with pytest.raises(ValueError, match=f"{part}=6 exceeds {whole}=5"):
        Usage(**{**counts, part: 6})


def test_cached_and_written_tokens_are_different_ones() -> None:
    with pytest.raises(ValueError, match="which must include both"):
        Usage(tokens_input=10, tokens_cached=6, tokens_cache_write=5)


@given(st.floats(0, 10**6))
def test_audio_is_kept_to_the_microsecond(seconds: float) -> None:
    usage = Usage(audio_seconds=seconds)
    assert usage.audio_microseconds == round(usage.audio_seconds * 10**6)
    assert abs(usage.audio_seconds - seconds) <= 5.1e-7
    assert usage == Usage(audio_seconds=usage.audio_seconds)


@given(
    st.dictionaries(st.sampled_from(["characters", "images", "pages", "requests"]), st.integers(0, MAX_COUNT))
)
def test_counts_are_those_that_are_not_zero(counts: dict[str, int]) -> None:
    found = Usage(**counts).counts()
    assert found == {name: n for name, n in counts.items() if n}
    assert Usage(**found) == Usage(**counts)  # type: ignore[arg-type]  # as above


def test_a_charge_is_the_sum_of_its_parts() -> None:
    charge = Charge({"input": Nanos(3), "output": Nanos(4)}, PRICED_BY)
    assert (charge.total, entry(charge=charge).cost) == (7, 7)
    assert entry().cost == ZERO


@pytest.mark.parametrize(
    ("kind", "charge", "resolves", "sign", "delta"),
    [
        ("usage", None, False, 1, 1),
        ("usage", Charge({}, PRICED_BY), False, 1, 0),
        ("adjustment", Charge({}, PRICED_BY), False, 0, 0),
        ("adjustment", Charge({}, PRICED_BY), True, 0, -1),
        ("reversal", Charge({}, PRICED_BY), False, -1, 0),
        ("reversal", None, True, -1, -1),
    ],
)
def test_how_an_entry_counts(
    kind: Kind, charge: Charge | None, resolves: bool, sign: int, delta: int
) -> None:
    one = entry(kind=kind, charge=charge, resolves_unpriced=resolves)
    assert (one.sign, one.unpriced_delta) == (sign, delta)


def test_a_reserved_entry_belongs_to_the_period_of_its_reservation() -> None:
    reserved = datetime(2026, 10, 31, 23, 59, tzinfo=UTC)
    assert entry(period_at=reserved).counted_at == reserved
    assert entry().counted_at == AT
