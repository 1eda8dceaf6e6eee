"""Usage x price: laws that hold for every usage and price, and the cases that need a rule."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.model import Usage
from shared.costs.money import Nanos
from shared.costs.pricing import arithmetic
from shared.costs.pricing.arithmetic import Amounts, Shortfall, at_most, quantities, undiscounted
from shared.costs.pricing.rates import UNITS, Price, Rate, Step

PER_MILLION = 1_000_000
TOKEN_PARTS = [part for part, unit in UNITS.items() if unit.field.startswith("tokens_")]

counts = st.integers(0, 10**7)


def amounts(price: Price, usage: Usage) -> dict[str, int] | Amounts | Shortfall:
    """Return the parts of a charge that is whole; a partial one as it is."""
    found = arithmetic.amounts(price, usage)
    return dict(found.parts) if isinstance(found, Amounts) and not found.missing else found


def partial(parts: dict[str, int], missing: dict[str, float]) -> Amounts:
    return Amounts({part: Nanos(amount) for part, amount in parts.items()}, missing)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    cached, both, seen, audio, image, write, hour, plain = (draw(counts | st.just(0)) for _ in range(8))
    reasoning, audio_out, image_out, out = (draw(counts | st.just(0)) for _ in range(4))
    return Usage(
        tokens_input=cached + both + seen + audio + image + write + hour + plain,
        tokens_cached=cached + both + seen,
        tokens_audio_input=audio + both,
        tokens_audio_cached=both,
        tokens_image_input=image + seen,
        tokens_image_cached=seen,
        tokens_cache_write=write + hour,
        tokens_cache_write_1h=hour,
        tokens_output=reasoning + audio_out + image_out + out,
        tokens_reasoning=reasoning,
        tokens_audio_output=audio_out,
        tokens_image_output=image_out,
    )


rates = st.builds(
    lambda usd, places: Rate.of(f"{usd}e-{places}", PER_MILLION), st.integers(0, 10**6), st.integers(0, 6)
)
token_prices = st.builds(
    lambda base, more: Price({**base, **more}),
    st.fixed_dictionaries({"input": rates, "output": rates}),
    st.dictionaries(st.sampled_from(TOKEN_PARTS), rates),
)


@given(usages(), rates)
def test_every_token_is_paid_exactly_once(usage: Usage, rate: Rate) -> None:
    price = Price(dict.fromkeys(TOKEN_PARTS, rate))
    found = quantities(price, usage)
    assert not isinstance(found, Shortfall)
    assert sum(found.values()) == usage.tokens_total


@pytest.mark.no_cover
@given(usages(), token_prices)
def test_parts_are_rounded_once_each_and_half_to_even(usage: Usage, price: Price) -> None:
    found, taken = amounts(price, usage), quantities(price, usage)
    if isinstance(found, (Amounts, Shortfall)) or isinstance(taken, Shortfall):
        assert usage.tokens_cache_write or usage.tokens_audio_cached or usage.tokens_image_cached
        return
    assert found.keys() == taken.keys()
    for part, amount in found.items():
        exact = Fraction(taken[part] * price.rates[part].nanos, price.rates[part].units)
        assert amount == round(exact)  # Fraction rounds half to even


@given(usages(), token_prices)
def test_what_has_no_rate_of_its_own_is_paid_as_what_it_is_part_of(usage: Usage, price: Price) -> None:
    taken = quantities(price, usage)
    if isinstance(taken, Shortfall):
        return
    inputs = {
        "input",
        "cached",
        "cache_write",
        "cache_write_1h",
        "audio_input",
        "audio_cached",
        "image_input",
        "image_cached",
    }
    assert sum(quantity for part, quantity in taken.items() if part in inputs) == usage.tokens_input
    assert sum(quantity for part, quantity in taken.items() if part not in inputs) == usage.tokens_output
    for part in ("cached", "audio_input", "image_input", "reasoning", "audio_output", "image_output"):
        assert part in price.rates or part not in taken


@given(usages(), token_prices)
def test_the_upper_bound_is_never_below_the_charge(usage: Usage, price: Price) -> None:
    charge, bound = amounts(price, usage), amounts(at_most(price, usage.tokens_input), undiscounted(usage))
    if isinstance(charge, (Amounts, Shortfall)) or isinstance(bound, (Amounts, Shortfall)):
        return
    # Each part is rounded by itself, so a sum of parts may differ by half a nano-dollar a part.
    assert sum(bound.values()) >= sum(charge.values()) - len(charge)


def test_halves_go_to_the_even_neighbour() -> None:
    price = Price({"input": Rate.of("0.0005", PER_MILLION)})  # half a nano-dollar per token
    assert [amounts(price, Usage(n)) for n in (1, 3, 5, 7)] == [{"input": n} for n in (0, 2, 2, 4)]


def test_exact_thousandths_of_a_cent() -> None:
    price = Price({"audio_seconds": Rate.of("0.006", 60 * PER_MILLION)})
    assert amounts(price, Usage(audio_seconds=0.000001)) == {"audio_seconds": 0}
    assert amounts(price, Usage(audio_seconds=1)) == {"audio_seconds": 100_000}
    assert amounts(price, Usage(audio_seconds=3.3)) == {"audio_seconds": 330_000}


@pytest.mark.parametrize(
    ("usage", "field"),
    [
        (Usage(tokens_input=1), "tokens_input"),
        (Usage(tokens_output=1), "tokens_output"),
        (Usage(audio_seconds=1), "audio_seconds"),
        (Usage(characters=1), "characters"),
        (Usage(images=1), "images"),
        (Usage(pages=1), "pages"),
        (Usage(requests=1), "requests"),
        (Usage(web_searches=1), "web_searches"),
        (Usage(video_seconds=1), "video_seconds"),
        (Usage(file_searches=1), "file_searches"),
        (Usage(search_units=1), "search_units"),
        (Usage(cache_token_hours=1), "cache_token_hours"),
        (Usage(gpu_seconds=1), "gpu_seconds"),
        (Usage(session_seconds=1), "session_seconds"),
    ],
)
def test_every_unit_with_a_quantity_needs_a_price(usage: Usage, field: str) -> None:
    other = {part: Rate(1, 1) for part, unit in UNITS.items() if unit.field != field and part != "requests"}
    assert amounts(Price(other), usage) == Shortfall(f"has no price for {field}")
    own = {part: Rate(1, 1) for part, unit in UNITS.items() if unit.field == field}
    assert not isinstance(amounts(Price(own), usage), Shortfall)


def test_nothing_used_costs_nothing() -> None:
    assert amounts(Price({"input": Rate(1, 1)}), Usage()) == {}


def test_requests_describe_a_call_unless_they_are_billed() -> None:
    assert amounts(Price({"input": Rate(1, 1)}), Usage(5, requests=3)) == {"input": 5}
    fee = Price({"input": Rate(1, 1), "requests": Rate.of("5", 1_000)})
    assert amounts(fee, Usage(5)) == {"input": 5, "requests": 5_000_000}
    assert amounts(fee, Usage(5, requests=3)) == {"input": 5, "requests": 15_000_000}


def test_included_counts_are_not_billed() -> None:
    price = Price({"input": Rate(1, 1)}, included=frozenset({"audio_seconds", "pages"}))
    assert amounts(price, Usage(5, audio_seconds=60, pages=2)) == {"input": 5}
    assert amounts(price, Usage(5, images=1)) == partial({"input": 5}, {"images": 1})


def test_a_tier_is_picked_by_request_and_not_by_a_sum_of_requests() -> None:
    price = Price({"input": Rate(1, 1)}, above=((1_000, {"input": Rate(2, 1)}),))
    assert amounts(price, Usage(1_000)) == {"input": 1_000}
    assert amounts(price, Usage(1_001)) == {"input": 2_002}
    assert amounts(price, Usage(1_000, requests=5)) == {"input": 1_000}
    assert amounts(price, Usage(1_001, requests=5)) == {"input": 1_001}
    assert amounts(at_most(price, 1_001), Usage(1_001, requests=5)) == {"input": 2_002}


def test_the_highest_threshold_that_is_passed_counts() -> None:
    price = Price({"input": Rate(1, 1)}, above=((10, {"input": Rate(2, 1)}), (100, {"input": Rate(5, 1)})))
    assert [amounts(price, Usage(n)) for n in (10, 11, 100, 101)] == [
        {"input": 10},
        {"input": 22},
        {"input": 200},
        {"input": 505},
    ]


def test_output_that_overlaps_is_not_guessed() -> None:
    price = Price({"output": Rate(1, 1), "reasoning": Rate(2, 1), "audio_output": Rate(3, 1)})
    usage = Usage(tokens_output=10, tokens_reasoning=8, tokens_audio_output=8)
    found = amounts(price, usage)
    assert isinstance(found, Shortfall)
    assert "overlap" in found.fault
    # Where only one of them has a rate, there is nothing to guess.
    assert amounts(Price({"output": Rate(1, 1), "reasoning": Rate(2, 1)}), usage) == {
        "output": 2,
        "reasoning": 16,
    }


def test_cached_audio_without_a_rate_is_not_guessed() -> None:
    usage = Usage(tokens_input=10, tokens_cached=4, tokens_audio_input=6, tokens_audio_cached=4)
    both = Price({"input": Rate(2, 1), "cached": Rate(1, 1), "audio_input": Rate(9, 1)})
    assert amounts(both, usage) == partial({"input": 8, "audio_input": 18}, {"tokens_audio_cached": 4})
    # Without a cache discount cached audio is audio; without an audio rate it is cached input.
    assert amounts(Price({"input": Rate(2, 1), "audio_input": Rate(9, 1)}), usage) == {
        "input": 8,
        "audio_input": 54,
    }
    assert amounts(Price({"input": Rate(2, 1), "cached": Rate(1, 1)}), usage) == {"input": 12, "cached": 4}


SECOND = 1_000_000


@pytest.mark.parametrize(
    ("step", "seconds", "requests", "billed"),
    [
        (Step(least=10 * SECOND), 3, 0, 10),
        (Step(least=10 * SECOND), 30, 1, 30),
        (Step(least=10 * SECOND), 25, 3, 30),  # three requests of at least ten seconds
        (Step(size=15 * SECOND), 0.1, 0, 15),
        (Step(size=15 * SECOND), 15, 0, 15),
        (Step(size=15 * SECOND), 15.000001, 0, 30),
        (Step(least=10 * SECOND, size=SECOND), 9.2, 0, 10),
        (Step(least=10 * SECOND, size=SECOND), 10.2, 0, 11),
        (Step(size=SECOND), 0, 0, None),
    ],
)
def test_increments_and_minimums(step: Step, seconds: float, requests: int, billed: int | None) -> None:
    price = Price({"audio_seconds": Rate(1, SECOND)}, steps={"audio_seconds": step})
    expected = {} if billed is None else {"audio_seconds": billed}
    assert amounts(price, Usage(audio_seconds=seconds, requests=requests)) == expected


def test_steps_of_whole_units() -> None:
    price = Price({"characters": Rate(1, 1)}, steps={"characters": Step(size=1_000)})
    assert [amounts(price, Usage(characters=n)) for n in (1, 1_000, 1_001)] == [
        {"characters": n} for n in (1_000, 1_000, 2_000)
    ]


def test_each_channel_is_billed_where_the_price_says_so() -> None:
    usage = Usage(audio_seconds=60, channels=2)
    price = Price({"audio_seconds": Rate(1, SECOND)})
    assert amounts(price, usage) == {"audio_seconds": 60}
    assert amounts(price._replace(per_channel=True), usage) == {"audio_seconds": 120}
    assert amounts(price._replace(per_channel=True), Usage(audio_seconds=60)) == {"audio_seconds": 60}


# --- whole, partial, unknown


def test_a_unit_without_a_price_makes_a_charge_partial() -> None:
    price = Price({"input": Rate(1, 1), "output": Rate(2, 1)})
    usage = Usage(5, 3, file_searches=40, containers=1, video_seconds=1.5)
    missing = {"video_seconds": 1.5, "file_searches": 40, "containers": 1}
    assert amounts(price, usage) == partial({"input": 5, "output": 6}, missing)


def test_usage_without_any_unit_that_is_billed_is_never_zero() -> None:
    tokens = Price({"input": Rate(1, 1), "output": Rate(2, 1)}, included=frozenset({"audio_seconds"}))
    found = amounts(tokens, Usage(audio_seconds=3_600))
    assert found == Shortfall(
        "is billed by tokens_input, tokens_output, and this call states only audio_seconds"
    )
    seconds = Price({"audio_seconds": Rate(1, 1)}, included=frozenset({"input", "output"}))
    assert isinstance(amounts(seconds, Usage(100, 10)), Shortfall)
    assert amounts(seconds, Usage(100, 10, audio_seconds=0.000002)) == {"audio_seconds": 2}
    assert amounts(tokens, Usage()) == {}
    assert amounts(Price(free=True), Usage(audio_seconds=3_600)) == {}


def test_tokens_that_the_price_does_not_know_make_a_charge_partial() -> None:
    price = Price({"audio_seconds": Rate(1, SECOND)})
    found = amounts(price, Usage(7, 0, audio_seconds=60))
    assert found == partial({"audio_seconds": 60}, {"tokens_input": 7})


def test_cached_image_tokens_have_a_rate_of_their_own() -> None:
    usage = Usage(tokens_input=150, tokens_image_input=100, tokens_cached=60, tokens_image_cached=50)
    price = Price(
        {"input": Rate(5, 1), "cached": Rate(1, 1), "image_input": Rate(8, 1), "image_cached": Rate(2, 1)}
    )
    assert amounts(price, usage) == {"input": 200, "cached": 10, "image_input": 400, "image_cached": 100}


def test_the_upper_bound_counts_cached_input_as_written_to_the_cache() -> None:
    price = Price(
        {
            "input": Rate(4, 1),
            "cached": Rate(1, 1),
            "cache_write": Rate(5, 1),
            "output": Rate(10, 1),
            "reasoning": Rate(12, 1),
        }
    )
    usage = Usage(tokens_input=100, tokens_cached=90, tokens_output=10)
    assert amounts(at_most(price, usage.tokens_input), undiscounted(usage)) == {"input": 500, "output": 120}


@pytest.mark.parametrize(
    ("usd", "per", "shown"),
    [
        ("2.50", 1_000_000, "2.5"),
        ("0.0375", 1_000_000, "0.0375"),
        ("0.36", 3_600_000_000, "0.36"),
        ("0", 1_000, "0"),
    ],
)
def test_rates_are_shown_as_they_were_written(usd: str, per: int, shown: str) -> None:
    assert Rate.of(usd, per).usd_per(per) == shown


@given(st.integers(0, 10**12), st.integers(1, 10**9), st.integers(0, 100), st.integers(1, 100))
def test_rates_multiply_exactly(nanos: int, units: int, numerator: int, denominator: int) -> None:
    found = Rate(nanos, units).times((numerator, denominator))
    assert Fraction(found.nanos, found.units) == Fraction(nanos, units) * Fraction(numerator, denominator)
