#!/usr/bin/env bash
# Codex 0.171.0 packs a session's log by Zstandard once nobody wrote to it for seven days: `rollout-*.jsonl`
# becomes `rollout-*.jsonl.zst` and is removed. ccusage 20.0.24 and tokscale 1.4.3 look for `.jsonl`: they say
# $0 and no tokens for it, without a word.
#
# The feature is called `local_thread_store_compression`, is off unless it is switched on, and covers `sessions`
# and `archived_sessions`. Whoever sums up a month at its end misses its first three weeks, and a reader that
# remembers by path and size which logs it has read takes the day on which a session is resumed (it is
# unpacked then) for a new log. The packed file is one frame of Zstandard; its lines are the same.
# Source of the seven days: https://github.com/openai/codex/pull/24941
#
# What to do: read `.jsonl.zst` as `.jsonl`, take both for one log, and tell answers by their `response_id`.
#
# Seen on 2026-11-30 with Node 22, one answer of 5000 input tokens, the log's time set to nine days ago:
#   files     before: rollout-....jsonl       after: rollout-....jsonl.zst
#   ccusage   before: 5000 input tokens       after: 0
#   tokscale  before: 5000 input tokens       after: 0
#   the packed log's token_usage_record:      5000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --no-audit --no-fund --loglevel=error --force \
  @openai/codex@0.171.0 node@22.23.3 ccusage@20.0.24 @ccusage/ccusage-linux-x64@20.0.24 tokscale@1.4.3 >/dev/null 2>&1
python3 -m venv reader >/dev/null
reader/bin/pip install --quiet --disable-pip-version-check zstandard==0.25.0
mkdir -p home/.codex work
cat >provider.py <<'PYTHON'
"""A provider that bills 5000, 5098, 5196 ... input tokens, its cache and reasoning included."""
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

answers = 0


class Provider(BaseHTTPRequestHandler):
    def do_POST(self):
        global answers
        self.rfile.read(int(self.headers["Content-Length"]))
        number, answers = answers, answers + 1
        told, said = 5000 + 98 * number, 100 + 7 * number
        usage = {
            "input_tokens": told,
            "input_tokens_details": {"cached_tokens": 4000},
            "output_tokens": said,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": told + said,
        }
        part = {"type": "output_text", "text": "Done.", "annotations": []}
        item = {"type": "message", "id": f"msg_{number}", "role": "assistant", "status": "completed", "content": [part]}
        response = {"id": f"resp_{number:032d}", "object": "response", "status": "completed", "model": "gpt-5.1-codex"}
        events = [
            {"type": "response.created", "response": response | {"status": "in_progress", "output": []}},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": response | {"output": [item], "usage": usage}},
        ]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for event in events:
            self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
print(server.server_port, flush=True)
server.serve_forever()
PYTHON
cat >idle.py <<'PYTHON'
"""Keep Codex' own server running until it has packed the log, at most a minute."""
import glob
import json
import os
import subprocess
import time

env = {"HOME": os.environ["HOME"], "PATH": os.environ["PATH"], "LOOPBACK_KEY": "none"}
app = subprocess.Popen(
    ["../node_modules/.bin/codex", "app-server"], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
)
for number, method, params in (
    (1, "initialize", {"clientInfo": {"name": "idle", "version": "1"}}),
    (2, "thread/list", {}),
):
    app.stdin.write(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + "\n")
    app.stdin.flush()
    next(told for told in map(json.loads, app.stdout) if told.get("id") == number)
for _ in range(120):
    if glob.glob(env["HOME"] + "/.codex/sessions/**/*.zst", recursive=True):
        break
    time.sleep(0.5)
app.stdin.close()
app.wait(20)
PYTHON
python3 provider.py >port &
provider=$!
trap 'kill $provider; rm -rf "$folder"' EXIT
while [ ! -s port ]; do sleep 0.1; done
cat >home/.codex/config.toml <<TOML
model = "gpt-5.1-codex"
model_provider = "loopback"
approval_policy = "never"
sandbox_mode = "danger-full-access"
[features]
local_thread_store_compression = true
[model_providers.loopback]
name = "loopback"
base_url = "http://127.0.0.1:$(cat port)/v1"
wire_api = "responses"
env_key = "LOOPBACK_KEY"
TOML
export HOME="$folder/home" TZ=UTC
# What readers make of the logs: input tokens by ccusage and by tokscale.
readers() {
  node_modules/.bin/ccusage codex daily --json --offline |
    python3 -c 'import json, sys; told = json.load(sys.stdin)["totals"] or {}; print(int(told.get("inputTokens", 0) + told.get("cacheReadTokens", 0)))'
  node_modules/node/bin/node -e '
const all = require("@tokscale/core").parseLocalSources({ homeDir: process.env.HOME, sources: ["codex"] }).messages;
console.log(all.reduce((sum, each) => sum + each.input + each.cacheRead, 0));'
}
(cd work && LOOPBACK_KEY=none ../node_modules/.bin/codex exec --skip-git-repo-check "say hello" </dev/null >/dev/null 2>&1)
before=$(readers)
find home/.codex/sessions -name 'rollout-*' -exec touch -d '9 days ago' {} +
rm -f home/.codex/.tmp/rollout-compression.lock # the look of this start, which is repeated once in a while
(cd work && python3 ../idle.py 2>/dev/null)
after=$(readers)
BEFORE="$before" AFTER="$after" reader/bin/python - <<'PYTHON'
import glob
import io
import json
import os

import zstandard

[log] = glob.glob(os.environ["HOME"] + "/.codex/sessions/**/rollout-*", recursive=True)
print(f"the log is {os.path.basename(log)}")
with open(log, "rb") as file:
    lines = [json.loads(line) for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file))]
records = [line["payload"]["usage"]["input_tokens"] for line in lines if line["type"] == "token_usage_record"]
before, after = (list(map(int, os.environ[name].split())) for name in ("BEFORE", "AFTER"))
print(f"ccusage   before: {before[0]} input tokens, after: {after[0]}")
print(f"tokscale  before: {before[1]} input tokens, after: {after[1]}")
print(f"in the packed log: {sum(records)}")
assert log.endswith(".jsonl.zst")
assert (before, after, sum(records)) == ([5000, 5000], [0, 0], 5000), (before, after, records)
PYTHON
