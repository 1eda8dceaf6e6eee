"""Helpers of the adapters of speech, translation and documents: building a call, reading durations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import partial

from ...model import Usage
from ...money import MAX_ENTRY_NANOS, Nanos
from ..adapter import Adapter
from ..captured import Captured, usage_of
from ..fields import Fields, UnreadableCount


def seconds_of(value: object) -> float:
    """Return a duration in seconds; 0 if none is stated, which these services never mean as free.

    >>> seconds_of(timedelta(seconds=15)), seconds_of("15.5s"), seconds_of("8"), seconds_of(None)
    (15.0, 15.5, 8.0, 0.0)
    """
    if isinstance(value, timedelta):
        return max(value.total_seconds(), 0.0)
    if isinstance(value, str):
        value = float(value.removesuffix("s"))
    return float(Fields({"seconds": value}).number("seconds"))


def media_call(
    service: str, model: str, operation: str, counts: Mapping[str, int | float], advice: str, **more: object
) -> Captured:
    """Return the call of a service that bills one kind of unit; its usage is unknown if no count is stated.

    ``advice`` then tells the user what to give; ``more`` are further fields of :class:`Captured`.
    """
    nonzero = {name: count for name, count in counts.items() if count}
    usage, fault = usage_of(nonzero)
    known = any(name != "channels" for name in nonzero)
    return Captured(
        service=service,
        model=model,
        usage=usage,
        operation=operation,
        usage_known=known,
        incomplete=fault if known else f"the answer does not state what is billed: {advice}",
        **more,  # type: ignore[arg-type]  # names and types are those of Captured
    )


def billed_call(
    service: str, model: str, operation: str, cost: Nanos, metadata: Mapping[str, object], **more: object
) -> Captured:
    """Return the call of a service that states its bill, and no count that has a price.

    ``metadata`` says how the bill is stated, usually in credits; ``more`` are further fields of
    :class:`Captured`.
    """
    return Captured(
        service=service,
        model=model,
        usage=Usage(),
        operation=operation,
        actual_cost=cost,
        stated_by="bill",
        metadata=metadata,
        **more,  # type: ignore[arg-type]  # names and types are those of Captured
    )


def credits_cost(number: float, per_credit: Nanos) -> Nanos:
    """Return the cost of a number of credits, in nano-dollars.

    Raises:
        UnreadableCount: the cost is more than a call can cost.

    >>> credits_cost(12.5, Nanos(10_000_000))
    125000000
    """
    cost = Nanos(round(number * per_credit))
    if cost > MAX_ENTRY_NANOS:
        raise UnreadableCount(f"{number!r} credits are more than a call can cost")
    return cost


class Kinds:
    """The kinds of answers of a service: how each is recognised, and how it is read."""

    def __init__(
        self, *kinds: tuple[Callable[[Fields], bool], Callable[[Fields], Iterable[Captured]]]
    ) -> None:
        self._kinds = kinds

    def recognises(self, fields: Fields) -> bool:
        """Tell whether an answer is one of these kinds."""
        return any(matches(fields) for matches, _ in self._kinds)

    def read(self, fields: Fields) -> Iterable[Captured]:
        """Return the calls of a recognised answer."""
        return next(read(fields) for matches, read in self._kinds if matches(fields))


def unstreamed(
    name: str,
    knows: str,
    service: str,
    recognises: Callable[[Fields], bool],
    read: Callable[[Fields], Iterable[Captured]],
    *packages: str,
) -> Adapter:
    """Return the adapter of a service whose streams state no usage.

    A stream of it is a call of unknown usage. The parameters are those of :class:`Adapter`.
    """
    return Adapter(
        name, knows, frozenset(packages), recognises, read, lambda _: False, partial(_NoStream, service)
    )


class _NoStream:
    """Follows a stream without usage of a service whose streams state none."""

    def __init__(self, service: str) -> None:
        self._service = service

    def add(self, chunk: Fields) -> None:
        """Ignore the chunk."""

    def result(self, ending: str) -> Iterable[Captured]:
        """Return a call of unknown usage."""
        return [media_call(self._service, "", "stream", {}, f"the stream {ending}; use log_usage")]
