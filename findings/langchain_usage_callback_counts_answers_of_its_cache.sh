#!/usr/bin/env bash
# langchain-core 1.8.3: the usage callback counts answers from LangChain's own cache as tokens that were used, and one
# of them marks the whole sum as free.
#
# With a cache the second and third call of the same prompt send no request. `get_usage_metadata_callback()`, which
# is there to say what a piece of a program used, adds their tokens all the same: three calls and one request come to
# 15,000 input tokens, of which 5,000 were billed. A cached message is marked by `total_cost: 0` in its own usage; the
# callback adds usages up key by key, so its sum has `total_cost: 0` beside 15,000 tokens, as if none had been
# paid. A budget on the tokens is three times too high, one on `total_cost` is empty. And a stream never looks
# into the cache: the same prompt, cached, is billed again by `stream()`.
#
# What to do: count messages, not the callback's sums, and leave out each one whose usage has `total_cost` of 0.
#
# Seen on 2026-11-29 with Python 3.11, langchain-openai 1.7.4:
#   3 calls: 1 request, 5000 tokens billed; callback: 15000 input tokens, total_cost 0
#   the same prompt by stream(): 1 more request
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "langchain-core==1.8.3" "langchain-openai==1.7.4" \
  2>/dev/null
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_openai import ChatOpenAI

HEAD = {"id": "chatcmpl-1", "created": 1790000000, "model": "gpt-5.1"}
USAGE = {"prompt_tokens": 5000, "completion_tokens": 150, "total_tokens": 5150}
SAID = {"role": "assistant", "content": "Hello."}
requests = 0


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        global requests
        requests += 1
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if asked.get("stream"):
            chunk = HEAD | {"object": "chat.completion.chunk"}
            chunk |= {"choices": [{"index": 0, "delta": SAID, "finish_reason": "stop"}]}
            body, kind = f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode(), "text/event-stream"
        else:
            answer = HEAD | {"object": "chat.completion", "usage": USAGE}
            answer |= {"choices": [{"index": 0, "message": SAID, "finish_reason": "stop"}]}
            body, kind = json.dumps(answer).encode(), "application/json"
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/v1"
model = ChatOpenAI(model="gpt-5.1", base_url=url, api_key="none", cache=InMemoryCache())
with get_usage_metadata_callback() as callback:
    for _ in range(3):
        model.invoke("Hello?")
usage = callback.usage_metadata["gpt-5.1"]
billed = requests * USAGE["prompt_tokens"]
told, cost = usage["input_tokens"], usage["total_cost"]
print(f"3 calls: {requests} request, {billed} tokens billed; callback: {told} input tokens, total_cost {cost}")
assert (requests, told, cost) == (1, 15000, 0)
list(model.stream("Hello?"))
print(f"the same prompt by stream(): {requests - 1} more request")
assert requests == 2
PYTHON
