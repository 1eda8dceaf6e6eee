#!/usr/bin/env bash
# autogen-agentchat 0.7.5 with autogen-ext 0.7.5: an agent whose answer is streamed used 0 tokens, and says so as a number.
#
# `AssistantAgent(..., model_client_stream=True)` is a switch for how text arrives. The client asks for no usage in streams
# unless `stream_options` say so, which nothing else needs. Where none came the message has a `models_usage` of 0 and
# 0, not None, which is what a message without any model has; the client's own `total_usage()` adds nothing. A
# `TokenUsageTermination`, which is there to stop a team at a number of tokens, never stops it.
#
# What to do: OpenAIChatCompletionClient(..., stream_options={"include_usage": True}), and take 0 input tokens for unknown.
#
# Seen on 2026-11-30 with Python 3.11, openai 2.54.0; each request 1,000 input and 100 output tokens, a limit of 500 tokens:
#   whole              RequestUsage 1000 + 100  client's total 1000  limit of 500 reached: True
#   streamed           RequestUsage 0 + 0       client's total 0     limit of 500 reached: False
#   with include_usage RequestUsage 1000 + 100  client's total 1000  limit of 500 reached: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "autogen-agentchat==0.7.5" "openai==2.54.0" \
  "autogen-ext[openai]==0.7.5" 2>/dev/null
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import TokenUsageTermination
from autogen_ext.models.openai import OpenAIChatCompletionClient

USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
ONE = {"id": "r1", "created": 1790000000, "model": "gpt-4o"}


def answer(asked):
    said = {"role": "assistant", "content": "Hello."}
    if not asked.get("stream"):
        choice = {"index": 0, "message": said, "finish_reason": "stop"}
        return json.dumps({**ONE, "object": "chat.completion", "choices": [choice], "usage": USAGE})
    chunk = {**ONE, "object": "chat.completion.chunk"}
    chunks = [{**chunk, "choices": [{"index": 0, "delta": said, "finish_reason": "stop"}]}]
    if (asked.get("stream_options") or {}).get("include_usage"):
        chunks.append({**chunk, "choices": [], "usage": USAGE})
    return "".join(f"data: {json.dumps(each)}\n\n" for each in chunks) + "data: [DONE]\n\n"


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        body = answer(asked).encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if asked.get("stream") else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()


async def run(stream, **options):
    url = f"http://127.0.0.1:{server.server_port}"
    client = OpenAIChatCompletionClient(model="gpt-4o", base_url=url, api_key="none", **options)
    agent = AssistantAgent("helper", model_client=client, model_client_stream=stream)
    told = (await agent.run(task="Hello?")).messages
    limit = TokenUsageTermination(max_total_token=500)
    await limit(told)
    return told[-1].models_usage, client.total_usage().prompt_tokens, limit.terminated


for name, stream, options, expected in (
    ("whole", False, {}, (1000, 100, 1000, True)),
    ("streamed", True, {}, (0, 0, 0, False)),
    ("with include_usage", True, {"stream_options": {"include_usage": True}}, (1000, 100, 1000, True)),
):
    used, total, stopped = asyncio.run(run(stream, **options))
    said = f"{used.prompt_tokens} + {used.completion_tokens}"
    print(f"{name:<18} {type(used).__name__} {said:<11}", f"client's total {total:<5} limit of 500 reached: {stopped}")
    assert (used.prompt_tokens, used.completion_tokens, total, stopped) == expected, (name, used, total, stopped)
PYTHON
