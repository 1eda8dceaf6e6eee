#!/usr/bin/env bash
# langchain-openai 1.7.4 and openai-agents 0.24.0: where OpenAI's address is named, streams are no longer counted.
#
# A stream of OpenAI's chat API states its usage only if it is asked to (`stream_options.include_usage`). Both libraries
# ask by default. LangChain stops asking where a base URL is set, by argument or by OPENAI_BASE_URL, even to the address
# that is the default anyway; openai-agents stops for every other address, https://eu.api.openai.com/v1 of OpenAI's own
# European region too. So a program that counted its tokens counts none from the day on that the variable is set. No
# warning says so: LangChain's message has no usage and its usage callback is empty, and the agent's usage reads
# "1 request, 0 tokens", which a sum of costs takes for a free one.
#
# What to do: ChatOpenAI(stream_usage=True), ModelSettings(include_usage=True), always; take 0 tokens of a request for
# unknown.
#
# Seen on 2026-11-29 with Python 3.11, openai 3.57.0, a provider that bills 5,000 input tokens a request:
#   no base URL                                   LangChain 5000  openai-agents 5000
#   OPENAI_BASE_URL=https://api.openai.com/v1     LangChain None  openai-agents 5000
#   OPENAI_BASE_URL=https://eu.api.openai.com/v1  LangChain None  openai-agents 0
#   the same, asked for                           LangChain 5000  openai-agents 5000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "langchain-core==1.8.3" "langchain-openai==1.7.4" \
  "openai-agents==0.24.0" "openai==3.57.0" 2>/dev/null
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import asyncio
import json
import os

import httpx2 as httpx
from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI

CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1790000000, "model": "gpt-5.1"}
SAID = {"index": 0, "delta": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}
USAGE = {"prompt_tokens": 5000, "completion_tokens": 150, "total_tokens": 5150}


def provider(request):
    """Answer as OpenAI does, in place of the network: the usage only where it was asked for."""
    asked = json.loads(request.content)
    chunks = [CHUNK | {"choices": [SAID]}]
    if (asked.get("stream_options") or {}).get("include_usage"):
        chunks.append(CHUNK | {"choices": [], "usage": USAGE})
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, text=body)


def sync_answer(_, request):
    return provider(request)


async def async_answer(_, request):
    return provider(request)


httpx.HTTPTransport.handle_request = sync_answer
httpx.AsyncHTTPTransport.handle_async_request = async_answer


def langchain(**more):
    first, *rest = ChatOpenAI(model="gpt-5.1", api_key="none", **more).stream("Hello?")
    usage = sum(rest, first).usage_metadata
    return usage and usage["input_tokens"]


async def agents(**more):
    model = OpenAIChatCompletionsModel("gpt-5.1", AsyncOpenAI(api_key="none"))
    run = Runner.run_streamed(Agent(name="a", model=model, model_settings=ModelSettings(**more)), "Hello?")
    async for _ in run.stream_events():
        pass
    assert run.context_wrapper.usage.requests == 1
    return run.context_wrapper.usage.input_tokens


def told(name, asked=False):
    first = langchain(**({"stream_usage": True} if asked else {}))
    second = asyncio.run(agents(**({"include_usage": True} if asked else {})))
    print(f"{name:<44}  LangChain {first}  openai-agents {second}")
    return first, second


set_tracing_disabled(True)
os.environ.pop("OPENAI_BASE_URL", None)
assert told("no base URL") == (5000, 5000)
expected = {"https://api.openai.com/v1": (None, 5000), "https://eu.api.openai.com/v1": (None, 0)}
for url, both in expected.items():
    os.environ["OPENAI_BASE_URL"] = url
    assert told(f"OPENAI_BASE_URL={url}") == both
assert told("the same, asked for", asked=True) == (5000, 5000)
PYTHON
