#!/usr/bin/env bash
# litellm 1.110.2: one request to Cohere costs four times as much here by the name `cohere_chat/MODEL` as by
# `cohere_chat/v1/MODEL`, at the same rates: the one counts what the model read, the other what Cohere bills.
#
# Cohere states two counts: `billed_units`, what one pays for, and `tokens`, which include what Cohere puts around a prompt,
# for nothing. LiteLLM asks Cohere's second API unless the name says `v1/`. From the answer of the first it takes the
# billed units, from that of the second the processed tokens, under the same remark in its source that billed units are
# used. `response.usage` and `response_cost` follow; no field tells which count it is, and `billed_units` is nowhere in
# the response. The shorter the prompt, the wider apart they are.
#
# What to do: take the cost of the second API for an upper bound, or ask by Cohere's own client where it matters.
#
# Seen on 2026-11-30 with Python 3.11; billed 100 input and 20 output, processed 700 and 25:
#   cohere_chat/command-r-plus-08-2024     700 + 25  0.002
#   cohere_chat/v1/command-r-plus-08-2024  100 + 20  0.00045
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "litellm==1.110.2" 2>/dev/null
cat >"$folder/costs.py" <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import litellm

USAGE = {"billed_units": {"input_tokens": 100, "output_tokens": 20}, "tokens": {"input_tokens": 700, "output_tokens": 25}}
MODEL = "command-r-plus-08-2024"


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith("/v2"):
            message = {"role": "assistant", "content": [{"type": "text", "text": "hi"}]}
            answer = {"id": "a", "finish_reason": "COMPLETE", "message": message, "usage": USAGE}
        else:
            answer = {"generation_id": "a", "text": "hi", "finish_reason": "COMPLETE", "meta": USAGE}
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
base = f"http://127.0.0.1:{server.server_port}"
seen = []
for name, path in ((f"cohere_chat/{MODEL}", "/v2/chat"), (f"cohere_chat/v1/{MODEL}", "/v1/chat")):
    ask = [{"role": "user", "content": "hello"}]
    answer = litellm.completion(model=name, messages=ask, api_base=base + path, api_key="none")
    counts = (answer.usage.prompt_tokens, answer.usage.completion_tokens)
    cost = answer._hidden_params.get("response_cost")
    print(f"{name:38} {counts[0]} + {counts[1]}  {cost}")
    seen.append((*counts, cost))
    assert "billed" not in repr(answer) and "billed" not in repr(answer._hidden_params)
assert seen == [(700, 25, 0.002), (100, 20, 0.00045)], seen
PYTHON
cd "$folder"
export LITELLM_LOCAL_MODEL_COST_MAP=True
env/bin/python -W ignore costs.py
