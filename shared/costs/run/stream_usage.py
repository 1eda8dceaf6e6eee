"""Asks OpenAI for the usage of chat streams in a program that does not, unseen by the program.

OpenAI states the usage of a stream only when asked, in a last chunk without choices. Many programs
do not ask, and would break on a chunk without choices: so the question is added, and that
chunk is shown to the instrumentation and kept from the program. A server that refuses the question is
asked again without it; a refused request is not billed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Final

from ..capture.standin import StandIn

_MODULE: Final = "openai.resources.chat.completions"
_RAW: Final = "X-Stainless-Raw-Response"
_ASK: Final = {"include_usage": True}


def ask_for_usage() -> None:
    """Wrap the two methods that begin a chat stream. Call it after the instrumentation has wrapped them."""
    import wrapt  # comes with every instrumentation

    wrapt.wrap_function_wrapper(_MODULE, "Completions.create", _create)
    wrapt.wrap_function_wrapper(_MODULE, "AsyncCompletions.create", _create_async)


def _create(wrapped: Callable[..., Any], _: object, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
    if not _is_unasked_stream(given):
        return wrapped(*args, **given)
    try:
        return QuietStream(wrapped(*args, **{**given, "stream_options": _ASK}))
    except Exception as fault:
        if not _refused(fault):
            raise
        return wrapped(*args, **given)


async def _create_async(
    wrapped: Callable[..., Any], _: object, args: tuple[Any, ...], given: dict[str, Any]
) -> Any:
    if not _is_unasked_stream(given):
        return await wrapped(*args, **given)
    try:
        return QuietAsyncStream(await wrapped(*args, **{**given, "stream_options": _ASK}))
    except Exception as fault:
        if not _refused(fault):
            raise
        return await wrapped(*args, **given)


def _is_unasked_stream(given: dict[str, Any]) -> bool:
    raw = _RAW in (given.get("extra_headers") or {})
    # The SDK's own stream helper passes its mark for "left out" on; it is no mapping.
    unasked = not isinstance(given.get("stream_options"), Mapping)
    return given.get("stream") is True and unasked and not raw


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
