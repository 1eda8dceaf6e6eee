"""What results cost: by outcome, and by point of quality, where the calls' metadata tells them.

The cost of an outcome is that of *all* calls that tell their outcome, divided by how many had this
one: an accepted summary pays for the rejected ones too. The cost of a point of quality is the cost of
the calls that tell their quality, divided by the sum of the points (in whatever scale they are
given: 0 to 1, 0 to 100). Compare only what is measured alike: models in one stage.

Source: unit economics, the cost of one unit of what is delivered:
https://www.finops.org/framework/capabilities/unit-economics/
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..money import ZERO, Nanos
from .calls import NetCall
from .options import Slot, slot_of
from .sums import mean
from .waste import outcome_of


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
