#!/usr/bin/env bash
# agent-framework-core 1.23.0 (Microsoft): the usages in a streamed run's updates are 1,000, 2,000 and 3,000 tokens for three requests of
# 1,000 each. Their sum is twice what was used, and grows with the square of the requests.
#
# Without a stream `response.usage_details` is the sum of all requests that a run with tools made. Streamed, a content of the type
# `usage` comes with the end of each request, between the pieces of text, as the client of a model sends one for each. It looks like that
# request's and is the sum so far. A program that adds them up is right for every run without a tool, which is what tests do, and has
# 5.5 times the bill after ten requests. The final response of the same
# stream is right.
#
# What to do: take `(await stream.get_final_response()).usage_details`, or of the updates the last.
#
# Seen on 2026-11-30 with Python 3.11, agent-framework-openai 1.17.0; each request 1,000 input tokens, the same with both clients:
#   requests  not streamed  updates             added up  final response
#   1         1000          [1000]              1000      1000
#   3         3000          [1000, 2000, 3000]  6000      3000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "agent-framework-core==1.23.0" "agent-framework-openai==1.17.0" \
  "openai==3.57.0" 2>/dev/null
cat >"$folder/calls.py" <<'PYTHON'
import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from agent_framework import Agent, tool
from agent_framework.openai import OpenAIChatClient, OpenAIChatCompletionClient

HEAD = {"id": "chatcmpl-1", "created": 1790000000, "model": "gpt-5.1"}
CHAT_USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
USAGE = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
USAGE |= {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
requests = 0
tools = 0


def chat(streamed):
    call = {"id": f"call_{requests}", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    message = {"role": "assistant", "content": None if requests <= tools else "Hello."}
    if requests <= tools:
        message["tool_calls"] = [{"index": 0, **call}]
    choice = {"index": 0, "finish_reason": "tool_calls" if requests <= tools else "stop"}
    if not streamed:
        return {**HEAD, "object": "chat.completion", "choices": [{**choice, "message": message}], "usage": CHAT_USAGE}
    chunk = {**HEAD, "object": "chat.completion.chunk"}
    return [{**chunk, "choices": [{**choice, "delta": message}]}, {**chunk, "choices": [], "usage": CHAT_USAGE}]


def response(streamed):
    item = {"id": f"fc_{requests}", "type": "function_call", "call_id": f"call_{requests}", "name": "look", "arguments": "{}"}
    if requests > tools:
        text = {"type": "output_text", "text": "Hello.", "annotations": []}
        item = {"id": f"msg_{requests}", "type": "message", "role": "assistant", "content": [text]}
    item["status"] = "completed"
    body = {"id": f"resp_{requests}", "object": "response", "created_at": 1790000000, "model": "gpt-5.1", "status": "completed"}
    body |= {"output": [item], "usage": USAGE, "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    if not streamed:
        return body
    started = item | ({"arguments": ""} if item["type"] == "function_call" else {})
    events = [{"type": "response.output_item.added", "output_index": 0, "item": started | {"status": "in_progress"}}]
    if item["type"] == "function_call":
        delta = {"type": "response.function_call_arguments.delta", "output_index": 0, "item_id": item["id"], "delta": "{}"}
        events.append(delta)
    events.append({"type": "response.output_item.done", "output_index": 0, "item": item})
    events.append({"type": "response.completed", "response": body})
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        global requests
        requests += 1
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        streamed = asked.get("stream", False)
        answer = chat(streamed) if "chat" in self.path else response(streamed)
        named = "" if "chat" in self.path else "event: x\n"
        body = "".join(f"{named}data: {json.dumps(each)}\n\n" for each in answer) if streamed else json.dumps(answer)
        body += "data: [DONE]\n\n" if streamed and "chat" in self.path else ""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if streamed else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()


@tool(approval_mode="never_require")
def look() -> str:
    "Look."
    return "Seen."


async def ask(kind, used):
    global requests, tools
    tools = used
    client = kind(model="gpt-5.1", api_key="none", base_url=f"http://127.0.0.1:{server.server_port}/v1")
    agent = Agent(client=client, tools=[look])
    requests = 0
    whole = (await agent.run("Hello?")).usage_details["input_token_count"]
    assert requests == used + 1, requests
    requests = 0
    stream = agent.run("Hello?", stream=True)
    stated = []
    async for update in stream:
        stated += [each.usage_details["input_token_count"] for each in update.contents if each.type == "usage"]
    final = (await stream.get_final_response()).usage_details["input_token_count"]
    assert requests == used + 1, requests
    return requests, whole, stated, sum(stated), final


async def main():
    print("requests  not streamed  updates             added up  final response")
    for used, expected in ((0, (1, 1000, [1000], 1000, 1000)), (2, (3, 3000, [1000, 2000, 3000], 6000, 3000))):
        seen = [await ask(kind, used) for kind in (OpenAIChatClient, OpenAIChatCompletionClient)]
        assert seen == [expected] * 2, seen
        made, whole, stated, added, final = seen[0]
        print(f"{made:<9} {whole:<13} {str(stated):<19} {added:<9} {final}")


asyncio.run(main())
PYTHON
"$folder/env/bin/python" -W ignore "$folder/calls.py" 2>/dev/null
