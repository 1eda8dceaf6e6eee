#!/usr/bin/env bash
# promptfoo 0.121.20: an evaluation whose answers are judged by a model costs what the answers cost; what the judge costs is
# in no `cost`, though its tokens are counted and its price is known.
#
# `llm-rubric` and its kind send one request more for each answer, to a model that is often the dearest of all. The answer's
# tokens and the judge's stand in the report, each by itself, and the sum of both is printed at its end. `cost` of a result
# and of the whole prompt, what the page shows in dollars and what an assertion of type `cost` is held against, is the
# answers' alone. Here both are the same model: half of what was billed. `tokenUsage.total` in the JSON is the answers' too,
# and `numRequests` of the judge is 0. That a judge's tokens were missing was told before:
# https://github.com/promptfoo/promptfoo/issues/4673.
#
# What to do: add `tokenUsage.assertions` at the judge's price, or read the bill.
#
# Seen on 2026-11-30 with Node 22.23.3, a server on this machine that bills $0.0035 for each request of gpt-4o:
#   requests 4, billed $0.014
#   cost $0.007, tokens 2200, of the judge 2200 in 0 requests
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --no-audit --no-fund --loglevel=error --force node@22.23.3 >/dev/null 2>&1
npm install --no-audit --no-fund --loglevel=error --force --ignore-scripts promptfoo@0.121.20 >/dev/null 2>&1
cat >provider.py <<'PYTHON'
"""A provider of gpt-4o that bills 1000 tokens of input and 100 of output, and judges when it is asked to."""
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Provider(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with open("requests", "a") as file:
            file.write("1\n")
        said = json.dumps({"pass": True, "score": 1, "reason": "polite"}) if "is polite" in asked else f"Yes {len(asked)}."
        answer = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1790000000,
            "model": "gpt-4o",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
        }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

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
model="{id: 'openai:chat:gpt-4o', config: {apiBaseUrl: 'http://127.0.0.1:$(cat port)/v1', apiKey: none}}"
cat >promptfooconfig.yaml <<YAML
prompts: ['Greet {{who}}']
providers: [$model]
defaultTest:
  options: {provider: $model}
  assert: [{type: llm-rubric, value: is polite}, {type: cost, threshold: 0.004}]
tests: [{vars: {who: Ana}}, {vars: {who: everybody}}]
YAML
export HOME="$folder" PROMPTFOO_CONFIG_DIR="$folder/config" PROMPTFOO_DISABLE_TELEMETRY=1 PROMPTFOO_DISABLE_UPDATE=1
node_modules/node/bin/node node_modules/promptfoo/dist/src/entrypoint.js eval --no-table --no-progress-bar -o out.json >log 2>&1 ||
  { cat log; exit 1; }
python3 - <<'PYTHON'
import json

results = json.load(open("out.json"))["results"]
requests = open("requests").read().count("1")
[prompt] = results["prompts"]
cost, tokens = round(prompt["metrics"]["cost"], 6), results["stats"]["tokenUsage"]
judge = tokens["assertions"]
print(f"requests {requests}, billed ${requests * 0.0035:g}")
print(f"cost ${cost:g}, tokens {tokens['total']}, of the judge {judge['total']} in {judge['numRequests']} requests")
assert [each["success"] for each in results["results"]] == [True, True]
assert (requests, cost, tokens["total"], judge["total"], judge["numRequests"]) == (4, 0.007, 2200, 2200, 0), tokens
PYTHON
