"""Streams of Gemini: chunks of generated content, and the events of an interaction.

Every chunk of generated content may carry usage metadata, cumulative: the last one counts.
An interaction's usage comes with ``interaction.completed``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from ..adapter import estimated_tokens, without_usage
from ..captured import Captured
from ..fields import Fields

Read = Callable[[Fields], Iterable[Captured]]


def recognises_chunk(chunk: Fields) -> bool:
    """Tell whether this is a chunk of generated content or an event of an interaction."""
    return (
        chunk.has("candidates")
        or chunk.part("usage_metadata").has("prompt_token_count")
        or (chunk.text("event_type") or "").startswith(("interaction.", "step."))
    )


class GeminiFollower:
    """Follows one stream. ``read`` is what reads whole responses."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._last: dict[str, object] = {}
        self._finished = False
        self._grounded = False
        self._whole: Fields = Fields(None)
        self._interaction: Fields = Fields(None)
        self._characters = 0

    def add(self, chunk: Fields) -> None:
        """Take in one chunk or event."""
        if kind := chunk.text("event_type"):
            self._add_event(kind, chunk)
            return
        for name in ("usage_metadata", "model_version", "response_id"):
            if (value := chunk.get(name)) is not None:
                self._last[name] = value
        for candidate in chunk.parts("candidates"):
            self._finished = self._finished or candidate.has("finish_reason")
            self._grounded = self._grounded or candidate.part("grounding_metadata").has("web_search_queries")
            for part in candidate.part("content").parts("parts"):
                self._characters += len(part.text("text") or "")

    def _add_event(self, kind: str, event: Fields) -> None:
        interaction = event.part("interaction")
        if interaction:
            self._interaction = interaction
        if interaction.has("usage"):
            self._whole = interaction
        if kind.endswith(".delta"):
            self._characters += len(event.part("delta").text("text") or "")

    def result(self, ending: str) -> Iterable[Captured]:
        """Return the call: as the last usage says; what was cut off before its end is flagged."""
        if self._whole:
            return self._read(self._whole)
        if "usage_metadata" not in self._last:
            return [self._unknown(ending)]
        candidates = [{"grounding_metadata": {"web_search_queries": True}}] if self._grounded else []
        calls = self._read(Fields({"candidates": candidates, **self._last}))
        return calls if self._finished else [self._cut(call, ending) for call in calls]

    def _cut(self, call: Captured, ending: str) -> Captured:
        """The usage so far is a lower bound: text that came with or after it may not be in it."""
        output = max(call.usage.tokens_output, estimated_tokens(self._characters))
        why = f"the stream {ending} before its last chunk: output is a lower bound"
        return replace(call, usage=replace(call.usage, tokens_output=output), incomplete=why)

    def _unknown(self, ending: str) -> Captured:
        model = self._interaction.text("model", "agent") or Fields(self._last).text("model_version") or ""
        request_id = self._interaction.text("id") or Fields(self._last).text("response_id")
        cut = without_usage(ending, self._characters, service="google", model=model)
        return replace(cut, request_id=request_id)
