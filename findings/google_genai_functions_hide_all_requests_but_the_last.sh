#!/usr/bin/env bash
# google-genai 3.6.1: a call that runs Python functions is several billed requests; the answer has the usage of the
# last one, and both instrumentations of OpenTelemetry write that one alone.
#
# Given a Python function as a tool, `generate_content` calls it and asks the model again, up to ten times, without a
# word. The answer's `usage_metadata` and `response_id` are the last request's; those of the requests before are
# nowhere, not in `automatic_function_calling_history` either, which keeps the contents. The span that
# opentelemetry-instrumentation-google-generativeai 0.62.4 or openinference-instrumentation-google-genai 1.4.14
# writes is of the call: one span, the last request's tokens. Three requests look like one at a third of the cost.
#
# What to do: `automatic_function_calling={"disable": True}` and a loop of your own, or count by the HTTP client.
#
# Seen on 2026-11-29 with Python 3.11, requests of 1000, 2000 and 3000 input tokens:
#   billed 3 requests, 6000 input tokens; the answer says 3000
#   OpenLLMetry 1 span, 3000 input tokens; OpenInference 1 span, 3000 input tokens
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "google-genai==3.6.1" \
  "opentelemetry-instrumentation-google-generativeai==0.62.4" "openinference-instrumentation-google-genai==1.4.14" \
  2>/dev/null
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from google import genai
from openinference.instrumentation.google_genai import GoogleGenAIInstrumentor
from opentelemetry.instrumentation.google_generativeai import GoogleGenerativeAiInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

billed = []


class Server(BaseHTTPRequestHandler):
    """Asks for the function twice, then answers; each request has a thousand tokens more."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        billed.append(1000 * (len(billed) % 3 + 1))
        call = {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}}
        part = {"text": "Sunny."} if billed[-1] == 3000 else call
        usage = {"promptTokenCount": billed[-1], "candidatesTokenCount": 10, "totalTokenCount": billed[-1] + 10}
        answer = {"candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}]}
        answer |= {"modelVersion": "gemini-2.5-flash", "responseId": f"r{len(billed)}", "usageMetadata": usage}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def weather(city: str) -> str:
    """Return the weather of a city."""
    return "sunny"


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"


def ask():
    billed.clear()
    client = genai.Client(api_key="none", http_options={"base_url": url})
    return client.models.generate_content(model="gemini-2.5-flash", contents="Oslo?", config={"tools": [weather]})


response = ask()
told = response.usage_metadata.prompt_token_count
print(f"billed {len(billed)} requests, {sum(billed)} input tokens; the answer says {told}")
assert (billed, told, response.response_id) == ([1000, 2000, 3000], 3000, "r3")
kept = json.dumps([each.model_dump(mode="json") for each in response.automatic_function_calling_history])
assert "weather" in kept and "1000" not in kept and "2000" not in kept
said = []
for name, kind, key in (
    ("OpenLLMetry", GoogleGenerativeAiInstrumentor, "gen_ai.usage.input_tokens"),
    ("OpenInference", GoogleGenAIInstrumentor, "llm.token_count.prompt"),
):
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    kind().instrument(tracer_provider=provider)
    ask()
    kind().uninstrument()
    counted = [span.attributes[key] for span in spans.get_finished_spans() if key in span.attributes]
    said.append(f"{name} {len(counted)} span, {sum(counted)} input tokens")
    assert (counted, sum(billed)) == ([3000], 6000), (counted, billed)
print("; ".join(said))
PYTHON
