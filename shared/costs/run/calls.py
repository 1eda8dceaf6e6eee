"""The calls that wrapped methods make: what is known before a call is sent, and how its answer is read."""

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
from .methods import MediaMethod, Method, characters_at, text_at, value_at

if TYPE_CHECKING:
    from .sending import Ticket

Report = Callable[[Captured], object]

_MAKERS: Final = {"mistralai": "mistral"}
"""The makers of SDKs whose modules have another name."""


@dataclass(frozen=True, slots=True)
class WrappedCall:
    """One call of a wrapped method."""

    method: Method
    instance: Any
    args: tuple[Any, ...]
    arguments: dict[str, Any]
    ticket: Ticket | None = None

    @property
    def maker(self) -> str:
        """The maker of the SDK, which serves the call if nothing says otherwise."""
        if self.method.calls_other_sdks:
            return self._provider or UNKNOWN
        module = self.method.module.partition(".")[0]
        return _MAKERS.get(module, module)

    @property
    def _provider(self) -> str | None:
        """The provider that LiteLLM sends the call to, by LiteLLM's own function."""
        from litellm import get_llm_provider

        provider_and_base = self.arguments.get("custom_llm_provider"), self.arguments.get("api_base")
        with suppress(Exception):  # LiteLLM does not know the model, and the call itself will fail
            return str(get_llm_provider(model_of(self.arguments) or "", *provider_and_base)[1])
        return None

    def record(self, captured: Captured) -> None:
        """Record what was captured of this call, under its ticket."""
        if self.ticket is not None:
            self.ticket.report(captured)

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Notify the ticket if the call fails, and record an answer that came all the same."""
        try:
            with LastAnswer() as answer:
                yield
        except BaseException as fault:
            if self.ticket is None:
                raise
            if not self.record_unused(answer, failed=True):
                self.ticket.failed(fault)
            if (denied := self.ticket.denied) is not None and denied is not fault:
                raise denied from fault
            raise
        self.record_unused(answer, failed=False)

    def record_unused(self, answer: LastAnswer, *, failed: bool) -> bool:
        """Record answers that the SDK read but could not return; tell whether there were any.

        ``failed`` says that the call raised, so that the answers that were not refused went unused too.
        """
        is_recorded = False
        for read in (*answer.refused, *(answer.reads if failed else ())):
            with suppress(Exception):  # not a response, for example a stream that was opened
                response = read()
                is_body = self.method.calls_other_sdks and isinstance(
                    response, dict
                )  # a body names no service
                self.report(response, self._record_as_maker if is_body else self.record)
                is_recorded = True
        return is_recorded

    def _record_as_maker(self, captured: Captured) -> None:
        self.record(replace(captured, service=self.maker))

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
        """The service, if the client or its host names one; otherwise the response names it."""
        if type(self._client).__name__.removeprefix("Async").startswith("AzureOpenAI"):
            return "azure"
        if getattr(self._client, "vertexai", False) is True:
            return "vertex"  # also with a custom address
        return service_of(self._address)

    @property
    def region(self) -> str | None:
        """The region of the call, if the client states one."""
        client = self._client
        location = getattr(client, "location", None) if getattr(client, "vertexai", False) else None
        return region_of(self._address) or (location if isinstance(location, str) else None)

    @property
    def model(self) -> str | None:
        """The requested model."""
        model = model_of(self.arguments) or (
            self.args[0] if self.args and isinstance(self.args[0], str) else None
        )
        if model and self.method.calls_other_sdks:
            model = model.removeprefix(f"{self.maker}/")
        return model.removeprefix("models/") if model else None

    @property
    def stream_model(self) -> str | None:
        """The model of a stream that names none itself; ``None`` if the stream names it."""
        return None

    @property
    def bounds(self) -> RequestBounds | None:
        """The most that the request can use; ``None`` if nothing in it limits its usage."""
        return bounds_of(self.method.module, self.method.name, self.arguments)

    def completed(self, call: Captured) -> Captured:
        """Return a captured call with the model, region and tier of the request, unless it has its own."""
        model = self.model if call.model in {"", "unknown"} and self.model else call.model
        return replace(
            call,
            model=model,
            region=call.region or self.region,
            service_tier=call.service_tier or self._unconfirmed_tier(),
        )

    def _unconfirmed_tier(self) -> str | None:
        """Return ``unconfirmed`` if Gemini was asked for a tier and no answer states the tier that served."""
        config = self.arguments.get("config")
        requested_tier = (
            config.get("service_tier")
            if isinstance(config, Mapping)
            else getattr(config, "service_tier", None)
        )
        tier_name = str(getattr(requested_tier, "value", requested_tier) or "").lower()
        is_google = self.method.module.startswith("google.")
        return (
            "unconfirmed"
            if is_google and tier_name and tier_name not in {"standard", "unspecified"}
            else None
        )

    def unreadable_call(self, fault: Exception) -> Captured:
        """Return the call of a response that could not be read."""
        service = self.service or self.maker
        return unreadable(service, self.model or "", fault, region=self.region)

    def report(self, response: Any, report: Report) -> None:
        """Pass the calls in a whole response to ``report``."""
        for number, call in enumerate(
            read_response(response, service=self.service, model=self._fallback(response))
        ):
            report(self.completed(call) if number == 0 else replace(call, region=call.region or self.region))

    def _fallback(self, response: Any) -> str | None:
        """Return the requested model if the response names none, else ``None``."""
        response_model = (
            response.get("model") if isinstance(response, Mapping) else getattr(response, "model", None)
        )
        response_model = response_model or getattr(response, "model_version", None)
        parse = getattr(response, "parse", None)
        return None if response_model or callable(parse) else self.model

    def remember(self, result: Any) -> None:
        """Remember what only a job's request states, until its result is read."""

    def unstated_call(self) -> Captured:
        """Return the call behind an answer that does not state what is billed."""
        return Captured(
            service=self.service or self.maker,
            model=self.model or UNKNOWN,
            usage=Usage(),
            region=self.region,
            usage_known=False,
            incomplete="the answer does not state what is billed: give its counts to log_usage",
        )

    def unanswered_call(self) -> Captured:
        """Return the call behind a request that was sent and not answered."""
        reason = "its request was sent and no answer came: the provider may bill it"
        return replace(WrappedCall.unstated_call(self), incomplete=reason)

    def record_headers(self, response: Any) -> None:
        """Record the call of an answer that has just begun, from its headers. Raises nothing."""
        try:
            self.report(response, self.record)
        except UnknownResponse:
            self.record(self.unstated_call())
        except Exception as fault:
            self.record(self.unreadable_call(fault))

    def report_speech(self, report: Report) -> None:
        """Report a call for speech, whose answer states nothing: it is billed by characters or tokens."""
        text = self.arguments.get("input")
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
    """A call of a speech, translation or document service.

    ``arguments`` are all its arguments by name, ``jobs`` the jobs that were started earlier.
    """

    method: MediaMethod
    jobs: Jobs = field(default_factory=Jobs)

    @property
    def maker(self) -> str:
        """The service of the call, if the answer does not state it."""
        return self.method.service

    @property
    def service(self) -> str | None:
        """``None``: the adapter that reads the answer states it."""
        return None

    @property
    def region(self) -> str | None:
        """``None``: the list prices of these services hold in every region."""
        return None

    @property
    def model(self) -> str | None:
        """The requested model; for Document AI the name of the processor or of its version."""
        requested = text_at(self.arguments, self.method.model)
        if requested and "/processors/" in requested:
            requested = requested.rpartition("/")[2]
        return self._features or requested or self.method.default

    @property
    def _features(self) -> str | None:
        requested = self.arguments.get(self.method.features) if self.method.features else None
        names = (
            [str(feature).lower() for feature in requested] if isinstance(requested, (list, tuple)) else []
        )
        return "+".join(sorted(names)) or None

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Notify the ticket if the call fails, and forget the job if the job failed."""
        try:
            with WrappedCall.failing(self):
                yield
        except BaseException:
            if self.method.reads == "known" and has_failed(self.instance):
                self.jobs.close((self.method.service,), self._job)
            raise

    @property
    def event_source(self) -> object:
        """The object whose events report its jobs; ``None`` if there is none."""
        return None

    def remember(self, result: Any) -> None:
        """Remember a job that was started."""
        self.jobs.add(self, result)

    def unread_job(self, job: Hashable) -> Captured:
        """Return the call that is recorded for a started job if nobody reads its result."""
        call = self.unstated_call()
        if not isinstance(job, str):
            return self.completed(
                replace(call, incomplete="its result was not read: give its counts to log_usage")
            )
        reason = f"the job {job} was started and no result of it was read: give its counts to log_usage"
        return self.completed(replace(call, incomplete=reason, request_id=f"{job}{STARTED}"))

    @property
    def stream_model(self) -> str | None:
        """The model of a stream, which is the requested one."""
        return self.model

    @property
    def bounds(self) -> RequestBounds | None:
        """``None``: sound and documents are billed by their content."""
        return None

    def completed(self, call: Captured) -> Captured:
        """Return a captured call with what only its arguments state: its model, its text, its job."""
        job = self._job
        requested = (
            self._features or self.jobs.model_of(job) or self.jobs.model_of(call.request_id) or self.model
        )
        model, plus, features = call.model.partition("+")
        if requested and (model in {"", UNKNOWN} or self.method.features):
            call = replace(call, model=requested if self.method.features else requested + plus + features)
        if not call.usage_known and (count := self._characters):
            call = replace(call, usage=Usage(characters=count), usage_known=True, incomplete=None)
        return replace(call, request_id=job) if isinstance(job, str) and not call.request_id else call

    @property
    def _characters(self) -> int:
        return characters_at(self.arguments, self.method.text)

    @property
    def _job(self) -> Hashable:
        path = self.method.job
        if not path:
            return None
        job = value_at(self.instance, path[1:]) if path[0] == "self" else value_at(self.arguments, path)
        return job if isinstance(job, Hashable) else None

    def report(self, response: Any, report: Report) -> None:
        """Pass the calls in an answer to ``report``."""
        for call in read_response(response):
            report(self.completed(call))

    def report_known(self, answer: Any, report: Report) -> None:
        """Report the calls in an answer about a job, and close the job if the answer ends it."""
        calls: list[Captured] = []
        with suppress(UnknownResponse):
            self.report(answer, calls.append)
        for call in calls:
            report(call)
        if calls or has_failed(answer) or not isinstance(self._job, str):
            job_names = {call.request_id for call in calls if self.method.reads != "event"}
            services = {self.method.service, *(call.service for call in calls)}
            self.jobs.close(services, *{self._job, *job_names})


class AzureSpeechCall(MediaCall):
    """A sentence that Azure's Speech SDK recognises or speaks, or an event about one.

    The SDK reports it in events, through futures, or in both: a result has an id, so it counts
    once. Partial and cancelled results are not billed.
    """

    __slots__ = ()

    @property
    def model(self) -> str | None:
        """The kind of the voice; ``None`` for recognition, whose result names the model."""
        if not self.method.text:
            return None
        voices = _VOICE.findall(self._text) or [self._property("SpeechServiceConnection_SynthVoice")]
        return "hd" if any("DragonHD" in voice for voice in voices) else "neural"

    def _property(self, name: str) -> str:
        """Return a property of the synthesizer."""
        properties: Any = value_at(self.instance, ("properties",))
        if properties is None:
            return ""
        from azure.cognitiveservices.speech import PropertyId

        return str(properties.get_property(PropertyId[name]))

    @property
    def event_source(self) -> object:
        """The handle of the recogniser, which its events have too."""
        signal = value_at(self.instance, ("_EventSignal__handle",))
        return signal or (None if self.method.text else value_at(self.instance, ("_handle",)))

    @property
    def _text(self) -> str:
        return text_at(self.arguments, self.method.text) or ""

    @property
    def _characters(self) -> int:
        """The billed characters: those of the text and its markup, Chinese ones twice.

        Source: https://learn.microsoft.com/azure/ai-services/speech-service/text-to-speech (pricing note,
        2026-11-30).
        """
        text = _UNBILLED_MARKS.sub("", self._text) if "ssml" in self.arguments else self._text
        return len(text) + len(_CHINESE.findall(text))

    def completed(self, call: Captured) -> Captured:
        """Return a captured call with what its request stated."""
        request = self.jobs.request_of(self._job)
        if request is not None and not call.usage_known:
            known = request.usage_known
            incomplete = None if known else call.incomplete
            return replace(
                call, model=request.model, usage=request.usage, usage_known=known, incomplete=incomplete
            )
        return super().completed(call)

    def report(self, response: Any, report: Report) -> None:
        """Report the call in a result or an event; events of synthesis are skipped, as they have no text."""
        is_event = self.method.reads == "event"
        for call in read_response(value_at(response, ("result",)) if is_event else response):
            if is_event and call.operation == "speech":
                continue
            if is_event:
                self.jobs.close_first_of(self.event_source)
            report(self.completed(call))


_VOICE: Final = re.compile(r"""<voice\b[^>]*\bname\s*=\s*["']([^"']*)""")
_UNBILLED_MARKS: Final = re.compile(r"</?(?:speak|voice)\b[^>]*>|<\?xml[^>]*\?>")
_CHINESE: Final = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


class BedrockCall(MediaCall):
    """A call of Bedrock's runtime through boto3."""

    __slots__ = ()

    @property
    def service(self) -> str | None:
        """Bedrock, whichever company made the model."""
        return BEDROCK

    @property
    def region(self) -> str | None:
        """The region of the client."""
        region = value_at(self.instance, ("meta", "region_name"))
        return region if isinstance(region, str) else None

    @property
    def bounds(self) -> RequestBounds | None:
        """The most that the request can use; ``None`` for what is billed by seconds or pictures."""
        return None if self.method.reads == "unstated" else bounds_of_bedrock(self.arguments)

    def completed(self, call: Captured) -> Captured:
        """Return a captured call with its model and its region, which no answer states."""
        call = super().completed(call)
        return replace(call, region=call.region or self.region)

    def report(self, response: Any, report: Report) -> None:
        """Pass the calls in an answer to ``report``."""
        for call in calls_in(response, self.model):
            report(self.completed(call))


class BedrockAgentCall(BedrockCall):
    """A call of Bedrock's agents, knowledge bases and rerankers through boto3.

    Only an agent's traces state usage. For reranking, the request states what is billed.
    """

    __slots__ = ()

    @property
    def bounds(self) -> RequestBounds | None:
        """``None``: what an agent or a knowledge base adds is not in the request."""
        return None

    def unstated_call(self) -> Captured:
        """Return the call behind an answer that does not state what is billed."""
        call = super().unstated_call()
        if not (units := units_of(self.arguments)):
            return call
        return replace(call, usage=Usage(search_units=units), usage_known=True, incomplete=None)
