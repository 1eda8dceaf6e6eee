"""Reading the answers of Bedrock's runtime, as boto3 and aiobotocore return them.

``Converse`` and its stream state their usage. The answers of ``InvokeModel`` have the format of the model's
maker: an adapter reads them if it can; otherwise the counts are used that Bedrock adds, in headers or in
the last event of a stream. As everywhere at Bedrock, their input excludes the cache. Agents state usage only
in their traces.
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
    """Return the calls in a whole answer. Its body, if it has one, can still be read afterwards."""
    if "body" not in answer:
        return read_response(answer, service=SERVICE, model=model or UNKNOWN)
    metadata = Fields(answer).part("ResponseMetadata")
    usage = _usage(metadata.get("HTTPHeaders"), _HEADERS)
    calls = _calls_of_body(_read_body(answer), model or UNKNOWN)
    if usage is not None and not any(call.usage_known for call in calls):
        calls = [Captured(service=SERVICE, model=model or UNKNOWN, usage=usage)]
    request_id = metadata.text("RequestId")
    return [_with_tier(replace(call, request_id=call.request_id or request_id), answer) for call in calls]


def follow_events(
    answer: dict[str, Any], report: Report, names: StreamNames
) -> TrackedStream | TrackedAsyncStream:
    """Replace the stream in an answer by one that reports its call, and return that one."""
    request_id = Fields(answer).part("ResponseMetadata").text("RequestId")
    names = replace(names, request_id=request_id)
    if "stream" in answer:
        tracked: TrackedStream | TrackedAsyncStream = track_stream(answer["stream"], report, names)
        answer["stream"] = tracked
        return tracked
    watch = _PartsOfBody(answer["body"], lambda call: report(_with_tier(call, answer)), names)
    stream_class = TrackedAsyncStream if hasattr(answer["body"], "__aiter__") else TrackedStream
    answer["body"] = tracked = stream_class(answer["body"], watch)
    return tracked


def follow_agent(
    answer: dict[str, Any], report: Report, names: StreamNames
) -> TrackedStream | TrackedAsyncStream:
    """Replace the stream in an agent's answer by one that reports the calls in its traces, and return it."""
    completion = answer["completion"]
    stream_class = TrackedAsyncStream if hasattr(completion, "__aiter__") else TrackedStream
    answer["completion"] = tracked = stream_class(
        completion, _Traces(completion, report, StreamNames(names.service))
    )
    return tracked


class _Traces(Watch):
    """Follows an agent's answer, whose traces state the usage of each model call.

    Source: https://docs.aws.amazon.com/bedrock/latest/userguide/trace-events.html (2026-11-30).
    """

    def __init__(self, *watch_arguments: Any) -> None:
        super().__init__(*watch_arguments)
        self._model_calls: dict[str, Captured] = {}

    def _follow(self, chunk: object) -> None:
        for step in _steps(Fields(chunk).part("trace").get("trace")):
            model_input, model_output = step.part("modelInvocationInput"), step.part("modelInvocationOutput")
            if model_input:
                self._model_calls[model_input.text("traceId") or ""] = _unstated_step(model_input)
            elif (usage := model_output.part("metadata").usage("usage")) and (
                trace_id := model_output.text("traceId")
            ):
                counts = Usage(
                    tokens_input=usage.count("inputTokens"), tokens_output=usage.count("outputTokens")
                )
                call = self._model_calls.get(trace_id) or _unstated_step(model_output)
                self._model_calls[trace_id] = replace(call, usage=counts, usage_known=True, incomplete=None)

    def _known(self, ending: str) -> Iterable[Captured]:
        if self._model_calls:
            return list(self._model_calls.values())
        why = f"the agent's answer {ending} without a trace of usage: invoke it with enableTrace=True"
        return [Captured(service=SERVICE, model="", usage=Usage(), usage_known=False, incomplete=why)]


def _steps(trace: object) -> Iterable[Fields]:
    """Return the parts of a trace, each a kind of step of the agent."""
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
"""How many documents one query has at most; more count as further queries.
Source: https://docs.aws.amazon.com/bedrock/latest/userguide/rerank-pricing.html (2026-11-30)."""


def units_of(arguments: Mapping[str, Any]) -> int:
    """Return how many queries a rerank request is billed for; 0 for any other request.

    >>> units_of({"queries": [{}], "sources": [{}] * 101}), units_of({"agentId": "a"})
    (2, 0)
    """
    queries, documents = arguments.get("queries") or [], arguments.get("sources") or []
    return len(queries) * -(-len(documents) // RERANKED_AT_ONCE)


class _PartsOfBody(Watch):
    """Follows a stream whose events contain chunks of the maker's own stream."""

    _metrics: object = None

    def _follow(self, chunk: object) -> None:
        part = json.loads(Fields(chunk).part("chunk").get("bytes"))  # type: ignore[arg-type]  # any other value raises
        self._metrics = Fields(part).get(_METRICS) or self._metrics
        super()._follow(part)

    def _known(self, ending: str) -> Iterable[Captured]:
        calls, usage = list(super()._known(ending)), _usage(self._metrics, _COUNTS)
        if usage is None or any(call.usage_known for call in calls):
            return calls
        return [Captured(service=SERVICE, model="", usage=usage)]


def _usage(counts: object, names: tuple[str, ...]) -> Usage | None:
    """Return Bedrock's own counts; ``None`` if it states neither input nor output."""
    values = [counts.get(name) for name in names] if isinstance(counts, Mapping) else [None, None]
    if values[0] is None and values[1] is None:
        return None
    tokens_input, tokens_output, tokens_cached, tokens_cache_write = (int(value or 0) for value in values)
    return Usage(
        tokens_input=tokens_input + tokens_cached + tokens_cache_write,
        tokens_output=tokens_output,
        tokens_cached=tokens_cached,
        tokens_cache_write=tokens_cache_write,
    )


def _calls_of_body(body: bytes, model: str) -> Iterable[Captured]:
    try:
        answer = json.loads(body)
    except ValueError:
        answer = {}
    return read_response(answer, service=SERVICE, model=model)


def _with_tier(call: Captured, answer: Mapping[str, Any]) -> Captured:
    """Return a call with the tier that served it, which the answer states outside its body."""
    optimized = answer.get("performanceConfigLatency") == "optimized"
    service_tier = tier(answer.get("serviceTier")) or ("optimized" if optimized else None)
    return replace(call, service_tier=service_tier or call.service_tier)


def _read_body(answer: dict[str, Any]) -> bytes:
    """Read the body of an answer, and replace it by one with the same content or the same error.

    A body of aiobotocore is not read, since that has to be awaited.
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
