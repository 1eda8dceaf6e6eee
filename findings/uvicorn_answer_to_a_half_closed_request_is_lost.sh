#!/usr/bin/env bash
# uvicorn 0.54.0: a client that ends its side of the connection after its request gets no answer, unless it was ready
# at once; the application runs to its end all the same.
#
# TCP lets a client say "nothing more from me" and go on reading; `printf ... | nc -N`, socat and some proxies do so
# once a request is sent. uvicorn, with h11 and with httptools, takes that for a client that has gone: the socket is
# closed as soon as the end of the request is seen, what the application sends later goes nowhere, and nothing is
# logged. Whatever the request did is done, and paid for where it was a call to a model behind a gateway. An
# application that answers without waiting hides it: its answer was written before. hypercorn and waitress answer both.
#
# What to do: have such a client wait for the answer before it ends its side; or give uvicorn a protocol whose
# eof_received returns True while an answer is awaited.
#
# Seen on 2026-11-30 with Python 3.11, httptools 0.9.0, hypercorn 0.18.0, waitress 3.0.2:
#   uvicorn h11          at once: 200  after 0.3 s: no answer, done all the same
#   uvicorn httptools    at once: 200  after 0.3 s: no answer, done all the same
#   hypercorn            at once: 200  after 0.3 s: 200
#   waitress             at once: 200  after 0.3 s: 200
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
  "uvicorn==0.54.0" "h11==0.16.0" "httptools==0.9.0" "hypercorn==0.18.0" "waitress==3.0.2"
cat > "$folder/served.py" <<'PYTHON'
import asyncio
import time

DONE = "done.txt"


def wait_of(path):
    return 0.3 if path == "/slow" else 0.0


def note(path):
    with open(DONE, "a") as file:
        file.write(f"{path}\n")


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    if wait := wait_of(scope["path"]):
        await asyncio.sleep(wait)
    note(scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def wsgi(environ, start_response):
    time.sleep(wait_of(environ["PATH_INFO"]))
    note(environ["PATH_INFO"])
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
PYTHON
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import os
import socket
import subprocess
import sys
import time

UVICORN = ["uvicorn", "--lifespan", "off", "--log-level", "warning", "--port", "{port}", "served:asgi", "--http"]
SERVERS = {
    "uvicorn h11": [*UVICORN, "h11"],
    "uvicorn httptools": [*UVICORN, "httptools"],
    "hypercorn": ["hypercorn", "--bind", "127.0.0.1:{port}", "served:asgi"],
    "waitress": ["waitress", "--listen", "127.0.0.1:{port}", "served:wsgi"],
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def connected(port):
    for _ in range(600):
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=20)
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server did not start")


def asked(port, path):
    """Send a request, end sending, and return the status that is read until the end; empty without an answer."""
    with connected(port) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
    return answer[9:12].decode()


def done():
    for _ in range(50):
        if os.path.exists("done.txt") and "/slow" in open("done.txt").read():
            return True
        time.sleep(0.1)
    return False


def looked_at(words):
    port = free_port()
    if os.path.exists("done.txt"):
        os.remove("done.txt")
    command = [sys.executable, "-m", *(word.format(port=port) for word in words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            connected(port).close()
            return asked(port, "/quick"), asked(port, "/slow"), done()
        finally:
            process.terminate()


for name, words in SERVERS.items():
    quick, slow, is_done = looked_at(words)
    said = slow or f"no answer{', done all the same' if is_done else ''}"
    print(f"{name:<20} at once: {quick}  after 0.3 s: {said}")
    assert quick == "200"
    assert is_done
    assert slow == ("" if name.startswith("uvicorn") else "200"), name
PYTHON
