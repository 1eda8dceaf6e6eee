"""The most that prompt caching could save, where a job calls a model repeatedly.

Token counts do not show whether inputs have a common prefix, so this is an upper bound: of the calls of
one job to one model in one stage that follow each other within five minutes, the common prefix may be as
long as the shortest input. Those tokens are repriced as written to the cache by the first
call and read from it by the others. Providers do not cache prefixes below 1,024 tokens.

Sources: https://platform.openai.com/docs/guides/prompt-caching (from 1,024 tokens, kept 5 to 10 minutes),
https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching (5 minutes, writes cost more).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from ..model import Charge, Usage
from ..money import ZERO, Nanos, percent
from ..pricing.arithmetic import Amounts, amounts, is_additive
from .calls import NetCall
from .options import Prices, Slot, is_text, slot_of

LEAST_TOKENS: Final = 1_024
LIFETIME: Final = timedelta(minutes=5)


@dataclass(slots=True)
class Cacheable:
    """The most that caching could save in one slot, over ``calls`` that cost ``before``, in nano-dollars."""

    slot: Slot
    calls: int = 0
    before: Nanos = ZERO
    saving: Nanos = ZERO

    @property
    def percent(self) -> float:
        """The saving in percent of what these calls cost."""
        return percent(self.saving, self.before) if self.before else 0.0


class CachingFinder:
    """Collects what caching could save, job by job."""

    def __init__(self, prices: Prices) -> None:
        self._prices = prices
        self._cacheable: dict[Slot, Cacheable] = {}

    def add(self, job: Sequence[NetCall]) -> None:
        """Add the calls of one job."""
        for run in _runs(job):
            shared = min(call.entry.usage.tokens_input for call in run)
            if len(run) > 1 and shared >= LEAST_TOKENS:
                self._count(run, shared)

    def _count(self, run: list[NetCall], shared: int) -> None:
        after = self._cached(run, shared)
        before = sum(call.cost or 0 for call in run)
        if after < before:
            slot = slot_of(run[0].entry)
            cacheable = self._cacheable.setdefault(slot, Cacheable(slot))
            cacheable.calls += len(run)
            cacheable.before = Nanos(cacheable.before + before)
            cacheable.saving = Nanos(cacheable.saving + before - after)

    def _cached(self, calls: Sequence[NetCall], shared: int) -> int:
        """Return what calls would have cost if the first had written ``shared`` input tokens to a cache."""
        total = _priced_as_one(calls, shared, self._prices)
        if total is not None:
            return total
        first, *others = calls
        written = _cost_with(first, replace(first.entry.usage, tokens_cache_write=shared), self._prices)
        read = (replace(call.entry.usage, tokens_cached=shared) for call in others)
        return written + sum(_cost_with(*changed, self._prices) for changed in zip(others, read, strict=True))

    def result(self) -> list[Cacheable]:
        """Return the slots in which caching could save anything, the largest saving first."""
        return sorted(self._cacheable.values(), key=lambda cacheable: -cacheable.saving)


def _runs(job: Iterable[NetCall]) -> Iterator[list[NetCall]]:
    """Yield the uncached calls of one slot that follow each other within a cache's lifetime."""
    slots: dict[Slot, list[NetCall]] = {}
    for call in job:
        entry, usage = call.entry, call.entry.usage
        uses_cache = usage.tokens_cached or usage.tokens_cache_write
        if entry.kind == "usage" and call.cost is not None and call.is_comparable and not uses_cache:
            slots.setdefault(slot_of(entry), []).append(call)
    for calls in slots.values():
        run: list[NetCall] = []
        for call in sorted(calls, key=lambda call: (call.entry.timestamp, call.entry.id)):
            if run and call.entry.timestamp - run[-1].entry.timestamp > LIFETIME:
                yield run
                run = []
            run.append(call)
        yield run


def _priced_as_one(calls: Sequence[NetCall], shared: int, prices: Prices) -> int | None:
    """Return what text calls of one slot cost at one price; ``None`` where they have to be priced singly."""
    first, last = calls[0].entry, calls[-1].entry
    usages = [call.entry.usage for call in calls]
    terms = {(call.entry.service_tier, call.entry.region) for call in calls}
    if len(terms) > 1 or not all(map(is_text, usages)):
        return None
    window = prices.window(first.service, first.model, first.timestamp, first.service_tier, first.region)
    if window.quote is None or last.timestamp >= window.until:
        return None
    price, written = window.quote.price, (shared, *[0] * (len(usages) - 1))
    counts = [
        [usage.tokens_input, usage.tokens_output, shared - write, write, usage.tokens_reasoning]
        for usage, write in zip(usages, written, strict=True)
    ]
    if is_additive(price):
        counts = [[sum(column) for column in zip(*counts, strict=True)]]
    charges = [amounts(price, _text(*row)) for row in counts]
    costs = [
        sum(charge.parts.values()) for charge in charges if isinstance(charge, Amounts) and not charge.missing
    ]
    return sum(costs) if len(costs) == len(charges) else None


def _text(fresh: int, output: int, cached: int, written: int, reasoning: int) -> Usage:
    return Usage(
        tokens_input=fresh,
        tokens_output=output,
        tokens_cached=cached,
        tokens_cache_write=written,
        tokens_reasoning=reasoning,
    )


def _cost_with(call: NetCall, usage: Usage, prices: Prices) -> int:
    """Return what a call would have cost with a cache; what it did cost, where that has no price."""
    entry = call.entry
    charge = prices.charge(
        entry.service, entry.model, usage, entry.timestamp, entry.service_tier, entry.region
    )
    return charge.total if isinstance(charge, Charge) else call.cost or 0
