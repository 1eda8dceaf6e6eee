#!/usr/bin/env bash
# google-genai 3.6.1: the service tier that served a request is in the body, and nowhere in the typed usage.
#
# A request for the priority or the flex tier may be served by another one, which has another price (priority costs
# 1.8 times the standard rates, flex half). The Gemini API answers with `usageMetadata.serviceTier`. The SDK's
# `usage_metadata` has no such field and keeps no unknown ones: it has `traffic_type`, which is Vertex AI's. What
# is left is a header, in `response.sdk_http_response.headers`. Whoever dumps the response, or stores its usage, can
# no longer tell which price was paid. The answer here comes from a server on this machine.
#
# What to do: read `sdk_http_response.headers["x-gemini-service-tier"]` before the response is stored
# (https://ai.google.dev/gemini-api/docs/priority-inference, read 2026-11-28).
#
# Seen on 2026-11-29 with Python 3.11:
#   the body says: priority
#   fields of the usage about a tier: ['traffic_type'], its value: None, anything kept beside: None
#   the header says: priority
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "google-genai==3.6.1"
"$folder/env/bin/python" - <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from google import genai

USAGE = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15, "serviceTier": "priority"}
CONTENT = {"role": "model", "parts": [{"text": "Hello."}]}
ANSWER = {
    "candidates": [{"content": CONTENT, "finishReason": "STOP"}],
    "modelVersion": "gemini-2.5-flash",
    "responseId": "r1",
    "usageMetadata": USAGE,
}


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.send_header("x-gemini-service-tier", USAGE["serviceTier"])
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = genai.Client(api_key="none", http_options={"base_url": f"http://127.0.0.1:{server.server_port}"})
response = client.models.generate_content(model="gemini-2.5-flash", contents="Hello?")
usage = response.usage_metadata
named = [name for name in type(usage).model_fields if "tier" in name or "traffic" in name]
header = response.sdk_http_response.headers["x-gemini-service-tier"]
print(f"the body says: {USAGE['serviceTier']}")
print(f"fields of the usage about a tier: {named}, its value: {usage.traffic_type}, ", end="")
print(f"anything kept beside: {usage.model_extra}")
print(f"the header says: {header}")
assert (usage.prompt_token_count, usage.candidates_token_count) == (10, 5)
assert (named, usage.traffic_type, usage.model_extra) == (["traffic_type"], None, None)
assert "priority" not in response.model_dump_json(exclude={"sdk_http_response"})
assert header == "priority"
PYTHON
