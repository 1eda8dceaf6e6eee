"""Tells pages that something changed: one watcher for all of them, and only while somebody listens.

>>> import asyncio
>>> async def first() -> str:
...     watcher = Watcher(lambda: "7", every_s=0.01)
...     async for version in watcher.versions():
...         return version
...     return ""
>>> asyncio.run(first())
'7'
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Final

from anyio import to_thread

from ...errors import CostError

EVERY_S: Final = 1.0
"""How often the watcher looks, in seconds."""

QUIET_S: Final = 15.0
"""After how long without news a listener is sent a sign of life, which finds those that are gone."""


class Watcher:
    """Looks at a version again and again, in a thread, and passes new ones on.

    ``look`` returns a short text that is another one after every change.
    """

    def __init__(self, look: Callable[[], str], every_s: float = EVERY_S) -> None:
        self._look = look
        self._every_s = every_s
        self._version = ""
        self._news = asyncio.Event()
        self._listeners = 0
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = False

    async def versions(self) -> AsyncIterator[str]:
        """Give the version now, and each new one; now and then an empty text. Ends when the watcher does."""
        self._loop = asyncio.get_running_loop()
        self._listeners += 1
        try:
            if self._task is None or self._task.done():
                self._version = await self._looked()
                self._task = asyncio.create_task(self._watch())
            told = self._version
            yield told
            while await self._goes_on():
                yield self._version if told != self._version else ""
                told = self._version
        finally:
            self._listeners -= 1

    async def _goes_on(self) -> bool:
        """Wait for news, for a while; tell whether the watcher goes on."""
        if not self._ended:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), QUIET_S)
        return not self._ended

    async def _watch(self) -> None:
        while self._listeners and not self._ended:
            await asyncio.sleep(self._every_s)
            version = await self._looked()
            if version != self._version:
                self._version = version
                self._wake()

    async def _looked(self) -> str:
        """Return the version; the last one while it cannot be told."""
        try:
            return await to_thread.run_sync(self._look)
        except (CostError, OSError):
            return self._version

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def end(self) -> None:
        """End all listening. May be called from a signal handler."""
        self._ended = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake)


async def events(watcher: Watcher) -> AsyncIterator[str]:
    """Return the versions as a stream of events, as the HTML standard describes it (section 9.2)."""
    yield "retry: 2000\n\n"
    async for version in watcher.versions():
        yield f"data: {version}\n\n" if version else ": nothing new\n\n"
