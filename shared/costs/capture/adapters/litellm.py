"""LiteLLM's responses: OpenAI's format, with the provider and a stated cost in hidden parameters.

LiteLLM adds the cache to ``prompt_tokens`` for every provider. Its cost is an estimate, which streams also
have as ``usage.cost``, where servers state their bills. An answer from its own cache (``cache_hit``) was not
sent to a provider.
Source: https://docs.litellm.ai/docs/completion/usage and the types of the ``litellm`` package (1.110).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from ...money import Nanos
from ...pricing.names import states_bills
from ..adapter import Adapter
from ..captured import Captured, answered_from_cache, usage_of, usd_of
from ..fields import Fields
from . import anthropic, openai
from ._openai_stream import OpenAIFollower
from ._openai_stream import recognises_chunk as is_openai_chunk


def _is_litellm(fields: Fields) -> bool:
    return any(cls.__module__.partition(".")[0] == "litellm" for cls in type(fields.raw).__mro__)


def _recognises(fields: Fields) -> bool:
    return _is_litellm(fields) and openai.ADAPTER.recognises(fields)


def _read(fields: Fields) -> Iterable[Captured]:
    hidden = Fields(fields.get("_hidden_params"))
    stated_amount = usd_of(hidden.get("response_cost"))
    for call in openai.ADAPTER.read(fields):
        served = _as_stated(call, hidden)
        completed = _counted(_as_it_ran(fields, served), hidden)
        if hidden.get("cache_hit") is True:
            yield answered_from_cache(completed)
        else:
            yield with_estimate(completed, stated_amount)
            stated_amount = None  # it was the cost of all of them


_UPSTREAM: Final = "upstream_usage_cost"
"""Where LiteLLM keeps the server's cost after putting its own into ``usage.cost``."""


def _as_stated(call: Captured, hidden: Fields) -> Captured:
    """Return a call under the service that served it, with the server's cost instead of LiteLLM's own.

    LiteLLM does not keep Perplexity's cost, which is an object: its own cost is that object's total.
    """
    served = replace(call, service=hidden.text("custom_llm_provider") or call.service)
    params = hidden.raw if isinstance(hidden.raw, Mapping) else {}
    if served.stated_by != "server" or _UPSTREAM not in params:
        return served
    if (stated_amount := usd_of(params[_UPSTREAM])) is not None:
        return replace(served, actual_cost=stated_amount)
    return served if served.service == "perplexity" else replace(served, stated_by="estimate")


def _as_it_ran(fields: Fields, call: Captured) -> Captured:
    """Return a call with its region and speed, which LiteLLM passes on in Anthropic's fields."""
    usage = Fields({"usage": fields.get("usage")}).part("usage")
    region = anthropic.region_of(usage)
    tier = "fast" if usage.text("speed") == "fast" and call.service_tier is None else call.service_tier
    return replace(call, region=call.region or region, service_tier=tier)


def _counted(call: Captured, hidden: Fields) -> Captured:
    """Return a call with the duration that LiteLLM measured; flagged if its counts are not as billed."""
    if call.service.startswith("cohere") and call.operation == "chat":
        return replace(call, incomplete=call.incomplete or _PROCESSED)
    seconds = hidden.number("audio_transcription_duration")
    if call.operation != "transcription" or call.usage_known or not seconds:
        return call
    return measured(call, seconds)


_PROCESSED: Final = "LiteLLM hands on the tokens that Cohere processed: it bills fewer of the input"


def measured(call: Captured, seconds: float) -> Captured:
    """Return a transcription with the measured length of its recording, which the answer does not state."""
    usage, fault = usage_of({"audio_seconds": seconds})
    reason = "the answer states no duration: the recording was measured"
    return replace(call, usage=usage, usage_known=not usage.is_zero, incomplete=fault or reason)


def with_estimate(call: Captured, estimate: Nanos | None) -> Captured:
    """Return a call with the cost that LiteLLM computed, unless the server stated a bill.

    A cost of 0 is ignored, because LiteLLM computes it for models that it does not know.
    """
    if not estimate or call.stated_by == "bill":
        return call
    if call.stated_by == "server" and states_bills(call.service):
        return call
    return replace(call, actual_cost=estimate, stated_by="estimate")


def recognises_chunk(chunk: Fields) -> bool:
    """Tell whether this is a chunk of LiteLLM's own class."""
    return _is_litellm(chunk) and is_openai_chunk(chunk)


class LiteLLMFollower(OpenAIFollower):
    """Follows a stream of LiteLLM's chunks, which name the provider that serves it."""

    def __init__(self) -> None:
        super().__init__(openai.ADAPTER.read)
        self._hidden: dict[str, object] = {}

    def add(self, chunk: Fields) -> None:
        """Read one chunk, or an event of a response, which has the hidden parameters in its ``response``."""
        super().add(chunk)
        for part in (chunk, chunk.part("response")):
            hidden = part.get("_hidden_params")
            if isinstance(hidden, Mapping):
                self._hidden |= {
                    name: value
                    for name, value in hidden.items()
                    if name == _UPSTREAM or (name == "custom_llm_provider" and value)
                }

    def result(self, ending: str) -> Iterable[Captured]:
        """Return the call, under its provider."""
        for call in super().result(ending):
            yield _as_stated(call, Fields(self._hidden))


ADAPTER = Adapter(
    name="LiteLLM",
    knows="LiteLLM (all that it returns in OpenAI's format)",
    packages=frozenset({"litellm"}),
    recognises=_recognises,
    read=_read,
    recognises_chunk=recognises_chunk,
    follow=LiteLLMFollower,
)
