"""The calls that wrapped methods make: what is known of one before it is sent, and how its answer is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from ..capture.captured import Captured, unreadable
from ..capture.hosts import region_of, service_of
from ..capture.reading import UnknownResponse, read_response
from ..model import UNKNOWN, Usage
from .answers import LastAnswer
from .bedrock import SERVICE as BEDROCK
from .bedrock import calls_in, units_of
from .bounds import RequestBounds, bounds_of, bounds_of_bedrock, model_of
from .jobs import STARTED, Jobs, has_failed
from .methods import MediaMethod, Method, characters_at, found_at, text_at

if TYPE_CHECKING:
    from .sending import Ticket

Report = Callable[[Captured], object]

_MAKERS: Final = {"mistralai": "mistral"}
"""Who makes an SDK, where its module is not called so."""


@dataclass(frozen=True, slots=True)
class WrappedCall:
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
        """Tell whoever was asked before where the call fails, and of an answer that came all the same."""
        try:
            with LastAnswer() as answer:
                yield
        except BaseException as fault:
            if self.ticket is None:
                raise
            if not self.reported(answer, failed=True):
                self.ticket.failed(fault)
            if (denied := self.ticket.denied) is not None and denied is not fault:
                raise denied from fault
            raise
        self.reported(answer, failed=False)

    def reported(self, answer: LastAnswer, *, failed: bool) -> bool:
        """Tell of answers that the SDK read and could not make what was asked for of, if any came.

        ``failed`` tells whether no result came of those that were not refused either.
        """
        told = False
        for read in (*answer.refused, *(answer.reads if failed else ())):
            with suppress(Exception):  # no response: a stream that was opened, say
                response = read()
                is_body = self.method.others and isinstance(response, dict)  # which names no service
                self.report(response, self._tell_as_makers if is_body else self.tell)
                told = True
        return told

    def _tell_as_makers(self, captured: Captured) -> None:
        self.tell(replace(captured, service=self.maker))

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
        if getattr(self._client, "vertexai", False) is True:
            return "vertex"  # also where it sends to an address of one's own
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
    def bounds(self) -> RequestBounds | None:
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

    def unanswered(self) -> Captured:
        """Return the call behind a request that was sent and not answered."""
        why = "its request was sent and no answer came: the provider may bill it"
        return replace(WrappedCall.unstated(self), incomplete=why)

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
class MediaCall(WrappedCall):
    """A call of a service of speech, translation or documents, before it returned.

    ``given`` are its arguments by their names, ``jobs`` what was started before.
    """

    method: MediaMethod
    jobs: Jobs = field(default_factory=Jobs)

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
        """The model that was asked for; of Document AI the name of the processor, or of its version."""
        asked = text_at(self.given, self.method.model)
        if asked and "/processors/" in asked:
            asked = asked.rpartition("/")[2]
        return self._features or asked or self.method.default

    @property
    def _features(self) -> str | None:
        named = self.given.get(self.method.features) if self.method.features else None
        asked = [str(each).lower() for each in named] if isinstance(named, (list, tuple)) else []
        return "+".join(sorted(asked)) or None

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Tell whoever was asked before where the call fails; forget the job where that failed."""
        try:
            with WrappedCall.failing(self):
                yield
        except BaseException:
            if self.method.reads == "known" and has_failed(self.instance):
                self.jobs.read((self.method.service,), self._job)
            raise

    @property
    def speaker(self) -> object:
        """What tells of its jobs in events; ``None`` where nothing does."""
        return None

    def remember(self, result: Any) -> None:
        """Keep a job that was started."""
        self.jobs.started(self, result)

    def not_read(self, job: Hashable) -> Captured:
        """Return the call of a job that was started, for when its result is not read."""
        call = self.unstated()
        if not isinstance(job, str):
            return self.named(
                replace(call, incomplete="its result was not read: give its counts to log_usage")
            )
        why = f"the job {job} was started and no result of it was read: give its counts to log_usage"
        return self.named(replace(call, incomplete=why, request_id=f"{job}{STARTED}"))

    @property
    def stream_model(self) -> str | None:
        """The model of a stream: what was asked for is what it has."""
        return self.model

    @property
    def bounds(self) -> RequestBounds | None:
        """Nothing: sound and documents are billed by what is in them."""
        return None

    def named(self, call: Captured) -> Captured:
        """Return a call that was read, with what only its arguments say: its model, its text, its job."""
        job = self._job
        asked = self._features or self.jobs.model_of(job) or self.jobs.model_of(call.request_id) or self.model
        model, plus, features = call.model.partition("+")
        if asked and (model in {"", UNKNOWN} or self.method.features):
            call = replace(call, model=asked if self.method.features else asked + plus + features)
        if not call.usage_known and (count := self._characters):
            call = replace(call, usage=Usage(characters=count), usage_known=True, incomplete=None)
        return replace(call, request_id=job) if isinstance(job, str) and not call.request_id else call

    @property
    def _characters(self) -> int:
        return characters_at(self.given, self.method.text)

    @property
    def _job(self) -> Hashable:
        way = self.method.job
        if not way:
            return None
        job = found_at(self.instance, way[1:]) if way[0] == "self" else found_at(self.given, way)
        return job if isinstance(job, Hashable) else None

    def report(self, response: Any, report: Report) -> None:
        """Send the calls in an answer on."""
        for call in read_response(response):
            report(self.named(call))

    def report_known(self, answer: Any, report: Report) -> None:
        """Send the calls on that an answer about a job states; one that is over was read then."""
        told: list[Captured] = []
        with suppress(UnknownResponse):
            self.report(answer, told.append)
        for call in told:
            report(call)
        if told or has_failed(answer) or not isinstance(self._job, str):
            named = {call.request_id for call in told if self.method.reads != "event"}
            services = {self.method.service, *(call.service for call in told)}
            self.jobs.read(services, *{self._job, *named})


