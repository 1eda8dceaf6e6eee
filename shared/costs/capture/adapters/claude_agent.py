"""Results of the Claude Agent SDK: a whole conversation's usage, by model, with a stated cost.

"Input" excludes the cache here. The stated costs are the SDK's own estimates and are kept beside ours.
Source: https://code.claude.com/docs/en/agent-sdk/cost-tracking and the types of the
``claude-agent-sdk`` package.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from ...money import Nanos, from_usd
from ..adapter import Adapter
from ..captured import Captured, usage_of
from ..fields import Fields
from .anthropic import token_counts

_PROVIDERS: Final = {"bedrock": "bedrock", "vertex": "vertex", "foundry": "azure"}


def _recognises(fields: Fields) -> bool:
    return fields.has("session_id", "num_turns") and (fields.has("total_cost_usd") or fields.has("usage"))


def _read(fields: Fields) -> Iterable[Captured]:
    by_model = fields.get("model_usage")
    if isinstance(by_model, Mapping) and by_model:
        return [_of_model(fields, str(name), Fields(usage)) for name, usage in by_model.items()]
    return [_of_session(fields)]


def _of_model(fields: Fields, name: str, usage_fields: Fields) -> Captured:
    read, written = usage_fields.count("cacheReadInputTokens"), usage_fields.count("cacheCreationInputTokens")
    usage, fault = usage_of(
        {
            "tokens_input": usage_fields.count("inputTokens") + read + written,
            "tokens_output": usage_fields.count("outputTokens"),
            "tokens_cached": read,
            "tokens_cache_write": written,
            "web_searches": usage_fields.count("webSearchRequests"),
        }
    )
    uuid = fields.text("uuid")
    return Captured(
        service=_PROVIDERS.get(usage_fields.text("provider") or "", "anthropic"),
        model=usage_fields.text("canonicalModel") or name,
        usage=usage,
        request_id=f"{uuid}/{name}" if uuid else None,
        operation="agent",
        actual_cost=_usd(usage_fields.get("costUSD")),
        incomplete=fault,
        metadata=_about(fields),
    )


def _of_session(fields: Fields) -> Captured:
    """Older versions state no usage by model; the model has to be given."""
    usage, fault = usage_of(token_counts(fields.part("usage")))
    return Captured(
        service="anthropic",
        model="",
        usage=usage,
        request_id=fields.text("uuid"),
        operation="agent",
        actual_cost=_usd(fields.get("total_cost_usd")),
        incomplete=fault,
        metadata=_about(fields),
    )


def _about(fields: Fields) -> dict[str, object]:
    return {"session": fields.text("session_id"), "turns": fields.count("num_turns")}


def _usd(cost: object) -> Nanos | None:
    if isinstance(cost, bool) or not isinstance(cost, (int, float)) or not 0 <= cost < 1e6:
        return None
    return from_usd(cost)


def recognises_chunk(chunk: Fields) -> bool:
    """Tell whether this is a message of an agent's conversation that carries usage, or the last one."""
    return _recognises(chunk) or chunk.has("message_id", "session_id", "model")


class ClaudeAgentFollower:
    """Follows a conversation: each result message sums up what came before it.

    One step may come as several messages with one id and one usage, so steps are told by their
    ids. They count only where the conversation was cut before its result.
    """

    def __init__(self) -> None:
        self._results: list[Captured] = []
        self._steps: dict[str, Captured] = {}

    def add(self, chunk: Fields) -> None:
        """Take in one message."""
        if _recognises(chunk):
            self._results.extend(_read(chunk))
            self._steps.clear()
        elif chunk.has("usage", "message_id"):
            usage, _ = usage_of(token_counts(chunk.part("usage")))
            step = chunk.text("message_id") or ""
            self._steps[step] = Captured(
                service="anthropic",
                model=chunk.text("model") or "",
                usage=usage,
                request_id=step,
                operation="agent",
            )

    def result(self, ending: str) -> Iterable[Captured]:
        """Return the results, and the steps after the last of them, flagged."""
        why = f"the conversation {ending} before its result: this step's output may be a lower bound"
        return [*self._results, *(replace(step, incomplete=why) for step in self._steps.values())]


ADAPTER = Adapter(
    name="Claude Agent SDK",
    knows="Claude Agent SDK (result messages)",
    packages=frozenset({"claude_agent_sdk"}),
    recognises=_recognises,
    read=_read,
    recognises_chunk=recognises_chunk,
    follow=ClaudeAgentFollower,
)
