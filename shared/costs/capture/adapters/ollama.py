"""Ollama: chat, generate, embed. The last message has the counts; durations are nanoseconds.

Thinking is part of ``eval_count`` and not stated separately. Responses have no id.
Source: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

from collections.abc import Iterable

from ..adapter import Adapter, without_usage
from ..captured import Captured, usage_of
from ..fields import Fields


def _recognises(fields: Fields) -> bool:
    if fields.has("object") or not fields.has("model"):
        return False
    counted = fields.has("eval_count") or fields.has("prompt_eval_count")
    return counted or (fields.has("total_duration") and (fields.has("done") or fields.has("embeddings")))


def _read(fields: Fields) -> Iterable[Captured]:
    usage, fault = usage_of(
        {
            "tokens_input": fields.count("prompt_eval_count"),
            "tokens_output": fields.count("eval_count"),
        }
    )
    yield Captured(
        service="ollama",
        model=fields.text("model") or "",
        usage=usage,
        operation="embeddings" if fields.has("embeddings") else "chat",
        incomplete=fault,
        metadata={"seconds": round(fields.count("total_duration") / 1e9, 3)},
    )


def recognises_chunk(chunk: Fields) -> bool:
    """Tell whether this is a chunk of a chat or generate stream."""
    return chunk.has("model", "done") and (chunk.has("message") or chunk.get("response") is not None)


class OllamaFollower:
    """Follows a stream, whose chunk with ``done`` has the counts."""

    def __init__(self) -> None:
        self._model = ""
        self._done: Fields = Fields(None)
        self._characters = 0

    def add(self, chunk: Fields) -> None:
        """Read one chunk."""
        self._model = chunk.text("model") or self._model
        if chunk.get("done") is True:
            self._done = chunk
        for part in (chunk, chunk.part("message")):
            texts = (part.text(name) for name in ("content", "response", "thinking"))
            self._characters += sum(len(text or "") for text in texts)

    def result(self, ending: str) -> Iterable[Captured]:
        """Return the call, from the last chunk or, flagged, from what arrived."""
        if self._done:
            return _read(self._done)
        return [without_usage(ending, self._characters, service="ollama", model=self._model)]


ADAPTER = Adapter(
    name="Ollama",
    knows="Ollama (chat, generate, embed)",
    packages=frozenset({"ollama"}),
    recognises=_recognises,
    read=_read,
    recognises_chunk=recognises_chunk,
    follow=OllamaFollower,
)
