#!/usr/bin/env bash
# Codex 0.171.0: a forked thread's counters begin with its parent's total, and its log has none of its parent's
# lines. Of five answers ccusage 20.0.24 then counts three, and tokscale 1.4.3 counts six.
#
# A fork used to be a copy: its log repeated the parent's lines, so readers of logs learnt to leave out what a
# forked log begins with, or what another log has already. Since forks name their beginning (`history_base` in
# `session_meta`) they copy nothing, and every `token_usage_record` in them is an answer of their own. Their
# first `token_count` has the parent's total plus that answer in `total_token_usage`: taken as a difference from
# nothing it would bill the parent again. And a compaction writes the last `token_count` once more before its own
# request: a reader that adds up `last_token_usage` counts that answer twice.
#
# What to do: where a log has `token_usage_record` lines count those, by `response_id`; else an answer is a
# `token_count` whose total is another one than before, with its `last_token_usage`.
#
# Seen on 2026-11-29 with Node 22, a thread of two answers (5000 and 5098 tokens in), a fork with one (5196), a
# fork of the fork with one (5294) and its compaction (5392); 25980 in all:
#   by response_id   5 answers  25980 input tokens
#   ccusage                     15294 input tokens
#   tokscale         6 answers  31274 input tokens
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --no-audit --no-fund --loglevel=error --force \
  @openai/codex@0.171.0 node@22.23.3 ccusage@20.0.24 @ccusage/ccusage-linux-x64@20.0.24 tokscale@1.4.3 >/dev/null 2>&1
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
cat >forks.py <<'PYTHON'
"""Run a thread of two answers, fork it, fork the fork, and compact that one."""
import glob
import json
import os
import subprocess
import sys

env = {"HOME": os.environ["HOME"], "PATH": os.environ["PATH"], "LOOPBACK_KEY": "none"}
codex = "../node_modules/.bin/codex"
words = [codex, "exec", "--skip-git-repo-check"]
for more in (["say hello"], ["resume", "--last", "again"]):
    subprocess.run([*words, *more], env=env, stdin=subprocess.DEVNULL, capture_output=True, check=True)
[log] = glob.glob(env["HOME"] + "/.codex/sessions/**/*.jsonl", recursive=True)
thread = json.loads(open(log).readline())["payload"]["id"]
app = subprocess.Popen([codex, "app-server"], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def until(is_wanted):
    return next(told for told in map(json.loads, app.stdout) if is_wanted(told))


def call(number, method, **params):
    app.stdin.write(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + "\n")
    app.stdin.flush()
    return until(lambda told: told.get("id") == number)["result"]


def completed():
    until(lambda told: told.get("method") == "turn/completed")


call(1, "initialize", clientInfo={"name": "forks", "version": "1"})
for number in (2, 4):
    thread = call(number, "thread/fork", threadId=thread)["thread"]["id"]
    call(number + 1, "turn/start", threadId=thread, input=[{"type": "text", "text": "forked"}])
    completed()
call(6, "thread/compact/start", threadId=thread)
completed()
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
[model_providers.loopback]
name = "loopback"
base_url = "http://127.0.0.1:$(cat port)/v1"
wire_api = "responses"
env_key = "LOOPBACK_KEY"
TOML
export HOME="$folder/home" TZ=UTC
(cd work && python3 ../forks.py 2>/dev/null)
ccusage=$(node_modules/.bin/ccusage codex daily --json --offline)
tokscale=$(node_modules/node/bin/node -e '
const all = require("@tokscale/core").parseLocalSources({ homeDir: process.env.HOME, sources: ["codex"] }).messages;
console.log(JSON.stringify([all.length, all.reduce((sum, each) => sum + each.input + each.cacheRead, 0)]));')
CCUSAGE="$ccusage" TOKSCALE="$tokscale" python3 - <<'PYTHON'
import glob
import json
import os

lines = [
    json.loads(line)
    for path in glob.glob(os.environ["HOME"] + "/.codex/sessions/**/*.jsonl", recursive=True)
    for line in open(path)
]
records = {
    line["payload"]["response_id"]: line["payload"]["usage"]["input_tokens"]
    for line in lines
    if line["type"] == "token_usage_record"
}
totals = json.loads(os.environ["CCUSAGE"])["totals"]
ccusage = totals["inputTokens"] + totals["cacheReadTokens"]
calls, tokscale = json.loads(os.environ["TOKSCALE"])
print(f"by response_id   {len(records)} answers  {sum(records.values())} input tokens")
print(f"ccusage                     {ccusage} input tokens")
print(f"tokscale         {calls} answers  {tokscale} input tokens")
assert sum(records.values()) == 25980 and len(records) == 5
assert (ccusage, calls, tokscale) == (15294, 6, 31274), (ccusage, calls, tokscale)
PYTHON
