#!/usr/bin/env bash
# langchain-cohere 0.6.0: an invoked call counts what Cohere processed, six times what it bills here; the same call
# streamed has no usage, and what is billed under a key of its own.
#
# Cohere states two counts: `billed_units`, what one pays for, and `tokens`, what the model read, with what Cohere puts around
# a prompt, which costs nothing. `usage_metadata` of an invoked call is `tokens`. Streamed, it is None, and
# `response_metadata["token_count"]`, which has the tokens of an invoked call, has the billed units. No field says which
# of the two it is, and `billed_units` of an invoked call is nowhere. The usage callback counts neither, since no message
# names its model.
#
# What to do: ask by Cohere's own client where the price matters; with LangChain stream, and read `token_count`.
#
# Seen on 2026-11-29 with Python 3.11, cohere 5.21.1; billed 100 input and 20 output, processed 600 and 25:
#   invoke  usage_metadata 600 + 25  token_count 600 + 25  callback {}
#   stream  usage_metadata None      token_count 100 + 20  callback {}
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "langchain-cohere==0.6.0" "cohere==5.21.1" \
  "langchain-core==1.8.3" 2>/dev/null
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from langchain_cohere import ChatCohere
from langchain_core.callbacks import get_usage_metadata_callback

USAGE = {"billed_units": {"input_tokens": 100, "output_tokens": 20}, "tokens": {"input_tokens": 600, "output_tokens": 25}}
SAID = {"role": "assistant", "content": [{"type": "text", "text": "Hello."}]}
ANSWER = {"id": "c1", "finish_reason": "COMPLETE", "message": SAID, "usage": USAGE}
BEGIN = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
EVENTS = [
    {"type": "message-start", "id": "c1", "delta": {"message": BEGIN}},
    {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}},
    {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Hello."}}}},
    {"type": "content-end", "index": 0},
    {"type": "message-end", "id": "c1", "delta": {"finish_reason": "COMPLETE", "usage": USAGE}},
]


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if asked.get("stream"):
            events = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in EVENTS]
            body, kind = "".join(events).encode(), "text/event-stream"
        else:
            body, kind = json.dumps(ANSWER).encode(), "application/json"
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def told(counts):
    return counts and f"{counts['input_tokens']:.0f} + {counts['output_tokens']:.0f}"


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
model = ChatCohere(model="command-a-03-2025", base_url=f"http://127.0.0.1:{server.server_port}", cohere_api_key="none")
with get_usage_metadata_callback() as invoking:
    invoked = model.invoke("Hello?")
with get_usage_metadata_callback() as streaming:
    streamed, *more = model.stream("Hello?")
    for chunk in more:
        streamed += chunk
expected = {"invoke": ("600 + 25", "600 + 25", {}), "stream": (None, "100 + 20", {})}
for name, message, callback in (("invoke", invoked, invoking), ("stream", streamed, streaming)):
    found = told(message.usage_metadata), told(message.response_metadata["token_count"]), callback.usage_metadata
    print(f"{name}  usage_metadata {found[0]!s:<8}  token_count {found[1]}  callback {found[2]}")
    assert found == expected[name], message
PYTHON
