#!/usr/bin/env bash
# ccusage 20.0.24 says $0 and no tokens for logs of Claude Code whose lines went once through Python's `json.dumps`:
# it looks for `"usage":{` in a line before it parses it, and Python writes `"usage": {`.
#
# A line of JSON means the same with a blank after each colon, and people do send their sessions through a script:
# to take names and keys out before they are shared, to cut large results, to bring several machines together. All
# lines are passed over alike, so that a report of a whole team is $0 or has some hosts' share alone, and nothing is
# said. The order of the members makes no difference. tokscale 1.4.3 parses and counts both.
#
# What to do: write lines for ccusage with `separators=(",", ":")`; as a reader look for `"usage"` alone.
#
# Seen on 2026-11-30 with Node 22, three answers of 1000 and 200 tokens by Claude Sonnet 4.5 ($0.018):
#   as Claude Code writes it    ccusage 3600 tokens $0.018    tokscale 3600
#   members sorted              ccusage 3600 tokens $0.018    tokscale 3600
#   json.dumps(json.loads(..))  ccusage    0 tokens $0.000    tokscale 3600
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --no-audit --no-fund --loglevel=error --force \
  node@22.23.3 ccusage@20.0.24 @ccusage/ccusage-linux-x64@20.0.24 tokscale@1.4.3 >/dev/null 2>&1
mkdir -p home/.claude/projects/demo
export HOME="$folder/home" TZ=UTC
python3 - <<'PYTHON'
import json
import os
import subprocess

LOG = os.environ["HOME"] + "/.claude/projects/demo/session.jsonl"
SUM = """
const all = require("@tokscale/core").parseLocalSources({ homeDir: process.env.HOME, sources: ["claude"] }).messages;
console.log(all.reduce((sum, each) => sum + each.input + each.output, 0));"""


def line(number):
    usage = {
        "input_tokens": 1000,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 200,
        "service_tier": "standard",
    }
    message = {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": [],
        "stop_reason": "end_turn",
        "usage": usage,
    }
    return {
        "parentUuid": None,
        "isSidechain": False,
        "message": message,
        "requestId": f"req_{number}",
        "type": "assistant",
        "uuid": f"line-{number}",
        "timestamp": f"2026-11-01T10:0{number}:00.000Z",
        "cwd": "/work",
        "sessionId": "session",
        "version": "2.1.332",
    }


def read(**style):
    with open(LOG, "w") as file:
        file.writelines(json.dumps(line(number), **style) + "\n" for number in range(3))
    words = ["node_modules/.bin/ccusage", "claude", "daily", "--json", "--offline"]
    told = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)["totals"]
    words = ["node_modules/node/bin/node", "-e", SUM]
    tokscale = int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    return told["totalTokens"], round(abs(told["totalCost"]), 6), tokscale


compact = {"separators": (",", ":")}
seen = [read(**compact), read(**compact, sort_keys=True), read()]
for name, (tokens, cost, tokscale) in zip(("as written", "sorted", "json.dumps"), seen):
    print(f"{name:<12} ccusage {tokens:>5} tokens ${cost:.3f}   tokscale {tokscale} tokens")
assert seen == [(3600, 0.018, 3600), (3600, 0.018, 3600), (0, 0.0, 3600)], seen
PYTHON
