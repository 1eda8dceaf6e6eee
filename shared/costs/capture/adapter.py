"""What an adapter consists of: how to recognise a provider's objects, read them, and follow its streams."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from ..model import Usage
from .captured import Captured
from .fields import Fields


class Follower(Protocol):
    """Reads one stream, chunk by chunk, and keeps numbers only."""

    def add(self, chunk: Fields) -> None:
        """Read one chunk.

        Raises:
            TypeError, ValueError: a count in it is not a number.

        """
        ...

    def result(self, ending: str) -> Iterable[Captured]:
        """Return what is known so far.

        ``ending`` says how the stream ended, in words that complete "the stream ..."; it becomes
        part of ``incomplete`` if the provider's final usage never came.
        """
        ...


@runtime_checkable
class SessionFollower(Follower, Protocol):
    """Follows a stream that may be a session of several turns, each turn a call of its own."""

    @property
    def is_session(self) -> bool:
        """Whether the stream is a session."""
        ...

    def finished(self) -> Iterable[Captured]:
        """Return the turns that were completed since the last call, in order.

        What is returned here is not part of :meth:`result`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Adapter:
    """One provider.

    Attributes:
        name: its name in messages.
        knows: what it can read, for the message about an object that no adapter can read.
        packages: the top-level packages of its SDK; this adapter is tried first for their objects.
        recognises: tells whether an object or dict is a response of this provider.
        read: returns the calls in a response; nearly always one.
        recognises_chunk: tells whether an object or dict is a chunk of one of its streams.
        follow: returns a new follower for a stream.
        generic: whether other services use this wire format too; such an adapter is tried last.

    """

    name: str
    knows: str
    packages: frozenset[str]
    recognises: Callable[[Fields], bool]
    read: Callable[[Fields], Iterable[Captured]]
    recognises_chunk: Callable[[Fields], bool]
    follow: Callable[[], Follower]
    generic: bool = False


_STANDARD_TIERS: Final = frozenset(
    {"standard", "default", "auto", "on_demand", "unspecified", "traffic_type_unspecified"}
)

UNFINISHED: Final = frozenset({"queued", "in_progress"})
"""States of OpenAI's responses and Gemini's interactions while they work in the background."""

CHARACTERS_PER_TOKEN: Final = 4
"""The usual length of a token in English text, for estimates that are flagged as estimates.
Source: https://help.openai.com/en/articles/4936856-what-are-tokens-and-how-to-count-them"""


def tier(provider_tier: str | None) -> str | None:
    """Return a service tier by this project's name; ``None`` for the standard tier.

    >>> tier("default"), tier("ON_DEMAND_FLEX"), tier("batch")
    (None, 'flex', 'batch')
    """
    if provider_tier is None:
        return None
    name = provider_tier.lower()
    if name in _STANDARD_TIERS:
        return None
    return "provisioned" if name == "provisioned_throughput" else name.removeprefix("on_demand_")


_FEW_IDS: Final = re.compile(r"(chatcmpl-|cmpl-|resp_)\d{1,6}")


def comes_again(response_id: str) -> bool:
    """Tell whether the server may reuse this response id, so that the id alone does not identify a call.

    Ollama draws the ids of its OpenAI format from a thousand or a million numbers.
    Source: https://github.com/ollama/ollama/blob/main/middleware/openai.go

    >>> comes_again("chatcmpl-417"), comes_again("chatcmpl-BxF3kQ9z1")
    (True, False)
    """
    return _FEW_IDS.fullmatch(response_id) is not None


def estimated_tokens(characters: int) -> int:
    """Return the estimated number of tokens of a text of this length, rounded up.

    >>> estimated_tokens(9), estimated_tokens(0)
    (3, 0)
    """
    return -(-characters // CHARACTERS_PER_TOKEN)


def states_any(usage: Fields) -> bool:
    """Tell whether a usage states any count that is not zero.

    >>> states_any(Fields({"input_tokens": 0, "details": {"cached": 0}})), states_any(Fields({"total": 3}))
    (False, True)
    """
    return any(_is_count(value) or states_any(Fields(value)) for value in _values(usage.raw))


def _values(raw: object) -> Iterable[object]:
    if isinstance(raw, Mapping):
        return raw.values()
    if isinstance(raw, (list, tuple)):
        return raw
    return vars(raw).values() if hasattr(raw, "__dict__") and not isinstance(raw, type) else ()


def _is_count(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


_TEXTS: Final = ("text", "thinking", "reasoning", "partial_json")


def characters(content: object) -> int:
    """Return the length of a model's output, which is a text or a list of blocks with text or thoughts.

    >>> characters("four"), characters([{"type": "thinking", "thinking": [{"text": "ab"}]}, {"text": "c"}])
    (4, 3)
    """
    if isinstance(content, str):
        return len(content)
    blocks = Fields({"blocks": content}).parts("blocks")
    return sum(characters(block.get(name)) for block in blocks for name in _TEXTS)


def without_usage(
    ending: str, characters: int, *, service: str, model: str = "", advice: str = ""
) -> Captured:
    """Return the call of a stream whose usage never came: output estimated, input unknown.

    It has no cost, unless the reservation of the call knows its input.

    >>> call = without_usage("was closed early", 40, service="openai", model="gpt-4o")
    >>> call.usage.tokens_output, call.incomplete
    (10, 'the stream was closed early before its usage: output estimated from 40 characters, input unknown')
    """
    return Captured(
        service=service,
        model=model,
        usage=Usage(tokens_output=estimated_tokens(characters)),
        operation="chat",
        usage_known=False,
        incomplete=f"the stream {ending} before its usage: output estimated from {characters} characters, "
        f"input unknown{advice}",
    )
