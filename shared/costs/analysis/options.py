"""The changes to consider for the calls that one setting decides, and their cost.

A local engine is proposed where this kind of work has well-known ones: speech recognition,
translation, summaries. Its price is the catalogue's explicit zero, without power and time.

Interactive calls are never proposed for batches: those with the tag ``interactive``, or
with ``interactive: true`` in their metadata.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Final, Literal, NamedTuple, Protocol

from ..model import Charge, Entry, Unpriced, Usage
from ..units import USAGE_FIELDS
from .like_calls import SteadyPrices

OptionKind = Literal["model", "batch", "model and batch", "standard", "split", "local"]

BATCH: Final = "batch"
STANDARD: Final = "standard"
INTERACTIVE: Final = "interactive"
PRIORITY: Final = frozenset({"priority", "fast"})
"""Service tiers that cost more than the standard one, for quicker responses."""

PIECES: Final = (1, 2, 4, 8)
"""The numbers of equal pieces that a call may be split into; unsplit first."""


class Alternative(Protocol):
    """Another model that could do the same work."""

    @property
    def service(self) -> str:
        """Its provider."""
        ...

    @property
    def model(self) -> str:
        """Its name."""
        ...


class Prices(SteadyPrices, Protocol):
    """The part of the price catalogue that analyses use."""

    def charge(
        self,
        service: str,
        model: str,
        usage: Usage,
        at: datetime,
        tier: str | None = None,
        region: str | None = None,
    ) -> Charge | Unpriced:
        """Return what a call costs."""
        ...

    def alternatives(self, service: str, model: str, at: datetime) -> Sequence[Alternative]:
        """Return cheaper models of the same class."""
        ...


class Slot(NamedTuple):
    """The calls that one setting of a pipeline decides."""

    stage: str | None
    service: str
    model: str

    @property
    def name(self) -> str:
        """The model with its provider."""
        return f"{self.service}/{self.model}"


class ModelChange(NamedTuple):
    """A change to a slot. ``tier`` is ``None`` where each call keeps its own."""

    kind: OptionKind
    service: str
    model: str
    tier: str | None = None

    @property
    def name(self) -> str:
        """The target as people write it: ``openai/gpt-4o-mini``, ``batch``, ``openai/gpt-4o-mini, batch``."""
        model = f"{self.service}/{self.model}"
        if self.kind in (BATCH, STANDARD):
            return self.kind
        if self.kind == "split":
            return "shorter calls"
        return f"{model}, {BATCH}" if self.tier else model


def in_pieces(usage: Usage, charged: Callable[[Usage], Charge | Unpriced]) -> int | None:
    """Return the cost of a text call in the cheapest number of equal pieces; ``None`` where that is one.

    ``charged`` prices a piece.

    Where the price does not depend on the length of the input, pieces cost as much as the whole, so
    this only saves where a token costs more in a longer context.
    """
    if usage.tokens_input < _LONG or not is_text(usage):
        return None
    costs = [_cost_in_pieces(usage, pieces, charged) for pieces in PIECES]
    known = [cost for cost in costs if cost is not None]
    return min(known) if len(known) == len(costs) and min(known) < known[0] else None


def is_interactive(entry: Entry) -> bool:
    """Return whether somebody waits for the response of a call."""
    return INTERACTIVE in entry.tags or entry.metadata.get(INTERACTIVE) is True


def _cost_in_pieces(usage: Usage, pieces: int, charged: Callable[[Usage], Charge | Unpriced]) -> int | None:
    part = Usage(
        tokens_input=-(-usage.tokens_input // pieces),
        tokens_output=-(-usage.tokens_output // pieces),
        tokens_cached=usage.tokens_cached // pieces,
    )
    charge = charged(part)
    return pieces * charge.total if isinstance(charge, Charge) else None


def slot_of(entry: Entry) -> Slot:
    """Return the slot of an entry."""
    return Slot(entry.stage, entry.service, entry.model)


def changes(entry: Entry, prices: Prices) -> list[ModelChange]:
    """Return the changes to consider for the slot whose first call is ``entry``."""
    service, model = entry.service, entry.model
    options = [ModelChange("batch", service, model, BATCH), ModelChange("standard", service, model, STANDARD)]
    if is_text(entry.usage):
        options.append(ModelChange("split", service, model))
    for other in prices.alternatives(entry.service, entry.model, entry.timestamp):
        options.append(ModelChange("model", other.service, other.model))
        options.append(ModelChange("model and batch", other.service, other.model, BATCH))
    engine = _local_engine(entry)
    return [*options, ModelChange("local", *engine)] if engine else options


_LONG: Final = 100_000
"""Below this many input tokens, no model's price per token depends on them (128,000 and 200,000 today)."""


def is_text(usage: Usage) -> bool:
    """Return whether a call used only text tokens, which can be divided."""
    return not any(_other_counts(usage))


_TEXT: Final = frozenset({"tokens_input", "tokens_output", "tokens_cached", "tokens_reasoning"})
_other_counts: Final = attrgetter(*(name for name in USAGE_FIELDS if name not in _TEXT))


_LOCAL_WORK: Final = (
    ("transl", ("nllb-local", "nllb-200")),
    ("summar", ("sumy", "extractive")),
)
"""Well-known local engines, by the word for their work in the name of a stage or an operation."""


def _local_engine(entry: Entry) -> tuple[str, str] | None:
    """Return the local engine that does this kind of work, as service and model.

    Sources: https://github.com/SYSTRAN/faster-whisper, https://arxiv.org/abs/2207.04672 (NLLB),
    https://github.com/miso-belica/sumy (extractive summaries).
    """
    if entry.usage.audio_seconds:
        return "faster-whisper", "large-v3"
    work = f"{entry.stage or ''} {entry.operation or ''}".lower()
    return next((engine for word, engine in _LOCAL_WORK if word in work), None)
