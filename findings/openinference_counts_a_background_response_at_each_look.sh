#!/usr/bin/env bash
# openinference-instrumentation-openai 0.1.66 has the tokens of a background response once for each time that it was retrieved;
# the spans of opentelemetry-instrumentation-openai 0.62.4 have none of them.
#
# `responses.create(background=True)` answers at once, without usage; the answer is asked for by `responses.retrieve(id)` until it is
# done, and stays for 30 days. OpenInference makes a span of kind LLM of each retrieval, and one of the request. While the
# response is queued they have no tokens; once it is done each has all of them. A page that shows the answer again, a second
# worker or a later run counts it anew, and calls look three or ten times as many. And whoever counts a response once
# by its id, as one should, and takes the first span, has that of a queued one, without tokens. OpenLLMetry writes a span
# of each retrieval that is done, without any. None has an error, and long reasoning, which costs most, is what runs so.
#
# What to do: leave out spans whose `output.value` has the status queued or in_progress, and count the others once an id.
#
# Seen on 2026-11-30 with Python 3.11; one response of 1,000 input tokens, looked at twice before and twice after it was done:
#   OpenInference  5 spans  2000 input tokens
#   OpenLLMetry    2 spans     0 input tokens
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "openai==2.54.0" "opentelemetry-sdk==1.45.1" \
  "openinference-instrumentation-openai==0.1.66" "opentelemetry-instrumentation-openai==0.62.4" 2>/dev/null
cat >"$folder/look.py" <<'PYTHON'
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from openai import OpenAI
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

if sys.argv[1] == "OpenInference":
    from openinference.instrumentation.openai import OpenAIInstrumentor
else:
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor

DETAILS = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
USAGE = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100, **DETAILS}
TEXT = {"type": "output_text", "text": "Hello.", "annotations": []}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [TEXT]}
RESPONSE = {"id": "resp_1", "object": "response", "created_at": 1790000000, "model": "gpt-5.1", "background": True}
RESPONSE |= {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
looks = 0


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, state):
        done = {"output": [MESSAGE], "usage": USAGE} if state == "completed" else {"output": [], "usage": None}
        body = json.dumps({**RESPONSE, "status": state, **done}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.answer("queued")

    def do_GET(self):
        global looks
        looks += 1
        self.answer("completed" if looks > 2 else "in_progress")

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
OpenAIInstrumentor().instrument(tracer_provider=provider)
client = OpenAI(base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="none")
client.responses.create(model="gpt-5.1", input="Hello?", background=True)
states = [client.responses.retrieve("resp_1").status for _ in range(4)]
assert states == ["in_progress", "in_progress", "completed", "completed"], states
named = ("llm.token_count.prompt", "gen_ai.usage.input_tokens")
counts = [span.attributes.get(name, 0) for span in spans.get_finished_spans() for name in named]
ended = len(spans.get_finished_spans())
print(f"{sys.argv[1]:<14} {ended} spans  {sum(counts):>4} input tokens")
assert (ended, sum(counts)) == ((5, 2000) if sys.argv[1] == "OpenInference" else (2, 0))
PYTHON
for which in OpenInference OpenLLMetry; do "$folder/env/bin/python" -W ignore "$folder/look.py" $which 2>/dev/null; done
