#!/usr/bin/env bash
# langchain-anthropic 1.7.10: of one call `cache_creation` is 0, of the same call streamed it is 700, and then no
# longer split by age.
#
# Claude states what it wrote to the cache as a sum, and by how long it is kept: five minutes (1.25 times the input
# price) or an hour (2 times). LangChain's `usage_metadata.input_token_details` has both ages and `cache_creation: 0`
# beside them, where 700 tokens were written: a reader of LangChain's documented key prices them as plain input.
# Streamed, the key says 700 and the ages are gone, from the metadata of the response too: a write for an hour can
# only be priced as one for five minutes. The usage callback then adds both kinds: 700 under `cache_creation` and 700
# under the ages, for 1,400 that were written.
#
# What to do: take `cache_creation` or, where it is 0, the sum of the ages; do not stream what writes for an hour if
# its price matters.
#
# Seen on 2026-11-29 with Python 3.11, 200 tokens written for five minutes and 500 for an hour, claude-opus-4-6:
#   invoke  cache_creation 0    5m 200   1h 500
#   stream  cache_creation 700  5m None  1h None
#   both, by the usage callback: cache_creation 700  5m 200  1h 500
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "langchain-core==1.8.3" \
  "langchain-anthropic==1.7.10" "anthropic==2.14.0" 2>/dev/null
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from langchain_anthropic import ChatAnthropic
from langchain_core.callbacks import get_usage_metadata_callback

USAGE = {
    "input_tokens": 100,
    "cache_read_input_tokens": 4000,
    "cache_creation_input_tokens": 700,
    "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 500},
    "output_tokens": 50,
    "service_tier": "standard",
}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-4-6"}
MESSAGE |= {"content": [{"type": "text", "text": "Hello."}], "stop_reason": "end_turn", "usage": USAGE}
TOTALS = {name: USAGE[name] for name in USAGE if name.endswith("_tokens")}
ENDED = {"stop_reason": "end_turn", "stop_sequence": None}
EVENTS = [
    {"type": "message_start", "message": MESSAGE | {"content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello."}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": ENDED, "usage": TOTALS},
    {"type": "message_stop"},
]


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        lines = [f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in EVENTS]
        body = ("".join(lines) if asked.get("stream") else json.dumps(MESSAGE)).encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if asked.get("stream") else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def told(name, usage):
    details = usage["input_token_details"]
    ages = [details.get(f"ephemeral_{age}_input_tokens") for age in ("5m", "1h")]
    told = (details["cache_creation"], *ages)
    print("{}  cache_creation {:<3}  5m {}  1h {}".format(name, *told))
    return told


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
model = ChatAnthropic(model="claude-opus-4-6", base_url=f"http://127.0.0.1:{server.server_port}", api_key="none")
with get_usage_metadata_callback() as callback:
    plain = model.invoke("Hello?")
    first, *rest = model.stream("Hello?")
streamed = sum(rest, first)
assert told("invoke", plain.usage_metadata) == (0, 200, 500)
assert told("stream", streamed.usage_metadata) == (700, None, None)
assert "1h" not in json.dumps(streamed.response_metadata)
[both] = callback.usage_metadata.values()
assert told("both, by the usage callback:", both) == (700, 200, 500)
PYTHON
