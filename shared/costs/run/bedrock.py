"""What the answers of Bedrock's runtime state, as boto3 and aiobotocore return them.

``Converse`` and its stream state their usage. The answers of ``InvokeModel`` are those of the model's maker:
what an adapter knows is read as such; else the counts are taken that Bedrock adds itself, in headers or in
the last event of a stream. As everywhere at Bedrock, their input leaves the cache out. Agents state usage in
their traces alone.
Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html (2026-11-30).
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from inspect import iscoroutinefunction
from typing import Any, Final

from ..capture.adapter import tier
from ..capture.captured import Captured
from ..capture.fields import Fields
from ..capture.reading import read_response
from ..capture.streams import TrackedAsyncStream, TrackedStream, track_stream
from ..capture.watch import Report, StreamNames, Watch
from ..model import UNKNOWN, Usage

SERVICE: Final = "bedrock"

_HEADERS: Final = tuple(
    f"x-amzn-bedrock-{what}-token-count"
    for what in ("input", "output", "cache-read-input", "cache-write-input")
)
_METRICS: Final = "amazon-bedrock-invocationMetrics"
_COUNTS: Final = (
    "inputTokenCount",
    "outputTokenCount",
    "cacheReadInputTokenCount",
    "cacheWriteInputTokenCount",
)


def calls_in(answer: dict[str, Any], model: str | None) -> Iterable[Captured]:
    """Return the calls in a whole answer; the body of one that has a body can still be read after that."""
    if "body" not in answer:
        return read_response(answer, service=SERVICE, model=model or UNKNOWN)
    metadata = Fields(answer).part("ResponseMetadata")
    usage = _usage(metadata.get("HTTPHeaders"), _HEADERS)
    calls = _calls_of_body(_kept(answer), model or UNKNOWN)
    if usage is not None and not any(call.usage_known for call in calls):
        calls = [Captured(service=SERVICE, model=model or UNKNOWN, usage=usage)]
    request = metadata.text("RequestId")
    return [_served(replace(call, request_id=call.request_id or request), answer) for call in calls]


def follow_events(
    answer: dict[str, Any], report: Report, names: StreamNames
) -> TrackedStream | TrackedAsyncStream:
    """Put a stream that reports its call into an answer, in the place of its own; return it."""
    request = Fields(answer).part("ResponseMetadata").text("RequestId")
    names = replace(names, request_id=request)
    if "stream" in answer:
        tracked: TrackedStream | TrackedAsyncStream = track_stream(answer["stream"], report, names)
        answer["stream"] = tracked
        return tracked
    watch = _PartsOfBody(answer["body"], lambda call: report(_served(call, answer)), names)
    kind = TrackedAsyncStream if hasattr(answer["body"], "__aiter__") else TrackedStream
    answer["body"] = tracked = kind(answer["body"], watch)
    return tracked


def follow_agent(
    answer: dict[str, Any], report: Report, names: StreamNames
) -> TrackedStream | TrackedAsyncStream:
    """Put a stream that reports the calls in an agent's traces into an answer; return it."""
    told = answer["completion"]
    kind = TrackedAsyncStream if hasattr(told, "__aiter__") else TrackedStream
    answer["completion"] = tracked = kind(told, _Traces(told, report, StreamNames(names.service)))
    return tracked


class _Traces(Watch):
    """Follows the answer of an agent, whose traces state what each call of a model used.

    Source: https://docs.aws.amazon.com/bedrock/latest/userguide/trace-events.html (2026-11-30).
    """

    def __init__(self, *about: Any) -> None:
        super().__init__(*about)
        self._of_models: dict[str, Captured] = {}

    def _follow(self, chunk: object) -> None:
        for step in _steps(Fields(chunk).part("trace").get("trace")):
            asked, answered = step.part("modelInvocationInput"), step.part("modelInvocationOutput")
            if asked:
                self._of_models[asked.text("traceId") or ""] = _unstated_step(asked)
            elif (usage := answered.part("metadata").usage("usage")) and (job := answered.text("traceId")):
                counts = Usage(
                    tokens_input=usage.count("inputTokens"), tokens_output=usage.count("outputTokens")
                )
                call = self._of_models.get(job) or _unstated_step(answered)
                self._of_models[job] = replace(call, usage=counts, usage_known=True, incomplete=None)

    def _known(self, ending: str) -> Iterable[Captured]:
        if self._of_models:
            return list(self._of_models.values())
        why = f"the agent's answer {ending} without a trace of usage: invoke it with enableTrace=True"
        return [Captured(service=SERVICE, model="", usage=Usage(), usage_known=False, incomplete=why)]


