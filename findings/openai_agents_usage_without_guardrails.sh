#!/usr/bin/env bash
# openai-agents 0.24.0: a run's usage has the agents that it used as tools, not those that its guardrails asked; its
# `raw_responses` has neither.
#
# A guardrail as the SDK's documentation shows it runs an agent of its own, with `context=ctx.context`. That passes the
# user's object on and nothing of the run: the guardrail's request is billed and in no figure of the result. An agent
# made a tool by `as_tool()` is added to `result.context_wrapper.usage`, but its responses are not in
# `result.raw_responses`, where each request's id and usage would be read. And where the guardrail stops the run, the
# main agent has been asked at the same time: two requests are billed, the exception's `run_data` has one.
#
# What to do: count in the model or the HTTP client; in a guardrail add the inner result's usage to `ctx.usage` by
# `ctx.usage.add(inner.context_wrapper.usage)`.
#
# Seen on 2026-11-30 with Python 3.11, openai 3.57.0, each request 1,000 input tokens:
#   agent as a tool          3 requests  usage 3000  raw_responses 2000
#   guardrail                2 requests  usage 1000  raw_responses 1000
#   guardrail, added         2 requests  usage 2000  raw_responses 1000
#   guardrail that stops it  2 requests  usage 1000  raw_responses 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "openai-agents==0.24.0" "openai==3.57.0" 2>/dev/null
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import asyncio
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrailTripwireTriggered,
    OpenAIChatCompletionsModel,
    Runner,
    input_guardrail,
    set_tracing_disabled,
)
from openai import AsyncOpenAI

served = []


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        served.append(1)
        if "Judge" in asked["messages"][0]["content"]:
            time.sleep(0.5)  # so that the main agent's answer is there before the guardrail's
        message, ends = {"role": "assistant", "content": "Hello."}, "stop"
        if asked.get("tools") and all(each["role"] != "tool" for each in asked["messages"]):
            call = {"name": "helper", "arguments": json.dumps({"input": "Look it up."})}
            message = {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": call}]}
            ends = "tool_calls"
        answer = {
            "id": "r1",
            "object": "chat.completion",
            "created": 1790000000,
            "model": "gpt-4o",
            "choices": [{"index": 0, "message": message, "finish_reason": ends}],
            "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
        }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


set_tracing_disabled(True)
server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = AsyncOpenAI(base_url=f"http://127.0.0.1:{server.server_port}", api_key="none")
model = OpenAIChatCompletionsModel("gpt-4o", client)
judge = Agent(name="judge", instructions="Judge the question.", model=model)
helper = Agent(name="helper", instructions="Help.", model=model)


def guardrail(stops, adds=False):
    @input_guardrail
    async def judged(ctx, agent, question):
        inner = await Runner.run(judge, question, context=ctx.context)
        if adds:
            ctx.usage.add(inner.context_wrapper.usage)
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=stops)

    return judged


async def run(**parts):
    agent = Agent(name="main", instructions="Answer.", model=model, **parts)
    before = len(served)
    try:
        told = await Runner.run(agent, "Hello?")
    except InputGuardrailTripwireTriggered as stopped:
        told = stopped.run_data
    raw = sum(each.usage.input_tokens for each in told.raw_responses)
    return len(served) - before, told.context_wrapper.usage.input_tokens, raw


async def main():
    tool = helper.as_tool("helper", "Looks things up.")
    for name, parts, expected in (
        ("agent as a tool", {"tools": [tool]}, (3, 3000, 2000)),
        ("guardrail", {"input_guardrails": [guardrail(False)]}, (2, 1000, 1000)),
        ("guardrail, added", {"input_guardrails": [guardrail(False, adds=True)]}, (2, 2000, 1000)),
        ("guardrail that stops it", {"input_guardrails": [guardrail(True)]}, (2, 1000, 0)),
    ):
        seen = await run(**parts)
        print(f"{name:<23}  {seen[0]} requests  usage {seen[1]}  raw_responses {seen[2]}")
        assert seen == expected, (name, seen)


asyncio.run(main())
PYTHON
