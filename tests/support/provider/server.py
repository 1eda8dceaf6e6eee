"""The server itself: reads a request, asks its wire format for the answer, and notes what it said."""

from __future__ import annotations

import itertools
import json
import os
import socket
import struct
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self
from urllib.parse import urlsplit

from .anthropic import AnthropicFormat
from .gemini import GeminiFormat
from .openai import OpenAIAudioFormat, OpenAIChatFormat
from .replies import Answering, Reply, Served, WireFormat, counts_of
from .responses import OpenAIResponsesFormat

FORMATS: Final[tuple[WireFormat, ...]] = (
    OpenAIChatFormat(),
    OpenAIAudioFormat(),
    OpenAIResponsesFormat(),
    AnthropicFormat(),
    GeminiFormat(),
)
_BASE_PATHS: Final = {"openai": "/v1", "anthropic": "", "gemini": ""}
_FAULT_STATUS: Final = {"error": 500, "busy": 429, "refuse": 401}


class ProviderServer:
    """Answers requests in threads of its own; used with ``with``.

    ``served`` lists the answers in order, faults and broken ones included. ``arrived`` is released
    once for every request that has come in, so that a test can wait for one without sleeping.
    """

    def __init__(self, port: int = 0) -> None:
        self.served: list[Served] = []
        self._replies: deque[Reply] = deque()
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._released = threading.Event()
        self.arrived = threading.Semaphore(0)
        self._http = _Http(self, port)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def address(self) -> str:
        """The server's root address."""
        return f"http://127.0.0.1:{self._http.server_port}"

    def url(self, provider: str) -> str:
        """The base URL to give to a provider's SDK: ``openai``, ``anthropic`` or ``gemini``."""
        return self.address + _BASE_PATHS[provider]

    def next_replies(self, *replies: Reply) -> None:
        """Say how the next requests are answered; those after them are answered normally."""
        self._replies.extend(replies)

    @property
    def answered(self) -> list[Served]:
        """The answers that came through whole."""
        return [served for served in self.served if served.status == 200]

    def take_reply(self) -> tuple[Reply, str]:
        """Return how to answer the request at hand, and its id."""
        with self._lock:
            return (self._replies.popleft() if self._replies else Reply()), f"req-{next(self._ids)}"

    def release(self) -> None:
        """Let the requests go on that were told to stall."""
        self._released.set()

    def wait_for_release(self) -> None:
        """Hold a request up."""
        self._released.wait()

    def note(self, served: Served) -> None:
        """Keep what was answered."""
        with self._lock:
            self.served.append(served)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


class _Http(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True

    def __init__(self, provider: ProviderServer, port: int) -> None:
        self.provider = provider
        super().__init__(("127.0.0.1", port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Http
    protocol_version = "HTTP/1.0"  # one request a connection, so that no thread waits for a second one

    def do_POST(self) -> None:
        path = urlsplit(self.path).path
        body = self.rfile.read(int(self.headers["Content-Length"]))
        wire = next((form for form in FORMATS if form.matches(path)), None)
        if wire is None:
            self.send_error(404)
            return
        asked = wire.read(path, body, self.headers["Content-Type"])
        reply, request_id = self.server.provider.take_reply()
        counts = counts_of(asked, reply)
        answering = Answering(asked, reply, counts, request_id)
        status = _FAULT_STATUS.get(reply.how, 200)
        # Noted before the answer: once the client has it, the note is there to be read.
        told = counts if reply.how in {"normal", "total-only"} else type(counts)()
        noted = -1 if reply.how in {"hang-up", "stall"} else status
        self.server.provider.note(Served(path, asked, noted, request_id, told))
        self.server.provider.arrived.release()
        if reply.how == "stall":
            self.server.provider.wait_for_release()
        try:
            self._answer(wire, answering, status)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # whoever asked has gone in the meantime

    def _answer(self, wire: WireFormat, answering: Answering, status: int) -> None:
        if status != 200:
            self._send_json(status, wire.fault(status), answering)
        elif answering.asked.stream:
            self._send_events(list(wire.events(answering)), answering)
        else:
            self._send_json(status, wire.whole(answering), answering)

    def _send_json(self, status: int, data: dict[str, Any], answering: Answering) -> None:
        content = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("x-request-id", answering.request_id)
        self.send_header("retry-after-ms", "1")
        self.end_headers()
        self._send_all_or_half([content[: len(content) // 2], content[len(content) // 2 :]], answering)

    def _send_events(self, events: list[bytes], answering: Answering) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self._send_all_or_half(events, answering)

    def _send_all_or_half(self, pieces: list[bytes], answering: Answering) -> None:
        if answering.reply.how != "hang-up":
            self.wfile.write(b"".join(pieces))
            return
        self.wfile.write(b"".join(pieces[: max(1, len(pieces) // 2)]))
        self.wfile.flush()
        self._break_connection()

    def _break_connection(self) -> None:
        """Reset the connection, as a server that dies does, instead of closing it properly."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())

    def log_message(self, *arguments: object) -> None:
        """Stay quiet: ``served`` is the log."""
