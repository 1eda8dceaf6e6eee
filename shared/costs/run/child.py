"""Captures calls inside a Python process that ``cost-dashboard run`` started, directly or indirectly."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from ..capture.captured import Captured
from ..capture.context import PURSE_VARIABLE
from ..capture.watch import STILL_OPEN
from ..errors import BudgetExceeded, BudgetGateUnavailable
from ..forks import lock_of
from ..money import from_usd
from .calls import WrappedCall
from .holding import Holding, HoldTicket
from .jobs import STARTED, Jobs
from .libraries import LIBRARIES, Library, instrument, reports_by_itself
from .media_sdks import media_methods
from .methods import MediaMethod
from .wrapping import METHODS, Wrapper

STREAM_USAGE_VARIABLE: Final = "COST_TRACKER_STREAM_USAGE"
"""``off`` leaves OpenAI's chat streams as the program requests them."""

if TYPE_CHECKING:
    from ..budgets.hold import Hold
    from ..model import Entry
    from .purse import Purse

_NEEDED: Final = "opentelemetry-sdk opentelemetry-instrumentation"


def begin() -> None:
    """Wait for AI libraries to be imported; a program that uses none has no further cost.

    Raises:
        ImportError: OpenTelemetry is not installed for this Python; the text says what to do.

    """
    try:
        import wrapt
        from opentelemetry.sdk import trace  # noqa: F401  # only to check that it is installed
    except ImportError:
        raise ImportError(f"it needs OpenTelemetry: {sys.executable} -m pip install {_NEEDED}") from None
    reporter = Reporter()
    for library in LIBRARIES:
        wrapt.register_post_import_hook(reporter.attacher(library), library.module)
    for module, methods in media_methods().items():
        wrapt.register_post_import_hook(reporter.media_attacher(methods), module)


