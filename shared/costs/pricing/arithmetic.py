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

from dataclasses import replace
from typing import Final, NamedTuple

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
    if price.free:
        return {}
    found = quantities(price, usage)
    if isinstance(found, Shortfall):
        return found
    rates = price.rates_for(usage.tokens_input) if price.above else price.rates
    result: dict[str, Nanos] = {}
    for part, quantity in found.items():
        rate = rates.get(part)
        if rate is None:
            return Shortfall(f"has no price for {UNITS[part].field}")
        result[part] = Nanos(divide(quantity * rate.nanos, rate.units))
    return result


def quantities(price: Price, usage: Usage) -> Quantities | Shortfall:
    """Take a usage apart into the quantities that are paid separately under ``price``.

    A quantity whose part has no rate is in the result too, so that it is noticed.
    """
    rates = price.rates
    result: Quantities = {}
    if usage.tokens_input and (fault := _input(usage, rates, result)):
        return fault
    if usage.tokens_output and (fault := _output(usage, rates, result)):
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


def _input(usage: Usage, rates: Rates, result: Quantities) -> Shortfall | None:
    plain = usage.tokens_input
    if (
        usage.tokens_cached
        or usage.tokens_cache_write
        or usage.tokens_audio_input
        or usage.tokens_image_input
    ):
        audio, image, cached = usage.tokens_audio_input, usage.tokens_image_input, usage.tokens_cached
        written, hour = usage.tokens_cache_write, usage.tokens_cache_write_1h
        both = usage.tokens_audio_cached
        if "audio_input" not in rates:
            audio = both = 0
        if "image_input" not in rates:
            image = 0
        if "cached" not in rates:
            cached = both = 0
        if "cache_write" not in rates and "cache_write_1h" not in rates:
            written = hour = 0
        split = {
            "cached": cached - both,
            "cache_write": written - hour,
            "cache_write_1h": hour,
            "audio_input": audio - both,
            "audio_cached": both,
            "image_input": image,
        }
        result.update((part, quantity) for part, quantity in split.items() if quantity)
        plain -= cached + written + audio - both + image
        if plain < 0:
            return Shortfall(
                "has different prices for cached, audio and image tokens, and the counts of this call "
                "overlap without saying by how much (tokens_audio_cached)"
            )
    if plain:
        result["input"] = plain
    return None


def _output(usage: Usage, rates: Rates, result: Quantities) -> Shortfall | None:
    plain = usage.tokens_output
    if usage.tokens_reasoning or usage.tokens_audio_output or usage.tokens_image_output:
        split = {
            "reasoning": usage.tokens_reasoning if "reasoning" in rates else 0,
            "audio_output": usage.tokens_audio_output if "audio_output" in rates else 0,
            "image_output": usage.tokens_image_output if "image_output" in rates else 0,
        }
        result.update((part, quantity) for part, quantity in split.items() if quantity)
        plain -= sum(split.values())
        if plain < 0:
            return Shortfall(
                "has different prices for reasoning, audio and image output, and the counts of this call "
                "overlap"
            )
    if plain:
        result["output"] = plain
    return None


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


_INPUT_RATES: Final = ("input", "cache_write")
_OUTPUT_RATES: Final = ("output", "reasoning")


def at_most(price: Price) -> Price:
    """Return ``price`` with every input and output token at its highest rate, for upper bounds.

    A provider may write its cache without being asked, so input counts at the dearer of the
    input and the cache-write rate; an hour's cache is only ever written on request. Output counts
    at the dearer of output and reasoning.
    """
    return replace(
        price,
        rates=_highest(price.rates),
        above=tuple((threshold, _highest(rates)) for threshold, rates in price.above),
    )


def _highest(rates: Rates) -> Rates:
    result = dict(rates)
    for group in (_INPUT_RATES, _OUTPUT_RATES):
        known = [rates[part] for part in group if part in rates]
        if known and group[0] in rates:
            top = max(known, key=_value)
            result.update({part: top for part in group if part in rates})
    return result


def _value(rate: Rate) -> float:
    return rate.nanos / rate.units
