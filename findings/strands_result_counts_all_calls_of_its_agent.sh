#!/usr/bin/env bash
# strands-agents 1.62.0: `result.metrics.accumulated_usage` is the sum of all calls of the agent since it was made, and
# its `inputTokens` has the cache in for OpenAI and not for Anthropic.
#
# `agent("...")` returns a result with metrics. A program that books each result's usage books the first call with
# every later one: three equal calls of 5,000 input tokens are reported as 5,000, 10,000 and 15,000, twice what was
# billed when added up. The metrics belong to the agent, not to the result, and grow in a result that was
# kept, too. And the same field means two things: with OpenAI's models cached tokens are a part of `inputTokens`, with
# Anthropic's they stand beside it (100 for 4,800); `totalTokens` has them in both.
#
# What to do: book `result.metrics.latest_agent_invocation.usage`; take the input from totalTokens - outputTokens.
#
# Seen on 2026-11-29 with Python 3.11:
#   openai     input of three results 5000, 10000, 15000  latest 5000, 5000, 5000  total - output of one call 5000
#   anthropic  input of three results 100, 200, 300  latest 100, 100, 100  total - output of one call 4800
#   the first result, read again after the third: 15000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "strands-agents[openai,anthropic]==1.62.0" 2>/dev/null
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from strands import Agent
from strands.models.anthropic import AnthropicModel
from strands.models.openai import OpenAIModel

CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1790000000, "model": "gpt-5.1"}
SAID = {"index": 0, "delta": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}
USAGE = {"prompt_tokens": 5000, "completion_tokens": 50, "total_tokens": 5050}
USAGE |= {"prompt_tokens_details": {"cached_tokens": 4000}}
OPENAI = [CHUNK | {"choices": [SAID]}, CHUNK | {"choices": [], "usage": USAGE}]
CLAUDE = {"input_tokens": 100, "cache_read_input_tokens": 4000, "cache_creation_input_tokens": 700, "output_tokens": 50}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-4-6", "content": []}
MESSAGE |= {"stop_reason": None, "stop_sequence": None, "usage": CLAUDE | {"output_tokens": 1}}
ANTHROPIC = [
    {"type": "message_start", "message": MESSAGE},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello."}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": CLAUDE},
    {"type": "message_stop"},
]


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        if self.path.endswith("/messages"):
            body = "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in ANTHROPIC)
        else:
            body = "".join(f"data: {json.dumps(each)}\n\n" for each in OPENAI) + "data: [DONE]\n\n"
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
openai = OpenAIModel(client_args={"api_key": "none", "base_url": url + "/v1"}, model_id="gpt-5.1")
anthropic = AnthropicModel(client_args={"api_key": "none", "base_url": url}, model_id="claude-opus-4-6", max_tokens=90)
expected = {"openai": (openai, 5000, 5000), "anthropic": (anthropic, 100, 4800)}
for name, (model, stated, billed) in expected.items():
    agent = Agent(model=model, callback_handler=None)
    sums, latest = [], []
    for call in range(3):
        result = agent("Hello?")
        first = result if call == 0 else first
        sums.append(result.metrics.accumulated_usage["inputTokens"])
        usage = result.metrics.latest_agent_invocation.usage
        latest.append(usage["inputTokens"])
    whole = usage["totalTokens"] - usage["outputTokens"]
    said = [", ".join(map(str, numbers)) for numbers in (sums, latest)]
    print("{:<9}  input of three results {}  latest {}".format(name, *said), f" total - output of one call {whole}")
    assert sums == [stated, 2 * stated, 3 * stated], sums
    assert (latest, whole) == ([stated] * 3, billed), (latest, whole)
    if name == "openai":
        again = first.metrics.accumulated_usage["inputTokens"]
print(f"the first result, read again after the third: {again}")
assert again == 15000
PYTHON
