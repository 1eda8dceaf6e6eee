"""Streams that are logged once: when they end, are closed early, break, or are dropped.

A tracked stream behaves like the SDK's own object: its attributes, its ``with`` and its ``close()``
work, and ``isinstance`` answers as for the original. Only numbers are kept of the chunks.
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import nullcontext
from types import TracebackType
from typing import Any, Self

from .fields import Fields
from .standin import StandIn
from .watch import CLOSED, DROPPED, ENDED, NO_NAMES, Report, StreamNames, Waiting, Watch, broke


def track_stream(
    stream: Any, report: Report, names: StreamNames = NO_NAMES, waiting: Waiting = nullcontext
) -> Any:
    """Return a stream that behaves like ``stream`` and reports its calls when it ends.

    ``stream`` is an iterator, an async iterator, a stream manager of an SDK (used with ``with``), or the
    dict that Bedrock's ``converse_stream`` returns, whose ``stream`` is then tracked.

    Raises:
        TypeError: ``stream`` is none of these.

    >>> chunks = [{"object": "chat.completion.chunk", "model": "gpt-4o", "choices": []},
    ...           {"object": "chat.completion.chunk", "model": "gpt-4o", "choices": [],
    ...            "usage": {"prompt_tokens": 9, "completion_tokens": 1}}]
    >>> [len(list(track_stream(iter(chunks), lambda call: print(call.model, call.usage.tokens_total))))]
    gpt-4o 10
    [2]
    """
    if isinstance(stream, Mapping):
        return _track_bedrock(stream, report, names)
    watch = Watch(stream, report, names, waiting)
    if hasattr(stream, "__aiter__") and hasattr(stream, "__iter__"):
        return TrackedEitherStream(stream, watch)
    if hasattr(stream, "__aiter__") or (hasattr(stream, "__aenter__") and not hasattr(stream, "__enter__")):
        return TrackedAsyncStream(stream, watch)
    if hasattr(stream, "__iter__") or hasattr(stream, "__enter__"):
        return TrackedStream(stream, watch)
    raise TypeError(
        f"an object of {type(stream).__module__}.{type(stream).__qualname__} is not a stream; "
        f"await a coroutine first, and pass a whole response to log_response"
    )


def follow(source: object, report: Report, names: StreamNames = NO_NAMES) -> Watch:
    """Return a watch for a session whose messages are passed to its ``see`` one by one.

    It reports each turn when the turn ends, and the rest when ``finish`` is called or ``source``, the
    connection, is garbage collected.
    """
    watch = Watch(None, report, names)
    weakref.finalize(source, watch.finish, DROPPED)
    return watch


def _track_bedrock(response: Mapping[str, Any], report: Report, names: StreamNames) -> dict[str, Any]:
    if "stream" not in response:
        raise TypeError("a dict is not a stream, unless it is what Bedrock's converse_stream returns")
    request_id = Fields(response).part("ResponseMetadata").text("RequestId")
    all_names = StreamNames(names.service, names.model, names.request_id or request_id)
    return {**response, "stream": track_stream(response["stream"], report, all_names)}


class _AnyTrackedStream(StandIn):
    """Base of both kinds of tracked stream."""

    __slots__ = ("_cost_finalizer", "_cost_watch")

    def __init__(self, stream: Any, watch: Watch) -> None:
        super().__init__(stream)
        object.__setattr__(self, "_cost_watch", watch)
        # Also runs at exit, for streams that a script never finished.
        object.__setattr__(self, "_cost_finalizer", weakref.finalize(self, watch.finish, DROPPED))

    def _opened(self, inner: Any) -> Self:
        """Return the value of ``with``: itself, or the tracked stream that a stream manager opened."""
        if inner is self.original:
            return self
        self._cost_watch.adopt(inner)
        self._cost_finalizer.detach()
        return type(self)(inner, self._cost_watch)


class TrackedStream(_AnyTrackedStream):
    """A tracked stream that is read with ``for``."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        return self._watched(iter(self.original))

    def _watched(self, source: Iterator[Any]) -> Iterator[Any]:
        # Leaving a for loop does not end the stream, which may be read on; closing or dropping it does.
        while True:
            try:
                chunk = self._next(source)
            except StopIteration:
                return
            yield chunk

    def __next__(self) -> Any:
        return self._next(self.original)

    def _next(self, source: Iterator[Any]) -> Any:
        try:
            with self._cost_watch.waiting():
                chunk = next(source)
        except StopIteration:
            self._cost_watch.finish(ENDED)
            raise
        except BaseException as fault:
            self._cost_watch.finish(broke(fault))
            raise
        self._cost_watch.see(chunk)
        return chunk

    def __enter__(self) -> Self:
        with self._cost_watch.waiting():
            inner = self.original.__enter__()
        return self._opened(inner)

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> Any:
        try:
            return self.original.__exit__(kind, fault, trace)
        finally:
            self._cost_watch.finish(broke(fault) if fault else CLOSED)

    def close(self) -> Any:
        """Close the stream itself, and report what is known."""
        try:
            return self.original.close()
        finally:
            self._cost_watch.finish(CLOSED)


class TrackedAsyncStream(_AnyTrackedStream):
    """A tracked stream that is read with ``async for``."""

    __slots__ = ()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._watched_async(aiter(self.original))

    async def _watched_async(self, source: AsyncIterator[Any]) -> AsyncIterator[Any]:
        while True:
            try:
                chunk = await self._next_async(source)
            except StopAsyncIteration:
                return
            yield chunk

    async def __anext__(self) -> Any:
        return await self._next_async(self.original)

    async def _next_async(self, source: AsyncIterator[Any]) -> Any:
        try:
            with self._cost_watch.waiting():
                chunk = await anext(source)
        except StopAsyncIteration:
            self._cost_watch.finish(ENDED)
            raise
        except BaseException as fault:
            self._cost_watch.finish(broke(fault))
            raise
        self._cost_watch.see(chunk)
        return chunk

    async def __aenter__(self) -> Self:
        with self._cost_watch.waiting():
            inner = await self.original.__aenter__()
        return self._opened(inner)

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> Any:
        try:
            return await self.original.__aexit__(kind, fault, trace)
        finally:
            self._cost_watch.finish(broke(fault) if fault else CLOSED)

    async def close(self) -> Any:
        """Close the stream itself, and report what is known."""
        try:
            return await self.original.close()
        finally:
            self._cost_watch.finish(CLOSED)

    async def aclose(self) -> Any:
        """Close an asynchronous generator, and report what is known."""
        try:
            return await self.original.aclose()
        finally:
            self._cost_watch.finish(CLOSED)


class TrackedEitherStream(TrackedStream, TrackedAsyncStream):
    """A tracked stream that may be read with ``for`` or with ``async for``, such as LiteLLM's."""

    __slots__ = ()
