#!/usr/bin/env bash
# langfuse 5.0.4: one call of LangChain becomes two generations, inside each other, both with the whole usage, as soon
# as any module has imported `langfuse.openai`.
#
# The drop-in `from langfuse.openai import OpenAI` patches the classes of `openai` for the whole process, not its own
# subclass. Where another part of the program traces LangChain by Langfuse's CallbackHandler, each of its calls of an
# OpenAI model is written by both: a `ChatOpenAI` generation and within it an `OpenAI-generation`. Langfuse prices each
# generation, so the trace, the user and the month cost twice what was billed. Their names for the tokens differ
# (`input`, which leaves out the cache, and `prompt_tokens`, which has it in), so that equal rows are not seen as such.
#
# What to do: of generations inside each other keep the inner one; use one of the two ways in one process.
#
# Seen on 2026-11-29 with Python 3.11, langchain-openai 1.7.4, openai 3.57.0:
#   before the import: 1 generation
#   after it:          2 generations: ChatOpenAI input 1000, OpenAI-generation prompt_tokens 5000; requests 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "langfuse==5.0.4" "langchain-core==1.8.3" \
  "langchain-openai==1.7.4" "openai==3.57.0" 2>/dev/null
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from langchain_openai import ChatOpenAI
from langfuse import Langfuse
from langfuse.langchain import CallbackHandler
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

USAGE = {"prompt_tokens": 5000, "completion_tokens": 150, "total_tokens": 5150}
USAGE |= {"prompt_tokens_details": {"cached_tokens": 4000}}
SAID = {"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}
ANSWER = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1790000000, "model": "gpt-5.1"}
ANSWER |= {"choices": [SAID], "usage": USAGE}
requests = 0


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        global requests
        self.rfile.read(int(self.headers["content-length"]))
        requests += self.path.endswith("/chat/completions")
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
url = f"http://127.0.0.1:{server.server_port}"
spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
Langfuse(public_key="none", secret_key="none", base_url=url, tracer_provider=provider)


def call():
    spans.clear()
    model = ChatOpenAI(model="gpt-5.1", base_url=url + "/v1", api_key="none")
    model.invoke("Hello?", config={"callbacks": [CallbackHandler()]})
    return {
        span.name: json.loads(span.attributes["langfuse.observation.usage_details"])
        for span in spans.get_finished_spans()
        if "langfuse.observation.usage_details" in span.attributes
    }


alone = call()
print(f"before the import: {len(alone)} generation")
asked = requests
import langfuse.openai

both = call()
outer, inner = both["ChatOpenAI"]["input"], both["OpenAI-generation"]["prompt_tokens"]
said = f"ChatOpenAI input {outer}, OpenAI-generation prompt_tokens {inner}; requests {requests - asked}"
print(f"after it:          {len(both)} generations: {said}")
assert [*alone] == ["ChatOpenAI"]
assert (len(both), outer, inner, requests - asked) == (2, 1000, 5000, 1)
PYTHON