class Reporter:
    """Records the calls of this process. The ledger is opened only when a call is recorded."""

    def __init__(self) -> None:
        self._lock = lock_of(self, "_lock")
        self._provider: Any = None
        self._processor: Any = None
        self._session: Any = None
        self._wrapping: Wrapper | None = None
        self._jobs = Jobs(self._read_late, self._was_read)
        self._holds: Holding | None = None
        self._watches: WeakSet[Any] = WeakSet()

    def attacher(self, library: Library) -> Callable[[object], None]:
        """Return the function to call when a library has been imported."""
        return lambda _: self.attach(library)

    def media_attacher(self, methods: Sequence[MediaMethod]) -> Callable[[object], None]:
        """Return the function to call when a module with such methods was imported; it raises nothing."""

        def attach(_: object) -> None:
            try:
                with self._lock:
                    self._wrapper().wrap_media(methods)
            except Exception as fault:
                _warn(f"calls of {methods[0].service} are not captured: {fault}")

        return attach

    def attach(self, library: Library) -> None:
        """Capture the calls of a library that was just imported. Raises nothing."""
        try:
            with self._lock:
                self._attach(library)
        except Exception as fault:
            _warn(f"calls of {library.module} are not captured: {fault}")

    def _attach(self, library: Library) -> None:
        if library.module in METHODS and self._wrapper().wrap(library.module):
            return
        if reports_by_itself(library):
            self._serve_globally()
        elif not instrument(library, self._own_provider()):
            _warn(f"calls of {library.module} are not captured: pip install {library.package}")

    def _wrapper(self) -> Wrapper:
        """Return the wrapper of the methods of known SDKs."""
        if self._wrapping is None:
            request_usage = os.environ.get(STREAM_USAGE_VARIABLE) != "off"
            self._wrapping = Wrapper(self._before, self._remember, self._jobs, request_usage=request_usage)
            atexit.register(self._finish)
        return self._wrapping

    def _remember(self, stream: Any) -> None:
        """Remember a stream, so that it is recorded when the program ends."""
        watch = getattr(stream, "_cost_watch", stream)
        self._watches.add(watch)

    def _before(self, call: WrappedCall) -> HoldTicket:
        """Admit a call that a wrapped method is about to send.

        Raises:
            BudgetExceeded, BudgetGateUnavailable: it is denied. Nothing else, because the program must go on.
        """
        try:
            return self._holding().before(call)
        except (BudgetExceeded, BudgetGateUnavailable):
            raise
        except Exception as fault:
            if os.environ.get(PURSE_VARIABLE):
                raise BudgetGateUnavailable(f"the budget of this run cannot be checked: {fault}") from fault
            _warn(f"a call is not checked before it is sent: {fault}")
            return HoldTicket(self._record_quietly)

    def _holding(self) -> Holding:
        with self._lock:
            if self._holds is None:
                purse = self._purse()
                self._holds = Holding(self._open_session, purse, self._record_quietly)
            return self._holds

    @staticmethod
    def _purse() -> Purse | None:
        path = os.environ.get(PURSE_VARIABLE)
        if not path:
            return None
        from .purse import Purse

        return Purse(Path(path))

    def _record_quietly(self, captured: Captured, hold: Hold | None = None) -> float:
        """Record one call that a wrapped method made; return its USD.

        Raises nothing, because the program must go on.
        """
        try:
            return self._record(captured, hold)
        except Exception as fault:
            _warn(f"a call of {captured.service}/{captured.model} could not be recorded: {fault}")
            return 0.0

    def record_captured(self, captured: Captured) -> float:
        """Record a call from a span, unless a wrapped method records it; return its USD."""
        if self._wrapping is not None and captured.service in self._wrapping.services:
            return 0.0
        usd = self._record(captured)
        if (purse := self._purse()) is not None:  # nothing was held for it, but it counts against later calls
            purse.settle("", from_usd(usd))
        return usd

    def _record(self, captured: Captured, hold: Hold | None = None) -> float:
        """Record one call for the job that the environment names; return its USD."""
        from ..tracking.responses import CallerDetails, as_call, record

        caller = CallerDetails(details={"reservation": hold}) if hold is not None and hold.id else None
        return record(self._open_session(), as_call(captured, caller))

    def _read_late(self, service: str, job: str) -> None:
        """Reverse the entry of an earlier program that nobody had read the result of a job.

        Raises nothing, because the program must go on.
        """
        try:
            entry = self._entry_of(service, f"{job}{STARTED}")
            if entry is not None:
                self._open_session().reverse(entry.id, "its result was read")
        except Exception as fault:
            _warn(f"the entry for the start of job {job} is not reversed: {fault}")

    def _was_read(self, service: str, job: str) -> bool:
        """Tell whether another program has recorded the result of a job. Raises nothing."""
        try:
            return self._entry_of(service, job) is not None
        except Exception as fault:
            _warn(f"it is not known whether the result of job {job} was read: {fault}")
            return False

    def _entry_of(self, service: str, request_id: str) -> Entry | None:
        from ..ledger.counted import id_for_request

        session = self._open_session()
        entry: Entry | None = session.recording.find(id_for_request(session.job.job_id, service, request_id))
        return entry

    def _open_session(self) -> Any:
        with self._lock:
            if self._session is None:
                from ..tracking.context import job_context
                from ..tracking.session import Session
                from ..workspace import Workspace

                workspace = Workspace()
                job = job_context(None, None, workspace.storage, workspace.environ)
                self._session = Session(workspace, job)
            return self._session

    def _own_provider(self) -> Any:
        """Return the tracer provider whose spans are recorded, which the program does not see."""
        if self._provider is None:
            from opentelemetry.sdk.trace import SpanLimits, TracerProvider

            from ..capture.hooks.opentelemetry import CostSpanProcessor

            # A call's service has to say which SDK made it, because wrapped SDKs are read better than spans.
            self._processor = CostSpanProcessor(self, by_host=False)
            # Some libraries put each message of a prompt into attributes, and a limit drops the first ones.
            unlimited = SpanLimits(max_span_attributes=SpanLimits.UNSET)
            self._provider = TracerProvider(shutdown_on_exit=False, span_limits=unlimited)
            self._provider.add_span_processor(self._processor)
            atexit.register(self._finish)
        return self._provider

    def _serve_globally(self) -> None:
        """Record the spans that libraries make with the program's own tracer provider, or with ours."""
        import wrapt
        from opentelemetry import trace

        own = self._own_provider()
        if not _add_processor(trace.get_tracer_provider(), self._processor):
            trace.set_tracer_provider(own)
            wrapt.wrap_function_wrapper(
                "opentelemetry.trace", "set_tracer_provider", self._follow_program_provider
            )

    def _follow_program_provider(
        self, wrapped: Any, _: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Let the program set its own tracer provider after all, and record that one's spans."""
        from opentelemetry import trace

        provider = args[0] if args else kwargs.get("tracer_provider")
        if trace.get_tracer_provider() is self._provider and _add_processor(provider, self._processor):
            # The API accepts a provider only once, and ours must not count as that one.
            trace._TRACER_PROVIDER_SET_ONCE._done = False
        return wrapped(*args, **kwargs)

    def _finish(self) -> None:
        """Record the streams, jobs and spans that are still open at the end, and close the session."""
        for watch in list(self._watches):
            watch.finish(STILL_OPEN)
        self._jobs.record_unread()
        if self._processor is not None:
            self._processor.shutdown()
        if self._session is not None:
            self._session.close()


def _add_processor(provider: Any, processor: Any) -> bool:
    add = getattr(provider, "add_span_processor", None)
    if add is None:
        return False
    add(processor)
    return True


def _warn(text: str) -> None:
    sys.stderr.write(f"cost-dashboard run: {text}\n")
