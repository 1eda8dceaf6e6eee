"""An OpenTelemetry span processor that records every span of an AI call.

    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from shared.costs.capture.hooks.opentelemetry import CostSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(CostSpanProcessor(tracker))
    trace.set_tracer_provider(provider)

Some SDKs make such spans themselves (Anthropic's, Mistral's), others need an instrumentation.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from ...extras import needs
from ...forks import lock_of
from ..captured import Captured, Sink
from ..spans import is_agent, read_span

try:
    from opentelemetry.sdk.trace import SpanProcessor
except ImportError:
    SpanProcessor = needs("opentelemetry-sdk")  # its stand-in

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

log = logging.getLogger("shared.cost_tracker")


class CostSpanProcessor(SpanProcessor):  # type: ignore[misc]  # Any where it is missing
    """Records the call in each span with ``sink`` (a ``CostTracker``) when the span ends.

    If one call makes several nested spans (an agent's around a library's around the SDK's), only the
    innermost that states usage counts. Spans of one response that are not nested share its response id,
    which the ledger counts once. An agent's span waits until its trace has ended: its sum counts only if no
    calls of the trace, inside, beside or after it, have reported the same tokens. Spans that are still open
    when the provider is shut down are recorded with what is known, flagged. The service of a call is taken
    from its host, unless ``by_host`` is ``False``.
    """

    def __init__(self, sink: Sink, *, by_host: bool = True) -> None:
        self._sink = sink
        self._by_host = by_host
        self._open: dict[tuple[int, int], Span] = {}
        self._traces: dict[int, Trace] = {}
        self._ended = False
        self._warned = False
        self._lock = lock_of(self, "_lock")

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Remember a span until it ends."""
        with self._lock:
            self._open[_key(span.context)] = span
            trace = self._traces.setdefault(span.context.trace_id, Trace())
            trace.begin(span.context.span_id, span.parent.span_id if span.parent else None)

    def on_end(self, span: ReadableSpan) -> None:
        """Record the call in the span, unless a span inside it has reported it. Raises nothing."""
        with self._lock:
            if self._ended:
                return
        self._finish(span, ended=True)

    def shutdown(self) -> None:
        """Record the calls that are still open. Spans that end later are ignored."""
        with self._lock:
            self._ended = True
            open_spans = list(self._open.values())
        for span in reversed(open_spans):  # inner spans began later
            self._finish(span, ended=False)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Do nothing: every call is on disk when its span has ended."""
        return True

    def _finish(self, span: ReadableSpan, *, ended: bool) -> None:
        try:
            self._process(span, ended=ended)
        except Exception:
            # Whatever is wrong with recording, the traced program must go on.
            log.exception("the span %r could not be recorded", span.name)

    def _process(self, span: ReadableSpan, *, ended: bool) -> None:
        context = span.context
        failed = span.status.status_code.name == "ERROR"
        with self._lock:
            self._open.pop(_key(context), None)
            trace = self._traces.setdefault(context.trace_id, Trace())
            trace.begin(context.span_id, span.parent.span_id if span.parent else None)
            is_reported = trace.end(context.span_id)
        attributes = span.attributes or {}
        scope = span.instrumentation_scope.name if span.instrumentation_scope else ""
        state = {"failed": failed, "ended": ended, "by_host": self._by_host}
        call = None if is_reported else read_span(attributes, scope=scope, **state)
        is_agent_span = is_agent(attributes)
        if call is not None and span.dropped_attributes:
            self._warn_of_dropped(span)
        with self._lock:
            if is_agent_span:
                trace.note_agent(context.span_id, call)
            elif call is not None:
                call = trace.report(context.span_id, call)
        if call is not None and not is_agent_span:
            self._sink.record_captured(call)
        self._close(context.trace_id)

    def _warn_of_dropped(self, span: ReadableSpan) -> None:
        """Warn once that the span of a call is not complete: its service or response id may be missing."""
        with self._lock:
            warned, self._warned = self._warned, True
        if not warned:
            log.warning(
                "the span %r lost %d of its attributes to the tracer's limit, perhaps the service or the"
                " response id; set OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=100000 before the program starts",
                span.name,
                span.dropped_attributes,
            )

    def _close(self, trace_id: int) -> None:
        """Record what only agents reported, when all spans of a trace have ended."""
        with self._lock:
            trace = self._traces.get(trace_id)
            if trace is None or trace.is_open:
                return
            calls = trace.unreported()
            if not trace.has_credit:
                del self._traces[trace_id]
            while len(self._traces) > _TRACES_MAX and (oldest := self._oldest_closed()) is not None:
                del self._traces[oldest]
        for call in calls:
            self._sink.record_captured(call)

    def _oldest_closed(self) -> int | None:
        return next((key for key, trace in self._traces.items() if not trace.is_open), None)


_TRACES_MAX: Final = 1_000
"""How many traces are remembered whose agents reported calls that may be reported again."""

Tokens = tuple[int, int]
"""Input and output tokens."""


class Trace:
    """The calls in the spans of one trace: each token counts once, whichever span reports it."""

    def __init__(self) -> None:
        self._parents: dict[int, int | None] = {}
        self._open: set[int] = set()
        self._reported: set[int] = set()
        self._agents: dict[int, Captured | None] = {}
        self._calls: dict[int, Tokens] = {}
        self._credit: Tokens = (0, 0)

    @property
    def is_open(self) -> bool:
        """Whether a span of this trace has not ended."""
        return bool(self._open)

    @property
    def has_credit(self) -> bool:
        """Whether an agent's sum was recorded whose calls may still be reported."""
        return self._credit != (0, 0)

    def begin(self, span: int, parent: int | None) -> None:
        """Note a span and its parent."""
        if span not in self._parents:
            self._parents[span] = parent
            self._open.add(span)

    def end(self, span: int) -> bool:
        """Note the end of a span; return whether a span inside it has reported its call."""
        self._open.discard(span)
        return span in self._reported

    def note_agent(self, span: int, call: Captured | None) -> None:
        """Keep an agent's sum until the trace ends; ``None`` if its calls have reported it."""
        self._agents[span] = call

    def report(self, span: int, call: Captured) -> Captured | None:
        """Return the call if it counts; ``None`` if an agent's sum that is already recorded includes it."""
        self._reported.update(self._around(span))
        tokens = _tokens(call)
        if tokens != (0, 0) and _covers(self._credit, tokens):
            self._credit = _less(self._credit, tokens)
            return None
        self._calls[span] = tokens
        return call

    def unreported(self) -> list[Captured]:
        """Return the sums of agents whose calls were not reported; of nested agents, the innermost's.

        A sum is reported by the calls inside its agent, or by calls outside of every agent.
        """
        outside = [
            tokens
            for span, tokens in self._calls.items()
            if not set(self._around(span)) & self._agents.keys()
        ]
        uncovered = (sum(tokens[0] for tokens in outside), sum(tokens[1] for tokens in outside))
        sums: list[Captured] = []
        for span in sorted(self._agents, key=lambda span_id: -len(self._around(span_id))):
            call = self._agents.pop(span)
            if call is None or span in self._reported:
                continue
            self._reported.update(self._around(span))
            if _tokens(call) != (0, 0) and _covers(uncovered, _tokens(call)):
                uncovered = _less(uncovered, _tokens(call))
            else:
                sums.append(call)
                self._credit = (self._credit[0] + _tokens(call)[0], self._credit[1] + _tokens(call)[1])
        self._calls.clear()
        return sums

    def _around(self, span: int) -> list[int]:
        ancestors: list[int] = []
        parent = self._parents.get(span)
        while parent is not None and parent not in ancestors:
            ancestors.append(parent)
            parent = self._parents.get(parent)
        return ancestors


def _tokens(call: Captured) -> Tokens:
    return call.usage.tokens_input, call.usage.tokens_output


def _covers(whole: Tokens, part: Tokens) -> bool:
    return whole[0] >= part[0] and whole[1] >= part[1]


def _less(whole: Tokens, part: Tokens) -> Tokens:
    return whole[0] - part[0], whole[1] - part[1]


def _key(context: Any) -> tuple[int, int]:
    return (context.trace_id, context.span_id)
