#!/usr/bin/env bash
# langchain-openai 1.7.4: of a call that was served as priority or flex there is no `cache_read` and no `reasoning`; the
# handler of langfuse 5.0.4 makes of the one twice its input, of the other an input of 0.
#
# `usage_metadata` has documented names for the parts of input and output. Of another tier than the default one the
# names change: `cache_read` is called `priority_cache_read`, and `priority` is what was not cached. Who reads `cache_read`
# prices what came from the cache in full, ten times its price. Langfuse's kinds of tokens stand beside each other, each with
# a price of its own; its handler subtracts the parts from the input for that, but not those of the priority tier.
# So a sum of the kinds counts a priority call twice, and of a flex call the two kinds that have a price, `input` and
# `output`, are 0: half the price becomes none.
#
# What to do: read `cache_read` and `reasoning` under the tier's prefix too; in Langfuse leave out the kinds with
# `priority` in their names, and write prices for those with `flex`.
#
# Seen on 2026-11-29 with Python 3.11; one call each: 5000 input (4000 cached), 1150 output (1000 reasoning):
#   default   cache_read 4000  reasoning 1000  Langfuse: input 1000, all kinds of input 5000
#   priority  cache_read None  reasoning None  Langfuse: input 5000, all kinds of input 10000
#   flex      cache_read None  reasoning None  Langfuse: input 0, all kinds of input 5000
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

USAGE = {"prompt_tokens": 5000, "completion_tokens": 1150, "total_tokens": 6150}
USAGE |= {"prompt_tokens_details": {"cached_tokens": 4000}, "completion_tokens_details": {"reasoning_tokens": 1000}}
SAID = {"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}
ANSWER = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1790000000, "model": "gpt-5.1"}
ANSWER |= {"choices": [SAID], "usage": USAGE}


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])) or b"{}") if "chat" in self.path else {}
        body = json.dumps(ANSWER | {"service_tier": asked.get("service_tier")}).encode()
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
default, priority, flex = (4000, 1000, 1000, 5000), (None, None, 5000, 10000), (None, None, 0, 5000)
for tier, expected in {"default": default, "priority": priority, "flex": flex}.items():
    spans.clear()
    model = ChatOpenAI(model="gpt-5.1", base_url=url + "/v1", api_key="none", service_tier=tier)
    usage = model.invoke("Hello?", config={"callbacks": [CallbackHandler()]}).usage_metadata
    [details] = (
        json.loads(span.attributes["langfuse.observation.usage_details"])
        for span in spans.get_finished_spans()
        if "langfuse.observation.usage_details" in span.attributes
    )
    cached, reasoned = usage["input_token_details"].get("cache_read"), usage["output_token_details"].get("reasoning")
    kinds = sum(count for kind, count in details.items() if kind.startswith("input"))
    told = (cached, reasoned, details["input"], kinds)
    print("{:<8}  cache_read {}  reasoning {}  Langfuse: input {}, all kinds of input {}".format(tier, *told))
    assert told == expected, (usage, details)
PYTHON
