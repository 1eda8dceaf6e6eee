"""Results of the Claude Agent SDK: a turn of a conversation, by model, with a stated cost.

The stated input excludes the cache. The stated costs are the SDK's own estimates and are kept beside ours. A
turn of several steps is a sum of requests, and perhaps none of them crossed the threshold of a price tier.
Source: https://code.claude.com/docs/en/agent-sdk/cost-tracking and the types of the
``claude-agent-sdk`` package.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from ...money import Nanos
from ..adapter import Adapter
from ..agent_sessions import CURRENT, BySpent, Figures, compared_with
from ..captured import Captured, usage_of, usd_of
from ..fields import Fields
from ..unread import unread_counts
from .anthropic import token_counts

_READ: Final = frozenset(
    {
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "cache_creation_ephemeral1h_input_tokens",
        "cache_creation_ephemeral5m_input_tokens",
        "thinking_tokens",
        "web_search_requests",
        "web_fetch_requests",
        "max_output_tokens",
    }
)
"""Fields of a model's usage that are read here, or are not counts of what was used."""

_PROVIDERS: Final = {"bedrock": "bedrock", "vertex": "vertex", "foundry": "azure"}


def _recognises(fields: Fields) -> bool:
    return fields.has("session_id", "num_turns") and (fields.has("total_cost_usd") or fields.has("usage"))


def _read(fields: Fields) -> Iterable[Captured]:
    by_model = fields.get("model_usage")
    if not isinstance(by_model, Mapping) or not by_model:
        return [_as_sum(_of_turn(fields), fields)]
    spent = {str(name): _figures(Fields(usage)) for name, usage in by_model.items()}
    own = {name: int(count) for name, count in token_counts(fields.part("usage")).items()}
    turn = CURRENT.get().turn(fields.text("session_id") or "", fields.text("uuid"), own, spent)
    calls = [_of_model(fields, name, Fields(by_model[name]), figures) for name, figures in turn.items()]
    billed = [call for call in calls if not call.usage.is_zero] or calls[:1]
    return [_as_sum(call, fields) for call in billed]


def _as_sum(call: Captured, fields: Fields) -> Captured:
    """Return a turn's call, marked as the sum of one request for each step of the turn."""
    steps = fields.count("num_turns")
    return replace(call, usage=replace(call.usage, requests=steps)) if steps > 1 else call


def _figures(usage: Fields) -> Figures:
    """Return one model's figures, with the cache added to the input; a stated cost in nano-dollars."""
    read, written = usage.count("cacheReadInputTokens"), usage.count("cacheCreationInputTokens")
    figures = {
        "tokens_input": usage.count("inputTokens") + read + written,
        "tokens_output": usage.count("outputTokens"),
        "tokens_cached": read,
        "tokens_cache_write": written,
        "tokens_cache_write_1h": usage.count("cacheCreationEphemeral1hInputTokens"),
        "tokens_reasoning": usage.count("thinkingTokens"),
        "web_searches": usage.count("webSearchRequests"),
    }
    cost = usd_of(usage.get("costUSD"))
    return figures if cost is None else {**figures, "cost": cost}


def _of_model(fields: Fields, name: str, model_usage: Fields, figures: Figures) -> Captured:
    usage, fault = usage_of({key: figure for key, figure in figures.items() if key != "cost"})
    uuid = fields.text("uuid")
    return Captured(
        service=_PROVIDERS.get(model_usage.text("provider") or "", "anthropic"),
        model=model_usage.text("canonicalModel") or name,
        usage=usage,
        request_id=f"{uuid}/{name}" if uuid else None,
        operation="agent",
        actual_cost=Nanos(figures["cost"]) if "cost" in figures else None,
        unpriced_units=unread_counts(model_usage, _READ),
        incomplete=fault,
        metadata=_metadata(fields),
    )


def _of_turn(fields: Fields) -> Captured:
    """Return the call of an older version's turn, without usage by model: the caller names the model."""
    usage, fault = usage_of(token_counts(fields.part("usage")))
    return Captured(
        service="anthropic",
        model="",
        usage=usage,
        request_id=fields.text("uuid"),
        operation="agent",
        actual_cost=usd_of(fields.get("total_cost_usd")),
        incomplete=fault,
        metadata=_metadata(fields),
    )


def _metadata(fields: Fields) -> dict[str, object]:
    return {"session": fields.text("session_id"), "turns": fields.count("num_turns")}


def recognises_chunk(chunk: Fields) -> bool:
    """Tell whether this is a message of an agent's conversation that has usage, or its last message."""
    return _recognises(chunk) or chunk.has("message_id", "session_id", "model")


class ClaudeAgentFollower:
    """Follows a conversation, whose result messages each sum up what came before.

    One step may come as several messages with one id and one usage, so steps are identified by their
    ids. They count only if the conversation was cut before its result.
    """

    def __init__(self) -> None:
        self._results: list[Captured] = []
        self._steps: dict[str, Captured] = {}
        self._session = ""
        self._sessions = CURRENT.get()

    def add(self, chunk: Fields) -> None:
        """Read one message."""
        if _recognises(chunk):
            with compared_with(self._sessions):
                self._results.extend(_read(chunk))
            self._steps.clear()
        elif chunk.has("usage", "message_id"):
            usage, _ = usage_of(token_counts(chunk.part("usage")))
            step = chunk.text("message_id") or ""
            self._session = chunk.text("session_id") or self._session
            self._steps[step] = Captured(
                service="anthropic",
                model=chunk.text("model") or "",
                usage=usage,
                request_id=step,
                operation="agent",
            )

    def result(self, ending: str) -> Iterable[Captured]:
        """Return the results and, flagged, the steps after the last result."""
        if self._steps:
            self._sessions.add_steps(self._session, _summed(self._steps.values()))
        reason = f"the conversation {ending} before its result: this step's output may be a lower bound"
        return [*self._results, *(replace(step, incomplete=reason) for step in self._steps.values())]


def _summed(steps: Iterable[Captured]) -> BySpent:
    spent: BySpent = {}
    for step in steps:
        figures = spent.setdefault(step.model, {})
        for name in ("tokens_input", "tokens_output", "tokens_cached", "tokens_cache_write"):
            figures[name] = figures.get(name, 0) + getattr(step.usage, name)
    return spent


ADAPTER = Adapter(
    name="Claude Agent SDK",
    knows="Claude Agent SDK (result messages)",
    packages=frozenset({"claude_agent_sdk"}),
    recognises=_recognises,
    read=_read,
    recognises_chunk=recognises_chunk,
    follow=ClaudeAgentFollower,
)
