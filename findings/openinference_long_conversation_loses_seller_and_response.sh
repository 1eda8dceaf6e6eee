#!/usr/bin/env bash
# openinference-instrumentation-openai 0.1.66 with opentelemetry-sdk 1.45.2: the span of a call with 60 messages has its tokens, but no
# longer who was asked, nor the response with its id.
#
# OpenInference writes two attributes for each message of the prompt. OpenTelemetry keeps 128 of a span, and once they are full it
# drops the oldest for each new one: not messages, which come last, but what was set first, `llm.system`, then
# the request and the response, which alone has the response's id. Tokens are set at the end and stay, so that a
# sum looks whole. But the same model has another price at another seller, and calls are told apart, or known to be one
# call that two libraries traced, by their ids. Agents reach 60 messages in half an hour, in tests nobody does.
#
# What to do: OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=100000, or TracerProvider(span_limits=...); look at span.dropped_attributes.
#
# Seen on 2026-11-29 with Python 3.11, openai 3.57.0:
#   10 messages  dropped 0  tokens 5000  llm.system openai  id chatcmpl-1
#   60 messages  dropped 7  tokens 5000  llm.system gone    id gone
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "openinference-instrumentation-openai==0.1.66" \
  "opentelemetry-sdk==1.45.2" "openai==3.57.0" 2>/dev/null
"$folder/env/bin/python" -W ignore - 2>/dev/null <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from openai import OpenAI
from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1790000000,
    "model": "gpt-4o",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5000, "completion_tokens": 100, "total_tokens": 5100},
}


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
OpenAIInstrumentor().instrument(tracer_provider=provider)
client = OpenAI(api_key="none", base_url=f"http://127.0.0.1:{server.server_port}/v1")
for count, kept in ((10, (0, 5000, "openai", "chatcmpl-1")), (60, (7, 5000, "gone", "gone"))):
    spans.clear()
    talk = [{"role": ("user", "assistant")[number % 2], "content": "Go on."} for number in range(count)]
    client.chat.completions.create(model="gpt-4o", messages=talk)
    [span] = spans.get_finished_spans()
    response = json.loads(span.attributes.get("output.value", '{"id": "gone"}'))
    tokens, system = span.attributes["llm.token_count.prompt"], span.attributes.get("llm.system", "gone")
    seen = (span.dropped_attributes, tokens, system, response["id"])
    print(f"{count} messages  dropped {seen[0]}  tokens {seen[1]}  llm.system {seen[2]:6}  id {seen[3]}")
    assert seen == kept, seen
PYTHON
