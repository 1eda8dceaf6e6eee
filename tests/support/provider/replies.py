"""What the server is told to answer, and what it notes that it answered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

How = Literal["normal", "error", "busy", "refuse", "hang-up", "total-only", "silent", "stall"]
"""``normal``; ``error``: 500; ``busy``: 429; ``refuse``: 401; ``hang-up``: the connection breaks in
the middle of the answer; ``total-only``: usage as a total alone; ``silent``: an answer without
usage; ``stall``: no answer until the server is released."""

HOWS: tuple[str, ...] = get_args(How)

TEXT = "The recording is a short notice with four sentences."


@dataclass(frozen=True)
class Reply:
    """How the next request is answered. ``cached``, ``written`` and ``reasoning`` are token counts.

    ``tier`` is the service tier that served it, by OpenAI's name.
    """

    how: How = "normal"
    text: str = TEXT
    cached: int = 0
    written: int = 0
    reasoning: int = 0
    tier: str = "default"


@dataclass(frozen=True)
class Counts:
    """What one answer used, by the ledger's rule: input includes cache, output includes reasoning."""

    tokens_input: int = 0
    tokens_output: int = 0
    tokens_cached: int = 0
    tokens_cache_write: int = 0
    tokens_reasoning: int = 0
    tokens_audio_input: int = 0
    audio_seconds: float = 0


@dataclass(frozen=True)
class Asked:
    """A request as a wire format reads it."""

    model: str
    text: str
    stream: bool
    audio_seconds: float = 0.0
    usage_in_stream: bool = True


@dataclass(frozen=True)
class Answering:
    """All that a wire format needs to write an answer."""

    asked: Asked
    reply: Reply
    counts: Counts
    request_id: str

    @property
    def words(self) -> list[str]:
        """The answer in pieces, as a stream sends it."""
        first, *rest = self.reply.text.split(" ")
        return [first, *(f" {word}" for word in rest)]


@dataclass(frozen=True)
class Served:
    """One request that was answered in full or in part; ``counts`` is what the client was told."""

    path: str
    asked: Asked
    status: int
    request_id: str
    counts: Counts = field(default_factory=Counts)


class WireFormat(Protocol):
    """One provider's way of asking and answering."""

    def matches(self, path: str) -> bool:
        """Tell whether a request to ``path`` is meant for this format."""

    def read(self, path: str, body: bytes, content_type: str) -> Asked:
        """Read a request."""

    def whole(self, answering: Answering) -> dict[str, Any]:
        """Return the JSON of an answer in one piece."""

    def events(self, answering: Answering) -> Iterator[bytes]:
        """Yield a streamed answer, one server-sent event at a time."""

    def fault(self, status: int) -> dict[str, Any]:
        """Return the JSON of an error."""


def counts_of(asked: Asked, reply: Reply) -> Counts:
    """Count words where a provider counts tokens."""
    if asked.audio_seconds and asked.model.startswith("gpt-4o"):  # these are billed by tokens
        tokens = round(asked.audio_seconds * 10)
        return Counts(tokens, len(reply.text.split()), tokens_audio_input=tokens)
    if asked.audio_seconds:
        return Counts(audio_seconds=asked.audio_seconds)
    return Counts(
        tokens_input=len(asked.text.split()) + 8 + reply.cached + reply.written,
        tokens_output=len(reply.text.split()) + reply.reasoning,
        tokens_cached=reply.cached,
        tokens_cache_write=reply.written,
        tokens_reasoning=reply.reasoning,
    )
