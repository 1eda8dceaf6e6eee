"""Wraps the public methods of known SDKs and reads what they return.

Spans carry tokens, but only the response objects state what else is billed. So when the SDK of OpenAI,
Anthropic or Google is imported, its methods are wrapped (with ``wrapt``, as instrumentation packages do), and
the responses and streams are read as by ``log_response`` and ``log_stream``. The program gets the same
results. This also holds for the SDKs of speech, translation and documents, which make no spans, and
for Bedrock's calls through boto3 (``media_sdks``). Spans are used for all other libraries.

Tested with openai 3.57, anthropic 2.14 and google-genai 3.6 (2026-11-28), mistralai 3.7, cohere 7.3,
litellm 1.110, boto3 1.44 and aiobotocore 3 (2026-11-30).
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from typing import Any, Final
from weakref import WeakKeyDictionary

from ..capture.captured import Captured
from ..capture.standin import StandIn
from ..capture.streams import follow, track_stream
from ..capture.watch import StreamNames
from .answers import watch_answers
from .bedrock import SERVICE as BEDROCK
from .bedrock import follow_agent, follow_events
from .calls import AzureSpeechCall, BedrockAgentCall, BedrockCall, MediaCall, WrappedCall
from .jobs import Jobs
from .methods import MediaMethod, Method, Reads, arguments_of, keeping_first, value_at
from .raw_responses import is_raw, watched_raw
from .sending import CREDENTIALS, SENDERS, Sending, Ticket, leave_out_credentials, watch_sending
from .stream_usage import usage_option, without_usage_chunk

Before = Callable[["WrappedCall"], Ticket]
"""Admits a call before it is sent; the program gets what this raises."""


def _openai() -> tuple[Method, ...]:
    package = "openai.resources."
    sync_methods: tuple[tuple[str, str, Reads, bool], ...] = (
        ("chat.completions.completions", "Completions.create", "response", True),
        ("chat.completions.completions", "Completions.parse", "response", False),
        ("completions", "Completions.create", "response", True),
        ("responses.responses", "Responses.create", "response", False),
        ("responses.responses", "Responses.parse", "response", False),
        ("responses.responses", "Responses.compact", "response", False),
        ("responses.responses", "Responses.retrieve", "response", False),
        ("embeddings", "Embeddings.create", "response", False),
        ("images", "Images.generate", "response", False),
        ("images", "Images.edit", "response", False),
        ("audio.transcriptions", "Transcriptions.create", "response", False),
        ("audio.translations", "Translations.create", "response", False),
        ("audio.speech", "Speech.create", "characters", False),
        ("videos", "Videos.create", "response", False),
        ("videos", "Videos.retrieve", "response", False),
        ("videos", "Videos.remix", "response", False),
        ("realtime.realtime", "RealtimeConnection.recv", "messages", False),
    )
    methods = tuple(
        Method(package + module, name, reads, asks_for_usage, sends=not name.endswith("retrieve"))
        for module, name, reads, asks_for_usage in sync_methods
    )
    return methods + tuple(replace(method, name=f"Async{method.name}") for method in methods)


def _anthropic() -> tuple[Method, ...]:
    methods: list[Method] = []
    for module in ("anthropic.resources.messages.messages", "anthropic.resources.beta.messages.messages"):
        for name in ("create", "stream", "parse"):
            methods += [Method(module, f"Messages.{name}"), Method(module, f"AsyncMessages.{name}")]
    return tuple(methods)


def _google() -> tuple[Method, ...]:
    # Each of these inner methods makes one request; the public ones may call functions and send more.
    names = (
        "_generate_content",
        "_generate_content_stream",
        "_embed_content",
        "_generate_images",
        "_edit_image",
    )
    models = "google.genai.models"
    methods = [Method(models, f"{kind}.{name}") for name in names for kind in ("Models", "AsyncModels")]
    return (*methods, Method("google.genai.live", "AsyncSession._receive", "messages"))


def _mistral() -> tuple[Method, ...]:
    names = {
        "chat": ("Chat.complete", "Chat.stream"),
        "fim": ("Fim.complete", "Fim.stream"),
        "agents": ("Agents.complete", "Agents.stream"),
        "conversations": tuple(
            f"Conversations.{verb}{kind}"
            for verb in ("start", "append", "restart")
            for kind in ("", "_stream")
        ),
        "embeddings": ("Embeddings.create",),
        "ocr": ("Ocr.process",),
        "transcriptions": ("Transcriptions.complete", "Transcriptions.stream"),
    }
    # The package's third version, which has no module of that name, and its first.
    methods = [
        Method(f"{package}.{module}", name)
        for package in ("mistralai.client", "mistralai")
        for module, method_names in names.items()
        for name in method_names
    ]
    return (*methods, *(replace(method, name=f"{method.name}_async") for method in methods))


def _cohere() -> tuple[Method, ...]:
    # The clients of both versions inherit these; ``embed`` of version 1 sends one request for each batch.
    version_1 = (
        "chat",
        "chat_stream",
        "generate",
        "generate_stream",
        "embed",
        "rerank",
        "classify",
        "summarize",
    )
    methods = [Method("cohere.base_client", f"BaseCohere.{name}") for name in version_1]
    methods += [
        Method("cohere.v2.client", f"V2Client.{name}") for name in ("chat", "chat_stream", "embed", "rerank")
    ]
    return (*methods, *(replace(method, name=f"Async{method.name}") for method in methods))


def _litellm() -> tuple[Method, ...]:
    # Its functions are in two modules; it sends most requests by itself, without the methods of SDKs.
    chat = ("model", "messages")
    names: dict[str, tuple[Reads, bool, tuple[str, ...]]] = {
        "completion": ("response", True, chat),
        "text_completion": ("response", True, ("prompt", "model")),
        "responses": ("response", False, ("input", "model")),
        "embedding": ("response", False, ("model", "input")),
        "rerank": ("response", False, ("model", "query", "documents")),
        "image_generation": ("response", False, ("prompt", "model")),
        "transcription": ("response", False, ("model", "file")),
        "speech": ("characters", False, ("model", "input")),
    }
    return tuple(
        Method(module, f"{prefix}{name}", reads, asks_for_usage, positional=positional, calls_other_sdks=True)
        for module in ("litellm.main", "litellm")
        for name, (reads, asks_for_usage, positional) in names.items()
        for prefix in ("", "a")
    )


METHODS: Final[Mapping[str, Callable[[], tuple[Method, ...]]]] = {
    "openai": _openai,
    "anthropic": _anthropic,
    "google.genai": _google,
    "mistralai.client": _mistral,
    "mistralai": _mistral,
    "cohere": _cohere,
    "litellm": _litellm,
}
"""The methods to wrap, by the module whose import shows that a program uses the SDK."""

SERVICES: Final = {
    "openai": frozenset({"openai", "azure"}),
    "anthropic": frozenset({"anthropic", "bedrock", "vertex"}),
    "google.genai": frozenset({"google", "vertex"}),
    "mistralai.client": frozenset({"mistral"}),
    "mistralai": frozenset({"mistral"}),
    "cohere": frozenset({"cohere"}),
    "litellm": frozenset(),
    "botocore": frozenset({BEDROCK}),
}
"""The services whose calls go through an SDK, so that spans of them are not recorded."""


_inside_other_call: Final[ContextVar[bool]] = ContextVar("inside_other_call", default=False)
"""Whether a library is running whose own call stands for those of the SDKs that it uses."""


class Wrapper:
    """Wraps the methods of SDKs: calls ``before`` for each call, and records the result under its ticket."""

    def __init__(
        self, before: Before, on_stream: Callable[[object], object], jobs: Jobs, *, request_usage: bool
    ) -> None:
        self._before = before
        self._on_stream = on_stream
        self._request_usage = request_usage
        self._sessions: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
        self._wrapped: set[str] = set()
        self._jobs = jobs

    @property
    def services(self) -> frozenset[str]:
        """The services whose calls go through wrapped SDKs."""
        return frozenset().union(*(SERVICES[library] for library in self._wrapped))

    def wrap(self, library: str) -> int:
        """Wrap those methods of one SDK that its installed version has, and return how many."""
        import wrapt

        wrapped = 0
        for method in METHODS[library]():
            try:
                wrapt.wrap_function_wrapper(method.module, method.name, self._wrapper_of(method))
            except (ImportError, AttributeError):
                continue  # this version has no such method
            wrapped += 1
        if wrapped:
            watch_answers(library)
            self._mark_wrapped(library)
        return wrapped

    def _mark_wrapped(self, library: str) -> None:
        import wrapt

        if not self._wrapped:
            for module in SENDERS:
                wrapt.register_post_import_hook(watch_sending, module)
            for module in CREDENTIALS:
                wrapt.register_post_import_hook(leave_out_credentials, module)
        self._wrapped.add(library)

    def wrap_media(self, methods: Sequence[MediaMethod]) -> None:
        """Wrap those methods of one module that its installed version has."""
        import wrapt

        by_name: dict[str, list[MediaMethod]] = {}
        for method in methods:
            by_name.setdefault(method.name, []).append(method)
        for name, variants in by_name.items():
            with suppress(ImportError, AttributeError):
                wrapt.wrap_function_wrapper(variants[0].module, name, self._media_wrapper_of(variants))
                if (library := variants[0].module.partition(".")[0]) in SERVICES:
                    self._mark_wrapped(library)

    def _media_wrapper_of(self, methods: Sequence[MediaMethod]) -> Callable[..., Any]:
        operations = {method.operation: method for method in methods}

        def wrapper(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            arguments = arguments_of(wrapped, args, kwargs)
            method = operations.get(None)
            if method is None:  # one method does all operations, each with its own parameters
                operation, parameters = [*arguments.values(), None, None][:2]
                method, arguments = operations.get(operation), dict(parameters or {})
            if method is None or _inside_other_call.get() or not _is_of_service(instance, method):
                return wrapped(*args, **kwargs)
            if method.requests in arguments:
                arguments[method.requests] = parts = keeping_first(arguments[method.requests])
                args = tuple(parts if value is parts.original else value for value in args)
                kwargs = {name: parts if value is parts.original else value for name, value in kwargs.items()}
            call = _call_class(method)(method, instance, args, arguments, jobs=self._jobs)
            call = replace(call, ticket=self._before(call))
            if method.reads in {"message", "event"}:
                self._handle(args[-1] if args else None, call, has_usage_chunk=False)
                return wrapped(*args, **kwargs)
            with call.failing(), Sending(call.ticket):
                result = wrapped(*args, **kwargs)
            if inspect.iscoroutine(result):
                return self._handle_async(result, call, has_usage_chunk=False)
            return self._handle(result, call, has_usage_chunk=False)

        return wrapper

    def _wrapper_of(self, method: Method) -> Callable[..., Any]:
        def wrapper(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if _inside_other_call.get():
                return wrapped(*args, **kwargs)
            call = WrappedCall(
                method, instance, args, {**dict(zip(method.positional, args, strict=False)), **kwargs}
            )
            call = replace(call, ticket=self._before(call))
            option = usage_option(kwargs) if method.asks_for_usage and self._request_usage else None
            with call.failing(), _claiming_inner_calls(method), Sending(call.ticket):
                result = option.call(wrapped, args) if option else wrapped(*args, **kwargs)
            if inspect.iscoroutine(result):
                pending = option.call_async(result, wrapped, args) if option else result
                return self._handle_async(pending, call, has_usage_chunk=option is not None)
            return self._handle(result, call, has_usage_chunk=option is not None)

        return wrapper

    async def _handle_async(
        self, pending: Awaitable[Any], call: WrappedCall, *, has_usage_chunk: bool
    ) -> Any:
        # The task that awaits the call may not be the one that made it.
        with call.failing(), _claiming_inner_calls(call.method), Sending(call.ticket):
            result = await pending
        return self._handle(result, call, has_usage_chunk=has_usage_chunk)

    def _handle(self, result: Any, call: WrappedCall, *, has_usage_chunk: bool) -> Any:
        """Return what the program gets: the response itself, or a tracked stream."""
        try:
            return self._record_result(result, call, has_usage_chunk=has_usage_chunk)
        except Exception as fault:
            # Whatever is wrong with reading it, the program must get its answer, and the call is recorded.
            call.record(call.unreadable_call(fault))
            return result

    def _record_result(self, result: Any, call: WrappedCall, *, has_usage_chunk: bool) -> Any:
        match call.method.reads:
            case "response" if is_raw(result):
                return watched_raw(
                    result, lambda part: self._read_later(part, call, has_usage_chunk=has_usage_chunk)
                )
            case "response":
                return self._parsed(result, call, has_usage_chunk=has_usage_chunk)
            case "stream":
                return self._tracked_stream(result, call, has_usage_chunk=False)
            case "headers":
                return (_EnteredAsyncResponse if hasattr(result, "__aenter__") else _EnteredResponse)(
                    result, call
                )
            case "messages" | "message":
                self._message(call, result)
            case "characters":
                call.report_speech(call.record)
            case "sent":
                call.remember(result)
            case "unstated":
                call.record(call.unstated_call())
            case "known" | "event" if isinstance(call, MediaCall):
                call.report_known(result, call.record)
        return result

    def _read_later(self, result: Any, call: WrappedCall, *, has_usage_chunk: bool) -> Any:
        """Record a response that the program reads later, and return what it gets. Raises nothing."""
        try:
            return self._parsed(result, call, has_usage_chunk=has_usage_chunk)
        except Exception as fault:
            call.record(call.unreadable_call(fault))
            return result

    def _parsed(self, result: Any, call: WrappedCall, *, has_usage_chunk: bool) -> Any:
        if _is_stream(result):
            return self._tracked_stream(result, call, has_usage_chunk=has_usage_chunk)
        call.report(result, call.record)
        return result

    def _tracked_stream(self, result: Any, call: WrappedCall, *, has_usage_chunk: bool) -> Any:
        names = StreamNames(call.service, call.stream_model)
        if isinstance(call, BedrockAgentCall):
            self._on_stream(
                follow_agent(result, lambda captured: call.record(call.completed(captured)), names)
            )
            return result
        if isinstance(call, BedrockCall):
            self._on_stream(
                follow_events(result, lambda captured: call.record(call.completed(captured)), names)
            )
            return result
        opening = _StreamOpening(call)  # some send their request only when they are opened or read
        stream = track_stream(result, opening.record, names, partial(_StreamReading, opening))
        self._on_stream(stream)
        return without_usage_chunk(stream) if has_usage_chunk else stream

    def _message(self, call: WrappedCall, message: Any) -> None:
        """Follow a session, message by message; ``call.instance`` is its connection."""
        watch = self._sessions.get(call.instance)
        if watch is None:
            names = StreamNames(call.service, call.stream_model)
            # A reference to the connection would keep it from being garbage collected.
            region, without_connection = call.region, replace(call, instance=None, args=())

            def record(captured: Captured) -> None:
                captured = replace(captured, region=captured.region or region)
                without_connection.record(without_connection.completed(captured))

            watch = follow(call.instance, record, names)
            self._sessions[call.instance] = watch
            self._on_stream(watch)
        watch.see(message)


class _StreamOpening:
    """A stream until its answer has begun: until then its call fails as any other."""

    def __init__(self, call: WrappedCall) -> None:
        self.call = call
        self._is_open = False
        self._failed = False

    def record(self, captured: Captured) -> None:
        """Record what was read of the stream, unless its call failed, which is recorded already."""
        if not self._failed:
            self.call.record(self.call.completed(captured))

    def attempted(self, fault: BaseException | None) -> None:
        """Note that the stream was opened or read, and what went wrong, if anything did."""
        ticket = self.call.ticket
        if self._is_open or ticket is None:
            return
        self._is_open = ticket.has_begun is not False or fault is None or isinstance(fault, _STREAM_ENDS)
        if fault is None or self._is_open:
            return
        self._failed = True
        ticket.failed(fault)
        if (denied := ticket.denied) is not None and denied is not fault:
            raise denied from fault


_STREAM_ENDS: Final = (StopIteration, StopAsyncIteration)


class _StreamReading(Sending):
    """The context in which a stream is opened, or its next chunk is awaited."""

    __slots__ = ("_opening",)

    def __init__(self, opening: _StreamOpening) -> None:
        super().__init__(opening.call.ticket)
        self._opening = opening

    def __exit__(self, *exc_info: Any) -> None:
        super().__exit__(*exc_info)
        self._opening.attempted(exc_info[1])


@contextmanager
def _claiming_inner_calls(method: Method) -> Iterator[None]:
    """Let the method's own call stand for those that it makes through other libraries."""
    before = _inside_other_call.set(method.calls_other_sdks or _inside_other_call.get())
    try:
        yield
    finally:
        _inside_other_call.reset(before)