def _steps(trace: object) -> Iterable[Fields]:
    """Return the parts of a trace, each of a kind of step of the agent."""
    return [Fields(step) for step in trace.values()] if isinstance(trace, Mapping) else []


def _unstated_step(step: Fields) -> Captured:
    return Captured(
        service=SERVICE,
        model=step.text("foundationModel") or "",
        usage=Usage(),
        request_id=step.text("traceId"),
        usage_known=False,
        incomplete="the trace of the agent states no usage of this step",
    )


RERANKED_AT_ONCE: Final = 100
"""How many documents a query has at most; more are further ones.
Source: https://docs.aws.amazon.com/bedrock/latest/userguide/rerank-pricing.html (2026-11-30)."""


def units_of(given: Mapping[str, Any]) -> int:
    """Return for how many queries a request to rank documents is billed; 0 for any other one.

    >>> units_of({"queries": [{}], "sources": [{}] * 101}), units_of({"agentId": "a"})
    (2, 0)
    """
    queries, documents = given.get("queries") or [], given.get("sources") or []
    return len(queries) * -(-len(documents) // RERANKED_AT_ONCE)


class _PartsOfBody(Watch):
    """Follows a stream whose events have parts of the maker's own stream in them."""

    _metrics: object = None

    def _follow(self, chunk: object) -> None:
        part = json.loads(Fields(chunk).part("chunk").get("bytes"))  # type: ignore[arg-type]  # else it raises
        self._metrics = Fields(part).get(_METRICS) or self._metrics
        super()._follow(part)

    def _known(self, ending: str) -> Iterable[Captured]:
        calls, usage = list(super()._known(ending)), _usage(self._metrics, _COUNTS)
        if usage is None or any(call.usage_known for call in calls):
            return calls
        return [Captured(service=SERVICE, model="", usage=usage)]


def _usage(counts: object, names: tuple[str, ...]) -> Usage | None:
    """Return what Bedrock counted; ``None`` where it states neither input nor output."""
    found = [counts.get(name) for name in names] if isinstance(counts, Mapping) else [None, None]
    if found[0] is None and found[1] is None:
        return None
    sent, answered, read, written = (int(each or 0) for each in found)
    return Usage(
        tokens_input=sent + read + written,
        tokens_output=answered,
        tokens_cached=read,
        tokens_cache_write=written,
    )


def _calls_of_body(body: bytes, model: str) -> Iterable[Captured]:
    try:
        told = json.loads(body)
    except ValueError:
        told = {}
    return read_response(told, service=SERVICE, model=model)


def _served(call: Captured, answer: Mapping[str, Any]) -> Captured:
    """Return a call with the tier that served it, which stands beside the body."""
    optimized = answer.get("performanceConfigLatency") == "optimized"
    served = tier(answer.get("serviceTier")) or ("optimized" if optimized else None)
    return replace(call, service_tier=served or call.service_tier)


def _kept(answer: dict[str, Any]) -> bytes:
    """Return the body of an answer, and put one in its place that gives the same, or fails alike.

    One of aiobotocore is left unread, for reading it has to be awaited.
    """
    from botocore.response import StreamingBody

    if iscoroutinefunction(answer["body"].read):
        return b""
    try:
        body: bytes = answer["body"].read()
    except BaseException as fault:
        answer["body"] = StreamingBody(_BrokenBody(fault), None)
        raise
    answer["body"] = StreamingBody(io.BytesIO(body), len(body))
    return body


class _BrokenBody(io.RawIOBase):
    """A body whose connection broke as it was read."""

    def __init__(self, fault: BaseException) -> None:
        self._fault = fault

    def read(self, _: int | None = -1) -> bytes:
        raise self._fault
