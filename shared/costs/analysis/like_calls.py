"""Calls that differ in their counts and their instant alone, priced together.

What a price does with a call has two steps: the call's counts are taken apart into quantities, and each
quantity is multiplied by its rate and rounded. Many prices take calls apart alike and differ in their
rates, so the first step is done once for all of those. Where a rate is a whole number of nano-dollars,
nothing is rounded and one multiplication prices the sum of all calls; else the remainders that occur are
counted and rounded once each. Both give what call by call would, to the nano-dollar. Calls that a price
looks at one by one (a long context has rates of its own, a count has no price) are priced one by one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from operator import attrgetter
from typing import Final, NamedTuple, Protocol

from ..model import Usage
from ..money import Nanos, divide
from ..pricing import arithmetic
from ..pricing.catalogue import PriceWindow
from ..pricing.rates import Price, Rate
from ..units import USAGE_FIELDS

Columns = Mapping[str, Sequence[int]]
"""The quantities of many calls by part of a charge: each has a place in every column, 0 where it has none."""


_counts_of: Final = attrgetter(*USAGE_FIELDS)


class SteadyPrices(Protocol):
    """Where it is known how long a price holds."""

    def steady(
        self, service: str, model: str, at: datetime, tier: str | None = None, region: str | None = None
    ) -> PriceWindow:
        """Return the price that holds at an instant, and for how long."""
        ...


class PricedCall(NamedTuple):
    """What pricing looks at of a call, and what it cost: many are kept, their entries are not."""

    at: datetime
    usage: Usage
    cost: Nanos


@dataclass(slots=True)
class RepricedTotals:
    """What calls that have a whole price elsewhere cost, and would cost there, in nano-dollars.

    ``calls`` is how many they are; ``audio_microseconds`` and ``tokens`` are what they used.
    """

    calls: int = 0
    before: int = 0
    after: int = 0
    audio_microseconds: int = 0
    tokens: int = 0


class LikeCalls:
    """Priced calls of one model, service tier and region, in the order of their instants."""

    def __init__(self, calls: Iterable[PricedCall]) -> None:
        ordered = sorted(calls, key=attrgetter("at"))
        self._usages = [call.usage for call in ordered]
        self._times = [call.at for call in ordered]
        self._inputs = [usage.tokens_input for usage in self._usages]
        self._costs = _running(call.cost for call in ordered)
        self._audio = _running(usage.audio_microseconds for usage in self._usages)
        self._tokens = _running(usage.tokens_total for usage in self._usages)
        counts = zip(*map(_counts_of, self._usages), strict=True)
        self._used = {name for name, each in zip(USAGE_FIELDS, counts, strict=False) if any(each)}
        self._columns: dict[Hashable, Columns | None] = {}

    @property
    def cost(self) -> int:
        """What all of them cost, in nano-dollars."""
        return self._costs[-1]

    def repriced(
        self, prices: SteadyPrices, service: str, model: str, tier: str | None, region: str | None
    ) -> RepricedTotals:
        """Return what the calls would cost elsewhere, each at the price of its own instant."""
        result, start = RepricedTotals(), 0
        while start < len(self._times):
            steady = prices.steady(service, model, self._times[start], tier, region)
            end = max(bisect_left(self._times, steady.until, start), start + 1)
            if steady.quote is not None:
                self._add(result, steady.quote.price, start, end)
            start = end
        return result

    def _add(self, result: RepricedTotals, price: Price, start: int, end: int) -> None:
        """Add calls, ``end`` not among them, at a price; those that it does not cover are left out."""
        together = self._together(price, start, end)
        if together is not None:
            self._count(result, start, end, together)
            return
        if self._none_is_covered(price, start, end):
            return
        for at in range(start, end):
            found = arithmetic.amounts(price, self._usages[at])
            if isinstance(found, arithmetic.Amounts) and not found.missing:
                self._count(result, at, at + 1, sum(found.parts.values()))

    def _count(self, result: RepricedTotals, start: int, end: int, after: int) -> None:
        result.calls += end - start
        result.before += self._costs[end] - self._costs[start]
        result.after += after
        result.audio_microseconds += self._audio[end] - self._audio[start]
        result.tokens += self._tokens[end] - self._tokens[start]

    def _together(self, price: Price, start: int, end: int) -> int | None:
        """Return what the calls come to at a price; ``None`` where it has to look at each of them."""
        if price.features:
            return None
        if price.free:
            return 0
        if price.above and max(self._inputs[start:end]) > price.above[0][0]:
            return None
        columns = self._taken_apart(price)
        if columns is None:
            return None
        total = 0
        for part, column in columns.items():
            quantities = column[start:end]
            rate = price.rates.get(part)
            if rate is not None:
                total += rounded_sum(quantities, rate)
            elif any(quantities):
                return None
        return total

    def _none_is_covered(self, price: Price, start: int, end: int) -> bool:
        """Tell whether each of the calls uses a unit without a price, so that none has to be looked at."""
        if price.above:
            return False
        missing = {
            p: column for p, column in (self._taken_apart(price) or {}).items() if p not in price.rates
        }
        return any(all(column[start:end]) for column in missing.values())

    def _taken_apart(self, price: Price) -> Columns | None:
        """Return the quantities of all calls; ``None`` where a price covers nothing of one of them."""
        structure = arithmetic.structure(price, self._used)
        if structure not in self._columns:
            plain = None
            if self._used <= _PLAIN:
                plain = _plain_columns(price, self._usages)
            elif self._used == _SPEECH:
                plain = _speech_columns(price, self._usages)
            self._columns[structure] = _columns(price, self._usages) if plain is None else plain
        return self._columns[structure]


def _running(counts: Iterable[int]) -> list[int]:
    return list(accumulate(counts, initial=0))


_PLAIN: Final = {"tokens_input", "tokens_output"}


def _plain_columns(price: Price, usages: Sequence[Usage]) -> Columns | None:
    """Return the quantities of calls that used input and output alone; ``None`` for a closer look.

    What a price makes of one token of each, it makes of many.
    """
    parts = arithmetic.quantities(price, Usage(tokens_input=1, tokens_output=1))
    if isinstance(parts, arithmetic.Shortfall) or not {"input", "output"} <= parts.keys() <= _PLAIN_PARTS:
        return None
    columns = {
        "input": [usage.tokens_input for usage in usages],
        "output": [usage.tokens_output for usage in usages],
    }
    return columns | ({"requests": [1] * len(usages)} if "requests" in parts else {})


_PLAIN_PARTS: Final = {"input", "output", "requests"}

_SPEECH: Final = {"audio_seconds"}


def _speech_columns(price: Price, usages: Sequence[Usage]) -> Columns | None:
    """Return the quantities of calls that used audio alone; ``None`` for a closer look."""
    parts = arithmetic.quantities(price, Usage(audio_seconds=1))
    if isinstance(parts, arithmetic.Shortfall) or not _SPEECH <= parts.keys() <= {*_SPEECH, "requests"}:
        return None
    step, lengths = price.steps.get("audio_seconds"), [usage.audio_microseconds for usage in usages]
    # A call without audio is billed no minimum.
    billed = [step.billed(length, 1) if length else 0 for length in lengths] if step else lengths
    columns = {"audio_seconds": billed}
    return columns | ({"requests": [1] * len(usages)} if "requests" in parts else {})


def _columns(price: Price, usages: Sequence[Usage]) -> Columns | None:
    columns: dict[str, list[int]] = {}
    for at, usage in enumerate(usages):
        found = arithmetic.quantities(price, usage)
        if isinstance(found, arithmetic.Shortfall) or (not found and not usage.is_zero):
            return None
        for part, quantity in found.items():
            if part not in columns:
                columns[part] = [0] * len(usages)
            columns[part][at] = quantity
    return columns


def rounded_sum(quantities: Sequence[int], rate: Rate) -> int:
    """Return the sum of quantities times a rate, each rounded half to even, in nano-dollars.

    >>> rounded_sum([1, 3, 5], Rate(1, 2)), sum(divide(quantity, 2) for quantity in [1, 3, 5])
    (4, 4)
    """
    nanos, units = rate
    if units == 1:
        return sum(quantities) * nanos
    # A multiple of two units comes to an even number of nano-dollars, which rounding leaves as it is.
    whole, remainders = 0, Counter[int]()
    for quantity, count in Counter(quantities).items():
        multiple, remainder = divmod(quantity, 2 * units)
        whole += multiple * count
        remainders[remainder] += count
    return whole * 2 * nanos + sum(divide(r * nanos, units) * count for r, count in remainders.items())
