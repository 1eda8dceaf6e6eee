#!/usr/bin/env bash
# opentelemetry-instrumentation-anthropic 0.62.4: of a streamed answer that searched the web the span has the input from
# before the searches, a quarter of what is billed, and adds up counts of output that are sums already.
#
# A stream of Claude's states its usage twice. What `message_start` has is a first count; `message_delta` at the end has
# the whole, which contains the first. With hosted tools the two differ widely, since what a search found is input of
# the same answer. The SDK and openinference-instrumentation-anthropic 3.1.0 take the last; OpenLLMetry keeps the first
# input and adds both outputs. The same call that is not streamed has a right span, so that a change to streaming looks
# like a saving. The searches ($10 a thousand) are in neither span.
#
# What to do: count from the SDK's final message; take the span of a streamed Claude call with hosted tools for a part.
#
# Seen on 2026-11-29 with Python 3.11, anthropic 2.14.0:
#   SDK            10682 input  510 output  1 search
#   OpenInference  10682 input  510 output
#   OpenLLMetry    2679 input  513 output
#   OpenLLMetry, not streamed  10682 input  510 output
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "anthropic==2.14.0" \
  "opentelemetry-instrumentation-anthropic==0.62.4" "openinference-instrumentation-anthropic==3.1.0" 2>/dev/null
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from anthropic import Anthropic
from openinference.instrumentation.anthropic import AnthropicInstrumentor as OpenInference
from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor as OpenLLMetry
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

CACHE = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
FIRST = CACHE | {"input_tokens": 2679, "output_tokens": 3}
WHOLE = CACHE | {"input_tokens": 10682, "output_tokens": 510, "server_tool_use": {"web_search_requests": 1}}
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "weather"}}
PAGE = {"type": "web_search_result", "title": "Weather", "url": "https://example.org/", "encrypted_content": "0"}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [PAGE]}
TEXT = {"type": "text", "text": "Sunny."}
BLOCKS = [SEARCH, FOUND, TEXT]
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-4-6", "stop_sequence": None}


def events():
    yield {"type": "message_start", "message": MESSAGE | {"content": [], "stop_reason": None, "usage": FIRST}}
    for index, block in enumerate(BLOCKS):
        yield {"type": "content_block_start", "index": index, "content_block": block}
        yield {"type": "content_block_stop", "index": index}
    yield {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": WHOLE}
    yield {"type": "message_stop"}


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        streamed = json.loads(self.rfile.read(int(self.headers["content-length"]))).get("stream")
        lines = "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in events())
        whole = json.dumps(MESSAGE | {"content": BLOCKS, "stop_reason": "end_turn", "usage": WHOLE})
        body = (lines if streamed else whole).encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if streamed else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
tools = [{"type": "web_search_20250305", "name": "web_search"}]
asked = {"model": "claude-opus-4-6", "max_tokens": 900, "tools": tools, "messages": [{"role": "user", "content": "Hm?"}]}


def ask(streamed):
    client = Anthropic(base_url=url, api_key="none")
    if not streamed:
        return client.messages.create(**asked)
    with client.messages.stream(**asked) as stream:
        return stream.get_final_message()


def span(instrumentation, streamed, *keys):
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    instrumentation.instrument(tracer_provider=provider)
    ask(streamed)
    instrumentation.uninstrument()
    [found] = spans.get_finished_spans()
    return [found.attributes[key] for key in keys]


usage = ask(True).usage
billed = [usage.input_tokens, usage.output_tokens]
print("SDK            {} input  {} output  {} search".format(*billed, usage.server_tool_use.web_search_requests))
theirs = span(OpenInference(), True, "llm.token_count.prompt", "llm.token_count.completion")
print("OpenInference  {} input  {} output".format(*theirs))
keys = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
streamed, plain = span(OpenLLMetry(), True, *keys), span(OpenLLMetry(), False, *keys)
print("OpenLLMetry    {} input  {} output".format(*streamed))
print("OpenLLMetry, not streamed  {} input  {} output".format(*plain))
assert billed == theirs == plain == [10682, 510], (billed, theirs, plain)
assert streamed == [2679, 513], streamed
PYTHON
