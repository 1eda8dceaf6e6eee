"""Streams of Gemini: chunks of generated content, messages of a Live session, events of an interaction.

Chunks of generated content have cumulative usage metadata: the latest value of each count is used, since the
last chunk may omit some. With automatic function calling, one stream has several responses, identified by
their ids. Every turn of a Live session is billed. An interaction's usage comes with
``interaction.completed``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from ..adapter import estimated_tokens, states_any, without_usage
from ..captured import Captured
from ..fields import Fields
from ..unread import names_in

COUNTS: Final = (
    "prompt_token_count",
    "cached_content_token_count",
    "candidates_token_count",
    "response_token_count",
    "tool_use_prompt_token_count",
    "thoughts_token_count",
    "total_token_count",
    "prompt_tokens_details",
    "cache_tokens_details",
    "candidates_tokens_details",
    "response_tokens_details",
    "tool_use_prompt_tokens_details",
)
"""The counts in usage metadata, in total and by modality."""

_SERVING_FIELDS: Final = ("traffic_type", "service_tier")

Read = Callable[[Fields], Iterable[Captured]]


def recognises_chunk(chunk: Fields) -> bool:
    """Tell whether this is a chunk of generated content or an event of an interaction."""
    return (
        chunk.has("candidates")
        or chunk.part("usage_metadata").has("prompt_token_count")
        or _is_live(chunk)
        or (chunk.text("event_type") or "").startswith(("interaction.", "step."))
    )


def _is_live(message: Fields) -> bool:
    return any(message.has(name) for name in ("server_content", "setup_complete", "go_away"))


@dataclass(slots=True)
class _GeminiResponse:
    """One response, as far as it has arrived."""

    usage: dict[str, object] = field(default_factory=dict)
    fields: dict[str, object] = field(default_factory=dict)
    groundings: list[object] = field(default_factory=list)
    finished: bool = False
    characters: int = 0

    def add_usage(self, metadata: Fields) -> None:
        """Read a usage and keep the latest known value of each count."""
        for name in dict.fromkeys((*COUNTS, *_SERVING_FIELDS, *names_in(metadata))):
            value = metadata.get(name)
            known = value is not None and (not isinstance(value, (int, list)) or bool(value))
            if known or (value is not None and name not in self.usage):
                self.usage[name] = value

    def as_whole(self) -> Fields:
        """Return the response in the shape of a whole one."""
        candidates = [{"grounding_metadata": grounding} for grounding in self.groundings]
        return Fields({"candidates": candidates, "usage_metadata": self.usage, **self.fields})


class GeminiFollower:
    """Follows one stream. ``read`` reads whole responses."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._answers: dict[str | None, _GeminiResponse] = {None: _GeminiResponse()}
        self._current: str | None = None
        self._finished_interaction: Fields = Fields(None)
        self._interaction: Fields = Fields(None)
        self._characters = 0
        self._live = False
        self._turns: list[_GeminiResponse] = []

    @property
    def is_session(self) -> bool:
        """Whether this is a Live session, in which every turn is a call of its own."""
        return self._live

    def finished(self) -> Iterable[Captured]:
        """Return the turns that were completed since the last call."""
        turns, self._turns = self._turns, []
        return [call for turn in turns for call in self._read(turn.as_whole())]

    def add(self, chunk: Fields) -> None:
        """Read one chunk, message or event."""
        if kind := chunk.text("event_type"):
            self._add_event(kind, chunk)
        elif self._live or _is_live(chunk):
            self._live = True
            self._add_message(chunk)
        else:
            self._add_chunk(chunk)

    def _add_chunk(self, chunk: Fields) -> None:
        answer = self._answer(chunk.text("response_id"))
        for name in ("model_version", "response_id", "sdk_http_response"):
            if (value := chunk.get(name)) is not None:
                answer.fields[name] = value
        answer.add_usage(chunk.part("usage_metadata"))
        for candidate in chunk.parts("candidates"):
            answer.finished = answer.finished or candidate.has("finish_reason")
            if (grounding := candidate.get("grounding_metadata")) is not None:
                answer.groundings.append(grounding)
            for part in candidate.part("content").parts("parts"):
                answer.characters += len(part.text("text") or "")

    def _answer(self, response_id: str | None) -> _GeminiResponse:
        """Return the response that a chunk belongs to; a chunk without an id continues the last one."""
        if response_id is not None and response_id != self._current:
            if self._current is None:
                self._answers[response_id] = self._answers.pop(None)
            else:
                self._answers.setdefault(response_id, _GeminiResponse())
            self._current = response_id
        return self._answers[self._current]

    def _add_message(self, message: Fields) -> None:
        """Read one message of a Live session. The usage of a turn comes with its end or after it."""
        answer, content = self._answers[None], message.part("server_content")
        metadata = message.part("usage_metadata")
        answer.add_usage(metadata)
        if (grounding := content.get("grounding_metadata")) is not None:
            answer.groundings.append(grounding)
        for part in content.part("model_turn").parts("parts"):
            answer.characters += len(part.text("text") or "")
        is_complete = content.get("turn_complete") is True
        answer.finished = answer.finished or is_complete
        if answer.finished and answer.usage and (is_complete or not message.has("server_content")):
            self._turns.append(answer)
            self._answers[None] = _GeminiResponse()

    def _add_event(self, kind: str, event: Fields) -> None:
        interaction = event.part("interaction")
        if interaction:
            self._interaction = interaction
        if interaction.has("usage") and (
            not self._finished_interaction or states_any(interaction.part("usage"))
        ):
            self._finished_interaction = interaction
        if kind.endswith(".delta"):
            self._characters += len(event.part("delta").text("text") or "")

    def result(self, ending: str) -> Iterable[Captured]:
        """Return the calls, with the last usage of each; a call that was cut before its end is flagged."""
        if self._finished_interaction:
            return self._read(self._finished_interaction)
        if self._live:
            last_turn = self._answers[None]
            return [
                *self.finished(),
                *(self._ended(last_turn, ending) if last_turn.usage or last_turn.characters else ()),
            ]
        return [call for answer in self._answers.values() for call in self._ended(answer, ending)]

    def _ended(self, answer: _GeminiResponse, ending: str) -> Iterable[Captured]:
        if not answer.usage:
            return [self._unknown(answer, ending)]
        calls = self._read(answer.as_whole())
        return calls if answer.finished else [_cut(answer, call, ending) for call in calls]

    def _unknown(self, answer: _GeminiResponse, ending: str) -> Captured:
        fields = Fields(answer.fields)
        model = self._interaction.text("model", "agent") or fields.text("model_version") or ""
        character_count = self._characters + answer.characters
        cut = without_usage(ending, character_count, service="google", model=model)
        return replace(cut, request_id=self._interaction.text("id") or fields.text("response_id"))


def _cut(answer: _GeminiResponse, call: Captured, ending: str) -> Captured:
    """Return a cut call; its usage is a lower bound, since it may not include the last text."""
    output = max(call.usage.tokens_output, estimated_tokens(answer.characters))
    reason = f"the stream {ending} before its last chunk: output is a lower bound"
    return replace(call, usage=replace(call.usage, tokens_output=output), incomplete=reason)
