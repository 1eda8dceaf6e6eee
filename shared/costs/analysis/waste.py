"""Work that was paid for and not used: done again, or its result thrown away.

*Done again* are calls of a second or later attempt at a stage. *Not used* are calls whose metadata says
so in ``outcome``; where the stage was run again in the same job, its later attempts are counted
instead, so that one failure is never counted twice. Both are saved by mending their cause, not by
a setting, and so are in no total of settings.

Source: what a process spends on failures is its cost of poor quality, internal failure costs:
https://asq.org/quality-resources/cost-of-quality
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ..money import ZERO, Nanos
from .calls import NetCall
from .options import Slot, slot_of

Reason = Literal["done again", "not used"]

NOT_USED: Final = frozenset(
    {"failed", "failure", "error", "timeout", "cancelled", "canceled", "aborted", "rejected", "discarded"}
)
"""What ``metadata["outcome"]`` says of a result that nobody used."""


@dataclass(slots=True)
class Waste:
    """What one slot spent in vain, over ``calls``, in nano-dollars."""

    slot: Slot
    reason: Reason
    calls: int = 0
    cost: Nanos = ZERO


class WasteFinder:
    """Collects waste job by job."""

    def __init__(self) -> None:
        self._found: dict[tuple[Slot, Reason], Waste] = {}

    def add(self, job: Sequence[NetCall]) -> None:
        """Look at the calls of one job."""
        again = {call.entry.stage for call in job if call.entry.attempt > 1}
        for call in job:
            entry = call.entry
            if entry.kind != "usage" or not call.cost:
                continue
            if entry.attempt > 1:
                self._count(call, call.cost, "done again")
            elif entry.metadata and entry.stage not in again and outcome_of(call) in NOT_USED:
                self._count(call, call.cost, "not used")

    def _count(self, call: NetCall, cost: Nanos, reason: Reason) -> None:
        slot = slot_of(call.entry)
        waste = self._found.setdefault((slot, reason), Waste(slot, reason))
        waste.calls += 1
        waste.cost = Nanos(waste.cost + cost)

    def found(self) -> list[Waste]:
        """Return what was spent in vain, the largest first."""
        return sorted(self._found.values(), key=lambda w: (-w.cost, w.slot.stage or "", w.reason))


def outcome_of(call: NetCall) -> str | None:
    """Return what a call's metadata says its result was, in small letters; ``None`` where it says nothing."""
    outcome = call.entry.metadata.get("outcome")
    return outcome.strip().lower() or None if isinstance(outcome, str) else None
