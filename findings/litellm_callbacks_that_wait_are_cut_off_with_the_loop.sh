#!/usr/bin/env bash
# litellm 1.110.2: what a callback of acompletion() has begun when asyncio.run() ends is cancelled: of ten calls none is in a ledger
# that waits two seconds for its database; the calls themselves succeeded.
#
# LiteLLM runs `async_log_success_event` after the answer has been returned, from a queue. At the end of the program it runs what
# is still queued, for five seconds, which hides the fault: a callback that never waits loses little. One that does, as
# every write to a database, a collector or a thread is one, has begun by then, and asyncio.run() cancels what has
# begun; nobody begins it again. A server that runs for days loses its last second, a script that asks ten
# things and ends, most of them. Nothing is logged. The synchronous completion() loses none.
#
# What to do: `await GLOBAL_LOGGING_WORKER.flush()` (litellm.litellm_core_utils.logging_worker) as the last thing in the loop.
#
# Seen on 2026-11-30 with Python 3.11; ten calls one after another, a callback that waits 2 s before it writes:
#   acompletion, none   10 begun, 0 written
#   acompletion, flush  10 begun, 10 written
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "litellm==1.110.2" 2>/dev/null
cat >"$folder/calls.py" <<'PYTHON'
import asyncio
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import litellm
from litellm.integrations.custom_logger import CustomLogger
from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER

USAGE = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
CHOICE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello."}}
ANSWER = {"id": "a", "object": "chat.completion", "created": 1790000000, "model": "gpt-5.1", "choices": [CHOICE], "usage": USAGE}


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Ledger(CustomLogger):
    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        os.write(1, b"begun\n")
        await asyncio.sleep(2)
        os.write(1, b"written\n")


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
litellm.callbacks = [Ledger()]
ask = {"model": "openai/gpt-5.1", "messages": [{"role": "user", "content": "Hello?"}], "api_key": "none"}


async def main():
    for _ in range(10):
        await litellm.acompletion(**ask, api_base=f"http://127.0.0.1:{server.server_port}/v1")
    await asyncio.sleep(0.5)
    if sys.argv[1] == "flush":
        await GLOBAL_LOGGING_WORKER.flush()


asyncio.run(main())
PYTHON
export LITELLM_LOCAL_MODEL_COST_MAP=True
for way in none flush; do
  "$folder/env/bin/python" -W ignore "$folder/calls.py" $way >"$folder/said" 2>/dev/null
  begun=$(grep -c begun "$folder/said" || true)
  written=$(grep -c written "$folder/said" || true)
  printf 'acompletion, %-5s  %s begun, %s written\n' $way "$begun" "$written"
  [ "$begun" = 10 ]
  if [ $way = flush ]; then [ "$written" = 10 ]; else [ "$written" -le 5 ]; fi
done
