"""The same calls on other models: each repriced with its own tokens, on its own day.

Corrections count with the call that they correct: what is compared is what each call cost in the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from ..model import Charge, Entry
from ..money import ZERO, Nanos
from .calls import NetCall, net_jobs
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
    """Return what ``entries`` would have cost with the swaps. The first swap that covers a call counts.

    ``entries`` come job by job.
    """
    whole = 0
    outcomes: dict[tuple[str, Swap], Outcome] = {}
    for call in chain.from_iterable(net_jobs(entries)):
        whole += call.cost or 0
        swap = next((each for each in swaps if each.covers(call.entry)), None)
        if swap is not None and call.entry.kind == "usage":
            stage = call.entry.stage or UNNAMED
            _add(outcomes.setdefault((stage, swap), Outcome(stage, swap)), call, prices)
    found = sorted(outcomes.values(), key=lambda o: (o.difference, o.stage))
    changed = sum(outcome.difference for outcome in found)
    return WhatIf(Nanos(whole), Nanos(whole + changed), tuple(found))


def _add(outcome: Outcome, call: NetCall, prices: Prices) -> None:
    service, model = outcome.swap.to
    entry = call.entry
    charge = prices.charge(
        service, model, entry.usage, entry.timestamp, outcome.swap.tier or entry.service_tier
    )
    outcome.calls += 1
    if not isinstance(charge, Charge) or call.cost is None:
        outcome.unpriced += 1
        return
    outcome.before = Nanos(outcome.before + call.cost)
    outcome.after = Nanos(outcome.after + charge.total)
