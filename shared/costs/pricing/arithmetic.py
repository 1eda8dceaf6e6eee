"""Usage x price = charge, exactly. Pure functions, no I/O.

Tokens are taken apart so that each is paid once, at the most special rate the price has for it:
cached audio before cached and audio, those before plain input. A count without a rate of its own
is paid as what it is part of (cached tokens of a model without a cache discount are input
tokens), but never where that would be a guess. Each part is rounded once, half to even, to the
nano-dollar; the charge is the sum of the parts.

>>> price = Price({"input": Rate.of("2.50", per=1_000_000), "output": Rate.of("10", per=1_000_000)})
>>> amounts(price, Usage(tokens_input=1_000, tokens_output=200))
{'input': 2500000, 'output': 2000000}
>>> amounts(price, Usage(audio_seconds=60))
Shortfall(fault='has no price for audio_seconds')
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from typing import Any, Final, NamedTuple

from ..model import Usage
from ..money import Nanos, divide
from .rates import UNITS, Price, Rate, Rates

Quantities = dict[str, int]
"""How much of each part a call used: tokens, microseconds of audio, characters and so on."""


class Shortfall(NamedTuple):
    """Why a price does not cover a usage. ``fault`` continues a sentence that begins with the model."""

    fault: str


def amounts(price: Price, usage: Usage) -> dict[str, Nanos] | Shortfall:
    """Return what each part of ``usage`` costs, in nano-dollars, or why the price does not cover it."""
    found = quantities(price, usage)
    if isinstance(found, Shortfall):
        return found
    rates = price.rates_for(usage.tokens_input) if price.above else price.rates
    result: dict[str, Any] = {}  # of Nanos: the hot path of every call does not pay for NewType's call
    for part, quantity in found.items():
        rate = rates.get(part)
        if rate is None:
            return Shortfall(f"has no price for {UNITS[part].field}")
        nanos, units = rate
        result[part] = quantity * nanos if units == 1 else divide(quantity * nanos, units)
    return result


def quantities(price: Price, usage: Usage) -> Quantities | Shortfall:
    """Take a usage apart into the quantities that are paid separately under ``price``.

    A quantity whose part has no rate is in the result too, so that it is noticed.
    """
    if price.free:
        return {}
    rates = price.rates
    apart = {*rates, *price.unknown} if price.unknown else rates
    result: Quantities = {}
    if usage.tokens_input and (fault := _input(usage, apart, result)):
        return fault
    if usage.tokens_output and (fault := _output(usage, apart, result)):
        return fault
    if usage.audio_seconds or usage.characters or usage.images or usage.pages or usage.web_searches:
        _counted(price, usage, result)
    if usage.requests or "requests" in rates:
        # A fee per request is due for every call, whether or not the caller counted it.
        if "requests" in rates:
            result["requests"] = usage.requests or 1
        elif not result and "requests" not in price.included:
            result["requests"] = usage.requests
        if usage.requests > 1 and price.above and usage.tokens_input > price.above[0][0]:
            return Shortfall("is priced by the size of each request, and this entry sums up several of them")
    return result


def _input(usage: Usage, rates: Container[str], result: Quantities) -> Shortfall | None:
    """Take the input tokens apart; what has no rate of its own stays in what it is part of."""
    cached = usage.tokens_cached if "cached" in rates else 0
    audio = usage.tokens_audio_input if "audio_input" in rates else 0
    image = usage.tokens_image_input if "image_input" in rates else 0
    both = usage.tokens_audio_cached if cached and audio else 0
    # An hour in the cache is dearer than five minutes: it stays apart even where only one has a rate.
    written = usage.tokens_cache_write if "cache_write" in rates or "cache_write_1h" in rates else 0
    hour = usage.tokens_cache_write_1h if written else 0
    if plain := usage.tokens_input - cached - written - audio + both - image:
        if plain < 0:
            return _INPUT_OVERLAP
        result["input"] = plain
    if cached - both:
        result["cached"] = cached - both
    if written:
        if written - hour:
            result["cache_write"] = written - hour
        if hour:
            result["cache_write_1h"] = hour
    if audio - both:
        result["audio_input"] = audio - both
    if both:
        result["audio_cached"] = both
    if image:
        result["image_input"] = image
    return None


_INPUT_OVERLAP: Final = Shortfall(
    "has different prices for cached, audio and image tokens, and the counts of this call overlap "
    "without saying by how much (tokens_audio_cached)"
)


def _output(usage: Usage, rates: Container[str], result: Quantities) -> Shortfall | None:
    reasoning = usage.tokens_reasoning if "reasoning" in rates else 0
    audio = usage.tokens_audio_output if "audio_output" in rates else 0
    image = usage.tokens_image_output if "image_output" in rates else 0
    if plain := usage.tokens_output - reasoning - audio - image:
        if plain < 0:
            return _OUTPUT_OVERLAP
        result["output"] = plain
    if reasoning:
        result["reasoning"] = reasoning
    if audio:
        result["audio_output"] = audio
    if image:
        result["image_output"] = image
    return None


_OUTPUT_OVERLAP: Final = Shortfall(
    "has different prices for reasoning, audio and image output, and the counts of this call overlap"
)


def _counted(price: Price, usage: Usage, result: Quantities) -> None:
    counts = {
        "audio_seconds": usage.audio_microseconds,
        "characters": usage.characters,
        "images": usage.images,
        "pages": usage.pages,
        "web_searches": usage.web_searches,
    }
    for part, quantity in counts.items():
        if not quantity or (part in price.included and part not in price.rates):
            continue
        result[part] = max(quantity, price.minimum_audio) if part == "audio_seconds" else quantity


def undiscounted(usage: Usage) -> Usage:
    """Return a usage whose input is counted as if nothing of it had come from a cache."""
    if not usage.tokens_cached:
        return usage
    return replace(usage, tokens_cached=0, tokens_audio_cached=0)


_SIBLINGS: Final = (
    ("input", "cached", "cache_write"),
    ("audio_input", "audio_cached"),
    ("output", "reasoning"),
)


def at_most(price: Price) -> Price:
    """Return ``price`` with every token at the highest rate that can apply to it, for upper bounds.

    A provider may write its cache without being asked, so input counts at the dearer of the
    input and the cache-write rate; an hour's cache is only ever written on request. Output counts
    at the dearer of output and reasoning.
    """
    return price._replace(
        rates=_highest(price.rates),
        above=tuple((threshold, _highest(rates)) for threshold, rates in price.above),
    )


def _highest(rates: Rates) -> Rates:
    result = dict(rates)
    for siblings in _SIBLINGS:
        known = [part for part in siblings if part in rates]
        top = max((rates[part] for part in known), key=_value, default=None)
        result.update({part: top for part in known if top is not None})
    return result


def _value(rate: Rate) -> float:
    return rate.nanos / rate.units
