#!/usr/bin/env bash
# claude-monitor 4.0.0 (PyPI) takes an answer's usage from its first line in Claude Code's logs: $0.005 for an answer of $0.13. Of an
# answer whose lines have no `requestId` it counts each line, and so does ccusage 20.0.24: $0.39. What is cached for an hour costs
# claude-monitor as much as for five minutes.
#
# Claude Code writes a line for each block of an answer, all with one message id. Where they are written while the answer streams
# the first ones have its input and one token of output; only the last has all. Whoever keeps the first of each id, as one does
# with copies, is right about the input and the cache and has next to no output, which costs five times as much a token. Both
# programs tell copies by message id and request id together and take a line without the latter for an answer of its own; behind
# gateways that send no such header there is none (https://github.com/junhoyeo/tokscale/pull/563). The first line was ccusage's
# until lately: https://github.com/ccusage/ccusage/issues/938.
#
# What to do: the message id alone, and of its lines the one with most output; `cache_creation` for the writes of an hour.
#
# Seen on 2026-11-30 with Python 3.11, claude-opus-4-8 ($5, $25, cache of an hour $10):
#                             billed  claude-monitor  ccusage
#   1,000 + 5,000, streamed   $0.13   $0.005025       $0.13
#   without requestId         $0.13   $0.39           $0.39
#   100,000 for an hour       $1.005  $0.63           $1.005
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "claude-monitor==4.0.0" 2>/dev/null
cd "$folder"
npm init --yes >/dev/null
npm install --no-audit --no-fund --loglevel=error --force \
  node@22.23.3 ccusage@20.0.24 @ccusage/ccusage-linux-x64@20.0.24 >/dev/null 2>&1
export HOME="$folder" TZ=UTC PATH="$folder/node_modules/node/bin:$PATH"
env/bin/python - <<'PYTHON'
import json
import os
import subprocess
from pathlib import Path

from claude_monitor.data.analysis import analyze_usage

ASKED = {"input_tokens": 1000, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
HOUR = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 100_000}
KEPT = {**ASKED, "cache_creation_input_tokens": 100_000, "cache_creation": HOUR, "output_tokens": 0}


def line(number, usage, request_id):
    message = {"id": "msg_01Loopback00000000000001", "type": "message", "role": "assistant", "model": "claude-opus-4-8", "content": [], "usage": usage}
    said = {"type": "assistant", "timestamp": f"2026-11-20T10:00:0{number}.000Z", "sessionId": "s", "uuid": f"u{number}"}
    said |= {"message": message} | ({"requestId": request_id} if request_id else {})
    return json.dumps(said, separators=(",", ":")) + "\n"


for number, (name, usages, request_id, expected) in enumerate((
    ("1,000 + 5,000, streamed", [ASKED | {"output_tokens": output} for output in (1, 1, 5000)], "req_1", (0.005025, 0.13)),
    ("without requestId", [ASKED | {"output_tokens": 5000}] * 3, None, (0.39, 0.39)),
    ("100,000 for an hour", [KEPT], "req_1", (0.63, 1.005)),
)):
    home = Path(f"home{number}").absolute()
    logs = home / "projects" / "p"
    logs.mkdir(parents=True)
    (logs / "s.jsonl").write_text("".join(line(*each, request_id) for each in enumerate(usages)))
    blocks = analyze_usage(hours_back=None, data_path=str(logs.parent))["blocks"]
    monitor = sum(block["costUSD"] for block in blocks)
    asks = ["node_modules/.bin/ccusage", "claude", "daily", "--json", "--offline"]
    environ = {**os.environ, "CLAUDE_CONFIG_DIR": str(home)}
    told = json.loads(subprocess.run(asks, env=environ, capture_output=True, check=True).stdout)
    found = round(monitor, 9), round(told["totals"]["totalCost"], 9)
    print(f"{name:24} claude-monitor ${found[0]:<9g} ccusage ${found[1]:g}")
    assert found == expected, found
PYTHON
