"""Sends malformed requests to a running ``cost-dashboard serve --edit`` and looks at what becomes of them.

Broken request lines, headers and bodies over the socket, addresses of every kind with damaged paths and
values, with and without the token and a session, forms that are none; then many pages at the same time. None
may be answered 5xx or end the server, and neither the profile nor a ledger nor a sum may change.

    python3 scripts/faults/malformed_requests.py [--requests 10000] [--crowd 200] [--seed 1]
"""

from __future__ import annotations

import http.client
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from scripts.faults.command_line import command_line
from shared.costs.apps.serve.views import PAGES
from shared.costs.demo import DemoFiles, write_sample
from shared.costs.rollup import Query
from shared.costs.store.store import Store

PROGRAM = Path(__file__).resolve().parents[2] / "tools" / "cost-dashboard.py"
ALLOWED = range(200, 500)


class Server(NamedTuple):
    """A server under attack: its process, where it listens, and what lets one in."""

    process: subprocess.Popen[str]
    host: str
    token: str
    base: str
    cookie: str


def started(sample: DemoFiles) -> Server:
    """Start the server and open its address as a browser would."""
    options = [
        "--port",
        "0",
        "--edit",
        "--cost-storage",
        str(sample.storage.root),
        "--profile",
        str(sample.profile),
    ]
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), "serve", *options], stderr=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stderr is not None
    process.stderr.readline()
    address = urlsplit(process.stderr.readline().strip())
    connection = http.client.HTTPConnection(address.netloc, timeout=60)
    connection.request("GET", f"/?{address.query}")
    answer = connection.getresponse()
    cookie = str(answer.headers["set-cookie"]).partition(";")[0]
    base = str(answer.headers["location"]).rstrip("/")
    return Server(process, address.netloc, address.query.partition("=")[2], base, cookie)


ODD = (
    "",
    " ",
    "%",
    "%00",
    "%ff",
    "%c0%ae",
    "%2e%2e",
    "..",
    "../..",
    "%2f",
    "%5c",
    "\\",
    "?",
    "#",
    "%0d%0aX: y",
    "%F0%9F%92%B8",
    "a" * 3_000,
    "%00" * 500,
    "'",
    '"',
    "<b>",
    "${7*7}",
    "{{7*7}}",
    "-1",
    "0",
    "1e309",
    "9" * 400,
    "0x10",
    "NaN",
    "٣",
    "2026-13",
    "2026-11-31",
    "0000-00",
    "9999-12",
    "10000-01",
    "2026-W60",
    "None",
    "null",
    "[]",
)
NAMES = (
    "user",
    "model",
    "stage",
    "service",
    "category",
    "workflow",
    "project",
    "tag",
    "tier",
    "job",
    "by",
    "sort",
    "page",
    "q",
    "month",
    "period",
    "ledger",
    "who",
    "days",
    "since",
    "until",
    "before",
    "after",
    "token",
    "x" * 300,
)
KINDS = ("", "", "", ".json", ".csv", ".html", ".exe", ".json.json", "/", "//", ".")


def odd(chance: random.Random) -> str:
    """Return a piece of an address that is not as it should be, or noise."""
    if chance.random() < 0.3:
        return quote(chance.randbytes(chance.randrange(1, 30)), safe="")
    return chance.choice(ODD)


def target(chance: random.Random, base: str) -> str:
    """Return an address like one of ours."""
    quick = [page.path for page in PAGES if not page.asks_apart]
    path = re.sub(
        r"{[^}]*}", lambda _: odd(chance), chance.choice([*quick, "/budgets/edit", "/events/x", "/assets/x"])
    )
    if chance.random() < 0.1:
        at = chance.randrange(len(path))
        path = path[:at] + odd(chance) + path[at:]
    pairs = [f"{chance.choice(NAMES)}={odd(chance)}" for _ in range(chance.randrange(4))]
    query = f"?{'&'.join(pairs)}" if pairs else ""
    return f"{chance.choice(['', base, base])}{path}{chance.choice(KINDS)}{query}"


def head(chance: random.Random, server: Server) -> list[str]:
    """Return headers, some of them right, some not, some twice."""
    origin = f"http://{server.host}"
    choices = (
        f"Host: {server.host}",
        f"Host: {server.host}",
        f"Host: {server.host}",
        f"Host: {server.host}",
        "Host: evil.example",
    )
    lines = [chance.choice(choices)]
    lines += chance.choice(
        [
            [],
            [f"Cookie: {server.cookie}"],
            [f"Cookie: {server.cookie}"],
            [f"Authorization: Bearer {server.token}"],
        ]
    )
    more = (
        f"Origin: {origin}",
        "Origin: null",
        "Origin: http://[::1",
        "Sec-Fetch-Site: same-origin",
        "Sec-Fetch-Site: \xff",
        "Cookie: cost_dashboard=",
        "Cookie: =;;=;a",
        "Authorization: Basic eA==",
        "Authorization: Bearer",
        "If-None-Match: *",
        'If-None-Match: "x',
        "Range: bytes=0-",
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Type: multipart/form-data",
        "Accept: */*;q=\x01",
        "X: " + "y" * chance.choice([1, 9_000]),
        "Expect: 100-continue",
        "Upgrade: websocket",
        "Host: twice",
        "Transfer-Encoding: chunked",
        "Content-Length: x",
        "Content-Length: -1",
        "Connection: close",
        ": empty",
        "no colon",
    )
    return lines + chance.sample(more, chance.choice([0, 0, 0, 1, 2]))


