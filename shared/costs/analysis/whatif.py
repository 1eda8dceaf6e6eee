"""The same calls on other models: each repriced with its own tokens, on its own day.

Corrections count with the call that they correct: the final cost of each call is compared.
Interactive calls keep their tier where the new one responds late.

The same repricing shows what a change has saved since it was made: its calls, and what they would have cost
without it. Another model may have needed more or fewer tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, NamedTuple

from ..model import Charge, Entry
from ..money import ZERO, Nanos, divide
from ..units import without_features
from .calls import NetCall, net_jobs
from .options import BATCH, Prices, is_interactive
from .sums import UNNAMED

LATE: Final = frozenset({BATCH, "flex"})
"""Service tiers that are cheaper because the response comes later."""


def is_call_of(entry: Entry, model: tuple[str, str]) -> bool:
    """Return whether an entry is of a model, as ``(service, model)``, with or without features on top."""
    return entry.service == model[0] and model[1] in (entry.model, without_features(entry.model))


class Swap(NamedTuple):
    """Use ``to`` where ``model`` was used; both ``(service, model)``. ``tier`` is the new tier, if any.

    A model named without features that are billed on top stands for its calls with them too.
    """

    model: tuple[str, str]
    to: tuple[str, str]
    tier: str | None = None

    def covers(self, entry: Entry) -> bool:
        """Return whether an entry is one of those to swap."""
        return is_call_of(entry, self.model)

    def target(self, entry: Entry) -> tuple[str, str]:
        """Return service and model for an entry, with the same features as its own model.

        >>> from datetime import UTC, datetime
        >>> at, redacted = datetime(2026, 11, 1, tzinfo=UTC), "nova-3+redact"
        >>> call = Entry(id="1", timestamp=at, job_id="j", user_id="1", service="deepgram", model=redacted)
        >>> Swap(("deepgram", "nova-3"), ("deepgram", "nova-2")).target(call)
        ('deepgram', 'nova-2+redact')
        """
        service, model = self.to
        features = entry.model.removeprefix(self.model[1])
        return (service, model) if "+" in model else (service, model + features)

    def keeps_tier(self, entry: Entry) -> bool:
        """Return whether an entry cannot get the new tier, because somebody waits for the response."""
        return self.tier in LATE and is_interactive(entry)


@dataclass(slots=True)
class SwapEffect:
    """The effect of a swap in one stage. Amounts in nano-dollars.

    ``calls`` are those that were swapped; ``unpriced`` of them have no price on the other side (or
    had none before), ``partial`` of them have units without a price or no known units; both are left out of
    the sums. ``kept`` calls could not get the new tier: they are swapped with their own tier, or not at all
    where only the tier was to change.
    """

    stage: str
    swap: Swap
    calls: int = 0
    unpriced: int = 0
    kept: int = 0
    before: Nanos = ZERO
    after: Nanos = ZERO
    partial: int = 0

    @property
    def compared(self) -> int:
        """How many calls have a whole price on both sides."""
        return self.calls - self.unpriced - self.partial

    @property
    def difference(self) -> Nanos:
        """What would change: negative is cheaper."""
        return Nanos(self.after - self.before)


class WhatIf(NamedTuple):
    """The effect of all swaps: ``before`` and ``after`` are the costs of all entries, swapped or not."""

    before: Nanos
    after: Nanos
    outcomes: tuple[SwapEffect, ...]


def what_if(entries: Iterable[Entry], swaps: Sequence[Swap], prices: Prices) -> WhatIf:
    """Return what ``entries`` would have cost with the swaps. The first swap that covers a call counts.

    ``entries`` come job by job.
    """
    whole = 0
    outcomes: dict[tuple[str, Swap], SwapEffect] = {}
    for call in chain.from_iterable(net_jobs(entries)):
        whole += call.cost or 0
        swap = next((swap for swap in swaps if swap.covers(call.entry)), None)
        if swap is not None and call.entry.kind == "usage":
            stage = call.entry.stage or UNNAMED
            _add_call(outcomes.setdefault((stage, swap), SwapEffect(stage, swap)), call, prices)
    ordered = sorted(outcomes.values(), key=lambda outcome: (outcome.difference, outcome.stage))
    changed = sum(outcome.difference for outcome in ordered)
    return WhatIf(Nanos(whole), Nanos(whole + changed), tuple(ordered))


def _add_call(outcome: SwapEffect, call: NetCall, prices: Prices) -> None:
    swap, entry = outcome.swap, call.entry
    keeps_tier = swap.keeps_tier(entry)
    outcome.kept += keeps_tier
    if keeps_tier and swap.to == swap.model:
        return
    tier = entry.service_tier if keeps_tier or swap.tier is None else swap.tier
    region = entry.region if swap.to[0] == entry.service else None
    charge = prices.charge(*swap.target(entry), entry.usage, entry.timestamp, tier, region)
    outcome.calls += 1
    if not isinstance(charge, Charge) or call.cost is None:
        outcome.unpriced += 1
        return
    if charge.missing or not call.is_comparable:
        outcome.partial += 1
        return
    outcome.before = Nanos(outcome.before + call.cost)
    outcome.after = Nanos(outcome.after + charge.total)


class ObservedChange(NamedTuple):
    """A change as seen in calls: ``new`` instead of ``old`` in a stage (``None``: any), with a tier."""

    stage: str | None
    old: tuple[str, str]
    new: tuple[str, str]
    tier: str | None = None

    def is_after(self, entry: Entry) -> bool:
        """Return whether an entry is of a call made after the change, or a correction of one."""
        return self._is_in(entry, self.new) and (self.tier is None or entry.service_tier == self.tier)

    def is_before(self, entry: Entry) -> bool:
        """Return whether an entry is of a call made before the change."""
        return self._is_in(entry, self.old) and not (self.old == self.new and entry.service_tier == self.tier)

    def _is_in(self, entry: Entry, model: tuple[str, str]) -> bool:
        return is_call_of(entry, model) and self.stage in (None, entry.stage)


class RepricingEffect(NamedTuple):
    """The cost of calls with or without a change, and what they would have cost otherwise, in nano-dollars.

    ``compared`` of the ``calls`` have a price on both sides; ``cost`` and ``otherwise`` are theirs.
    """

    calls: int = 0
    compared: int = 0
    cost: Nanos = ZERO
    otherwise: Nanos = ZERO

    @property
    def saved(self) -> Nanos:
        """How much less the calls cost than they would have; negative where they cost more."""
        return Nanos(self.otherwise - self.cost)


def promised(change: ObservedChange, entries: Iterable[Entry], prices: Prices) -> RepricingEffect:
    """Return what calls before a change cost, and would have cost with it. ``entries`` come job by job."""
    swap = Swap(change.old, change.new, change.tier)
    return _effect(filter(change.is_before, entries), swap, prices)


def since(change: ObservedChange, entries: Iterable[Entry], prices: Prices) -> RepricingEffect:
    """Return what calls since a change cost, and would have cost without it. ``entries`` come job by job."""
    swap = Swap(change.new, change.old, "standard" if change.tier is not None else None)
    return _effect(filter(change.is_after, entries), swap, prices)


def _effect(entries: Iterator[Entry], swap: Swap, prices: Prices) -> RepricingEffect:
    outcomes = what_if(entries, [swap], prices).outcomes
    return RepricingEffect(
        sum(outcome.calls for outcome in outcomes),
        sum(outcome.compared for outcome in outcomes),
        Nanos(sum(outcome.before for outcome in outcomes)),
        Nanos(sum(outcome.after for outcome in outcomes)),
    )


def expected(before: Nanos, after: Nanos, otherwise: Nanos) -> Nanos | None:
    """Return what the calls since a change should have saved, at the promised share of their cost.

    ``before`` and ``after`` are the promise, ``otherwise`` is what the calls since would have cost.
    Rounded half to even; ``None`` where nothing was promised.

    >>> expected(Nanos(10), Nanos(4), Nanos(100)), expected(ZERO, ZERO, Nanos(100))
    (60, None)
    """
    return Nanos(divide(otherwise * (before - after), before)) if before > 0 else None
