#!/usr/bin/env bash
# google-adk 2.13.0: with StreamingMode.SSE the events of one request state its usage five times, each with the whole input: their sum is
# 5,000 tokens for a call of 1,000.
#
# A run of an agent is a stream of events, and `event.usage_metadata` is where its tokens stand: the runner keeps no sum, so
# that programs add up the events'. Without streaming each event with usage is one request. With it, each piece of text
# is an event with the usage so far, and the whole answer comes once more as an event of its own, with the usage of the last
# piece. All have one id, and differ in `partial` alone. What was right in a test without streaming is too high by
# the number of pieces in a chat window, hundreds of times for a long answer. The spans that ADK writes itself are right.
#
# What to do: add up the events whose `partial` is not True.
#
# Seen on 2026-11-30 with Python 3.11; 1,000 input, 100 output tokens, four pieces:
#   not streamed  1 request  1 events  added up 1000 + 100  without partial ones 1000 + 100  spans 1000
#   SSE           1 request  5 events  added up 5000 + 350  without partial ones 1000 + 100  spans 1000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "google-adk==2.13.0" 2>/dev/null
cat >"$folder/ask.py" <<'PYTHON'
import asyncio
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

requests = 0


def piece(text, output, reason=None):
    usage = {"promptTokenCount": 1000, "candidatesTokenCount": output, "totalTokenCount": 1000 + output}
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    if reason:
        candidate["finishReason"] = reason
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash"}


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        global requests
        requests += 1
        self.rfile.read(int(self.headers["content-length"]))
        pieces = [piece("One. ", 25), piece("Two. ", 50), piece("Three. ", 75), piece("Four.", 100, "STOP")]
        streamed = "stream" in self.path
        body = "".join(f"data: {json.dumps(each)}\r\n\r\n" for each in pieces)
        body = body if streamed else json.dumps(piece("One. Two.", 100, "STOP"))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if streamed else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ |= {"GOOGLE_API_KEY": "none", "GOOGLE_GEMINI_BASE_URL": f"http://127.0.0.1:{server.server_port}"}

from google.adk.agents import LlmAgent
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.runners import InMemoryRunner
from google.genai import types
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)


def added(events):
    usages = [event.usage_metadata for event in events]
    return sum(each.prompt_token_count for each in usages), sum(each.candidates_token_count for each in usages)


async def ask(mode):
    runner = InMemoryRunner(agent=LlmAgent(name="asked", model="gemini-2.5-flash"), app_name="asked")
    session = await runner.session_service.create_session(app_name="asked", user_id="somebody")
    said = types.Content(role="user", parts=[types.Part(text="Hello?")])
    about = {"user_id": "somebody", "session_id": session.id, "run_config": RunConfig(streaming_mode=mode)}
    events = [event async for event in runner.run_async(new_message=said, **about) if event.usage_metadata]
    return len(events), added(events), added(event for event in events if event.partial is not True)


async def main():
    global requests
    seen = []
    for name, mode in (("not streamed", StreamingMode.NONE), ("SSE", StreamingMode.SSE)):
        requests = 0
        spans.clear()
        events, (sent, got), whole = await ask(mode)
        named = [span.attributes.get("gen_ai.usage.input_tokens") for span in spans.get_finished_spans()]
        of_spans = sum(filter(None, named))
        print(f"{name:<13} {requests} request  {events} events  added up {sent} + {got}", end="  ")
        print(f"without partial ones {whole[0]} + {whole[1]}  spans {of_spans}")
        seen.append((requests, events, (sent, got), whole, of_spans))
    assert seen == [(1, 1, (1000, 100), (1000, 100), 1000), (1, 5, (5000, 350), (1000, 100), 1000)], seen


asyncio.run(main())
PYTHON
"$folder/env/bin/python" -W ignore "$folder/ask.py" 2>/dev/null
