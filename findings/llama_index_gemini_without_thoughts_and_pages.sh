#!/usr/bin/env bash
# llama-index-llms-google-genai 0.11.3: of a Gemini call that billed 10,200 tokens its `prompt_tokens` and
# `completion_tokens`, and LlamaIndex's TokenCountingHandler, count 150, beside a `total_tokens` of 10,200.
#
# Gemini states four counts that add up: the prompt, what its own tools read (a page given by its link is most of such a
# call, and is billed as input: https://ai.google.dev/gemini-api/docs/url-context), what it said, and what it thought, billed
# as output. LlamaIndex hands on the first and the third under the names that other providers use for all of input and
# all of output. TokenCountingHandler, its counter for costs, takes these two and adds them up itself, so that its own total
# says 150. No warning; with OpenAI's models the same handler has the reasoning in its output.
#
# What to do: read `response.raw["usage_metadata"]`, and add `tool_use_prompt_token_count` and `thoughts_token_count`.
#
# Seen on 2026-11-30 with Python 3.11, llama-index-core 0.14.25, google-genai 2.34.0:
#   billed                10050 input  150 output  10200 in all
#   additional_kwargs     50    input  100 output  10200 in all
#   TokenCountingHandler  50    input  100 output  150 in all
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "llama-index-llms-google-genai==0.11.3" \
  "llama-index-core==0.14.25" "google-genai==2.34.0" 2>/dev/null
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.llms import ChatMessage
from llama_index.llms.google_genai import GoogleGenAI

USAGE = {
    "promptTokenCount": 50,
    "toolUsePromptTokenCount": 10_000,
    "candidatesTokenCount": 100,
    "thoughtsTokenCount": 50,
    "totalTokenCount": 10_200,
}
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


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
handler = TokenCountingHandler(tokenizer=str.split)
model = GoogleGenAI(
    model="gemini-2.5-flash",
    api_key="none",
    http_options={"base_url": f"http://127.0.0.1:{server.server_port}"},
    context_window=1_000_000,
    max_tokens=1_000,
    callback_manager=CallbackManager([handler]),
)
response = model.chat([ChatMessage(content="What is on https://example.com?")])
told = [response.additional_kwargs[f"{name}_tokens"] for name in ("prompt", "completion", "total")]
counted = [handler.prompt_llm_token_count, handler.completion_llm_token_count, handler.total_llm_token_count]
raw = response.raw["usage_metadata"]
billed = [
    raw["prompt_token_count"] + raw["tool_use_prompt_token_count"],
    raw["candidates_token_count"] + raw["thoughts_token_count"],
    raw["total_token_count"],
]
for name, (given, said, total), expected in (
    ("billed", billed, [10_050, 150, 10_200]),
    ("additional_kwargs", told, [50, 100, 10_200]),
    ("TokenCountingHandler", counted, [50, 100, 150]),
):
    print(f"{name:<20}  {given:<5} input  {said} output  {total} in all")
    assert [given, said, total] == expected, (name, given, said, total)
PYTHON
