"""Observes the requests that an SDK sends for one call, including those that it repeats by itself."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Final, Protocol

from ..capture.captured import Captured


class Ticket(Protocol):
    """Follows one call from before it is sent until its answer is recorded."""

    has_begun: bool | None
    """Whether an answer to the last request has begun and is not a refusal; ``None`` before any was sent."""

    @property
    def denied(self) -> Exception | None:
        """Why the request may not be repeated; ``None`` if it may."""
        ...

    def report(self, captured: Captured) -> None:
        """Record a call that was read from the answer."""
        ...

    def failed(self, fault: BaseException) -> None:
        """Note that the call failed without an answer."""
        ...

    def sending(self) -> None:
        """Note that the request is about to be sent; the program gets what this raises."""
        ...

    def unanswered(self) -> None:
        """Note that the request was sent and no answer came."""
        ...


SENDERS: Final = {
    "httpx": ("Client.send", "AsyncClient.send"),
    "httpx2": ("Client.send", "AsyncClient.send"),
    "aiohttp": ("ClientSession._request",),
    "requests": ("Session.send",),
    "botocore.httpsession": ("URLLib3Session.send",),
}
"""The functions that send an SDK's requests, also repeated ones, by their module."""

CREDENTIALS: Final = {
    "google.auth.transport.requests": ("Request.__call__",),
    "botocore.credentials": ("RefreshableCredentials._protected_refresh",),
}
"""The functions that ask for new credentials in the middle of a call, by their module: those requests are not
the call's. Source: google-auth 2.63, botocore 1.44, 2026-11-30."""

_NOT_SENT: Final = frozenset(
    {
        "ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol", "InvalidURL",
        "LocalProtocolError", "RuntimeError",
        "InvalidSchema", "MissingSchema", "InvalidHeader", "InvalidProxyURL", "SSLError",
        "NewConnectionError", "NameResolutionError", "ConnectTimeoutError",
        "ClientConnectorError", "ClientConnectorDNSError", "ClientConnectorSSLError",
        "ClientConnectorCertificateError", "ConnectionTimeoutError", "InvalidUrlClientError",
        "NonHttpUrlClientError", "ClientHttpProxyError",
        "EndpointConnectionError", "ProxyConnectionError",
    }
)  # fmt: skip
"""Errors of these modules after which it is certain that nothing was sent: there was no connection, or the
request is not one that can be sent (a line break in a key, an address without ``https://``, a client that
was closed: ``RuntimeError``).

Source: ``httpx._exceptions`` 0.28, ``requests.exceptions`` 2.34 and ``urllib3.exceptions``,
``aiohttp.client_exceptions`` 3.14, ``botocore.exceptions`` 1.44, 2026-11-30."""

_sending: Final[ContextVar[Ticket | None]] = ContextVar("sending", default=None)
"""The call that this thread or task is making: whatever is sent meanwhile is its request."""


class Sending:
    """The context in which an SDK may send the request of a call; the program's own requests lie outside."""

    __slots__ = ("_before", "_ticket")

    def __init__(self, ticket: Ticket | None) -> None:
        self._ticket = ticket

    def __enter__(self) -> None:
        self._before = _sending.get()
        _sending.set(self._ticket)

    def __exit__(self, *_: object) -> None:
        _sending.set(self._before)  # a token fails if another task closes a generator


def _send(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Send a request, and tell the call's ticket before it and if no answer comes."""
    ticket = _sending.get()
    if ticket is None:
        return wrapped(*args, **kwargs)
    ticket.sending()
    ticket.has_begun = False
    with _watching_for_answer(ticket):
        result = wrapped(*args, **kwargs)
    return _send_async(result, ticket) if inspect.isawaitable(result) else _note_status(result, ticket)


async def _send_async(pending: Awaitable[Any], ticket: Ticket) -> Any:
    with _watching_for_answer(ticket):
        return _note_status(await pending, ticket)


def _note_status(response: Any, ticket: Ticket) -> Any:
    status = getattr(response, "status_code", None) or getattr(response, "status", None)
    ticket.has_begun = isinstance(status, int) and status < 400
    return response


@contextmanager
def _watching_for_answer(ticket: Ticket) -> Iterator[None]:
    try:
        yield
    except BaseException as fault:
        if not _NOT_SENT.intersection(_names_of(fault)):
            ticket.unanswered()
        raise


def _names_of(fault: BaseException) -> Iterator[str]:
    """Yield the names of an error and of its reasons: ``requests`` has one class for connection errors."""
    yield type(fault).__name__
    for inner in fault.args:
        yield type(getattr(inner, "reason", None)).__name__


def watch_sending(module: Any) -> None:
    """Wrap the functions of a module that send requests."""
    import wrapt

    for name in SENDERS[module.__name__]:
        with suppress(AttributeError):  # a version that has no such method
            wrapt.wrap_function_wrapper(module, name, _send)


def leave_out_credentials(module: Any) -> None:
    """Wrap the functions of a module that ask for credentials, so that their requests are of no call."""
    import wrapt

    for name in CREDENTIALS[module.__name__]:
        with suppress(AttributeError):  # a version that has no such method
            wrapt.wrap_function_wrapper(module, name, _send_apart)


def _send_apart(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    with Sending(None):
        return wrapped(*args, **kwargs)
