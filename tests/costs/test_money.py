"""Money is exact: nothing but ``money.py`` rounds, and it rounds half to even, once."""

from __future__ import annotations

import json
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs import money
from shared.costs.money import (
    MAX_ENTRY_NANOS,
    NANOS_PER_USD,
    Nanos,
    divide,
    format_usd,
    from_json_number,
    from_usd,
    json_number,
    percent,
    to_usd,
)

ENTRY_NANOS = st.integers(-MAX_ENTRY_NANOS, MAX_ENTRY_NANOS).map(Nanos)
ANY_NANOS = st.integers(-(10**24), 10**24).map(Nanos)


@pytest.mark.parametrize(
    ("amount", "nanos"),
    [
        (0, 0),
        (50, 50_000_000_000),
        (0.1, 100_000_000),
        (0.30000000000000004, 300_000_000),
        ("0.0045", 4_500_000),
        ("-1.5", -1_500_000_000),
        ("0.0000000005", 0),  # halves go to the even neighbour
        ("0.0000000015", 2),
        ("0.0000000025", 2),
        ("1e-9", 1),
        (Decimal("1e15"), 10**24),
        (1e300, 10**309),
    ],
)
def test_dollars_become_nanos(amount: str | float | Decimal, nanos: int) -> None:
    assert from_usd(amount) == nanos


@pytest.mark.parametrize("amount", ["", "abc", "1,5", "$5", "nan", "inf", float("nan"), float("-inf")])
def test_what_is_no_amount_is_refused(amount: str | float) -> None:
    with pytest.raises(ValueError, match="amount in USD"):
        from_usd(amount)


@pytest.mark.parametrize("amount", [True, False, None, [1], b"1"])
def test_what_is_no_number_is_refused(amount: object) -> None:
    with pytest.raises(TypeError, match="must be a number"):
        from_usd(amount)  # type: ignore[arg-type]  # what is tested


@given(st.decimals(-(10**9), 10**9, places=15))
def test_rounding_is_half_to_even_at_the_nano(amount: Decimal) -> None:
    expected = (amount * NANOS_PER_USD).to_integral_value(ROUND_HALF_EVEN)
    assert from_usd(amount) == from_usd(str(amount)) == int(expected)


@given(ANY_NANOS)
def test_a_json_number_is_exact_plain_and_short(amount: Nanos) -> None:
    text = json_number(amount)
    assert Fraction(text) == Fraction(amount, NANOS_PER_USD)
    assert "e" not in text
    assert len(text.partition(".")[2]) <= 9
    assert not text.endswith(".")
    assert from_usd(text) == amount


@given(ENTRY_NANOS)
def test_an_entry_s_amount_survives_a_reader_that_uses_doubles(amount: Nanos) -> None:
    assert from_json_number(json.loads(json_number(amount))) == amount
    assert from_usd(to_usd(amount)) == amount


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**12))
def test_division_rounds_half_to_even(numerator: int, denominator: int) -> None:
    assert divide(numerator, denominator) == round(Fraction(numerator, denominator))


@pytest.mark.parametrize(
    ("nanos", "places", "text"),
    [
        (0, 2, "$0.00"),
        (40_250_000_000, 2, "$40.25"),
        (4_500_000, 4, "$0.0045"),
        (1_234_567_890_123, 2, "$1,234.57"),
        (-1_500_000_000, 2, "-$1.50"),
        (-1, 2, "$0.00"),  # nothing is not negative
        (5_000_000, 2, "$0.00"),
        (15_000_000, 2, "$0.02"),
        (999_999_999, 0, "$1"),
        (1_500_000_000, 0, "$2"),
        (2_500_000_000, 0, "$2"),
        (1, 9, "$0.000000001"),
    ],
)
def test_amounts_as_people_read_them(nanos: int, places: int, text: str) -> None:
    assert format_usd(Nanos(nanos), places) == text


@given(ANY_NANOS, st.integers(0, 9))
def test_what_is_shown_is_the_nearest_of_its_kind(amount: Nanos, places: int) -> None:
    shown = Fraction(format_usd(amount, places).replace("$", "").replace(",", ""))
    assert abs(shown - Fraction(amount, NANOS_PER_USD)) <= Fraction(1, 2 * 10**places)


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [(40_250, 50_000, 80.5), (0, 0, 0.0), (1, 0, 100.0), (-1, 0, 0.0), (3, 2, 150.0), (-1, 2, -50.0)],
)
def test_percent(part: int, whole: int, expected: float) -> None:
    assert percent(Nanos(part), Nanos(whole)) == expected


@given(
    st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(10**30), 10**30)
    | st.decimals(allow_nan=False, allow_infinity=False, places=12).map(str)
    | st.from_regex(r"-?[0-9]{1,5}(\.[0-9]{1,14})?(e[+-][0-9]{1,2})?", fullmatch=True)
)
def test_amounts_are_read_without_an_import_as_decimal_reads_them(amount: float | int | str) -> None:
    exact = Decimal(repr(amount)) if isinstance(amount, float) else Decimal(amount)
    assert from_usd(amount) == round(Fraction(exact) * NANOS_PER_USD)
    assert money._PLAIN(amount if isinstance(amount, str) else repr(amount)) is not None
