#!/usr/bin/env bash
# opentelemetry-instrumentation-openai 0.62.4, langfuse 5.0.4 and openinference-instrumentation-openai 0.1.66: a picture, a transcription,
# speech and a compacted conversation of OpenAI's are in no trace, or in a span without model and tokens, though the
# answers state 5,000, 1,100 and 1,100 tokens; logfire 5.4.0 has those.
#
# "Instrument the client" reads as: every request of it. OpenLLMetry and Langfuse wrap methods, those of chat, responses and
# embeddings; what else the same client sends is not seen. OpenInference sees each request, and writes for these a span with
# the name of the type, the status OK and neither model nor usage, which a reader prices at nothing. The picture is the most
# expensive request of all four. `responses.compact` is new, long conversations send it by themselves, and its answer names no
# model, so that a reader who has it must know what was asked.
#
# What to do: log these from the answers; Logfire's spans have the tokens, and of speech the model.
#
# Seen on 2026-11-30 with Python 3.11, openai 3.57.0; spans, and the input tokens of them:
#                      OpenLLMetry  Langfuse  OpenInference  Logfire
#   chat               1: 1000      1: 1000   1: 1000        1: 1000
#   picture            0            0         1: none        1: 1000
#   transcription      0            0         1: none        1: 1000
#   speech             0            0         1: none        1: none
#   compaction         0            0         1: none        1: 1000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "openai==3.57.0" "opentelemetry-sdk==1.45.2" "langfuse==5.0.4" \
  "opentelemetry-instrumentation-openai==0.62.4" "openinference-instrumentation-openai==0.1.66" "logfire==5.4.0" 2>/dev/null
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

tracer, spans = sys.argv[1], InMemorySpanExporter()
if tracer == "Logfire":
    import logfire

    exporting = [SimpleSpanProcessor(spans)]
    logfire.configure(send_to_logfire=False, console=False, additional_span_processors=exporting)
else:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(provider)
if tracer == "Langfuse":
    os.environ |= {"LANGFUSE_PUBLIC_KEY": "none", "LANGFUSE_SECRET_KEY": "none", "LANGFUSE_BASE_URL": "http://127.0.0.1:9"}
    from langfuse.openai import OpenAI
else:
    if tracer == "OpenInference":
        from openinference.instrumentation.openai import OpenAIInstrumentor
    elif tracer == "OpenLLMetry":
        from opentelemetry.instrumentation.openai import OpenAIInstrumentor
    if tracer != "Logfire":
        OpenAIInstrumentor().instrument(tracer_provider=provider)
    from openai import OpenAI

USAGE = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
DETAILS = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
CHAT = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1790000000, "model": "gpt-5.1"}
CHAT |= {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello."}}]}
CHAT |= {"usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}}
PICTURE = {"created": 1790000000, "data": [{"b64_json": "aGk="}]}
PICTURE |= {"usage": {"input_tokens": 1000, "output_tokens": 4000, "total_tokens": 5000, "input_tokens_details": {"text_tokens": 1000}}}
SAID = {"text": "Hello.", "usage": {"type": "tokens", **USAGE, "input_token_details": {"audio_tokens": 1000}}}
COMPACTED = {"id": "resp_1", "object": "response.compaction", "created_at": 1790000000}
COMPACTED |= {"output": [{"type": "compaction", "id": "cmp_1", "encrypted_content": "x"}], "usage": {**USAGE, **DETAILS}}
ANSWERS = {"completions": CHAT, "generations": PICTURE, "transcriptions": SAID, "speech": {}, "compact": COMPACTED}


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(ANSWERS[self.path.rsplit("/", 1)[1]]).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = OpenAI(api_key="none", base_url=f"http://127.0.0.1:{server.server_port}/v1")
if tracer == "Logfire":
    logfire.instrument_openai(client)
audio, hello = client.audio, [{"role": "user", "content": "Hello?"}]
for name, call in (
    ("chat", lambda: client.chat.completions.create(model="gpt-5.1", messages=hello)),
    ("picture", lambda: client.images.generate(model="gpt-image-1", prompt="A boat.")),
    ("transcription", lambda: audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.wav", b"sound"))),
    ("speech", lambda: audio.speech.create(model="gpt-4o-mini-tts", voice="alloy", input="Hello.")),
    ("compaction", lambda: client.responses.compact(model="gpt-5.1", input="Hello?")),
):
    spans.clear()
    call()
    found = []
    for span in spans.get_finished_spans():
        if span.attributes.get("logfire.span_type") == "pending_span":
            continue
        stated = span.attributes.get("langfuse.observation.usage_details")
        if stated:
            found.append(json.loads(stated)["prompt_tokens"])
        else:
            named = (span.attributes.get(key) for key in ("gen_ai.usage.input_tokens", "llm.token_count.prompt"))
            found.append(next((each for each in named if each is not None), "none"))
    print(name, "0" if not found else f"{len(found)}: {found[0]}", sep="\t")
PYTHON
for tracer in OpenLLMetry Langfuse OpenInference Logfire; do
  "$folder/env/bin/python" -W ignore "$folder/calls.py" $tracer 2>/dev/null >"$folder/$tracer"
done
paste "$folder/OpenLLMetry" <(cut -f2 "$folder/Langfuse") <(cut -f2 "$folder/OpenInference") <(cut -f2 "$folder/Logfire") |
  tee "$folder/seen"
diff "$folder/seen" - <<'SEEN'
chat	1: 1000	1: 1000	1: 1000	1: 1000
picture	0	0	1: none	1: 1000
transcription	0	0	1: none	1: 1000
speech	0	0	1: none	1: none
compaction	0	0	1: none	1: 1000
SEEN
