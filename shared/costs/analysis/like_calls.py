"""Prices many calls together that differ only in their counts and their instants.

Pricing a call has two steps: its counts are split into quantities, and each quantity is multiplied by its
rate and rounded. Many prices split calls in the same way and differ only in their rates, so the first step
is done once for all of those. Where a rate is a whole number of nano-dollars,
nothing is rounded and one multiplication prices the sum of all calls; else the remainders that occur are
counted and rounded once each. Both give the same result as call by call, to the nano-dollar. Where the price
depends on the single call (a long context has rates of its own, a count has no price), calls are priced one
by one.
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
"""The quantities of many calls by part of a charge: one per call in every column, 0 where it has none."""


_counts_of: Final = attrgetter(*USAGE_FIELDS)


class SteadyPrices(Protocol):
    """Prices with the time in which they hold."""

    def window(
        self, service: str, model: str, at: datetime, tier: str | None = None, region: str | None = None
    ) -> PriceWindow:
        """Return the price that holds at an instant, with the time in which it holds."""
        ...


class PricedCall(NamedTuple):
    """The parts of a call that pricing needs, and its cost: many are kept in memory, unlike their entries."""

    at: datetime
    usage: Usage
    cost: Nanos


@dataclass(slots=True)
class RepricedTotals:
    """What calls cost, and would cost elsewhere, in nano-dollars: only those with a complete price there.

    ``calls`` is their number; ``audio_microseconds`` and ``tokens`` are their usage.
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
        self._costs = _running_sums(call.cost for call in ordered)
        self._audio = _running_sums(usage.audio_microseconds for usage in self._usages)
        self._tokens = _running_sums(usage.tokens_total for usage in self._usages)
        counts = zip(*map(_counts_of, self._usages), strict=True)
        self._used = {name for name, column in zip(USAGE_FIELDS, counts, strict=False) if any(column)}
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
            window = prices.window(service, model, self._times[start], tier, region)
            end = max(bisect_left(self._times, window.until, start), start + 1)
            if window.quote is not None:
                self._add(result, window.quote.price, start, end)
            start = end
        return result

    def _add(self, result: RepricedTotals, price: Price, start: int, end: int) -> None:
        """Add calls ``start`` to before ``end`` at a price; those that it does not cover are left out."""
        total = self._priced_together(price, start, end)
        if total is not None:
            self._count(result, start, end, total)
            return
        if self._none_is_covered(price, start, end):
            return
        for position in range(start, end):
            priced = arithmetic.amounts(price, self._usages[position])
            if isinstance(priced, arithmetic.Amounts) and not priced.missing:
                self._count(result, position, position + 1, sum(priced.parts.values()))

    def _count(self, result: RepricedTotals, start: int, end: int, after: int) -> None:
        result.calls += end - start
        result.before += self._costs[end] - self._costs[start]
        result.after += after
        result.audio_microseconds += self._audio[end] - self._audio[start]
        result.tokens += self._tokens[end] - self._tokens[start]

    def _priced_together(self, price: Price, start: int, end: int) -> int | None:
        """Return what the calls cost at a price; ``None`` where they have to be priced one by one."""
        if price.features:
            return None
        if price.free:
            return 0
        if price.above and max(self._inputs[start:end]) > price.above[0][0]:
            return None
        columns = self._quantities(price)
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
        """Return whether all of the calls use a unit without a price, so that none has to be priced."""
        if price.above:
            return False
        missing = {
            part: column
            for part, column in (self._quantities(price) or {}).items()
            if part not in price.rates
        }
        return any(all(column[start:end]) for column in missing.values())

    def _quantities(self, price: Price) -> Columns | None:
        """Return the quantities of all calls; ``None`` where a price does not cover one of them at all."""
        structure = arithmetic.structure(price, self._used)
        if structure not in self._columns:
            columns = None
            if self._used <= _PLAIN:
                columns = _plain_columns(price, self._usages)
            elif self._used == _SPEECH:
                columns = _speech_columns(price, self._usages)
            self._columns[structure] = _columns(price, self._usages) if columns is None else columns
        return self._columns[structure]


def _running_sums(counts: Iterable[int]) -> list[int]:
    return list(accumulate(counts, initial=0))


_PLAIN: Final = {"tokens_input", "tokens_output"}


def _plain_columns(price: Price, usages: Sequence[Usage]) -> Columns | None:
    """Return the quantities of calls that used only input and output; ``None`` where the price splits those.

    A price splits many tokens as it splits one of each.
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
    """Return the quantities of calls that used only audio; ``None`` where the price bills more than that."""
    parts = arithmetic.quantities(price, Usage(audio_seconds=1))
    if isinstance(parts, arithmetic.Shortfall) or not _SPEECH <= parts.keys() <= {*_SPEECH, "requests"}:
        return None
    step, lengths = price.steps.get("audio_seconds"), [usage.audio_microseconds for usage in usages]
    # A call without audio is not billed the minimum.
    billed = [step.billed(length, 1) if length else 0 for length in lengths] if step else lengths
    columns = {"audio_seconds": billed}
    return columns | ({"requests": [1] * len(usages)} if "requests" in parts else {})


def _columns(price: Price, usages: Sequence[Usage]) -> Columns | None:
    columns: dict[str, list[int]] = {}
    for position, usage in enumerate(usages):
        quantities = arithmetic.quantities(price, usage)
        if isinstance(quantities, arithmetic.Shortfall) or (not quantities and not usage.is_zero):
            return None
        for part, quantity in quantities.items():
            if part not in columns:
                columns[part] = [0] * len(usages)
            columns[part][position] = quantity
    return columns


def rounded_sum(quantities: Sequence[int], rate: Rate) -> int:
    """Return the sum of quantities times a rate, each rounded half to even, in nano-dollars.

    >>> rounded_sum([1, 3, 5], Rate(1, 2)), sum(divide(quantity, 2) for quantity in [1, 3, 5])
    (4, 4)
    """
    nanos, units = rate
    if units == 1:
        return sum(quantities) * nanos
    # A multiple of two units costs an even number of nano-dollars, which rounding does not change.
    whole, remainders = 0, Counter[int]()
    for quantity, count in Counter(quantities).items():
        multiple, remainder = divmod(quantity, 2 * units)
        whole += multiple * count
        remainders[remainder] += count
    return whole * 2 * nanos + sum(
        divide(remainder * nanos, units) * count for remainder, count in remainders.items()
    )
