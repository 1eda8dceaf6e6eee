#!/usr/bin/env bash
# openinference-instrumentation-groq 0.1.33: the span of a streamed call ends before the first word, with neither the
# model nor a token, and with the status OK.
#
# For Groq's client this instrumentation knows whole answers alone. With `stream=True` the span is closed as soon as the
# stream object is returned: a duration of the time to the headers, the stream's repr as output, no `llm.token_count` and no
# `llm.model_name`, which is what dashboards group by. Groq states the usage in the last chunk (`x_groq.usage`), and
# opentelemetry-instrumentation-groq 0.62.4 reads it. A program that turns streaming on looks as if it had stopped
# calling the model, in costs and in latency, and no warning says so.
#
# What to do: for streams take OpenLLMetry's instrumentation, or `x_groq.usage` of the last chunk; the model stands in
# `llm.invocation_parameters`, as JSON.
#
# Seen on 2026-11-30 with Python 3.11, groq 1.7.0; each call 1,000 input and 100 output tokens:
#   OpenInference  whole     llama-3.3-70b-versatile  1000 + 100  status OK
#   OpenInference  streamed  None                     None + None  status OK
#   OpenLLMetry    whole     llama-3.3-70b-versatile  1000 + 100  status OK
#   OpenLLMetry    streamed  llama-3.3-70b-versatile  1000 + 100  status OK
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "groq==1.7.0" \
  "openinference-instrumentation-groq==0.1.33" "opentelemetry-instrumentation-groq==0.62.4" 2>/dev/null
cat >"$folder/call.py" <<'PYTHON'
import importlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from groq import Groq
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

MODEL = "llama-3.3-70b-versatile"
USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
SAID = {"role": "assistant", "content": "Hello."}
ONE = {"id": "r1", "created": 1790000000, "model": MODEL}


def answer(streamed):
    if not streamed:
        choice = {"index": 0, "message": SAID, "finish_reason": "stop"}
        return json.dumps({**ONE, "object": "chat.completion", "choices": [choice], "usage": USAGE})
    chunk = {**ONE, "object": "chat.completion.chunk"}
    first = {**chunk, "choices": [{"index": 0, "delta": SAID, "finish_reason": None}]}
    last = {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    chunks = [first, {**last, "x_groq": {"id": "req_1", "usage": USAGE}}]
    return "".join(f"data: {json.dumps(each)}\n\n" for each in chunks) + "data: [DONE]\n\n"


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        streamed = json.loads(self.rfile.read(int(self.headers["content-length"]))).get("stream")
        body = answer(streamed).encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if streamed else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


module, project, names = sys.argv[1], sys.argv[2], sys.argv[3:]
spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
importlib.import_module(module).GroqInstrumentor().instrument(tracer_provider=provider)
server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = Groq(api_key="none", base_url=f"http://127.0.0.1:{server.server_port}")
asked = {"model": MODEL, "messages": [{"role": "user", "content": "Hello?"}]}
client.chat.completions.create(**asked)
assert list(client.chat.completions.create(**asked, stream=True))[-1].x_groq.usage.prompt_tokens == 1000
for kind, span in zip(("whole", "streamed"), spans.get_finished_spans(), strict=True):
    model, given, said = (span.attributes.get(name) for name in names)
    print(f"{project:<13}  {kind:<8}  {model!s:<23}  {given} + {said}  status {span.status.status_code.name}")
    missing = project == "OpenInference" and kind == "streamed"
    assert (model, given, said) == ((None, None, None) if missing else (MODEL, 1000, 100)), span.attributes
PYTHON
run() { "$folder/env/bin/python" -W ignore "$folder/call.py" "$@" 2>/dev/null; }
run openinference.instrumentation.groq OpenInference llm.model_name llm.token_count.prompt llm.token_count.completion
run opentelemetry.instrumentation.groq OpenLLMetry gen_ai.request.model gen_ai.usage.input_tokens \
  gen_ai.usage.output_tokens
