"""What results cost, by outcome and by point of quality, and work that was paid for and not used.

The cost of an outcome is that of *all* calls that tell their outcome, divided by how many had this
one: an accepted summary pays for the rejected ones too. The cost of a point of quality is the cost of
the calls that tell their quality, divided by the sum of the points (in whatever scale they are
given: 0 to 1, 0 to 100). Compare only what is measured alike: models in one stage.

Source: unit economics, the cost of one unit of what is delivered:
https://www.finops.org/framework/capabilities/unit-economics/

*Done again* are calls of a second or later attempt at a stage. *Not used* are calls whose metadata says
so in ``outcome``; where the stage was run again in the same job, its later attempts are counted
instead, so that one failure is never counted twice. Both are saved by mending their cause, not by
a setting, and so are in no total of settings.

Source: what a process spends on failures is its cost of poor quality, internal failure costs:
https://asq.org/quality-resources/cost-of-quality
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from ..money import ZERO, Nanos
from .calls import NetCall
from .options import Slot, slot_of
from .sums import mean

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


@dataclass(slots=True)
class Worth:
    """What one slot's calls brought. ``told_cost`` is that of calls with an outcome, in nano-dollars.

    ``rated`` calls have a quality; they cost ``rated_cost`` and have ``points`` together.
    """

    slot: Slot
    outcomes: Counter[str] = field(default_factory=Counter)
    told_cost: Nanos = ZERO
    rated: int = 0
    rated_cost: Nanos = ZERO
    points: float = 0.0

    @property
    def told(self) -> int:
        """How many calls tell their outcome."""
        return self.outcomes.total()

    def cost_of(self, outcome: str) -> Nanos:
        """Return what one result with this outcome cost, those with other outcomes included."""
        return mean(self.told_cost, self.outcomes[outcome])

    @property
    def quality(self) -> float | None:
        """The mean quality; ``None`` where no call tells it."""
        return self.points / self.rated if self.rated else None

    @property
    def cost_per_point(self) -> Nanos | None:
        """What a point of quality cost; ``None`` where there was none."""
        return Nanos(round(self.rated_cost / self.points)) if self.points > 0 else None


class WorthFinder:
    """Collects outcomes and qualities job by job."""

    def __init__(self) -> None:
        self._found: dict[Slot, Worth] = {}

    def add(self, job: Sequence[NetCall]) -> None:
        """Look at the calls of one job."""
        for call in job:
            if not call.entry.metadata or call.entry.kind != "usage" or call.cost is None:
                continue
            outcome, quality = outcome_of(call), _quality_of(call)
            if outcome is None is quality:
                continue
            worth = self._found.setdefault(slot_of(call.entry), Worth(slot_of(call.entry)))
            if outcome is not None:
                worth.outcomes[outcome] += 1
                worth.told_cost = Nanos(worth.told_cost + call.cost)
            if quality is not None:
                worth.rated += 1
                worth.rated_cost = Nanos(worth.rated_cost + call.cost)
                worth.points += quality

    def found(self) -> list[Worth]:
        """Return what the results of each stage and model cost, by stage, the dearest model first."""
        return sorted(
            self._found.values(), key=lambda w: (w.slot.stage or "", -max(w.told_cost, w.rated_cost))
        )


def _quality_of(call: NetCall) -> float | None:
    quality = call.entry.metadata.get("quality")
    if isinstance(quality, bool) or not isinstance(quality, (int, float)):
        return None
    return float(quality) if math.isfinite(quality) and quality >= 0 else None
