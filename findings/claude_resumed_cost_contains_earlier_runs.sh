#!/usr/bin/env bash
# Claude Code 2.1.332: `total_cost_usd` of a resumed or forked run contains what earlier runs cost; `usage` beside
# it does not.
#
# `claude -p ... --output-format json` prints one result. A script that runs Claude several times with
# `--continue` and adds up `total_cost_usd` bills the first run three times, the second one twice: since sessions
# keep a `cost-state`, a process begins with the sum of the session that it resumes, or of the one that it forks,
# though that is an earlier process's, printed by it already. `modelUsage` is cumulative in the same way. `usage`,
# in the same object, is that of this run alone, so the two disagree from the second run on.
#
# What to do: subtract the `total_cost_usd` of the run before in the same session; in a fork, that of its parent.
#
# Seen on 2026-11-29 with Node 22: three requests of 1000, 1037 and 1074 uncached input tokens, billed once each:
#   first run          total_cost_usd 0.008325  usage 1000  modelUsage 1000
#   --continue         total_cost_usd 0.016933  usage 1037  modelUsage 2037
#   and --fork-session total_cost_usd 0.025824  usage 1074  modelUsage 3111
#   added up           0.051082, where the three requests cost 0.025824
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --no-audit --no-fund --loglevel=error --force @anthropic-ai/claude-code@2.1.332 node@22.23.3 >/dev/null 2>&1
mkdir -p home work
cat >provider.py <<'PYTHON'
"""A provider that bills 1000, 1037, 1074 ... input tokens beside the cache."""
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

answers = 0


class Provider(BaseHTTPRequestHandler):
    def do_POST(self):
        global answers
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        number, answers = answers, answers + 1
        usage = {
            "input_tokens": 1000 + 37 * number,
            "cache_read_input_tokens": 4000 + 61 * number,
            "cache_creation_input_tokens": 700 + 13 * number,
            "output_tokens": 1,
        }
        message = {"id": f"msg_{number:024d}", "type": "message", "role": "assistant", "model": asked["model"]}
        message |= {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
        ended = {"delta": {"stop_reason": "end_turn"}, "usage": usage | {"output_tokens": 100 + 7 * number}}
        events = [
            {"type": "message_start", "message": message},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Done."}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", **ended},
            {"type": "message_stop"},
        ]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for event in events:
            self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())

    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()

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
PORT=$(cat port) python3 - <<'PYTHON'
import json
import os
import subprocess

env = {
    "HOME": os.path.abspath("home"),
    "PATH": os.path.abspath("node_modules/node/bin") + os.pathsep + os.environ["PATH"],
    "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{os.environ['PORT']}",
    "ANTHROPIC_API_KEY": "none",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
}
model = "claude-sonnet-4-5-20250929"
command = ["../node_modules/.bin/claude", "-p", "hello", "--model", model, "--output-format", "json"]
runs = {"first run": [], "--continue": ["--continue"], "and --fork-session": ["--continue", "--fork-session"]}
costs, usages, models = [], [], []
for name, more in runs.items():
    done = subprocess.run([*command, *more], cwd="work", env=env, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    result = json.loads(done.stdout)
    costs.append(round(result["total_cost_usd"], 6))
    usages.append(result["usage"]["input_tokens"])
    models.append(result["modelUsage"][model]["inputTokens"])
    print(f"{name:<18} total_cost_usd {costs[-1]:.6f}  usage {usages[-1]}  modelUsage {models[-1]}")
print(f"added up           {sum(costs):.6f}, where the three requests cost {costs[-1]:.6f}")
assert usages == [1000, 1037, 1074], usages
assert models == [1000, 2037, 3111], models
assert costs == [0.008325, 0.016933, 0.025824], costs
PYTHON
