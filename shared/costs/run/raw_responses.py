"""Responses that a program requests raw (``with_raw_response``, ``with_streaming_response``) and reads later.

They are recorded when the program reads them: parsed, as JSON, or line by line.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from ..capture.standin import StandIn
from .answers import LastAnswer

See = Callable[[Any], Any]
"""Called with what was parsed; returns what the program gets instead."""

_BODY_MAX: Final = 16 * 1024 * 1024
"""Larger bodies are not kept to be parsed: they are pictures or audio."""


def is_raw(result: Any) -> bool:
    """Tell whether this is an SDK's response that has not been parsed."""
    return hasattr(result, "retries_taken") and callable(getattr(result, "parse", None))


def watched_raw(result: Any, see: See) -> Any:
    """Return a raw response that passes what the program reads of it to ``see``.

    A response whose body has arrived already (``with_raw_response``) is parsed now, unless it is a stream.
    """
    if inspect.iscoroutinefunction(result.parse):
        return _AsyncRaw(result, see)
    if "Legacy" not in type(result).__name__:
        return _Raw(result, see)
    raw = _ParsedResponse(result, see)
    if raw.streams:
        return raw
    try:
        raw.parse()  # which the SDK remembers
    except Exception:  # the program gets it when it parses the response itself
        if not raw._raw_seen:
            raise
    return result


class _ParsedResponse(StandIn):
    """A raw response that calls ``see`` when it is parsed."""

    __slots__ = ("_raw_parsed", "_raw_see", "_raw_seen")

    def __init__(self, original: Any, see: See) -> None:
        super().__init__(original)
        object.__setattr__(self, "_raw_see", see)
        object.__setattr__(self, "_raw_seen", False)
        object.__setattr__(self, "_raw_parsed", {})

    @property
    def streams(self) -> bool:
        """Whether the response is a stream of events."""
        return "event-stream" in str(self.original.headers.get("content-type", ""))

    def parse(self, **to: Any) -> Any:
        key = str(to.get("to"))
        if key not in self._raw_parsed:
            with self._showing_unusable():
                parsed = self.original.parse(**to)
            self._raw_parsed[key] = self._show(parsed)
        return self._raw_parsed[key]

    @contextmanager
    def _showing_unusable(self) -> Iterator[None]:
        """Also show an answer that the SDK has read but cannot turn into what the program asked for."""
        with LastAnswer() as answer:
            try:
                yield
            except Exception:
                if answer.reads:
                    self._show(answer.reads[-1]())
                raise

    def _show(self, parsed: Any) -> Any:
        if self._raw_seen:
            return parsed
        object.__setattr__(self, "_raw_seen", True)
        return self._raw_see(parsed)


class _Raw(_ParsedResponse):
    """A raw response whose body is passed to ``see`` once, however it is read."""

    __slots__ = ()

    def json(self) -> Any:
        body = self.original.json()
        self._show(body)
        return body

    def text(self) -> str:
        body: str = self.original.text()
        self._show_body(body.encode())
        return body

    def read(self) -> bytes:
        body: bytes = self.original.read()
        self._show_body(body)
        return body

    def iter_lines(self) -> Iterator[str]:
        events = _Events(self.streams)
        for line in self.original.iter_lines():
            events.line(line)
            yield line
        self._show_events(events)

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        events = _Events(self.streams)
        for chunk in self.original.iter_bytes(chunk_size):
            events.feed(chunk)
            yield chunk
        self._show_events(events)

    def _show_body(self, body: bytes) -> None:
        events = _Events(self.streams)
        events.feed(body)
        self._show_events(events)

    def _show_events(self, events: _Events) -> None:
        if self._raw_seen:
            return
        if self.streams:
            for _ in self._show(iter_of(events.parsed())):
                pass
        elif (whole := events.whole()) is not None:
            self._show(whole)


class _AsyncRaw(StandIn):
    """Like :class:`_Raw`, for the asynchronous SDKs."""

    __slots__ = ("_raw_sync",)

    def __init__(self, original: Any, see: See) -> None:
        super().__init__(original)
        object.__setattr__(self, "_raw_sync", _Raw(original, see))

    async def parse(self, **to: Any) -> Any:
        key, parsed_by_class = str(to.get("to")), self._raw_sync._raw_parsed
        if key not in parsed_by_class:
            with self._raw_sync._showing_unusable():
                parsed = await self.original.parse(**to)
            parsed_by_class[key] = self._raw_sync._show(parsed)
        return parsed_by_class[key]

    async def json(self) -> Any:
        body = await self.original.json()
        self._raw_sync._show(body)
        return body

    async def read(self) -> bytes:
        body: bytes = await self.original.read()
        self._raw_sync._show_body(body)
        return body

    async def text(self) -> str:
        body: str = await self.original.text()
        self._raw_sync._show_body(body.encode())
        return body

    async def iter_lines(self) -> AsyncIterator[str]:
        events = _Events(self._raw_sync.streams)
        async for line in self.original.iter_lines():
            events.line(line)
            yield line
        self._raw_sync._show_events(events)


def iter_of(events: list[Any]) -> Iterator[Any]:
    """Yield the events: a generator is followed like a stream."""
    yield from events


class _Events:
    """The content of a body that arrives in pieces: one JSON document, or the events of a stream."""

    def __init__(self, streams: bool) -> None:
        self._streams = streams
        self._body = bytearray()
        self._parsed: list[Any] = []

    def feed(self, chunk: bytes) -> None:
        """Add a piece of the body."""
        if len(self._body) + len(chunk) > _BODY_MAX:
            return
        self._body += chunk
        if self._streams:
            *lines, rest = bytes(self._body).split(b"\n")
            self._body = bytearray(rest)
            for line in lines:
                self.line(line.decode(errors="replace"))

    def line(self, line: str) -> None:
        """Add a line; in a stream, each data line has an event."""
        if not self._streams:
            self.feed(line.encode() + b"\n")
            return
        kind, _, data = line.partition(":")
        if kind == "data" and (data := data.strip()) not in {"", "[DONE]"}:
            try:
                self._parsed.append(json.loads(data))
            except ValueError:
                return  # not an event

    def parsed(self) -> list[Any]:
        """Return the events of a stream."""
        return self._parsed

    def whole(self) -> Any:
        """Return the JSON document; ``None`` if the body is something else."""
        try:
            return json.loads(bytes(self._body))
        except ValueError:
            return None
