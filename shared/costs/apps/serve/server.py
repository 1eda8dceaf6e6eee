"""Runs the site until it is interrupted."""

from __future__ import annotations

import errno
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ...errors import CostError

if TYPE_CHECKING:
    from starlette.types import ASGIApp


class Protocol(H11Protocol):
    """One connection. uvicorn 0.54 leaves the two cases below to asyncio, which drops or reports them."""

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio takes what keeps the connection open
        """Keep the connection for an answer that has not begun, to a request that came whole.

        Who sends no more may read still: ``printf 'GET / ...' | nc -N``, and some proxies.
        """
        cycle = self.cycle
        waits = cycle is not None and self.conn.their_state is h11.DONE and not cycle.response_started
        if waits:
            cycle.keep_alive = False
        return waits

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP; where an answer has begun, end the connection alone."""
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()


_ENDING: Final = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
_BACKLOG: Final = 512
"""How many connections may wait to be taken."""

_GRACE_S: Final = 2
"""How long answers in progress may take after an interrupt, in seconds."""


class CannotListen(CostError):
    """The address cannot be had."""


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address; port 0 is any free one.

    Raises:
        CannotListen: it is taken, is none of this machine's, or needs rights.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as fault:
        raise CannotListen(f"--host {host}: no such address ({fault.strerror or fault})") from None
    # Connections inherit the protocol, by which asyncio knows that no part of an answer is to be held back
    # until the one before is acknowledged: 40 ms each.
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(_BACKLOG)  # before the address is printed: who opens it at once waits, and is not refused
    except OSError as fault:
        made.close()
        if fault.errno == errno.EADDRINUSE:
            raise CannotListen(
                f"port {port} of {host} is taken, perhaps by a server that was started before: "
                f"give another one, or --port 0 for any that is free"
            ) from None
        raise CannotListen(f"{host}, port {port}: cannot listen there: {fault.strerror or fault}") from None
    return made


def run(application: ASGIApp, bound: socket.socket, ending: Callable[[], None]) -> None:
    """Answer requests until the process is told to end (Ctrl-C, SIGTERM, its terminal gone).

    ``ending`` is called then, to end answers that would go on for ever.
    """
    config = uvicorn.Config(
        application,
        lifespan="off",
        http=Protocol,
        ws="none",
        interface="asgi3",
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_S,
        backlog=_BACKLOG,
    )
    _Server(config, ending).run(sockets=[bound])


class _Server(uvicorn.Server):
    """A server that ends quietly: being interrupted is how it is meant to end."""

    def __init__(self, config: uvicorn.Config, ending: Callable[[], None]) -> None:
        super().__init__(config)
        self._ending = ending

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take the signals that end the server, and give them back."""
        before = {number: signal.signal(number, self.handle_exit) for number in _ENDING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # as uvicorn calls it
        """End after the answers in progress; at once when called twice."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self._ending()
