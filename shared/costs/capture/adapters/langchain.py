"""LangChain messages and results of any provider.

``usage_metadata.input_tokens`` includes the cache, ``output_tokens`` includes reasoning.
Source: https://reference.langchain.com/python/langchain_core/messages/ (UsageMetadata) and the types of
the ``langchain-core`` package.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from ...model import StatedBy
from ...money import Nanos
from ...pricing.names import infer_service
from ..adapter import Adapter, characters, tier, without_usage
from ..captured import Captured, answered_from_cache, first_reason, usage_of, usd_of
from ..fields import Fields
from ..unread import every_number, unread_counts
from . import anthropic
from ._gemini_jobs import grounding_counts
from ._openai_format import Counts, token_counts, unread_units
from ._openai_tools import drawn, searches_always, tool_counts
from .openai import stated_cost

_ADVICE: Final = "; chat models send it with stream_usage=True"

_AI: Final = frozenset({"ai", "AIMessageChunk"})

_PROVIDERS: Final = {
    "google_genai": "google",
    "google_vertexai": "vertex",
    "azure_openai": "azure",
    "bedrock_converse": "bedrock",
    "amazon_bedrock": "bedrock",
    "anthropic-bedrock": "bedrock",
    "anthropic-mantle": "bedrock",
    "mistralai": "mistral",
    "mistral_ai": "mistral",
}


def _is_message(fields: Fields) -> bool:
    return fields.text("type") in _AI and (fields.has("response_metadata") or fields.has("usage_metadata"))


def _recognises(fields: Fields) -> bool:
    return _is_message(fields) or _is_result(fields)


def _is_result(fields: Fields) -> bool:
    return isinstance(fields.get("generations"), list)


def _read(fields: Fields) -> Iterable[Captured]:
    return _message(fields) if _is_message(fields) else list(_result(fields))


def _message(fields: Fields) -> list[Captured]:
    """Return the calls of a message; read as Anthropic's message if that one's own usage was kept."""
    metadata = fields.part("response_metadata")
    if (anthropic_message := _as_anthropic(fields, metadata)) is None:
        return [_call(fields)]
    model = anthropic_message.text("model") or ""
    service = service_of(metadata.text("model_provider", "ls_provider"), model)
    cost = usd_of(fields.part("usage_metadata").get("total_cost"))
    calls = []
    for call in anthropic.read_message(anthropic_message):
        # The ids of Bedrock's and Vertex's messages name them, whatever the client calls its provider.
        served = replace(call, service=service) if call.service == "anthropic" else call
        if cost == 0:
            calls.append(answered_from_cache(served))
        else:
            calls.append(replace(served, actual_cost=cost or None))
            cost = None  # it was the cost of all of them
    return calls


def _as_anthropic(fields: Fields, metadata: Fields) -> Fields | None:
    """Return the message in Anthropic's shape; ``None`` if its usage is not Anthropic's.

    Only that usage states the region, the speed, and the models that declined, advised or compacted.
    """
    usage = metadata.part("usage")
    if not usage.has("input_tokens") or usage.has("total_tokens"):
        return None
    usage_metadata = fields.part("usage_metadata")
    names = ("stop_reason", "stop_details", "container")
    by_age = {} if usage.has("cache_creation") else _by_age(usage_metadata)
    return Fields(
        {
            "type": "message",
            "id": metadata.text("id") or fields.text("id"),
            "model": metadata.text("model_name", "model", "model_id"),
            "usage": {"output_tokens": usage_metadata.count("output_tokens"), **_plain(usage), **by_age},
            "content": [block.raw for block in fields.parts("content")],
            **{name: metadata.get(name) for name in names},
        }
    )


def _by_age(usage: Fields) -> dict[str, object]:
    """Return the tokens written to the cache by their lifetime, as Anthropic states them."""
    details = usage.part("input_token_details")
    ages = ("ephemeral_1h_input_tokens", "ephemeral_5m_input_tokens")
    counts = {name: count for name in ages if (count := details.count(name))}
    return {"cache_creation": counts} if counts else {}


def _call(fields: Fields) -> Captured:
    metadata = fields.part("response_metadata")
    counts = usage_counts(fields.part("usage_metadata")) or _older_counts(metadata)
    usage, fault = usage_of({**counts, **_tools(fields, metadata)})
    model = metadata.text("model_name", "model", "model_id") or ""
    no_usage = None if counts else "the message has no usage"
    cohere = metadata.part("token_count")
    not_billed = _PROCESSED if cohere and not cohere.has("total_tokens") else None
    cost = usd_of(fields.part("usage_metadata").get("total_cost"))
    stated_amount, stated_by = _stated(metadata)
    call = Captured(
        service=service_of(metadata.text("model_provider", "ls_provider"), model),
        model=model,
        usage=usage,
        request_id=metadata.text("id") or fields.text("id"),
        service_tier=tier(metadata.text("service_tier")),
        operation="chat",
        actual_cost=(cost or None) if stated_amount is None else stated_amount,
        stated_by=stated_by,
        usage_known=bool(counts),
        unpriced_units=_unread(fields.part("usage_metadata"))
        | _unread_by_provider(metadata)
        | _pictures(fields),
        incomplete=first_reason((no_usage, fault, not_billed)),
    )
    # LangChain marks answers from its own cache with a cost of 0 (BaseChatModel._convert_cached_generations).
    return answered_from_cache(call) if cost == 0 and counts else _checked(call)


def _stated(metadata: Fields) -> tuple[Nanos | None, StatedBy]:
    """Return the cost that the server states, in its usage or outside of it.

    langchain-openrouter 0.2.9 (2026-11-30) keeps OpenRouter's bill, but not whether the user's own key was
    used: in that case the bill is a fee, a twentieth of what the provider behind it bills
    (https://openrouter.ai/docs/use-cases/usage-accounting, 2026-11-30).
    """
    if (paid := usd_of(metadata.get("cost"))) is None:
        return stated_cost(_older_usage(metadata))
    upstream = usd_of(metadata.part("cost_details").get("upstream_inference_cost"))
    own_key = upstream is not None and paid * 2 < upstream
    return stated_cost(Fields({**_plain(metadata), "is_byok": own_key}))


def _checked(call: Captured) -> Captured:
    """Return the call; its usage is marked unknown if Claude answered an input of 0 tokens.

    ``langchain-anthropic`` (1.7.10, 2026-11-29) reads a stream's usage from its last event alone, which need
    not repeat the input: ``findings/langchain_anthropic_stream_without_its_input.sh``.
    """
    usage = call.usage
    if call.service != "anthropic" or usage.tokens_input or not usage.tokens_output:
        return call
    return replace(call, usage_known=False, incomplete=first_reason((_NO_INPUT, call.incomplete)))


_PROCESSED: Final = "langchain-cohere states the tokens that Cohere processed; it bills fewer"
_NO_INPUT: Final = "the end of the stream did not repeat its input, so LangChain states 0 input tokens"


def service_of(provider: str | None, model: str) -> str:
    """Return the service behind a LangChain model, from the provider's name or else from the model's.

    >>> service_of("google_genai", "gemini-2.5-pro"), service_of(None, "claude-sonnet-4-5")
    ('google', 'anthropic')
    """
    if provider:
        return _PROVIDERS.get(provider, provider)
    return infer_service(model) or "langchain"


def usage_counts(usage: Fields) -> Counts:
    """Return the counts of a message's ``usage_metadata``, whose input includes the cache."""
    if not usage.has("input_tokens") and not usage.has("output_tokens"):
        return {}
    inputs, outputs = usage.part("input_token_details"), usage.part("output_token_details")
    hour = inputs.count("ephemeral_1h_input_tokens")
    by_age = hour + inputs.count("ephemeral_5m_input_tokens")
    return {
        "tokens_input": usage.count("input_tokens"),
        "tokens_output": usage.count("output_tokens"),
        "tokens_cached": _count_of_tier(inputs, "cache_read"),
        # Anthropic's are stated by lifetime, and then not as cache_creation.
        "tokens_cache_write": inputs.count("cache_creation") or by_age,
        "tokens_cache_write_1h": hour,
        "tokens_audio_input": inputs.count("audio"),
        "tokens_image_input": inputs.count("image"),
        "tokens_audio_output": outputs.count("audio"),
        "tokens_image_output": outputs.count("image"),
        "tokens_reasoning": _count_of_tier(outputs, "reasoning"),
    }


_KNOWN: Final = frozenset({"audio", "image", "text", "cache_read", "cache_creation", "reasoning"})
_INPUTS: Final = frozenset({"video", "document", "ephemeral_1h_input_tokens", "ephemeral_5m_input_tokens"})
_TIERED: Final = re.compile(r"(?:priority|flex)(?:_\w+)?")


def _unread(usage: Fields) -> dict[str, int | float]:
    """Return the counts of a usage that are not read here; details keep their names."""
    names = {"input_tokens", "output_tokens", "total_tokens", "input_token_details", "output_token_details"}
    units = unread_counts(usage, names)
    inputs = every_number(usage.part("input_token_details"), _KNOWN | _INPUTS)
    outputs = every_number(usage.part("output_token_details"), _KNOWN)
    for details in (inputs, outputs):
        units.update(
            {f"{name}_tokens": count for name, count in details.items() if not _TIERED.fullmatch(name)}
        )
    return units


def _unread_by_provider(metadata: Fields) -> dict[str, int | float]:
    """Return the unread counts of the provider's own usage, which some integrations keep."""
    return unread_units(_older_usage(metadata))


def _tools(fields: Fields, metadata: Fields) -> Counts:
    """Return the usage of hosted tools, which every integration has in another place outside the usage.

    Sources: ``langchain-anthropic`` (the usage in the metadata), ``langchain-openai`` (calls among the
    blocks of the content, or in ``tool_outputs``), ``langchain-google-genai`` (grounding metadata);
    2026-11-28.
    """
    if grounding := metadata.part("grounding_metadata"):
        return grounding_counts([grounding], metadata.text("model_name", "model") or "")
    model = metadata.text("model_name", "model") or ""
    return tool_counts(_output(fields)) | searches_always(model)


_TOOLS_OF_V1: Final = {
    "web_search": "web_search_call",
    "file_search": "file_search_call",
    "code_interpreter": "code_interpreter_call",
    "image_generation": "image_generation_call",
}
"""The names of OpenAI's tools in the blocks of ``langchain-core`` 1.8 (``output_version="v1"``)."""


def _output(fields: Fields) -> Fields:
    """Return the calls of OpenAI's tools in a message, in the shape of OpenAI's response."""
    blocks = [*fields.parts("content"), *fields.part("additional_kwargs").parts("tool_outputs")]
    return Fields({"output": [_of_v1(block) or block.raw for block in blocks]})


def _of_v1(block: Fields) -> dict[str, object] | None:
    kind = _TOOLS_OF_V1.get(block.text("name") or "")
    if block.text("type") != "server_tool_call" or kind is None:
        return None
    arguments = block.part("args")
    action = {"type": arguments.text("type")}
    return {"type": kind, "action": action, "container_id": arguments.text("container_id")}


def _pictures(fields: Fields) -> dict[str, int | float]:
    """Return the pictures that OpenAI's tool drew, since their tokens are not passed on."""
    return {"images": pictures} if (pictures := drawn(_output(fields))) else {}


def _count_of_tier(details: Fields, name: str) -> int:
    # Priority and flex calls have prefixed names, such as priority_cache_read.
    return details.count(name, f"priority_{name}", f"flex_{name}")


def _older_counts(metadata: Fields) -> Counts:
    """Return the counts of integrations that keep the provider's own usage in the metadata."""
    usage, cohere = _older_usage(metadata), metadata.part("token_count")
    if cohere:
        # langchain-cohere 0.6.0 (2026-11-29): the billed tokens of a stream, otherwise the processed ones.
        return {f"tokens_{side}": cohere.count(f"{side}_tokens") for side in ("input", "output")}
    return token_counts(usage) if usage else {}


def _older_usage(metadata: Fields) -> Fields:
    return metadata.part("token_usage", "usage")


def _result(fields: Fields) -> Iterable[Captured]:
    """Yield the calls of an ``LLMResult``, from each prompt's first generation: others repeat its usage."""
    output = fields.part("llm_output")
    for alternatives in fields.parts("generations"):
        generations = alternatives.raw if isinstance(alternatives.raw, list) else []
        first = Fields(generations[0] if generations else None)
        message = first.part("message")
        metadata = message.part("response_metadata")
        if _is_message(message) and (_states_usage(message, metadata) or not output.has("token_usage")):
            yield from _message(message)
        elif output.has("token_usage"):
            merged = {**_plain(metadata), **_plain(output), **_plain(first.part("generation_info"))}
            yield from _message(Fields({"type": "ai", "response_metadata": merged}))
            return  # its usage is the sum over the prompts


def _states_usage(message: Fields, metadata: Fields) -> bool:
    return message.has("usage_metadata") or bool(_older_counts(metadata))


def _plain(fields: Fields) -> dict[str, object]:
    return fields.raw if isinstance(fields.raw, dict) else {}


class LangChainFollower:
    """Follows ``model.stream(...)``, whose chunks and their usage add up."""

    def __init__(self) -> None:
        self._metadata: dict[str, object] = {}
        self._counts: Counts = {}
        self._tools: Counts = {}
        self._unread: dict[str, int | float] = {}
        self._id: str | None = None
        self._characters = 0

    def add(self, chunk: Fields) -> None:
        """Read one chunk."""
        self._id = chunk.text("id") or self._id
        self._metadata.update({k: v for k, v in _plain(chunk.part("response_metadata")).items() if v})
        for name, count in usage_counts(chunk.part("usage_metadata")).items():
            self._counts[name] = self._counts.get(name, 0) + count
        for counts, total in (
            (_unread(chunk.part("usage_metadata")), self._unread),
            (_tools(chunk, chunk.part("response_metadata")), self._tools),
        ):
            for name, count in counts.items():
                total[name] = total.get(name, 0) + count
        self._characters += characters(chunk.get("content"))

    def result(self, ending: str) -> Iterable[Captured]:
        """Return the call, from the sum of the usage or, flagged, from what arrived."""
        known = _call(Fields({"type": "ai", "id": self._id, "response_metadata": self._metadata}))
        if self._counts:
            usage, fault = usage_of({**self._counts, **self._tools})
            units = {**known.unpriced_units, **self._unread}
            call = replace(known, usage=usage, usage_known=True, unpriced_units=units, incomplete=fault)
            return [_checked(call)]
        if known.usage_known:
            return [known]
        cut = without_usage(ending, self._characters, service=known.service, advice=_ADVICE)
        return [replace(known, usage=cut.usage, incomplete=cut.incomplete)]


ADAPTER = Adapter(
    name="LangChain",
    knows="LangChain (AI messages, LLM results)",
    packages=frozenset({"langchain_core"}),
    recognises=_recognises,
    read=_read,
    recognises_chunk=_is_message,
    follow=LangChainFollower,
)
