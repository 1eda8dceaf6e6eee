#!/usr/bin/env bash
# ccusage 20.0.24 on Qwen Code 0.24.4: cached and thought tokens count twice, and a billed request is missed.
#
# Qwen Code began as Gemini CLI and keeps its field names: `promptTokenCount`, `candidatesTokenCount`,
# `thoughtsTokenCount`. Over an endpoint of OpenAI's format, which is what it is mostly used with, the numbers in
# them follow OpenAI: the thoughts are *in* the candidates, where over Gemini's API they stand beside them. The
# same two names mean different things in two sessions of one program; only `totalTokenCount` tells which.
# ccusage adds the thoughts to the output again, and the cache, which is in the prompt, to the input again.
#
# And after an answer Qwen Code may ask the model to extract memories. That request is billed, and stands on no
# answer of the session: only in its `ui_telemetry` events and in `~/.qwen/usage/token-usage-YYYY-MM.jsonl`.
#
# What to do: read the usage files. Where there are none, read the `qwen-code.api_response` events, and add the
# thoughts only where the total is the sum of all three.
#
# Seen on 2026-11-29 with Node 22; a session of two requests (one with thoughts), continued with a third one,
# which was followed by the extractor of memories:
#   billed       4 requests  20588 input  492 output
#   usage file   4 requests  20588 input  492 output
#   ccusage                  27477 input  421 output (three answers; 12183 cached and 50 thought tokens twice)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --no-audit --no-fund --loglevel=error --force \
  @qwen-code/qwen-code@0.24.4 node@22.23.3 ccusage@20.0.24 @ccusage/ccusage-linux-x64@20.0.24 >/dev/null 2>&1
mkdir -p home work
cat >provider.py <<'PYTHON'
"""A provider of OpenAI's format that keeps what it billed: input with its cache, output with its reasoning."""
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

answers = 0


class Provider(BaseHTTPRequestHandler):
    def do_POST(self):
        global answers
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        number, answers = answers, answers + 1
        thoughts = 0 if number else 50
        told, said = 5000 + 98 * number, 100 + 7 * number + thoughts
        usage = {
            "prompt_tokens": told,
            "prompt_tokens_details": {"cached_tokens": 4000 + 61 * number},
            "completion_tokens": said,
            "completion_tokens_details": {"reasoning_tokens": thoughts},
            "total_tokens": told + said,
        }
        call = {"name": "run_shell_command", "arguments": '{"command": "echo hi", "is_background": false}'}
        called = {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": call}]}
        reason = "stop" if number else "tool_calls"
        head = {"id": f"chatcmpl-{number:024d}", "object": "chat.completion.chunk", "model": asked["model"]}
        chunks = [
            {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Done."} | ({} if number else called)}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
            {"choices": [], "usage": usage},
        ]
        whole = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "{}"}, "finish_reason": "stop"}]}
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if asked.get("stream") else "application/json")
        self.end_headers()
        if asked.get("stream"):
            for chunk in chunks:
                self.wfile.write(f"data: {json.dumps(head | {'created': 1} | chunk)}\n\n".encode())
            self.wfile.write(b"data: [DONE]\n\n")
        else:
            self.wfile.write(json.dumps(head | {"object": "chat.completion", "usage": usage} | whole).encode())
        with open("bills", "a") as bills:
            print(told, said, file=bills)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
print(server.server_port, flush=True)
server.serve_forever()
PYTHON
python3 provider.py >port &
provider=$!
trap 'kill $provider; rm -rf "$folder"' EXIT
while [ ! -s port ]; do sleep 0.1; done
export HOME="$folder/home" TZ=UTC OPENAI_API_KEY=none OPENAI_MODEL=qwen3-coder-plus
export OPENAI_BASE_URL="http://127.0.0.1:$(cat port)/v1" PATH="$folder/node_modules/node/bin:$PATH"
(cd work && ../node_modules/.bin/qwen -p "say hello" -y --auth-type openai </dev/null >/dev/null 2>&1)
(cd work && ../node_modules/.bin/qwen -p "again" -y --auth-type openai --continue </dev/null >/dev/null 2>&1)
CCUSAGE=$(node_modules/.bin/ccusage qwen daily --json --offline) python3 - <<'PYTHON'
import glob
import json
import os

bills = [[*map(int, line.split())] for line in open("bills")]
records = [json.loads(line) for path in glob.glob("home/.qwen/usage/token-usage-*.jsonl") for line in open(path)]
totals = json.loads(os.environ["CCUSAGE"])["totals"]
billed = [len(bills), sum(bill[0] for bill in bills), sum(bill[1] for bill in bills)]
recorded = [len(records), *(sum(each[name] for each in records) for name in ("inputTokens", "outputTokens"))]
ccusage = [totals["inputTokens"] + totals["cacheReadTokens"], totals["totalTokens"]]
ccusage[1] -= ccusage[0]
print("billed       {} requests  {} input  {} output".format(*billed))
print("usage file   {} requests  {} input  {} output".format(*recorded))
print("ccusage                  {} input  {} output".format(*ccusage))
assert billed == recorded == [4, 20588, 492], (billed, recorded)
answers = bills[:3]
assert ccusage == [sum(bill[0] for bill in answers) + 12183, sum(bill[1] for bill in answers) + 50], ccusage
PYTHON
