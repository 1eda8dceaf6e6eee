"""Streams of Gemini: chunks of generated content, messages of a Live session, events of an interaction.

Chunks of generated content carry usage metadata, cumulative: the latest known value of each count holds,
since a last chunk may leave some out. Where functions are called automatically, one stream has several
responses, told by their ids. Of a Live session every turn is billed. An interaction's usage comes with
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
"""What the metadata of usage counts, alone and by modality."""

_HOW_IT_RAN: Final = ("traffic_type", "service_tier")

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
    """One response, as far as it has come."""

    usage: dict[str, object] = field(default_factory=dict)
    about: dict[str, object] = field(default_factory=dict)
    groundings: list[object] = field(default_factory=list)
    finished: bool = False
    characters: int = 0

    def state(self, metadata: Fields) -> None:
        """Take in a usage: of each count the latest value that is known."""
        for name in dict.fromkeys((*COUNTS, *_HOW_IT_RAN, *names_in(metadata))):
            value = metadata.get(name)
            known = value is not None and (not isinstance(value, (int, list)) or bool(value))
            if known or (value is not None and name not in self.usage):
                self.usage[name] = value

    def whole(self) -> Fields:
        """Return it in the shape of a whole response."""
        candidates = [{"grounding_metadata": grounding} for grounding in self.groundings]
        return Fields({"candidates": candidates, "usage_metadata": self.usage, **self.about})


class GeminiFollower:
    """Follows one stream. ``read`` is what reads whole responses."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._answers: dict[str | None, _GeminiResponse] = {None: _GeminiResponse()}
        self._current: str | None = None
        self._whole: Fields = Fields(None)
        self._interaction: Fields = Fields(None)
        self._characters = 0
        self._live = False
        self._turns: list[_GeminiResponse] = []

    @property
    def is_session(self) -> bool:
        """Whether this is a Live session: every turn is a call of its own."""
        return self._live

    def finished(self) -> Iterable[Captured]:
        """Return the turns that were completed since the last time."""
        turns, self._turns = self._turns, []
        return [call for turn in turns for call in self._read(turn.whole())]

    def add(self, chunk: Fields) -> None:
        """Take in one chunk, message or event."""
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
                answer.about[name] = value
        answer.state(chunk.part("usage_metadata"))
        for candidate in chunk.parts("candidates"):
            answer.finished = answer.finished or candidate.has("finish_reason")
            if (grounding := candidate.get("grounding_metadata")) is not None:
                answer.groundings.append(grounding)
            for part in candidate.part("content").parts("parts"):
                answer.characters += len(part.text("text") or "")

    def _answer(self, response_id: str | None) -> _GeminiResponse:
        """Return the response that a chunk belongs to; one without an id goes on with the last."""
        if response_id is not None and response_id != self._current:
            if self._current is None:
                self._answers[response_id] = self._answers.pop(None)
            else:
                self._answers.setdefault(response_id, _GeminiResponse())
            self._current = response_id
        return self._answers[self._current]

    def _add_message(self, message: Fields) -> None:
        """Take in one message of a Live session. Its usage may come with the end of its turn, or after it."""
        answer, content = self._answers[None], message.part("server_content")
        metadata = message.part("usage_metadata")
        answer.state(metadata)
        if (grounding := content.get("grounding_metadata")) is not None:
            answer.groundings.append(grounding)
        for part in content.part("model_turn").parts("parts"):
            answer.characters += len(part.text("text") or "")
        over = content.get("turn_complete") is True
        answer.finished = answer.finished or over
        if answer.finished and answer.usage and (over or not message.has("server_content")):
            self._turns.append(answer)
            self._answers[None] = _GeminiResponse()

    def _add_event(self, kind: str, event: Fields) -> None:
        interaction = event.part("interaction")
        if interaction:
            self._interaction = interaction
        if interaction.has("usage") and (not self._whole or states_any(interaction.part("usage"))):
            self._whole = interaction
        if kind.endswith(".delta"):
            self._characters += len(event.part("delta").text("text") or "")

    def result(self, ending: str) -> Iterable[Captured]:
        """Return the calls: as the last usage of each says; what was cut off before its end is flagged."""
        if self._whole:
            return self._read(self._whole)
        if self._live:
            rest = self._answers[None]
            return [*self.finished(), *(self._ended(rest, ending) if rest.usage or rest.characters else ())]
        return [call for answer in self._answers.values() for call in self._ended(answer, ending)]

    def _ended(self, answer: _GeminiResponse, ending: str) -> Iterable[Captured]:
        if not answer.usage:
            return [self._unknown(answer, ending)]
        calls = self._read(answer.whole())
        return calls if answer.finished else [_cut(answer, call, ending) for call in calls]

    def _unknown(self, answer: _GeminiResponse, ending: str) -> Captured:
        about = Fields(answer.about)
        model = self._interaction.text("model", "agent") or about.text("model_version") or ""
        said = self._characters + answer.characters
        cut = without_usage(ending, said, service="google", model=model)
        return replace(cut, request_id=self._interaction.text("id") or about.text("response_id"))


def _cut(answer: _GeminiResponse, call: Captured, ending: str) -> Captured:
    """The usage so far is a lower bound: text that came with or after it may not be in it."""
    output = max(call.usage.tokens_output, estimated_tokens(answer.characters))
    why = f"the stream {ending} before its last chunk: output is a lower bound"
    return replace(call, usage=replace(call.usage, tokens_output=output), incomplete=why)
