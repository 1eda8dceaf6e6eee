"""Usage x price = charge, exactly. Pure functions, no I/O.

Tokens are split so that each is paid once, at the most special rate that the price has for it:
cached audio before cached and audio, those before plain input. A count without a rate of its own
is paid as what it is part of (cached tokens of a model without a cache discount are input
tokens), but never where that would be a guess. Other units are rounded up as the provider does.
Each part is rounded once, half to even, to the nano-dollar; the charge is the sum of the parts.

A unit that was used and has no rate is *missing*: the other parts stand, and the charge is partial.

>>> price = Price({"input": Rate.of("2.50", per=1_000_000), "output": Rate.of("10", per=1_000_000)})
>>> amounts(price, Usage(tokens_input=1_000, tokens_output=200))
Amounts(parts={'input': 2500000, 'output': 2000000}, missing={}, summed=False)
>>> amounts(price, Usage(tokens_input=1_000, file_searches=4))
Amounts(parts={'input': 2500000}, missing={'file_searches': 4}, summed=False)
>>> amounts(price, Usage(audio_seconds=60))
Shortfall(fault='has no price for audio_seconds')
"""

from __future__ import annotations

from collections.abc import Container, Hashable
from dataclasses import replace
from itertools import compress
from operator import attrgetter
from typing import Any, Final, NamedTuple

from ..model import NO_UNITS, Units, Usage
from ..money import Nanos, divide
from ..units import FRACTIONAL_FIELDS
from .rates import UNITS, Price, Rate, Rates

Quantities = dict[str, int]
"""How much of each part a call used: tokens, microseconds of audio, characters and so on."""


class Shortfall(NamedTuple):
    """Why a price does not cover a usage. ``fault`` continues a sentence that begins with the model."""

    fault: str


class Amounts(NamedTuple):
    """What each part costs, in nano-dollars, and the units without a rate, by field of ``Usage``.

    ``summed`` is true for a usage of several requests: they are priced at the ordinary rates, although one
    of them may have been large enough for a higher one.
    """

    parts: dict[str, Nanos]
    missing: Units = NO_UNITS
    summed: bool = False


def amounts(price: Price, usage: Usage) -> Amounts | Shortfall:
    """Return what each part of ``usage`` costs, or why the price covers nothing of it."""
    quantity_of = quantities(price, usage)
    if quantity_of.__class__ is not dict:
        return quantity_of  # type: ignore[return-value]  # a Shortfall: isinstance() costs more on the hot path
    rates, summed = price.rates, False
    if price.above and usage.tokens_input > price.above[0][0]:
        summed = price.is_sum(usage)
        rates = rates if summed else price.rates_for(usage.tokens_input)
    parts: dict[str, Any] = {}  # of Nanos: the hot path of every call does not pay for NewType's call
    missing: dict[str, int | float] | None = None
    for part, quantity in quantity_of.items():
        rate = rates.get(part)
        if rate is None:
            missing = missing or {}
            field = UNITS[part].field
            missing[field] = getattr(usage, field) if part in _COUNTED_PARTS else quantity
            continue
        nanos, units = rate
        parts[part] = quantity * nanos if units == 1 else divide(quantity * nanos, units)
    if price.features and (unpriced := _unpriced_features(price, quantity_of)):
        missing = {**(missing or {}), **dict.fromkeys(unpriced, usage.requests or 1)}
    if missing is not None:
        return (
            Amounts(parts, missing, summed) if parts else Shortfall(f"has no price for {', '.join(missing)}")
        )
    if not parts and not price.free and (counts := usage.counts()):
        return Shortfall(f"is billed by {_billed_by(price)}, and this call states only {', '.join(counts)}")
    return make_tuple(Amounts, (parts, NO_UNITS, summed))


make_tuple: Final = tuple.__new__
"""Make a named tuple of all its fields, in half the time that calling its class takes."""


def _unpriced_features(price: Price, used: Quantities) -> list[str]:
    """Return the features that nobody prices, and those billed by a count that this call does not state."""
    return [
        feature for feature, parts in price.features.items() if not parts or (used and parts.isdisjoint(used))
    ]


def _billed_by(price: Price) -> str:
    return ", ".join(dict.fromkeys(UNITS[part].field for part in price.rates)) or "nothing that is known"


def quantities(price: Price, usage: Usage) -> Quantities | Shortfall:
    """Split a usage into the quantities that are paid separately under ``price``.

    A quantity whose part has no rate is in the result too, so that it is reported as missing.
    """
    if price.free:
        return {}
    rates, included = price.rates, price.included
    parts = {*rates, *price.unknown} if price.unknown else rates
    result: Quantities = {}
    if usage.tokens_input and "input" not in included and (fault := _split_input(usage, parts, result)):
        return fault
    if usage.tokens_output and "output" not in included and (fault := _split_output(usage, parts, result)):
        return fault
    if (counts := _counts_of(usage)) != _NOTHING:
        _add_counts(price, usage, counts, result)
    if (
        not result
        and "input" in included
        and "input" in rates
        and (fault := _split_input(usage, parts, result))
    ):
        return fault  # tokens that are billed where nothing else is
    if "requests" in rates:
        # A fee per request is due for every call, whether or not the caller counted it.
        result["requests"] = usage.requests or 1
    elif usage.requests and not result and "requests" not in included:
        result["requests"] = usage.requests
    return result