def _is_of_service(instance: Any, method: MediaMethod) -> bool:
    """Tell whether an AWS client belongs to the service of the operation."""
    if method.operation is None:
        return True
    service_name = value_at(instance, ("meta", "service_model", "service_name"))
    return (BEDROCK if service_name in _BEDROCK_CLIENTS else f"aws-{service_name}") == method.service


_BEDROCK_CLIENTS: Final = frozenset({"bedrock-runtime", "bedrock-agent-runtime"})


def _call_class(method: MediaMethod) -> type[MediaCall]:
    """Return the class of a method's calls: some services need their own."""
    if method.service == BEDROCK:
        return BedrockAgentCall if method.is_agent else BedrockCall
    return AzureSpeechCall if method.service == "azure-speech" else MediaCall


class _EnteredResponse(StandIn):
    """A context manager whose response states in its headers what is billed."""

    __slots__ = ("_call",)

    def __init__(self, original: Any, call: WrappedCall) -> None:
        super().__init__(original)
        object.__setattr__(self, "_call", call)

    def __enter__(self) -> Any:
        with self._call.failing(), Sending(self._call.ticket):
            response = self.original.__enter__()
        self._call.record_headers(response)
        return response

    def __exit__(self, *exc_info: Any) -> Any:
        return self.original.__exit__(*exc_info)


class _EnteredAsyncResponse(_EnteredResponse):
    """Like :class:`_EnteredResponse`, for ``async with``."""

    __slots__ = ()

    async def __aenter__(self) -> Any:
        with self._call.failing(), Sending(self._call.ticket):
            response = await self.original.__aenter__()
        self._call.record_headers(response)
        return response

    async def __aexit__(self, *exc_info: Any) -> Any:
        return await self.original.__aexit__(*exc_info)


_STREAMS: Final = ("Stream", "StreamManager", "StreamAsync", "StreamWrapper", "StreamingIterator")
"""Suffixes of the class names of streams; the last is for LiteLLM's responses."""


def _is_stream(result: Any) -> bool:
    module = type(result).__module__.partition(".")[0]
    class_name = type(result).__name__
    if module in METHODS and class_name.endswith(_STREAMS):
        return True
    return inspect.isgenerator(result) or inspect.isasyncgen(result)
