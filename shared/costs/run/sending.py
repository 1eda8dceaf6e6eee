"""What an SDK sends for one call: once, or again where it repeats a request by itself."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Final, Protocol

from ..capture.captured import Captured


class Ticket(Protocol):
    """What is given for a call before it is sent."""

    @property
    def denied(self) -> Exception | None:
        """Why its request may not be repeated, where that was denied."""
        ...

    def report(self, captured: Captured) -> None:
        """Take a call that was read from what came back."""
        ...

    def failed(self, fault: BaseException) -> None:
        """Take note that nothing came back."""
        ...

    def sending(self) -> None:
        """Take note that its request is about to be sent; what this raises, the program gets."""
        ...

    def unanswered(self) -> None:
        """Take note that its request was sent, and that no answer came."""
        ...


SENDERS: Final = {
    "httpx": ("Client.send", "AsyncClient.send"),
    "httpx2": ("Client.send", "AsyncClient.send"),
    "aiohttp": ("ClientSession._request",),
    "requests": ("Session.send",),
    "botocore.httpsession": ("URLLib3Session.send",),
}
"""What sends the requests of SDKs, once for each time that an SDK repeats one, by its module."""

_NOT_SENT: Final = frozenset(
    {
        "ConnectError", "ConnectTimeout", "PoolTimeout", "ClientConnectorError", "ClientConnectorDNSError",
        "ConnectTimeoutError", "EndpointConnectionError", "ProxyConnectionError",
    }
)  # fmt: skip
"""Faults of these modules after which it is certain that nothing was sent."""

_sending: Final[ContextVar[Ticket | None]] = ContextVar("sending", default=None)
"""The call whose SDK is at work in this thread or task: what is sent is its request, maybe once more."""


class Sending:
    """What is entered while an SDK may send the request of a call; requests of the program are not of it."""

    __slots__ = ("_before", "_ticket")

    def __init__(self, ticket: Ticket | None) -> None:
        self._ticket = ticket

    def __enter__(self) -> None:
        self._before = _sending.get()
        _sending.set(self._ticket)

    def __exit__(self, *_: object) -> None:
        _sending.set(self._before)  # a token would be refused where another task closes a generator


def _sent(wrapped: Any, _instance: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
    """Send a request; where an earlier one of the same call had no answer, that may have been served too."""
    ticket = _sending.get()
    if ticket is None:
        return wrapped(*args, **given)
    ticket.sending()
    with _answered(ticket):
        result = wrapped(*args, **given)
    return _sent_later(result, ticket) if inspect.isawaitable(result) else result


async def _sent_later(later: Awaitable[Any], ticket: Ticket) -> Any:
    with _answered(ticket):
        return await later


@contextmanager
def _answered(ticket: Ticket) -> Iterator[None]:
    try:
        yield
    except BaseException as fault:
        if type(fault).__name__ not in _NOT_SENT:
            ticket.unanswered()
        raise


def watch_sending(module: Any) -> None:
    """Have a module that sends requests say so."""
    import wrapt

    for name in SENDERS[module.__name__]:
        with suppress(AttributeError):  # a version that has no such method
            wrapt.wrap_function_wrapper(module, name, _sent)
