#!/usr/bin/env bash
# instructor 1.17.0: the usage of an answer that took three attempts is that of all three for OpenAI, and that of the
# last one for Gemini.
#
# Where an answer does not fit its model, Instructor asks again, with the answer and what is wrong with it in the prompt.
# `create_with_completion` returns the last response. For OpenAI (and Claude) Instructor writes the sum of all attempts into
# that response's `usage`, beside the id of the last request. For every other provider nothing is added up: Gemini's
# `usage_metadata` is the last request's, and the attempts before, billed each, are nowhere. The same code counts 100 % of one
# provider and 29 % of the other. And a sum beside one id misleads in its own way: three prompts of 100,000 tokens
# are not one of 300,000, which has a price of its own.
#
# What to do: count each response in the hook `completion:response`, which sees it before anything is added.
#
# Seen on 2026-11-29 with Python 3.11, openai 3.3.0, google-genai 3.6.1; attempts of 1,000, 1,500 and 2,000 input tokens:
#   openai  billed 4500  the answer says 4500 (id of request 3)  by the hook 1000+1500+2000
#   google  billed 4500  the answer says 2000 (id of request 3)  by the hook 1000+1500+2000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "instructor==1.17.0" "openai==3.3.0" \
  "google-genai==3.6.1" "jsonref" 2>/dev/null
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import instructor
from google import genai
from openai import OpenAI
from pydantic import BaseModel

logging.disable()
requests = 0


class City(BaseModel):
    name: str
    people: int


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        global requests
        requests += 1
        self.rfile.read(int(self.headers["content-length"]))
        told = 500 + 500 * requests
        said = json.dumps({"name": "Oslo", "people": "many" if requests < 3 else 720000})
        if "generateContent" in self.path:
            part = {"text": said}
            answer = {"candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}]}
            usage = {"promptTokenCount": told, "candidatesTokenCount": 20, "totalTokenCount": told + 20}
            answer |= {"responseId": f"r{requests}", "modelVersion": "gemini-2.5-flash", "usageMetadata": usage}
        else:
            message = {"role": "assistant", "content": said}
            answer = {"id": f"r{requests}", "object": "chat.completion", "created": 1790000000, "model": "gpt-5.1"}
            answer |= {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
            answer |= {"usage": {"prompt_tokens": told, "completion_tokens": 20, "total_tokens": told + 20}}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def input_of(answer):
    usage = getattr(answer, "usage", None)
    return usage.prompt_tokens if usage else answer.usage_metadata.prompt_token_count


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
google = genai.Client(api_key="none", http_options={"base_url": url})
clients = {
    "openai": (instructor.from_openai(OpenAI(base_url=url, api_key="none"), mode=instructor.Mode.JSON), "gpt-5.1", 4500),
    "google": (instructor.from_genai(google, mode=instructor.Mode.GENAI_STRUCTURED_OUTPUTS), "gemini-2.5-flash", 2000),
}
for name, (client, model, expected) in clients.items():
    requests, seen = 0, []
    client.on("completion:response", lambda answer: seen.append(input_of(answer)))
    question = [{"role": "user", "content": "How many people live in Oslo?"}]
    _, answer = client.create_with_completion(model=model, messages=question, response_model=City, max_retries=3)
    billed = sum(500 + 500 * number for number in range(1, requests + 1))
    told, identity = input_of(answer), getattr(answer, "id", None) or answer.response_id
    hook = "+".join(map(str, seen))
    print(f"{name}  billed {billed}  the answer says {told} (id of request {identity[1:]})  by the hook {hook}")
    assert (billed, told, identity, seen) == (4500, expected, "r3", [1000, 1500, 2000]), (told, seen)
PYTHON
