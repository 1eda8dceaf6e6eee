#!/usr/bin/env bash
# langchain-anthropic 1.7.10: a streamed answer whose last event states its output alone has an input of 0 tokens.
#
# A stream of Claude's states its input when it begins (`message_start`) and its output when it ends (`message_delta`).
# Newer ones repeat the input at the end; the type of that event has it as optional, and the API's page on streaming
# shows both forms (https://docs.claude.com/en/api/messages-streaming), as do servers that speak its format.
# LangChain reads the end alone. Where the input is not repeated, the message says 0 input tokens, without a warning,
# and the usage callback adds 0: of a call with a long prompt nearly the whole price is missing. The SDK, which
# LangChain itself calls, joins both events.
#
# What to do: take 0 input tokens beside an output for unknown.
#
# Seen on 2026-11-29 with Python 3.11, anthropic 2.14.0:
#   SDK        4800 input  50 output
#   LangChain  0 input  50 output
#   callback   0 input  50 output
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

from anthropic import Anthropic
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
ASKED = {"model": "claude-opus-4-6", "max_tokens": 90, "messages": [{"role": "user", "content": "Hello?"}]}
ENDED = {"stop_reason": "end_turn", "stop_sequence": None}
EVENTS = [
    {"type": "message_start", "message": MESSAGE | {"content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello."}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": ENDED, "usage": {"output_tokens": 50}},
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


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
model = ChatAnthropic(model="claude-opus-4-6", base_url=url, api_key="none")
with get_usage_metadata_callback() as callback:
    first, *rest = model.stream("Hello?")
usage = sum(rest, first).usage_metadata
with Anthropic(base_url=url, api_key="none").messages.stream(**ASKED) as stream:
    final = stream.get_final_message().usage
parts = (final.input_tokens, final.cache_read_input_tokens, final.cache_creation_input_tokens)
print(f"SDK        {sum(parts)} input  {final.output_tokens} output")
print(f"LangChain  {usage['input_tokens']} input  {usage['output_tokens']} output")
[told] = callback.usage_metadata.values()
print(f"callback   {told['input_tokens']} input  {told['output_tokens']} output")
assert (parts, final.output_tokens) == ((100, 4000, 700), 50)
assert [usage["input_tokens"], usage["output_tokens"]] == [told["input_tokens"], told["output_tokens"]] == [0, 50]
PYTHON
