"""Loopback servers that take what is sent: HTTP, a TLS proxy that stands for any host, and SMTP."""

from __future__ import annotations

import json
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import trustme

from tests.support.elapsed import PATIENCE_S


@dataclass
class Taken:
    """One request or mail as it came in."""

    host: str
    path: str
    body: str

    @property
    def data(self) -> Any:
        return json.loads(self.body)


@dataclass
class Web:
    """An HTTP server: what came, and what it answers in turn (the last answer stays)."""

    port: int = 0
    taken: Queue[Taken] = field(default_factory=Queue)
    answers: list[int] = field(default_factory=lambda: [200])
    location: str = ""
    hold: threading.Event | None = None

    def answer(self) -> int:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def _handler(web: Web) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            web.taken.put(Taken(self.headers.get("Host", ""), self.path, body.decode()))
            if web.hold is not None:
                web.hold.wait(PATIENCE_S)
            with suppress(ConnectionError):  # some clients have given up by now
                self.reply(web.answer())

        def reply(self, status: int) -> None:
            self.send_response(status)
            if web.location:
                self.send_header("Location", web.location)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        do_GET = do_POST  # noqa: N815 - the base class looks for this name

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            """Keep the test's output clean."""

    return Handler


@contextmanager
def web_server() -> Iterator[Web]:
    web = Web()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(web)) as server, _serving(server):
        web.port = server.server_address[1]
        yield web


@contextmanager
def tls_proxy(folder: Path, *hosts: str) -> Iterator[tuple[Web, dict[str, str]]]:
    """Give an HTTPS proxy that answers for ``hosts`` itself, and the environment that leads to it.

    Clients do all they would do on the net: they ask the proxy for a tunnel, check the certificate
    against the host's name, and speak HTTP inside.
    """
    web, authority = Web(), trustme.CA()
    bundle = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*hosts).configure_cert(context)
    inner = _handler(web)

    class Proxy(inner):  # type: ignore[valid-type, misc]  # the class is made a line above
        def do_CONNECT(self) -> None:  # noqa: N802 - the base class looks for this name
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self.close_connection = True
            # A client that does not like the certificate hangs up: some tests are about that.
            with suppress(ssl.SSLError), context.wrap_socket(self.connection, server_side=True) as tunnel:
                inner(tunnel, self.client_address, self.server)  # speaks HTTP inside the tunnel

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server, _serving(server):
        web.port = server.server_address[1]
        proxy = f"http://127.0.0.1:{web.port}"
        yield web, {"HTTPS_PROXY": proxy, "https_proxy": proxy, "REQUESTS_CA_BUNDLE": str(bundle)}


@dataclass
class Mail:
    """An SMTP server and the mails it took. ``refuse`` makes it turn recipients away."""

    port: int = 0
    taken: Queue[Taken] = field(default_factory=Queue)
    refuse: bool = False


@contextmanager
def mail_server() -> Iterator[Mail]:
    mail = Mail()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 test")
            recipient = ""
            while line := self.rfile.readline().decode().strip():
                verb = line[:4].upper()
                if verb == "RCPT":
                    recipient = line.partition(":")[2].strip("<> ")
                    self.say("550 no" if mail.refuse else "250 ok")
                elif verb == "DATA":
                    self.say("354 go on")
                    body = b"".join(iter(self.rfile.readline, b".\r\n"))
                    mail.taken.put(Taken(recipient, "", body.decode()))
                    self.say("250 taken")
                elif verb == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 ok")

        def say(self, text: str) -> None:
            self.wfile.write(text.encode() + b"\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server, _serving(server):
        mail.port = server.server_address[1]
        yield mail


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
