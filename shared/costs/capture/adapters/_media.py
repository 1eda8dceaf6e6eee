"""What the adapters of speech, translation and documents share: one call, and all kinds of durations."""

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
    """Return a duration in seconds; 0 where none is stated, which in these services is never a free one.

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
    """Return the call of a service that bills one kind of unit; unknown where it states none of it.

    ``advice`` says then what to give; ``more`` are further fields of :class:`Captured`.
    """
    stated = {name: count for name, count in counts.items() if count}
    usage, fault = usage_of(stated)
    known = any(name != "channels" for name in stated)
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
    """Return the call of a service that states what it bills for it, and no count that is priced.

    ``metadata`` says how the bill is stated, in credits as a rule; ``more`` are further fields of
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
    """Return what a number of credits costs, in nano-dollars.

    Raises:
        UnreadableCount: no call costs that much.

    >>> credits_cost(12.5, Nanos(10_000_000))
    125000000
    """
    cost = Nanos(round(number * per_credit))
    if cost > MAX_ENTRY_NANOS:
        raise UnreadableCount(f"{number!r} credits are more than a call can cost")
    return cost


class Kinds:
    """The answers of a service of several kinds: how each is told from the others, and how it is read."""

    def __init__(
        self, *kinds: tuple[Callable[[Fields], bool], Callable[[Fields], Iterable[Captured]]]
    ) -> None:
        self._kinds = kinds

    def recognises(self, fields: Fields) -> bool:
        """Tell whether an answer is one of these."""
        return any(is_such(fields) for is_such, _ in self._kinds)

    def read(self, fields: Fields) -> Iterable[Captured]:
        """Return the calls of an answer that is recognised."""
        return next(read(fields) for is_such, read in self._kinds if is_such(fields))


def unstreamed(
    name: str,
    knows: str,
    service: str,
    recognises: Callable[[Fields], bool],
    read: Callable[[Fields], Iterable[Captured]],
    *packages: str,
) -> Adapter:
    """Return the adapter of a service nothing of which comes in pieces that state usage.

    Of a stream all that is known is that it was. The parameters are those of :class:`Adapter`.
    """
    return Adapter(
        name, knows, frozenset(packages), recognises, read, lambda _: False, partial(_NoStream, service)
    )


class _NoStream:
    """Follows a stream of a service that has none that states usage: that it was is all that is known."""

    def __init__(self, service: str) -> None:
        self._service = service

    def add(self, chunk: Fields) -> None:
        """Take in nothing."""

    def result(self, ending: str) -> Iterable[Captured]:
        """Return a call of unknown usage."""
        return [media_call(self._service, "", "stream", {}, f"the stream {ending}; use log_usage")]
