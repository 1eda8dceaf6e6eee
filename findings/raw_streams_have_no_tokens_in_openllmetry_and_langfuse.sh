#!/usr/bin/env bash
# opentelemetry-instrumentation-openai 0.62.4 and langfuse 5.0.4: a stream by `with_raw_response` has no tokens, or is in no trace at all,
# while the same stream by `create`, and the same raw call without a stream, are whole.
#
# `with_raw_response.create(...)` is the SDK's way to an answer's headers: limits that are left, the request's id, what a gateway
# charged. `.parse()` then is what `create` gives, a stream too. Both wrap what the method returns, and here it is neither an answer
# nor a stream. Of whole answers both take the parsed one. OpenLLMetry ends the span of a chat at once, without an error, and has
# none of a response; Langfuse has neither. A program that begins to look at the limits it has left looks like one that stopped
# asking, and most programs that do so stream. openinference-instrumentation-openai 0.1.66 has all four.
#
# What to do: OpenInference's instrumentation; or headers by an `http_client` with an event hook, and `create` for the stream.
#
# Seen on 2026-11-30 with Python 3.11, openai 3.57.0; each call 1,000 input tokens, traces and their tokens:
#                      OpenLLMetry  Langfuse  OpenInference
#   chat stream        1: 1000      1: 1000   1: 1000
#   chat raw           1: 1000      1: 1000   1: 1000
#   chat raw stream    1: none      0         1: 1000
#   response stream    1: 1000      1: 1000   1: 1000
#   response raw       1: 1000      1: 1000   1: 1000
#   response raw stream  0          0         1: 1000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "openai==3.57.0" "opentelemetry-sdk==1.45.2" "langfuse==5.0.4" \
  "opentelemetry-instrumentation-openai==0.62.4" "openinference-instrumentation-openai==0.1.66" 2>/dev/null
cat >"$folder/calls.py" <<'PYTHON'
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)
if sys.argv[1] == "Langfuse":
    os.environ |= {"LANGFUSE_PUBLIC_KEY": "none", "LANGFUSE_SECRET_KEY": "none", "LANGFUSE_BASE_URL": "http://127.0.0.1:9"}
    from langfuse.openai import OpenAI
else:
    if sys.argv[1] == "OpenInference":
        from openinference.instrumentation.openai import OpenAIInstrumentor
    else:
        from opentelemetry.instrumentation.openai import OpenAIInstrumentor
    OpenAIInstrumentor().instrument(tracer_provider=provider)
    from openai import OpenAI

CHAT = {"id": "chatcmpl-1", "created": 1790000000, "model": "gpt-5.1"}
CHAT_USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
SAID = {"role": "assistant", "content": "Hello."}
CHOICE = {"index": 0, "finish_reason": "stop"}
CHUNK = {**CHAT, "object": "chat.completion.chunk"}
DETAILS = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
PART = {"type": "output_text", "text": "Hello.", "annotations": []}
ITEM = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [PART]}
RESPONSE = {"id": "resp_1", "object": "response", "created_at": 1790000000, "model": "gpt-5.1", "status": "completed"}
RESPONSE |= {"output": [ITEM], "usage": {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100, **DETAILS}}
RESPONSE |= {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
WHOLE = {
    "chat": {**CHAT, "object": "chat.completion", "choices": [{**CHOICE, "message": SAID}], "usage": CHAT_USAGE},
    "response": RESPONSE,
}
STREAMED = {
    "chat": [{**CHUNK, "choices": [{**CHOICE, "delta": SAID}]}, {**CHUNK, "choices": [], "usage": CHAT_USAGE}],
    "response": [
        {"type": "response.created", "sequence_number": 0, "response": {**RESPONSE, "status": "in_progress", "usage": None}},
        {"type": "response.completed", "sequence_number": 1, "response": RESPONSE},
    ],
}


requests = 0


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        global requests
        requests += 1
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        kind = "chat" if "chat" in self.path else "response"
        body = json.dumps(WHOLE[kind])
        if asked.get("stream"):
            body = "".join(f"data: {json.dumps(each)}\n\n" for each in STREAMED[kind]) + "data: [DONE]\n\n"
        body = body.replace('"resp_1"', f'"resp_{requests}"')
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if asked.get("stream") else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = OpenAI(api_key="none", base_url=f"http://127.0.0.1:{server.server_port}/v1")
chat, responses = client.chat.completions, client.responses
ask = {"model": "gpt-5.1", "messages": [{"role": "user", "content": "Hello?"}]}
stream = {**ask, "stream": True, "stream_options": {"include_usage": True}}
say = {"model": "gpt-5.1", "input": "Hello?"}
for name, call in (
    ("chat stream", lambda: list(chat.create(**stream))),
    ("chat raw", lambda: chat.with_raw_response.create(**ask).parse()),
    ("chat raw stream", lambda: list(chat.with_raw_response.create(**stream).parse())),
    ("response stream", lambda: list(responses.create(**say, stream=True))),
    ("response raw", lambda: responses.with_raw_response.create(**say).parse()),
    ("response raw stream", lambda: list(responses.with_raw_response.create(**say, stream=True).parse())),
):
    spans.clear()
    given = call()
    if isinstance(given, list):
        end = given[-1]
        usage = end.usage if "chat" in name else end.response.usage
        assert usage.total_tokens == 1100, given
    found = []
    for span in spans.get_finished_spans():
        stated = span.attributes.get("langfuse.observation.usage_details")
        if stated:
            stated = json.loads(stated)
            found.append(stated.get("prompt_tokens", stated.get("input_tokens")))
        else:
            named = (span.attributes.get(key) for key in ("gen_ai.usage.input_tokens", "llm.token_count.prompt"))
            found.append(next((each for each in named if each is not None), "none"))
    print(name, "0" if not found else f"{len(found)}: {found[0]}", sep="\t")
PYTHON
for tracer in OpenLLMetry Langfuse OpenInference; do
  "$folder/env/bin/python" -W ignore "$folder/calls.py" $tracer 2>/dev/null >"$folder/$tracer"
done
paste "$folder/OpenLLMetry" <(cut -f2 "$folder/Langfuse") <(cut -f2 "$folder/OpenInference") | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN'
chat stream	1: 1000	1: 1000	1: 1000
chat raw	1: 1000	1: 1000	1: 1000
chat raw stream	1: none	0	1: 1000
response stream	1: 1000	1: 1000	1: 1000
response raw	1: 1000	1: 1000	1: 1000
response raw stream	0	0	1: 1000
SEEN
