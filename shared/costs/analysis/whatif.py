"""The same calls on other models: each repriced with its own tokens, on its own day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..model import Charge, Entry
from ..money import ZERO, Nanos
from .options import Prices
from .sums import UNNAMED


class Swap(NamedTuple):
    """Use ``to`` where ``model`` was used; both ``(service, model)``. ``tier`` is the new tier, if any."""

    model: tuple[str, str]
    to: tuple[str, str]
    tier: str | None = None

    def covers(self, entry: Entry) -> bool:
        """Return whether an entry is one of those to swap."""
        return (entry.service, entry.model) == self.model


@dataclass(slots=True)
class Outcome:
    """What a swap does in one stage. Amounts in nano-dollars.

    ``calls`` are those that were swapped; ``unpriced`` of them have no price on the other side (or
    had none before) and are in neither sum.
    """

    stage: str
    swap: Swap
    calls: int = 0
    unpriced: int = 0
    before: Nanos = ZERO
    after: Nanos = ZERO

    @property
    def difference(self) -> Nanos:
        """What would change: negative is cheaper."""
        return Nanos(self.after - self.before)


class WhatIf(NamedTuple):
    """All swaps together: ``before`` and ``after`` are of all entries that were looked at."""

    before: Nanos
    after: Nanos
    outcomes: tuple[Outcome, ...]


def what_if(entries: Iterable[Entry], swaps: Sequence[Swap], prices: Prices) -> WhatIf:
    """Return what ``entries`` would have cost with the swaps. The first swap that covers a call counts."""
    whole = 0
    outcomes: dict[tuple[str, Swap], Outcome] = {}
    for entry in entries:
        whole += entry.cost
        swap = next((each for each in swaps if each.covers(entry)), None)
        if swap is None or entry.kind == "adjustment":
            continue
        stage = entry.stage or UNNAMED
        _add(outcomes.setdefault((stage, swap), Outcome(stage, swap)), entry, prices)
    found = sorted(outcomes.values(), key=lambda o: (o.difference, o.stage))
    changed = sum(outcome.difference for outcome in found)
    return WhatIf(Nanos(whole), Nanos(whole + changed), tuple(found))


def _add(outcome: Outcome, entry: Entry, prices: Prices) -> None:
    service, model = outcome.swap.to
    tier = outcome.swap.tier or entry.service_tier
    charge = prices.charge(service, model, entry.usage, entry.timestamp, tier)
    outcome.calls += entry.sign
    if not isinstance(charge, Charge) or entry.charge is None:
        outcome.unpriced += entry.sign
        return
    outcome.before = Nanos(outcome.before + entry.cost)
    outcome.after = Nanos(outcome.after + entry.sign * charge.total)
