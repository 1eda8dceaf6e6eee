"""One call as a provider's own object states it, normalised. Pure data.

The canonical rule, whatever the provider means by "input": ``usage.tokens_input`` includes
cached and cache-written tokens, ``usage.tokens_output`` includes reasoning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from ..model import UNKNOWN, StatedBy, Units, Usage
from ..money import Nanos, from_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """One call, as read from a response, a stream or a hook.

    Attributes:
        service: who served it, by this project's names (``openai``, ``anthropic``, ``google``).
        model: the model as the provider names it.
        usage: what it used, by the canonical rule above.
        request_id: the provider's id of this response. A retry by the SDK or of a stage has a new id; a
            response that is logged twice has one id and counts once.
        service_tier: ``batch``, ``flex``, ``priority`` and so on; ``None`` for the standard tier.
        operation: ``chat``, ``embeddings``, ``transcription``, ``image`` and so on.
        region: where it ran, if the response says so and regions can have prices of their own.
        actual_cost: the cost that the provider or its SDK states for this call, in nano-dollars.
        stated_by: ``bill`` if the provider billed that cost, which decides; ``estimate`` if a library
            computed it; ``server`` if it depends on the service which of the two it is.
        usage_known: ``False`` if nobody states what was used; ``usage`` then holds what can be
            estimated, such as the output of a stream that was cut, and nothing is priced.
        features: names of features that are billed on top of the model; they become part of the model's name
            (``nova-3+diarize``), which has the price of both.
        unpriced_units: units that were used and are billed, but have no field in :class:`Usage`.
        incomplete: why the counts are a lower bound or an estimate; ``None`` if they are complete.
        retries: how often the SDK repeated the request before this response came. Only the last
            attempt is billed, so retries cost time, not money.
        metadata: what else explains the charge. Never a prompt or a completion.

    """

    service: str
    model: str
    usage: Usage
    request_id: str | None = None
    service_tier: str | None = None
    region: str | None = None
    operation: str | None = None
    actual_cost: Nanos | None = None
    stated_by: StatedBy = "estimate"
    usage_known: bool = True
    features: tuple[str, ...] = ()
    unpriced_units: Units = field(default_factory=dict)
    incomplete: str | None = None
    retries: int = 0
    metadata: Mapping[str, object] = field(default_factory=dict)

    @property
    def notes(self) -> dict[str, object]:
        """What the entry's metadata says about this call."""
        notes = dict(self.metadata)
        if self.incomplete:
            notes["incomplete"] = self.incomplete
        if self.retries:
            notes["sdk_retries"] = self.retries
        return notes


def unreadable(service: str, model: str, fault: Exception, **more: object) -> Captured:
    """Return a call of unknown usage for an answer that cannot be read: the call was made.

    ``more`` are further fields of :class:`Captured`.
    """
    return Captured(
        service=service or UNKNOWN,
        model=model or UNKNOWN,
        usage=Usage(),
        usage_known=False,
        incomplete=f"its response could not be read ({type(fault).__name__})",
        **more,  # type: ignore[arg-type]  # names and types are those of Captured
    )


class Sink(Protocol):
    """Where captured calls go: the tracker."""

    def record_captured(self, captured: Captured) -> float:
        """Record one call and return its USD."""
        ...


_WHOLES: Final = (
    # The order matters: a whole must be raised to its parts before it is compared as a part itself.
    ("tokens_cache_write_1h", "tokens_cache_write"),
    ("tokens_audio_cached", "tokens_cached"),
    ("tokens_audio_cached", "tokens_audio_input"),
    ("tokens_image_cached", "tokens_cached"),
    ("tokens_image_cached", "tokens_image_input"),
    ("tokens_audio_input", "tokens_input"),
    ("tokens_image_input", "tokens_input"),
    ("tokens_reasoning", "tokens_output"),
    ("tokens_audio_output", "tokens_output"),
    ("tokens_image_output", "tokens_output"),
)


def usage_of(counts: Mapping[str, int | float]) -> tuple[Usage, str | None]:
    """Return the counts as ``Usage``, and what was wrong with them if a part exceeded its whole.

    A server that contradicts itself must not lose us the entry: the whole is raised to its
    parts, which never makes a call look cheaper than it was, and the fault is reported.

    Raises:
        TypeError, ValueError: a count is not a number, or negative.

    >>> usage_of({"tokens_input": 5, "tokens_cached": 3})[0].tokens_input
    5
    >>> usage_of({"tokens_input": 5, "tokens_cached": 8})
    (Usage(tokens_input=8, ...), 'the response contradicts itself: tokens_cached=8 exceeds tokens_input=5...
    """
    try:
        return Usage(**counts), None  # type: ignore[arg-type]  # the fields are numbers; Usage checks them
    except ValueError as fault:
        raised = _raised(counts)
        if raised == dict(counts) or any(count < 0 for count in counts.values()):
            raise  # wrong in itself, not against another count
        return Usage(**raised), f"the response contradicts itself: {fault}"  # type: ignore[arg-type]  # as above


def _raised(counts: Mapping[str, int | float]) -> dict[str, int | float]:
    result = dict(counts)
    for part, whole in _WHOLES:
        result[whole] = max(result.get(whole, 0), result.get(part, 0))
    cache = result.get("tokens_cached", 0) + result.get("tokens_cache_write", 0)
    result["tokens_input"] = max(result.get("tokens_input", 0), cache)
    return {name: count for name, count in result.items() if count}


def answered_from_cache(call: Captured) -> Captured:
    """Return the call as answered from a library's own cache: nothing was sent, so it costs $0.

    Its counts are those of the first answer. They are kept as notes, since no provider billed them again.
    """
    counts = {f"cached_{name}": count for name, count in call.usage.counts().items()}
    return replace(
        call,
        usage=Usage(),
        usage_known=True,
        unpriced_units={},
        incomplete=None,
        request_id=f"{call.request_id}/cache" if call.request_id else None,
        actual_cost=Nanos(0),
        stated_by="cache",
        metadata={**call.metadata, "answered_from": "cache", **counts},
    )


def usd_of(cost: object) -> Nanos | None:
    """Return a stated cost in nano-dollars; ``None`` if it is not an amount from 0 to a million USD.

    >>> usd_of(0.0123), usd_of("0.5"), usd_of(None), usd_of(True)
    (12300000, 500000000, None, None)
    """
    if isinstance(cost, str):
        try:
            cost = float(cost)
        except ValueError:
            return None
    if isinstance(cost, bool) or not isinstance(cost, (int, float)) or not 0 <= cost < _MOST_USD:
        return None
    return from_usd(cost)


_MOST_USD: Final = 1_000_000


def first_reason(reasons: Iterable[str | None]) -> str | None:
    """Return the reasons that are not empty, as one text; ``None`` if all are."""
    return "; ".join(reason for reason in reasons if reason) or None
