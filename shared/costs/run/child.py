"""What happens inside a Python process that ``cost-dashboard run`` started, directly or not."""

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
"""``off`` leaves chat streams of OpenAI as the program asks for them."""

if TYPE_CHECKING:
    from ..budgets.hold import Hold
    from ..model import Entry
    from .purse import Purse

_NEEDED: Final = "opentelemetry-sdk opentelemetry-instrumentation"


def begin() -> None:
    """Wait for AI libraries to be imported; a program that uses none pays for nothing more.

    Raises:
        ImportError: OpenTelemetry is not installed for this Python; the text says what to do.

    """
    try:
        import wrapt
        from opentelemetry.sdk import trace  # noqa: F401  # only to know whether it is there
    except ImportError:
        raise ImportError(f"it needs OpenTelemetry: {sys.executable} -m pip install {_NEEDED}") from None
    reporter = Reporter()
    for library in LIBRARIES:
        wrapt.register_post_import_hook(reporter.attacher(library), library.module)
    for module, methods in media_methods().items():
        wrapt.register_post_import_hook(reporter.media_attacher(methods), module)


class Reporter:
    """Turns the spans of this process into entries. Nothing is opened before a library needs it."""

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
        """Return what to call when a library has been imported."""
        return lambda _: self.attach(library)

    def media_attacher(self, methods: Sequence[MediaMethod]) -> Callable[[object], None]:
        """Return what to call when a module with such methods has been imported. That raises nothing."""

        def attach(_: object) -> None:
            try:
                with self._lock:
                    self._wrapper().wrap_media(methods)
            except Exception as fault:
                _say(f"calls of {methods[0].service} are not captured: {fault}")

        return attach

    def attach(self, library: Library) -> None:
        """Have a library that was just imported report its calls. Raises nothing."""
        try:
            with self._lock:
                self._attach(library)
        except Exception as fault:
            _say(f"calls of {library.module} are not captured: {fault}")

    def _attach(self, library: Library) -> None:
        if library.module in METHODS and self._wrapper().wrap(library.module):
            return
        if reports_by_itself(library):
            self._serve_globally()
        elif not instrument(library, self._own_provider()):
            _say(f"calls of {library.module} are not captured: pip install {library.package}")

    def _wrapper(self) -> Wrapper:
        """Return what wraps the methods of the SDKs that are known."""
        if self._wrapping is None:
            ask = os.environ.get(STREAM_USAGE_VARIABLE) != "off"
            self._wrapping = Wrapper(self._before, self._keep, self._jobs, ask_for_usage=ask)
            atexit.register(self._finish)
        return self._wrapping

    def _keep(self, stream: Any) -> None:
        """Remember a stream, to record what came of it when the program ends."""
        watch = getattr(stream, "_cost_watch", stream)
        self._watches.add(watch)

    def _before(self, about: WrappedCall) -> HoldTicket:
        """Decide on a call that a wrapped method is about to send.

        Raises:
            BudgetExceeded, BudgetGateUnavailable: it is held back. Nothing else: the program must go on.
        """
        try:
            return self._holding().before(about)
        except (BudgetExceeded, BudgetGateUnavailable):
            raise
        except Exception as fault:
            if os.environ.get(PURSE_VARIABLE):
                raise BudgetGateUnavailable(f"the budget of this run cannot be checked: {fault}") from fault
            _say(f"a call is not looked at before it is sent: {fault}")
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

        Raises nothing: the program must go on.
        """
        try:
            return self._record(captured, hold)
        except Exception as fault:
            _say(f"a call of {captured.service}/{captured.model} could not be recorded: {fault}")
            return 0.0

    def record_captured(self, captured: Captured) -> float:
        """Record a call that a span tells of; return its USD. One that is read better elsewhere is not."""
        if self._wrapping is not None and captured.service in self._wrapping.services:
            return 0.0
        usd = self._record(captured)
        if (purse := self._purse()) is not None:  # it could not be held: later calls are stopped by it
            purse.settle("", from_usd(usd))
        return usd

    def _record(self, captured: Captured, hold: Hold | None = None) -> float:
        """Record one call for the job that the environment names; return its USD."""
        from ..tracking.responses import CallerDetails, as_call, record

        told = CallerDetails(details={"reservation": hold}) if hold is not None and hold.id else None
        return record(self._open_session(), as_call(captured, told))

    def _read_late(self, service: str, job: str) -> None:
        """Take back that nobody had read the result of a job, which an earlier program started.

        Raises nothing: the program must go on.
        """
        try:
            entry = self._entry_of(service, f"{job}{STARTED}")
            if entry is not None:
                self._open_session().reverse(entry.id, "its result was read")
        except Exception as fault:
            _say(f"the entry that the job {job} was started is not taken back: {fault}")

    def _was_read(self, service: str, job: str) -> bool:
        """Tell whether another program has recorded the result of a job. Raises nothing."""
        try:
            return self._entry_of(service, job) is not None
        except Exception as fault:
            _say(f"whether the result of the job {job} was read is not known: {fault}")
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
        """Return the tracer provider whose spans are recorded; the program never sees it."""
        if self._provider is None:
            from opentelemetry.sdk.trace import SpanLimits, TracerProvider

            from ..capture.hooks.opentelemetry import CostSpanProcessor

            # Which SDK made a call its service tells: those that are wrapped are read better.
            self._processor = CostSpanProcessor(self, by_host=False)
            # Some libraries put each message of a prompt into attributes: past a limit those set first go.
            unlimited = SpanLimits(max_span_attributes=SpanLimits.UNSET)
            self._provider = TracerProvider(shutdown_on_exit=False, span_limits=unlimited)
            self._provider.add_span_processor(self._processor)
            atexit.register(self._finish)
        return self._provider

    def _serve_globally(self) -> None:
        """Listen to spans that libraries make with the program's own tracer provider, or with ours."""
        import wrapt
        from opentelemetry import trace

        own = self._own_provider()
        if not _listen(trace.get_tracer_provider(), self._processor):
            trace.set_tracer_provider(own)
            wrapt.wrap_function_wrapper("opentelemetry.trace", "set_tracer_provider", self._give_way)

    def _give_way(self, wrapped: Any, _: object, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        """Let the program set a tracer provider of its own after all, and listen to that one."""
        from opentelemetry import trace

        theirs = args[0] if args else given.get("tracer_provider")
        if trace.get_tracer_provider() is self._provider and _listen(theirs, self._processor):
            # The API takes a provider once only, and ours was not meant to be it.
            trace._TRACER_PROVIDER_SET_ONCE._done = False
        return wrapped(*args, **given)

    def _finish(self) -> None:
        """Record what is still open at the end of the process, and close the books."""
        for watch in list(self._watches):
            watch.finish(STILL_OPEN)
        self._jobs.tell_unread()
        if self._processor is not None:
            self._processor.shutdown()
        if self._session is not None:
            self._session.close()


def _listen(provider: Any, processor: Any) -> bool:
    add = getattr(provider, "add_span_processor", None)
    if add is None:
        return False
    add(processor)
    return True


def _say(text: str) -> None:
    sys.stderr.write(f"cost-dashboard run: {text}\n")
