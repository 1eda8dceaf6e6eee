"""Describes a method of an SDK that makes a call, and how to read what it returns."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from ..capture.standin import StandIn

Reads = Literal[
    "response", "characters", "messages", "known", "headers", "stream", "message", "event", "sent", "opened",
    "unstated",
]  # fmt: skip
"""What a method returns:

- ``response``: a whole response or, if the program requests one, a stream;
- ``known``: any object; only one that an adapter can read is a call, such as the result of any operation;
- ``headers``: a context manager, whose headers state what is billed;
- ``characters``: speech, whose answer states nothing and whose input is billed by the character;
- ``stream``: an iterator whose parts state what is billed;
- ``messages``, ``message``: one message of a session, as the result or as the last argument;
- ``event``: an event of a session that was ``opened``, as the last argument, with a result in it;
- ``sent``: a job that was started, whose result another method reads;
- ``opened``: nothing; the session reports its results in events;
- ``unstated``: an answer that does not state what is billed, and neither does any later one.
"""


@dataclass(frozen=True, slots=True)
class Method:
    """A method that makes a call.

    Attributes:
        module: the module of its class.
        name: its class and name, ``Class.method``.
        reads: what it returns.
        asks_for_usage: whether the usage of a chat stream has to be requested.
        sends: whether it sends something that is billed; a method that fetches a result is never denied.
        positional: the names of the arguments that may be positional.
        calls_other_sdks: whether it calls wrapped methods of other SDKs, whose calls are then its own.

    """

    module: str
    name: str
    reads: Reads = "response"
    asks_for_usage: bool = False
    sends: bool = True
    positional: tuple[str, ...] = field(default=(), kw_only=True)
    calls_other_sdks: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class MediaMethod(Method):
    """A method of a service of speech, translation, documents or pictures.

    Attributes:
        service: the service of a call whose answer cannot be read.
        model: the paths to the argument that names the model, by names of arguments and attributes.
        default: the model of a call that names none.
        job: the path to the name of the job, all of whose answers state the same bill: from the arguments,
            or from the method's object if it begins with ``self``. For ``sent`` it starts at the answer; an
            empty path means the answer itself.
        features: the argument that lists the requested features, if those decide the price.
        text: the paths to the texts that are billed by the character, if the answer does not state them.
        operation: the operation that the first argument has to name, if one method does all operations.
        requests: the argument that is read during the call, and whose first part names the model.
        is_agent: whether it belongs to Bedrock's agents and knowledge bases.

    """

    service: str = ""
    model: tuple[tuple[str, ...], ...] = ()
    default: str | None = None
    job: tuple[str, ...] = ()
    features: str = ""
    text: tuple[tuple[str, ...], ...] = ()
    operation: str | None = None
    requests: str = ""
    is_agent: bool = False


def arguments_of(
    wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of a call by their names."""
    with suppress(TypeError, ValueError):  # a wrong call, which the method itself refuses
        return dict(inspect.signature(wrapped).bind_partial(*args, **kwargs).arguments)
    return dict(kwargs)


class _SentParts(StandIn):
    """Parts that are sent during a call; ``first`` is the first one, once it was sent."""

    __slots__ = ("first",)

    def _keep_first(self, part: Any) -> Any:
        if getattr(self, "first", None) is None:
            object.__setattr__(self, "first", part)
        return part

    def __iter__(self) -> Iterator[Any]:
        return map(self._keep_first, self.original)

    def __next__(self) -> Any:
        return self._keep_first(next(self.original))


class _SentAsyncParts(_SentParts):
    """Like :class:`_SentParts`, for parts that have to be awaited."""

    __slots__ = ()

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for part in self.original:
            yield self._keep_first(part)


def keeping_first(parts: Any) -> Any:
    """Return an iterable of the same parts that keeps the first one.

    >>> parts = keeping_first(iter(["config", "sound"]))
    >>> list(parts), parts.first
    (['config', 'sound'], 'config')
    """
    return (_SentAsyncParts if hasattr(parts, "__aiter__") else _SentParts)(parts)


def value_at(root: object, path: tuple[str, ...]) -> object:
    """Return the value at a path of names through dicts and objects; ``None`` if a name is missing.

    >>> value_at({"request": {"config": {"model": "long"}}}, ("request", "config", "model"))
    'long'
    """
    value = root
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
    return value


def text_at(root: object, paths: tuple[tuple[str, ...], ...]) -> str | None:
    """Return the first text at these paths; ``None`` if there is none."""
    values = (value_at(root, path) for path in paths)
    texts = (getattr(value, "value", value) for value in values)  # an enumeration's member has a value
    return next((text for text in texts if isinstance(text, str) and text), None)


def characters_at(arguments: Mapping[str, Any], paths: tuple[tuple[str, ...], ...]) -> int:
    """Return how many characters the texts at these paths have together; each may be a list of texts.

    >>> characters_at({"contents": ["ab", "c"], "request": None}, (("contents",), ("request", "contents")))
    3
    """
    texts = [text for path in paths if (text := value_at(arguments, path)) is not None]
    return sum(len(text) if isinstance(text, str) else _in_list(text) for text in texts)


def _in_list(texts: object) -> int:
    return sum(len(text) for text in texts if isinstance(text, str)) if hasattr(texts, "__iter__") else 0
