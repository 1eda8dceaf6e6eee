"""A provider on the loopback interface that answers command-line agents and keeps what it billed them."""

from __future__ import annotations

import gzip
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from .billing import Answer, Bill, bill_for
from .wires import WIRES, Wire

MODELS = {"object": "list", "data": [], "models": []}


class AgentServer:
    """Answers in threads of its own; used with ``with``. ``bills`` has what was billed, in order.

    ``answers`` are given to the requests that offer tools, in turn; all other requests (titles, summaries)
    and those after the last answer get a plain one. ``begun`` is released when an answer was cut.
    """

    def __init__(self, *answers: Answer) -> None:
        self.bills: list[Bill] = []
        self.unknown: list[str] = []
        self.begun = threading.Semaphore(0)
        self.default = Answer()
        self._answers = deque(answers)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._http = _Http(self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def address(self) -> str:
        """The server's root address."""
        return f"http://127.0.0.1:{self._http.server_port}"

    def answer_next(self, *answers: Answer) -> None:
        """Say how the next requests that offer tools are answered."""
        with self._lock:
            self._answers.extend(answers)

    def billed(self, wire: Wire, path: str, asked: Mapping[str, Any]) -> tuple[Bill, Answer]:
        """Return the answer to a request and its bill, which is kept unless the request is refused."""
        with self._lock:
            answer = self._answers.popleft() if self._answers and asked.get("tools") else self.default
            bill = bill_for(len(self.bills), wire.model(path, asked), answer, writes=wire.writes, path=path)
            if answer.how != "busy":
                self.bills.append(bill)
            return bill, answer

    def wait_until_over(self, is_gone: Callable[[], bool]) -> None:
        """Hold a cut answer open until the agent goes away or the server ends."""
        while not self._over.wait(0.1) and not is_gone():
            pass

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, agents: AgentServer) -> None:
        self.agents = agents
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Http
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        self._json(200, MODELS)

    def do_HEAD(self) -> None:
        self._json(200, {})

    def do_POST(self) -> None:
        path = urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        wire = next((each for each in WIRES if each.matches(path)), None)
        if wire is None:
            self.server.agents.unknown.append(path)
            self._json(404, {"error": {"message": "not here", "type": "not_found_error"}})
            return
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        asked = json.loads(body)
        bill, answer = self.server.agents.billed(wire, path, asked)
        try:
            self._answer(wire, bill, answer, streams=wire.streams(path, asked))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the agent was interrupted

    def _answer(self, wire: Wire, bill: Bill, answer: Answer, *, streams: bool) -> None:
        if answer.how == "busy":
            self._json(529, {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}})
        elif not streams:
            self._json(200, wire.whole(bill, answer), bill.number)
        else:
            self._stream(wire.events(bill, answer), answer, bill.number)

    def _stream(self, events: Iterator[bytes], answer: Answer, number: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("request-id", f"req_loopback{number:016d}")
        self.end_headers()
        if answer.how != "cut":
            self.wfile.write(b"".join(events))
            return
        pieces = list(events)
        self.wfile.write(b"".join(pieces[: max(1, len(pieces) // 2)]))
        self.wfile.flush()
        self.server.agents.begun.release()
        self.server.agents.wait_until_over(self._is_gone)

    def _is_gone(self) -> bool:
        try:
            self.wfile.write(b": still here\n\n")
            self.wfile.flush()
        except OSError:
            return True
        return False

    def _json(self, status: int, data: Mapping[str, Any], number: int = 0) -> None:
        content = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("request-id", f"req_loopback{number:016d}")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Stay quiet: ``bills`` is the log."""
