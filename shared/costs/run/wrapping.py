"""Wraps the public methods of the SDKs that are known, and reads what they return.

Spans carry tokens; what is billed beside them stands in the objects alone. So where the SDK of OpenAI,
Anthropic or Google is imported, its methods are wrapped (``wrapt``, as instrumentation packages do), and the
real responses and streams are read as ``log_response`` and ``log_stream`` read them. The program gets what it
would have got. So it is with the SDKs of speech, translation and documents, which make no spans at all, and
with Bedrock's calls through boto3 (``media_sdks``). Spans serve the libraries that are not known here.

Tried with openai 3.57, anthropic 2.14 and google-genai 3.6 (2026-11-28), mistralai 3.7, cohere 7.3,
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
from .methods import MediaMethod, Method, Reads, arguments_of, found_at, noting
from .raw_responses import is_raw, watched_raw
from .sending import SENDERS, Sending, Ticket, watch_sending
from .stream_usage import asking, quiet

Before = Callable[["WrappedCall"], Ticket]
"""Decides on a call before it is sent; what it raises, the program gets in its place."""


def _openai() -> tuple[Method, ...]:
    at = "openai.resources."
    both: tuple[tuple[str, str, Reads, bool], ...] = (
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
    plain = tuple(
        Method(at + module, name, reads, asks, sends=not name.endswith("retrieve"))
        for module, name, reads, asks in both
    )
    return plain + tuple(replace(each, name=f"Async{each.name}") for each in plain)


def _anthropic() -> tuple[Method, ...]:
    found: list[Method] = []
    for module in ("anthropic.resources.messages.messages", "anthropic.resources.beta.messages.messages"):
        for name in ("create", "stream", "parse"):
            found += [Method(module, f"Messages.{name}"), Method(module, f"AsyncMessages.{name}")]
    return tuple(found)


def _google() -> tuple[Method, ...]:
    # The inner methods make one request each: the outer ones may call functions and ask again.
    inner = (
        "_generate_content",
        "_generate_content_stream",
        "_embed_content",
        "_generate_images",
        "_edit_image",
    )
    models = "google.genai.models"
    found = [Method(models, f"{kind}.{name}") for name in inner for kind in ("Models", "AsyncModels")]
    return (*found, Method("google.genai.live", "AsyncSession._receive", "messages"))


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
    # Of the package's third version, which has no module of its own name, and of the first.
    plain = [
        Method(f"{package}.{module}", name)
        for package in ("mistralai.client", "mistralai")
        for module, those in names.items()
        for name in those
    ]
    return (*plain, *(replace(each, name=f"{each.name}_async") for each in plain))


def _cohere() -> tuple[Method, ...]:
    # The clients of both versions inherit these; ``embed`` of the first asks once for each batch of texts.
    of_first = (
        "chat",
        "chat_stream",
        "generate",
        "generate_stream",
        "embed",
        "rerank",
        "classify",
        "summarize",
    )
    found = [Method("cohere.base_client", f"BaseCohere.{name}") for name in of_first]
    found += [
        Method("cohere.v2.client", f"V2Client.{name}") for name in ("chat", "chat_stream", "embed", "rerank")
    ]
    return (*found, *(replace(each, name=f"Async{each.name}") for each in found))


def _litellm() -> tuple[Method, ...]:
    # Its functions stand in two modules; it sends most requests by itself, past the methods of SDKs.
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
        Method(module, f"{begins}{name}", reads, asks, positional=positional, others=True)
        for module in ("litellm.main", "litellm")
        for name, (reads, asks, positional) in names.items()
        for begins in ("", "a")
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
"""The methods that are wrapped, by the module whose import shows that a program uses the SDK."""

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
"""The services whose calls go through an SDK: what spans say of them is known better here."""


_within: Final[ContextVar[bool]] = ContextVar("within", default=False)
"""Whether a library is at work whose own call stands for those of the SDKs that it uses."""


class Wrapper:
    """Wraps the methods of SDKs: asks ``before`` each call, and tells what it gives of what came of it."""

    def __init__(
        self, before: Before, tracked: Callable[[object], object], jobs: Jobs, *, ask_for_usage: bool
    ) -> None:
        self._before = before
        self._tracked = tracked
        self._ask = ask_for_usage
        self._sessions: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
        self._wrapped: set[str] = set()
        self._jobs = jobs

    @property
    def services(self) -> frozenset[str]:
        """The services whose calls go through the SDKs that are wrapped."""
        return frozenset().union(*(SERVICES[library] for library in self._wrapped))

    def wrap(self, library: str) -> int:
        """Wrap the methods of one SDK that its installed version has; return how many."""
        import wrapt

        done = 0
        for method in METHODS[library]():
            try:
                wrapt.wrap_function_wrapper(method.module, method.name, self._around(method))
            except (ImportError, AttributeError):
                continue  # this version has no such method
            done += 1
        if done:
            watch_answers(library)
            self._wraps(library)
        return done

    def _wraps(self, library: str) -> None:
        import wrapt

        if not self._wrapped:
            for module in SENDERS:
                wrapt.register_post_import_hook(watch_sending, module)
        self._wrapped.add(library)

    def wrap_media(self, methods: Sequence[MediaMethod]) -> None:
        """Wrap methods of one module, those that its installed version has."""
        import wrapt

        by_name: dict[str, list[MediaMethod]] = {}
        for method in methods:
            by_name.setdefault(method.name, []).append(method)
        for name, several in by_name.items():
            with suppress(ImportError, AttributeError):
                wrapt.wrap_function_wrapper(several[0].module, name, self._around_media(several))
                if (library := several[0].module.partition(".")[0]) in SERVICES:
                    self._wraps(library)

    def _around_media(self, methods: Sequence[MediaMethod]) -> Callable[..., Any]:
        operations = {method.only: method for method in methods}

        def around(wrapped: Any, instance: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
            named = arguments_of(wrapped, args, given)
            method = operations.get(None)
            if method is None:  # one that does all operations, each with parameters of its own
                operation, parameters = [*named.values(), None, None][:2]
                method, named = operations.get(operation), dict(parameters or {})
            if method is None or _within.get() or not _is_of_service(instance, method):
                return wrapped(*args, **given)
            if method.requests in named:
                named[method.requests] = noted = noting(named[method.requests])
                args = tuple(noted if each is noted.original else each for each in args)
                given = {name: noted if each is noted.original else each for name, each in given.items()}
            about = _kind(method)(method, instance, args, named, jobs=self._jobs)
            about = replace(about, ticket=self._before(about))
            if method.reads in {"message", "event"}:
                self._seen(args[-1] if args else None, about, asked=False)
                return wrapped(*args, **given)
            with about.failing(), Sending(about.ticket):
                result = wrapped(*args, **given)
            if inspect.iscoroutine(result):
                return self._later(result, about, asked=False)
            return self._seen(result, about, asked=False)

        return around

    def _around(self, method: Method) -> Callable[..., Any]:
        def around(wrapped: Any, instance: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
            if _within.get():
                return wrapped(*args, **given)
            about = WrappedCall(
                method, instance, args, {**dict(zip(method.positional, args, strict=False)), **given}
            )
            about = replace(about, ticket=self._before(about))
            question = asking(given) if method.asks_for_usage and self._ask else None
            with about.failing(), _alone(method), Sending(about.ticket):
                result = question.ask(wrapped, args) if question else wrapped(*args, **given)
            if inspect.iscoroutine(result):
                later = question.ask_async(result, wrapped, args) if question else result
                return self._later(later, about, asked=question is not None)
            return self._seen(result, about, asked=question is not None)

        return around

    async def _later(self, later: Awaitable[Any], about: WrappedCall, *, asked: bool) -> Any:
        # Another task may have made the call than awaits it.
        with about.failing(), _alone(about.method), Sending(about.ticket):
            result = await later
        return self._seen(result, about, asked=asked)

    def _seen(self, result: Any, about: WrappedCall, *, asked: bool) -> Any:
        """Return what the program gets: the response itself, or a stream that is followed."""
        try:
            return self._followed(result, about, asked=asked)
        except Exception as fault:
            # Whatever is wrong with reading it, the program must have its answer; the call is not lost.
            about.tell(about.unread(fault))
            return result

    def _followed(self, result: Any, about: WrappedCall, *, asked: bool) -> Any:
        match about.method.reads:
            case "response" if is_raw(result):
                return watched_raw(result, lambda read: self._read_later(read, about, asked=asked))
            case "response":
                return self._parsed(result, about, asked=asked)
            case "stream":
                return self._tracked_stream(result, about, asked=False)
            case "headers":
                return (_EnteredAsyncResponse if hasattr(result, "__aenter__") else _EnteredResponse)(
                    result, about
                )
            case "messages" | "message":
                self._message(about, result)
            case "characters":
                about.report_speech(about.tell)
            case "sent":
                about.remember(result)
            case "unstated":
                about.tell(about.unstated())
            case "known" | "event" if isinstance(about, MediaCall):
                about.report_known(result, about.tell)
        return result

    def _read_later(self, result: Any, about: WrappedCall, *, asked: bool) -> Any:
        """Return what the program gets of a response as it reads it, whatever is wrong with that here."""
        try:
            return self._parsed(result, about, asked=asked)
        except Exception as fault:
            about.tell(about.unread(fault))
            return result

    def _parsed(self, result: Any, about: WrappedCall, *, asked: bool) -> Any:
        if _is_stream(result):
            return self._tracked_stream(result, about, asked=asked)
        about.report(result, about.tell)
        return result

    def _tracked_stream(self, result: Any, about: WrappedCall, *, asked: bool) -> Any:
        names = StreamNames(about.service, about.stream_model)
        if isinstance(about, BedrockAgentCall):
            self._tracked(follow_agent(result, lambda call: about.tell(about.named(call)), names))
            return result
        if isinstance(about, BedrockCall):
            self._tracked(follow_events(result, lambda call: about.tell(about.named(call)), names))
            return result
        sending = partial(Sending, about.ticket)  # some send their request only as they are opened or read
        stream = track_stream(result, lambda call: about.tell(about.named(call)), names, sending)
        self._tracked(stream)
        return quiet(stream) if asked else stream

    def _message(self, about: WrappedCall, message: Any) -> None:
        """Follow a session, of which every message passes here; its connection is what is called."""
        watch = self._sessions.get(about.instance)
        if watch is None:
            names = StreamNames(about.service, about.stream_model)
            # What holds on to the connection would never see it dropped.
            region, apart = about.region, replace(about, instance=None, args=())

            def tell(call: Captured) -> None:
                apart.tell(apart.named(replace(call, region=call.region or region)))

            watch = follow(about.instance, tell, names)
            self._sessions[about.instance] = watch
            self._tracked(watch)
        watch.see(message)


@contextmanager
def _alone(method: Method) -> Iterator[None]:
    """Have the calls of other libraries be those of a method that makes them."""
    before = _within.set(method.others or _within.get())
    try:
        yield
    finally:
        _within.reset(before)


def _is_of_service(instance: Any, method: MediaMethod) -> bool:
    """Tell whether a client of AWS is one of the service whose operation is asked for."""
    if method.only is None:
        return True
    named = found_at(instance, ("meta", "service_model", "service_name"))
    return (BEDROCK if named in _BEDROCK_CLIENTS else f"aws-{named}") == method.service


_BEDROCK_CLIENTS: Final = frozenset({"bedrock-runtime", "bedrock-agent-runtime"})


def _kind(method: MediaMethod) -> type[MediaCall]:
    """Return what a call of a method is, where its service needs more than others."""
    if method.service == BEDROCK:
        return BedrockAgentCall if method.of_agents else BedrockCall
    return AzureSpeechCall if method.service == "azure-speech" else MediaCall


class _EnteredResponse(StandIn):
    """What is entered with ``with``, and whose headers say then what is billed."""

    __slots__ = ("_about",)

    def __init__(self, original: Any, about: WrappedCall) -> None:
        super().__init__(original)
        object.__setattr__(self, "_about", about)

    def __enter__(self) -> Any:
        with self._about.failing(), Sending(self._about.ticket):
            response = self.original.__enter__()
        self._about.see_headers(response)
        return response

    def __exit__(self, *how: Any) -> Any:
        return self.original.__exit__(*how)


class _EnteredAsyncResponse(_EnteredResponse):
    """As :class:`_EnteredResponse`, for ``async with``."""

    __slots__ = ()

    async def __aenter__(self) -> Any:
        with self._about.failing(), Sending(self._about.ticket):
            response = await self.original.__aenter__()
        self._about.see_headers(response)
        return response

    async def __aexit__(self, *how: Any) -> Any:
        return await self.original.__aexit__(*how)


_STREAMS: Final = ("Stream", "StreamManager", "StreamAsync", "StreamWrapper", "StreamingIterator")
"""How the names of the classes of streams end; those of LiteLLM's responses have the last."""


def _is_stream(result: Any) -> bool:
    module = type(result).__module__.partition(".")[0]
    named = type(result).__name__
    if module in METHODS and named.endswith(_STREAMS):
        return True
    return inspect.isgenerator(result) or inspect.isasyncgen(result)
