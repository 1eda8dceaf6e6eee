"""Explanations of random pairs of histories, and of pairs that differ by one known cause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from truth.histories import charged, random_call

from shared.costs.analysis.explain import explain
from shared.costs.model import Charge, Entry
from shared.costs.money import Nanos


def random_side(chance: Random, most: int = 40) -> list[Entry]:
    """Return up to ``most`` calls, some of them taken back again."""
    calls = [random_call(chance, number) for number in range(chance.randrange(most))]
    taken_back = [replace(each, kind="reversal", charge=_negative(each.charge)) for each in calls[::9]]
    return [*calls, *taken_back]


def _negative(charge: Charge | None) -> Charge | None:
    if charge is None:
        return None
    return charge._replace(parts={part: Nanos(-amount) for part, amount in charge.parts.items()})


def inexact_pairs(seed: int, pairs: int) -> int:
    """Return in how many random pairs the parts do not sum to the difference, to the nano-dollar."""
    chance, wrong = Random(seed), 0
    for _ in range(pairs):
        before, after = random_side(chance), random_side(chance)
        difference = sum(e.cost for e in after) - sum(e.cost for e in before)
        wrong += sum(part.amount for part in explain(before, after).parts) != difference
    return wrong


Cause = Callable[[list[Entry]], list[Entry]]


def _doubled(calls: list[Entry]) -> list[Entry]:
    return [replace(each, id=f"{each.id}-{turn}") for each in calls for turn in (1, 2)]


def _retried(calls: list[Entry]) -> list[Entry]:
    return [*calls, *(replace(each, id=f"{each.id}-again", attempt=2) for each in calls)]


def _dearer(calls: list[Entry]) -> list[Entry]:
    return [_with_parts(each, lambda amount: 3 * amount) for each in calls]


def _with_parts(entry: Entry, change: Callable[[int], int]) -> Entry:
    assert entry.charge is not None
    parts = {part: Nanos(change(amount)) for part, amount in entry.charge.parts.items()}
    return replace(entry, charge=entry.charge._replace(parts=parts))


def _other_model(calls: list[Entry]) -> list[Entry]:
    return [charged(replace(each, model="gpt-4o-mini")) for each in calls]


def _in_batches(calls: list[Entry]) -> list[Entry]:
    return [charged(replace(each, service_tier="batch")) for each in calls]


def _cached(calls: list[Entry]) -> list[Entry]:
    return [
        charged(replace(each, usage=replace(each.usage, tokens_cached=each.usage.tokens_input)))
        for each in calls
    ]


CAUSES: dict[str, Cause] = {
    "volume": _doubled,
    "retries": _retried,
    "prices": _dearer,
    "models": _other_model,
    "tiers": _in_batches,
    "caching": _cached,
}


def share_of_cause(reason: str, seed: int, calls: int = 60) -> float:
    """Return which part of a difference with one known cause is given that reason: 1.0 is all of it."""
    chance = Random(seed)
    made = (random_call(chance, number) for number in range(20 * calls))
    plain = [
        charged(replace(each, service_tier=None, attempt=1, usage=replace(each.usage, tokens_cached=0)))
        for each in made
        if each.model == "gpt-4o"
    ][:calls]
    found = explain(plain, CAUSES[reason](plain))
    return found.by_reason()[reason] / (found.after - found.before)
