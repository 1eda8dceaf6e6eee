"""A method of an SDK that makes a call: its place, and what has to be known to read what it returns."""

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

- ``response``: a whole response or, where the program asks for one, a stream;
- ``known``: anything, of which only what an adapter knows is a call, such as the result of any operation;
- ``headers``: what is entered with ``with``, whose headers state what is billed;
- ``characters``: speech, whose answer states nothing and whose input is billed by the character;
- ``stream``: an iterator whose parts state what is billed;
- ``messages``, ``message``: one message of a session, which is returned, or given as the last argument;
- ``event``: what is told of a session that was ``opened``, given as the last argument, with a result in it;
- ``sent``: nothing yet, of a job whose result is read by another method;
- ``opened``: nothing, of a session that tells its results in events;
- ``unstated``: an answer that never says what is billed, nor does any later one.
"""


@dataclass(frozen=True, slots=True)
class Method:
    """A method that makes a call.

    Attributes:
        module: where its class is.
        name: its class and itself.
        reads: what it returns.
        asks_for_usage: whether a chat stream has to be asked for its usage.
        sends: whether it sends something that is billed; one that asks for a result is never held back.
        positional: the arguments that may be given without their names.
        others: whether it calls methods of other libraries, whose calls are its own.

    """

    module: str
    name: str
    reads: Reads = "response"
    asks_for_usage: bool = False
    sends: bool = True
    positional: tuple[str, ...] = field(default=(), kw_only=True)
    others: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class MediaMethod(Method):
    """A method of a service of speech, translation, documents or pictures.

    Attributes:
        service: whose call it is where the answer cannot be read.
        model: the ways to the argument that names the model, by names of arguments and attributes.
        default: the model of a call that names none.
        job: the way to what names the job whose answers all state the same bill: from the arguments or,
            where it begins with ``self``, from the method's object; of what is ``sent``, from the answer,
            which itself is the job where the way is empty.
        features: the argument that lists what is asked for, where that has the price.
        text: the ways to what is billed by the character where the answer does not say so.
        only: the operation that the first argument has to be, where the method does all of them.
        requests: the argument that is read as the call goes on, and whose first part names the model.
        of_agents: whether it is one of Bedrock's agents and knowledge bases.

    """

    service: str = ""
    model: tuple[tuple[str, ...], ...] = ()
    default: str | None = None
    job: tuple[str, ...] = ()
    features: str = ""
    text: tuple[tuple[str, ...], ...] = ()
    only: str | None = None
    requests: str = ""
    of_agents: bool = False


def arguments_of(
    wrapped: Callable[..., Any], args: tuple[Any, ...], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of a call by their names."""
    with suppress(TypeError, ValueError):  # a wrong call, which the method itself will refuse
        return dict(inspect.signature(wrapped).bind_partial(*args, **given).arguments)
    return dict(given)


class _SentParts(StandIn):
    """Parts that are sent as a call goes on; ``first`` is the first one, once it was sent."""

    __slots__ = ("first",)

    def _note(self, part: Any) -> Any:
        if getattr(self, "first", None) is None:
            object.__setattr__(self, "first", part)
        return part

    def __iter__(self) -> Iterator[Any]:
        return map(self._note, self.original)

    def __next__(self) -> Any:
        return self._note(next(self.original))


class _SentAsyncParts(_SentParts):
    """As :class:`_SentParts`, of parts that have to be awaited."""

    __slots__ = ()

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for part in self.original:
            yield self._note(part)


def noting(parts: Any) -> Any:
    """Return what gives the same parts, and keeps the first one.

    >>> parts = noting(iter(["config", "sound"]))
    >>> list(parts), parts.first
    (['config', 'sound'], 'config')
    """
    return (_SentAsyncParts if hasattr(parts, "__aiter__") else _SentParts)(parts)


def found_at(place: object, way: tuple[str, ...]) -> object:
    """Return what lies at the end of a way of names, through dicts and objects; ``None`` where it ends.

    >>> found_at({"request": {"config": {"model": "long"}}}, ("request", "config", "model"))
    'long'
    """
    for name in way:
        place = place.get(name) if isinstance(place, Mapping) else getattr(place, name, None)
    return place


def text_at(place: object, ways: tuple[tuple[str, ...], ...]) -> str | None:
    """Return the first text at these ways; ``None`` where there is none."""
    found = (found_at(place, way) for way in ways)
    texts = (getattr(each, "value", each) for each in found)  # of an enumeration's member its value
    return next((text for text in texts if isinstance(text, str) and text), None)


def characters_at(given: Mapping[str, Any], ways: tuple[tuple[str, ...], ...]) -> int:
    """Return how many characters the texts at these ways have together, in one text or a list of texts.

    >>> characters_at({"contents": ["ab", "c"], "request": None}, (("contents",), ("request", "contents")))
    3
    """
    texts = [found for way in ways if (found := found_at(given, way)) is not None]
    return sum(len(text) if isinstance(text, str) else _in_list(text) for text in texts)


def _in_list(texts: object) -> int:
    return sum(len(text) for text in texts if isinstance(text, str)) if hasattr(texts, "__iter__") else 0
