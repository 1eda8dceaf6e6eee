"""What a change has saved since it was made: its calls, and what they would have cost without it. Pure.

The calls are those that were made, with their own tokens, on their own day; another model may have needed
more or fewer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..model import Entry
from ..money import ZERO, Nanos, divide
from .options import Prices
from .whatif import Swap, is_call_of, what_if


class Made(NamedTuple):
    """A change as calls show it: ``new`` instead of ``old`` in a stage (any, where ``None``), with a tier."""

    stage: str | None
    old: tuple[str, str]
    new: tuple[str, str]
    tier: str | None = None

    def is_after(self, entry: Entry) -> bool:
        """Return whether an entry is of a call that was made the new way, or corrects one."""
        return self._is_in(entry, self.new) and (self.tier is None or entry.service_tier == self.tier)

    def is_before(self, entry: Entry) -> bool:
        """Return whether an entry is of a call that was made the old way."""
        return self._is_in(entry, self.old) and not (self.old == self.new and entry.service_tier == self.tier)

    def _is_in(self, entry: Entry, model: tuple[str, str]) -> bool:
        return is_call_of(entry, model) and self.stage in (None, entry.stage)


class Effect(NamedTuple):
    """Calls of one way, and what they would have cost the other way, in nano-dollars.

    ``compared`` of the ``calls`` have a price on both sides; ``cost`` and ``otherwise`` are of those.
    """

    calls: int = 0
    compared: int = 0
    cost: Nanos = ZERO
    otherwise: Nanos = ZERO

    @property
    def saved(self) -> Nanos:
        """What the calls cost less than they would have; negative where they cost more."""
        return Nanos(self.otherwise - self.cost)


def promised(change: Made, entries: Iterable[Entry], prices: Prices) -> Effect:
    """Return what calls of before a change cost, and would have cost with it. ``entries`` come job by job."""
    swap = Swap(change.old, change.new, change.tier)
    return _effect(filter(change.is_before, entries), swap, prices)


def since(change: Made, entries: Iterable[Entry], prices: Prices) -> Effect:
    """Return what calls since a change cost, and would have without it. ``entries`` come job by job."""
    swap = Swap(change.new, change.old, "standard" if change.tier is not None else None)
    return _effect(filter(change.is_after, entries), swap, prices)


def _effect(entries: Iterator[Entry], swap: Swap, prices: Prices) -> Effect:
    outcomes = what_if(entries, [swap], prices).outcomes
    return Effect(
        sum(each.calls for each in outcomes),
        sum(each.compared for each in outcomes),
        Nanos(sum(each.before for each in outcomes)),
        Nanos(sum(each.after for each in outcomes)),
    )


def expected(before: Nanos, after: Nanos, otherwise: Nanos) -> Nanos | None:
    """Return what should have been saved, had as large a share been saved as was promised.

    ``before`` and ``after`` are what was promised, ``otherwise`` what the calls since would have cost.
    Rounded half to even; ``None`` where nothing was promised.

    >>> expected(Nanos(10), Nanos(4), Nanos(100)), expected(ZERO, ZERO, Nanos(100))
    (60, None)
    """
    return Nanos(divide(otherwise * (before - after), before)) if before > 0 else None