def _split_input(usage: Usage, parts: Container[str], result: Quantities) -> Shortfall | None:
    """Split the input tokens; those without a rate of their own stay in what they are part of."""
    cached = usage.tokens_cached if "cached" in parts else 0
    if not usage.tokens_audio_input and not usage.tokens_image_input:
        if plain := usage.tokens_input - cached:
            result["input"] = plain
        if cached:
            result["cached"] = cached
        return _split_cache_writes(usage, parts, result) if usage.tokens_cache_write else None
    audio = usage.tokens_audio_input if "audio_input" in parts else 0
    image = usage.tokens_image_input if "image_input" in parts else 0
    cached_audio = usage.tokens_audio_cached if cached and audio else 0
    cached_image = usage.tokens_image_cached if cached and image else 0
    result["input"] = usage.tokens_input - cached - audio + cached_audio - image + cached_image
    result["cached"] = cached - cached_audio - cached_image
    result["audio_input"] = audio - cached_audio
    result["audio_cached"] = cached_audio
    result["image_input"] = image - cached_image
    result["image_cached"] = cached_image
    return _split_cache_writes(usage, parts, result)


def _split_cache_writes(usage: Usage, parts: Container[str], result: Quantities) -> Shortfall | None:
    """Move what was written to the cache out of the plain input, and drop the parts that are zero."""
    # An hour in the cache costs more than five minutes: it stays separate even where only one has a rate.
    if usage.tokens_cache_write and ("cache_write" in parts or "cache_write_1h" in parts):
        result["input"] = result.get("input", 0) - usage.tokens_cache_write
        result["cache_write"] = usage.tokens_cache_write - usage.tokens_cache_write_1h
        result["cache_write_1h"] = usage.tokens_cache_write_1h
    if result.get("input", 0) < 0 or result.get("cached", 0) < 0:
        return _INPUT_OVERLAP
    for part in [part for part, quantity in result.items() if not quantity]:
        del result[part]
    return None


_INPUT_OVERLAP: Final = Shortfall(
    "has different prices for cached, audio and image tokens, and the counts of this call overlap "
    "without saying by how much (tokens_audio_cached, tokens_image_cached)"
)


def _split_output(usage: Usage, rates: Container[str], result: Quantities) -> Shortfall | None:
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


_COUNTED_PARTS: Final = tuple(
    part for part, unit in UNITS.items() if not unit.field.startswith("tokens_") and part != "requests"
)
"""The parts that are counted in another unit than tokens."""

_counts_of: Final = attrgetter(*_COUNTED_PARTS)
_NOTHING: Final = (0,) * len(_COUNTED_PARTS)


def _add_counts(price: Price, usage: Usage, counts: tuple[float, ...], result: Quantities) -> None:
    """Add the counts of units other than tokens, rounded up as the provider does."""
    included, steps = price.included, price.steps
    for part in compress(_COUNTED_PARTS, counts):
        if part in included and part not in price.rates:
            continue
        quantity = getattr(usage, part)
        if part in FRACTIONAL_FIELDS:
            quantity = round(quantity * 1_000_000)
        if part in steps:
            quantity = steps[part].billed(quantity, usage.requests or 1)
        result[part] = quantity
    if price.per_channel and "audio_seconds" in result:
        result["audio_seconds"] *= usage.channels or 1  # the length is rounded up before it is multiplied


def structure(price: Price, used: Container[str]) -> Hashable:
    """Return what decides how a price splits a usage in which only the counts in ``used`` are set.

    Prices of the same structure give the same :func:`quantities` for such a usage: only their rates differ.
    """
    parts = (
        frozenset(part for part in priced if _concerns(part, used)) for priced in (price.rates, price.unknown)
    )
    return *parts, price.included, price.per_channel, tuple(sorted(price.steps.items()))


def _concerns(part: str, used: Container[str]) -> bool:
    written = part in ("cache_write", "cache_write_1h") and "tokens_cache_write" in used
    return written or part == "requests" or UNITS[part].field in used


def is_additive(price: Price) -> bool:
    """Whether charging the text tokens of several calls together gives the sum of their charges."""
    rates = price.rates
    return (
        not price.above
        and not price.features
        and "requests" not in rates
        and all(rates[part].units == 1 for part in rates if part in _TEXT)
    )


_TEXT: Final = frozenset({"input", "cached", "cache_write", "cache_write_1h", "output", "reasoning"})


def undiscounted(usage: Usage) -> Usage:
    """Return the usage with all of its input counted as uncached."""
    if not usage.tokens_cached:
        return usage
    return replace(usage, tokens_cached=0, tokens_audio_cached=0, tokens_image_cached=0)


_SIBLINGS: Final = (
    ("input", "cached", "cache_write"),
    ("audio_input", "audio_cached"),
    ("image_input", "image_cached"),
    ("output", "reasoning", "audio_output", "image_output"),
)


def at_most(price: Price, tokens_input: int = 0) -> Price:
    """Return ``price`` with every token at the highest rate that can apply to it, for upper bounds.

    A provider may write to its cache without being asked, so input counts at the higher of the
    input and the cache-write rate; an hour's cache is only ever written on request. Output counts
    at the highest of text, reasoning, audio and image rates. A sum of ``tokens_input`` counts as one request.
    """
    return price._replace(rates=_highest(price.rates_for(tokens_input)), above=())


def _highest(rates: Rates) -> Rates:
    result = dict(rates)
    for siblings in _SIBLINGS:
        known = [part for part in siblings if part in rates]
        top = max((rates[part] for part in known), key=_value, default=None)
        result.update({part: top for part in known if top is not None})
    return result


def _value(rate: Rate) -> float:
    return rate.nanos / rate.units
