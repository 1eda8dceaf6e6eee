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
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final
from weakref import WeakKeyDictionary

from ..capture.captured import Captured, unreadable
from ..capture.hosts import region_of, service_of
from ..capture.reading import UnknownResponse, read_response
from ..capture.standin import StandIn
from ..capture.streams import follow, track_stream
from ..capture.watch import StreamNames
from ..model import UNKNOWN, Usage
from .bedrock import SERVICE as BEDROCK
from .bedrock import calls_in, follow_events
from .bounds import Bounds, bounds_of, bounds_of_bedrock, model_of
from .methods import MediaMethod, Method, Reads, arguments_of, characters_at, found_at, text_at
from .raw_responses import is_raw, watched_raw
from .sending import SENDERS, Sending, Ticket, watch_sending
from .stream_usage import asking, quiet

Report = Callable[[Captured], object]


Before = Callable[["Call"], Ticket]
"""Decides on a call before it is sent; what it raises, the program gets in its place."""


def _openai() -> tuple[Method, ...]:
    at = "openai.resources."
    both: tuple[tuple[str, str, Reads, bool], ...] = (
        ("chat.completions.completions", "Completions.create", "response", True),
        ("chat.completions.completions", "Completions.parse", "response", False),
        ("completions", "Completions.create", "response", True),
        ("responses.responses", "Responses.create", "response", False),
        ("responses.responses", "Responses.parse", "response", False),
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

_MAKERS: Final = {"mistralai": "mistral"}
"""Who makes an SDK, where its module is not called so."""

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

    def __init__(self, before: Before, tracked: Callable[[object], object], *, ask_for_usage: bool) -> None:
        self._before = before
        self._tracked = tracked
        self._ask = ask_for_usage
        self._sessions: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
        self._wrapped: set[str] = set()
        self._asked: dict[str, str] = {}

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
            kind = BedrockCall if method.service == BEDROCK else MediaCall
            about = kind(method, instance, args, named, asked=self._asked)
            about = replace(about, ticket=self._before(about))
            if method.reads == "message":
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
            about = Call(
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

    async def _later(self, later: Awaitable[Any], about: Call, *, asked: bool) -> Any:
        # Another task may have made the call than awaits it.
        with about.failing(), _alone(about.method), Sending(about.ticket):
            result = await later
        return self._seen(result, about, asked=asked)

    def _seen(self, result: Any, about: Call, *, asked: bool) -> Any:
        """Return what the program gets: the response itself, or a stream that is followed."""
        try:
            return self._followed(result, about, asked=asked)
        except Exception as fault:
            # Whatever is wrong with reading it, the program must have its answer; the call is not lost.
            about.tell(about.unread(fault))
            return result

    def _followed(self, result: Any, about: Call, *, asked: bool) -> Any:
        match about.method.reads:
            case "response" if is_raw(result):
                return watched_raw(result, lambda parsed: self._parsed(parsed, about, asked=asked))
            case "response":
                return self._parsed(result, about, asked=asked)
            case "stream":
                return self._tracked_stream(result, about, asked=False)
            case "headers":
                return (_EnteredLater if hasattr(result, "__aenter__") else _Entered)(result, about)
            case "messages" | "message":
                self._message(about, result)
            case "characters":
                about.report_speech(about.tell)
            case "sent":
                about.remember(result)
            case "unstated":
                about.tell(about.unstated())
            case "known":
                with suppress(UnknownResponse):
                    about.report(result, about.tell)
        return result

    def _parsed(self, result: Any, about: Call, *, asked: bool) -> Any:
        if _is_stream(result):
            return self._tracked_stream(result, about, asked=asked)
        about.report(result, about.tell)
        return result

    def _tracked_stream(self, result: Any, about: Call, *, asked: bool) -> Any:
        names = StreamNames(about.service, about.stream_model)
        if isinstance(about, BedrockCall):
            self._tracked(follow_events(result, lambda call: about.tell(about.named(call)), names))
            return result
        sending = partial(Sending, about.ticket)  # some send their request only as they are opened or read
        stream = track_stream(result, lambda call: about.tell(about.named(call)), names, sending)
        self._tracked(stream)
        return quiet(stream) if asked else stream

    def _message(self, about: Call, message: Any) -> None:
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
    return (BEDROCK if named == "bedrock-runtime" else f"aws-{named}") == method.service


class _Entered(StandIn):
    """What is entered with ``with``, and whose headers say then what is billed."""

    __slots__ = ("_about",)

    def __init__(self, original: Any, about: Call) -> None:
        super().__init__(original)
        object.__setattr__(self, "_about", about)

    def __enter__(self) -> Any:
        with self._about.failing(), Sending(self._about.ticket):
            response = self.original.__enter__()
        self._about.see_headers(response)
        return response

    def __exit__(self, *how: Any) -> Any:
        return self.original.__exit__(*how)


class _EnteredLater(_Entered):
    """As :class:`_Entered`, for ``async with``."""

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


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a wrapped method, before it returned."""

    method: Method
    instance: Any
    args: tuple[Any, ...]
    given: dict[str, Any]
    ticket: Ticket | None = None

    @property
    def maker(self) -> str:
        """Whose SDK it is, which serves the call where nothing says otherwise."""
        if self.method.others:
            return self._provider or UNKNOWN
        module = self.method.module.partition(".")[0]
        return _MAKERS.get(module, module)

    @property
    def _provider(self) -> str | None:
        """The provider that LiteLLM sends a call to, as it says."""
        from litellm import get_llm_provider

        asked = self.given.get("custom_llm_provider"), self.given.get("api_base")
        with suppress(Exception):  # it knows no such model, and the call itself will say so
            return str(get_llm_provider(model_of(self.given) or "", *asked)[1])
        return None

    def tell(self, captured: Captured) -> None:
        """Tell whoever was asked before of a call that came of it."""
        if self.ticket is not None:
            self.ticket.report(captured)

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Tell whoever was asked before where the call fails."""
        try:
            yield
        except BaseException as fault:
            if self.ticket is None:
                raise
            self.ticket.failed(fault)
            if (denied := self.ticket.denied) is not None and denied is not fault:
                raise denied from fault
            raise

    @property
    def _client(self) -> Any:
        return getattr(self.instance, "_client", None) or getattr(self.instance, "_api_client", None)

    @property
    def _address(self) -> str:
        client = self._client
        address = getattr(client, "base_url", None) or getattr(client, "_base_url", None)
        options = getattr(client, "_http_options", None)
        return str(address or getattr(options, "base_url", None) or "")

    @property
    def service(self) -> str | None:
        """Who serves the call, where the client or its host says so; the response tells otherwise."""
        if type(self._client).__name__.removeprefix("Async").startswith("AzureOpenAI"):
            return "azure"
        return service_of(self._address)

    @property
    def region(self) -> str | None:
        """Where the call runs, where the client says so."""
        client = self._client
        stated = getattr(client, "location", None) if getattr(client, "vertexai", False) else None
        return region_of(self._address) or (stated if isinstance(stated, str) else None)

    @property
    def model(self) -> str | None:
        """The model that was asked for."""
        model = model_of(self.given) or (
            self.args[0] if self.args and isinstance(self.args[0], str) else None
        )
        if model and self.method.others:
            model = model.removeprefix(f"{self.maker}/")
        return model.removeprefix("models/") if model else None

    @property
    def stream_model(self) -> str | None:
        """The model of a stream that names none itself."""
        return None

    @property
    def bounds(self) -> Bounds | None:
        """The most that its request can use; ``None`` where nothing in it says how much it will use."""
        return bounds_of(self.method.module, self.method.name, self.given)

    def named(self, call: Captured) -> Captured:
        """Return a call that was read, with what is known of it beside: its model, its region, its tier."""
        model = self.model if call.model in {"", "unknown"} and self.model else call.model
        return replace(
            call,
            model=model,
            region=call.region or self.region,
            service_tier=call.service_tier or self._unconfirmed_tier(),
        )

    def _unconfirmed_tier(self) -> str | None:
        """Return ``unconfirmed`` where Gemini was asked for a tier and no answer says which one served."""
        config = self.given.get("config")
        asked = (
            config.get("service_tier")
            if isinstance(config, Mapping)
            else getattr(config, "service_tier", None)
        )
        named = str(getattr(asked, "value", asked) or "").lower()
        google = self.method.module.startswith("google.")
        return "unconfirmed" if google and named and named not in {"standard", "unspecified"} else None

    def unread(self, fault: Exception) -> Captured:
        """Return the call of a response that could not be read."""
        service = self.service or self.maker
        return unreadable(service, self.model or "", fault, region=self.region)

    def report(self, response: Any, report: Report) -> None:
        """Send the calls in a whole response on."""
        for number, call in enumerate(
            read_response(response, service=self.service, model=self._fallback(response))
        ):
            report(self.named(call) if number == 0 else replace(call, region=call.region or self.region))

    def _fallback(self, response: Any) -> str | None:
        """Return the model that was asked for, where the response names none."""
        stated = response.get("model") if isinstance(response, Mapping) else getattr(response, "model", None)
        stated = stated or getattr(response, "model_version", None)
        parse = getattr(response, "parse", None)
        return None if stated or callable(parse) else self.model

    def remember(self, result: Any) -> None:
        """Keep what only the request of a job says, for when its result is read."""

    def unstated(self) -> Captured:
        """Return the call behind an answer that never says what is billed."""
        return Captured(
            service=self.service or self.maker,
            model=self.model or UNKNOWN,
            usage=Usage(),
            region=self.region,
            usage_known=False,
            incomplete="the answer does not state what is billed: give its counts to log_usage",
        )

    def see_headers(self, response: Any) -> None:
        """Tell of the call whose answer has just begun; the program gets it, whatever is wrong with it."""
        try:
            self.report(response, self.tell)
        except UnknownResponse:
            self.tell(self.unstated())
        except Exception as fault:
            self.tell(self.unread(fault))

    def report_speech(self, report: Report) -> None:
        """Send speech on, whose answer states nothing: its text is billed by the character, or by tokens."""
        text = self.given.get("input")
        report(
            Captured(
                service=self.service or "openai",
                model=self.model or UNKNOWN,
                usage=Usage(characters=len(text) if isinstance(text, str) else 0),
                operation="speech",
                region=self.region,
                usage_known=isinstance(text, str),
            )
        )


@dataclass(frozen=True, slots=True)
class MediaCall(Call):
    """A call of a service of speech, translation or documents, before it returned.

    ``given`` are its arguments by their names, ``asked`` the models of jobs that were sent before, by job.
    """

    method: MediaMethod
    asked: dict[str, str] = field(default_factory=dict)

    @property
    def maker(self) -> str:
        """Whose call it is where the answer does not say so."""
        return self.method.service

    @property
    def service(self) -> str | None:
        """Nothing: the adapter that reads the answer knows."""
        return None

    @property
    def region(self) -> str | None:
        """Nothing: list prices of these services hold everywhere."""
        return None

    @property
    def model(self) -> str | None:
        """The model that was asked for."""
        return self._features or text_at(self.given, self.method.model) or self.method.default

    @property
    def _features(self) -> str | None:
        named = self.given.get(self.method.features) if self.method.features else None
        asked = [str(each).lower() for each in named] if isinstance(named, (list, tuple)) else []
        return "+".join(sorted(asked)) or None

    def remember(self, result: Any) -> None:
        """Keep the model of a job, which its result does not name."""
        job, model = found_at(result, self.method.job), self.model
        if job and model:
            self.asked[str(job)] = model

    @property
    def stream_model(self) -> str | None:
        """The model of a stream: what was asked for is what it has."""
        return self.model

    @property
    def bounds(self) -> Bounds | None:
        """Nothing: sound and documents are billed by what is in them."""
        return None

    def named(self, call: Captured) -> Captured:
        """Return a call that was read, with what only its arguments say: its model, its text, its job."""
        job = str(self._job or "")
        asked = self._features or self.asked.get(job) or self.asked.get(call.request_id or "") or self.model
        model, plus, features = call.model.partition("+")
        if asked and (model in {"", UNKNOWN} or self.method.features):
            call = replace(call, model=asked if self.method.features else asked + plus + features)
        if not call.usage_known and (count := characters_at(self.given, self.method.text)):
            call = replace(call, usage=Usage(characters=count), usage_known=True, incomplete=None)
        return replace(call, request_id=job) if job and not call.request_id else call

    @property
    def _job(self) -> object:
        way = self.method.job
        if not way:
            return None
        return found_at(self.instance, way[1:]) if way[0] == "self" else found_at(self.given, way)

    def report(self, response: Any, report: Report) -> None:
        """Send the calls in an answer on."""
        for call in read_response(response):
            report(self.named(call))


class BedrockCall(MediaCall):
    """A call of Bedrock's runtime through boto3, before it returned."""

    __slots__ = ()

    @property
    def service(self) -> str | None:
        """Bedrock, whoever made the model."""
        return BEDROCK

    @property
    def region(self) -> str | None:
        """The region of the client."""
        region = found_at(self.instance, ("meta", "region_name"))
        return region if isinstance(region, str) else None

    @property
    def bounds(self) -> Bounds | None:
        """The most that its request can use; nothing for what is billed by seconds or pictures."""
        return None if self.method.reads == "unstated" else bounds_of_bedrock(self.given)

    def named(self, call: Captured) -> Captured:
        """Return a call that was read, with its model and its region, which no answer states."""
        found = super().named(call)
        return replace(found, region=found.region or self.region)

    def report(self, response: Any, report: Report) -> None:
        """Send the calls in an answer on."""
        for call in calls_in(response, self.model):
            report(self.named(call))
