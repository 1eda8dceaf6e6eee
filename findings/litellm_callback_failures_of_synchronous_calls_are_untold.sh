#!/usr/bin/env bash
# litellm 1.110.2: what a callback raises is logged after acompletion(), and told nowhere after completion().
#
# A callback books costs, and its disk fills up. LiteLLM catches what a callback raises, so that the call succeeds. Of
# asynchronous calls the traceback goes to the logger "LiteLLM" as an error. Of synchronous ones it is shown by the debug
# output alone, which is off: no warning, no exception, no count. The same program that was loud under load in a service
# loses its costs in silence in a batch script. (A callback whose parameters have other names than `kwargs`,
# `response_obj`, `start_time` and `end_time` raises too, since they are given by name.)
#
# What to do: let a callback keep and report its own failures; never take silence for success.
#
# Seen on 2026-11-30 with Python 3.11; three calls, a callback that raises from the second on:
#   3 x completion   booked 1  told 0
#   3 x acompletion  booked 1  told 2
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "litellm==1.110.2" 2>/dev/null
cat >"$folder/calls.py" <<'PYTHON'
import asyncio
import json
import logging
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import litellm
from litellm.integrations.custom_logger import CustomLogger

USAGE = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}
        answer = {"id": "a", "object": "chat.completion", "created": 1, "model": "gpt-4o", "choices": [choice], "usage": USAGE}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
records = []


class Records(logging.Handler):
    def emit(self, record):
        records.append(self.format(record))


for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
    logging.getLogger(name).addHandler(Records(level=logging.WARNING))

booked = []


class Ledger(CustomLogger):
    def __init__(self, space):
        super().__init__()
        self.space = space

    def log_success_event(self, kwargs, response_obj, start_time, end_time):
        self.book(kwargs)

    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        self.book(kwargs)

    def book(self, kwargs):
        self.space -= 1
        if self.space < 0:
            raise OSError("no space left for the ledger")
        booked.append(kwargs["response_cost"])


ask = {
    "model": "openai/gpt-4o",
    "messages": [{"role": "user", "content": "hi"}],
    "api_base": f"http://127.0.0.1:{server.server_port}/v1",
    "api_key": "none",
}


async def asynchronous():
    for _ in range(3):
        await litellm.acompletion(**ask)
    await asyncio.sleep(3)


def synchronous():
    for _ in range(3):
        litellm.completion(**ask)
    time.sleep(3)


name = sys.argv[1]
litellm.callbacks = [Ledger(space=1)]
synchronous() if name == "completion" else asyncio.run(asynchronous())
told = sum("no space left" in record for record in records)
print(f"3 x {name:12} booked {len(booked)}  told {told}")
assert [len(booked), told] == json.loads(sys.argv[2]), (booked, told)
PYTHON
cd "$folder"
export LITELLM_LOCAL_MODEL_COST_MAP=True
env/bin/python -W ignore calls.py completion "[1, 0]" 2>/dev/null
env/bin/python -W ignore calls.py acompletion "[1, 2]" 2>/dev/null
