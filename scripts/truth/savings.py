"""The optimiser's total against brute force: every call repriced, every combination of changes tried."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

from truth.histories import CATALOGUE

from shared.costs.analysis.options import BATCH, ModelChange, Slot, changes, slot_of
from shared.costs.model import Charge, Entry, Usage

LONG = 100_000
PRIORITY = ("priority", "fast")


def least_cost(calls: Iterable[Entry]) -> int:
    """Return the least that the calls can cost, with one change or none in each stage and model.

    Prices come straight from the catalogue, and every combination is added up; nothing of the
    optimiser's own sums is used but which changes there are.
    """
    slots: dict[Slot, list[Entry]] = {}
    for call in calls:
        if call.charge is not None:
            slots.setdefault(slot_of(call), []).append(call)
    ways = [
        sorted({cost_of(mine), *(cost_with(change, mine) for change in changes(mine[0], CATALOGUE))})
        for mine in slots.values()
    ]
    return min(sum(combination) for combination in product(*ways))


def cost_of(calls: Sequence[Entry]) -> int:
    """Return what the calls cost."""
    return sum(call.cost for call in calls)


def cost_with(change: ModelChange, calls: Sequence[Entry]) -> int:
    """Return what the calls would have cost with a change; those that it does not touch stay as they are."""
    return sum(call.cost if (other := _otherwise(change, call)) is None else other for call in calls)


def _otherwise(change: ModelChange, call: Entry) -> int | None:
    if change.kind == "split":
        return _in_pieces(call)
    if change.kind == "standard" and call.service_tier not in PRIORITY:
        return None
    waits = "interactive" in call.tags
    if change.kind == "batch" and waits:
        return None
    tier = BATCH if change.tier == BATCH and not waits else call.service_tier
    return _priced(
        call, change.service, change.model, call.usage, change.tier if change.kind == "standard" else tier
    )


def _priced(call: Entry, service: str, model: str, usage: Usage, tier: str | None) -> int | None:
    charge = CATALOGUE.charge(service, model, usage, call.timestamp, tier)
    return charge.total if isinstance(charge, Charge) and not charge.missing else None


def _in_pieces(call: Entry) -> int | None:
    """Return the price of a long text call in 2, 4 or 8 equal pieces, if one of them is below the whole's."""
    whole, found = call.usage, []
    if whole.audio_seconds or whole.tokens_input < LONG:
        return None
    for pieces in (1, 2, 4, 8):
        usage = Usage(
            tokens_input=-(-whole.tokens_input // pieces),
            tokens_output=-(-whole.tokens_output // pieces),
            tokens_cached=whole.tokens_cached // pieces,
        )
        price = _priced(call, call.service, call.model, usage, call.service_tier)
        if price is None:
            return None
        found.append(pieces * price)
    return min(found[1:]) if min(found[1:]) < found[0] else None
