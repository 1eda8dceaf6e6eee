"""Requests the usage of OpenAI's chat streams for programs that do not, without their noticing.

OpenAI states the usage of a stream only on request, in a last chunk without choices. Many programs
do not request it and would break on a chunk without choices. So the option is added, and that chunk is
recorded and kept from the program. If a server refuses the option, the request is sent again without it; a
refused request is not billed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

from ..capture.standin import StandIn

_INCLUDE_USAGE: Final = {"include_usage": True}


class UsageOption:
    """Adds the option to one call, and removes it again if the server refuses it."""

    def __init__(self, kwargs: dict[str, Any]) -> None:
        self._kwargs = kwargs

    def call(self, wrapped: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Make the call with the option."""
        try:
            return wrapped(*args, **{**self._kwargs, "stream_options": _INCLUDE_USAGE})
        except Exception as fault:
            if not _refused(fault):
                raise
            return wrapped(*args, **self._kwargs)

    async def call_async(
        self, first: Awaitable[Any], wrapped: Callable[..., Any], args: tuple[Any, ...]
    ) -> Any:
        """Await a call that an asynchronous SDK has begun with :meth:`call`."""
        try:
            return await first
        except Exception as fault:
            if not _refused(fault):
                raise
            return await wrapped(*args, **self._kwargs)


def usage_option(kwargs: dict[str, Any]) -> UsageOption | None:
    """Return the option to add to a call; ``None`` if the program sets it, or does not stream."""
    return UsageOption(kwargs) if _lacks_usage_option(kwargs) else None


def without_usage_chunk(stream: Any) -> Any:
    """Return a stream without the usage chunk, which its reader did not request."""
    if hasattr(stream, "__aiter__") and hasattr(stream, "__iter__"):
        return QuietEitherStream(stream)
    return QuietAsyncStream(stream) if hasattr(stream, "__aiter__") else QuietStream(stream)


def _lacks_usage_option(kwargs: dict[str, Any]) -> bool:
    # The SDK's own stream helper passes its placeholder for a missing option, which is not a mapping.
    has_options = isinstance(kwargs.get("stream_options"), Mapping)
    return kwargs.get("stream") is True and not has_options


def _refused(fault: Exception) -> bool:
    """Tell whether a server refused the option itself (status 400 or 422, naming it)."""
    status = getattr(fault, "status_code", None)
    return status in {400, 422} and "stream_options" in str(fault)


def _is_usage_alone(chunk: Any) -> bool:
    return not getattr(chunk, "choices", True) and getattr(chunk, "usage", None) is not None


class QuietStream(StandIn):
    """A stream without the usage chunk, which its reader did not request."""

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

    def __exit__(self, *exc_info: Any) -> Any:
        return self.original.__exit__(*exc_info)


class QuietAsyncStream(StandIn):
    """Like :class:`QuietStream`, for a stream that is read with ``async for``."""

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

    async def __aexit__(self, *exc_info: Any) -> Any:
        return await self.original.__aexit__(*exc_info)


class QuietEitherStream(QuietStream, QuietAsyncStream):
    """Like both, for a stream that may be read either way."""

    __slots__ = ()
