"""What results cost, by outcome and by point of quality, and work that was paid for and not used.

The cost of an outcome is that of *all* calls with an outcome, divided by how many had this
one: an accepted summary pays for the rejected ones too. The cost of a point of quality is the cost of
the calls with a quality, divided by the sum of the points (in whatever scale they are
given: 0 to 1, 0 to 100). Compare only what is measured in the same way: models in one stage.

Source: unit economics, the cost of one unit of what is delivered:
https://www.finops.org/framework/capabilities/unit-economics/

*Done again* are calls of a second or later attempt at a stage. *Not used* are calls whose metadata says
so in ``outcome``; where the stage was run again in the same job, its later attempts are counted
instead, so that one failure is never counted twice. Both are saved by fixing their cause, not by
a setting, and so are not part of the savings by settings.

Source: what a process spends on failures is part of its cost of poor quality, as internal failure costs:
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
"""The values of ``metadata["outcome"]`` for a result that nobody used."""


@dataclass(slots=True)
class Waste:
    """The cost of failed or repeated work of one slot, over ``calls``, in nano-dollars."""

    slot: Slot
    reason: Reason
    calls: int = 0
    cost: Nanos = ZERO


class WasteFinder:
    """Collects failed or repeated work, job by job."""

    def __init__(self) -> None:
        self._waste: dict[tuple[Slot, Reason], Waste] = {}

    def add(self, job: Sequence[NetCall]) -> None:
        """Add the calls of one job."""
        retried = {call.entry.stage for call in job if call.entry.attempt > 1}
        for call in job:
            entry = call.entry
            if entry.kind != "usage" or not call.cost:
                continue
            if entry.attempt > 1:
                self._count(call, call.cost, "done again")
            elif entry.metadata and entry.stage not in retried and outcome_of(call) in NOT_USED:
                self._count(call, call.cost, "not used")

    def _count(self, call: NetCall, cost: Nanos, reason: Reason) -> None:
        slot = slot_of(call.entry)
        waste = self._waste.setdefault((slot, reason), Waste(slot, reason))
        waste.calls += 1
        waste.cost = Nanos(waste.cost + cost)

    def result(self) -> list[Waste]:
        """Return the failed or repeated work, the largest cost first."""
        return sorted(
            self._waste.values(), key=lambda waste: (-waste.cost, waste.slot.stage or "", waste.reason)
        )


def outcome_of(call: NetCall) -> str | None:
    """Return the outcome in a call's metadata, in lower case; ``None`` without one."""
    outcome = call.entry.metadata.get("outcome")
    return outcome.strip().lower() or None if isinstance(outcome, str) else None


@dataclass(slots=True)
class Worth:
    """The results of one slot's calls. ``outcome_cost`` is that of calls with an outcome, in nano-dollars.

    ``rated`` calls have a quality; they cost ``rated_cost`` and have ``points`` together.
    """

    slot: Slot
    outcomes: Counter[str] = field(default_factory=Counter)
    outcome_cost: Nanos = ZERO
    rated: int = 0
    rated_cost: Nanos = ZERO
    points: float = 0.0

    @property
    def with_outcome(self) -> int:
        """How many calls have an outcome."""
        return self.outcomes.total()

    def cost_of(self, outcome: str) -> Nanos:
        """Return what one result with this outcome cost, those with other outcomes included."""
        return mean(self.outcome_cost, self.outcomes[outcome])

    @property
    def quality(self) -> float | None:
        """The mean quality; ``None`` where no call has one."""
        return self.points / self.rated if self.rated else None

    @property
    def cost_per_point(self) -> Nanos | None:
        """What a point of quality cost; ``None`` where there are no points."""
        return Nanos(round(self.rated_cost / self.points)) if self.points > 0 else None


class WorthFinder:
    """Collects outcomes and qualities job by job."""

    def __init__(self) -> None:
        self._worths: dict[Slot, Worth] = {}

    def add(self, job: Sequence[NetCall]) -> None:
        """Add the calls of one job."""
        for call in job:
            if not call.entry.metadata or call.entry.kind != "usage" or call.cost is None:
                continue
            outcome, quality = outcome_of(call), _quality_of(call)
            if outcome is None is quality:
                continue
            worth = self._worths.setdefault(slot_of(call.entry), Worth(slot_of(call.entry)))
            if outcome is not None:
                worth.outcomes[outcome] += 1
                worth.outcome_cost = Nanos(worth.outcome_cost + call.cost)
            if quality is not None:
                worth.rated += 1
                worth.rated_cost = Nanos(worth.rated_cost + call.cost)
                worth.points += quality

    def result(self) -> list[Worth]:
        """Return what the results of each stage and model cost, by stage, the most expensive model first."""
        return sorted(
            self._worths.values(),
            key=lambda worth: (worth.slot.stage or "", -max(worth.outcome_cost, worth.rated_cost)),
        )


def _quality_of(call: NetCall) -> float | None:
    quality = call.entry.metadata.get("quality")
    if isinstance(quality, bool) or not isinstance(quality, (int, float)):
        return None
    return float(quality) if math.isfinite(quality) and quality >= 0 else None
