"""Asks OpenAI for the usage of chat streams in a program that does not, unseen by the program.

OpenAI states the usage of a stream only when asked, in a last chunk without choices. Many programs
do not ask, and would break on a chunk without choices: so the question is added, and that
chunk is shown to the instrumentation and kept from the program. A server that refuses the question is
asked again without it; a refused request is not billed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

from ..capture.standin import StandIn

_ASK: Final = {"include_usage": True}


class UsageOption:
    """Puts the question into one call, and takes it out again where a server refuses it."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._given = given

    def ask(self, wrapped: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Make the call."""
        try:
            return wrapped(*args, **{**self._given, "stream_options": _ASK})
        except Exception as fault:
            if not _refused(fault):
                raise
            return wrapped(*args, **self._given)

    async def ask_async(
        self, first: Awaitable[Any], wrapped: Callable[..., Any], args: tuple[Any, ...]
    ) -> Any:
        """Wait for a call that an asynchronous SDK has begun with :meth:`ask`."""
        try:
            return await first
        except Exception as fault:
            if not _refused(fault):
                raise
            return await wrapped(*args, **self._given)


def asking(given: dict[str, Any]) -> UsageOption | None:
    """Return the question to put into a call; ``None`` where the program asks itself, or streams nothing."""
    return UsageOption(given) if _is_unasked_stream(given) else None


def quiet(stream: Any) -> Any:
    """Return a stream without the chunk that its reader did not ask for."""
    if hasattr(stream, "__aiter__") and hasattr(stream, "__iter__"):
        return QuietEitherStream(stream)
    return QuietAsyncStream(stream) if hasattr(stream, "__aiter__") else QuietStream(stream)


def _is_unasked_stream(given: dict[str, Any]) -> bool:
    # The SDK's own stream helper passes its mark for "left out" on; it is no mapping.
    unasked = not isinstance(given.get("stream_options"), Mapping)
    return given.get("stream") is True and unasked


def _refused(fault: Exception) -> bool:
    """Tell whether a server refused the question itself (status 400 or 422, naming it)."""
    status = getattr(fault, "status_code", None)
    return status in {400, 422} and "stream_options" in str(fault)


def _is_usage_alone(chunk: Any) -> bool:
    return not getattr(chunk, "choices", True) and getattr(chunk, "usage", None) is not None


class QuietStream(StandIn):
    """A stream without the chunk that its reader did not ask for."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        return (chunk for chunk in self.original if not _is_usage_alone(chunk))

    def __next__(self) -> Any:
        while _is_usage_alone(chunk := next(self.original)):
            pass
        return chunk

    def __enter__(self) -> Any:
        self.original.__enter__()
        return self

    def __exit__(self, *how: Any) -> Any:
        return self.original.__exit__(*how)


class QuietAsyncStream(StandIn):
    """As :class:`QuietStream`, for a stream that is read with ``async for``."""

    __slots__ = ()

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for chunk in self.original:
            if not _is_usage_alone(chunk):
                yield chunk

    async def __anext__(self) -> Any:
        while _is_usage_alone(chunk := await anext(self.original)):
            pass
        return chunk

    async def __aenter__(self) -> Any:
        await self.original.__aenter__()
        return self

    async def __aexit__(self, *how: Any) -> Any:
        return await self.original.__aexit__(*how)


class QuietEitherStream(QuietStream, QuietAsyncStream):
    """As both, for a stream that may be read either way."""

    __slots__ = ()
