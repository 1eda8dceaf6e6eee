"""An OpenTelemetry span processor that records every span of an AI call.

    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from shared.costs.capture.hooks.opentelemetry import CostSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(CostSpanProcessor(tracker))
    trace.set_tracer_provider(provider)

Some SDKs make such spans themselves (Anthropic's, Mistral's), the others with an instrumentation.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from ..captured import Sink
from ..spans import read_span
from ._needed import needs

try:
    from opentelemetry.sdk.trace import SpanProcessor
except ImportError:
    SpanProcessor = needs("opentelemetry-sdk")  # its stand-in

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

log = logging.getLogger("shared.cost_tracker")


class CostSpanProcessor(SpanProcessor):  # type: ignore[misc]  # Any where it is missing
    """Sends the call in each span to ``sink`` (a ``CostTracker``) when the span ends.

    Where one call makes several spans inside each other (an agent's around a library's around
    the SDK's), the innermost that tells usage counts, and those around it do not. Spans of one
    response that are not nested have one response id, which the ledger counts once. Spans
    that are still open when the provider is shut down are recorded with what is known, flagged.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._told: set[tuple[int, int]] = set()
        self._open: dict[tuple[int, int], Span] = {}
        self._ended = False
        self._lock = threading.Lock()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Remember a span until it ends."""
        with self._lock:
            self._open[_key(span.context)] = span

    def on_end(self, span: ReadableSpan) -> None:
        """Record the call in the span, unless a span inside of it has told of it. Raises nothing."""
        with self._lock:
            if self._ended:
                return
        self._finish(span, ended=True)

    def shutdown(self) -> None:
        """Record the calls that are still open. Spans that end later are not looked at."""
        with self._lock:
            self._ended = True
            left = list(self._open.values())
        for span in reversed(left):  # the inner ones began later
            self._finish(span, ended=False)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Do nothing: every call is on the disk when its span has ended."""
        return True

    def _finish(self, span: ReadableSpan, *, ended: bool) -> None:
        with self._lock:
            self._open.pop(_key(span.context), None)
            told = _key(span.context) in self._told
            self._told.discard(_key(span.context))
        if told or self._record(span, ended=ended):
            self._tell_parent(span)

    def _tell_parent(self, span: ReadableSpan) -> None:
        if span.parent is not None:
            with self._lock:
                if _key(span.parent) in self._open:
                    self._told.add(_key(span.parent))

    def _record(self, span: ReadableSpan, *, ended: bool) -> bool:
        try:
            failed = span.status.status_code.name == "ERROR"
            call = read_span(span.attributes or {}, failed=failed, ended=ended)
            if call is None:
                return False
            self._sink.record_captured(call)
        except Exception:
            # Whatever is wrong with recording, the traced program must go on.
            log.exception("the span %r could not be recorded", span.name)
            return False
        return True


def _key(context: Any) -> tuple[int, int]:
    return (context.trace_id, context.span_id)
