"""What one provider's file gives: how to recognise its objects, read them, and follow its streams."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from ..model import Usage
from .captured import Captured
from .fields import Fields


class Follower(Protocol):
    """Reads one stream, chunk by chunk, keeping numbers only."""

    def add(self, chunk: Fields) -> None:
        """Take in one chunk.

        Raises:
            TypeError, ValueError: a count in it is no number.

        """
        ...

    def result(self, ending: str) -> Iterable[Captured]:
        """Return what is known so far.

        ``ending`` says how the stream ended, in words that complete "the stream ..."; it becomes
        part of ``incomplete`` where the provider's final usage never came.
        """
        ...


@runtime_checkable
class SessionFollower(Follower, Protocol):
    """Follows a stream that may be a session of several turns, each of which is a call of its own."""

    @property
    def is_session(self) -> bool:
        """Whether it is one."""
        ...

    def finished(self) -> Iterable[Captured]:
        """Return the turns that were completed since the last time, in order.

        What is returned here is not part of :meth:`result`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Adapter:
    """One provider.

    Attributes:
        name: how it is called in messages.
        knows: what it can read, for the list that an unknown object is answered with.
        packages: the top-level packages of its SDK, whose objects are asked about here first.
        recognises: whether an object or dict is a response of it.
        read: the calls in a response; nearly always one.
        recognises_chunk: whether an object or dict is a chunk of a stream of it.
        follow: begins to read a stream.
        generic: others speak this wire format too, so it is asked last.

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
"""What OpenAI's responses and Gemini's interactions say of themselves while they work in the background."""

CHARACTERS_PER_TOKEN: Final = 4
"""A usual length of a token in English text, for estimates that are flagged as such.
Source: https://help.openai.com/en/articles/4936856-what-are-tokens-and-how-to-count-them"""


def tier(stated: str | None) -> str | None:
    """Return a service tier in this project's words: ``None`` for the standard one.

    >>> tier("default"), tier("ON_DEMAND_FLEX"), tier("batch")
    (None, 'flex', 'batch')
    """
    if stated is None:
        return None
    name = stated.lower()
    if name in _STANDARD_TIERS:
        return None
    return "provisioned" if name == "provisioned_throughput" else name.removeprefix("on_demand_")


_FEW_IDS: Final = re.compile(r"(chatcmpl-|cmpl-|resp_)\d{1,6}")


def comes_again(response_id: str) -> bool:
    """Tell whether a server uses a response's id again, so that it alone does not tell calls apart.

    Ollama draws the ids of its OpenAI format from a thousand or a million numbers.
    Source: https://github.com/ollama/ollama/blob/main/middleware/openai.go

    >>> comes_again("chatcmpl-417"), comes_again("chatcmpl-BxF3kQ9z1")
    (True, False)
    """
    return _FEW_IDS.fullmatch(response_id) is not None


def estimated_tokens(characters: int) -> int:
    """Return about how many tokens a text of this length has, rounded up.

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
    """Return the length of a model's output: text, or a list of blocks with text or thoughts in them.

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
    """Return what can be said of a stream whose usage never came: output estimated, input unknown.

    It has no cost then, unless the reservation of the call knows its input.

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
