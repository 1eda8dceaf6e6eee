"""Calls priced together come to what they come to one by one, to the nano-dollar."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.costs.analysis.like_calls import LikeCalls, PricedCall, RepricedTotals, rounded_sum
from shared.costs.model import Charge, PricedBy, Usage
from shared.costs.money import Nanos, divide
from shared.costs.pricing import arithmetic
from shared.costs.pricing.catalogue import Catalogue, PriceWindow
from shared.costs.pricing.offers import Quote
from shared.costs.pricing.rates import UNITS, Price, Rate, Step

CATALOGUE, FRESH = Catalogue.load(), Catalogue.load()
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
RATES = st.sampled_from([Rate(0, 1), Rate(150, 1), Rate(75, 2), Rate(1, 10), Rate(7, 3), Rate(10**9, 3_600)])


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Return any usage that can be, of a few kinds of counts at a time."""
    whole, output = draw(st.integers(0, 300_000)), draw(st.integers(0, 5_000))
    cached = draw(st.just(0) | st.integers(0, whole))
    written = draw(st.just(0) | st.integers(0, whole - cached))
    return Usage(
        tokens_input=whole,
        tokens_output=output,
        tokens_cached=cached,
        tokens_cache_write=written,
        tokens_cache_write_1h=draw(st.just(0) | st.integers(0, written)),
        tokens_reasoning=draw(st.just(0) | st.integers(0, output)),
        tokens_audio_input=draw(st.just(0) | st.integers(0, whole)),
        tokens_image_output=draw(st.just(0) | st.integers(0, output)),
        audio_seconds=draw(st.just(0.0) | st.floats(0, 4_000)),
        channels=draw(st.sampled_from([0, 0, 2])),
        requests=draw(st.sampled_from([0, 0, 1, 3])),
        web_searches=draw(st.sampled_from([0, 0, 2])),
    )


PRICES = st.builds(
    Price,
    rates=st.dictionaries(st.sampled_from(sorted(UNITS)), RATES, max_size=6),
    above=st.just(())
    | st.dictionaries(st.sampled_from(["input", "output", "cached"]), RATES, min_size=1).map(
        lambda rates: ((100_000, rates),)
    ),
    included=st.frozensets(st.sampled_from(["input", "requests", "audio_seconds"]), max_size=1),
    unknown=st.frozensets(st.sampled_from(["cached", "reasoning"]), max_size=1),
    free=st.sampled_from([False, False, False, True]),
    steps=st.sampled_from(
        [{}, {}, {"audio_seconds": Step(10_000_000, 15_000_000)}, {"web_searches": Step(3)}]
    ),
    per_channel=st.booleans(),
    context=st.sampled_from([0, 200_000]),
)


class Changing:
    """Prices that take turns, each for some days; ``None`` is a time without one."""

    def __init__(self, prices: Sequence[Price | None], days: int) -> None:
        self.prices, self.length = prices, timedelta(days=days)

    def window(self, service: str, model: str, at: datetime, *_: object) -> PriceWindow:
        number = (at - BEGIN) // self.length
        price = self.prices[number % len(self.prices)]
        since = BEGIN + number * self.length
        by = PricedBy("catalogue", "1", f"{service}/{model}")
        return PriceWindow(since, since + self.length, None if price is None else Quote(price, by))


def one_by_one(calls: Sequence[PricedCall], prices: Changing) -> RepricedTotals:
    """Return what calls come to, each by itself."""
    result = RepricedTotals()
    for call in calls:
        quote = prices.window("s", "m", call.at).quote
        found = arithmetic.amounts(quote.price, call.usage) if quote else None
        if isinstance(found, arithmetic.Amounts) and not found.missing:
            result.calls += 1
            result.before += call.cost
            result.after += sum(found.parts.values())
            result.audio_microseconds += call.usage.audio_microseconds
            result.tokens += call.usage.tokens_total
    return result


CALLS = st.lists(
    st.builds(
        PricedCall,
        st.integers(0, 30 * 24).map(lambda hours: BEGIN + timedelta(hours=hours)),
        usages(),
        st.integers(0, 10**9).map(Nanos),
    ),
    max_size=8,
)
PLAIN = st.lists(
    st.builds(
        PricedCall,
        st.integers(0, 30 * 24).map(lambda hours: BEGIN + timedelta(hours=hours)),
        st.builds(Usage, tokens_input=st.integers(1, 200_000), tokens_output=st.integers(1, 9_999)),
        st.integers(0, 10**9).map(Nanos),
    ),
    min_size=2,
    max_size=8,
)


@pytest.mark.no_cover
@settings(deadline=None, max_examples=60)
@given(CALLS | PLAIN, st.lists(st.none() | PRICES, min_size=1, max_size=3), st.integers(1, 30))
def test_together_is_one_by_one(calls: list[PricedCall], prices: list[Price | None], days: int) -> None:
    changing = Changing(prices, days)
    alike = LikeCalls(calls)
    for _ in range(2):  # what was taken apart once is used again
        assert alike.repriced(changing, "s", "m", None, None) == one_by_one(calls, changing)
    assert alike.cost == sum(call.cost for call in calls)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 10**7)), RATES)
def test_a_rounded_sum_is_the_sum_of_what_was_rounded(quantities: list[int], rate: Rate) -> None:
    assert rounded_sum(quantities, rate) == sum(divide(each * rate.nanos, rate.units) for each in quantities)


MODELS = (
    ("openai", "gpt-4o", "batch"),
    ("openai", "gpt-5.1", "priority"),
    ("google", "gemini-1.5-pro", None),
    ("google", "gemini-2.5-flash-lite", "batch"),
    ("anthropic", "claude-3-haiku", None),
    ("openai", "whisper-1", None),
    ("deepgram", "nova-3", None),
    ("deepseek", "deepseek-chat", None),
    ("acme", "unknown-1", None),
)
"""Service, model and tier: prices of every kind."""

HOURS = st.lists(st.integers(-3 * 365 * 24, 400 * 24), min_size=1, max_size=5)


@pytest.mark.no_cover
@pytest.mark.parametrize("name", MODELS, ids=lambda name: name[1])
@settings(deadline=None, max_examples=8)
@given(calls=CALLS)
def test_calls_at_the_catalogues_prices(name: tuple[str, str, str | None], calls: list[PricedCall]) -> None:
    service, model, tier = name
    result = LikeCalls(calls).repriced(CATALOGUE, service, model, tier, None)
    charges = [CATALOGUE.charge(service, model, c.usage, c.at, tier) for c in calls]
    whole = [each for each in charges if isinstance(each, Charge) and not each.missing]
    assert (result.calls, result.after) == (len(whole), sum(each.total for each in whole))


@pytest.mark.parametrize("name", MODELS, ids=lambda name: name[1])
@settings(deadline=None, max_examples=8)
@given(hours=HOURS)
def test_a_price_is_steady_as_long_as_it_says(name: tuple[str, str, str | None], hours: list[int]) -> None:
    service, model, tier = name
    for hour in hours:
        at = BEGIN + timedelta(hours=hour)
        steady = CATALOGUE.window(service, model, at, tier)
        assert steady.since <= at < steady.until
        last = min(steady.until, BEGIN + timedelta(days=800)) - timedelta(microseconds=1)
        for moment in {at, max(steady.since, BEGIN - timedelta(days=2_000)), last}:
            found = FRESH.quote(service, model, moment, tier)
            assert (found if isinstance(found, Quote) else None) == steady.quote
