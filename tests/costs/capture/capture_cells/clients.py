"""Asynchronous clients of the SDKs that are given one answer, without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib import import_module
from importlib.metadata import requires
from typing import Any, TypeVar

from .cell import Api

Answer = TypeVar("Answer")


def awaited(api: Api, ask: Callable[[Any], Awaitable[Answer]], payload: dict[str, Any]) -> Answer:
    """What an SDK's asynchronous client makes of an answer; ``ask`` sends with the HTTP client given."""
    httpx = import_module(_http_package(api.distribution))
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=payload))

    async def answer() -> Answer:
        async with httpx.AsyncClient(transport=transport) as http:
            return await ask(http)

    return asyncio.run(answer())


def _http_package(distribution: str) -> str:
    """Newer SDKs are made with ``httpx2``, which takes no clients of ``httpx``, nor the other way round."""
    needed = requires(distribution) or []
    return "httpx2" if any(need.startswith("httpx2") for need in needed) else "httpx"