def request(chance: random.Random, server: Server) -> bytes:
    """Return the bytes of a request."""
    if chance.random() < 0.05:
        return chance.randbytes(chance.randrange(1, 400)) + b"\r\n\r\n"
    method = chance.choice(
        ["GET", "GET", "GET", "GET", "HEAD", "POST", "POST", "PUT", "get", "\x00", "G" * 200]
    )
    version = chance.choice(["HTTP/1.1"] * 9 + ["HTTP/1.0", "HTTP/9.9", "HTTP", ""])
    body = b""
    lines = [f"{method} {target(chance, server.base)} {version}", *head(chance, server)]
    if method == "POST":
        pairs = [f"{chance.choice(NAMES)}={odd(chance)}" for _ in range(chance.randrange(9))]
        body = chance.choice([b"", "&".join(pairs).encode(), chance.randbytes(200), b"x" * 70_000])
        lines.append(f"Content-Length: {len(body) + chance.choice([0, 0, 0, 0, -1])}")
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\nConnection: close\r\n\r\n" + body


def answered(server: Server, data: bytes) -> int:
    """Send bytes and return the status of the answer; 0 where the connection was closed without one."""
    host, _, port = server.host.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        with suppress(OSError):  # the server may have had enough before all was sent
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        with suppress(OSError):
            found = re.match(rb"HTTP/1\.[01] (\d{3})", connection.recv(4096))
            return int(found[1]) if found else 0
    return 0


def state(sample: DemoFiles) -> tuple[str, str, object]:
    """Return what must not change: the profile, the ledgers and the sums."""
    ledgers = sha256(b"".join(path.read_bytes() for path, _ in sample.jobs)).hexdigest()
    with Store.of(sample.storage) as store:
        return sample.profile.read_text(), ledgers, store.groups(("ledger", "stage", "model"), Query())


def all_at_once(server: Server, number: int) -> Counter[int]:
    """Open pages at the same time; return the statuses."""
    lines = (
        f"GET {server.base}/months/2026-11 HTTP/1.1",
        f"Host: {server.host}",
        f"Cookie: {server.cookie}",
        "Connection: close",
    )
    page = "".join(f"{line}\r\n" for line in (*lines, "")).encode()
    host, _, port = server.host.rpartition(":")
    connections = [socket.create_connection((host, int(port)), timeout=120) for _ in range(number)]
    for connection in connections:
        connection.sendall(page)
    statuses: Counter[int] = Counter()
    for connection in connections:
        with connection:
            found = re.match(rb"HTTP/1\.1 (\d{3})", connection.recv(4096))
            statuses[int(found[1]) if found else 0] += 1
    return statuses


def main() -> int:
    """Send them; the exit code is 1 where one was answered 5xx or something changed."""
    parser = command_line(__doc__, requests=10_000, crowd=200, seed=1)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as folder:
        sample = write_sample(Path(folder) / "demo", datetime.now(UTC))
        with Store.of(sample.storage) as store:
            store.add(path for path, _ in sample.jobs)
            store.catch_up_all()
        before = state(sample)
        server = started(sample)
        try:
            begin = time.monotonic()
            wrong: list[tuple[int, bytes]] = []
            statuses: Counter[int] = Counter()
            for _ in range(given.requests):
                data = request(chance, server)
                status = answered(server, data)
                statuses[status] += 1
                if status and status not in ALLOWED:
                    wrong.append((status, data))
            crowd = all_at_once(server, given.crowd)
            seconds = time.monotonic() - begin
        finally:
            server.process.send_signal(signal.SIGINT)
            _, said = server.process.communicate(timeout=30)
        changed = state(sample) != before
    for status, data in wrong[:5]:
        print(f"answered {status}: {data[:300]!r}")
    failed = bool(wrong) or changed or server.process.returncode != 0 or set(crowd) != {200}
    print(
        "failed:" if failed else "held:", f"{given.requests:,} requests in {seconds:.0f} s, answered", end=" "
    )
    print(dict(sorted(statuses.items())), f"; {given.crowd} at once {dict(crowd)}; changed: {changed}")
    print(said.strip()[-2_000:])
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
