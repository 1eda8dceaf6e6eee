#!/usr/bin/env bash
# opentelemetry-instrumentation-bedrock 0.62.4 and -botocore 0.66b2: Claude's input on Bedrock is that without its cache,
# against the convention that both write by, and by InvokeModel the cache is in no attribute at all.
#
# The conventions of OpenTelemetry have `gen_ai.usage.input_tokens` with the cache in, and a reader takes the cached part
# out of it to price it. Bedrock states the uncached input beside the cache, and both instrumentations write that number. Of
# 5,000 uncached and 4,000 cached tokens such a reader prices 1,000 in full; it notices only where the cache is larger than
# the input. OpenLLMetry's own total (5,050) and its spans of the same model at Anthropic, which have the cache in, make
# it worse. Called by InvokeModel, as Anthropic's format is there, a call that read 4,000 tokens from its cache looks the
# same as one that did not. openinference-instrumentation-bedrock 0.1.61 has both calls whole.
#
# What to do: tell by the instrumentation's name, and add the cache to the input; take a span of InvokeModel for a part.
#
# Seen on 2026-11-29 with Python 3.11, boto3 1.44.8; 5,000 input tokens beside 4,000 from the cache, 50 output:
#   OpenLLMetry    Converse 5000 input, 4000 cached, 5050 in all  InvokeModel 5000 input, None cached
#   botocore       Converse 5000 input, 4000 cached, None in all  InvokeModel 5000 input, None cached
#   OpenInference  Converse 9000 input, 4000 cached, 9050 in all  InvokeModel 9000 input, 4000 cached
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "boto3==1.44.8" \
  "opentelemetry-instrumentation-bedrock==0.62.4" "opentelemetry-instrumentation-botocore==0.66b2" \
  "openinference-instrumentation-bedrock==0.1.61" 2>/dev/null
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import importlib
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import boto3
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

MODEL = "us.anthropic.claude-opus-4-6-v1"
CONVERSE = {"output": {"message": {"role": "assistant", "content": [{"text": "Hello."}]}}, "stopReason": "end_turn"}
CONVERSE |= {"usage": {"inputTokens": 5000, "outputTokens": 50, "totalTokens": 9050, "cacheReadInputTokens": 4000}}
CONVERSE |= {"metrics": {"latencyMs": 5}}
INVOKE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-4-6", "stop_reason": "end_turn"}
INVOKE |= {"content": [{"type": "text", "text": "Hello."}], "stop_sequence": None}
INVOKE |= {"usage": {"input_tokens": 5000, "cache_read_input_tokens": 4000, "output_tokens": 50}}


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(CONVERSE if self.path.endswith("/converse") else INVOKE).encode()
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
keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
OTEL = ("gen_ai.usage.input_tokens", "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.total_tokens")
INFERENCE = ("llm.token_count.prompt", "llm.token_count.prompt_details.cache_read", "llm.token_count.total")
bedrock = "opentelemetry.instrumentation.bedrock", "BedrockInstrumentor", OTEL
botocore = "opentelemetry.instrumentation.botocore", "BotocoreInstrumentor", OTEL
inference = "openinference.instrumentation.bedrock", "BedrockInstrumentor", INFERENCE
expected = {
    "OpenLLMetry": (*bedrock, [(5000, 4000, 5050), (5000, None)]),
    "botocore": (*botocore, [(5000, 4000, None), (5000, None)]),
    "OpenInference": (*inference, [(9000, 4000, 9050), (9000, 4000)]),
}
for who, (module, name, attributes, counts) in expected.items():
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    instrumentor = getattr(importlib.import_module(module), name)()
    instrumentor.instrument(tracer_provider=provider)
    client = boto3.session.Session().client("bedrock-runtime", region_name="us-east-1", endpoint_url=url, **keys)
    question = [{"role": "user", "content": [{"type": "text", "text": "Hello?"}]}]
    client.converse(modelId=MODEL, messages=[{"role": "user", "content": [{"text": "Hello?"}]}])
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 50, "messages": question}
    client.invoke_model(modelId=MODEL, body=json.dumps(body))["body"].read()
    instrumentor.uninstrument()
    converse, invoke = (
        tuple(span.attributes.get(attribute) for attribute in attributes) for span in spans.get_finished_spans()
    )
    said = "{} input, {} cached, {} in all".format(*converse)
    print(f"{who:<13}  Converse {said}  InvokeModel {invoke[0]} input, {invoke[1]} cached")
    assert [converse, invoke[:2]] == counts, (converse, invoke)
PYTHON
