"""Turns captured calls into recorded ones, for ``log_response``, ``log_stream`` and hooks."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from ..capture.agent_sessions import KnownSessions, compared_with, sessions_in
from ..capture.captured import Captured
from ..capture.reading import UnknownResponse, all_adapters, read_response
from ..capture.streams import track_stream
from ..capture.watch import StreamNames
from ..errors import FAILURES, reraise_foreign
from ..model import UNKNOWN, Usage
from ..money import json_number
from .call import Call, ResponseDetails, make_call, unread_call
from .context import current_stage, fitting

if TYPE_CHECKING:
    from .session import Session
    from .stage import Stage

log = logging.getLogger("shared.cost_tracker")

Stream = TypeVar("Stream")


_OF_ONE_CALL: Final = ("request_id", "actual_cost_usd", "reservation", "input_digest")
"""The details that are those of a response's first call alone, if it has several."""


@dataclass(frozen=True, slots=True)
class CallerDetails:
    """What the caller says about a response or a stream. It overrides what the response itself says."""

    stage: str | None = None
    metadata: Mapping[str, object] | None = None
    service: str | None = None
    model: str | None = None
    details: ResponseDetails = field(default_factory=ResponseDetails)

    def of_the_next(self) -> CallerDetails:
        """Return the details of the second and later calls of the same response."""
        rest = {key: value for key, value in self.details.items() if key not in _OF_ONE_CALL}
        return replace(self, details=cast("ResponseDetails", rest))


def as_call(captured: Captured, told: CallerDetails | None = None) -> Call:
    """Check a captured call as ``log_usage`` checks its arguments.

    Raises:
        TypeError, ValueError: as ``log_usage``.

    >>> call = as_call(Captured(service="openai", model="gpt-4o", usage=Usage(tokens_output=5),
    ...                         incomplete="the stream was closed early"), CallerDetails("13_summary"))
    >>> call.stage, call.usage.tokens_output, call.estimated
    ('13_summary', 5, True)
    """
    told = told or CallerDetails()
    given: dict[str, Any] = {key: value for key, value in told.details.items() if value is not None}
    if given.get("batch"):
        given.setdefault("service_tier", None)
    if "category" in given:
        given.setdefault("operation", None)
    read: dict[str, Any] = {
        "request_id": fitting(captured.request_id),
        "operation": captured.operation,
        "service_tier": fitting(captured.service_tier),
        "region": fitting(captured.region),
        "actual_cost_usd": None if captured.actual_cost is None else json_number(captured.actual_cost),
        "estimated": captured.incomplete is not None,
        **captured.usage.counts(),
    }
    notes = {**captured.notes, **(told.metadata or {})}
    # What the caller says is checked; what a server says has to fit.
    service = told.service or fitting(captured.service) or UNKNOWN
    model = captured.model if told.model is not None else fitting(captured.model) or UNKNOWN
    call = make_call(service, model, stage=told.stage, metadata=notes, **{**read, **given})
    stated_by = call.stated_by if "actual_cost_usd" in given else captured.stated_by
    call = replace(call, stated_by=stated_by, unpriced_units=captured.unpriced_units)
    return call if captured.usage_known else _as_reserved(call)


def _as_reserved(call: Call) -> Call:
    """Return a call whose usage was not reported with that of its reservation, else as one of unknown usage.

    The provider bills the whole input, and the output that it sent before it was cut off.
    """
    intended = call.hold.intended if call.hold else None
    if intended is None or intended.is_zero:
        return replace(call, usage_known=False)
    reserved, received = intended.counts(), call.usage.counts()
    seen = {name: max(reserved.get(name, 0), received.get(name, 0)) for name in {**reserved, **received}}
    return replace(call, usage=Usage(**seen), estimated=True)  # type: ignore[arg-type]  # counts of a Usage


def prepare() -> None:
    """Load everything that is needed to read any response.

    Raises:
        ImportError, OSError: something cannot be loaded.

    """
    all_adapters()


def log_response(session: Session, response: object, told: CallerDetails) -> float:
    """Record the calls in a response and return their total in USD."""
    calls: list[Call] = []
    try:
        with compared_with(_agent_sessions(session)):
            captures = read_response(response, service=told.service, model=told.model)
    except UnknownResponse:
        raise
    except FAILURES as fault:
        # A fault of the provider, or of the library of its object, must not end a stage or lose a call.
        reraise_foreign(fault)
        log.warning("a response is recorded without its usage: %s; give the counts to log_usage", fault)
        return session.record(unread(response, told, fault))
    for captured in captures:
        calls.append(as_call(captured, told))
        told = told.of_the_next()
    return sum(record(session, call) for call in calls)


def record(session: Session, call: Call, stage: Stage | None = None) -> float:
    """Record a call as a provider reports it, and return its cost in USD.

    A call whose counts cannot be true, since no call costs that much, is recorded without any.
    """
    try:
        return session.record(call, stage)
    except ValueError as fault:
        log.warning("a call of %s/%s is recorded without its usage: %s", call.service, call.model, fault)
        bare = replace(call, usage=Usage(), usage_known=False, actual_cost=None)
        notes = {**call.metadata, "not_read": str(fault)}
        return session.record(replace(bare, metadata=notes), stage)


def unread(response: object, told: CallerDetails, fault: BaseException) -> Call:
    """Return the call of a response that cannot be read now."""
    names = (told.service, told.model)
    return unread_call(response, told.stage, told.metadata, names, told.details, fault)


def log_stream(session: Session, stream: Stream, told: CallerDetails) -> Stream:
    """Return a stream that records its call when it ends, in the stage that is open now."""
    as_call(_ANY_CALL, told)  # wrong arguments are refused now, not when the stream is over
    block = current_stage(session)
    next_details = [told]

    def report(captured: Captured) -> None:
        details = next_details[0]
        next_details[0] = details.of_the_next()
        record(session, as_call(captured, details), block)

    with compared_with(_agent_sessions(session)):
        return cast("Stream", track_stream(stream, report, StreamNames(told.service, told.model)))


def _agent_sessions(session: Session) -> KnownSessions:
    """Return the agents' sessions in the cost storage: another process may continue one."""
    return sessions_in(session.workspace.storage.root)


_ANY_CALL: Final = Captured(service="any", model="any", usage=Usage())
