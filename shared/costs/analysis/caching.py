"""What prompt caching could save at most, where a job calls a model again and again.

Whether inputs begin alike cannot be seen from token counts, so this is an upper bound: of the calls of
one job to one model in one stage that follow each other within five minutes, as much as the shortest
of them has could be common to all. Those tokens are repriced as written to the cache by the first
call and read from it by the others. Beginnings below 1,024 tokens are not cached by providers.

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
    """What caching could save at most in one slot, over ``calls`` that cost ``before``, in nano-dollars."""

    slot: Slot
    calls: int = 0
    before: Nanos = ZERO
    saving: Nanos = ZERO

    @property
    def percent(self) -> float:
        """The saving in percent of what these calls cost."""
        return percent(self.saving, self.before) if self.before else 0.0


class CachingFinder:
    """Collects what could be cached job by job."""

    def __init__(self, prices: Prices) -> None:
        self._prices = prices
        self._found: dict[Slot, Cacheable] = {}

    def add(self, job: Sequence[NetCall]) -> None:
        """Look at the calls of one job."""
        for run in _runs(job):
            shared = min(call.entry.usage.tokens_input for call in run)
            if len(run) > 1 and shared >= LEAST_TOKENS:
                self._count(run, shared)

    def _count(self, run: list[NetCall], shared: int) -> None:
        after = self._cached(run, shared)
        before = sum(call.cost or 0 for call in run)
        if after < before:
            slot = slot_of(run[0].entry)
            found = self._found.setdefault(slot, Cacheable(slot))
            found.calls += len(run)
            found.before = Nanos(found.before + before)
            found.saving = Nanos(found.saving + before - after)

    def _cached(self, calls: Sequence[NetCall], shared: int) -> int:
        """Return what calls would have cost if the first wrote so much of its input to a cache."""
        together = _together(calls, shared, self._prices)
        if together is not None:
            return together
        first, *others = calls
        written = _charged(first, replace(first.entry.usage, tokens_cache_write=shared), self._prices)
        read = (replace(call.entry.usage, tokens_cached=shared) for call in others)
        return written + sum(_charged(*each, self._prices) for each in zip(others, read, strict=True))

    def found(self) -> list[Cacheable]:
        """Return the slots in which caching could save anything, the largest saving first."""
        return sorted(self._found.values(), key=lambda each: -each.saving)


def _runs(job: Iterable[NetCall]) -> Iterator[list[NetCall]]:
    """Return the calls of one slot that follow each other before a cache would forget, and use none."""
    slots: dict[Slot, list[NetCall]] = {}
    for call in job:
        entry, usage = call.entry, call.entry.usage
        uses_cache = usage.tokens_cached or usage.tokens_cache_write
        if entry.kind == "usage" and call.cost is not None and call.is_comparable and not uses_cache:
            slots.setdefault(slot_of(entry), []).append(call)
    for calls in slots.values():
        run: list[NetCall] = []
        for call in sorted(calls, key=lambda each: (each.entry.timestamp, each.entry.id)):
            if run and call.entry.timestamp - run[-1].entry.timestamp > LIFETIME:
                yield run
                run = []
            run.append(call)
        yield run


def _together(calls: Sequence[NetCall], shared: int, prices: Prices) -> int | None:
    """Return what text calls of one slot come to at a price that is whole by the token; else ``None``."""
    first, last = calls[0].entry, calls[-1].entry
    usages = [call.entry.usage for call in calls]
    alike = {(call.entry.service_tier, call.entry.region) for call in calls}
    if len(alike) > 1 or not all(map(is_text, usages)):
        return None
    steady = prices.steady(first.service, first.model, first.timestamp, first.service_tier, first.region)
    if steady.quote is None or last.timestamp >= steady.until or not is_additive(steady.quote.price):
        return None
    whole = Usage(
        tokens_input=sum(usage.tokens_input for usage in usages),
        tokens_output=sum(usage.tokens_output for usage in usages),
        tokens_reasoning=sum(usage.tokens_reasoning for usage in usages),
        tokens_cached=shared * (len(usages) - 1),
        tokens_cache_write=shared,
    )
    found = amounts(steady.quote.price, whole)
    return sum(found.parts.values()) if isinstance(found, Amounts) and not found.missing else None


def _charged(call: NetCall, usage: Usage, prices: Prices) -> int:
    """Return what a call would have cost with a cache; as it was, where that has no price."""
    entry = call.entry
    charge = prices.charge(
        entry.service, entry.model, usage, entry.timestamp, entry.service_tier, entry.region
    )
    return charge.total if isinstance(charge, Charge) else call.cost or 0
