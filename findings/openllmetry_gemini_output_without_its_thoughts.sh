#!/usr/bin/env bash
# Two instrumentations write one Gemini call with 100 and with 150 output tokens: opentelemetry-instrumentation-
# google-generativeai 0.62.4 leaves the thoughts out, openinference-instrumentation-google-genai 1.4.14 counts them.
#
# Gemini states what it thought beside what it said (`thoughtsTokenCount`, `candidatesTokenCount`) and bills both as
# output. OpenLLMetry's `gen_ai.usage.output_tokens` is the candidates alone, and no attribute has the thoughts; for
# OpenAI's models the same attribute, by the same project, has the reasoning in it. A dashboard that multiplies the
# attribute with the output price shows a thinking model too cheap, without a gap to see, and one that reads both
# kinds of spans shows two prices for one call. What tells is `gen_ai.usage.total_tokens`, which Google states whole.
#
# What to do: where the total of a Gemini span is more than input and output, the rest is output.
#
# Seen on 2026-11-29 with Python 3.11, google-genai 3.6.1:
#   billed         5000 input   150 output
#   OpenLLMetry    5000 input   100 output  5150 in all, thoughts in no attribute
#   OpenInference  5000 input   150 output  5150 in all
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "google-genai==3.6.1" \
  "opentelemetry-instrumentation-google-generativeai==0.62.4" "openinference-instrumentation-google-genai==1.4.14" \
  2>/dev/null
cat >"$folder/call.py" <<'PYTHON'
import importlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from google import genai
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

USAGE = {"promptTokenCount": 5000, "candidatesTokenCount": 100, "thoughtsTokenCount": 50, "totalTokenCount": 5150}
SAID = {"content": {"role": "model", "parts": [{"text": "Hello."}]}, "finishReason": "STOP"}
ANSWER = {"candidates": [SAID], "modelVersion": "gemini-2.5-flash", "responseId": "r1", "usageMetadata": USAGE}


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


module, name, prefix = sys.argv[1:]
spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
getattr(importlib.import_module(module), name)().instrument(tracer_provider=provider)
server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = genai.Client(api_key="none", http_options={"base_url": f"http://127.0.0.1:{server.server_port}"})
client.models.generate_content(model="gemini-2.5-flash", contents="Hello?")
[span] = spans.get_finished_spans()
print(json.dumps({key: value for key, value in span.attributes.items() if key.startswith(prefix)}))
PYTHON
run() { "$folder/env/bin/python" -W ignore "$folder/call.py" "$@" 2>/dev/null; }
LLMETRY=$(run opentelemetry.instrumentation.google_generativeai GoogleGenerativeAiInstrumentor gen_ai.usage.)
INFERENCE=$(run openinference.instrumentation.google_genai GoogleGenAIInstrumentor llm.token_count.)
LLMETRY="$LLMETRY" INFERENCE="$INFERENCE" python3 - <<'PYTHON'
import json
import os

one, other = (json.loads(os.environ[name]) for name in ("LLMETRY", "INFERENCE"))
first = [one[f"gen_ai.usage.{name}_tokens"] for name in ("input", "output", "total")]
second = [other[f"llm.token_count.{name}"] for name in ("prompt", "completion", "total")]
print("billed         5000 input   150 output")
print("OpenLLMetry    {} input   {} output  {} in all, thoughts in no attribute".format(*first))
print("OpenInference  {} input   {} output  {} in all".format(*second))
assert first == [5000, 100, 5150], one
assert second == [5000, 150, 5150], other
assert 50 not in one.values() and 50 in other.values(), (one, other)
PYTHON
