"""HTTP as uvicorn speaks it, also with clients that end or spoil a request whose answer is on its way."""

from __future__ import annotations

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


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
