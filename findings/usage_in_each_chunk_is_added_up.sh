#!/usr/bin/env bash
# langchain-openai 1.7.4, pydantic-ai 2.68.0 and agno 3.1.10: of a stream that states its usage in every chunk all statements are
# added up: 7,000 input tokens for a call of 1,000. openai-agents 0.24.0 takes the last one.
#
# In OpenAI's own streams the usage stands once, in the last chunk, so that adding and taking are the same. Servers that speak
# OpenAI's format may state it more often, each time the whole so far: vLLM and SGLang in each chunk where
# `stream_options.continuous_usage_stats` is on (asked for in order to know what a stream cost that was left), others
# with the last word and once again behind it. Then the input counts once a chunk. Long answers come to hundreds of times their
# input, and a limit in tokens or dollars stops a program that has hardly begun. The same call without a stream is right.
# pydantic-ai takes the last where its own setting `openai_continuous_usage_stats` is on; langchain-deepseek 1.1.1 and -xai
# 1.3.0 count as langchain-openai does, langchain-perplexity 1.4.2 and npm's @langchain/openai 1.6.0 take the last.
#
# What to do: leave `continuous_usage_stats` off for these three, or read the last chunk's usage from the client itself.
#
# Seen on 2026-11-30 with Python 3.11, openai 3.57.0; a stream of seven chunks, 1,000 input and 100 output tokens:
#                 stated once  stated twice  in each chunk
#   langchain     1000 + 100   2000 + 200    7000 + 500
#   pydantic-ai   1000 + 100   2000 + 200    7000 + 500
#   agno          1000 + 100   2000 + 200    7000 + 500
#   openai-agents 1000 + 100   1000 + 100    1000 + 100
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "langchain-openai==1.7.4" \
  "pydantic-ai-slim[openai]==2.68.0" "agno==3.1.10" "openai-agents==0.24.0" "openai==3.57.0" 2>/dev/null
cat >"$folder/streams.py" <<'PYTHON'
import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import agno.agent
import pydantic_ai
from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, Runner
from agno.models.openai.like import OpenAILike
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

how = "once"


def usage(output):
    return {"prompt_tokens": 1000, "completion_tokens": output, "total_tokens": 1000 + output}


def chunks():
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1790000000, "model": "a-model"}
    for number in range(5):
        choice = {"index": 0, "delta": {"role": "assistant", "content": "Hello. "}, "finish_reason": None}
        so_far = {"usage": usage(20 * (number + 1))} if how == "each" else {}
        yield {**base, "choices": [choice], **so_far}
    ended = {"index": 0, "delta": {}, "finish_reason": "stop"}
    yield {**base, "choices": [ended], **({} if how == "once" else {"usage": usage(100)})}
    yield {**base, "choices": [], "usage": usage(100)}


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks()) + "data: [DONE]\n\n"
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
at = {"base_url": f"http://127.0.0.1:{server.server_port}/v1", "api_key": "none"}


async def langchain():
    whole = None
    async for chunk in ChatOpenAI(model="a-model", stream_usage=True, **at).astream("Hello?"):
        whole = chunk if whole is None else whole + chunk
    return whole.usage_metadata["input_tokens"], whole.usage_metadata["output_tokens"]


async def pydantic():
    asked = pydantic_ai.Agent(OpenAIChatModel("a-model", provider=OpenAIProvider(**at)))
    async with asked.run_stream("Hello?") as answer:
        await answer.get_output()
        return answer.usage.input_tokens, answer.usage.output_tokens


async def agno_():
    asked = agno.agent.Agent(model=OpenAILike(id="a-model", **at), telemetry=False)
    events = [event async for event in asked.arun("Hello?", stream=True, yield_run_output=True)]
    return events[-1].metrics.input_tokens, events[-1].metrics.output_tokens


async def agents_():
    model = OpenAIChatCompletionsModel("a-model", AsyncOpenAI(**at))
    answer = Runner.run_streamed(Agent("a", model=model, model_settings=ModelSettings(include_usage=True)), "Hello?")
    async for _ in answer.stream_events():
        pass
    return answer.context_wrapper.usage.input_tokens, answer.context_wrapper.usage.output_tokens


async def main():
    global how
    readers = {"langchain": langchain, "pydantic-ai": pydantic, "agno": agno_, "openai-agents": agents_}
    for name, read in readers.items():
        seen = []
        for how in ("once", "twice", "each"):
            seen.append(await read())
        print(f"{name:<13} ", *(f"{sent} + {got}  " for sent, got in seen))
        added = name != "openai-agents"
        right = [(1000, 100)] * 3
        assert seen == ([(1000, 100), (2000, 200), (7000, 500)] if added else right), (name, seen)


asyncio.run(main())
PYTHON
OPENAI_AGENTS_DISABLE_TRACING=1 OPENAI_API_KEY=none "$folder/env/bin/python" -W ignore "$folder/streams.py"
