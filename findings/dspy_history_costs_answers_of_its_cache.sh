#!/usr/bin/env bash
# dspy 3.4.1: an answer from DSPy's cache has the cost of the first request in `lm.history`, beside an empty usage.
#
# DSPy caches every call on the disk, also over runs of a program, and that is on by default. An optimizer or an
# evaluation that is run again asks the provider nothing. `lm.history` gets an entry all the same, with the `cost` of the
# request of then; sum(entry["cost"] for entry in lm.history), the way to the cost of a program, bills each request once for
# every time that its answer was read. `usage` of such an entry is {}, and dspy.track_usage(), which is there to say
# the same, leaves it out: the two disagree by as much as was saved.
#
# What to do: leave out the entries whose `usage` is empty.
#
# Seen on 2026-11-29 with Python 3.11, litellm 1.110.2; one request of 5,000 input tokens, asked three times:
#   1 request; cost in the history: 3 x 0.00775 = 0.02325; input tokens in the history: 5000; track_usage: 5000
#   a new program with the same cache: 0 requests, cost in the history 0.00775, input tokens 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "dspy==3.4.1" "litellm==1.110.2" 2>/dev/null
cat >"$folder/ask.py" <<'PYTHON'
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import dspy

USAGE = {"prompt_tokens": 5000, "completion_tokens": 150, "total_tokens": 5150}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}
ANSWER = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1790000000, "model": "gpt-5.1"}
ANSWER |= {"choices": [CHOICE], "usage": USAGE}
requests = 0


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        global requests
        requests += 1
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
model = dspy.LM("openai/gpt-5.1", model_type="chat", api_base=url, api_key="none", temperature=None, max_tokens=None)
with dspy.track_usage() as tracked:
    for _ in range(int(sys.argv[2])):
        model("Hello?")
costs = [entry["cost"] for entry in model.history]
tokens = sum(entry["usage"].get("prompt_tokens", 0) for entry in model.history)
used = tracked.get_total_tokens().get("openai/gpt-5.1", {}).get("prompt_tokens", 0)
print(json.dumps([server.server_port, requests, [round(cost, 9) for cost in costs], tokens, used]))
PYTHON
export DSPY_CACHEDIR="$folder/cache" LITELLM_LOCAL_MODEL_COST_MAP=True
FIRST=$("$folder/env/bin/python" -W ignore "$folder/ask.py" 0 3 2>/dev/null | tail -n 1)
port=$(python3 -c "import json, sys; print(json.loads(sys.argv[1])[0])" "$FIRST")
AGAIN=$("$folder/env/bin/python" -W ignore "$folder/ask.py" "$port" 1 2>/dev/null | tail -n 1)
FIRST="$FIRST" AGAIN="$AGAIN" python3 - <<'PYTHON'
import json
import os

_, requests, costs, tokens, used = json.loads(os.environ["FIRST"])
sum_ = f"{len(costs)} x {costs[0]} = {sum(costs):.5f}"
print(f"{requests} request; cost in the history: {sum_}; input tokens in the history: {tokens}; track_usage: {used}")
assert (requests, costs, tokens, used) == (1, [costs[0]] * 3, 5000, 5000) and costs[0] > 0
_, requests, costs, tokens, used = json.loads(os.environ["AGAIN"])
print(f"a new program with the same cache: {requests} requests, cost in the history {costs[0]}, input tokens {tokens}")
assert (requests, len(costs), tokens, used) == (0, 1, 0, 0) and costs[0] > 0
PYTHON
