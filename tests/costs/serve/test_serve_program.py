"""The command itself: what it prints, what it refuses, how it ends."""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from shared.costs.apps.cli.commands import serve
from shared.costs.apps.serve.server import listening
from shared.costs.extras import install_command
from tests.costs.cli.cli_support import PROGRAM, Dashboard, Ran, program
from tests.support.elapsed import PATIENCE_S


@pytest.fixture
def dashboard(capsys: pytest.CaptureFixture[str]) -> Dashboard:
    return Dashboard(capsys)


@contextmanager
def serving(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the server as a process; give it, and the address that it printed."""
    command = [sys.executable, str(PROGRAM), "serve", "--port", "0", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stderr is not None
        try:
            assert "Open this address" in process.stderr.readline()
            yield process, process.stderr.readline().strip()
        finally:
            process.kill()


def test_no_part_of_an_answer_is_held_back() -> None:
    async def is_sent_at_once() -> int:
        told = asyncio.get_running_loop().create_future()

        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            told.set_result(
                writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            )
            writer.close()

        bound = listening("127.0.0.1", 0)
        async with await asyncio.start_server(connected, sock=bound):
            _, writer = await asyncio.open_connection(*bound.getsockname())
            answer = int(await told)
            writer.close()
            return answer

    assert asyncio.run(is_sent_at_once())


def ended(process: subprocess.Popen[str], by: int) -> Ran:
    process.send_signal(by)
    _, err = process.communicate(timeout=PATIENCE_S)
    return Ran(process.returncode, "", err)


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_ends_quietly_also_while_a_page_listens(by: int) -> None:
    with serving() as (process, address):
        place = urlsplit(address)
        connection = http.client.HTTPConnection(place.netloc)
        connection.request(
            "GET", "/events", headers={"Authorization": f"Bearer {place.query.partition('=')[2]}"}
        )
        events = connection.getresponse()
        assert events.headers["content-type"].startswith("text/event-stream")
        assert events.readline() == b"retry: 2000\n"
        assert ended(process, by) == Ran(0, "", "ended\n")
        connection.close()


PAGE = "GET /reports HTTP/1.1\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n\r\n"
SPOILT = "zz\r\n"
"""No length of a piece of a body."""

ENDED_OR_SPOILT = {
    "a page": (f"{PAGE}HEAD\r\n", "", "200"),
    "half a head": (f"{PAGE}HEAD", "", ""),
    "half a body": (f"{PAGE}HEADContent-Length: 9\r\n\r\nabc", "", ""),
    "half a form": ("POST BASE/budgets/edit HTTP/1.1\r\nFORMContent-Length: 9\r\n\r\nabc", "", ""),
    "half a piece of a form": (f"POST BASE/budgets/edit HTTP/1.1\r\nFORM{CHUNKED}5\r\nabc", "", ""),
    "a spoilt form": (f"POST BASE/budgets/edit HTTP/1.1\r\nFORM{CHUNKED}", SPOILT, "400"),
    "a spoilt request": (f"{PAGE}HEAD{CHUNKED}{SPOILT}", "", "400"),
    "a stream spoilt as it goes": (f"GET /events HTTP/1.1\r\nHEAD{CHUNKED}", SPOILT, "200"),
}


def test_requests_that_are_ended_or_spoilt_leave_no_trace_of_a_failure() -> None:
    with serving("--edit") as (process, address):
        place = urlsplit(address)
        opened = http.client.HTTPConnection(place.netloc)
        opened.request("GET", f"/?{place.query}")
        answer = opened.getresponse()
        cookie = str(answer.headers["set-cookie"]).partition(";")[0]
        fields = {
            "HEAD": f"Host: {place.netloc}\r\nAuthorization: Bearer {place.query.partition('=')[2]}\r\n",
            "FORM": f"Host: {place.netloc}\r\nCookie: {cookie}\r\nOrigin: http://{place.netloc}\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n",
            "BASE": str(answer.headers["location"]).rstrip("/"),
        }
        opened.close()
        got = {
            name: status_of((place.hostname or "", place.port or 0), filled(sent, fields), later)
            for name, (sent, later, _) in ENDED_OR_SPOILT.items()
        }
        assert ended(process, signal.SIGTERM) == Ran(0, "", "ended\n")
    assert got == {name: status for name, (*_, status) in ENDED_OR_SPOILT.items()}


def filled(text: str, fields: dict[str, str]) -> str:
    for name, value in fields.items():
        text = text.replace(name, value)
    return text


def status_of(place: tuple[str, int], sent: str, later: str) -> str:
    """Send bytes, and others once a stream has begun; end sending, and return the status that was read."""
    with (
        socket.create_connection(place, timeout=PATIENCE_S) as connection,
        connection.makefile("rb") as answer,
    ):
        connection.sendall(sent.encode())
        first = answer.readline() if sent.startswith("GET /events") else b""
        connection.sendall(later.encode())
        if not later:
            connection.shutdown(socket.SHUT_WR)
        return (first + answer.read())[9:12].decode()


def test_a_port_that_is_taken_is_named(dashboard: Dashboard) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = dashboard("serve", "--port", str(port))
    assert ran.code == 3
    assert f"port {port} of 127.0.0.1 is taken" in ran.err
    assert "--port 0" in ran.err


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--host", "0.0.0.0"], 2, "--allow-host costs.example:8765"),
        (["--host", "203.0.113.7", "--allow-host", "costs.example"], 3, "cannot listen there"),
        (["--host", "no such host", "--allow-host", "costs.example"], 3, "no such address"),
        (["--allow-host", "a b"], 2, "is not a host"),
        (["--port", "70000"], 2, "70000"),
    ],
)
def test_what_cannot_be_served_is_said(
    options: list[str], code: int, said: str, dashboard: Dashboard
) -> None:
    ran = dashboard("serve", *options)
    assert ran.code == code
    assert said in ran.err


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, dashboard: Dashboard) -> None:
    monkeypatch.setattr(serve, "find_spec", lambda name: None if name == "uvicorn" else object())
    ran = dashboard("serve")
    assert ran.code == 3
    assert f"serve needs uvicorn: {install_command('serve')}" in ran.err


def test_it_makes_a_storage_that_shows_how_to_begin(cost_home: Path) -> None:
    with serving() as (_, address):
        place = urlsplit(address)
        token = {"Authorization": f"Bearer {place.query.partition('=')[2]}"}
        connection = http.client.HTTPConnection(place.netloc)
        connection.request("GET", "/", headers=token)
        first = connection.getresponse()
        first.read()
        assert first.status == 303
        connection.request("GET", first.headers["location"], headers=token)
        assert b"cost-dashboard demo" in connection.getresponse().read()
        connection.close()
    assert (cost_home / "serve.json").stat().st_mode & 0o777 == 0o600


def test_help_says_what_it_does() -> None:
    ran = program("serve", "--help")
    assert ran.code == 0
    assert "--new-token" in ran.out
