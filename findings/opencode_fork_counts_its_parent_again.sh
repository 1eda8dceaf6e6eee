#!/usr/bin/env bash
# OpenCode 1.18.33: a fork copies its parent's messages with tokens and costs under new ids, and says nowhere that
# it is a fork. Sums over messages or sessions count the parent again.
#
# `opencode run --continue --fork` makes a session whose messages are those of its parent: same times, same tokens,
# same `cost`, other ids. `session.parent_id` stays empty (it is for sub-agents), and `session.cost` of the fork
# begins with that of the parent. So neither the ids nor the sessions tell what was paid once: ccusage 20.0.24 and
# tokscale 1.4.3, which count each message by its id, both report the parent's answer twice.
#
# What to do: count an answer once for the same `time.created`, `time.completed`, model and tokens.
#
# Seen on 2026-11-29 with Node 22; one answer of 5098 input tokens, forked, and one of 5196 in the fork; the
# request for a title (5000), which stands in no message, left out:
#   billed for the two answers   10294 input tokens
#   messages in the database     15392 input tokens in 3 answers, parent_id of both sessions null
#   ccusage                      15392 input tokens
#   tokscale                     15392 input tokens
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --no-audit --no-fund --loglevel=error --force \
  opencode-ai@1.18.33 node@22.23.3 ccusage@20.0.24 @ccusage/ccusage-linux-x64@20.0.24 tokscale@1.4.3 >/dev/null 2>&1
mkdir -p home/.config/opencode work
cat >provider.py <<'PYTHON'
"""A provider that bills 5000 input tokens for a request without tools, the title, and 5098, 5196 ... for others."""
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

answers = 0


class Provider(BaseHTTPRequestHandler):
    def do_POST(self):
        global answers
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answers += bool(asked.get("tools"))
        number = answers if asked.get("tools") else 0
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
        place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
        response = {"id": f"resp_{number:032d}", "object": "response", "created_at": 1, "model": asked["model"]}
        events = [
            {"type": "response.created", "response": response | {"status": "in_progress", "output": []}},
            {"type": "response.output_item.added", "output_index": 0, "item": item | {"content": []}},
            {"type": "response.output_text.delta", "delta": "Done.", **place},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": response | {"status": "completed", "output": [item], "usage": usage}},
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
python3 provider.py >port &
provider=$!
trap 'kill $provider; rm -rf "$folder"' EXIT
while [ ! -s port ]; do sleep 0.1; done
cat >home/.config/opencode/opencode.json <<JSON
{"autoupdate": false, "share": "disabled", "permission": "allow",
 "provider": {"openai": {"options": {"baseURL": "http://127.0.0.1:$(cat port)/v1", "apiKey": "none"}}}}
JSON
export HOME="$folder/home" TZ=UTC OPENCODE_DISABLE_MODELS_FETCH=1 OPENCODE_DISABLE_AUTOUPDATE=1
export PATH="$folder/node_modules/node/bin:$PATH"
unset XDG_CONFIG_HOME XDG_DATA_HOME
(cd work && git init -q && ../node_modules/.bin/opencode run --model openai/gpt-5.1 hello </dev/null >/dev/null 2>&1)
(cd work && ../node_modules/.bin/opencode run --continue --fork --model openai/gpt-5.1 again </dev/null >/dev/null 2>&1)
ccusage=$(node_modules/.bin/ccusage opencode daily --json --offline)
tokscale=$(node -e '
const all = require("@tokscale/core").parseLocalSources({ homeDir: process.env.HOME, sources: ["opencode"] }).messages;
console.log(all.reduce((sum, each) => sum + each.input + each.cacheRead, 0));')
CCUSAGE="$ccusage" TOKSCALE="$tokscale" python3 - <<'PYTHON'
import json
import os
import sqlite3

database = sqlite3.connect("home/.local/share/opencode/opencode.db")
messages = [json.loads(row[0]) for row in database.execute("SELECT data FROM message")]
parents = {row[0] for row in database.execute("SELECT parent_id FROM session")}
answers = [each for each in messages if each["role"] == "assistant"]
once = {(each["time"]["created"], each["time"]["completed"], str(each["tokens"])): each for each in answers}


def told(some):
    return sum(each["tokens"]["input"] + each["tokens"]["cache"]["read"] for each in some)


totals = json.loads(os.environ["CCUSAGE"])["totals"]
ccusage, tokscale = totals["inputTokens"] + totals["cacheReadTokens"], int(os.environ["TOKSCALE"])
print(f"billed for the two answers   {told(once.values())} input tokens")
print(f"messages in the database     {told(answers)} input tokens in {len(answers)} answers, parent_id of both sessions null")
print(f"ccusage                      {ccusage} input tokens")
print(f"tokscale                     {tokscale} input tokens")
assert (told(once.values()), len(once), parents) == (10294, 2, {None}), (told(once.values()), once, parents)
assert told(answers) == ccusage == tokscale == 15392, (told(answers), ccusage, tokscale)
PYTHON
