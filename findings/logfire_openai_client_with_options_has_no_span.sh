#!/usr/bin/env bash
# logfire 5.4.0: after `logfire.instrument_openai(client)` calls by `client.with_options(...)` are in no span; after
# `logfire.instrument_anthropic(client)` they are.
#
# `client.with_options(timeout=60).chat.completions.create(...)` is the SDKs' way to give one call its own timeout, retries or
# headers. It makes a client of the same class for that call, which for OpenAI is not the instrumented one any more and for
# Anthropic still is, so that a look at one does not tell of the other. What is lost are the calls that were worth an option, as a
# rule the long ones, and all those of a framework that sets options on a client that it is handed. No warning says so.
#
# What to do: `logfire.instrument_openai()` without an argument, which instruments the class.
#
# Seen on 2026-11-30 with Python 3.11, openai 3.57.0, anthropic 2.14.0; each call 1,000 input tokens, spans and their tokens:
#                           given a client  without an argument
#   openai                  1: 1000         1: 1000
#   openai with_options     0               1: 1000
#   anthropic               1: 1000         1: 1000
#   anthropic with_options  1: 1000         1: 1000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "logfire==5.4.0" "openai==3.57.0" "anthropic==2.14.0" \
  "opentelemetry-sdk==1.45.2" 2>/dev/null
cat >"$folder/calls.py" <<'PYTHON'
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import logfire
from anthropic import Anthropic
from openai import OpenAI
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

CHOICE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello."}}
CHAT = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1790000000, "model": "gpt-5.1", "choices": [CHOICE]}
CHAT["usage"] = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_sequence": None}
MESSAGE |= {"content": [{"type": "text", "text": "Hello."}], "stop_reason": "end_turn"}
MESSAGE["usage"] = {"input_tokens": 1000, "output_tokens": 100}
requests = 0


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        global requests
        requests += 1
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(CHAT if "chat" in self.path else MESSAGE).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}"
openai = OpenAI(api_key="none", base_url=f"{base}/v1")
anthropic = Anthropic(api_key="none", base_url=base)
spans = InMemorySpanExporter()
logfire.configure(send_to_logfire=False, console=False, additional_span_processors=[SimpleSpanProcessor(spans)])
whole = sys.argv[1] == "class"
logfire.instrument_openai(*[] if whole else [openai])
logfire.instrument_anthropic(*[] if whole else [anthropic])
say = [{"role": "user", "content": "Hello?"}]


def chat(client):
    client.chat.completions.create(model="gpt-5.1", messages=say)


def message(client):
    client.messages.create(model="claude-sonnet-4-5", messages=say, max_tokens=100)


for name, call, client in (
    ("openai", chat, openai),
    ("openai with_options", chat, openai.with_options(timeout=60)),
    ("anthropic", message, anthropic),
    ("anthropic with_options", message, anthropic.with_options(timeout=60)),
):
    spans.clear()
    requests = 0
    call(client)
    assert requests == 1, requests
    found = [span.attributes["gen_ai.usage.input_tokens"] for span in spans.get_finished_spans()]
    print(name, f"{len(found)}: {found[0]}" if found else "0", sep="\t")
PYTHON
for given in client class; do
  "$folder/env/bin/python" -W ignore "$folder/calls.py" $given 2>/dev/null >"$folder/$given"
done
paste "$folder/client" <(cut -f2 "$folder/class") | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN'
openai	1: 1000	1: 1000
openai with_options	0	1: 1000
anthropic	1: 1000	1: 1000
anthropic with_options	1: 1000	1: 1000
SEEN
