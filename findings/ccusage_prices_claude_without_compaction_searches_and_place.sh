#!/usr/bin/env bash
# ccusage 20.0.24: a line of Claude Code costs the same with ten web searches, in the US, and with a compaction of 180,000 tokens as
# without: $0.75 where up to $1.74 are billed. Of what changes the price of one and the same line it reads `speed` alone.
#
# Anthropic states in `usage` what a request was billed by, and the counts of tokens at its top are not all. A compaction of the
# context is a request of its own, in `usage.iterations` alone: to get the total one adds up the iterations
# (https://platform.claude.com/docs/en/build-with-claude/compaction, read 2026-11-30). `server_tool_use.web_search_requests` cost $10
# a thousand, `inference_geo: "us"` makes each token 1.1 times as much. ccusage multiplies by six for `speed: "fast"`,
# so that its sums look as if they followed the bill; long sessions, which compact, are those that cost most.
#
# What to do: read `iterations`, `server_tool_use` and `inference_geo` of each line.
#
# Seen on 2026-11-30 with Node 22; 100,000 input and 10,000 output tokens of Claude Opus 4.6 at $5 and $25 a million:
#   standard     ccusage $0.75  billed $0.75
#   fast         ccusage $4.50  billed $4.50
#   in the US    ccusage $0.75  billed $0.825
#   10 searches  ccusage $0.75  billed $0.85
#   compacted    ccusage $0.75  billed $1.7375
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --no-audit --no-fund --loglevel=error --force ccusage@20.0.24 @ccusage/ccusage-linux-x64@20.0.24 >/dev/null 2>&1
mkdir -p home/.claude/projects/demo
export HOME="$folder/home" TZ=UTC
python3 - <<'PYTHON'
import json
import os
import subprocess

LOG = os.environ["HOME"] + "/.claude/projects/demo/session.jsonl"
USAGE = {"input_tokens": 100_000, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 10_000}
ITERATIONS = [
    {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3_500},
    {"type": "message", "input_tokens": 100_000, "output_tokens": 10_000},
]


def cost(more):
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-4-6", "content": []}
    message |= {"stop_reason": "end_turn", "usage": {**USAGE, "service_tier": "standard", **more}}
    line = {"parentUuid": None, "isSidechain": False, "message": message, "requestId": "req_1", "type": "assistant"}
    line |= {"uuid": "line-1", "timestamp": "2026-11-01T10:00:00.000Z", "cwd": "/work", "sessionId": "session"}
    with open(LOG, "w") as file:
        file.write(json.dumps({**line, "version": "2.1.332"}, separators=(",", ":")) + "\n")
    words = ["node_modules/.bin/ccusage", "claude", "daily", "--json", "--offline"]
    told = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)["totals"]
    assert told["totalTokens"] == 110_000, told
    return round(told["totalCost"], 6)


compaction = 180_000 * 5e-6 + 3_500 * 25e-6
for name, more, billed, expected in (
    ("standard", {}, 0.75, 0.75),
    ("fast", {"speed": "fast"}, 4.5, 4.5),
    ("in the US", {"inference_geo": "us"}, 0.75 * 1.1, 0.75),
    ("10 searches", {"server_tool_use": {"web_search_requests": 10, "web_fetch_requests": 0}}, 0.75 + 0.1, 0.75),
    ("compacted", {"iterations": ITERATIONS}, 0.75 + compaction, 0.75),
):
    seen = cost(more)
    print(f"{name:<12} ccusage ${seen:.2f}  billed ${round(billed, 6)}")
    assert seen == expected, (name, seen)
PYTHON