class AzureSpeechCall(MediaCall):
    """A sentence that Azure's Speech SDK recognises or says, or an event about one.

    The SDK tells it in its events, in what its futures give, or in both: a result has an id, so it counts
    once. A partial result, and one that was cancelled, is not billed.
    """

    __slots__ = ()

    @property
    def model(self) -> str | None:
        """The kind of the voice; of what is recognised nothing, which the result tells."""
        if not self.method.text:
            return None
        named = _VOICE.findall(self._text) or [self._property("SpeechServiceConnection_SynthVoice")]
        return "hd" if any("DragonHD" in voice for voice in named) else "neural"

    def _property(self, name: str) -> str:
        """Return a property of the object that speaks."""
        properties: Any = found_at(self.instance, ("properties",))
        if properties is None:
            return ""
        from azure.cognitiveservices.speech import PropertyId

        return str(properties.get_property(PropertyId[name]))

    @property
    def speaker(self) -> object:
        """The handle of the recogniser, which its events have too."""
        signal = found_at(self.instance, ("_EventSignal__handle",))
        return signal or (None if self.method.text else found_at(self.instance, ("_handle",)))

    @property
    def _text(self) -> str:
        return text_at(self.given, self.method.text) or ""

    @property
    def _characters(self) -> int:
        """The characters that are billed: those of the text and of its marks, Chinese ones twice.

        Source: https://learn.microsoft.com/azure/ai-services/speech-service/text-to-speech (pricing note,
        2026-11-30).
        """
        text = _UNBILLED_MARKS.sub("", self._text) if "ssml" in self.given else self._text
        return len(text) + len(_CHINESE.findall(text))

    def named(self, call: Captured) -> Captured:
        """Return a call that was read, with what its request said of it."""
        sent = self.jobs.request_of(self._job)
        if sent is not None and not call.usage_known:
            incomplete = None if sent.usage_known else call.incomplete
            known = sent.usage_known
            return replace(call, model=sent.model, usage=sent.usage, usage_known=known, incomplete=incomplete)
        return super().named(call)

    def report(self, response: Any, report: Report) -> None:
        """Send the call in a result or an event on; of what was said the event tells no text."""
        told = self.method.reads == "event"
        for call in read_response(found_at(response, ("result",)) if told else response):
            if told and call.operation == "speech":
                continue
            if told:
                self.jobs.heard(self.speaker)
            report(self.named(call))


_VOICE: Final = re.compile(r"""<voice\b[^>]*\bname\s*=\s*["']([^"']*)""")
_UNBILLED_MARKS: Final = re.compile(r"</?(?:speak|voice)\b[^>]*>|<\?xml[^>]*\?>")
_CHINESE: Final = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


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
    def bounds(self) -> RequestBounds | None:
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


class BedrockAgentCall(BedrockCall):
    """A call of Bedrock's agents, knowledge bases and rerankers through boto3.

    Only traces of an agent state usage; of documents that are ranked, the request has what is billed.
    """

    __slots__ = ()

    @property
    def bounds(self) -> RequestBounds | None:
        """Nothing: what an agent or a knowledge base adds is not in the request."""
        return None

    def unstated(self) -> Captured:
        """Return the call behind an answer that never says what is billed."""
        call = super().unstated()
        if not (units := units_of(self.given)):
            return call
        return replace(call, usage=Usage(search_units=units), usage_known=True, incomplete=None)
