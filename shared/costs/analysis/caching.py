"""What prompt caching could save at most, where a job calls a model again and again.

Whether inputs begin alike cannot be seen from token counts, so this is an upper bound: of the calls of
one job to one model in one stage that follow each other within five minutes, as much as the shortest
of them has could be common to all. Those tokens are repriced as written to the cache by the first
call and read from it by the others. Beginnings below 1,024 tokens are not cached by providers.

Sources: https://platform.openai.com/docs/guides/prompt-caching (from 1,024 tokens, kept 5 to 10 minutes),
https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching (5 minutes, writes cost more).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import groupby
from typing import Final

from ..model import Charge, Entry, Usage
from ..money import ZERO, Nanos
from .options import Prices, Slot, slot_of

LEAST_TOKENS: Final = 1_024
LIFETIME: Final = timedelta(minutes=5)


@dataclass(slots=True)
class Cacheable:
    """What caching could save at most in one slot, over ``calls`` that cost ``before``, in nano-dollars."""

    slot: Slot
    calls: int = 0
    before: Nanos = ZERO
    saving: Nanos = ZERO


def find_cacheable(entries: Iterable[Entry], prices: Prices) -> list[Cacheable]:
    """Return the slots in which caching could save anything, the largest saving first.

    ``entries`` come job by job; those of one job are kept until the next one begins.
    """
    found: dict[Slot, Cacheable] = {}
    for _, job in groupby(entries, key=lambda entry: entry.job_id):
        for run in _runs(job):
            _add(found, run, prices)
    return sorted((c for c in found.values() if c.saving > 0), key=lambda c: -c.saving)


def _runs(job: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Return the calls of one slot that follow each other before a cache would forget."""
    slots: dict[Slot, list[Entry]] = {}
    for entry in job:
        if entry.kind == "usage" and entry.charge is not None and not entry.usage.tokens_cached:
            slots.setdefault(slot_of(entry), []).append(entry)
    for calls in slots.values():
        run: list[Entry] = []
        for call in sorted(calls, key=lambda entry: (entry.timestamp, entry.id)):
            if run and call.timestamp - run[-1].timestamp > LIFETIME:
                yield run
                run = []
            run.append(call)
        yield run


def _add(found: dict[Slot, Cacheable], run: list[Entry], prices: Prices) -> None:
    shared = min(call.usage.tokens_input for call in run)
    if len(run) < 2 or shared < LEAST_TOKENS:
        return
    first, *others = run
    after = [_charged(first, replace(first.usage, tokens_cache_write=shared), prices)]
    after += [_charged(call, replace(call.usage, tokens_cached=shared), prices) for call in others]
    saving = sum(call.cost - other for call, other in zip(run, after, strict=True))
    if saving > 0:
        slot = found.setdefault(slot_of(first), Cacheable(slot_of(first)))
        slot.calls += len(run)
        slot.before = Nanos(slot.before + sum(call.cost for call in run))
        slot.saving = Nanos(slot.saving + saving)


def _charged(call: Entry, usage: Usage, prices: Prices) -> Nanos:
    """Return what a call would have cost with a cache; as it was, where that has no price."""
    charge = prices.charge(call.service, call.model, usage, call.timestamp, call.service_tier)
    return charge.total if isinstance(charge, Charge) else call.cost
