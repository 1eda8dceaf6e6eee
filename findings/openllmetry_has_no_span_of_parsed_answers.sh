#!/usr/bin/env bash
# opentelemetry-instrumentation-openai and -anthropic 0.62.4: `responses.parse` and `messages.parse` have no span at all, and
# `beta.messages.stream` has one that says 0 tokens; the same calls by `create` are whole.
#
# `parse` is `create` with a class for the answer, the usual way to structured outputs. OpenLLMetry wraps methods by name: of
# OpenAI's chat both, of its Responses API and of Anthropic's client only the others. A program that moves from
# chat.completions.parse to responses.parse, as OpenAI asks for, looks as if it had stopped calling the model: no span, no
# tokens, no warning. `beta.messages.stream` states 0 and 0 as numbers, which adds up to a free call.
# openinference-instrumentation-openai 0.1.66 and -anthropic 3.1.0 have all of them.
#
# What to do: OpenInference's instrumentations; else count calls and not only tokens, and compare them with requests.
#
# Seen on 2026-11-30 with Python 3.11, openai 2.54.0, anthropic 2.14.0; each call 1,000 input tokens, spans and their tokens:
#                         OpenLLMetry  OpenInference
#   chat.parse            1: 1000      1: 1000
#   responses.create      1: 1000      1: 1000
#   responses.parse       0            1: 1000
#   messages.create       1: 1000      1: 1000
#   messages.parse        0            1: 1000
#   beta.messages.parse   0            1: 1000
#   beta.messages.stream  1: 0         1: 1000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "openai==2.54.0" "anthropic==2.14.0" "opentelemetry-sdk==1.45.1" \
  "openinference-instrumentation-openai==0.1.66" "openinference-instrumentation-anthropic==3.1.0" \
  "opentelemetry-instrumentation-openai==0.62.4" "opentelemetry-instrumentation-anthropic==0.62.4" 2>/dev/null
cat >"$folder/calls.py" <<'PYTHON'
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from anthropic import Anthropic
from openai import OpenAI
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel

if sys.argv[1] == "OpenInference":
    from openinference.instrumentation.anthropic import AnthropicInstrumentor
    from openinference.instrumentation.openai import OpenAIInstrumentor
else:
    from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor

TEXT = '{"word": "Hello"}'
CHAT = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1790000000, "model": "gpt-5.1"}
CHAT |= {"choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}]}
CHAT |= {"usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}}
PART = {"type": "output_text", "text": TEXT, "annotations": []}
SAID = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [PART]}
DETAILS = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
RESPONSE = {"id": "resp_1", "object": "response", "created_at": 1790000000, "model": "gpt-5.1", "status": "completed"}
RESPONSE |= {"output": [SAID], "usage": {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100, **DETAILS}}
RESPONSE |= {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_sequence": None}
MESSAGE |= {"content": [{"type": "text", "text": TEXT}], "stop_reason": "end_turn"}
MESSAGE |= {"usage": {"input_tokens": 1000, "output_tokens": 100}}
EVENTS = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "usage": {"input_tokens": 1000, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": TEXT}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 100}},
    {"type": "message_stop"},
]
STREAM = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in EVENTS)


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        whole = CHAT if "chat" in self.path else RESPONSE if "responses" in self.path else MESSAGE
        body = STREAM if asked.get("stream") else json.dumps(whole)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if asked.get("stream") else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


class Word(BaseModel):
    word: str


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
here = f"http://127.0.0.1:{server.server_port}"
spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
for instrumentor in (OpenAIInstrumentor(), AnthropicInstrumentor()):
    instrumentor.instrument(tracer_provider=provider)
gpt = OpenAI(base_url=f"{here}/v1", api_key="none")
claude = Anthropic(base_url=here, api_key="none")
said = [{"role": "user", "content": "Hello?"}]
to_gpt = {"model": "gpt-5.1", "input": "Hello?"}
to_claude = {"model": "claude-sonnet-4-5", "max_tokens": 100, "messages": said}


def streamed():
    with claude.beta.messages.stream(**to_claude) as stream:
        return stream.get_final_message()


calls = {
    "chat.parse": lambda: gpt.chat.completions.parse(model="gpt-5.1", messages=said, response_format=Word),
    "responses.create": lambda: gpt.responses.create(**to_gpt),
    "responses.parse": lambda: gpt.responses.parse(**to_gpt, text_format=Word),
    "messages.create": lambda: claude.messages.create(**to_claude),
    "messages.parse": lambda: claude.messages.parse(**to_claude, output_format=Word),
    "beta.messages.parse": lambda: claude.beta.messages.parse(**to_claude, output_format=Word),
    "beta.messages.stream": streamed,
}
named = ("llm.token_count.prompt", "gen_ai.usage.input_tokens")
seen = {}
for name, call in calls.items():
    spans.clear()
    usage = call().usage
    assert 1000 in (getattr(usage, "prompt_tokens", 0), getattr(usage, "input_tokens", 0)), usage
    ended = spans.get_finished_spans()
    seen[name] = len(ended), sum(span.attributes.get(each, 0) for span in ended for each in named)
    print(f"{sys.argv[1]:<14} {name:<20}  {seen[name][0]} span  {seen[name][1]} input tokens")
without = {"responses.parse": (0, 0), "messages.parse": (0, 0), "beta.messages.parse": (0, 0)}
without |= {"beta.messages.stream": (1, 0)}
assert seen == dict.fromkeys(calls, (1, 1000)) | (without if sys.argv[1] == "OpenLLMetry" else {}), seen
PYTHON
for which in OpenLLMetry OpenInference; do "$folder/env/bin/python" -W ignore "$folder/calls.py" $which 2>/dev/null; done
