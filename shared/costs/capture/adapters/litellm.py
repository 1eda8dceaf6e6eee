"""LiteLLM's responses: OpenAI's format, with the provider and a stated cost kept aside.

LiteLLM adds the cache to ``prompt_tokens`` for every provider.
Source: https://docs.litellm.ai/docs/completion/usage and the types of the ``litellm`` package.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ...money import from_usd
from ..adapter import Adapter
from ..captured import Captured
from ..fields import Fields
from . import openai
from ._openai_stream import OpenAIFollower
from ._openai_stream import recognises_chunk as is_openai_chunk


def _is_litellm(fields: Fields) -> bool:
    return any(cls.__module__.partition(".")[0] == "litellm" for cls in type(fields.raw).__mro__)


def _recognises(fields: Fields) -> bool:
    return _is_litellm(fields) and openai.ADAPTER.recognises(fields)


def _read(fields: Fields) -> Iterable[Captured]:
    hidden = Fields(fields.get("_hidden_params"))
    cost = hidden.get("response_cost")
    stated = from_usd(cost) if isinstance(cost, (int, float)) and 0 <= cost < 1e6 else None
    for call in openai.ADAPTER.read(fields):
        yield replace(
            call,
            service=hidden.text("custom_llm_provider") or call.service,
            actual_cost=stated if stated is not None else call.actual_cost,
        )


def recognises_chunk(chunk: Fields) -> bool:
    """Tell whether this is a chunk of LiteLLM's own class."""
    return _is_litellm(chunk) and is_openai_chunk(chunk)


class LiteLLMFollower(OpenAIFollower):
    """Follows a stream of LiteLLM's chunks, which say who really serves it."""

    def __init__(self) -> None:
        super().__init__(openai.ADAPTER.read)
        self._provider: str | None = None

    def add(self, chunk: Fields) -> None:
        """Take in one chunk."""
        super().add(chunk)
        self._provider = Fields(chunk.get("_hidden_params")).text("custom_llm_provider") or self._provider

    def result(self, ending: str) -> Iterable[Captured]:
        """Return the call, as its provider's."""
        for call in super().result(ending):
            yield replace(call, service=self._provider or call.service)


ADAPTER = Adapter(
    name="LiteLLM",
    knows="LiteLLM (all that it returns in OpenAI's format)",
    packages=frozenset({"litellm"}),
    recognises=_recognises,
    read=_read,
    recognises_chunk=recognises_chunk,
    follow=LiteLLMFollower,
)
