"""LangChain messages and results, whichever provider is behind them.

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
    """Return the call of a message; as Anthropic tells it, where its own usage was kept."""
    about = fields.part("response_metadata")
    if (theirs := _as_anthropic(fields, about)) is None:
        return [_call(fields)]
    model = theirs.text("model") or ""
    service = service_of(about.text("model_provider", "ls_provider"), model)
    cost = usd_of(fields.part("usage_metadata").get("total_cost"))
    found = []
    for call in anthropic.read_message(theirs):
        # Bedrock's and Vertex's messages say so by their ids, whatever the client calls its provider.
        named = replace(call, service=service) if call.service == "anthropic" else call
        if cost == 0:
            found.append(answered_from_cache(named))
        else:
            found.append(replace(named, actual_cost=cost or None))
            cost = None  # the cost of all of them
    return found


def _as_anthropic(fields: Fields, about: Fields) -> Fields | None:
    """Return the message in Anthropic's shape; ``None`` where its usage is not Anthropic's.

    Where it ran, how fast, what declined, advised or was compacted stands there alone.
    """
    usage = about.part("usage")
    if not usage.has("input_tokens") or usage.has("total_tokens"):
        return None
    told = fields.part("usage_metadata")
    names = ("stop_reason", "stop_details", "container")
    by_age = {} if usage.has("cache_creation") else _by_age(told)
    return Fields(
        {
            "type": "message",
            "id": about.text("id") or fields.text("id"),
            "model": about.text("model_name", "model", "model_id"),
            "usage": {"output_tokens": told.count("output_tokens"), **_plain(usage), **by_age},
            "content": [block.raw for block in fields.parts("content")],
            **{name: about.get(name) for name in names},
        }
    )


def _by_age(usage: Fields) -> dict[str, object]:
    """Return what was written to the cache, by how long it is kept, as Anthropic states it."""
    details = usage.part("input_token_details")
    ages = ("ephemeral_1h_input_tokens", "ephemeral_5m_input_tokens")
    found = {name: count for name in ages if (count := details.count(name))}
    return {"cache_creation": found} if found else {}


def _call(fields: Fields) -> Captured:
    about = fields.part("response_metadata")
    counts = usage_counts(fields.part("usage_metadata")) or _older_counts(about)
    usage, fault = usage_of({**counts, **_tools(fields, about)})
    model = about.text("model_name", "model", "model_id") or ""
    missing = None if counts else "the message has no usage"
    cohere = about.part("token_count")
    processed = _PROCESSED if cohere and not cohere.has("total_tokens") else None
    cost = usd_of(fields.part("usage_metadata").get("total_cost"))
    stated, stated_by = _stated(about)
    call = Captured(
        service=service_of(about.text("model_provider", "ls_provider"), model),
        model=model,
        usage=usage,
        request_id=about.text("id") or fields.text("id"),
        service_tier=tier(about.text("service_tier")),
        operation="chat",
        actual_cost=(cost or None) if stated is None else stated,
        stated_by=stated_by,
        usage_known=bool(counts),
        unpriced_units=_unread(fields.part("usage_metadata")) | _unread_there(about) | _pictures(fields),
        incomplete=first_reason((missing, fault, processed)),
    )
    # A cost of 0 marks what comes from its own cache (BaseChatModel._convert_cached_generations).
    return answered_from_cache(call) if cost == 0 and counts else _doubted(call)


def _stated(about: Fields) -> tuple[Nanos | None, StatedBy]:
    """Return what the server states that a call costs: in its usage, or beside it.

    langchain-openrouter 0.2.9 (2026-11-30) keeps OpenRouter's bill alone, and not whether one's own key was
    used: then it is a fee, a twentieth of what the provider behind it bills
    (https://openrouter.ai/docs/use-cases/usage-accounting, 2026-11-30).
    """
    if (paid := usd_of(about.get("cost"))) is None:
        return stated_cost(_older_usage(about))
    upstream = usd_of(about.part("cost_details").get("upstream_inference_cost"))
    own_key = upstream is not None and paid * 2 < upstream
    return stated_cost(Fields({**_plain(about), "is_byok": own_key}))


def _doubted(call: Captured) -> Captured:
    """Return the call; where Claude answered a question of 0 tokens, as one whose usage is not known.

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
    """Return the service behind a LangChain model: the provider's name as stated, else by the model's.

    >>> service_of("google_genai", "gemini-2.5-pro"), service_of(None, "claude-sonnet-4-5")
    ('google', 'anthropic')
    """
    if provider:
        return _PROVIDERS.get(provider, provider)
    return infer_service(model) or "langchain"


def usage_counts(usage: Fields) -> Counts:
    """Return the counts of a message's ``usage_metadata``, whose input has the cache in it."""
    if not usage.has("input_tokens") and not usage.has("output_tokens"):
        return {}
    inputs, outputs = usage.part("input_token_details"), usage.part("output_token_details")
    hour = inputs.count("ephemeral_1h_input_tokens")
    by_age = hour + inputs.count("ephemeral_5m_input_tokens")
    return {
        "tokens_input": usage.count("input_tokens"),
        "tokens_output": usage.count("output_tokens"),
        "tokens_cached": _ending_in(inputs, "cache_read"),
        # Anthropic's are stated by age, and then not as cache_creation.
        "tokens_cache_write": inputs.count("cache_creation") or by_age,
        "tokens_cache_write_1h": hour,
        "tokens_audio_input": inputs.count("audio"),
        "tokens_image_input": inputs.count("image"),
        "tokens_audio_output": outputs.count("audio"),
        "tokens_image_output": outputs.count("image"),
        "tokens_reasoning": _ending_in(outputs, "reasoning"),
    }


_KNOWN: Final = frozenset({"audio", "image", "text", "cache_read", "cache_creation", "reasoning"})
_INPUTS: Final = frozenset({"video", "document", "ephemeral_1h_input_tokens", "ephemeral_5m_input_tokens"})
_TIERED: Final = re.compile(r"(?:priority|flex)(?:_\w+)?")


def _unread(usage: Fields) -> dict[str, int | float]:
    """Return what a usage counts that is not read here, its details under the names that they have there."""
    names = {"input_tokens", "output_tokens", "total_tokens", "input_token_details", "output_token_details"}
    found = unread_counts(usage, names)
    inputs = every_number(usage.part("input_token_details"), _KNOWN | _INPUTS)
    outputs = every_number(usage.part("output_token_details"), _KNOWN)
    for details in (inputs, outputs):
        found.update(
            {f"{name}_tokens": count for name, count in details.items() if not _TIERED.fullmatch(name)}
        )
    return found


def _unread_there(about: Fields) -> dict[str, int | float]:
    """Return what the provider's own usage, which some integrations keep, counts and nobody reads."""
    return unread_units(_older_usage(about))


def _tools(fields: Fields, about: Fields) -> Counts:
    """Return what hosted tools used: it stands beside the usage, elsewhere in every integration.

    Sources: ``langchain-anthropic`` (the usage in the metadata), ``langchain-openai`` (calls among the
    blocks of the content, or in ``tool_outputs``), ``langchain-google-genai`` (grounding metadata);
    2026-11-28.
    """
    if grounding := about.part("grounding_metadata"):
        return grounding_counts([grounding], about.text("model_name", "model") or "")
    model = about.text("model_name", "model") or ""
    return tool_counts(_output(fields)) | searches_always(model)


_TOOLS_OF_V1: Final = {
    "web_search": "web_search_call",
    "file_search": "file_search_call",
    "code_interpreter": "code_interpreter_call",
    "image_generation": "image_generation_call",
}
"""What ``langchain-core`` 1.8 calls OpenAI's tools in its own blocks (``output_version="v1"``)."""


def _output(fields: Fields) -> Fields:
    """Return the calls of OpenAI's tools in a message as a response of OpenAI has them."""
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
    """Return the pictures that OpenAI's tool drew: their tokens are not handed on."""
    return {"images": pictures} if (pictures := drawn(_output(fields))) else {}


def _ending_in(details: Fields, name: str) -> int:
    # Of a priority or flex call the names are prefixed: priority_cache_read.
    return details.count(name, f"priority_{name}", f"flex_{name}")


def _older_counts(about: Fields) -> Counts:
    """Return the counts of integrations that put the provider's own usage into the metadata."""
    usage, cohere = _older_usage(about), about.part("token_count")
    if cohere:
        # langchain-cohere 0.6.0 (2026-11-29): of a stream what is billed, else what was processed.
        return {f"tokens_{side}": cohere.count(f"{side}_tokens") for side in ("input", "output")}
    return token_counts(usage) if usage else {}


def _older_usage(about: Fields) -> Fields:
    return about.part("token_usage", "usage")


def _result(fields: Fields) -> Iterable[Captured]:
    """Read an ``LLMResult``: the first generation of each prompt, since the others repeat its usage."""
    output = fields.part("llm_output")
    for alternatives in fields.parts("generations"):
        drawn = alternatives.raw if isinstance(alternatives.raw, list) else []
        first = Fields(drawn[0] if drawn else None)
        message = first.part("message")
        known = message.part("response_metadata")
        if _is_message(message) and (_states_usage(message, known) or not output.has("token_usage")):
            yield from _message(message)
        elif output.has("token_usage"):
            about = {**_plain(known), **_plain(output), **_plain(first.part("generation_info"))}
            yield from _message(Fields({"type": "ai", "response_metadata": about}))
            return  # its usage is the sum over the prompts


def _states_usage(message: Fields, about: Fields) -> bool:
    return message.has("usage_metadata") or bool(_older_counts(about))


def _plain(fields: Fields) -> dict[str, object]:
    return fields.raw if isinstance(fields.raw, dict) else {}


class LangChainFollower:
    """Follows ``model.stream(...)``: chunks are made to be added up, their usage too."""

    def __init__(self) -> None:
        self._about: dict[str, object] = {}
        self._counts: Counts = {}
        self._tools: Counts = {}
        self._unread: dict[str, int | float] = {}
        self._id: str | None = None
        self._characters = 0

    def add(self, chunk: Fields) -> None:
        """Take in one chunk."""
        self._id = chunk.text("id") or self._id
        self._about.update({k: v for k, v in _plain(chunk.part("response_metadata")).items() if v})
        for name, count in usage_counts(chunk.part("usage_metadata")).items():
            self._counts[name] = self._counts.get(name, 0) + count
        for found, total in (
            (_unread(chunk.part("usage_metadata")), self._unread),
            (_tools(chunk, chunk.part("response_metadata")), self._tools),
        ):
            for name, count in found.items():
                total[name] = total.get(name, 0) + count
        self._characters += characters(chunk.get("content"))

    def result(self, ending: str) -> Iterable[Captured]:
        """Return the call: as the usage adds up to, else what arrived, flagged."""
        known = _call(Fields({"type": "ai", "id": self._id, "response_metadata": self._about}))
        if self._counts:
            usage, fault = usage_of({**self._counts, **self._tools})
            units = {**known.unpriced_units, **self._unread}
            call = replace(known, usage=usage, usage_known=True, unpriced_units=units, incomplete=fault)
            return [_doubted(call)]
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
