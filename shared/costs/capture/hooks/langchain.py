"""A LangChain callback handler that records every model call of a chain or an agent.

    from shared.costs.capture.hooks.langchain import CostCallbackHandler

    model.invoke("...", config={"callbacks": [CostCallbackHandler(tracker)]})

Streams need ``stream_usage=True`` if the model does not set it by itself.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from ...extras import needs
from ...forks import lock_of
from ...model import UNKNOWN
from ..adapters.langchain import ADAPTER, service_of
from ..captured import Captured, Sink, unreadable
from ..fields import Fields
from ..reading import read_response
from ..watch import broke

try:
    from langchain_core.callbacks import BaseCallbackHandler
except ImportError:
    BaseCallbackHandler = needs("langchain-core")  # its stand-in

if TYPE_CHECKING:
    from langchain_core.outputs import LLMResult

log = logging.getLogger("shared.cost_tracker")


class CostCallbackHandler(BaseCallbackHandler):  # type: ignore[misc]  # Any where it is missing
    """Records each model call with ``sink`` (a ``CostTracker``) when it ends, also if it breaks midway."""

    def __init__(self, sink: Sink) -> None:
        self._calls = ModelCalls(sink)

    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: UUID, **more: Any) -> None:
        """Keep the names of model and provider, because not every response repeats them."""
        self._calls.begin(run_id, _call_metadata(serialized, more.get("metadata")))

    def on_llm_start(self, serialized: Any, prompts: Any, *, run_id: UUID, **more: Any) -> None:
        """Like :meth:`on_chat_model_start`, for models that complete text."""
        self._calls.begin(run_id, _call_metadata(serialized, more.get("metadata")))

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **more: Any) -> None:
        """Record the call. Raises nothing."""
        self._calls.end(run_id, response)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **more: Any) -> None:
        """Record what arrived of a stream before it broke; a call without an answer is not billed."""
        self._calls.fail(run_id, more.get("response"), error)


class ModelCalls:
    """The model calls in progress, by LangChain's run id."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._metadata: dict[UUID, Mapping[str, object]] = {}
        self._lock = lock_of(self, "_lock")

    def begin(self, run_id: UUID, metadata: Mapping[str, object] | None) -> None:
        """Keep LangChain's metadata of a call that begins."""
        with self._lock:
            self._metadata[run_id] = metadata or {}

    def end(self, run_id: UUID, response: object) -> None:
        """Record a call that succeeded. Raises nothing."""
        self._record(run_id, lambda: ADAPTER.read(Fields(response)))

    def fail(self, run_id: UUID, response: object, error: BaseException) -> None:
        """Record what arrived of a call that failed. Raises nothing."""
        self._record(run_id, lambda: [*_broken(Fields(response), broke(error)), *_unparsed(error)])

    def _record(self, run_id: UUID, read: Callable[[], Iterable[Captured]]) -> None:
        with self._lock:
            metadata = Fields(self._metadata.pop(run_id, {}))
        try:
            for call in _readable(read):
                self._sink.record_captured(_with_names(call, metadata))
        except Exception:
            # Whatever is wrong with recording, the chain must go on.
            log.exception("a LangChain call could not be recorded")


def _readable(read: Callable[[], Iterable[Captured]]) -> list[Captured]:
    """Return the calls; one of unknown usage if they cannot be read."""
    try:
        return list(read())
    except Exception as fault:
        log.warning("a response of LangChain is recorded without its usage: %s", fault)
        return [unreadable("langchain", "", fault)]


def _broken(response: Fields, ending: str) -> Iterable[Captured]:
    for alternatives in response.parts("generations"):
        for generation in Fields({"all": alternatives.raw}).parts("all"):
            message = generation.part("message")
            if message.get("content") or message.has("usage_metadata"):
                follower = ADAPTER.follow()
                follower.add(message)
                yield from follower.result(ending)


def _unparsed(error: BaseException) -> Iterable[Captured]:
    """Return the call whose answer an error carries: the answer was cut off and cannot be parsed.

    Source: ``LengthFinishReasonError`` of openai 3.57, which langchain-openai 1.7 lets through, 2026-11-30.
    """
    answer = getattr(error, "completion", None)
    return read_response(answer) if Fields(answer).has("usage") else []


_SELLERS: Final = frozenset(
    {"azure", "openrouter", "anthropic-bedrock", "anthropic-mantle", "google_vertexai"}
)
"""Providers that serve calls whose messages name the maker of the model, or nobody.
Source: ``AzureChatOpenAI`` of langchain-openai 1.7, ``ChatOpenRouter`` of langchain-openrouter 0.2.9 and
``ChatAnthropicBedrock`` of langchain-aws, 2026-11-30."""


_LOCATION: Final = "vertex_location"


def _call_metadata(serialized: object, metadata: dict[str, object] | None) -> dict[str, object] | None:
    """Return LangChain's metadata of a call; for Vertex AI with its provider and location from the client."""
    client = Fields(serialized).part("kwargs")
    if not metadata or metadata.get("ls_provider") != "google_genai" or not _is_vertex(client):
        return metadata
    location = client.text("location") or os.environ.get("GOOGLE_CLOUD_LOCATION")
    return metadata | {"ls_provider": "google_vertexai", _LOCATION: location}


def _is_vertex(client: Fields) -> bool:
    """Tell whether ``ChatGoogleGenerativeAI`` sends to Vertex AI, which its messages do not say.

    Source: ``_determine_backend`` of langchain-google-genai 4.4.3, 2026-11-30.
    """
    setting = client.get("vertexai")
    if setting is None and (switch := os.environ.get("GOOGLE_GENAI_USE_VERTEXAI", "").lower()) in _SWITCH:
        setting = _SWITCH[switch]
    return bool(client.has("credentials") or client.has("project")) if setting is None else bool(setting)


_SWITCH: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def _with_names(call: Captured, metadata: Fields) -> Captured:
    model_name = "" if call.model == UNKNOWN else call.model
    model = model_name or metadata.text("ls_model_name") or UNKNOWN
    service, provider = call.service, metadata.text("ls_provider")
    if service == "langchain" or provider in _SELLERS:
        service = service_of(provider, model)
    return replace(call, model=model, service=service, region=call.region or metadata.text(_LOCATION))
